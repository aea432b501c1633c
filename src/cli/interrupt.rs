//! Ctrl-C, TERM and HUP.

use super::failure::Failure;

/// The signals that end a run, without those that whoever started the program has told it to ignore, as `nohup` does.
#[cfg(unix)]
pub(super) fn ending_signals() -> Vec<i32> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored(&status);
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0).collect()
}

/// A file that grows beyond the limit of the shell (`ulimit -f`) is then an error of the write, which leaves nothing
/// behind, and not the end of the program.
#[cfg(unix)]
pub(super) fn let_long_writes_fail() {
    // A handler that only sets a flag which nobody reads. Where there can be none, the signal ends the program as before.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Default::default());
}

#[cfg(not(unix))]
pub(super) fn let_long_writes_fail() {}

/// The set of ignored signals in `/proc/self/status`, signal 1 in the lowest bit; empty where the system has no such
/// file.
#[cfg(unix)]
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

/// From here on a signal that ends the program removes its unfinished files first.
#[cfg(unix)]
pub(super) fn remove_files_on_signals() -> Result<(), Failure> {
    use super::failure::Code;
    let failed = |error: std::io::Error| Failure::new(Code::Failed, format!("cannot listen for signals: {error}"));
    let mut signals = signal_hook::iterator::Signals::new(ending_signals()).map_err(failed)?;
    let thread = std::thread::Builder::new().name("bifocal-signals".into()).stack_size(128 << 10);
    let listen = move || {
        for signal in signals.forever() {
            crate::io::remove_partial_files();
            // Ends the program as the signal would have done, which is what shells look for.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    thread.spawn(listen).map(drop).map_err(failed)
}

#[cfg(not(unix))]
pub(super) fn remove_files_on_signals() -> Result<(), Failure> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals() {
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000000001\nSigCgt:\t3\n"), 1);
        assert_eq!(ignored(""), 0);
    }
}
