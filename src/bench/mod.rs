//! Measured runs: how long a frame takes on this machine, and what the process needed for it.

mod machine;
mod scene;

pub use machine::{board_name, peak_rss_bytes};
pub use scene::scene;

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::engine::Engine;

/// How often to run.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Frames that are not measured: they fill caches and wake the processor.
    pub warmup: usize,
    /// Measured frames, at least one.
    pub runs: usize,
    /// No frame is begun once the measured ones took this long together.
    pub limit: Duration,
    /// Also take the time of each Step, which costs two looks at the clock for every Step of a pass.
    pub profile: bool,
}

/// Milliseconds of each measured frame.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// Whole frames, from the first row given to the last row taken.
    pub frames: Vec<f64>,
    /// The same frames, Step by Step in the order of [`crate::engine::Report::steps`]; empty without
    /// [`Schedule::profile`].
    pub steps: Vec<Vec<f64>>,
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
    /// Of measured milliseconds; `None` without any.
    pub fn of(millis: &[f64]) -> Option<Self> {
        let mut sorted = millis.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        Some(Self { min, mean, p50: rank(50), p90: rank(90), p95: rank(95), p99: rank(99), max })
    }
}

/// Runs whole frames of `pixels`, rows of `row_bytes`.
pub fn measure(engine: &mut Engine, pixels: &[u8], row_bytes: usize, schedule: Schedule) -> Runs {
    for _ in 0..schedule.warmup {
        run(engine, pixels, row_bytes);
    }
    if schedule.profile {
        engine.start_profile();
    }
    let mut before = engine.profile();
    let mut runs = Runs { frames: Vec::with_capacity(schedule.runs.min(1 << 16)), steps: vec![vec![]; before.len()] };
    let begin = Instant::now();
    while runs.frames.is_empty() || (runs.frames.len() < schedule.runs && begin.elapsed() < schedule.limit) {
        let frame = Instant::now();
        run(engine, pixels, row_bytes);
        runs.frames.push(millis(frame.elapsed()));
        // The engine adds up over frames.
        for ((step, total), before) in runs.steps.iter_mut().zip(engine.profile()).zip(&mut before) {
            step.push(millis(total - *before));
            *before = total;
        }
    }
    runs
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn run(engine: &mut Engine, pixels: &[u8], row_bytes: usize) {
    for row in pixels.chunks_exact(row_bytes) {
        let done: Result<(), Infallible> = engine.push(row, |out| {
            black_box(out);
            Ok(())
        });
        let Ok(()) = done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let millis: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let latency = Latency::of(&millis).unwrap();
        assert_eq!((latency.min, latency.p50, latency.p90, latency.p95), (1.0, 50.0, 90.0, 95.0));
        assert_eq!((latency.p99, latency.max, latency.mean), (99.0, 100.0, 50.5));
        assert_eq!(Latency::of(&[7.0]).unwrap().p99, 7.0);
        assert_eq!(Latency::of(&[]), None);
    }
}
