//! How long a frame takes, as those are told who ask for latency.
//!
//! Frames are made in the streaming thread and none is held back. GStreamer's own scalers add nothing to the latency
//! then, as their work fits into the 20 ms that a sink allows for processing; that of a network may not, and a sink that knows
//! nothing of it would drop each frame as late.

use std::time::Duration;

/// Frames that are looked at together.
const WINDOW: u32 = 8;

/// What was measured, and what was told.
#[derive(Debug, Default)]
pub struct Latency {
    told: Duration,
    stage: Stage,
    /// Frames of this window, and their times.
    count: u32,
    shortest: Duration,
    longest: Duration,
}

/// Which frames these are of an engine.
#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The very first, which touches memory for the first time and does not count.
    #[default]
    Cold,
    /// Those of the first window.
    First,
    /// All others.
    Later,
}

impl Latency {
    /// What to tell: a frame's time, to the next millisecond.
    pub fn told(&self) -> Duration {
        self.told
    }

    /// Another engine: its first frames count anew.
    pub fn restart(&mut self) {
        *self = Self { told: self.told, ..Self::default() };
    }

    /// A frame took so long. Is there something new to tell?
    ///
    /// The first that counts is told at once, then the longest of the first window. After that a slow frame changes nothing,
    /// but when all frames of a window were slower, the longest of them is told.
    pub fn add(&mut self, time: Duration) -> bool {
        if self.stage == Stage::Cold {
            self.stage = Stage::First;
            return false;
        }
        let begins = self.count == 0;
        self.shortest = if begins { time } else { self.shortest.min(time) };
        self.longest = if begins { time } else { self.longest.max(time) };
        self.count += 1;
        if begins && self.stage == Stage::First {
            return self.tell(time);
        }
        if self.count < WINDOW {
            return false;
        }
        self.count = 0;
        let slower = match std::mem::replace(&mut self.stage, Stage::Later) {
            Stage::First => self.longest,
            _ => self.shortest,
        };
        whole(slower) > self.told && self.tell(self.longest)
    }

    fn tell(&mut self, time: Duration) -> bool {
        std::mem::replace(&mut self.told, whole(time)) != self.told
    }
}

fn whole(time: Duration) -> Duration {
    Duration::from_millis(time.as_nanos().div_ceil(1_000_000) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(latency: &mut Latency, times: &[u64]) -> Vec<u64> {
        let new = |time: &u64| latency.add(Duration::from_millis(*time)).then(|| latency.told().as_millis() as u64);
        times.iter().filter_map(new).collect()
    }

    #[test]
    fn one_slow_frame_says_nothing_and_lasting_slowness_does() {
        let mut latency = Latency::default();
        assert_eq!(told(&mut latency, &[90, 10]), [10], "the first does not count");
        assert_eq!(told(&mut latency, &[11, 9, 14, 10, 10, 10, 10]), [14], "the longest of the first window");
        assert_eq!(told(&mut latency, &[10, 80, 10, 10, 10, 10, 10, 10]), [0; 0]);
        assert_eq!(told(&mut latency, &[20, 21, 19, 25, 20, 20, 20, 20]), [25]);
        assert_eq!(told(&mut latency, &[10; 100]), [0; 0]);
        latency.restart();
        assert_eq!(latency.told().as_millis(), 25, "until something else is known");
        assert_eq!(told(&mut latency, &[50, 5, 6]), [5]);
    }
}
