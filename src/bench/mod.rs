//! Measured runs: how long a frame takes on this machine, under which conditions, and what the process needed for it.

mod conditions;
mod machine;
mod reservoir;
mod scene;
mod timeline;

pub use conditions::{Conditions, Cooling, During, cool_down};
pub use machine::peak_rss_bytes;
pub use reservoir::{KEPT, Reservoir};
pub use scene::scene;
pub use timeline::{SLOTS, Slot, Spread, Timeline};

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::board::{Reading, Sensors};
use crate::engine::Engine;
use crate::memory::allocations;

/// Time between two looks at the sensors, which happen between frames: several in every slot of the timeline.
const GLANCE: Duration = Duration::from_millis(100);
/// Values that are kept of each Step.
const KEPT_OF_STEP: usize = 512;

/// How often to run.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Frames that are not measured: they fill caches and wake the processor.
    pub warmup: usize,
    /// Measured frames, at least one.
    pub runs: usize,
    /// No frame is begun once the measured ones took this long together.
    pub limit: Duration,
    /// Also take the time of each Step, which costs two readings of the clock for every Step of a pass.
    pub profile: bool,
}

/// What was measured, in memory that does not grow with the number of frames.
#[derive(Clone, Debug)]
pub struct Runs {
    /// Milliseconds of whole frames, from the first row given to the last row taken.
    pub frames: Reservoir,
    /// The same frames, Step by Step in the order of [`crate::engine::Report::steps`]; empty without
    /// [`Schedule::profile`].
    pub steps: Vec<Reservoir>,
    /// Multiply-adds of each Step in a frame, on average, where windows do not all get the same; else empty.
    pub step_macs: Vec<u64>,
    /// Multiply-adds over those of frames of which every window gets all, on average.
    pub macs_share: f64,
    /// Frames and sensors over time.
    pub timeline: Timeline,
    /// Allocations of all threads in all measured frames.
    pub allocations: u64,
    /// From the first measured frame to the end of the last one.
    pub time: Duration,
    /// Sensors before the first measured frame, after the warm-up.
    pub before: Reading,
    /// Sensors after the last one.
    pub after: Reading,
}

/// Milliseconds of a frame over all runs; percentiles are measured values (nearest rank), never interpolated.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Latency {
    /// Fastest.
    pub min: f64,
    /// Average.
    pub mean: f64,
    /// Half of the frames took at most this long.
    pub p50: f64,
    /// 90 of 100 frames.
    pub p90: f64,
    /// 95 of 100 frames.
    pub p95: f64,
    /// 99 of 100 frames.
    pub p99: f64,
    /// Slowest.
    pub max: f64,
}

impl Latency {
    /// Of measured milliseconds; `None` without any. Percentiles are those of the values that were kept.
    pub fn of(millis: &Reservoir) -> Option<Self> {
        let (min, max) = millis.extremes()?;
        let mut sorted = millis.kept().to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        Some(Self { min, mean: millis.mean(), p50: rank(50), p90: rank(90), p95: rank(95), p99: rank(99), max })
    }
}

/// Runs whole frames of `pixels`, rows of `row_bytes`, one after the other and over again, and looks at the sensors between
/// them. While frames are measured nothing is allocated here.
///
/// The error is that of a network that runs in floats.
pub fn measure(
    engine: &mut Engine,
    sensors: &Sensors,
    pixels: &[u8],
    row_bytes: usize,
    schedule: Schedule,
) -> Result<Runs, String> {
    let mut film = pixels.chunks_exact(row_bytes * engine.input_size().height).cycle();
    let mut next = move || film.next().unwrap_or_default();
    for _ in 0..schedule.warmup {
        run(engine, next(), row_bytes)?;
    }
    if schedule.profile {
        engine.start_profile();
    }
    let mut totals: Vec<Duration> = engine.profile().collect();
    let mut frames = Reservoir::new(KEPT.min(schedule.runs));
    // Not cloned: a clone has no spare capacity.
    let mut steps: Vec<Reservoir> = totals.iter().map(|_| Reservoir::new(KEPT_OF_STEP.min(schedule.runs))).collect();
    let mut timeline = Timeline::default();
    let before = sensors.read_all();
    let (mut allocated, mut macs_share) = (0, 0.0);
    let counted: Vec<u64> = engine.profiled_macs().collect();
    let (begin, mut glance) = (Instant::now(), Duration::ZERO);
    while frames.count() == 0 || (frames.count() < schedule.runs as u64 && begin.elapsed() < schedule.limit) {
        let calls = allocations();
        let frame = Instant::now();
        run(engine, next(), row_bytes)?;
        let (took, at) = (millis(frame.elapsed()), begin.elapsed());
        allocated += allocations() - calls;
        frames.add(took);
        macs_share += engine.macs_share();
        timeline.frame(at, took);
        // The engine adds up over frames.
        for ((step, total), before) in steps.iter_mut().zip(engine.profile()).zip(&mut totals) {
            step.add(millis(total - *before));
            *before = total;
        }
        if at >= glance {
            timeline.reading(at, &sensors.read());
            glance = at + GLANCE;
        }
    }
    let time = begin.elapsed();
    let count = frames.count().max(1);
    let step_macs = engine.profiled_macs().zip(counted).map(|(all, before)| (all - before) / count).collect();
    let macs_share = macs_share / count as f64;
    Ok(Runs {
        frames,
        steps,
        step_macs,
        macs_share,
        timeline,
        allocations: allocated,
        time,
        before,
        after: sensors.read_all(),
    })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn run(engine: &mut Engine, pixels: &[u8], row_bytes: usize) -> Result<(), String> {
    for row in pixels.chunks_exact(row_bytes) {
        let done = engine.push_row(row, |_, out| -> Result<(), Infallible> {
            black_box(out);
            Ok(())
        });
        done.map_err(|error| error.network())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let of = |values: &mut dyn Iterator<Item = f64>| {
            let mut reservoir = Reservoir::new(KEPT);
            values.for_each(|value| reservoir.add(value));
            Latency::of(&reservoir)
        };
        let latency = of(&mut (1..=100).rev().map(f64::from)).unwrap();
        assert_eq!((latency.min, latency.p50, latency.p90, latency.p95), (1.0, 50.0, 90.0, 95.0));
        assert_eq!((latency.p99, latency.max, latency.mean), (99.0, 100.0, 50.5));
        assert_eq!(of(&mut [7.0].into_iter()).unwrap().p99, 7.0);
        assert_eq!(of(&mut [].into_iter()), None);
    }
}
