//! `bifocal bench`.

mod compare;
mod peak;
mod profile;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::args::{Bench, Pixels, TableFormat};
use super::failure::{Code, Failure};
use super::print;
use super::session::Session;
use crate::bench::{Latency, Schedule, board_name, measure, peak_rss_bytes, scene};
use crate::frame::{PixelFormat, luma_row};
use crate::geom::Size;
use crate::kernels::Level;
use crate::memory::display_bytes;
use crate::model::Branches;
use crate::plan::Plan;
use compare::Comparison;

/// What is printed; names and units are a contract with scripts.
#[derive(Serialize)]
struct Measured {
    model: String,
    scale: usize,
    input: Size,
    pixels: &'static str,
    threads: usize,
    level: Level,
    branches: Branches,
    runs: usize,
    latency_ms: Latency,
    /// Of the mean: what a stream of frames would get.
    fps: f64,
    /// Recomputed ones included.
    macs_per_frame: u64,
    /// Of the median frame.
    gmacs_per_s: f64,
    /// What the level reaches when nothing else is in the way, with as many threads.
    peak_gmacs_per_s: f64,
    /// `gmacs_per_s` of it. More than 1 is possible: a kernel may know how to do with fewer multiplications.
    peak_share: f64,
    mac_overhead: f64,
    budget_bytes: usize,
    arena_bytes: usize,
    peak_rss_bytes: Option<u64>,
    /// Not counted: an allocator that counts needs unsafe code. `tests/memory.rs` shows that there are none.
    allocs_per_frame: Option<f64>,
    load_ms: f64,
    board: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Vec<profile::Row>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare: Option<Comparison>,
}

pub(super) fn run(args: &Bench) -> Result<(), Failure> {
    if args.format == TableFormat::Csv && (args.profile || args.compare.is_some()) {
        return Err(Failure::usage(
            "--format csv prints one line of figures; --profile and --compare need text or json",
        ));
    }
    // Before anything is measured: a wrong path should not cost the time of a run.
    let old = args.compare.as_deref().map(compare::read).transpose()?;
    let mut result = run_frames(args)?;
    result.compare = old.map(|old| compare::compare(&result, &old));
    match args.format {
        TableFormat::Text => print::text(&result.text()),
        TableFormat::Json => print::json(&result),
        TableFormat::Csv => print::text(&result.csv()),
    }
}

fn run_frames(args: &Bench) -> Result<Measured, Failure> {
    let (format, pixels) = match args.pixels {
        Pixels::Gray => (PixelFormat::Gray8, "gray"),
        Pixels::Rgb => (PixelFormat::Rgb8, "rgb"),
    };
    let size = args.size;
    let begin = Instant::now();
    let mut session = Session::open(&args.engine)?;
    session.engine(size, format)?;
    let load_ms = begin.elapsed().as_secs_f64() * 1e3;

    let options = session.options(size, format);
    let mut frame = scene(size.width, size.height);
    if format == PixelFormat::Gray8 {
        let mut luma = vec![0; size.area()];
        luma_row(PixelFormat::Rgb8, &frame, &mut luma);
        frame = luma;
    }
    let limit = Duration::from_secs(args.max_secs);
    let schedule = Schedule { warmup: args.warmup_runs, runs: args.num_runs, limit, profile: args.profile };
    // On both sides of the frames, so that a processor that was slowed down for a while does not look better than it is.
    let peak_before = peak::gmacs_per_s(options.level, options.threads);
    let engine = session.engine(size, format)?;
    let runs = measure(engine, &frame, size.width * format.channels(), schedule);
    let peak_gmacs_per_s = peak_before.max(peak::gmacs_per_s(options.level, options.threads));
    let latency_ms = Latency::of(&runs.frames).ok_or_else(|| Failure::new(Code::Failed, "no frame was measured"))?;
    let report = engine.report().clone();
    let profile = if args.profile {
        let plan = Plan::new(&session.model, options.branches, options.level);
        let plan = plan.map_err(|e| Failure::usage(e.to_string()))?;
        Some(profile::rows(&plan, &report, &runs.steps))
    } else {
        None
    };
    let gmacs_per_s = report.macs_per_frame as f64 / latency_ms.p50 / 1e6;
    Ok(Measured {
        model: session.model.metadata().name.clone(),
        scale: session.scale(),
        input: size,
        pixels,
        threads: options.threads,
        level: options.level,
        branches: options.branches,
        runs: runs.frames.len(),
        latency_ms,
        fps: 1e3 / latency_ms.mean,
        macs_per_frame: report.macs_per_frame,
        gmacs_per_s,
        peak_gmacs_per_s,
        peak_share: gmacs_per_s / peak_gmacs_per_s,
        mac_overhead: report.mac_overhead,
        budget_bytes: options.budget.0,
        arena_bytes: report.arena_bytes,
        peak_rss_bytes: peak_rss_bytes(),
        allocs_per_frame: None,
        load_ms,
        board: board_name(),
        profile,
        compare: None,
    })
}

impl Measured {
    fn text(&self) -> String {
        let l = &self.latency_ms;
        let peak = self.peak_rss_bytes.map_or("unknown".into(), |bytes| display_bytes(bytes as usize));
        let board = self.board.as_ref().map(|name| format!("board     {name}\n")).unwrap_or_default();
        let mut text = format!(
            "{board}model     {} x{}, {} {}, {} threads, level {}, branches {}\n\
             latency   mean {:.2} ms, min {:.2}, p50 {:.2}, p90 {:.2}, p95 {:.2}, p99 {:.2}, max {:.2} ({} runs)\n\
             speed     {:.2} frames/s, {:.2} GMAC/s of {:.3} GMAC per frame, overhead {:.3}\n\
             peak      {:.2} GMAC/s measured, {:.1} % of it reached\n\
             memory    arena {} of {}, peak of the process {peak}\n\
             load      {:.1} ms\n",
            self.model,
            self.scale,
            self.input,
            self.pixels,
            self.threads,
            self.level.name(),
            self.branches.name(),
            l.mean,
            l.min,
            l.p50,
            l.p90,
            l.p95,
            l.p99,
            l.max,
            self.runs,
            self.fps,
            self.gmacs_per_s,
            self.macs_per_frame as f64 / 1e9,
            self.mac_overhead,
            self.peak_gmacs_per_s,
            self.peak_share * 100.0,
            display_bytes(self.arena_bytes),
            display_bytes(self.budget_bytes),
            self.load_ms,
        );
        if let Some(rows) = &self.profile {
            text += &format!("\n{}", profile::text(rows, self.peak_gmacs_per_s));
        }
        if let Some(compare) = &self.compare {
            text += &format!("\n{}", compare.text());
        }
        text
    }

    fn csv(&self) -> String {
        let l = &self.latency_ms;
        let peak = self.peak_rss_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        format!(
            "model,scale,width,height,threads,level,branches,runs,min_ms,mean_ms,p50_ms,p90_ms,p95_ms,p99_ms,max_ms,\
             fps,macs_per_frame,gmacs_per_s,mac_overhead,budget_bytes,arena_bytes,peak_rss_bytes,load_ms,board,\
             pixels,peak_gmacs_per_s,peak_share\n\
             {},{},{},{},{},{},{},{},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{},{:.4},{:.4},{},{},{peak},{:.4},{},{},{:.4},{:.4}",
            print::csv_field(&self.model),
            self.scale,
            self.input.width,
            self.input.height,
            self.threads,
            self.level.name(),
            self.branches.name(),
            self.runs,
            l.min,
            l.mean,
            l.p50,
            l.p90,
            l.p95,
            l.p99,
            l.max,
            self.fps,
            self.macs_per_frame,
            self.gmacs_per_s,
            self.mac_overhead,
            self.budget_bytes,
            self.arena_bytes,
            self.load_ms,
            print::csv_field(self.board.as_deref().unwrap_or_default()),
            self.pixels,
            self.peak_gmacs_per_s,
            self.peak_share,
        )
    }
}
