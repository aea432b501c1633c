//! Hands out passes over the Steps to threads, each a pipeline stage behind the one before.
//!
//! Passes are numbered over all frames. The caller issues them; whichever thread is free takes the next one. Every pass
//! publishes how many Steps it has completed, and before each Step it waits until the pass before is far enough ahead (see
//! [`Wavefront`]). That pass was taken earlier and waits only for still earlier ones, so the oldest never waits and there is
//! no deadlock. In the steady state threads are as far apart as passes are long over their number, and none waits.

use std::sync::PoisonError;

use crate::geom::Size;
use crate::plan::Wavefront;
use crate::sync::{
    AtomicBool, AtomicU64, AtomicUsize, CachePadded, Condvar, Mutex, MutexGuard, Ordering, fence, pause,
};

/// A thread that waits for another spins this often before it yields the processor.
const SPIN_LIMIT: usize = 512;
/// A thread without work spins and yields this often before it sleeps: about as long as waking one takes.
const SLEEP_LIMIT: usize = if cfg!(loom) { 0 } else { 2048 };

/// A frame or tile whose passes are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRun {
    /// Size.
    pub size: Size,
    /// Number of its first pass.
    pub first_pass: u64,
    /// Counts frames.
    pub number: u64,
}

/// How far a pass has got.
#[derive(Debug, Default)]
struct PassProgress {
    /// Steps and ends of passes that this pass and all before it have completed.
    steps: AtomicU64,
    /// Output rows that exist when the pass ends; written before its end is published.
    rows: AtomicUsize,
}

/// The [`FrameRun`], field by field: threads read it after they have taken a pass of it.
#[derive(Debug, Default)]
struct CurrentFrame {
    width: AtomicUsize,
    height: AtomicUsize,
    first_pass: AtomicU64,
    number: AtomicU64,
}

/// Distributes passes over the threads.
#[derive(Debug)]
pub struct Scheduler {
    wavefront: Wavefront,
    /// What a pass adds to its counter: one for each Step, and one for its end.
    span: u64,
    issued: CachePadded<AtomicU64>,
    taken: CachePadded<AtomicU64>,
    /// One for each pass of the window.
    progress: Box<[CachePadded<PassProgress>]>,
    frame: CurrentFrame,
    /// Helper threads that sleep or are about to.
    sleepers: AtomicUsize,
    sleep_lock: Mutex<()>,
    wake: Condvar,
    failed: AtomicBool,
    stopping: AtomicBool,
    /// Do the helper threads leave all passes to the caller?
    resting: AtomicBool,
    /// Helper threads that have started.
    started: AtomicUsize,
}

impl Scheduler {
    /// For passes of the plan that `wavefront` was made for.
    pub fn new(wavefront: Wavefront) -> Self {
        let window = wavefront.window;
        Self {
            span: wavefront.lead.len() as u64 + 1,
            wavefront,
            issued: CachePadded::default(),
            taken: CachePadded::default(),
            progress: (0..window).map(|_| CachePadded::default()).collect(),
            frame: CurrentFrame::default(),
            sleepers: AtomicUsize::new(0),
            sleep_lock: Mutex::new(()),
            wake: Condvar::new(),
            failed: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            started: AtomicUsize::new(0),
        }
    }

    /// A helper thread has started, and has allocated what starting takes.
    pub fn helper_started(&self) {
        self.started.fetch_add(1, Ordering::Release);
    }

    /// Waits until `helpers` helper threads have started, so that this belongs to PREPARE.
    pub fn wait_for_helpers(&self, helpers: usize) {
        while self.started.load(Ordering::Acquire) < helpers {
            crate::sync::yield_now();
        }
    }

    /// The passes to come are those of another frame. Every pass issued so far has ended.
    pub fn next_frame(&self, size: Size) {
        let CurrentFrame { width, height, first_pass, number } = &self.frame;
        width.store(size.width, Ordering::Relaxed);
        height.store(size.height, Ordering::Relaxed);
        first_pass.store(self.issued.0.load(Ordering::Relaxed), Ordering::Relaxed);
        number.fetch_add(1, Ordering::Relaxed);
    }

    /// The frame that a taken pass belongs to.
    pub fn frame(&self) -> FrameRun {
        let CurrentFrame { width, height, first_pass, number } = &self.frame;
        let size = Size::new(width.load(Ordering::Relaxed), height.load(Ordering::Relaxed));
        FrameRun { size, first_pass: first_pass.load(Ordering::Relaxed), number: number.load(Ordering::Relaxed) }
    }

    /// Lets the helper threads take no passes, or take them again; between frames.
    pub fn rest(&self, resting: bool) {
        self.resting.store(resting, Ordering::Relaxed);
    }

    fn is_resting(&self) -> bool {
        self.resting.load(Ordering::Relaxed)
    }

    /// Makes another pass available.
    pub fn issue(&self) {
        self.issued.0.fetch_add(1, Ordering::Release);
        // A helper counts itself as a sleeper before it looks for work the last time. Both have a fence in between, so one
        // of the two sees what the other wrote.
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 && !self.is_resting() {
            drop(self.lock());
            self.wake.notify_one();
        }
    }

    /// Passes issued so far.
    pub fn issued(&self) -> u64 {
        self.issued.0.load(Ordering::Relaxed)
    }

    /// Takes the next pass that is issued and that no thread has.
    pub fn take(&self) -> Option<u64> {
        let mut pass = self.taken.0.load(Ordering::Relaxed);
        while pass < self.issued.0.load(Ordering::Acquire) {
            match self.taken.0.compare_exchange_weak(pass, pass + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(pass),
                Err(other) => pass = other,
            }
        }
        None
    }

    /// Takes a pass, or sleeps until there is one; `None` when the threads are to end.
    pub fn take_or_sleep(&self) -> Option<u64> {
        let stopping = || self.stopping.load(Ordering::Relaxed);
        let take = || if self.is_resting() { None } else { self.take() };
        for turn in 0..SLEEP_LIMIT {
            if self.is_resting() {
                break;
            }
            match take() {
                Some(pass) => return Some(pass),
                None if stopping() => return None,
                None => pause(turn, SPIN_LIMIT),
            }
        }
        let mut guard = self.lock();
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut pass = take();
        while pass.is_none() && !stopping() {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
            pass = take();
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
        pass
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.sleep_lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `pass` has completed `steps` Steps; all passes before it have, too.
    pub fn publish(&self, pass: u64, steps: usize) {
        self.progress_of(pass).steps.store(pass * self.span + steps as u64, Ordering::Release);
    }

    /// `pass` has ended, and `rows` rows of the output exist; all passes before it have completed all their Steps.
    pub fn finish(&self, pass: u64, rows: usize) {
        self.progress_of(pass).rows.store(rows, Ordering::Relaxed);
        self.publish(pass, self.span as usize);
    }

    /// Rows of the output after `pass`, once it has ended.
    pub fn finished(&self, pass: u64) -> Option<usize> {
        let progress = self.progress_of(pass);
        let ended = progress.steps.load(Ordering::Acquire) >= (pass + 1) * self.span;
        ended.then(|| progress.rows.load(Ordering::Relaxed))
    }

    /// Waits until the pass before `pass` has the lead that Step number `step` of `pass` needs. `seen` is the last value of
    /// its counter that the caller has seen.
    pub fn wait_for_lead(&self, pass: u64, step: usize, seen: &mut u64) {
        self.wait(|| self.has_lead(pass, step, seen));
    }

    /// Waits until `pass` has ended.
    pub fn wait_for(&self, pass: u64) {
        let mut seen = 0;
        self.wait(|| self.has_completed(pass, self.span as usize, &mut seen));
    }

    fn wait(&self, mut ready: impl FnMut() -> bool) {
        let mut turn = 0;
        while !ready() {
            assert!(!self.failed.load(Ordering::Relaxed), "another thread has failed");
            pause(turn, SPIN_LIMIT);
            turn += 1;
        }
    }

    fn has_lead(&self, pass: u64, step: usize, seen: &mut u64) -> bool {
        pass.checked_sub(1).is_none_or(|before| self.has_completed(before, self.wavefront.lead[step], seen))
    }

    fn has_completed(&self, pass: u64, steps: usize, seen: &mut u64) -> bool {
        let wanted = pass * self.span + steps as u64;
        if *seen < wanted {
            *seen = self.progress_of(pass).steps.load(Ordering::Acquire);
        }
        *seen >= wanted
    }

    fn progress_of(&self, pass: u64) -> &PassProgress {
        &self.progress[(pass % self.progress.len() as u64) as usize].0
    }

    /// Ends the threads: those that sleep at once, the others after their pass.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.lock());
        self.wake.notify_all();
    }

    /// A thread has panicked in its pass: the others must not wait for it.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// No Step earlier, whatever the threads do.
    #[test]
    fn a_pass_waits_for_exactly_its_lead() {
        let lead = vec![2, 2, 5, 5, 6, 7, 7];
        let scheduler = Scheduler::new(Wavefront { passes: 2, window: 3, lead: lead.clone() });
        assert!((0..lead.len()).all(|step| scheduler.has_lead(0, step, &mut 0)), "the first pass waits for none");
        for completed in 0..=lead.len() {
            scheduler.publish(0, completed);
            for (step, &lead) in lead.iter().enumerate() {
                assert_eq!(scheduler.has_lead(1, step, &mut 0), completed >= lead, "{completed} Steps, Step {step}");
            }
        }
    }

    #[test]
    fn passes_stay_in_order_and_apart() {
        let (steps, passes, threads, window) = (7, 300u64, 4, 7);
        let lead = vec![2, 2, 5, 5, 6, 7, 7];
        let scheduler = Scheduler::new(Wavefront { passes: threads, window: window as usize, lead: lead.clone() });
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
                    scheduler.wait_for_lead(pass, step, &mut seen);
                    rest(thread == 3 && pass.is_multiple_of(50));
                    log.lock().unwrap().push((pass, step));
                    scheduler.publish(pass, step + 1);
                }
            }
            scheduler.wait_for_lead(pass, steps - 1, &mut seen);
            rest(thread > 0 && pass.is_multiple_of(10)); // the last Step is made, the pass is not over
            scheduler.finish(pass, pass as usize);
        };
        let mut taken = Vec::new();
        std::thread::scope(|scope| {
            for thread in 1..threads {
                let (scheduler, run) = (&scheduler, &run);
                scope.spawn(move || {
                    scheduler.helper_started();
                    while let Some(pass) = scheduler.take_or_sleep() {
                        run(pass, thread);
                    }
                });
            }
            scheduler.wait_for_helpers(threads - 1);
            for pass in 0..passes {
                if let Some(oldest) = pass.checked_sub(window) {
                    let rows = loop {
                        if let Some(rows) = scheduler.finished(oldest) {
                            break rows;
                        }
                        match scheduler.take() {
                            Some(pass) => run(pass, 0),
                            None => scheduler.wait_for(oldest),
                        }
                    };
                    taken.push(rows);
                }
                scheduler.issue();
            }
            scheduler.wait_for(passes - 1);
            assert_eq!(scheduler.finished(passes - 1), Some(passes as usize - 1));
            scheduler.stop();
        });
        assert!(taken.iter().copied().eq(0..taken.len()), "rows of each pass, when it is over: {taken:?}");
        let log = log.into_inner().unwrap();
        let at = |pass, step| log.iter().position(|entry| *entry == (pass, step));
        for &(pass, step) in log.iter().filter(|(pass, _)| *pass > 0) {
            // The last Step that the pass before has to have made, if it makes it at all.
            assert!(at(pass - 1, lead[step] - 1) < at(pass, step), "pass {pass}, Step {step}");
        }
        let mut once = log.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), log.len(), "every Step of a pass is made once");
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;

    /// A scheduler, and what its one Step writes. The access is relaxed: that a pass finds what the pass before has written
    /// is the scheduler's doing alone.
    struct Shared {
        scheduler: Scheduler,
        written: AtomicU64,
    }

    impl Shared {
        fn run(&self, pass: u64) {
            let mut seen = 0;
            self.scheduler.wait_for_lead(pass, 0, &mut seen);
            assert_eq!(self.written.load(Ordering::Relaxed), pass, "the pass before has written");
            self.written.store(pass + 1, Ordering::Relaxed);
            self.scheduler.publish(pass, 1);
            self.scheduler.wait_for_lead(pass, 0, &mut seen);
            self.scheduler.finish(pass, pass as usize + 10);
        }
    }

    /// A caller and a helper thread that may sleep and be woken at any moment; all passes run in
    /// order, and nobody waits for ever.
    #[test]
    fn loom_passes_are_ordered_and_end() {
        let passes = 2;
        loom::model(move || {
            let scheduler = Scheduler::new(Wavefront { passes: 2, window: 3, lead: vec![1] });
            let shared = Arc::new(Shared { scheduler, written: AtomicU64::new(0) });
            let helper = Arc::clone(&shared);
            let helper = loom::thread::spawn(move || {
                while let Some(pass) = helper.scheduler.take_or_sleep() {
                    helper.run(pass);
                }
            });
            let scheduler = &shared.scheduler;
            for pass in 0..passes {
                scheduler.issue();
                assert_eq!(scheduler.issued(), pass + 1);
            }
            for oldest in 0..passes {
                while scheduler.finished(oldest).is_none() {
                    match scheduler.take() {
                        Some(pass) => shared.run(pass),
                        None => scheduler.wait_for(oldest),
                    }
                }
                assert_eq!(scheduler.finished(oldest), Some(oldest as usize + 10));
            }
            scheduler.stop();
            helper.join().unwrap();
        });
    }

    #[test]
    fn loom_a_sleeping_helper_is_woken() {
        loom::model(|| {
            let scheduler = Scheduler::new(Wavefront { passes: 2, window: 3, lead: vec![1] });
            let shared = Arc::new(Shared { scheduler, written: AtomicU64::new(0) });
            let helper = Arc::clone(&shared);
            let helper = loom::thread::spawn(move || {
                let pass = helper.scheduler.take_or_sleep().expect("a pass is issued");
                helper.run(pass);
            });
            // The helper is the only one to run it.
            shared.scheduler.issue();
            helper.join().unwrap();
            assert_eq!(shared.scheduler.finished(0), Some(10));
        });
    }
}
