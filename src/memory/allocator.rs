//! The allocator of the program: it counts calls, which `bench` tells of a frame, and when there is no memory it ends the
//! program in the program's own way.
//!
//! Rust's collections, and the decoders of other crates, abort when they get no memory. Large buffers are asked for before with
//! [`can_get`]; what no one asked for ends in the function given to [`when_memory_is_short`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);
static END: OnceLock<fn(usize) -> !> = OnceLock::new();
static ENDING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Does this thread want to know whether there is memory?
    static ASKING: Cell<bool> = const { Cell::new(false) };
    /// Does this thread end the program?
    static ENDS: Cell<bool> = const { Cell::new(false) };
}

/// The allocator of the program, over another. A library leaves the choice of it to the program it is in.
#[derive(Debug)]
pub struct ProgramAllocator<A = System>(pub A);

/// Allocations by all threads so far; 0 where the program has another allocator.
pub fn allocations() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// From now on `end` is called with the number of bytes that the system does not give, and must end the program. It may
/// allocate little, and in vain.
pub fn when_memory_is_short(end: fn(usize) -> !) {
    let _ = END.set(end);
}

/// Would the system give so many bytes? They are asked for, and given back.
pub fn can_get(bytes: usize) -> bool {
    let mut trial: Vec<u8> = Vec::new();
    let before = ASKING.replace(true);
    let given = trial.try_reserve_exact(bytes).is_ok();
    ASKING.set(before);
    // What nobody looks at, a compiler need not ask for.
    std::hint::black_box(&mut trial);
    given
}

/// Is this thread only asking? A test that counts what is held leaves that out.
pub fn is_asking() -> bool {
    ASKING.try_with(Cell::get).unwrap_or(false)
}

/// `pointer` as the system gave it; if it gave none, nobody may learn of it.
fn given(pointer: *mut u8, bytes: usize) -> *mut u8 {
    let Some(end) = END.get().filter(|_| pointer.is_null()) else { return pointer };
    // A thread that ends may allocate when its own marks have gone.
    if is_asking() || ENDS.try_with(Cell::get).unwrap_or(true) {
        return pointer;
    }
    if ENDING.swap(true, Ordering::Relaxed) {
        // Another thread ends the program; this one can do nothing more.
        loop {
            std::thread::park();
        }
    }
    ENDS.set(true);
    end(bytes)
}

#[allow(unsafe_code)]
// SAFETY: every call is passed on to the allocator below as it came. Its answer is given back, or the call does not return.
unsafe impl<A: GlobalAlloc> GlobalAlloc for ProgramAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the trait, which is that of the allocator below.
        given(unsafe { self.0.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as for `alloc`.
        given(unsafe { self.0.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the pointer came from the allocator below, through this one, with that layout.
        given(unsafe { self.0.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as for `realloc`.
        unsafe { self.0.dealloc(pointer, layout) }
    }
}
