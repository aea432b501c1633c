//! Ctrl-C, TERM and HUP, and `q` on the terminal.

use super::failure::Failure;
use crate::live::Wish;

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
            end_by(signal);
        }
    };
    thread.spawn(listen).map(drop).map_err(failed)
}

#[cfg(not(unix))]
pub(super) fn remove_files_on_signals() -> Result<(), Failure> {
    Ok(())
}

/// Ends the program as the signal would have done, which is what shells look for.
#[cfg(unix)]
pub(super) fn end_by(signal: i32) {
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

#[cfg(not(unix))]
pub(super) fn end_by(_: i32) {}

/// Listens for signals and for `q` on the terminal.
#[cfg(unix)]
pub(super) struct Control {
    signals: signal_hook::iterator::Signals,
    keys: Option<Keys>,
    asked: usize,
    /// The first signal that came; `q` counts as Ctrl-C.
    first: Option<i32>,
}

#[cfg(unix)]
impl Control {
    /// With `keys`, of the terminal too: where standard input is not the video.
    pub(super) fn new(keys: bool) -> Result<Self, Failure> {
        let signals = signal_hook::iterator::Signals::new(ending_signals()).map_err(|error| {
            Failure::new(super::failure::Code::Failed, format!("cannot listen for signals: {error}"))
        })?;
        let keys = if keys { Keys::open() } else { None };
        Ok(Self { signals, keys, asked: 0, first: None })
    }

    /// How often the end was asked for.
    pub(super) fn asked(&mut self) -> usize {
        let quits = self.keys.as_mut().map_or(0, Keys::quits);
        for signal in self.signals.pending().chain(std::iter::repeat_n(signal_hook::consts::SIGINT, quits)) {
            self.asked += 1;
            self.first.get_or_insert(signal);
        }
        self.asked
    }

    /// What asked for the end first.
    pub(super) fn signal(&self) -> Option<i32> {
        self.first
    }

    /// The first signal or `q` ends cleanly, the second at once.
    pub(super) fn wish(&mut self) -> Wish {
        match self.asked() {
            0 => Wish::Run,
            1 => Wish::Stop,
            _ => Wish::Abandon,
        }
    }
}

/// The terminal, giving keys as they are pressed and showing none of them; as it was once this is dropped.
#[cfg(unix)]
struct Keys {
    before: rustix::termios::Termios,
}

#[cfg(unix)]
impl Keys {
    /// `None` where standard input is no terminal, or not ours because the program runs in the background.
    fn open() -> Option<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        if tcgetpgrp(&stdin).ok()? != rustix::process::getpgrp() {
            return None;
        }
        let mut keys = before.clone();
        keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(&stdin, OptionalActions::Now, &keys).ok()?;
        Some(Self { before })
    }

    /// How often `q` was pressed since the last call.
    fn quits(&mut self) -> usize {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let stdin = std::io::stdin();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut keys = [0; 16];
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&now)) {
            Ok(1) => {
                let read = rustix::io::read(&stdin, &mut keys).unwrap_or(0);
                keys[..read].iter().filter(|key| matches!(key, b'q' | b'Q')).count()
            }
            _ => 0,
        }
    }
}

#[cfg(unix)]
impl Drop for Keys {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &self.before);
    }
}

/// Other systems end the program themselves.
#[cfg(not(unix))]
pub(super) struct Control;

#[cfg(not(unix))]
impl Control {
    pub(super) fn new(_: bool) -> Result<Self, Failure> {
        Ok(Self)
    }

    pub(super) fn wish(&mut self) -> Wish {
        Wish::Run
    }
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
