//! Where a frame's time goes, Step by Step.

use std::fmt::Write;

use serde::Serialize;

use crate::bench::{Latency, Reservoir};
use crate::engine::Report;
use crate::plan::Plan;

/// A Step of a frame.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Name of the operation in the file.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: &'static str,
    /// Median over the frames.
    pub(super) ms: f64,
    /// Of the time of all Steps.
    pub(super) share: f64,
    /// Multiply-adds of a frame, recomputed ones included: those that were done, where windows do not all get the same.
    pub(super) macs: u64,
    pub(super) gmacs_per_s: f64,
    /// Bytes of activations that it writes in a frame.
    bytes_written: u64,
}

/// The Steps of `plan`, which `report` is of, from the milliseconds of each in every frame, and the multiply-adds where they
/// were counted.
pub(super) fn rows(plan: &Plan, report: &Report, steps: &[Reservoir], counted: &[u64]) -> Vec<Row> {
    let medians: Vec<f64> = steps.iter().map(|ms| Latency::of(ms).map_or(0.0, |latency| latency.p50)).collect();
    let all: f64 = medians.iter().sum();
    let again = |count: u64| (count as f64 * report.mac_overhead) as u64;
    let row = |(number, ((step, ms), reported)): (usize, ((&crate::plan::Step, f64), &crate::engine::StepReport))| {
        let buffer = &plan.buffers[step.write];
        let pixels = buffer.rows.of(report.frame.height) * buffer.columns.of(report.frame.width);
        let macs = counted.get(number).copied().unwrap_or_else(|| again(reported.macs));
        Row {
            name: reported.name.clone(),
            kind: reported.kind,
            ms,
            share: if all > 0.0 { ms / all } else { 0.0 },
            macs,
            gmacs_per_s: if ms > 0.0 { macs as f64 / ms / 1e6 } else { 0.0 },
            bytes_written: again((pixels * buffer.stride) as u64),
        }
    };
    plan.steps.iter().zip(medians).zip(&report.steps).enumerate().map(row).collect()
}

/// A table, and a line for each kind of Step.
pub(super) fn text(rows: &[Row], peak: f64) -> String {
    let mut text = format!(
        "{:<28} {:<14} {:>8} {:>6} {:>9} {:>7} {:>5} {:>9}\n",
        "step", "kind", "ms", "share", "MMAC", "GMAC/s", "peak", "KB out"
    );
    let mut kinds: Vec<&str> = rows.iter().map(|row| row.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let sums = kinds.into_iter().map(|kind| {
        let of = || rows.iter().filter(|row| row.kind == kind);
        let (ms, macs) = (of().map(|row| row.ms).sum::<f64>(), of().map(|row| row.macs).sum::<u64>());
        Row {
            name: format!("all of {}", of().count()),
            kind,
            ms,
            share: of().map(|row| row.share).sum(),
            macs,
            gmacs_per_s: if ms > 0.0 { macs as f64 / ms / 1e6 } else { 0.0 },
            bytes_written: of().map(|row| row.bytes_written).sum(),
        }
    });
    let sums: Vec<Row> = sums.collect();
    for row in rows.iter().chain(&sums) {
        let Row { name, kind, ms, share, macs, gmacs_per_s, bytes_written } = row;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<28} {kind:<14} {ms:>8.3} {:>5.1}% {:>9.1} {gmacs_per_s:>7.1} {:>4.0}% {:>9.1}",
            share * 100.0,
            *macs as f64 / 1e6,
            gmacs_per_s / peak * 100.0,
            *bytes_written as f64 / 1e3,
        );
    }
    text
}
