//! Whether helper threads are worth waiting for.
//!
//! Where other programs want all processors, a thread is put aside for milliseconds in the middle of a pass, and those behind it
//! wait: then one thread alone is quicker than all. What frames take for their work tells which is so. Nothing but the time
//! depends on it.

/// All threads are disturbed where a frame is late and its work took so many times the least of late.
const DISTURBED: f64 = 2.0;
/// What the least becomes by each frame, so that it is of late.
const FORGOTTEN: f64 = 1.01;
/// One thread alone is no longer disturbed where so many frames in a row take less than this part of what they took, after a
/// quarter of the frames until all are tried again.
const RELIEVED: f64 = 0.7;
const RELIEVED_FRAMES: u32 = 2;
/// One thread alone is given up where its first frames take so many times what that one took.
const WORSE: f64 = 2.0;
const FIRST_FRAMES: u32 = 4;
/// Frames until all threads are tried again, at first and at most: twice as many after each trial in vain.
const HOLD_ALL: [u32; 2] = [128, 1024];
/// Frames until one thread alone is tried again, once that was in vain; likewise.
const HOLD_ALONE: [u32; 2] = [8, 1024];

/// All threads, or the caller's alone.
#[derive(Clone, Debug)]
pub struct Crew {
    alone: bool,
    /// Frames since the last change.
    frames: u32,
    /// The least that work took with all threads, of late.
    least: f64,
    /// What the work of the frame took that was late.
    late: f64,
    /// What work takes alone, in the mean of the last frames.
    mean: f64,
    relieved: u32,
    /// Is this a frame with which all threads are tried?
    trial: bool,
    hold_all: u32,
    hold_alone: u32,
    /// Frames until one thread alone may be tried.
    left: u32,
}

impl Default for Crew {
    fn default() -> Self {
        let (hold_all, hold_alone) = (HOLD_ALL[0], HOLD_ALONE[0]);
        let least = f64::INFINITY;
        Self {
            alone: false,
            frames: 0,
            least,
            late: 0.0,
            mean: 0.0,
            relieved: 0,
            trial: false,
            hold_all,
            hold_alone,
            left: 0,
        }
    }
}

impl Crew {
    /// Does the caller's thread work alone?
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// A frame has ended; `taken` is for its work. Is the next one made the other way?
    pub fn end(&mut self, taken: f64, missed: bool) -> bool {
        let before = self.alone;
        self.frames = self.frames.saturating_add(1);
        if self.alone {
            self.end_alone(taken)
        } else {
            self.end_all(taken, missed)
        }
        if before != self.alone {
            self.frames = 0;
        }
        before != self.alone
    }

    fn end_all(&mut self, taken: f64, missed: bool) {
        self.left = self.left.saturating_sub(1);
        if std::mem::take(&mut self.trial) {
            if missed || taken > self.mean {
                self.hold_all = (2 * self.hold_all).min(HOLD_ALL[1]);
                self.alone = true;
                return;
            }
            (self.hold_all, self.hold_alone) = (HOLD_ALL[0], HOLD_ALONE[0]);
        }
        if missed && taken > DISTURBED * self.least && self.left == 0 {
            (self.alone, self.late) = (true, taken);
        }
        self.least = taken.min(FORGOTTEN * self.least);
    }

    fn end_alone(&mut self, taken: f64) {
        let first = self.frames <= FIRST_FRAMES;
        if !first && taken < RELIEVED * self.mean {
            self.relieved += 1;
        } else {
            let weight = if first { 1.0 / f64::from(self.frames) } else { 0.125 };
            self.mean += weight * (taken - self.mean);
            self.relieved = 0;
        }
        if self.frames == FIRST_FRAMES && self.mean > WORSE * self.late {
            (self.alone, self.left) = (false, self.hold_alone);
            self.hold_alone = (2 * self.hold_alone).min(HOLD_ALONE[1]);
        } else if self.frames >= self.hold_all || self.relieved >= RELIEVED_FRAMES && self.frames >= self.hold_all / 4 {
            (self.alone, self.trial, self.relieved) = (false, true, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What work takes with all threads and alone; frames that all made.
    fn run(crew: &mut Crew, frames: usize, [all, alone]: [f64; 2]) -> usize {
        let mut together = 0;
        for _ in 0..frames {
            together += usize::from(!crew.is_alone());
            let taken = if crew.is_alone() { alone } else { all };
            crew.end(taken, taken > 2.5);
        }
        together
    }

    #[test]
    fn the_quicker_way_is_found() {
        let mut crew = Crew::default();
        assert_eq!(run(&mut crew, 1000, [1.0, 2.0]), 1000, "nothing is late");
        // Other programs: all threads take eight times as long, one alone twice.
        let together = run(&mut crew, 1000, [8.0, 4.0]);
        assert!((2..=5).contains(&together), "{together}");
        // They end: seen after a quarter of the frames that trials in vain are apart by now.
        let together = run(&mut crew, 1000, [1.0, 2.0]);
        assert!(together >= 1000 - HOLD_ALL[1] as usize / 4 - 3, "{together}");
    }

    #[test]
    fn what_is_late_either_way_is_made_by_all() {
        assert_eq!(run(&mut Crew::default(), 1000, [3.0, 6.0]), 1000);
        // Of sixteen threads one is disturbed.
        let mut crew = Crew::default();
        run(&mut crew, 10, [1.0, 16.0]);
        let together = run(&mut crew, 1000, [3.0, 16.0]);
        assert!(together >= 960, "{together}");
    }
}
