//! Where frames come from and go to, as URIs. Names are taken as they stand: `%` begins a number, not an escape.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin, stdout};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::destination::Destination;
use super::pattern::{SMALLEST, TestSource};
use super::raw::{RawFormat, RawSink, RawSource, buffered};
use super::sequence::{Pattern, Sequence, SequenceSink};
use super::y4m::{Y4mSink, Y4mSource};
use super::{Clip, CreateError, FrameSink, FrameSource, MAX_SIDE, OpenError, Place, Rate, WriteError, same_file};
use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;

/// What is wrong with a URI; one line.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{uri}: {reason}")]
pub struct UriError {
    uri: String,
    reason: String,
}

/// Where frames come from.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceUri {
    uri: String,
    from: From,
    rate: Option<Rate>,
    matrix: Option<Matrix>,
    range: Option<Range>,
}

#[derive(Clone, Debug, PartialEq)]
enum From {
    Test { size: Size, layout: Layout, frames: Option<u64> },
    Stream { place: Place, raw: Option<(RawFormat, Size)> },
    Pictures { pattern: Pattern, start: Option<u64> },
}

/// Where frames go to.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkUri {
    uri: String,
    to: To,
}

#[derive(Clone, Debug, PartialEq)]
enum To {
    Y4m(Place),
    Raw(Place, RawFormat),
    Pictures { pattern: Pattern, start: Option<u64> },
    Null { delay: Duration },
}

/// A URI in its parts.
struct Parts<'a> {
    uri: &'a str,
    scheme: &'a str,
    path: &'a str,
    query: Vec<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    fn of(uri: &'a str) -> Self {
        let (scheme, rest) = uri.split_once("://").unwrap_or(("file", uri));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self { uri, scheme, path, query: pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect() }
    }

    fn wrong(&self, reason: impl Into<String>) -> UriError {
        UriError { uri: self.uri.to_string(), reason: reason.into() }
    }

    /// The value of `key`, which is then done with.
    fn take<T: FromStr<Err: std::fmt::Display>>(&mut self, key: &str) -> Result<Option<T>, UriError> {
        let Some(at) = self.query.iter().position(|(k, _)| *k == key) else { return Ok(None) };
        let (_, value) = self.query.remove(at);
        value.parse().map(Some).map_err(|e| self.wrong(format!("{key}={value}: {e}")))
    }

    fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>, UriError> {
        let Some(value) = self.take::<String>(key)? else { return Ok(None) };
        let found = choices.iter().find(|(name, _)| *name == value);
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        found.map(|(_, v)| Some(*v)).ok_or_else(|| self.wrong(format!("{key}={value}: {} are known", names.join(", "))))
    }

    fn size(&mut self) -> Result<(Option<usize>, Option<usize>), UriError> {
        let sides = (self.take("width")?, self.take("height")?);
        match [sides.0, sides.1].iter().flatten().all(|side| (1..=MAX_SIDE).contains(side)) {
            true => Ok(sides),
            false => Err(self.wrong(format!("width and height are from 1 to {MAX_SIDE}"))),
        }
    }

    /// Everything must have been of use.
    fn end(&self) -> Result<(), UriError> {
        self.query.first().map_or(Ok(()), |(key, _)| Err(self.wrong(format!("'{key}' is not an option here"))))
    }

    fn place(&self) -> Result<Place, UriError> {
        match self.path {
            "" => Err(self.wrong("the name of a file is missing")),
            path => Ok(Place::from(path.as_ref())),
        }
    }
}

impl FromStr for SourceUri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        let mut parts = Parts::of(uri);
        let rate = parts.take("fps")?;
        let matrix = parts.choice("matrix", &[("bt601", Matrix::Bt601), ("bt709", Matrix::Bt709)])?;
        let range = parts.choice("range", &[("limited", Range::Limited), ("full", Range::Full)])?;
        let from = match parts.scheme {
            "test" => test(&mut parts)?,
            "file" => file(&mut parts)?,
            scheme => {
                let known = "test://, file:// and - are";
                return Err(parts.wrong(format!("sources of kind '{scheme}' are not supported; {known}")));
            }
        };
        parts.end()?;
        Ok(Self { uri: uri.to_string(), from, rate, matrix, range })
    }
}

fn test(parts: &mut Parts) -> Result<From, UriError> {
    if parts.path != "bars" {
        return Err(parts.wrong("the only test picture is test://bars"));
    }
    let layouts = [
        ("yuv420p", Layout::Yuv420),
        ("yuv422p", Layout::Yuv422),
        ("yuv444p", Layout::Yuv444),
        ("gray", Layout::Gray),
        ("rgb24", Layout::Rgb),
    ];
    let layout = parts.choice("format", &layouts)?.unwrap_or(Layout::Yuv420);
    let (width, height) = parts.size()?;
    let size = Size::new(width.unwrap_or(640), height.unwrap_or(360));
    if size.width < SMALLEST.width || size.height < SMALLEST.height {
        return Err(parts.wrong(format!("the frame counter needs {SMALLEST} or more")));
    }
    Ok(From::Test { size, layout, frames: parts.take("frames")? })
}

fn file(parts: &mut Parts) -> Result<From, UriError> {
    if let Some(pattern) = Pattern::of(parts.path) {
        return Ok(From::Pictures { pattern, start: parts.take("start")? });
    }
    let format = parts.take::<RawFormat>("format")?;
    let raw = match (format, parts.size()?) {
        (None, (None, None)) => None,
        (Some(format), (Some(width), Some(height))) => Some((format, Size::new(width, height))),
        _ => return Err(parts.wrong("raw video needs ?format=, width= and height=")),
    };
    Ok(From::Stream { place: parts.place()?, raw })
}

impl SourceUri {
    /// Do frames come from standard input?
    pub fn is_pipe(&self) -> bool {
        matches!(&self.from, From::Stream { place: Place::Pipe, .. })
    }

    /// Opens the source and reads as far as its first frame.
    ///
    /// # Errors
    ///
    /// When it is missing, no video, or of a kind that is not supported.
    pub fn open(&self) -> Result<Box<dyn FrameSource>, OpenError> {
        let format = FrameFormat::picture(Size::new(1, 1), Layout::Rgb);
        let mut clip = Clip { format, rate: self.rate.unwrap_or(Rate::USUAL), aspect: (1, 1), live: false };
        match &self.from {
            From::Test { size, layout, frames } => {
                clip.rate = self.rate.unwrap_or(Rate { frames: 30, seconds: 1 });
                clip.live = clip.rate.frames > 0;
                let range = if layout.has_chroma() { Range::Limited } else { Range::Full };
                clip.format = FrameFormat {
                    siting: Siting::Left,
                    matrix: self.matrix.unwrap_or(Matrix::Bt601),
                    range: self.range.unwrap_or(range),
                    ..FrameFormat::picture(*size, *layout)
                };
                Ok(Box::new(TestSource::new(clip, *frames)))
            }
            From::Pictures { pattern, start } => Ok(Box::new(Sequence::open(pattern.clone(), *start, clip)?)),
            From::Stream { place, raw: Some((raw, size)) } => {
                clip.format = raw.frame(*size, self.matrix, self.range);
                let (name, stream) = stream(place)?;
                Ok(Box::new(RawSource::new(buffered(stream), &name, *raw, clip)))
            }
            From::Stream { place, raw: None } => {
                let (name, stream) = stream(place)?;
                let mut source = Y4mSource::open(buffered(stream), &name)?;
                source.set_colour(self.matrix, self.range);
                Ok(Box::new(source))
            }
        }
    }
}

fn stream(place: &Place) -> Result<(String, Box<dyn Read + Send>), OpenError> {
    match place {
        Place::Pipe if stdin().is_terminal() => {
            let reason = "this is a terminal; pipe a video in or name a file".into();
            Err(OpenError::Corrupt { file: "standard input".into(), reason })
        }
        Place::Pipe => Ok(("standard input".into(), Box::new(stdin()))),
        Place::File(path) => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|source| OpenError::Io { file: name.clone(), source })?;
            if path.is_dir() {
                let reason = "this is a folder; give a pattern such as %05d.png".into();
                return Err(OpenError::Corrupt { file: name, reason });
            }
            Ok((name, Box::new(file)))
        }
    }
}

impl FromStr for SinkUri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        let mut parts = Parts::of(uri);
        let to = match parts.scheme {
            "null" => {
                let delay = parts.take::<String>("delay")?.map(|text| parse_duration(&text));
                To::Null { delay: delay.transpose().map_err(|e| parts.wrong(e))?.unwrap_or_default() }
            }
            "file" => sink_file(&mut parts)?,
            scheme => {
                let known = "file://, null:// and - are";
                return Err(parts.wrong(format!("sinks of kind '{scheme}' are not supported; {known}")));
            }
        };
        parts.end()?;
        Ok(Self { uri: uri.to_string(), to })
    }
}

fn sink_file(parts: &mut Parts) -> Result<To, UriError> {
    if let Some(pattern) = Pattern::of(parts.path) {
        return Ok(To::Pictures { pattern, start: parts.take("start")? });
    }
    let place = parts.place()?;
    if let Some(raw) = parts.take("format")? {
        return Ok(To::Raw(place, raw));
    }
    match &place {
        Place::File(path) if path.is_dir() => Err(parts.wrong("this is a folder; give a pattern such as %05d.png")),
        Place::File(path) if path.extension().is_none_or(|e| e != "y4m") && !is_device(path) => {
            Err(parts.wrong("use a name that ends in .y4m, a pattern such as %05d.png, or ?format= for raw video"))
        }
        _ => Ok(To::Y4m(place)),
    }
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir())
}

impl SinkUri {
    /// The frames that this sink takes when `frames` could be given: video keeps its planes, pictures are full-range
    /// RGB or grey, RGB becomes 4:4:4 in limited BT.601 for Y4M.
    ///
    /// # Errors
    ///
    /// When a raw format cannot be made of them.
    pub fn takes(&self, frames: &FrameFormat) -> Result<FrameFormat, UriError> {
        let (size, from) = (frames.size, frames.layout);
        let wanted = match &self.to {
            To::Null { .. } => return Ok(*frames),
            To::Y4m(_) if from == Layout::Rgb => {
                let range = Range::Limited;
                return Ok(FrameFormat { range, ..FrameFormat::picture(size, Layout::Yuv444) });
            }
            To::Y4m(_) => return Ok(*frames),
            To::Pictures { .. } if from == Layout::Gray => Layout::Gray,
            To::Pictures { .. } => Layout::Rgb,
            To::Raw(_, raw) => raw.layout(),
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
        matches!(&self.to, To::Y4m(Place::Pipe) | To::Raw(Place::Pipe, _))
    }

    /// Refuses to overwrite the source.
    pub fn check(&self, source: &SourceUri) -> Result<(), CreateError> {
        let path = |place: &Place| match place {
            Place::File(path) => Some(path.clone()),
            Place::Pipe => None,
        };
        let from: Option<PathBuf> = match &source.from {
            From::Stream { place, .. } => path(place),
            From::Pictures { pattern, .. } => Some(pattern.folder()),
            From::Test { .. } => None,
        };
        let to = match &self.to {
            To::Y4m(place) | To::Raw(place, _) => path(place),
            To::Pictures { pattern, .. } => Some(pattern.folder()),
            To::Null { .. } => None,
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
        match &self.to {
            To::Null { delay } => Ok(Box::new(Null { delay: *delay })),
            To::Pictures { pattern, start } => {
                Ok(Box::new(SequenceSink::create(pattern.clone(), *start, &clip.format)?))
            }
            To::Raw(place, raw) => Ok(Box::new(RawSink::new(self.destination(place)?, *raw, clip.format))),
            To::Y4m(place) => Y4mSink::begin(self.destination(place)?, clip)
                .map(|sink| Box::new(sink) as Box<dyn FrameSink>)
                .map_err(|error| match error {
                    WriteError::Io { file, source } => CreateError::Io { file, source },
                    WriteError::Encode { file, reason } => CreateError::Unsupported { file, reason },
                }),
        }
    }

    fn destination(&self, place: &Place) -> Result<Destination, CreateError> {
        if *place == Place::Pipe && stdout().is_terminal() {
            let reason = "video is not written to a terminal; redirect it or name a file".into();
            return Err(CreateError::Unsupported { file: "standard output".into(), reason });
        }
        Destination::open(place).map_err(|source| CreateError::Io { file: place.to_string(), source })
    }
}

/// Takes frames and forgets them, as slowly as it is told to.
struct Null {
    delay: Duration,
}

impl FrameSink for Null {
    fn write(&mut self, _: &[u8]) -> Result<(), WriteError> {
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Ok(())
    }
}

/// `20ms`, `1.5s`, `2m`, `1h`; a number alone is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a duration; write 20ms, 1.5s, 2m or 1h");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match &text[end..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = text[..end].parse().map_err(|_| wrong())?;
    Some(number * unit).filter(|s| *s < 1e8).map(Duration::from_secs_f64).ok_or_else(wrong)
}
