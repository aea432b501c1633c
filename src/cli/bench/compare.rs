//! A run beside an earlier one.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

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

/// `new` over `old`, which [`read`] has accepted; both as `bench --format json` prints them.
pub(super) fn compare(new: &Value, old: &Value) -> Comparison {
    let over = |of: fn(&Value) -> &Value| ratio(of(new).as_f64(), of(old).as_f64());
    let settings = ["board", "model", "input", "pixels", "threads", "level", "branches", "macs_per_frame"];
    let differs = settings.into_iter().filter(|s| new[*s] != old[*s]);
    let differs = differs.map(|s| format!("{s}: {}, was {}", shown(&new[s]), shown(&old[s]))).collect();
    let old_ms: HashMap<&str, f64> = steps(old).collect();
    let step = |(name, ms): (&str, f64)| {
        let old_ms = *old_ms.get(name)?;
        Some(StepRatio { name: name.to_string(), ratio: ratio(Some(ms), Some(old_ms))?, ms, old_ms })
    };
    Comparison {
        p50: over(|run| &run["latency_ms"]["p50"]).unwrap_or(f64::NAN),
        min: over(|run| &run["latency_ms"]["min"]).unwrap_or(f64::NAN),
        arena_bytes: over(|run| &run["arena_bytes"]),
        peak_rss_bytes: over(|run| &run["peak_rss_bytes"]),
        differs,
        steps: steps(new).filter_map(step).collect(),
    }
}

fn ratio(new: Option<f64>, old: Option<f64>) -> Option<f64> {
    old.filter(|old| *old > 0.0).and_then(|old| Some(new? / old))
}

/// Names and medians of the Steps of a run with a profile.
fn steps(run: &Value) -> impl Iterator<Item = (&str, f64)> {
    run["profile"].as_array().into_iter().flatten().filter_map(|s| Some((s["name"].as_str()?, s["ms"].as_f64()?)))
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
