//! `csi://`: frames of a camera on the board's own connector, through the program that the board's maker has for it.
//!
//! A program that ends is a camera that is gone: it is started again, with pauses that grow.

mod child;
mod program;

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::devices::CsiSpec;
use super::{Arrival, Clip, FrameSource, OpenError, ReadError, Troubles};
use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;
use child::Child;
use program::{Host, Program};

/// Longest wait for bytes before the caller hears that there is no frame yet.
const WAIT: Duration = Duration::from_millis(100);
/// Longest wait for the first byte: sensors and firmware start in that time.
const START: Duration = Duration::from_secs(10);
/// A program that gives nothing for so long is started again.
const SILENCE: Duration = Duration::from_secs(5);
/// First and longest pause before a program is started again; each is twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

enum State {
    Running { child: Child, last: Instant },
    Gone { next: Instant, told: bool },
}

/// Frames of a program.
pub(super) struct CsiSource {
    name: String,
    program: Program,
    clip: Clip,
    state: State,
    patience: Option<Duration>,
    pause: Duration,
    /// Since when there is no frame.
    missed: Option<Instant>,
    filling: Filling,
    troubles: Troubles,
}

/// How far a frame has come.
struct Filling {
    size: Size,
    /// Bytes from row to row of luma.
    stride: usize,
    filled: usize,
    /// Padding that has not come yet.
    skip: usize,
    begun: Option<Instant>,
}

impl Filling {
    fn new(size: Size, stride: usize) -> Self {
        Self { size, stride, filled: 0, skip: 0, begun: None }
    }

    fn reset(&mut self) {
        (self.filled, self.skip, self.begun) = (0, 0, None);
    }

    /// Where the row ends that is being filled, and the padding behind it. Without padding all rows are one.
    fn row(&self) -> (usize, usize) {
        let Size { width, height } = self.size;
        let luma = width * height;
        if self.stride == width {
            (luma + luma / 2, 0)
        } else if self.filled < luma {
            ((self.filled / width + 1) * width, self.stride - width)
        } else {
            (luma + ((self.filled - luma) / (width / 2) + 1) * (width / 2), (self.stride - width) / 2)
        }
    }

    /// Takes bytes until the frame is whole, or none come for a while.
    fn fill(&mut self, frame: &mut [u8], child: &mut Child) -> io::Result<Filled> {
        let mut padding = [0; 256];
        let begin = Instant::now();
        while self.filled < frame.len() || self.skip > 0 {
            let (end, behind) = self.row();
            let to = match self.skip {
                0 => &mut frame[self.filled..end],
                skip => &mut padding[..skip.min(256)],
            };
            let read = match child.read(to, WAIT)? {
                None => return Ok(Filled::Partly),
                Some(0) => return Ok(Filled::Ended),
                Some(read) => read,
            };
            self.begun.get_or_insert_with(Instant::now);
            match self.skip {
                0 => {
                    self.filled += read;
                    self.skip = if self.filled == end { behind } else { 0 };
                }
                _ => self.skip -= read,
            }
            // Bytes that drip in must not keep the caller waiting.
            if begin.elapsed() > WAIT && (self.filled < frame.len() || self.skip > 0) {
                return Ok(Filled::Partly);
            }
        }
        let begun = self.begun;
        self.reset();
        Ok(Filled::Whole(begun))
    }
}

/// What came of filling a frame.
enum Filled {
    /// All of it; its first byte came then.
    Whole(Option<Instant>),
    /// More will come.
    Partly,
    /// No more will come.
    Ended,
}

impl CsiSource {
    pub(super) fn open(name: &str, spec: CsiSpec) -> Result<Self, OpenError> {
        let wrong = |reason| OpenError::Corrupt { file: name.to_string(), reason };
        let program = Program::choose(&spec, &Host::look()).map_err(wrong)?;
        log::info!("{name}: runs {}", program.line);
        let child = start(&program, spec.size).map_err(wrong)?;
        let (matrix, range) = colours(&child, &program);
        let format = FrameFormat {
            siting: Siting::Left,
            matrix: spec.matrix.unwrap_or(matrix),
            range: spec.range.unwrap_or(range),
            ..FrameFormat::picture(spec.size, Layout::Yuv420)
        };
        let stride = program.stride;
        log::info!("{name}: {}, {:?} {:?}, rows of {stride} bytes", spec.size, format.matrix, format.range);
        Ok(Self {
            name: name.to_string(),
            clip: Clip { format, rate: spec.rate, aspect: (1, 1), live: true },
            state: State::Running { child, last: Instant::now() },
            patience: spec.patience,
            pause: PAUSES.0,
            missed: None,
            filling: Filling::new(spec.size, stride),
            troubles: Troubles::default(),
            program,
        })
    }

    /// The program gives no more; from now on it is waited for.
    fn lose(&mut self, why: &str) {
        log::warn!("{}: {}: {why}; starting it again", self.name, self.program.name);
        self.troubles.damaged += u64::from(self.filling.filled > 0);
        self.filling.reset();
        let now = Instant::now();
        self.missed.get_or_insert(now);
        self.state = State::Gone { next: now + self.pause, told: false };
    }

    /// Starts the program again when it is time to.
    fn seek(&mut self) -> Result<Arrival, ReadError> {
        let State::Gone { next, told } = &mut self.state else { return Ok(Arrival::Pending) };
        let now = Instant::now();
        let missed = self.missed.map_or(Duration::ZERO, |since| now - since);
        if self.patience.is_some_and(|limit| missed >= limit) {
            let reason = format!("the camera is gone, and did not return within {missed:.1?}");
            return Err(ReadError::Io { file: self.name.clone(), source: io::Error::other(reason) });
        }
        if now < *next {
            sleep((*next - now).min(WAIT));
            return Ok(Arrival::Pending);
        }
        self.pause = (self.pause * 2).min(PAUSES.1);
        match Child::start(&self.program.name, &self.program.words) {
            // Whether it has returned shows once there is a frame.
            Ok(child) => self.state = State::Running { child, last: now },
            Err(error) => {
                if !std::mem::replace(told, true) {
                    log::info!("{}: {}: {error}; trying on", self.name, self.program.name);
                }
                *next = now + self.pause;
            }
        }
        Ok(Arrival::Pending)
    }
}

impl FrameSource for CsiSource {
    fn clip(&self) -> &Clip {
        &self.clip
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        let State::Running { child, last } = &mut self.state else { return self.seek() };
        match self.filling.fill(frame, child) {
            Ok(Filled::Whole(begun)) => {
                *last = Instant::now();
                // Only a frame shows that it has come back; a program that ends at once is tried less and less often.
                if self.missed.take().is_some() {
                    log::info!("{}: taken up again", self.name);
                    self.troubles.reconnects += 1;
                    self.pause = PAUSES.0;
                }
                Ok(Arrival::Frame(begun))
            }
            Ok(Filled::Partly) => {
                if last.elapsed() > SILENCE {
                    self.lose("no frame for 5 s");
                }
                Ok(Arrival::Pending)
            }
            Ok(Filled::Ended) => {
                let why = child.last_words();
                self.lose(&why);
                Ok(Arrival::Pending)
            }
            Err(error) => {
                self.lose(&error.to_string());
                Ok(Arrival::Pending)
            }
        }
    }

    fn troubles(&self) -> Troubles {
        self.troubles
    }

    fn is_prompt(&self) -> bool {
        true
    }
}

/// Starts the program and waits for its first byte; the reason why not is one that says what to do.
fn start(program: &Program, size: Size) -> Result<Child, String> {
    let name = &program.name;
    let mut child = Child::start(name, &program.words).map_err(|error| format!("cannot run {name}: {error}"))?;
    let begin = Instant::now();
    loop {
        match child.peek(WAIT).map_err(|error| format!("{name}: {error}"))? {
            Some(0) => return Err(format!("{name} gave no frame; {}", child.last_words())),
            Some(_) => break,
            None if begin.elapsed() > START => {
                return Err(format!("{name} gave no frame for {START:?}; {}", child.last_words()));
            }
            None => {}
        }
    }
    match child.stream() {
        Some((given, _)) if given != size => {
            Err(format!("{name} gives frames of {given} and not {size}; ask for those"))
        }
        _ => Ok(child),
    }
}

/// What libcamera said of its colours, else what the program is known for.
fn colours(child: &Child, program: &Program) -> (Matrix, Range) {
    let told = child.stream().map(|(_, colours)| colours).unwrap_or_default();
    match &*told {
        "sYCC" => (Matrix::Bt601, Range::Full),
        "SMPTE170M" => (Matrix::Bt601, Range::Limited),
        "Rec709" => (Matrix::Bt709, Range::Limited),
        _ => (program.matrix, program.range),
    }
}
