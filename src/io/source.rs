//! From what a URI says to an open source.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::Path;
use std::time::Duration;

use super::device::csi::spec::CsiSpec;
use super::device::factory;
use super::device::v4l2::spec::CameraSpec;
use super::error::OpenError;
use super::location::Location;
use super::uri::{SourceSpec, SourceUri, TestSpec};
#[cfg(unix)]
use super::video::ffmpeg::{Decoding, Known, Movie};
use super::video::{Clip, FrameSource, Rate, RawSource, Sequence, TestSource, Y4mSource, buffered, y4m};
use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;

impl SourceUri {
    /// Opens the source and reads as far as its first frame.
    ///
    /// # Errors
    ///
    /// When it is missing, no video, or of a kind that is not supported.
    pub fn open(&self) -> Result<Box<dyn FrameSource>, OpenError> {
        let format = FrameFormat::picture(Size::new(1, 1), Layout::Rgb);
        let mut clip = Clip { format, rate: self.rate.unwrap_or(Rate::USUAL), aspect: (1, 1), live: false };
        match &self.spec {
            SourceSpec::Test(TestSpec { size, layout, frames }) => {
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
            SourceSpec::Camera(spec) => {
                let (rate, matrix, range) = (self.rate, self.matrix, self.range);
                factory::camera(&self.uri, CameraSpec { rate, matrix, range, ..spec.clone() })
            }
            SourceSpec::Csi(spec) => {
                let (rate, matrix, range) = (self.rate.unwrap_or(spec.rate), self.matrix, self.range);
                if rate.frames == 0 {
                    let reason = "fps=0 is no rate of a camera".into();
                    return Err(OpenError::Unsupported { file: self.uri.clone(), reason });
                }
                factory::csi(&self.uri, CsiSpec { rate, matrix, range, ..spec.clone() })
            }
            SourceSpec::Pictures { pattern, start } => {
                Ok(Box::new(Sequence::open(pattern.clone(), *start, clip, self.leave.clone())?))
            }
            SourceSpec::Raw { location, format, size } => {
                clip.format = format.frame(*size, self.matrix, self.range);
                let (name, stream) = stream(location)?;
                Ok(Box::new(RawSource::new(buffered(stream), &name, *format, clip)))
            }
            SourceSpec::Video(location) => {
                let (name, stream) = stream(location)?;
                let mut reader = buffered(stream);
                // What is in a pipe has been taken out of it: only Y4M is read there.
                if let (Location::File(path), false) = (location, y4m::begins(&mut reader, &name)?) {
                    drop(reader);
                    return self.movie(path);
                }
                let mut source = Y4mSource::open(reader, &name)?;
                source.correct(self.rate, self.matrix, self.range);
                if self.deinterlace {
                    let reason = "--deinterlace is for what ffmpeg reads; Y4M with fields is not supported".into();
                    return Err(OpenError::Unsupported { file: name, reason });
                }
                Ok(Box::new(source))
            }
            SourceSpec::Stream { url, patience } => self.network(url, *patience),
        }
    }
}

#[cfg(unix)]
impl SourceUri {
    /// A file that ffmpeg reads.
    fn movie(&self, path: &Path) -> Result<Box<dyn FrameSource>, OpenError> {
        self.decoded(&Movie::open(path)?, false, None)
    }

    /// A stream of the network. One that has a length is a file on a server, and waits.
    fn network(&self, url: &str, patience: Option<Duration>) -> Result<Box<dyn FrameSource>, OpenError> {
        let movie = Movie::open_url(&self.uri, url)?;
        self.decoded(&movie, movie.duration().is_none(), patience)
    }

    fn decoded(
        &self,
        movie: &Movie,
        live: bool,
        patience: Option<Duration>,
    ) -> Result<Box<dyn FrameSource>, OpenError> {
        if movie.is_interlaced() && !self.deinterlace {
            let reason = "the video is interlaced; --deinterlace makes frames of it".into();
            return Err(OpenError::Unsupported { file: self.uri.clone(), reason });
        }
        let known = Known { rate: self.rate, matrix: self.matrix, range: self.range };
        movie.frames(Decoding {
            deinterlace: self.deinterlace,
            upright: true,
            live,
            patience,
            known,
            ..Decoding::default()
        })
    }
}

#[cfg(not(unix))]
impl SourceUri {
    fn movie(&self, _: &Path) -> Result<Box<dyn FrameSource>, OpenError> {
        self.network("", None)
    }

    fn network(&self, _: &str, _: Option<Duration>) -> Result<Box<dyn FrameSource>, OpenError> {
        let reason = "only Y4M is read on this system".into();
        Err(OpenError::Unsupported { file: self.uri.clone(), reason })
    }
}

fn stream(location: &Location) -> Result<(String, Box<dyn Read + Send>), OpenError> {
    match location {
        Location::Standard if stdin().is_terminal() => {
            let reason = "this is a terminal; pipe a video in or name a file".into();
            Err(OpenError::Corrupt { file: "standard input".into(), reason })
        }
        Location::Standard => Ok(("standard input".into(), Box::new(stdin()))),
        Location::File(path) => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|source| OpenError::io(&name, source))?;
            if path.is_dir() {
                let reason = "this is a folder; give a pattern such as %05d.png".into();
                return Err(OpenError::Corrupt { file: name, reason });
            }
            Ok((name, Box::new(file)))
        }
    }
}
