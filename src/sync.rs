//! The synchronisation that the scheduler and the arena's borrow table are made of. Under `--cfg loom` it is loom's, which
//! tries every interleaving of a small run.

#[cfg(loom)]
pub(crate) use loom::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard},
    thread::yield_now,
};
#[cfg(not(loom))]
pub(crate) use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard},
    thread::yield_now,
};

/// Two cache lines keep what one thread writes apart from what others write.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct CachePadded<T>(pub(crate) T);

/// Waits for a moment: spins the first `limit` times, then lets other threads run.
#[cfg(not(loom))]
pub(crate) fn pause(turn: usize, limit: usize) {
    if turn < limit { std::hint::spin_loop() } else { yield_now() }
}

/// A loop that spins has an end only if the thread that it waits for runs.
#[cfg(loom)]
pub(crate) fn pause(_turn: usize, _limit: usize) {
    yield_now();
}
