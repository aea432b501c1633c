//! Threads that run the same passes over disjoint parts of each Step.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// Turns that a waiting thread spins before it lets others run.
const SPINS: usize = 4096;

/// What all threads do next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    /// Counts the orders; a thread waits for the next.
    pub number: usize,
    /// Size of the frame or tile.
    pub width: usize,
    /// See `width`.
    pub height: usize,
    /// Input rows that are there.
    pub input_rows: usize,
    /// A new frame or tile begins.
    pub begin: bool,
    /// The threads end.
    pub quit: bool,
}

/// Hands out orders, and lets threads meet after each Step.
#[derive(Debug)]
pub struct Crew {
    threads: usize,
    order: Mutex<Order>,
    given: Condvar,
    arrived: AtomicUsize,
    round: AtomicUsize,
    failed: AtomicBool,
}

impl Crew {
    /// For `threads` threads, the caller's included.
    pub fn new(threads: usize) -> Self {
        Self {
            threads,
            order: Mutex::default(),
            given: Condvar::new(),
            arrived: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Gives the next order.
    pub fn give(&self, order: Order) {
        if self.threads == 1 {
            return;
        }
        let mut current = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Order { number: current.number + 1, ..order };
        self.given.notify_all();
    }

    /// Waits for the order after number `last`.
    pub fn wait(&self, last: usize) -> Order {
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let order = self.given.wait_while(order, |o| o.number == last);
        *order.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all threads are here. Bounded by the slowest thread's part of one Step.
    pub fn meet(&self) {
        if self.threads == 1 {
            return;
        }
        let round = self.round.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            self.round.store(round.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.round.load(Ordering::Acquire) == round {
            assert!(!self.failed.load(Ordering::Relaxed), "another thread has failed");
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }

    /// A thread has panicked: the others must not wait for it.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}
