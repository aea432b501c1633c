//! From what a URI says to an open sink.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use super::destination::Destination;
use super::device::factory;
use super::error::{CreateError, WriteError};
use super::location::{Location, is_device, same_file};
use super::uri::{SinkSpec, SinkUri, SourceSpec, SourceUri, UriError};
use super::video::{Clip, FrameSink, RawSink, SequenceSink, Shown, Y4mSink};
use crate::frame::{FrameFormat, Layout, Range};

impl SinkUri {
    /// The frames that this sink takes when `frames` could be given: video keeps its planes, pictures are full-range
    /// RGB or grey, RGB becomes 4:4:4 in limited BT.601 for Y4M.
    ///
    /// # Errors
    ///
    /// When a raw format cannot be made of them.
    pub fn takes(&self, frames: &FrameFormat) -> Result<FrameFormat, UriError> {
        let (size, from) = (frames.size, frames.layout);
        let wanted = match &self.spec {
            SinkSpec::Null { .. } | SinkSpec::VideoOutput(_) => return Ok(*frames),
            SinkSpec::Y4m(_) if from == Layout::Rgb => {
                let range = Range::Limited;
                return Ok(FrameFormat { range, ..FrameFormat::picture(size, Layout::Yuv444) });
            }
            SinkSpec::Y4m(_) => return Ok(*frames),
            SinkSpec::Pictures { .. } | SinkSpec::Display(..) | SinkSpec::Framebuffer(..) | SinkSpec::Panel(..) => {
                match from {
                    Layout::Gray => Layout::Gray,
                    _ => Layout::Rgb,
                }
            }
            SinkSpec::Raw(_, raw) => raw.layout(),
        };
        match (from, wanted) {
            (_, Layout::Gray) | (_, Layout::Rgb) if from != Layout::Gray || wanted == Layout::Gray => {
                Ok(FrameFormat::picture(size, wanted))
            }
            _ if from == wanted => Ok(*frames),
            _ => {
                let reason = format!("the source is {}, which cannot be written as {}", from.name(), wanted.name());
                Err(UriError { uri: self.uri.clone(), reason })
            }
        }
    }

    /// Do frames go to standard output?
    pub fn is_pipe(&self) -> bool {
        matches!(&self.spec, SinkSpec::Y4m(Location::Standard) | SinkSpec::Raw(Location::Standard, _))
    }

    /// Refuses names that tell no format, and to overwrite the source.
    ///
    /// # Errors
    ///
    /// The reason, before anything is touched.
    pub fn check(&self, source: &SourceUri) -> Result<(), CreateError> {
        if let SinkSpec::Y4m(Location::File(path)) = &self.spec {
            let wrong = |reason: &str| Err(CreateError::Unsupported { file: self.uri.clone(), reason: reason.into() });
            if path.is_dir() {
                return wrong("this is a folder; give a pattern such as %05d.png");
            }
            if path.extension().is_none_or(|e| e != "y4m") && !is_device(path) {
                return wrong("use a name that ends in .y4m, a pattern such as %05d.png, or ?format= for raw video");
            }
        }
        if let (SinkSpec::Pictures { pattern, .. }, SourceSpec::Pictures { pattern: from, .. }) =
            (&self.spec, &source.spec)
        {
            return match pattern.meets(from) {
                true => Err(CreateError::SameFile { file: self.uri.clone() }),
                false => Ok(()),
            };
        }
        let from = source.path();
        let to = match &self.spec {
            SinkSpec::Y4m(Location::File(path)) | SinkSpec::Raw(Location::File(path), _) => Some(path.clone()),
            SinkSpec::Pictures { pattern, .. } => Some(pattern.folder()),
            SinkSpec::VideoOutput(path) | SinkSpec::Framebuffer(path, _) => Some(path.clone()),
            SinkSpec::Y4m(Location::Standard)
            | SinkSpec::Raw(Location::Standard, _)
            | SinkSpec::Null { .. }
            | SinkSpec::Display(..)
            | SinkSpec::Panel(..) => None,
        };
        match (from, to) {
            (Some(from), Some(to)) if same_file(&from, &to) && !is_device(&to) => {
                Err(CreateError::SameFile { file: self.uri.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Begins the output; `clip.format` is what [`SinkUri::takes`] said.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(&self, clip: &Clip) -> Result<Box<dyn FrameSink>, CreateError> {
        match &self.spec {
            SinkSpec::Null { delay } => Ok(Box::new(Null { delay: *delay })),
            SinkSpec::VideoOutput(path) => factory::video_output(&self.uri, path, clip.format),
            SinkSpec::Display(spec, fit) => factory::display(&self.uri, spec.clone(), clip.format, *fit),
            SinkSpec::Framebuffer(path, fit) => factory::framebuffer(&self.uri, path, clip.format, *fit),
            SinkSpec::Panel(wiring, spec, fit) => factory::panel(&self.uri, wiring, spec, clip.format, *fit),
            SinkSpec::Pictures { pattern, start } => {
                Ok(Box::new(SequenceSink::create(pattern.clone(), *start, &clip.format)?))
            }
            SinkSpec::Raw(location, format) => {
                Ok(Box::new(RawSink::new(self.destination(location)?, *format, clip.format)))
            }
            SinkSpec::Y4m(location) => Ok(Box::new(Y4mSink::begin(self.destination(location)?, clip)?)),
        }
    }

    fn destination(&self, location: &Location) -> Result<Destination, CreateError> {
        if *location == Location::Standard && stdout().is_terminal() {
            let reason = "video is not written to a terminal; redirect it or name a file".into();
            return Err(CreateError::Unsupported { file: "standard output".into(), reason });
        }
        Destination::open(location).map_err(|source| CreateError::Io { file: location.to_string(), source })
    }
}

/// Takes frames and forgets them, as slowly as it is told to.
struct Null {
    delay: Duration,
}

impl FrameSink for Null {
    fn write(&mut self, _: &[u8]) -> Result<Shown, WriteError> {
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
        Ok(Shown::Now)
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }
}
