//! A fence around decoders of other crates: on a damaged file their panic becomes an error of that file.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::io::error::Fault;

thread_local! {
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Is a fenced decoder running on this thread? A panic hook may stay silent then: the panic comes back as an error.
pub fn decoding() -> bool {
    DECODING.get()
}

/// Runs a decoder. What it was working on must not be used after a panic; here an error ends the picture.
pub(in crate::io) fn fenced<T, E: Into<Fault>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, Fault> {
    let before = DECODING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    DECODING.set(before);
    match result {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Fault::bad("the decoder cannot make sense of this file")),
    }
}
