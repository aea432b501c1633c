//! A program that runs beside this one: what it writes is read, or what it reads is written; its words are passed on, and it
//! never outlives its owner.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::io::limits::PORT_BYTES;

/// Longest line of a program that is passed on whole.
const LINE: usize = 400;
/// How long a program may take to end once it was asked to; then it is ended.
const GRACE: Duration = Duration::from_millis(500);

/// What a program has said.
#[derive(Debug, Default)]
struct Said {
    /// The last line that tells of an error, or else the last one.
    last: String,
    /// The first line: some programs tell the cause first, and then what became of it.
    first: String,
    /// The last line that the owner listens for.
    marked: Option<String>,
}

impl Said {
    fn hear(&mut self, line: &str, mark: &str) {
        if self.first.is_empty() {
            self.first = line.to_string();
        }
        let is_error = |line: &str| line.to_ascii_lowercase().contains("error");
        if is_error(line) || !is_error(&self.last) {
            self.last = line.to_string();
        }
        if !mark.is_empty() && line.contains(mark) {
            self.marked = Some(line.to_string());
        }
    }
}

/// A program that was started. Dropping it ends it, and everything that it started.
pub(in crate::io) struct Child {
    process: std::process::Child,
    out: Option<BufReader<ChildStdout>>,
    said: Arc<Mutex<Said>>,
    listener: Option<JoinHandle<()>>,
}

impl Child {
    /// Starts a program that gives bytes. Lines that hold `mark` are kept for [`Child::marked`].
    pub(in crate::io) fn start(name: &str, command: &mut Command, mark: &'static str) -> io::Result<Self> {
        Self::spawn(name, command.stdin(Stdio::null()).stdout(Stdio::piped()), mark)
    }

    /// Starts a program that takes bytes; it ends by itself once they end.
    pub(in crate::io) fn start_taking(name: &str, command: &mut Command) -> io::Result<(Self, ChildStdin)> {
        let mut child = Self::spawn(name, command.stdin(Stdio::piped()).stdout(Stdio::null()), "")?;
        let stdin = child.process.stdin.take().ok_or(ErrorKind::BrokenPipe)?;
        Ok((child, stdin))
    }

    /// In a process group of its own: a Ctrl-C of the terminal is for us, who end it in good order.
    fn spawn(name: &str, command: &mut Command, mark: &'static str) -> io::Result<Self> {
        let mut process = command.stderr(Stdio::piped()).process_group(0).spawn()?;
        let (out, words) = (process.stdout.take(), process.stderr.take());
        let said = Arc::new(Mutex::new(Said::default()));
        let out = out.map(|out| BufReader::with_capacity(PORT_BYTES, out));
        // From here on it is ended whatever happens.
        let mut child = Self { process, out, said: Arc::clone(&said), listener: None };
        if let Some(out) = &child.out {
            rustix::fs::fcntl_setfl(out.get_ref(), rustix::fs::OFlags::NONBLOCK)?;
        }
        let (name, words) = (name.to_string(), words.ok_or(ErrorKind::BrokenPipe)?);
        let thread = std::thread::Builder::new().name("bifocal-child".into()).stack_size(128 << 10);
        child.listener = Some(thread.spawn(move || listen(words, &name, mark, &said))?);
        Ok(child)
    }

    /// Bytes that came, 0 at the end; `None` if there are none within `limit`.
    pub(in crate::io) fn read(&mut self, to: &mut [u8], limit: Duration) -> io::Result<Option<usize>> {
        self.wait(limit, |out| out.read(to))
    }

    /// As [`Child::read`], and the bytes stay.
    pub(in crate::io) fn peek(&mut self, limit: Duration) -> io::Result<Option<usize>> {
        self.wait(limit, |out| out.fill_buf().map(<[u8]>::len))
    }

    fn wait(
        &mut self,
        limit: Duration,
        mut read: impl FnMut(&mut BufReader<ChildStdout>) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let Some(out) = &mut self.out else { return Ok(Some(0)) };
        let later = |error: &io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
        match read(out) {
            Err(error) if later(&error) => {}
            done => return done.map(Some),
        }
        let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
        match poll(&mut [PollFd::new(out.get_ref(), PollFlags::IN)], Some(&limit)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match read(out) {
            Err(error) if later(&error) => Ok(None),
            done => done.map(Some),
        }
    }

    /// The line that was to be listened for.
    pub(in crate::io) fn marked(&self) -> Option<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).marked.clone()
    }

    /// What it has said first: empty, or one line.
    pub(in crate::io) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).first.clone()
    }

    /// How it has ended, if it does within `limit`.
    pub(in crate::io) fn ends_within(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let patience = Instant::now() + limit;
        while self.process.try_wait()?.is_none() {
            if Instant::now() >= patience {
                return Ok(None);
            }
            sleep(Duration::from_millis(5));
        }
        self.wait_end().map(Some)
    }

    /// Waits until it has ended by itself, and its last words are heard.
    pub(in crate::io) fn wait_end(&mut self) -> io::Result<ExitStatus> {
        let status = self.process.wait()?;
        if let Some(listener) = self.listener.take() {
            // What it started may hold its standard error open.
            let patience = Instant::now() + GRACE;
            while !listener.is_finished() && Instant::now() < patience {
                sleep(Duration::from_millis(2));
            }
        }
        Ok(status)
    }

    /// How it ended and what it said, once its frames have ended. One that goes on without frames is ended.
    pub(in crate::io) fn last_words(&mut self) -> String {
        let patience = Instant::now() + GRACE;
        let mut status = None;
        while status.is_none() && Instant::now() < patience {
            status = self.process.try_wait().ok().flatten();
            sleep(Duration::from_millis(5));
        }
        while self.listener.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < patience {
            sleep(Duration::from_millis(5));
        }
        let how = status.map_or("it gives no more frames".into(), |status| format!("it ended ({status})"));
        let last = &self.said.lock().unwrap_or_else(PoisonError::into_inner).last;
        if last.is_empty() { how } else { format!("{how}: {last}") }
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        // It may have gone by itself.
        let _ = group.map(|group| kill_process_group(group, signal));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Until it is waited for, its number is nobody else's. What it started may live on when it has ended.
        self.signal(Signal::TERM);
        let patience = Instant::now() + GRACE;
        while let Ok(None) = self.process.try_wait() {
            if Instant::now() >= patience {
                break;
            }
            sleep(Duration::from_millis(2));
        }
        self.signal(Signal::KILL);
        let _ = self.process.wait();
    }
}

/// Passes on what a program says, a line at a time; of long lines the beginning.
fn listen(mut words: ChildStderr, name: &str, mark: &str, said: &Mutex<Said>) {
    let (mut buffer, mut line) = ([0; 1024], Vec::with_capacity(LINE));
    let tell = |line: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(line);
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if !text.trim().is_empty() {
            log::info!("{name}: {}", text.trim());
            said.lock().unwrap_or_else(PoisonError::into_inner).hear(text.trim(), mark);
        }
        line.clear();
    };
    loop {
        let read = match words.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(_) => break,
        };
        for byte in &buffer[..read] {
            match byte {
                b'\n' | b'\r' => tell(&mut line),
                _ if line.len() < LINE => line.push(*byte),
                _ => {}
            }
        }
    }
    tell(&mut line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_remembered() {
        let mut said = Said::default();
        ["hello", "ERROR: *** no cameras available ***", "bye"].iter().for_each(|line| said.hear(line, "bye"));
        assert_eq!(said.marked.as_deref(), Some("bye"));
        assert_eq!(said.last, "ERROR: *** no cameras available ***");
    }
}
