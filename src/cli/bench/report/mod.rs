//! `--report`: a page that needs nothing but itself. maud escapes all text.

mod charts;

use std::path::{Path, PathBuf};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::measured::Measured;
use super::profile::Row;
use crate::bench::Runs;
use crate::board::Sensors;
use crate::cli::failure::{Code, Failure};
use crate::memory::display_bytes;

/// Most Steps in the table; the others are added up in one line.
const STEPS: usize = 40;

/// A page that has its name only once it is complete.
pub(super) struct Page {
    path: PathBuf,
    partial: PathBuf,
}

impl Page {
    /// Begins the file, to find out now and not after a long run whether that is possible.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let mut name = path.file_name().ok_or_else(|| wrong(path, "it has no name"))?.to_os_string();
        if path.is_dir() {
            return Err(wrong(path, "this is a folder"));
        }
        name.push(".partial");
        let page = Self { path: path.to_path_buf(), partial: path.with_file_name(name) };
        std::fs::File::create(&page.partial).map_err(|error| wrong(path, error))?;
        Ok(page)
    }

    pub(super) fn write(&self, result: &Measured, runs: &Runs, sensors: &Sensors) -> Result<(), Failure> {
        let page = page(result, runs, sensors).into_string();
        let written = std::fs::write(&self.partial, page).and_then(|()| std::fs::rename(&self.partial, &self.path));
        written.map_err(|error| Failure::new(Code::Failed, format!("{}: {error}", self.path.display())))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.partial);
    }
}

fn wrong(path: &Path, reason: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("cannot write the report {}: {reason}", path.display()))
}

fn page(result: &Measured, runs: &Runs, sensors: &Sensors) -> Markup {
    let board = result.board.as_deref().or(result.machine.processor.as_deref()).unwrap_or("this machine");
    let json = serde_json::to_string_pretty(result).unwrap_or_default();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "bifocal on " (board) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                main {
                    h1 { (board) }
                    p {
                        (result.model) ", " (result.input) " to " (result.input.scaled(result.scale)) ", "
                        (result.threads) " threads, level " (result.level.name()) ", "
                        (result.runs) " frames in " (format!("{:.0}", runs.time.as_secs_f64())) " s"
                    }
                    (verdict(result))
                    (tiles(result))
                    (curves(result, runs, sensors))
                    @if let Some(rows) = &result.profile { (steps(rows)) }
                    (machine(result))
                    section {
                        details { summary { "All figures, as " code { "--format json" } " prints them" } pre { (json) } }
                    }
                    footer { "Made by bifocal " (env!("CARGO_PKG_VERSION")) " on " (jiff::Timestamp::now().strftime("%F %R UTC").to_string()) }
                }
            }
        }
    }
}

fn verdict(result: &Measured) -> Markup {
    let (class, title, text) = match result.throttled {
        Some(true) => (
            "throttled",
            "Throttled",
            format!("Reasons: {}. These figures are not what the board can do.", result.conditions.reasons.join("; ")),
        ),
        Some(false) => ("sound", "Not throttled", "Neither heat nor supply slowed the board down.".to_string()),
        None => ("unknown", "Not known whether it was throttled", "Nothing on this machine tells.".to_string()),
    };
    html! { section.verdict.(class) { h2 { (title) } p { (text) } } }
}

fn tiles(result: &Measured) -> Markup {
    let l = &result.latency_ms;
    let conditions = &result.conditions;
    let mut tiles = vec![
        (format!("{:.2} ms", l.p50), "median latency"),
        (format!("{:.2} ms", l.p99), "99 of 100 frames"),
        (format!("{:.1}", result.fps), "frames a second"),
        (format!("{:.0} %", result.peak_share * 100.0), "of the level's arithmetic peak"),
        (display_bytes(result.arena_bytes), "arena"),
    ];
    tiles.extend(conditions.during.temperature_c.max().map(|degrees| (format!("{degrees:.1} °C"), "hottest")));
    tiles.extend(conditions.during.watts.mean().map(|watts| (format!("{watts:.2} W"), "average power")));
    tiles.extend(result.energy_j_per_frame.map(|joules| (format!("{:.1} mJ", joules * 1e3), "energy a frame")));
    html! { div.tiles { @for (value, name) in tiles { div.tile { b { (value) } span { (name) } } } } }
}

fn curves(result: &Measured, runs: &Runs, sensors: &Sensors) -> Markup {
    let (points, slot) = match &result.sustained {
        Some(sustained) => (&sustained.timeline[..], sustained.slot_seconds),
        None => (&[][..], 1.0),
    };
    let sample = runs.frames.count() > runs.frames.kept().len() as u64;
    let of =
        if sample { format!("A fair sample of {} frames.", runs.frames.kept().len()) } else { "All frames.".into() };
    html! {
        section {
            h2 { "How long a frame takes" }
            p { (of) " The slowest one in two hundred are in the last bar; the slowest of all took " (format!("{:.2}", result.latency_ms.max)) " ms." }
            (svg(charts::histogram(runs.frames.kept(), &result.latency_ms)))
        }
        section {
            h2 { "Latency over time" }
            p { "Mean, and the range between fastest and slowest" @if result.throttled == Some(true) { "; shaded where the board says that it is slowed down" } "." }
            (svg(charts::latency(points, slot)))
        }
        section {
            h2 { "Temperature over time" }
            @match charts::temperature(points, slot, [sensors.warm(), sensors.hot()]) {
                Some(chart) => { p { (sensors.zone().unwrap_or("processor")) } (PreEscaped(chart)) }
                None => p { "No sensor of this machine tells the temperature of its processor." }
            }
        }
        @if let Some(chart) = charts::clock(points, slot) {
            section { h2 { "Clock over time" } p { "Averaged over the processors." } (PreEscaped(chart)) }
        }
    }
}

fn svg(chart: Option<String>) -> Markup {
    PreEscaped(chart.unwrap_or_default())
}

fn steps(rows: &[Row]) -> Markup {
    let mut order: Vec<&Row> = rows.iter().collect();
    order.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    let most = order.first().map_or(1.0, |row| row.ms.max(f64::MIN_POSITIVE));
    let rest: f64 = order.iter().skip(STEPS).map(|row| row.ms).sum();
    html! {
        section {
            h2 { "Time per Step" }
            p { "Median of each, slowest first." }
            table {
                tr { th { "Step" } th { "kind" } th {} th.n { "ms" } th.n { "share" } th.n { "GMAC/s" } }
                @for row in order.iter().take(STEPS) {
                    tr {
                        td { (row.name) } td { (row.kind) }
                        td.bar { div style=(format!("width:{:.1}%", row.ms / most * 100.0)) {} }
                        td.n { (format!("{:.3}", row.ms)) } td.n { (format!("{:.1} %", row.share * 100.0)) }
                        td.n { (format!("{:.1}", row.gmacs_per_s)) }
                    }
                }
                @if order.len() > STEPS {
                    tr { td { (order.len() - STEPS) " others" } td {} td {} td.n { (format!("{rest:.3}")) } td {} td {} }
                }
            }
        }
    }
}

fn machine(result: &Measured) -> Markup {
    let m = &result.machine;
    let maybe = |text: &Option<String>| text.clone().unwrap_or_else(|| "not told".into());
    let rows = [
        ("Board", format!("{} ({})", result.board.as_deref().unwrap_or("not told"), m.profile)),
        ("Processor", maybe(&m.processor)),
        ("Processors in use", m.cores.map_or("not told".into(), |cores| cores.to_string())),
        ("Kernel", maybe(&m.kernel)),
        ("Governor", maybe(&m.governor)),
        ("Memory", m.memory_bytes.map_or("not told".into(), |bytes| display_bytes(bytes as usize))),
        ("Budget", display_bytes(result.budget_bytes)),
        ("Peak of the process", result.peak_rss_bytes.map_or("not told".into(), |bytes| display_bytes(bytes as usize))),
        (
            "Work",
            format!(
                "{:.3} GMAC a frame, {:.1} of {:.1} GMAC/s",
                result.macs_per_frame as f64 / 1e9,
                result.gmacs_per_s,
                result.peak_gmacs_per_s
            ),
        ),
        ("Branches", result.branches.name().to_string()),
        ("Time to load", format!("{:.1} ms", result.load_ms)),
    ];
    html! { section { h2 { "The machine" } table { @for (name, value) in rows { tr { th { (name) } td { (value) } } } } } }
}
