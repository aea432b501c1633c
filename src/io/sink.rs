//! From what a URI says to an open sink.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use super::destination::Destination;
use super::device::factory;
use super::error::{CreateError, WriteError};
use super::location::{Location, is_device, same_file};
use super::net::PageSink;
use super::uri::{SinkSpec, SinkUri, SourceSpec, SourceUri, UriError};
use super::video::{Clip, FrameSink, RawSink, SequenceSink, Shown, Y4mSink};
use crate::frame::{FrameFormat, Layout, Matrix, Range};

impl SinkUri {
    /// The frames that this sink takes when `frames` could be given: video keeps its planes, pictures are full-range
    /// RGB or grey, RGB becomes 4:4:4 for Y4M, in limited BT.601 unless source or sink say otherwise.
    ///
    /// # Errors
    ///
    /// When a raw format cannot be made of them, or an option of either URI would change nothing.
    pub fn takes(&self, frames: &FrameFormat, source: &SourceUri) -> Result<FrameFormat, UriError> {
        let (size, from) = (frames.size, frames.layout);
        let (shown, tagged) = match &self.spec {
            SinkSpec::Null { .. } | SinkSpec::VideoOutput(_) | SinkSpec::Page(_) => (from, true),
            SinkSpec::Y4m(_) if from == Layout::Rgb => (Layout::Yuv444, true),
            SinkSpec::Y4m(_) => (from, true),
            SinkSpec::Raw(_, raw) => (raw.layout(), false),
            SinkSpec::Pictures { .. } | SinkSpec::Display(..) | SinkSpec::Framebuffer(..) | SinkSpec::Panel(..) => {
                (if from == Layout::Gray { Layout::Gray } else { Layout::Rgb }, false)
            }
        };
        let to = match (from, shown) {
            (Layout::Rgb, Layout::Yuv444) => {
                let matrix = self.matrix.or(source.matrix).unwrap_or(Matrix::Bt601);
                let range = self.range.or(source.range).unwrap_or(Range::Limited);
                FrameFormat { matrix, range, ..FrameFormat::picture(size, shown) }
            }
            (Layout::Gray, Layout::Gray) if tagged => {
                FrameFormat { range: self.range.unwrap_or(frames.range), ..*frames }
            }
            (_, Layout::Gray) => {
                FrameFormat { range: self.range.unwrap_or(Range::Full), ..FrameFormat::picture(size, shown) }
            }
            (_, Layout::Rgb) if from != Layout::Gray => FrameFormat::picture(size, shown),
            _ if from == shown => FrameFormat { range: self.range.unwrap_or(frames.range), ..*frames },
            _ => {
                let reason = format!("the source is {}, which cannot be written as {}", from.name(), shown.name());
                return Err(UriError { uri: self.uri.clone(), reason });
            }
        };
        self.check_options(from, shown, source)?;
        // Everything else shows 8 bits, and gets what the network saw.
        let deep = matches!(&self.spec, SinkSpec::Y4m(_) | SinkSpec::Null { .. }) && frames.bits > 8;
        if deep && to.range != frames.range {
            let reason = "frames of 10 bits keep their range; leave 'range' out".into();
            return Err(UriError { uri: self.uri.clone(), reason });
        }
        Ok(FrameFormat { bits: if deep { frames.bits } else { 8 }, ..to })
    }

    /// Refuses options that change nothing in this combination of source and sink.
    fn check_options(&self, from: Layout, to: Layout, source: &SourceUri) -> Result<(), UriError> {
        // What is forgotten shows in its numbers only.
        let forgotten = matches!(&self.spec, SinkSpec::Null { .. });
        let made = from == Layout::Rgb && to.has_chroma();
        let shown = from.has_chroma() && to == Layout::Rgb;
        // The test picture is drawn in the colours that it is asked for; an output tells its device, a page shows them.
        let told = matches!(&self.spec, SinkSpec::VideoOutput(_) | SinkSpec::Page(_));
        let drawn = told || matches!(&source.spec, SourceSpec::Test(_));
        let y4m = told || matches!(&self.spec, SinkSpec::Y4m(_));
        let planes = from != Layout::Rgb;
        let converted = y4m || self.range.is_some() || from != to || to == Layout::Gray;
        let options = [
            ("matrix", source.matrix.is_some(), forgotten || made || shown || drawn && from.has_chroma(), &source.uri),
            ("range", source.range.is_some(), forgotten || made || planes && (drawn || converted), &source.uri),
            ("fps", source.rate.is_some(), forgotten || y4m || source.has_clock(), &source.uri),
            ("matrix", self.matrix.is_some(), !forgotten && made, &self.uri),
            ("range", self.range.is_some(), !forgotten && to != Layout::Rgb, &self.uri),
        ];
        let idle = options.into_iter().find(|(_, given, useful, _)| *given && !useful);
        idle.map_or(Ok(()), |(option, _, _, uri)| {
            let reason = format!(
                "'{option}' changes nothing when {} becomes {}, and is not taken for that reason",
                from.name(),
                to.name()
            );
            Err(UriError { uri: uri.clone(), reason })
        })
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
            | SinkSpec::Panel(..)
            | SinkSpec::Page(_) => None,
        };
        match (from, to) {
            (Some(from), Some(to)) if same_file(&from, &to) && !is_device(&to) => {
                Err(CreateError::SameFile { file: self.uri.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Bytes that a sink takes which keeps frames, and the run for it, when frames `to` are made of frames `from`.
    pub fn bytes(&self, from: &FrameFormat, to: &FrameFormat) -> usize {
        if let SinkSpec::Page(spec) = &self.spec { PageSink::bytes(spec, from, to) } else { 0 }
    }

    /// Begins the output; `clip.format` is what [`SinkUri::takes`] said, and what is made of frames of `from`.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(&self, clip: &Clip, from: &FrameFormat) -> Result<Box<dyn FrameSink>, CreateError> {
        match &self.spec {
            SinkSpec::Null { delay } => Ok(Box::new(Null { delay: *delay })),
            SinkSpec::VideoOutput(path) => factory::video_output(&self.uri, path, clip.format),
            SinkSpec::Display(spec, fit) => factory::display(&self.uri, spec.clone(), clip.format, *fit),
            SinkSpec::Framebuffer(path, fit) => factory::framebuffer(&self.uri, path, clip.format, *fit),
            SinkSpec::Panel(wiring, spec, fit) => factory::panel(&self.uri, wiring, spec, clip.format, *fit),
            SinkSpec::Page(spec) => match PageSink::open(&self.uri, spec, clip, *from) {
                Ok(sink) => Ok(Box::new(sink)),
                Err(error) => Err(error.create(&self.uri)),
            },
            SinkSpec::Pictures { pattern, start } => {
                Ok(Box::new(SequenceSink::create(pattern.clone(), *start, &clip.format)?))
            }
            SinkSpec::Raw(location, format) => {
                Ok(Box::new(RawSink::begin(self.destination(location)?, *format, clip.format)?))
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
