//! Sources.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::parts::{Parts, UriError};
use super::sink::{SinkSpec, SinkUri};
use crate::frame::{Layout, Matrix, Range};
use crate::geom::Size;
use crate::io::device::csi::spec::CsiSpec;
use crate::io::device::v4l2::spec::{CameraSpec, is_of_cameras};
use crate::io::limits::MAX_SIDE;
use crate::io::location::Location;
use crate::io::video::{LeaveOut, Pattern, Rate, SMALLEST, VideoFormat};

/// Where frames come from.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceUri {
    pub(in crate::io) uri: String,
    pub(in crate::io) spec: SourceSpec,
    pub(in crate::io) rate: Option<Rate>,
    pub(in crate::io) matrix: Option<Matrix>,
    pub(in crate::io) range: Option<Range>,
    pub(in crate::io) leave: LeaveOut,
    /// Are frames to be made of fields?
    pub(in crate::io) deinterlace: bool,
}

/// What a source is, by its kind.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::io) enum SourceSpec {
    Test(TestSpec),
    /// Y4M, or what ffmpeg reads.
    Video(Location),
    Raw {
        location: Location,
        format: VideoFormat,
        size: Size,
    },
    Pictures {
        pattern: Pattern,
        start: Option<u64>,
    },
    Camera(CameraSpec),
    Csi(CsiSpec),
    /// A stream of the network, through ffmpeg.
    Stream {
        url: String,
        patience: Option<Duration>,
    },
}

/// The test picture; after `frames` of them it ends.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::io) struct TestSpec {
    pub(in crate::io) size: Size,
    pub(in crate::io) layout: Layout,
    pub(in crate::io) frames: Option<u64>,
}

impl FromStr for SourceUri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        if NETWORK
            .iter()
            .any(|scheme| uri.split_once("://").is_some_and(|(given, rest)| given == *scheme && !rest.is_empty()))
        {
            return Ok(Self::stream(uri));
        }
        let mut parts = Parts::of(uri);
        let rate = parts.take("fps")?;
        let (matrix, range) = parts.colour()?;
        let spec = match parts.scheme {
            "test" => test(&mut parts)?,
            "file" => file(&mut parts)?,
            "v4l2" => camera(&mut parts)?,
            "csi" => csi(&mut parts)?,
            scheme => {
                let known = "v4l2://, csi://, rtsp://, http://, file://, - and test:// are";
                return Err(parts.wrong(format!("sources of kind '{scheme}' are not supported; {known}")));
            }
        };
        parts.end()?;
        Ok(Self { uri: uri.to_string(), spec, rate, matrix, range, leave: LeaveOut::default(), deinterlace: false })
    }
}

/// The kinds of streams that ffmpeg is asked for.
const NETWORK: &[&str] = &["rtsp", "rtsps", "http", "https"];

/// A URL without the password, for messages.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let host = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..host].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.into(),
    }
}

fn test(parts: &mut Parts) -> Result<SourceSpec, UriError> {
    if parts.path != "bars" {
        return Err(parts.wrong("the only test picture is test://bars"));
    }
    let format = parts.format(|format| format.is_planar())?.unwrap_or(VideoFormat::Yuv420p);
    let (width, height) = parts.size()?;
    let size = Size::new(width.unwrap_or(640), height.unwrap_or(360));
    if size.width < SMALLEST.width || size.height < SMALLEST.height {
        return Err(parts.wrong(format!("the frame counter needs {SMALLEST} or more")));
    }
    Ok(SourceSpec::Test(TestSpec { size, layout: format.layout(), frames: parts.take("frames")? }))
}

fn file(parts: &mut Parts) -> Result<SourceSpec, UriError> {
    if let Some(pattern) = Pattern::of(parts.path) {
        return Ok(SourceSpec::Pictures { pattern, start: parts.take("start")? });
    }
    let format = parts.format(VideoFormat::is_raw)?;
    let sides = parts.size()?;
    let location = parts.location()?;
    match (format, sides) {
        (None, (None, None)) => Ok(SourceSpec::Video(location)),
        (Some(format), (Some(width), Some(height))) => {
            Ok(SourceSpec::Raw { location, format, size: Size::new(width, height) })
        }
        _ => Err(parts.wrong("raw video needs ?format=, width= and height=")),
    }
}

fn camera(parts: &mut Parts) -> Result<SourceSpec, UriError> {
    let format = if parts.is("format", "auto") { None } else { parts.format(is_of_cameras)? };
    let (width, height) = parts.size()?;
    let input = parts.take("input")?;
    let path = parts.device("/dev/video0")?;
    // Rate, matrix and range are those of the whole URI.
    let (rate, matrix, range, patience) = (None, None, None, None);
    Ok(SourceSpec::Camera(CameraSpec { path, width, height, rate, format, input, matrix, range, patience }))
}

fn csi(parts: &mut Parts) -> Result<SourceSpec, UriError> {
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
    Ok(SourceSpec::Csi(CsiSpec { camera, size, command, stride, ..usual }))
}

impl SourceUri {
    /// All of the URI is the stream's: its options are none of ours.
    fn stream(uri: &str) -> Self {
        let spec = SourceSpec::Stream { url: uri.into(), patience: None };
        let (uri, leave) = (without_password(uri), LeaveOut::default());
        Self { uri, spec, rate: None, matrix: None, range: None, leave, deinterlace: false }
    }

    /// How long a camera that is gone is waited for, instead of for ever.
    ///
    /// # Errors
    ///
    /// When this is no camera.
    pub fn set_patience(&mut self, limit: Duration) -> Result<(), UriError> {
        match &mut self.spec {
            SourceSpec::Camera(spec) => spec.patience = Some(limit),
            SourceSpec::Csi(spec) => spec.patience = Some(limit),
            SourceSpec::Stream { patience, .. } => *patience = Some(limit),
            _ => return Err(self.wrong("nothing here is waited for; --reconnect is for cameras and streams")),
        }
        Ok(())
    }

    /// Frames that cannot be read are passed over.
    ///
    /// # Errors
    ///
    /// When there is no such thing here.
    pub fn set_lenient(&mut self) -> Result<(), UriError> {
        match &self.spec {
            SourceSpec::Video(_) | SourceSpec::Raw { .. } | SourceSpec::Pictures { .. } => self.leave.unreadable = true,
            SourceSpec::Test(_) | SourceSpec::Camera(_) | SourceSpec::Csi(_) | SourceSpec::Stream { .. } => {
                return Err(
                    self.wrong("--on-error is for files and pipes; damaged frames of cameras are always skipped")
                );
            }
        }
        Ok(())
    }

    /// Frames are made of the fields of interlaced video.
    ///
    /// # Errors
    ///
    /// When there can be none.
    pub fn set_deinterlace(&mut self) -> Result<(), UriError> {
        match &self.spec {
            SourceSpec::Video(Location::File(_)) | SourceSpec::Stream { .. } => self.deinterlace = true,
            _ => return Err(self.wrong("--deinterlace is for video files and streams that ffmpeg reads")),
        }
        Ok(())
    }

    /// Leaves out the pictures whose results at `sink` are finished.
    ///
    /// # Errors
    ///
    /// Where the frames have no names to be found under.
    pub fn set_finished(&mut self, sink: &SinkUri, scale: usize) -> Result<(), UriError> {
        match (&self.spec, &sink.spec) {
            (SourceSpec::Pictures { .. }, SinkSpec::Pictures { pattern, start: None }) => {
                self.leave.finished = Some((pattern.clone(), scale));
                Ok(())
            }
            (SourceSpec::Pictures { .. }, SinkSpec::Pictures { .. }) => {
                Err(self.wrong("--resume goes by the numbers of the source; leave start= of the sink out"))
            }
            _ => Err(self.wrong("--resume is for numbered pictures that become numbered pictures")),
        }
    }

    pub(in crate::io) fn wrong(&self, reason: impl Into<String>) -> UriError {
        UriError { uri: self.uri.clone(), reason: reason.into() }
    }

    /// Do frames come in their own time?
    pub(in crate::io) fn has_clock(&self) -> bool {
        matches!(&self.spec, SourceSpec::Test(_) | SourceSpec::Camera(_) | SourceSpec::Csi(_))
    }

    /// The file or folder that is read.
    pub(in crate::io) fn path(&self) -> Option<PathBuf> {
        match &self.spec {
            SourceSpec::Video(Location::File(path)) => Some(path.clone()),
            SourceSpec::Raw { location: Location::File(path), .. } => Some(path.clone()),
            SourceSpec::Pictures { pattern, .. } => Some(pattern.folder()),
            SourceSpec::Camera(spec) => Some(spec.path.clone()),
            SourceSpec::Video(_) | SourceSpec::Raw { .. } | SourceSpec::Test(_) | SourceSpec::Csi(_) => None,
            SourceSpec::Stream { .. } => None,
        }
    }

    /// Do frames come from standard input?
    pub fn is_pipe(&self) -> bool {
        let standard = Location::Standard;
        match &self.spec {
            SourceSpec::Video(location) | SourceSpec::Raw { location, .. } => *location == standard,
            _ => false,
        }
    }

    /// Is it a camera, whose pictures are noisy?
    pub fn is_camera(&self) -> bool {
        matches!(self.spec, SourceSpec::Camera(_) | SourceSpec::Csi(_))
    }

    /// May frames come from a program that is started for them?
    pub fn is_program(&self) -> bool {
        matches!(&self.spec, SourceSpec::Csi(_) | SourceSpec::Stream { .. } | SourceSpec::Video(Location::File(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_keep_their_options_and_show_no_password() {
        let uri: SourceUri = "rtsp://me:secret@cam:554/1?fps=b@c".parse().unwrap();
        assert_eq!(uri.uri, "rtsp://cam:554/1?fps=b@c");
        assert!(matches!(&uri.spec, SourceSpec::Stream { url, .. } if url == "rtsp://me:secret@cam:554/1?fps=b@c"));
        assert_eq!(without_password("http://cam/a@b"), "http://cam/a@b");
        for wrong in ["rtsp://", "ftp://x", "concat:a", "RTSP://x"] {
            assert!(!matches!(wrong.parse(), Ok(SourceUri { spec: SourceSpec::Stream { .. }, .. })), "{wrong}");
        }
    }
}
