//! Sources.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::super::devices::{self, CameraSpec, CsiSpec};
use super::super::pattern::{SMALLEST, TestSource};
use super::super::raw::{RawFormat, RawSource, buffered};
use super::super::sequence::{Pattern, Sequence};
use super::super::unpack::Packing;
use super::super::y4m::Y4mSource;
use super::super::{Clip, FrameSource, MAX_SIDE, OpenError, Place, Rate};
use super::{Parts, UriError};
use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;

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
    Camera(CameraSpec),
    Csi(CsiSpec),
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
            "v4l2" => camera(&mut parts)?,
            "csi" => csi(&mut parts)?,
            scheme => {
                let known = "v4l2://, csi://, file://, - and test:// are";
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

fn camera(parts: &mut Parts) -> Result<From, UriError> {
    let packing = match parts.take::<String>("format")?.as_deref() {
        None | Some("auto") => None,
        Some(name) => Some(Packing::NAMES.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, p)| *p))
            .map(|found| found.ok_or_else(|| parts.wrong("format is auto, nv12, yu12, yuyv, uyvy, mjpg or grey")))
            .transpose()?,
    };
    let (width, height) = parts.size()?;
    let input = parts.take("input")?;
    let path = parts.device("/dev/video0")?;
    // Rate, matrix and range are those of the whole URI.
    let (rate, matrix, range, patience) = (None, None, None, None);
    Ok(From::Camera(CameraSpec { path, width, height, rate, packing, input, matrix, range, patience }))
}

fn csi(parts: &mut Parts) -> Result<From, UriError> {
    let camera = match parts.path {
        "" => 0,
        number => number.parse().map_err(|_| parts.wrong("write csi://0, with the number of the camera"))?,
    };
    let usual = CsiSpec::default();
    let (width, height) = parts.size()?;
    let size = Size::new(width.unwrap_or(usual.size.width), height.unwrap_or(usual.size.height));
    let stride = parts.take::<usize>("stride")?;
    if stride.is_some_and(|stride| stride > 2 * MAX_SIDE) {
        return Err(parts.wrong("stride is the bytes of a row, which are not so many"));
    }
    let command = parts.take::<String>("command")?;
    if command.as_ref().is_some_and(|command| command.trim().is_empty()) {
        return Err(parts.wrong("command= is empty"));
    }
    // Rate, matrix and range are those of the whole URI.
    Ok(From::Csi(CsiSpec { camera, size, command, stride, ..usual }))
}

impl SourceUri {
    /// How long a camera that is gone is waited for, instead of for ever.
    pub fn set_patience(&mut self, limit: Duration) {
        match &mut self.from {
            From::Camera(spec) => spec.patience = Some(limit),
            From::Csi(spec) => spec.patience = Some(limit),
            _ => {}
        }
    }

    /// The file or folder that is read.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match &self.from {
            From::Stream { place: Place::File(path), .. } => Some(path.clone()),
            From::Pictures { pattern, .. } => Some(pattern.folder()),
            From::Camera(spec) => Some(spec.path.clone()),
            From::Stream { place: Place::Pipe, .. } | From::Test { .. } | From::Csi(_) => None,
        }
    }

    /// Do frames come from standard input?
    pub fn is_pipe(&self) -> bool {
        matches!(&self.from, From::Stream { place: Place::Pipe, .. })
    }

    /// Do frames come from a program that is started for them?
    pub fn is_program(&self) -> bool {
        matches!(&self.from, From::Csi(_))
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
            From::Camera(spec) => {
                let (rate, matrix, range) = (self.rate, self.matrix, self.range);
                devices::camera(&self.uri, CameraSpec { rate, matrix, range, ..spec.clone() })
            }
            From::Csi(spec) => {
                let (rate, matrix, range) = (self.rate.unwrap_or(spec.rate), self.matrix, self.range);
                if rate.frames == 0 {
                    let reason = "fps=0 is no rate of a camera".into();
                    return Err(OpenError::Corrupt { file: self.uri.clone(), reason });
                }
                devices::csi(&self.uri, CsiSpec { rate, matrix, range, ..spec.clone() })
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
