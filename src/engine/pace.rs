//! Keeps a deadline: how much work the rest of a frame may take, from what frames have taken so far.

use std::time::{Duration, Instant};

use super::crew::Crew;
use crate::plan::Class;

/// What a frame takes of which no window gets anything, over one of which all get all, until it is known: rows are moved,
/// looked at, filtered and converted.
const IDLE: f64 = 0.05;
/// The part of the time that is planned with; the rest is for what cannot be foreseen. Less, at least the second, after frames
/// that were late.
const PLANNED: [f64; 2] = [0.8, 0.5];
/// What a late frame makes of it, and how much of what is missing each frame that is in time gives back.
const LATE: f64 = 0.9;
const REGAINED: f64 = 0.01;
/// What work may take one thread, over what it took all of them, disturbed.
const ALONE: f64 = 1.5;

/// Less work than this tells nothing of how long work takes.
const LEAST: f64 = 0.02;
/// What estimates become by a frame that tells nothing: so more is tried again, little by little.
const FORGOTTEN: f64 = 0.97;
/// The part of the deadline that a frame may be behind before it counts as slower than those before.
const BEHIND: f64 = 0.1;

/// A deadline for each frame, and what a frame takes.
///
/// Work is counted in frames of which every window gets both branches. Windows that stand alone take more than their own,
/// since what they need of their neighbours is computed with them: `around` times as much as in the frame before.
#[derive(Clone, Debug)]
pub struct Pace {
    deadline: Duration,
    /// Windows of a frame.
    windows: f64,
    /// Work of a window that gets the Transformer branch alone, over that of one that gets both.
    structure: f64,
    /// Seconds for the work of a frame of which all windows get all; none before the first frame has ended.
    time: Option<f64>,
    /// Seconds for a frame of which no window gets anything; none before there was one.
    idle: Option<f64>,
    /// See above.
    around: f64,
    /// When the frame began; its first row of windows may come later.
    begun: Option<Instant>,
    /// Work of the windows whose classes have been chosen.
    spent: f64,
    missed: bool,
    /// See [`PLANNED`].
    planned: f64,
    crew: Crew,
}

impl Pace {
    /// For frames of so many windows.
    pub fn new(deadline: Duration, windows: usize, structure: f64) -> Self {
        let windows = windows as f64;
        Self {
            deadline,
            windows,
            structure,
            time: None,
            idle: None,
            around: 1.0,
            begun: None,
            spent: 0.0,
            missed: false,
            planned: PLANNED[0],
            crew: Crew::default(),
        }
    }

    /// Is the frame that begins made by the caller's thread alone?
    pub fn is_alone(&self) -> bool {
        self.crew.is_alone()
    }

    /// A frame begins, unless it has.
    pub fn begin(&mut self) {
        if self.begun.is_none() {
            self.begun = Some(Instant::now());
            self.spent = 0.0;
        }
    }

    /// Work of a window.
    pub fn cost(&self, class: Class) -> f64 {
        match class {
            Class::Full => 1.0 / self.windows,
            Class::Structure => self.structure / self.windows,
            Class::Plain => 0.0,
        }
    }

    /// Work that the windows to come may take together, when the network has got `done` of the frame, and `part` of that whose
    /// classes are chosen.
    pub fn allowed(&self, done: f64, part: f64) -> f64 {
        let Some(time) = self.time else { return f64::INFINITY };
        let deadline = self.deadline.as_secs_f64();
        let passed = self.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        let idle = self.idle(time);
        // Slower than it was: then so is the rest. What has been given is not all made, so this is no false alarm.
        let expected = idle * done + time * self.around * self.spent * part + BEHIND * deadline;
        let slower = (passed / expected).clamp(1.0, 8.0);
        (self.planned * deadline - idle) / (time * slower) / self.around - self.spent
    }

    fn idle(&self, time: f64) -> f64 {
        self.idle.unwrap_or(IDLE * time)
    }

    /// Classes have been chosen that take so much.
    pub fn spend(&mut self, work: f64) {
        self.spent += work;
    }

    /// Work that frames of which nothing has changed may take.
    pub fn spare(&self) -> f64 {
        let deadline = self.deadline.as_secs_f64();
        self.time.map_or(0.0, |time| ((self.planned * deadline - self.idle(time)) / time / self.around).clamp(0.0, 1.0))
    }

    /// The frame has ended, with so much of the multiply-adds of one of which every window gets both branches.
    pub fn end(&mut self, macs_share: f64) {
        let Some(begun) = self.begun.take() else { return };
        let taken = begun.elapsed();
        self.missed = taken > self.deadline;
        self.planned = if self.missed {
            (LATE * self.planned).max(PLANNED[1])
        } else {
            self.planned + REGAINED * (PLANNED[0] - self.planned)
        };
        // What little is done for windows that stand still or are plain says nothing of the others.
        let taken = taken.as_secs_f64();
        if (macs_share >= LEAST || self.missed) && self.crew.end(taken / (IDLE + macs_share), self.missed) {
            self.idle = None;
            if self.crew.is_alone() {
                let alone = ALONE * taken / (IDLE + macs_share);
                self.time = Some(self.time.map_or(alone, |time| time.max(alone)));
                return;
            }
        }
        if macs_share < LEAST || self.spent < LEAST / 2.0 {
            self.idle = Some(self.idle.map_or(taken, |idle| (3.0 * idle + taken) / 4.0));
            self.time = self.time.map(|time| time * FORGOTTEN);
            self.around = 1.0 + (self.around - 1.0) * FORGOTTEN;
            return;
        }
        self.around = macs_share / self.spent;
        let now = match self.idle {
            Some(idle) => (taken - idle).max(taken / 2.0) / macs_share,
            None => taken / (IDLE + macs_share),
        };
        // Up at once, down slowly.
        let changed = |time: f64| if now > time { (time + 3.0 * now) / 4.0 } else { (7.0 * time + now) / 8.0 };
        self.time = Some(self.time.map_or(now, changed));
    }

    /// Did the last frame take longer than it may?
    pub fn has_missed(&self) -> bool {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_follows_the_time_that_it_takes() {
        let mut pace = Pace::new(Duration::from_millis(100), 100, 0.25);
        assert_eq!(pace.allowed(0.0, 0.0), f64::INFINITY, "nothing is known");
        (pace.time, pace.idle) = (Some(0.2), Some(0.02));
        pace.begin();
        let all = pace.allowed(0.0, 0.0);
        assert!((all - 0.3).abs() < 1e-9, "{all}");
        pace.spend(10.0 * pace.cost(Class::Full) + 20.0 * pace.cost(Class::Structure) + pace.cost(Class::Plain));
        assert!((pace.allowed(0.0, 0.0) - (all - 0.15)).abs() < 1e-9);
        std::thread::sleep(Duration::from_millis(120));
        assert!(pace.allowed(0.5, 0.9) < 0.0, "no time is left");
        pace.end(0.3);
        assert!(pace.has_missed() && pace.time.unwrap() > 0.25 && (pace.around - 2.0).abs() < 1e-9);
        for _ in 0..100 {
            pace.begin();
            pace.spend(0.2);
            pace.end(0.2);
        }
        assert!(!pace.has_missed() && pace.time.unwrap() < 0.01 && pace.around == 1.0);
        (pace.time, pace.idle) = (Some(1e6), Some(1.0));
        assert_eq!(pace.spare(), 0.0, "no time for anything");
        for _ in 0..1000 {
            pace.begin();
            pace.end(0.0);
        }
        assert!(pace.idle.unwrap() < 0.01 && pace.spare() > 0.0, "it is tried again");
    }
}
