//! Threads that share the units of each Step.
//!
//! A Step is over when all its units are done, not when all threads have come by: a thread that the system has
//! put aside holds up nobody unless it holds a unit, and finds its place again when it wakes.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::geom::Size;
use crate::plan::Progress;

/// Turns that a waiting thread spins before it lets others run.
const SPINS: usize = 256;

/// A pass: what all threads do next.
#[derive(Clone, Debug)]
pub struct Order {
    /// Counts the orders; a thread waits for one that it has not seen.
    pub number: usize,
    /// Size of the frame or tile.
    pub size: Size,
    /// Where the pass begins.
    pub progress: Progress,
    /// Number of its first Step, counted over all passes.
    pub turn: u32,
    /// The threads end.
    pub quit: bool,
}

/// Hands out orders and units.
#[derive(Debug)]
pub struct Crew {
    threads: usize,
    order: Mutex<Order>,
    given: Condvar,
    /// Number of the current Step in the upper half, its next unit in the lower.
    current: AtomicU64,
    /// Units of the current Step that are done.
    done: AtomicUsize,
    failed: AtomicBool,
    /// Helper threads that have begun.
    begun: AtomicUsize,
}

impl Crew {
    /// For `threads` threads, the caller's included.
    pub fn new(threads: usize, progress: Progress) -> Self {
        let order = Order { number: 0, size: Size::new(0, 0), progress, turn: 0, quit: false };
        Self {
            threads,
            order: Mutex::new(order),
            given: Condvar::new(),
            current: AtomicU64::new(0),
            done: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
        }
    }

    /// A helper thread has begun: what it allocates to begin is behind it.
    pub fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Release);
    }

    /// Waits until `helpers` helper threads have begun, so that starting them is a part of PREPARE.
    pub fn wait_for(&self, helpers: usize) {
        while self.begun.load(Ordering::Acquire) < helpers {
            std::thread::yield_now();
        }
    }

    /// Gives the next order; nobody takes it when there is one thread.
    pub fn give(&self, size: Size, progress: &Progress, turn: u32) {
        if self.threads > 1 {
            let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            order.number += 1;
            (order.size, order.turn) = (size, turn);
            order.progress.clone_from(progress);
            self.given.notify_all();
        }
    }

    /// Ends the threads.
    pub fn quit(&self) {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).quit = true;
        self.given.notify_all();
    }

    /// Waits for an order newer than `own`, and copies it there.
    pub fn wait(&self, own: &mut Order) {
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let order =
            self.given.wait_while(order, |o| o.number == own.number && !o.quit).unwrap_or_else(PoisonError::into_inner);
        (own.number, own.size, own.turn, own.quit) = (order.number, order.size, order.turn, order.quit);
        own.progress.clone_from(&order.progress);
    }

    /// Does units of Step number `turn`, of `units` in all, until every one is done, by whomever.
    ///
    /// Waits at most as long as the other threads need for the units they hold.
    pub fn share(&self, turn: u32, units: usize, mut unit: impl FnMut(usize)) {
        if self.threads == 1 {
            return (0..units).for_each(unit);
        }
        let mut spins = 0;
        loop {
            let current = self.current.load(Ordering::Acquire);
            let next = (current & u64::from(u32::MAX)) as usize;
            if (current >> 32) as u32 != turn {
                return; // over, long since perhaps
            }
            if next >= units {
                assert!(!self.failed.load(Ordering::Relaxed), "another thread has failed");
                spins += 1;
                if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
            } else if self
                .current
                .compare_exchange_weak(current, current + 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                unit(next);
                if self.done.fetch_add(1, Ordering::AcqRel) + 1 == units {
                    self.done.store(0, Ordering::Relaxed);
                    self.current.store(u64::from(turn.wrapping_add(1)) << 32, Ordering::Release);
                    return;
                }
            }
        }
    }

    /// A thread has panicked: the others must not wait for its unit.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_done_once_and_in_the_order_of_steps() {
        let (steps, units, threads) = (400u32, 7, 4);
        let crew = Crew::new(threads, Progress::default());
        let log = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (crew, log) = (&crew, &log);
                scope.spawn(move || {
                    for turn in 0..steps {
                        if thread == 3 && turn % 50 == 0 {
                            std::thread::sleep(std::time::Duration::from_micros(300)); // put aside for a while
                        }
                        crew.share(turn, units, |unit| log.lock().unwrap().push((turn, unit)));
                    }
                });
            }
        });
        let mut log = log.into_inner().unwrap();
        assert!(log.is_sorted_by_key(|(turn, _)| *turn), "a Step began before the one before was over");
        log.sort_unstable();
        let expected: Vec<_> = (0..steps).flat_map(|turn| (0..units).map(move |unit| (turn, unit))).collect();
        assert_eq!(log, expected);
    }
}
