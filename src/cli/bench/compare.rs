//! A run beside an earlier one.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::Measured;
use crate::cli::failure::Failure;

/// New over old: below 1 is faster, or smaller.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// Median latency.
    p50: f64,
    /// Fastest frame.
    min: f64,
    arena_bytes: Option<f64>,
    peak_rss_bytes: Option<f64>,
    /// Settings that are not the same, as "level: avx2, was scalar".
    differs: Vec<String>,
    /// Medians of the Steps that both runs know by name; empty unless both have a profile.
    steps: Vec<StepRatio>,
}

#[derive(Debug, Serialize)]
struct StepRatio {
    name: String,
    ratio: f64,
    ms: f64,
    old_ms: f64,
}

/// Reads what an earlier run printed.
pub(super) fn read(path: &Path) -> Result<Value, Failure> {
    let bad = |what: String| Failure::usage(format!("cannot compare with {}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    let old: Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    match old["latency_ms"]["p50"].as_f64() {
        Some(p50) if p50 > 0.0 => Ok(old),
        _ => Err(bad("it is not what 'bench --format json' prints".into())),
    }
}

/// `new` over `old`, which [`read`] has accepted.
pub(super) fn compare(new: &Measured, old: &Value) -> Comparison {
    let over = |new: f64, old: &Value| old.as_f64().filter(|old| *old > 0.0).map(|old| new / old);
    let new_json = serde_json::to_value(new).unwrap_or_default();
    let settings = ["board", "model", "input", "pixels", "threads", "level", "branches", "macs_per_frame"];
    let differs = settings.into_iter().filter(|s| new_json[*s] != old[*s]);
    let differs = differs.map(|s| format!("{s}: {}, was {}", shown(&new_json[s]), shown(&old[s]))).collect();
    let old_steps = old["profile"].as_array().map_or(&[][..], Vec::as_slice);
    let old_ms: HashMap<&str, f64> =
        old_steps.iter().filter_map(|s| Some((s["name"].as_str()?, s["ms"].as_f64()?))).collect();
    let step = |row: &super::profile::Row| {
        let old_ms = *old_ms.get(row.name.as_str()).filter(|ms| **ms > 0.0)?;
        Some(StepRatio { name: row.name.clone(), ratio: row.ms / old_ms, ms: row.ms, old_ms })
    };
    let latency = &new.latency_ms;
    Comparison {
        p50: over(latency.p50, &old["latency_ms"]["p50"]).unwrap_or(f64::NAN),
        min: over(latency.min, &old["latency_ms"]["min"]).unwrap_or(f64::NAN),
        arena_bytes: over(new.arena_bytes as f64, &old["arena_bytes"]),
        peak_rss_bytes: new.peak_rss_bytes.and_then(|bytes| over(bytes as f64, &old["peak_rss_bytes"])),
        differs,
        steps: new.profile.iter().flatten().filter_map(step).collect(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(sides) => format!("{}x{}", sides["width"], sides["height"]),
        Value::Null => "unknown".into(),
        other => other.to_string(),
    }
}

impl Comparison {
    pub(super) fn text(&self) -> String {
        let ratio = |r: Option<f64>| r.map_or("unknown".into(), |r| format!("{r:.3}"));
        let mut text = format!(
            "compared  p50 {:.3} of the old one, min {:.3}, arena {}, peak of the process {}\n",
            self.p50,
            self.min,
            ratio(self.arena_bytes),
            ratio(self.peak_rss_bytes)
        );
        // Writing to a String cannot fail.
        for difference in &self.differs {
            let _ = writeln!(text, "          {difference}");
        }
        if !self.steps.is_empty() {
            let _ = writeln!(text, "\n{:<28} {:>8} {:>8} {:>7}", "step", "ms", "old ms", "ratio");
        }
        for StepRatio { name, ratio, ms, old_ms } in &self.steps {
            let _ = writeln!(text, "{name:<28} {ms:>8.3} {old_ms:>8.3} {ratio:>7.3}");
        }
        text
    }
}
