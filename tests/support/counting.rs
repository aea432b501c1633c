//! The system's allocator, counting, for the test file that names this module.

#![allow(dead_code)] // no test file needs all of it

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWN_CALLS: Cell<usize> = const { Cell::new(0) };
}

/// Allocations of the process so far.
pub fn calls() -> usize {
    CALLS.load(Ordering::Relaxed)
}

/// Allocations of this thread so far.
pub fn own_calls() -> usize {
    OWN_CALLS.get()
}

/// Bytes that the process holds.
pub fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// The most bytes that the process held since the last call.
pub fn take_peak() -> usize {
    PEAK.swap(held(), Ordering::Relaxed)
}

/// The most bytes that were asked for since the last call, before anything took them.
pub fn take_asked() -> usize {
    ASKED.swap(0, Ordering::Relaxed)
}

#[allow(unsafe_code)]
// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        // What is only asked for, and given back at once, nobody uses.
        match bifocal::internals::memory::is_asking() {
            true => ASKED.fetch_max(layout.size(), Ordering::Relaxed),
            false => PEAK.fetch_max(held, Ordering::Relaxed),
        };
        // A thread that ends may allocate when its own counter has gone.
        let _ = OWN_CALLS.try_with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
