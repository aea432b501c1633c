//! Whether standard output was closed when the program began, as the shell's `>&-` leaves it.
//!
//! Before `main`, Rust opens /dev/null in the place of closed streams, so that no file is opened under their numbers; what
//! is written there is lost without an error. So this is looked at before Rust begins.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Access, access};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// The loader calls this before `main`.
#[used]
#[allow(unsafe_code)]
// SAFETY: entries of this section are functions without a result that the loader calls once; their arguments, which this
// one does not take, are left to the caller by the C calling convention.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// Two calls of the kernel, and nothing of the standard library, which has not begun.
extern "C" fn look() {
    let exists = |path: &str| access(path, Access::EXISTS).is_ok();
    CLOSED.store(exists("/proc/self/fd") && !exists("/proc/self/fd/1"), Ordering::Relaxed);
}

/// Was standard output closed when the program began?
pub fn output_is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
