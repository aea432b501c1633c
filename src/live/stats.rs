//! What is counted and timed; nothing here grows or allocates while frames go by.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::overlay::Numbers;
use super::queue::Counts;
use crate::engine::{Windows, Work};
use crate::io::Troubles;

/// Steps of a power of two: percentiles are at most 1/32 too high.
const STEPS: usize = 32;
/// From a microsecond to more than an hour.
const BUCKETS: usize = 32 * STEPS;

/// Durations by size.
struct Histogram {
    buckets: Box<[u32; BUCKETS]>,
    count: u64,
    max: Duration,
}

impl Histogram {
    fn new() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), count: 0, max: Duration::ZERO }
    }

    fn clear(&mut self) {
        self.buckets.fill(0);
        (self.count, self.max) = (0, Duration::ZERO);
    }

    fn add(&mut self, duration: Duration) {
        let micros = (duration.as_micros() as u64).clamp(1, 1 << 36);
        let power = micros.ilog2() as usize;
        let step = ((micros << 5 >> power) as usize) & (STEPS - 1);
        self.buckets[(power * STEPS + step).min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    /// Milliseconds that `percent` of the durations did not exceed.
    fn percentile(&self, percent: u64) -> f64 {
        let rank = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (i, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank && seen > 0 {
                let upper = (STEPS + i % STEPS + 1) as f64 / STEPS as f64 * (1u64 << (i / STEPS)) as f64;
                return (upper / 1e3).min(millis(self.max));
            }
        }
        0.0
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Where a frame's time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waiting for the source and reading from it.
    Capture,
    /// Waiting for the network.
    Wait,
    /// Upscaling.
    Infer,
    /// Handing to the sink.
    Sink,
}

/// Frames and times of a stretch of the run.
struct Tally {
    begin: Instant,
    latency: Histogram,
    stages: [(Duration, u32); 4],
    counts: Counts,
    lost: u64,
    surplus: u64,
    filled: u64,
    work: WorkSum,
}

/// What frames took, added up.
#[derive(Clone, Copy, Default)]
struct WorkSum {
    frames: u64,
    macs_share: f64,
    /// Full, structure, plain, kept.
    windows: [u64; 4],
    efforts: u64,
    chosen: u64,
    missed: u64,
}

impl WorkSum {
    fn add(&mut self, work: &Work) {
        self.frames += 1;
        self.macs_share += work.macs_share;
        if let Some(Windows { full, structure, plain, kept, .. }) = work.windows {
            self.windows.iter_mut().zip([full, structure, plain, kept]).for_each(|(sum, n)| *sum += n as u64);
        }
        self.efforts += work.effort.map_or(0, u64::from);
        self.chosen += u64::from(work.effort.is_some());
        self.missed += u64::from(work.missed);
    }

    fn report(&self) -> Spent {
        let of = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        let all: u64 = self.windows.iter().sum();
        let share = |n: u64| n as f64 / all.max(1) as f64;
        let [full, structure, plain, kept] = self.windows.map(share);
        Spent {
            macs_share: of(self.macs_share, self.frames).unwrap_or(0.0),
            windows: (all > 0).then_some(Shares { full, structure, plain, kept }),
            effort: of(self.efforts as f64, self.chosen),
            missed: self.missed,
        }
    }
}

impl Tally {
    fn new() -> Self {
        let begin = Instant::now();
        let (latency, stages, counts) = (Histogram::new(), Default::default(), Counts::default());
        Self { begin, latency, stages, counts, lost: 0, surplus: 0, filled: 0, work: WorkSum::default() }
    }

    fn report(&self, counts: Counts, ended: u64, devices: Devices) -> Stats {
        let shown = self.latency.count;
        let seconds = self.begin.elapsed().as_secs_f64();
        let stage = |i: usize| millis(self.stages[i].0) / f64::from(self.stages[i].1.max(1));
        let latency = |percent| self.latency.percentile(percent);
        Stats {
            seconds,
            fps: shown as f64 / seconds.max(1e-9),
            latency_ms: Latency { p50: latency(50), p99: latency(99), max: millis(self.latency.max) },
            stage_ms: Stages { capture: stage(0), wait: stage(1), infer: stage(2), sink: stage(3) },
            captured: counts.arrived - self.counts.arrived,
            shown,
            dropped: Drops {
                replaced: counts.replaced - self.counts.replaced,
                refused: counts.refused - self.counts.refused,
                away: self.lost,
                surplus: self.surplus,
                ended,
            },
            filled: self.filled,
            work: self.work.report(),
            devices,
        }
    }
}

/// From capture until the sink had accepted the frame, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the frames.
    pub p50: f64,
    /// 99 of 100 frames.
    pub p99: f64,
    /// Slowest.
    pub max: f64,
}

/// Mean milliseconds of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stages {
    /// Waiting for the source and reading.
    pub capture: f64,
    /// Waiting for the network.
    pub wait: f64,
    /// Upscaling.
    pub infer: f64,
    /// Until the sink accepted.
    pub sink: f64,
}

/// Frames that were captured and not shown, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drops {
    /// A newer frame took its place in the queue.
    pub replaced: u64,
    /// The queue was full.
    pub refused: u64,
    /// The display was unplugged.
    pub away: u64,
    /// They came faster than the rate of the recording, or no frame was there to take their place.
    pub surplus: u64,
    /// On their way when the run ended early: the reader left, or somebody would not wait.
    pub ended: u64,
}

impl Drops {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.replaced + self.refused + self.away + self.surplus + self.ended
    }
}

/// What devices went through, since the beginning of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Devices {
    /// The camera.
    pub source: Troubles,
    /// The display.
    pub sink: Troubles,
}

/// What was computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spent {
    /// Multiply-adds over those of frames of which every window gets all.
    pub macs_share: f64,
    /// Where windows do not all get the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<Shares>,
    /// Mean of the least effort of each frame, with branches chosen window by window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<f64>,
    /// Frames that took longer than the deadline.
    pub missed: u64,
}

/// Shares of windows by what they got; their sum is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Shares {
    /// Both branches.
    pub full: f64,
    /// The Transformer branch alone.
    pub structure: f64,
    /// The bicubic filter alone.
    pub plain: f64,
    /// Nothing: they stood still.
    pub kept: f64,
}

/// Numbers of a stretch of the run, or of all of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// Length.
    pub seconds: f64,
    /// Frames shown a second.
    pub fps: f64,
    /// Latency of the frames shown.
    pub latency_ms: Latency,
    /// Where their time went.
    pub stage_ms: Stages,
    /// Frames that came from the source.
    pub captured: u64,
    /// Frames that the sink accepted.
    pub shown: u64,
    /// The others; in the end `captured` is `shown` and all drops.
    pub dropped: Drops,
    /// Frames of a recording that stand in for dropped ones, so that it keeps time.
    pub filled: u64,
    /// What was computed for them.
    #[serde(flatten)]
    pub work: Spent,
    /// What went wrong at devices and was survived.
    #[serde(flatten)]
    pub devices: Devices,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fps, latency_ms: l, stage_ms: s, captured, shown, dropped, filled, work, devices, .. } = self;
        write!(f, "{fps:.1} fps, latency p50 {:.1} ms p99 {:.1} max {:.1}, ", l.p50, l.p99, l.max)?;
        write!(f, "capture {:.1} wait {:.1} infer {:.1} sink {:.1} ms, ", s.capture, s.wait, s.infer, s.sink)?;
        write!(f, "{shown} of {captured} shown, dropped {}", dropped.total())?;
        if dropped.total() > 0 {
            let Drops { replaced, refused, away, surplus, ended } = dropped;
            write!(f, " ({replaced} replaced by newer, {refused} refused, {away} with no display, ")?;
            write!(f, "{surplus} too many, {ended} at the end)")?;
        }
        if *filled > 0 {
            write!(f, ", {filled} written again in their place")?;
        }
        if let Some(Shares { full, structure, plain, kept }) = work.windows {
            let [full, structure, plain, kept] = [full, structure, plain, kept].map(|share| 100.0 * share);
            write!(f, ", windows {full:.0} % full {structure:.0} % structure {plain:.0} % plain {kept:.0} % kept")?;
            write!(f, ", {:.0} % of the work", 100.0 * work.macs_share)?;
        }
        if let Some(effort) = work.effort {
            write!(f, ", effort {effort:.0}")?;
        }
        if work.missed > 0 {
            write!(f, ", {} too late", work.missed)?;
        }
        for (who, t) in [("source", devices.source), ("sink", devices.sink)] {
            if t != Troubles::default() {
                let Troubles { damaged, missed, restarts, reconnects } = t;
                write!(f, "; {who}: {damaged} damaged, {missed} missed, {restarts} restarts, {reconnects} reconnects")?;
            }
        }
        Ok(())
    }
}

/// Takes the times of all threads.
pub(super) struct Meter {
    /// Of the whole run, since somebody asked, since numbers were drawn, and since an audience was told.
    tallies: Mutex<[Tally; 4]>,
    devices: Mutex<Devices>,
}

impl Meter {
    /// Bytes that a meter allocates.
    pub(super) const BYTES: usize = 4 * (BUCKETS * size_of::<u32>() + size_of::<Tally>());

    pub(super) fn new() -> Self {
        Self { tallies: Mutex::new(std::array::from_fn(|_| Tally::new())), devices: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, [Tally; 4]> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn devices(&self) -> MutexGuard<'_, Devices> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn source(&self, troubles: Troubles) {
        self.devices().source = troubles;
    }

    pub(super) fn sink(&self, troubles: Troubles) {
        self.devices().sink = troubles;
    }

    pub(super) fn stage(&self, stage: Stage, time: Duration) {
        for tally in self.lock().iter_mut() {
            let (sum, count) = &mut tally.stages[stage as usize];
            *sum += time;
            *count += 1;
        }
    }

    pub(super) fn work(&self, work: &Work) {
        self.lock().iter_mut().for_each(|tally| tally.work.add(work));
    }

    pub(super) fn shown(&self, latency: Duration) {
        self.lock().iter_mut().for_each(|tally| tally.latency.add(latency));
    }

    /// A frame that no display showed.
    pub(super) fn lost(&self) {
        self.lock().iter_mut().for_each(|tally| tally.lost += 1);
    }

    /// A frame that came too early.
    pub(super) fn surplus(&self) {
        self.lock().iter_mut().for_each(|tally| tally.surplus += 1);
    }

    /// Frames that were written again.
    pub(super) fn filled(&self, frames: u64) {
        self.lock().iter_mut().for_each(|tally| tally.filled += frames);
    }

    /// Numbers since the last call.
    pub(super) fn interval(&self, counts: Counts) -> Stats {
        self.since(1, counts)
    }

    /// Numbers since an audience was told.
    pub(super) fn told(&self, counts: Counts) -> Stats {
        self.since(3, counts)
    }

    /// What is drawn on the picture.
    pub(super) fn numbers(&self, counts: Counts) -> Numbers {
        let stats = self.since(2, counts);
        let lost = [&self.lock()[0]].map(|tally| tally.lost + tally.surplus)[0];
        let known = |value: f64| (stats.shown > 0).then_some(value);
        let dropped = counts.replaced + counts.refused + lost;
        let effort = stats.work.effort;
        Numbers { fps: known(stats.fps), latency_ms: known(stats.latency_ms.p50), dropped, effort }
    }

    /// Reads a tally, and begins it anew.
    fn since(&self, which: usize, counts: Counts) -> Stats {
        let devices = *self.devices();
        let tally = &mut self.lock()[which];
        let stats = tally.report(counts, 0, devices);
        tally.latency.clear();
        (tally.begin, tally.stages, tally.counts) = (Instant::now(), Default::default(), counts);
        (tally.lost, tally.surplus, tally.filled, tally.work) = (0, 0, 0, WorkSum::default());
        stats
    }

    /// Numbers of the whole run, once it is over. What was captured and neither shown nor dropped was on its way.
    pub(super) fn summary(&self, counts: Counts) -> Stats {
        let devices = *self.devices();
        let tally = &self.lock()[0];
        let ended =
            counts.arrived - counts.replaced - counts.refused - tally.lost - tally.surplus - tally.latency.count;
        tally.report(counts, ended, devices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_close() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile(50), 0.0);
        (1..=1000).for_each(|i| histogram.add(Duration::from_micros(100 * i)));
        for (percent, expected) in [(50, 50.0), (99, 99.0), (100, 100.0)] {
            let found = histogram.percentile(percent);
            assert!((expected..=expected * 1.035).contains(&found), "p{percent}: {found}");
        }
        histogram.add(Duration::from_secs(1 << 30));
        histogram.add(Duration::ZERO);
        assert_eq!(histogram.count, 1002);
    }
}
