//! Standard error: one line for whatever is to be said.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter};

/// Prints a line; a closed standard error is nobody's problem.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "bifocal: {text}");
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
            writeln!(out, "bifocal: {kind}{}", record.args())
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
