//! Under which conditions a run was measured, and whether its figures are the board's own.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::timeline::{Spread, Timeline};
use crate::board::{Causes, Reading, Sensors};

/// A clock this much lower than its highest, on a warm board, is slowed down.
const SLOWED: f64 = 0.9;

/// What the sensors said before, during and after.
#[derive(Clone, Debug, Serialize)]
pub struct Conditions {
    /// Before the first measured frame.
    pub before: Reading,
    /// While frames were measured.
    pub during: During,
    /// After the last one.
    pub after: Reading,
    /// Was the board slowed down? `None` where nothing tells.
    pub throttled: Option<bool>,
    /// How it shows.
    pub reasons: Vec<String>,
}

/// Sensors while frames were measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct During {
    /// Degrees Celsius.
    pub temperature_c: Spread,
    /// Clock.
    pub mhz: Spread,
    /// Power.
    pub watts: Spread,
    /// Whatever slowed the board down at any moment.
    pub throttling: Causes,
}

impl Conditions {
    /// Judges a run.
    pub fn of(sensors: &Sensors, before: Reading, timeline: &Timeline, after: Reading) -> Self {
        let whole = timeline.whole();
        let during = During {
            temperature_c: whole.temperature,
            mhz: whole.mhz,
            watts: whole.watts,
            throttling: whole.throttling,
        };
        let told = before.throttling.or(after.throttling);
        let (first, last) = (before.throttling.unwrap_or_default(), after.throttling.unwrap_or_default());
        let active = first.now.or(whole.throttling).or(last.now);
        // The flags since boot tell of what happened between two readings.
        let gained = if before.throttling.is_some() { last.since_boot.without(first.since_boot) } else { last.now };
        let mut reasons = Vec::new();
        if !active.or(gained).is_empty() {
            reasons.push(active.or(gained).to_string());
        }
        let hottest = whole.temperature.max().unwrap_or(f64::MIN);
        if let (Some(low), Some(high)) = (whole.mhz.min(), whole.mhz.max())
            && low < SLOWED * high
            && sensors.warm().is_some_and(|warm| hottest >= warm)
        {
            reasons.push(format!("the clock fell from {high:.0} to {low:.0} MHz at {hottest:.0} °C"));
        }
        if let Some(hot) = sensors.hot().filter(|hot| hottest >= *hot) {
            reasons.push(format!("{hottest:.1} °C, where the board slows down from {hot:.0} °C"));
        }
        let throttled = if reasons.is_empty() { told.map(|_| false) } else { Some(true) };
        Self { before, during, after, throttled, reasons }
    }
}

/// A wait for a cool board.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cooling {
    /// Degrees Celsius that were wanted.
    pub target_c: f64,
    /// At the beginning.
    pub from_c: f64,
    /// At the end.
    pub to_c: f64,
    /// How long it took.
    pub seconds: f64,
    /// Was the board cool enough in the end?
    pub reached: bool,
}

/// Waits until the processor is at most at `target` degrees, but no longer than `limit`. `None` where no sensor
/// tells.
pub fn cool_down(sensors: &Sensors, target: f64, limit: Duration, pause: Duration) -> Option<Cooling> {
    let (begin, from_c) = (Instant::now(), sensors.temperature()?);
    let mut to_c = from_c;
    while to_c > target && begin.elapsed() < limit {
        std::thread::sleep(pause.min(limit.saturating_sub(begin.elapsed())));
        // A sensor that does not answer once is asked again.
        to_c = sensors.temperature().unwrap_or(to_c);
    }
    Some(Cooling { target_c: target, from_c, to_c, seconds: begin.elapsed().as_secs_f64(), reached: to_c <= target })
}
