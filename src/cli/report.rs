//! Standard error: one line for whatever is to be said.

use std::borrow::Cow;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter};

use super::failure::Code;

/// `text` with what a terminal would obey, such as escape bytes in the names of files, as it is written in Rust.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    // Beside the control characters, those that turn the direction of what follows.
    let obeyed = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    match text.contains(obeyed) {
        true => text.chars().map(|c| if obeyed(c) { c.escape_default().to_string() } else { c.to_string() }).collect(),
        false => text.into(),
    }
}

/// Prints a line; a closed standard error is nobody's problem.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "bifocal: {}", shown(text));
}

/// Sends the log to standard error. `RUST_LOG` rules over the switches.
pub(super) fn start_log(verbose: u8, quiet: bool) {
    let (own, others) = match (quiet, verbose) {
        (true, _) => (LevelFilter::Error, LevelFilter::Off),
        (false, 0) => (LevelFilter::Warn, LevelFilter::Off),
        (false, 1) => (LevelFilter::Info, LevelFilter::Warn),
        (false, _) => (LevelFilter::Debug, LevelFilter::Info),
    };
    env_logger::Builder::new()
        .filter_level(others)
        .filter_module("bifocal", own)
        .parse_default_env()
        .format(|out, record| {
            let kind = match record.level() {
                Level::Error => "",
                Level::Warn => "warning: ",
                Level::Info => "info: ",
                Level::Debug | Level::Trace => "debug: ",
            };
            writeln!(out, "bifocal: {kind}{}", shown(&record.args().to_string()))
        })
        .init();
}

/// A bug shows as one line. Parsers of other crates are fenced: their panics come back as errors of the file.
pub(super) fn catch_panics() {
    static SAID: AtomicBool = AtomicBool::new(false);
    std::panic::set_hook(Box::new(|info| {
        let fenced = crate::io::decoding() || crate::model::panic_is_handled();
        if fenced || SAID.swap(true, Ordering::Relaxed) {
            return;
        }
        let what = info.payload_as_str().unwrap_or("no message").lines().next().unwrap_or_default();
        let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        line(&format!("internal error{place}: {what}; please report it"));
    }));
}

/// Memory that the system does not give, and that nobody asked for before, ends the program with a line too.
pub(super) fn catch_want_of_memory() {
    crate::memory::when_memory_is_short(|bytes| {
        // A number in other units would have to be allocated.
        let _ =
            writeln!(std::io::stderr(), "bifocal: not enough memory: the system does not give another {bytes} bytes");
        crate::io::remove_partial_files_if_free();
        std::process::exit(i32::from(Code::Budget as u8))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        assert_eq!(shown("a\u{1b}[2Jb\u{9b}c\n\u{202e}ü"), "a\\u{1b}[2Jb\\u{9b}c\\n\\u{202e}ü");
        assert!(matches!(shown("plain, ü"), Cow::Borrowed(_)));
    }
}
