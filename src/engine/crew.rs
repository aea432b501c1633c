//! Threads that each run a pass of their own, one behind the other.
//!
//! Passes are numbered over all frames. The caller issues them; whoever is free claims the next one. A pass shows on
//! its mark how many Steps it has made, and waits, before each Step, until the pass before is far enough ahead (see
//! [`Stagger`]). That pass was claimed earlier and waits only for still earlier ones, so the oldest never waits, and
//! every wait ends when other threads have made Steps that they are already making. In the steady state threads are
//! as far apart as passes are long over their number, and none waits.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::geom::Size;
use crate::plan::Stagger;

/// Turns that a waiting thread spins before it lets others run.
const SPINS: usize = 512;
/// Turns that a thread without work spins and lets others run before it sleeps: about the time to wake one.
const RESTLESS: usize = 2048;

/// A frame or tile whose passes are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Size.
    pub size: Size,
    /// Number of its first pass.
    pub first: u64,
    /// Counts frames.
    pub number: u64,
}

/// Two cache lines keep what threads change apart from what others change.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// How far a pass is.
#[derive(Debug, Default)]
struct Mark {
    /// Steps and ends of passes that it and all passes before it have behind them.
    steps: AtomicU64,
    /// Rows of the output that are made when it is over: written before its end is marked.
    rows: AtomicUsize,
}

/// The frame, in parts that threads read after they have claimed a pass of it.
#[derive(Debug, Default)]
struct Current {
    width: AtomicUsize,
    height: AtomicUsize,
    first: AtomicU64,
    number: AtomicU64,
}

/// Hands out passes.
#[derive(Debug)]
pub struct Crew {
    stagger: Stagger,
    /// What the mark of a pass moves on by: all its Steps, and its end.
    span: u64,
    issued: Apart<AtomicU64>,
    claimed: Apart<AtomicU64>,
    /// One for each pass of the window.
    marks: Box<[Apart<Mark>]>,
    frame: Current,
    /// Helper threads that sleep or are about to.
    asleep: AtomicUsize,
    bed: Mutex<()>,
    alarm: Condvar,
    failed: AtomicBool,
    quit: AtomicBool,
    /// Helper threads that have begun.
    begun: AtomicUsize,
}

impl Crew {
    /// For passes of the plan that `stagger` is made for.
    pub fn new(stagger: Stagger) -> Self {
        let window = stagger.window;
        Self {
            span: stagger.ahead.len() as u64 + 1,
            stagger,
            issued: Apart::default(),
            claimed: Apart::default(),
            marks: (0..window).map(|_| Apart::default()).collect(),
            frame: Current::default(),
            asleep: AtomicUsize::new(0),
            bed: Mutex::new(()),
            alarm: Condvar::new(),
            failed: AtomicBool::new(false),
            quit: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
        }
    }

    /// A helper thread has begun: what it allocates to begin is behind it.
    pub fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Release);
    }

    /// Waits until `helpers` helper threads have begun, so that starting them is a part of PREPARE.
    pub fn wait_for_helpers(&self, helpers: usize) {
        while self.begun.load(Ordering::Acquire) < helpers {
            std::thread::yield_now();
        }
    }

    /// The passes to come are those of another frame. Every pass issued so far is over.
    pub fn next_frame(&self, size: Size) {
        let Current { width, height, first, number } = &self.frame;
        width.store(size.width, Ordering::Relaxed);
        height.store(size.height, Ordering::Relaxed);
        first.store(self.issued.0.load(Ordering::Relaxed), Ordering::Relaxed);
        number.fetch_add(1, Ordering::Relaxed);
    }

    /// The frame that a claimed pass belongs to.
    pub fn frame(&self) -> Frame {
        let Current { width, height, first, number } = &self.frame;
        let size = Size::new(width.load(Ordering::Relaxed), height.load(Ordering::Relaxed));
        Frame { size, first: first.load(Ordering::Relaxed), number: number.load(Ordering::Relaxed) }
    }

    /// Lets another pass begin.
    pub fn issue(&self) {
        self.issued.0.fetch_add(1, Ordering::SeqCst);
        // A helper says that it is going to sleep before it looks for work the last time, so one of the two sees the other.
        if self.asleep.load(Ordering::SeqCst) > 0 {
            drop(self.lock());
            self.alarm.notify_one();
        }
    }

    /// Passes issued so far.
    pub fn issued(&self) -> u64 {
        self.issued.0.load(Ordering::Relaxed)
    }

    /// The next pass that nobody runs, for the calling thread to run.
    pub fn claim(&self) -> Option<u64> {
        let mut pass = self.claimed.0.load(Ordering::Relaxed);
        while pass < self.issued.0.load(Ordering::SeqCst) {
            match self.claimed.0.compare_exchange_weak(pass, pass + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(pass),
                Err(other) => pass = other,
            }
        }
        None
    }

    /// Waits for a pass to claim; none when the threads are to end.
    pub fn claim_or_sleep(&self) -> Option<u64> {
        let over = || self.quit.load(Ordering::SeqCst);
        for turn in 0..RESTLESS {
            match self.claim() {
                Some(pass) => return Some(pass),
                None if over() => return None,
                None => pause(turn),
            }
        }
        let mut bed = self.lock();
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let mut pass = self.claim();
        while pass.is_none() && !over() {
            bed = self.alarm.wait(bed).unwrap_or_else(PoisonError::into_inner);
            pass = self.claim();
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        pass
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.bed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `pass` has made `steps` Steps; all passes before it have, too.
    pub fn mark(&self, pass: u64, steps: usize) {
        self.mark_of(pass).steps.store(pass * self.span + steps as u64, Ordering::Release);
    }

    /// `pass` is over, and `rows` rows of the output are made; all passes before it have made all their Steps.
    pub fn finish(&self, pass: u64, rows: usize) {
        self.mark_of(pass).rows.store(rows, Ordering::Relaxed);
        self.mark(pass, self.span as usize);
    }

    /// Rows of the output after `pass`, once it is over.
    pub fn finished(&self, pass: u64) -> Option<usize> {
        let mark = self.mark_of(pass);
        (mark.steps.load(Ordering::Acquire) >= (pass + 1) * self.span).then(|| mark.rows.load(Ordering::Relaxed))
    }

    /// Waits until the pass before `pass` has made what Step number `step` of `pass` stays behind. `seen` is what its
    /// mark said last.
    pub fn follow(&self, pass: u64, step: usize, seen: &mut u64) {
        if let Some(before) = pass.checked_sub(1) {
            self.wait(before, self.stagger.ahead[step], seen);
        }
    }

    /// Waits until `pass` is over.
    pub fn wait_for(&self, pass: u64) {
        self.wait(pass, self.span as usize, &mut 0);
    }

    fn wait(&self, pass: u64, steps: usize, seen: &mut u64) {
        let wanted = pass * self.span + steps as u64;
        let mut turn = 0;
        while *seen < wanted {
            *seen = self.mark_of(pass).steps.load(Ordering::Acquire);
            if *seen < wanted {
                assert!(!self.failed.load(Ordering::Relaxed), "another thread has failed");
                pause(turn);
                turn += 1;
            }
        }
    }

    fn mark_of(&self, pass: u64) -> &Mark {
        &self.marks[(pass % self.marks.len() as u64) as usize].0
    }

    /// Ends the threads: those that sleep at once, the others after their pass.
    pub fn quit(&self) {
        self.quit.store(true, Ordering::SeqCst);
        drop(self.lock());
        self.alarm.notify_all();
    }

    /// A thread has panicked in its pass: the others must not wait for it.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

fn pause(turn: usize) {
    if turn < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_stay_in_order_and_apart() {
        let (steps, passes, threads, window) = (7, 300u64, 4, 7);
        let ahead = vec![2, 2, 5, 5, 6, 7, 7];
        let crew = Crew::new(Stagger { passes: threads, window: window as usize, ahead: ahead.clone() });
        let log = Mutex::new(Vec::new());
        // A thread that is put aside for a while.
        let rest = |now: bool| {
            if now {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        };
        let run = |pass: u64, thread: usize| {
            let mut seen = 0;
            for step in 0..steps {
                // Steps with nothing to do are passed over.
                if !(pass as usize + step).is_multiple_of(5) {
                    crew.follow(pass, step, &mut seen);
                    rest(thread == 3 && pass.is_multiple_of(50));
                    log.lock().unwrap().push((pass, step));
                    crew.mark(pass, step + 1);
                }
            }
            crew.follow(pass, steps - 1, &mut seen);
            rest(thread > 0 && pass.is_multiple_of(10)); // the last Step is made, the pass is not over
            crew.finish(pass, pass as usize);
        };
        let mut taken = Vec::new();
        std::thread::scope(|scope| {
            for thread in 1..threads {
                let (crew, run) = (&crew, &run);
                scope.spawn(move || {
                    crew.begin();
                    while let Some(pass) = crew.claim_or_sleep() {
                        run(pass, thread);
                    }
                });
            }
            crew.wait_for_helpers(threads - 1);
            for pass in 0..passes {
                if let Some(oldest) = pass.checked_sub(window) {
                    let rows = loop {
                        if let Some(rows) = crew.finished(oldest) {
                            break rows;
                        }
                        match crew.claim() {
                            Some(pass) => run(pass, 0),
                            None => crew.wait_for(oldest),
                        }
                    };
                    taken.push(rows);
                }
                crew.issue();
            }
            crew.wait_for(passes - 1);
            assert_eq!(crew.finished(passes - 1), Some(passes as usize - 1));
            crew.quit();
        });
        assert!(taken.iter().copied().eq(0..taken.len()), "rows of each pass, when it is over: {taken:?}");
        let log = log.into_inner().unwrap();
        let place = |pass, step| log.iter().position(|at| *at == (pass, step));
        for &(pass, step) in log.iter().filter(|(pass, _)| *pass > 0) {
            // The last Step that the pass before has to have made, if it makes it at all.
            assert!(place(pass - 1, ahead[step] - 1) < place(pass, step), "pass {pass}, Step {step}");
        }
        let mut once = log.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), log.len(), "every Step of a pass is made once");
    }
}
