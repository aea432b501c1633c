//! A run over time, in a fixed number of slots: when they are used up, pairs of them become one.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::board::{Causes, Reading};

/// Most slots.
pub const SLOTS: usize = 256;
/// Length of a slot at first.
const FIRST: Duration = Duration::from_millis(250);

/// Extremes and average of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    count: u32,
    sum: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.join(Self { count: 1, sum: value, min: value, max: value });
        }
    }

    fn join(&mut self, other: Self) {
        *self = match (self.count, other.count) {
            (_, 0) => *self,
            (0, _) => other,
            _ => Self {
                count: self.count.saturating_add(other.count),
                sum: self.sum + other.sum,
                min: self.min.min(other.min),
                max: self.max.max(other.max),
            },
        };
    }

    /// Average, if there is any value.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    /// Smallest value.
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// Largest value.
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// Values.
    pub fn count(&self) -> u32 {
        self.count
    }
}

impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown {
            min: f64,
            mean: f64,
            max: f64,
        }
        let shown = self.mean().map(|mean| Shown { min: self.min, mean, max: self.max });
        shown.serialize(serializer)
    }
}

/// A stretch of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Slot {
    /// Milliseconds of the frames that ended in it.
    #[serde(rename = "latency_ms")]
    pub latency: Spread,
    /// Degrees Celsius.
    #[serde(rename = "temperature_c")]
    pub temperature: Spread,
    /// Clock.
    pub mhz: Spread,
    /// Power.
    pub watts: Spread,
    /// Whatever slowed the board down at any moment of it.
    pub throttling: Causes,
}

impl Slot {
    fn join(&mut self, other: Self) {
        self.latency.join(other.latency);
        self.temperature.join(other.temperature);
        self.mhz.join(other.mhz);
        self.watts.join(other.watts);
        self.throttling = self.throttling.or(other.throttling);
    }

    fn add(&mut self, reading: &Reading) {
        self.temperature.add(reading.temperature_c);
        self.mhz.add(reading.mhz);
        self.watts.add(reading.watts);
        self.throttling = self.throttling.or(reading.throttling.unwrap_or_default().now);
    }
}

/// Slots of equal length, one after the other. Allocates when made, and never again.
#[derive(Clone, Debug)]
pub struct Timeline {
    slots: Vec<Slot>,
    length: Duration,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { slots: Vec::with_capacity(SLOTS), length: FIRST }
    }
}

impl Timeline {
    /// The slot of a moment after the beginning.
    fn slot(&mut self, at: Duration) -> &mut Slot {
        loop {
            let index = usize::try_from(at.as_nanos() / self.length.as_nanos()).unwrap_or(usize::MAX);
            if index < SLOTS {
                if index >= self.slots.len() {
                    self.slots.resize(index + 1, Slot::default());
                }
                return &mut self.slots[index];
            }
            self.halve();
        }
    }

    fn halve(&mut self) {
        for i in 0..self.slots.len().div_ceil(2) {
            let mut joined = self.slots[2 * i];
            joined.join(self.slots.get(2 * i + 1).copied().unwrap_or_default());
            self.slots[i] = joined;
        }
        self.slots.truncate(self.slots.len().div_ceil(2));
        self.length *= 2;
    }

    /// A frame that ended `at` this moment.
    pub fn frame(&mut self, at: Duration, millis: f64) {
        self.slot(at).latency.add(Some(millis));
    }

    /// What the sensors say at this moment.
    pub fn reading(&mut self, at: Duration, reading: &Reading) {
        self.slot(at).add(reading);
    }

    /// Beginning of each slot in seconds, and the slot.
    pub fn slots(&self) -> impl Iterator<Item = (f64, &Slot)> {
        let length = self.length.as_secs_f64();
        self.slots.iter().enumerate().map(move |(i, slot)| (i as f64 * length, slot))
    }

    /// Seconds of a slot.
    pub fn slot_seconds(&self) -> f64 {
        self.length.as_secs_f64()
    }

    /// All slots as one.
    pub fn whole(&self) -> Slot {
        let mut whole = Slot::default();
        self.slots.iter().for_each(|slot| whole.join(*slot));
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_fits() {
        let mut timeline = Timeline::default();
        let capacity = timeline.slots.capacity();
        for second in 0..100_000_u64 {
            let at = Duration::from_secs(second);
            timeline.frame(at, second as f64);
            timeline.reading(at, &Reading { temperature_c: Some(50.0), ..Reading::default() });
        }
        assert!(timeline.slots.len() <= SLOTS && timeline.slots.capacity() == capacity);
        let whole = timeline.whole();
        assert_eq!(
            (whole.latency.count(), whole.latency.min(), whole.latency.max()),
            (100_000, Some(0.0), Some(99_999.0))
        );
        assert_eq!((whole.temperature.mean(), whole.mhz.mean()), (Some(50.0), None));
        // Time goes on from slot to slot.
        assert!(timeline.slots().all(|(begin, slot)| slot.latency.min() == Some(begin.ceil())));
        timeline.frame(Duration::MAX, 1.0);
        assert!(timeline.slots.len() <= SLOTS);
    }
}
