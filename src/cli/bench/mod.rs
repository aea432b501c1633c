//! `bifocal bench`.

mod compare;
mod film;
mod measured;
mod peak;
mod profile;
mod report;

use std::time::{Duration, Instant};

use super::args::{Bench, Pixels, TableFormat};
use super::failure::{Code, Failure};
use super::print;
use super::session::Session;
use crate::bench::{Conditions, Cooling, Latency, Runs, Schedule, cool_down, measure, peak_rss_bytes, scene};
use crate::board::{Known, Sensors};
use crate::frame::{PixelFormat, luma_row};
use crate::geom::Size;
use crate::io::whole_limit;
use crate::plan::Plan;
use measured::{MachineInfo, Measured, Sustained};
use report::Page;

/// How often a board is asked whether it is cool.
const PAUSE: Duration = Duration::from_secs(1);
/// Frames, and the longest time, of the extra runs that a page takes the times of Steps from.
const PROFILED: (usize, Duration) = (10, Duration::from_secs(5));

pub(super) fn run(args: &Bench) -> Result<(), Failure> {
    if args.format == TableFormat::Csv && (args.profile || args.compare.is_some()) {
        return Err(Failure::usage(
            "--format csv prints one line of figures; --profile and --compare need text or json",
        ));
    }
    // Before anything is measured: a wrong path should not cost the time of a run.
    let old = args.compare.as_deref().map(compare::read).transpose()?;
    let page = args.report.as_deref().map(Page::create).transpose()?;
    let (mut result, runs, sensors) = run_frames(args)?;
    if let Some(page) = page {
        page.write(&result, &runs, &sensors)?;
    }
    // For the page only, unless they were asked for.
    result.profile = result.profile.filter(|_| args.profile);
    result.sustained = result.sustained.filter(|_| args.duration.is_some());
    result.compare = old.map(|old| compare::compare(&serde_json::to_value(&result).unwrap_or_default(), &old));
    match args.format {
        TableFormat::Text => print::text(&result.text()),
        TableFormat::Json => print::json(&result),
        TableFormat::Csv => print::text(&result.csv()),
    }
}

/// A network that runs in floats failed.
fn failed(reason: String) -> Failure {
    Failure::new(Code::Failed, format!("the network failed: {reason}"))
}

/// The picture that is measured with where no scene is named.
fn still(size: Size, format: PixelFormat) -> Result<Vec<u8>, Failure> {
    // The frame is held whole, in colour and in grey.
    let (needed, limit) = (4 * size.area() as u64, whole_limit());
    if needed > limit {
        let message = format!("a frame of {size} takes {} MiB; {} MiB can be held here", needed >> 20, limit >> 20);
        return Err(Failure::new(Code::Budget, message));
    }
    let mut frame = scene(size.width, size.height);
    if format == PixelFormat::Gray8 {
        let mut luma = vec![0; size.area()];
        luma_row(PixelFormat::Rgb8, &frame, &mut luma);
        frame = luma;
    }
    Ok(frame)
}

fn run_frames(args: &Bench) -> Result<(Measured, Runs, Sensors), Failure> {
    let (format, pixels) = match args.pixels {
        Pixels::Gray => (PixelFormat::Gray8, "gray"),
        Pixels::Rgb => (PixelFormat::Rgb8, "rgb"),
    };
    let film = args.scene.as_deref().map(|path| film::read(path, format)).transpose()?;
    let size = film.as_ref().map_or(args.size, |(size, _)| *size);
    let begin = Instant::now();
    let mut session = Session::open(&args.engine)?;
    session.engine(size, format)?;
    let load_ms = begin.elapsed().as_secs_f64() * 1e3;

    let sensors = session.machine.sensors();
    let options = session.options(size, format);
    let frame = match film {
        Some((_, frames)) => frames,
        None => still(size, format)?,
    };
    let (runs, limit) = match args.duration {
        Some(duration) => (usize::MAX, duration),
        None => (args.num_runs, Duration::from_secs(args.max_secs)),
    };
    let schedule = Schedule { warmup: args.warmup_runs, runs, limit, profile: args.profile };
    let cooldown = wait(args, &sensors)?;
    // On both sides of the frames, so that a processor that was slowed down for a while does not look better than it is.
    let peak_before = peak::gmacs_per_s(options.level, options.threads);
    let engine = session.engine(size, format)?;
    let row_bytes = size.width * format.channels();
    let runs = measure(engine, &sensors, &frame, row_bytes, schedule).map_err(failed)?;
    let peak_gmacs_per_s = peak_before.max(peak::gmacs_per_s(options.level, options.threads));
    let latency_ms = Latency::of(&runs.frames).ok_or_else(|| Failure::new(Code::Failed, "no frame was measured"))?;
    let (report, macs_share) = (engine.report().clone(), runs.macs_share);
    let (steps, counted) = if args.report.is_some() && !args.profile {
        // The clock is looked at for every Step: not while the frames above are measured.
        let schedule = Schedule { warmup: 0, runs: PROFILED.0, limit: PROFILED.1, profile: true };
        let profiled = measure(engine, &Sensors::default(), &frame, row_bytes, schedule).map_err(failed)?;
        (profiled.steps, profiled.step_macs)
    } else {
        (runs.steps.clone(), runs.step_macs.clone())
    };
    let profile = if args.profile || args.report.is_some() {
        let plan = Plan::new(&session.model, options.branches, options.level);
        let plan = plan.map_err(|e| Failure::usage(e.to_string()))?;
        Some(profile::rows(&plan, &report, &steps, &counted))
    } else {
        None
    };
    let conditions = Conditions::of(&sensors, runs.before, &runs.timeline, runs.after);
    let (seconds, frames) = (runs.time.as_secs_f64(), runs.frames.count());
    let gmacs_per_s = macs_share * report.macs_per_frame as f64 / latency_ms.p50 / 1e6;
    let machine = &session.machine;
    let named = (machine.known == Known::Named).then(|| machine.board.title.clone());
    let result = Measured {
        model: session.model.metadata().name.clone(),
        scale: session.scale(),
        input: size,
        pixels,
        threads: options.threads,
        level: options.level,
        branches: options.branches,
        runs: frames,
        latency_ms,
        fps: 1e3 / latency_ms.mean,
        macs_per_frame: report.macs_per_frame,
        gmacs_per_s,
        peak_gmacs_per_s,
        peak_share: gmacs_per_s / peak_gmacs_per_s,
        mac_overhead: report.mac_overhead,
        macs_share,
        budget_bytes: options.budget.0,
        arena_bytes: report.arena_bytes,
        peak_rss_bytes: peak_rss_bytes(),
        allocs_per_frame: runs.allocations as f64 / frames as f64,
        load_ms,
        board: machine.model.clone().or(named),
        machine: MachineInfo::of(machine),
        throttled: conditions.throttled,
        energy_j_per_frame: conditions.during.watts.mean().map(|watts| watts * seconds / frames as f64),
        conditions,
        cooldown,
        sustained: Some(Sustained::of(&runs.timeline, seconds, frames)),
        profile,
        compare: None,
    };
    Ok((result, runs, sensors))
}

fn wait(args: &Bench, sensors: &Sensors) -> Result<Option<Cooling>, Failure> {
    let Some(target) = args.cooldown else { return Ok(None) };
    let cooling = cool_down(sensors, target, args.cooldown_limit, PAUSE)
        .ok_or_else(|| Failure::usage("--cooldown: no sensor here tells the temperature of the processor"))?;
    if !cooling.reached {
        log::warn!(
            "still at {:.1} °C after {:.0} s, not at {target:.1}; measuring all the same",
            cooling.to_c,
            cooling.seconds
        );
    }
    Ok(Some(cooling))
}
