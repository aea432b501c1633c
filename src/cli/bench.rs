//! `bifocal bench`.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::args::{Bench, TableFormat};
use super::failure::{Code, Failure};
use super::print;
use super::session::Session;
use crate::bench::{Latency, Schedule, board_name, measure, peak_rss_bytes, scene};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::kernels::Level;
use crate::memory::display_bytes;
use crate::model::Branches;

/// What is printed; names and units are a contract with scripts.
#[derive(Serialize)]
struct Measured {
    model: String,
    scale: usize,
    input: Size,
    threads: usize,
    level: Level,
    branches: Branches,
    runs: usize,
    latency_ms: Latency,
    fps: f64,
    macs_per_frame: u64,
    gmacs_per_s: f64,
    mac_overhead: f64,
    budget_bytes: usize,
    arena_bytes: usize,
    peak_rss_bytes: Option<u64>,
    /// Not counted by this build.
    allocs_per_frame: Option<f64>,
    load_ms: f64,
    board: Option<String>,
}

pub(super) fn run(args: &Bench) -> Result<(), Failure> {
    let result = run_frames(args)?;
    match args.format {
        TableFormat::Text => print::text(&result.text()),
        TableFormat::Json => print::json(&result),
        TableFormat::Csv => print::text(&result.csv()),
    }
}

fn run_frames(args: &Bench) -> Result<Measured, Failure> {
    let (size, format) = (args.size, PixelFormat::Rgb8);
    let begin = Instant::now();
    let mut session = Session::open(&args.engine)?;
    session.engine(size, format)?;
    let load_ms = begin.elapsed().as_secs_f64() * 1e3;

    let pixels = scene(size.width, size.height);
    let limit = Duration::from_secs(args.max_secs);
    let schedule = Schedule { warmup: args.warmup_runs, runs: args.num_runs, limit };
    let engine = session.engine(size, format)?;
    let millis = measure(engine, &pixels, size.width * format.channels(), schedule);
    let report = engine.report();
    let (macs, mac_overhead, arena_bytes) = (report.macs_per_frame, report.mac_overhead, report.arena_bytes);
    let latency_ms = Latency::of(&millis).ok_or_else(|| Failure::new(Code::Failed, "no frame was measured"))?;
    let options = session.options(size, format);
    Ok(Measured {
        model: session.model.metadata().name.clone(),
        scale: session.scale(),
        input: size,
        threads: options.threads,
        level: options.level,
        branches: options.branches,
        runs: millis.len(),
        latency_ms,
        fps: 1e3 / latency_ms.mean,
        macs_per_frame: macs,
        gmacs_per_s: macs as f64 / latency_ms.mean / 1e6,
        mac_overhead,
        budget_bytes: options.budget.0,
        arena_bytes,
        peak_rss_bytes: peak_rss_bytes(),
        allocs_per_frame: None,
        load_ms,
        board: board_name(),
    })
}

impl Measured {
    fn text(&self) -> String {
        let l = &self.latency_ms;
        let peak = self.peak_rss_bytes.map_or("unknown".into(), |bytes| display_bytes(bytes as usize));
        let board = self.board.as_ref().map(|name| format!("board     {name}\n")).unwrap_or_default();
        format!(
            "{board}model     {} x{}, {}, {} threads, level {}, branches {}\n\
             latency   mean {:.2} ms, min {:.2}, p50 {:.2}, p90 {:.2}, p95 {:.2}, p99 {:.2}, max {:.2} ({} runs)\n\
             speed     {:.2} frames/s, {:.2} GMAC/s of {:.3} GMAC per frame, overhead {:.3}\n\
             memory    arena {} of {}, peak of the process {peak}\n\
             load      {:.1} ms",
            self.model,
            self.scale,
            self.input,
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
            display_bytes(self.arena_bytes),
            display_bytes(self.budget_bytes),
            self.load_ms,
        )
    }

    fn csv(&self) -> String {
        let l = &self.latency_ms;
        let peak = self.peak_rss_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        format!(
            "model,scale,width,height,threads,level,branches,runs,min_ms,mean_ms,p50_ms,p90_ms,p95_ms,p99_ms,max_ms,\
             fps,macs_per_frame,gmacs_per_s,mac_overhead,budget_bytes,arena_bytes,peak_rss_bytes,load_ms,board\n\
             {},{},{},{},{},{},{},{},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{},{:.4},{:.4},{},{},{peak},{:.4},{}",
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
        )
    }
}
