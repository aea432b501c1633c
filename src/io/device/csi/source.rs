//! Frames of a program. A program that ends is a camera that is gone: it is started again, with pauses that grow.

use std::io;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::program::{Host, Program};
use super::spec::CsiSpec;
use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;
use crate::io::child::Child;
use crate::io::error::{DeviceError, ReadError};
use crate::io::reconnect::{Pauses, Reconnect, Step};
use crate::io::video::{Arrival, Clip, FrameSource, Troubles};

/// Longest wait for bytes before the caller hears that there is no frame yet.
const WAIT: Duration = Duration::from_millis(100);
/// Longest wait for the first byte: sensors and firmware start in that time.
const START: Duration = Duration::from_secs(10);
/// A program that gives nothing for so long is started again.
const SILENCE: Duration = Duration::from_secs(5);

/// A program that was started.
struct Running {
    child: Child,
    /// When its last frame was whole, or it was started.
    last: Instant,
}

/// Frames of a program.
pub(in crate::io) struct CsiSource {
    program: Program,
    clip: Clip,
    camera: Reconnect<Running>,
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
    pub(in crate::io) fn open(name: &str, spec: CsiSpec) -> Result<Self, DeviceError> {
        let program = Program::choose(&spec, &Host::look())?;
        log::info!("{name}: runs {}", program.line);
        let child = start(&program, spec.size)?;
        let (matrix, range) = colours(&child, &program);
        let format = FrameFormat {
            siting: Siting::Left,
            matrix: spec.matrix.unwrap_or(matrix),
            range: spec.range.unwrap_or(range),
            ..FrameFormat::picture(spec.size, Layout::Yuv420)
        };
        let stride = program.stride;
        log::info!("{name}: {}, {:?} {:?}, rows of {stride} bytes", spec.size, format.matrix, format.range);
        let running = Running { child, last: Instant::now() };
        Ok(Self {
            clip: Clip { format, rate: spec.rate, aspect: (1, 1), live: true },
            camera: Reconnect::new(name, running, Pauses::GROWING, spec.patience),
            filling: Filling::new(spec.size, stride),
            troubles: Troubles::default(),
            program,
        })
    }

    /// The program gives no more; from now on it is waited for.
    fn lose(&mut self, why: &str) {
        self.troubles.damaged += u64::from(self.filling.filled > 0);
        self.filling.reset();
        self.camera.lose(Instant::now(), format_args!("{}: {why}", self.program.name));
    }

    /// Starts the program again when it is time to.
    fn seek(&mut self) -> Result<Arrival, ReadError> {
        let now = Instant::now();
        match self.camera.step(now) {
            Step::Wait(time) => sleep(time.min(WAIT)),
            Step::Try => {
                let name = &self.program.name;
                let child = begin(&self.program).map_err(|error| format!("{name}: {error}"));
                self.camera.tried(now, child.map(|child| Running { child, last: now }));
            }
            Step::GiveUp(away) => return Err(self.camera.given_up(away)),
        }
        Ok(Arrival::Pending)
    }
}

impl FrameSource for CsiSource {
    fn clip(&self) -> &Clip {
        &self.clip
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        let Some(Running { child, last }) = self.camera.device() else { return self.seek() };
        match self.filling.fill(frame, child) {
            Ok(Filled::Whole(begun)) => {
                *last = Instant::now();
                let now = *last;
                self.camera.works(now);
                return Ok(Arrival::Frame(begun));
            }
            Ok(Filled::Partly) => {
                if last.elapsed() > SILENCE {
                    self.lose("no frame for 5 s");
                }
            }
            Ok(Filled::Ended) => {
                let why = child.last_words();
                self.lose(&why);
            }
            Err(error) => self.lose(&error.to_string()),
        }
        Ok(Arrival::Pending)
    }

    fn troubles(&self) -> Troubles {
        Troubles { reconnects: self.camera.reconnects(), ..self.troubles }
    }

    fn is_prompt(&self) -> bool {
        true
    }
}

/// What libcamera says before it tells of its streams.
const STREAMS: &str = "configuring streams: (0) ";

fn begin(program: &Program) -> io::Result<Child> {
    let (first, rest) = program.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Child::start(&program.name, Command::new(first).args(rest), STREAMS)
}

/// The first stream's size and colours.
fn stream_of(child: &Child) -> Option<(Size, String)> {
    stream(&child.marked()?)
}

/// `... configuring streams: (0) 640x360-YUV420/sYCC (1) ...`, of which the first is read.
fn stream(line: &str) -> Option<(Size, String)> {
    let (_, streams) = line.split_once(STREAMS)?;
    let (size, format) = streams.split_whitespace().next()?.split_once('-')?;
    let (width, height) = size.split_once('x')?;
    let colours = format.split_once('/').map_or("", |(_, colours)| colours);
    Some((Size::new(width.parse().ok()?, height.parse().ok()?), colours.to_string()))
}

/// Starts the program and waits for its first byte; the reason why not is one that says what to do.
fn start(program: &Program, size: Size) -> Result<Child, DeviceError> {
    let name = &program.name;
    let mut child = begin(program).map_err(|error| {
        let reason = format!("cannot run {name}: {error}");
        DeviceError::of(error, reason)
    })?;
    let begin = Instant::now();
    loop {
        let peeked = child.peek(WAIT).map_err(|error| {
            let reason = format!("{name}: {error}");
            DeviceError::of(error, reason)
        });
        match peeked? {
            Some(0) => return Err(format!("{name} gave no frame; {}", child.last_words()).into()),
            Some(_) => break,
            None if begin.elapsed() > START => {
                return Err(format!("{name} gave no frame for {START:?}; {}", child.last_words()).into());
            }
            None => {}
        }
    }
    match stream_of(&child) {
        Some((given, _)) if given != size => {
            Err(format!("{name} gives frames of {given} and not {size}; ask for those").into())
        }
        _ => Ok(child),
    }
}

/// What libcamera said of its colours, else what the program is known for.
fn colours(child: &Child, program: &Program) -> (Matrix, Range) {
    let told = stream_of(child).map(|(_, colours)| colours).unwrap_or_default();
    match &*told {
        "sYCC" => (Matrix::Bt601, Range::Full),
        "SMPTE170M" => (Matrix::Bt601, Range::Limited),
        "Rec709" => (Matrix::Bt709, Range::Limited),
        _ => (program.matrix, program.range),
    }
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
}
