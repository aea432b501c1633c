//! The result of a run as it is printed.

use serde::Serialize;

use super::compare::Comparison;
use super::profile;
use crate::bench::{Conditions, Cooling, Latency, Slot, Timeline};
use crate::board::{Known, Machine};
use crate::cli::print;
use crate::geom::Size;
use crate::kernels::Level;
use crate::memory::display_bytes;
use crate::model::Branches;

/// What is printed; names and units are a contract with scripts.
#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) model: String,
    pub(super) scale: usize,
    pub(super) input: Size,
    pub(super) pixels: &'static str,
    pub(super) threads: usize,
    pub(super) level: Level,
    pub(super) branches: Branches,
    pub(super) runs: u64,
    pub(super) latency_ms: Latency,
    /// Of the mean: what a stream of frames would get.
    pub(super) fps: f64,
    /// Recomputed ones included.
    pub(super) macs_per_frame: u64,
    /// Of the median frame.
    pub(super) gmacs_per_s: f64,
    /// What the level reaches when nothing else is in the way, with as many threads.
    pub(super) peak_gmacs_per_s: f64,
    /// `gmacs_per_s` of it. More than 1 is possible: a kernel may know how to do with fewer multiplications.
    pub(super) peak_share: f64,
    pub(super) mac_overhead: f64,
    /// Multiply-adds over those of both branches in every window.
    pub(super) macs_share: f64,
    pub(super) budget_bytes: usize,
    pub(super) arena_bytes: usize,
    pub(super) peak_rss_bytes: Option<u64>,
    pub(super) allocs_per_frame: f64,
    pub(super) load_ms: f64,
    /// What the board calls itself.
    pub(super) board: Option<String>,
    pub(super) machine: MachineInfo,
    /// Was the board slowed down while it was measured? Null where nothing tells.
    pub(super) throttled: Option<bool>,
    pub(super) conditions: Conditions,
    /// Average power times time, over frames; of the whole board, what it draws at rest included.
    pub(super) energy_j_per_frame: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cooldown: Option<Cooling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sustained: Option<Sustained>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<Vec<profile::Row>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compare: Option<Comparison>,
}

/// The machine that was measured.
#[derive(Serialize)]
pub(super) struct MachineInfo {
    /// Name of the board's file.
    pub(super) profile: String,
    pub(super) known: Known,
    pub(super) processor: Option<String>,
    pub(super) cores: Option<usize>,
    pub(super) kernel: Option<String>,
    pub(super) governor: Option<String>,
    pub(super) memory_bytes: Option<u64>,
}

impl MachineInfo {
    pub(super) fn of(machine: &Machine) -> Self {
        let text = |path: &str| std::fs::read_to_string(machine.root().join(path)).ok();
        let line = |path: &str| text(path).and_then(|text| Some(text.lines().next()?.trim().to_string()));
        let total = text("proc/meminfo").and_then(|text| {
            let value = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?;
            value.trim().parse::<u64>().ok()?.checked_mul(1024)
        });
        Self {
            profile: machine.board.name.clone(),
            known: machine.known,
            processor: machine.core().map(str::to_string),
            cores: machine.cpu.cores,
            kernel: line("proc/sys/kernel/osrelease"),
            governor: line("sys/devices/system/cpu/cpufreq/policy0/scaling_governor"),
            memory_bytes: total,
        }
    }
}

/// A run over time.
#[derive(Serialize)]
pub(super) struct Sustained {
    pub(super) seconds: f64,
    /// Frames of all that time, a second.
    pub(super) fps: f64,
    /// Mean latency of the first tenth of the time.
    pub(super) first_ms: f64,
    /// Mean latency of the last tenth.
    pub(super) last_ms: f64,
    /// Last over first: above 1 the board became slower.
    pub(super) slowdown: f64,
    /// Seconds of a point of the timeline.
    pub(super) slot_seconds: f64,
    pub(super) timeline: Vec<Point>,
}

/// A stretch of the run.
#[derive(Serialize)]
pub(super) struct Point {
    /// Seconds after the first frame.
    pub(super) at_s: f64,
    pub(super) frames: u32,
    #[serde(flatten)]
    pub(super) slot: Slot,
}

impl Sustained {
    pub(super) fn of(timeline: &Timeline, seconds: f64, frames: u64) -> Self {
        let points = timeline.slots().map(|(at_s, slot)| Point { at_s, frames: slot.latency.count(), slot: *slot });
        let points: Vec<Point> = points.collect();
        let measured: Vec<&Point> = points.iter().filter(|point| point.frames > 0).collect();
        let tenth = measured.len().div_ceil(10);
        let mean = |points: &[&Point]| {
            let frames: u32 = points.iter().map(|point| point.frames).sum();
            let sum = points.iter().filter_map(|p| Some(p.slot.latency.mean()? * f64::from(p.frames))).sum::<f64>();
            sum / f64::from(frames.max(1))
        };
        let (first_ms, last_ms) = (mean(&measured[..tenth]), mean(&measured[measured.len() - tenth..]));
        Self {
            seconds,
            fps: frames as f64 / seconds,
            first_ms,
            last_ms,
            slowdown: last_ms / first_ms,
            slot_seconds: timeline.slot_seconds(),
            timeline: points,
        }
    }
}

impl Measured {
    pub(super) fn text(&self) -> String {
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
        if self.branches == Branches::Auto {
            text += &format!("work      {:.1} % of the multiply-adds of both branches\n", 100.0 * self.macs_share);
        }
        text += &self.conditions_text();
        if let Some(rows) = &self.profile {
            text += &format!("\n{}", profile::text(rows, self.peak_gmacs_per_s));
        }
        if let Some(compare) = &self.compare {
            text += &format!("\n{}", compare.text());
        }
        text
    }

    /// Heat, clock, power; nothing on a machine that tells of none.
    fn conditions_text(&self) -> String {
        let mut text = String::new();
        let Conditions { before, during, after, reasons, .. } = &self.conditions;
        if let Some(cooling) = &self.cooldown {
            let verdict = if cooling.reached { "" } else { ", which is not cool enough" };
            text += &format!(
                "cooldown  {:.0} s, from {:.1} to {:.1} °C{verdict}\n",
                cooling.seconds, cooling.from_c, cooling.to_c
            );
        }
        let mut parts = Vec::new();
        if let (Some(from), Some(to)) = (before.temperature_c, after.temperature_c) {
            let most = during.temperature_c.max().unwrap_or(to).max(to);
            parts.push(format!("{from:.1} °C before, at most {most:.1}, {to:.1} after"));
        }
        if let (Some(low), Some(high)) = (during.mhz.min(), during.mhz.max()) {
            parts.push(format!("clock {low:.0} to {high:.0} MHz"));
        }
        if let Some(watts) = during.watts.mean() {
            parts.push(format!("{watts:.2} W"));
        }
        if let Some(energy) = self.energy_j_per_frame {
            parts.push(format!("{:.1} mJ a frame", energy * 1e3));
        }
        if !parts.is_empty() {
            text += &format!("board at  {}\n", parts.join("; "));
        }
        if let Some(s) = &self.sustained {
            text += &format!(
                "sustained {:.1} frames/s over {:.0} s; {:.2} ms at first, {:.2} ms in the end ({:.3} of it)\n",
                s.fps, s.seconds, s.first_ms, s.last_ms, s.slowdown
            );
        }
        if self.throttled == Some(true) {
            text += &format!("THROTTLED {}; these figures are not what the board can do\n", reasons.join("; "));
        }
        text
    }

    pub(super) fn csv(&self) -> String {
        let l = &self.latency_ms;
        let maybe = |value: Option<f64>| value.map(|value| format!("{value:.4}")).unwrap_or_default();
        let peak = self.peak_rss_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        let throttled = self.throttled.map(|throttled| throttled.to_string()).unwrap_or_default();
        format!(
            "model,scale,width,height,threads,level,branches,runs,min_ms,mean_ms,p50_ms,p90_ms,p95_ms,p99_ms,max_ms,\
             fps,macs_per_frame,gmacs_per_s,mac_overhead,budget_bytes,arena_bytes,peak_rss_bytes,load_ms,board,\
             pixels,peak_gmacs_per_s,peak_share,throttled,max_temperature_c,min_mhz,energy_j_per_frame\n\
             {},{},{},{},{},{},{},{},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{},{:.4},{:.4},{},{},{peak},{:.4},{},{},{:.4},{:.4},{throttled},{},{},{}",
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
            maybe(self.conditions.during.temperature_c.max()),
            maybe(self.conditions.during.mhz.min()),
            maybe(self.energy_j_per_frame),
        )
    }
}
