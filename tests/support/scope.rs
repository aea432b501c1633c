//! How much a test covers in this run: what it must leave out, and what only the long run is for.

#![allow(dead_code)] // no test file needs all of it

use std::fs::OpenOptions;
use std::io::Write;

/// Says that `what` is not tested here, and why. A test that cannot run calls this before it returns: the harness counts
/// it as passed. The line passes the harness's capture, and `tests/run` lists all of them at its end.
pub fn skip(what: &str, why: &str) {
    let line = format!("skipped: {what}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error takes a line");
    if let Some(notes) = std::env::var_os("BIFOCAL_SKIPPED") {
        let mut notes = OpenOptions::new().append(true).create(true).open(notes).expect("the notes can be written");
        notes.write_all(line.as_bytes()).expect("the notes can be written");
    }
}

/// The size of a test: `tests/run long` sets `BIFOCAL_LONG`, every other run takes the short one.
pub fn size<T>(short: T, long: T) -> T {
    if std::env::var_os("BIFOCAL_LONG").is_some() { long } else { short }
}
