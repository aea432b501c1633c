//! A program that runs beside this one: its frames are read, its words are passed on, and it never outlives its owner.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::geom::Size;
use crate::io::limits::PORT_BYTES;

/// Longest line of a program that is passed on whole.
const LINE: usize = 400;
/// How long a program may take to end once it was asked to; then it is ended.
const GRACE: Duration = Duration::from_millis(500);

/// What a program has said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The last line that tells of an error, or else the last one.
    last: String,
    /// Its first stream's size and colours, as libcamera logs them.
    stream: Option<(Size, String)>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let is_error = |line: &str| line.to_ascii_lowercase().contains("error");
        if is_error(line) || !is_error(&self.last) {
            self.last = line.to_string();
        }
        self.stream = stream(line).or(self.stream.take());
    }
}

/// `... configuring streams: (0) 640x360-YUV420/sYCC (1) ...`, of which the first is read.
fn stream(line: &str) -> Option<(Size, String)> {
    let (_, streams) = line.split_once("configuring streams: (0) ")?;
    let (size, format) = streams.split_whitespace().next()?.split_once('-')?;
    let (width, height) = size.split_once('x')?;
    let colours = format.split_once('/').map_or("", |(_, colours)| colours);
    Some((Size::new(width.parse().ok()?, height.parse().ok()?), colours.to_string()))
}

/// A program that was started. Dropping it ends it, and everything that it started.
pub(super) struct Child {
    process: std::process::Child,
    out: BufReader<ChildStdout>,
    said: Arc<Mutex<Said>>,
    listener: Option<JoinHandle<()>>,
}

impl Child {
    /// Starts a program in a process group of its own: a Ctrl-C of the terminal is for us, who end it in good order.
    pub(super) fn start(name: &str, words: &[String]) -> io::Result<Self> {
        let (program, arguments) = words.split_first().ok_or(ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn()?;
        let missing = || io::Error::from(ErrorKind::BrokenPipe);
        let (out, words) = (process.stdout.take().ok_or_else(missing)?, process.stderr.take().ok_or_else(missing)?);
        let said = Arc::new(Mutex::new(Said::default()));
        // From here on it is ended whatever happens.
        let mut child =
            Self { process, out: BufReader::with_capacity(PORT_BYTES, out), said: Arc::clone(&said), listener: None };
        rustix::fs::fcntl_setfl(child.out.get_ref(), rustix::fs::OFlags::NONBLOCK)?;
        let name = name.to_string();
        let thread = std::thread::Builder::new().name("bifocal-csi".into()).stack_size(128 << 10);
        child.listener = Some(thread.spawn(move || listen(words, &name, &said))?);
        Ok(child)
    }

    /// Bytes that came, 0 at the end; `None` if there are none within `limit`.
    pub(super) fn read(&mut self, to: &mut [u8], limit: Duration) -> io::Result<Option<usize>> {
        self.wait(limit, |out| out.read(to))
    }

    /// As [`Child::read`], and the bytes stay.
    pub(super) fn peek(&mut self, limit: Duration) -> io::Result<Option<usize>> {
        self.wait(limit, |out| out.fill_buf().map(<[u8]>::len))
    }

    fn wait(
        &mut self,
        limit: Duration,
        mut read: impl FnMut(&mut BufReader<ChildStdout>) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let later = |error: &io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
        match read(&mut self.out) {
            Err(error) if later(&error) => {}
            done => return done.map(Some),
        }
        let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
        match poll(&mut [PollFd::new(self.out.get_ref(), PollFlags::IN)], Some(&limit)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match read(&mut self.out) {
            Err(error) if later(&error) => Ok(None),
            done => done.map(Some),
        }
    }

    /// The first stream that it told of.
    pub(super) fn stream(&self) -> Option<(Size, String)> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).stream.clone()
    }

    /// How it ended and what it said, once its frames have ended. One that goes on without frames is ended.
    pub(super) fn last_words(&mut self) -> String {
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
fn listen(mut words: ChildStderr, name: &str, said: &Mutex<Said>) {
    let (mut buffer, mut line) = ([0; 1024], Vec::with_capacity(LINE));
    let tell = |line: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(line);
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if !text.trim().is_empty() {
            log::info!("{name}: {}", text.trim());
            said.lock().unwrap_or_else(PoisonError::into_inner).hear(text.trim());
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
    fn streams_of_libcamera() {
        let line = "[2:13:45.034] [8493]  INFO Camera camera.cpp:1215 configuring streams: (0) 1296x972-YUV420/sYCC (1) \
                    1296x972-SGBRG10_CSI2P/RAW";
        assert_eq!(stream(line), Some((Size::new(1296, 972), "sYCC".into())));
        assert_eq!(stream("configuring streams: (0) 640x360-YUV420"), Some((Size::new(640, 360), String::new())));
        for other in ["", "configuring streams: (0) ", "configuring streams: (0) x-", "configuring streams: (0) 1x2"] {
            assert_eq!(stream(other), None, "{other}");
        }
    }

    #[test]
    fn errors_are_remembered() {
        let mut said = Said::default();
        ["hello", "ERROR: *** no cameras available ***", "bye"].iter().for_each(|line| said.hear(line));
        assert_eq!(said.last, "ERROR: *** no cameras available ***");
    }
}
