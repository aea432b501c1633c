//! Sources and sinks of whole frames.

use std::ops::Range;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::time::Instant;

use crate::frame::FrameFormat;
use crate::io::error::{ReadError, WriteError};

/// What a stream of frames says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// Its frames.
    pub format: FrameFormat,
    /// Frames a second, as the source says; nothing is paced by it.
    pub rate: Rate,
    /// Width over height of a pixel; `(0, 0)` is unknown.
    pub aspect: (u32, u32),
    /// Do frames go by whether or not anybody takes them?
    pub live: bool,
}

/// Frames a second as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Frames.
    pub frames: u32,
    /// In so many seconds; not zero.
    pub seconds: u32,
}

impl Rate {
    /// 25 frames a second, where a source does not say.
    pub const USUAL: Self = Self { frames: 25, seconds: 1 };

    /// Whole frames in a time, to the nearest.
    pub fn frames_in(self, time: Duration) -> usize {
        (time.as_secs_f64() * f64::from(self.frames) / f64::from(self.seconds)).round() as usize
    }

    /// From one frame to the next; none where the source does not say.
    pub fn period(self) -> Option<Duration> {
        (self.frames > 0).then(|| Duration::from_secs_f64(f64::from(self.seconds) / f64::from(self.frames)))
    }
}

impl FromStr for Rate {
    type Err = String;

    /// `30`, `29.97`, `30000/1001`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a frame rate; write 30, 29.97 or 30000/1001");
        if let Some((frames, seconds)) = text.split_once(['/', ':']) {
            let (frames, seconds) = (frames.parse().map_err(|_| wrong())?, seconds.parse().map_err(|_| wrong())?);
            return if seconds > 0 { Ok(Self { frames, seconds }) } else { Err(wrong()) };
        }
        match text.parse::<f64>() {
            Ok(v) if v == v.trunc() && (0.0..1e6).contains(&v) => Ok(Self { frames: v as u32, seconds: 1 }),
            Ok(v) if (0.0..1e6).contains(&v) => Ok(Self { frames: (v * 1000.0).round() as u32, seconds: 1000 }),
            _ => Err(wrong()),
        }
    }
}

/// What came of asking a source for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A frame, and when its device took it, if the device says.
    Frame(Option<Instant>),
    /// None yet; ask again. Sources that wait for a device say so several times a second.
    Pending,
    /// There are no more.
    End,
}

impl Arrival {
    /// Has a frame come?
    pub fn is_frame(self) -> bool {
        matches!(self, Self::Frame(_))
    }
}

/// What became of a frame that a sink took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It is handed on.
    Now,
    /// It is seen, since this moment.
    At(Instant),
    /// The device is away and waited for; the frame is dropped.
    Nowhere,
}

/// What went wrong at a device and was survived, counted since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Troubles {
    /// Frames that came damaged and were passed over.
    pub damaged: u64,
    /// Frames that the device took and nobody fetched in time, by its own count; numbers that have no picture.
    pub missed: u64,
    /// Times that a stream broke down and was started again.
    pub restarts: u64,
    /// Times that a device was gone and was taken up again.
    pub reconnects: u64,
}

/// Frames that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Number of the first, where frames have numbers of their own.
    pub first: Option<u64>,
    /// How many.
    pub frames: u64,
}

impl Gap {
    /// One frame without a number.
    pub const ONE: Self = Self { first: None, frames: 1 };
}

/// Gives frames, first to last.
pub trait FrameSource: Send {
    /// What comes.
    fn clip(&self) -> &Clip;

    /// Fills `frame`, which has `clip().format.bytes()` bytes, and waits for it if it must. After
    /// [`Arrival::Pending`] it is called again with the frame as it left it.
    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError>;

    /// Number of the frame that came last, where frames have numbers of their own.
    fn number(&self) -> Option<u64> {
        None
    }

    /// Time stamp of the frame that came last, in ticks of the source, where frames have their own.
    fn time(&self) -> Option<i64> {
        None
    }

    /// After an error: passes over what it was about, and counts it. `None` where nothing can follow.
    fn pass_over(&mut self) -> Option<Gap> {
        None
    }

    /// What went wrong until now and was survived.
    fn troubles(&self) -> Troubles {
        Troubles::default()
    }

    /// Does `read` come back several times a second whatever happens, and is there something to end in good order?
    /// Then the end of a run waits for the source.
    fn is_prompt(&self) -> bool {
        false
    }
}

/// Where people may look at a run: whether they do, and what is said of it.
#[derive(Debug, Default)]
pub struct Audience {
    watches: AtomicBool,
    said: Mutex<String>,
}

impl Audience {
    /// Does anybody look?
    pub fn watches(&self) -> bool {
        self.watches.load(Ordering::Relaxed)
    }

    pub(in crate::io) fn set_watches(&self, watches: bool) {
        self.watches.store(watches, Ordering::Relaxed);
    }

    /// Puts up statistics, as JSON, in the place of those before.
    pub fn tell(&self, json: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.clear();
        said.push_str(json);
    }

    /// What was told last; nothing at first.
    pub(in crate::io) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes frames, first to last.
///
/// A sink that is dropped before [`FrameSink::finish`] leaves no unfinished file behind.
pub trait FrameSink: Send {
    /// Takes a frame of the format that the sink was made for; returns once it is handed on.
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError>;

    /// Number of the frame that is written next, where the source's have numbers.
    fn set_number(&mut self, _: u64) {}

    /// Rows of the frame that is written next of which the others are as in the frame before; all where this is not called.
    fn set_changed(&mut self, _: Range<usize>) {}

    /// Time stamp of the frame that is written next, where the source's have their own.
    fn set_time(&mut self, _: i64) {}

    /// Those who look at the run through this sink, if that is what it is for.
    fn audience(&self) -> Option<Arc<Audience>> {
        None
    }

    /// The source's frame, in 8 bits, that the frame written next was made of; only while the audience watches.
    fn set_source(&mut self, _: &[u8]) {}

    /// Is it played later, at its rate?
    fn is_recording(&self) -> bool {
        false
    }

    /// Is it looked at as it is written? Then a file is shown at its rate.
    fn is_watched(&self) -> bool {
        false
    }

    /// Completes the file and gives it its name. After a failure of [`FrameSink::write`], it keeps what was whole before.
    fn finish(self: Box<Self>) -> Result<(), WriteError>;

    /// What went wrong until now and was survived.
    fn troubles(&self) -> Troubles {
        Troubles::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let rate = |frames, seconds| Ok(Rate { frames, seconds });
        assert_eq!("30".parse(), rate(30, 1));
        assert_eq!("29.97".parse(), rate(29_970, 1000));
        assert_eq!("30000/1001".parse(), rate(30_000, 1001));
        for wrong in ["", "x", "-1", "1/0", "1e9", "nan"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
