//! Frames to parts, encoded by ffmpeg.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::nut::{RawStream, frame_header};
use super::parts::{FRAMES, Parts};
use super::probe::Movie;
use super::program::{Place, ffmpeg, named, not_started, said};
use crate::frame::Range;
use crate::io::child::Child;
use crate::io::error::WriteError;
use crate::io::video::{Clip, FrameSink, Shown};

/// What video is encoded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264.
    X264,
    /// H.265.
    X265,
    /// AV1.
    Av1,
    /// FFV1, which loses nothing.
    Ffv1,
}

impl Codec {
    /// The one that gives what `movie` is encoded with.
    pub fn of_source(movie: &Movie) -> Option<Self> {
        match movie.codec() {
            "h264" => Some(Self::X264),
            "hevc" => Some(Self::X265),
            "av1" => Some(Self::Av1),
            "ffv1" => Some(Self::Ffv1),
            _ => None,
        }
    }

    /// What players take: H.264, and H.265 where there are more than 8 bits.
    pub fn usual(movie: &Movie) -> Self {
        if movie.clip().format.bits > 8 { Self::X265 } else { Self::X264 }
    }

    fn words(self) -> &'static [&'static str] {
        match self {
            Self::X264 => &["libx264", "-crf", "18"],
            Self::X265 => &["libx265", "-crf", "20"],
            Self::Av1 => &["libsvtav1", "-crf", "28", "-preset", "6"],
            Self::Ffv1 => &["ffv1", "-level", "3", "-g", "1"],
        }
    }
}

/// What encodes a part.
struct Encoder {
    child: Child,
    /// `None` once it has all frames.
    stdin: Option<ChildStdin>,
    at: PathBuf,
    frames: u64,
}

/// Takes the frames of an output.
pub struct PartsSink {
    name: String,
    parts: Arc<Mutex<Parts>>,
    words: Vec<OsString>,
    stream: RawStream,
    bias: i64,
    time: i64,
    reached: Arc<AtomicI64>,
    encoder: Option<Encoder>,
    /// The one before, which still has frames to write: so none waits for the other.
    ending: Option<Encoder>,
    failed: bool,
}

impl PartsSink {
    /// `clip` is that of the upscaled frames; `more` is what the user wants ffmpeg to be told. The time stamp of the last
    /// frame that was taken is in `reached`.
    pub fn new(
        name: String,
        parts: Arc<Mutex<Parts>>,
        movie: &Movie,
        clip: &Clip,
        codec: Codec,
        more: &[String],
        reached: Arc<AtomicI64>,
    ) -> Self {
        let stream = RawStream {
            size: clip.format.size,
            time_base: movie.time_base,
            aspect: clip.aspect,
            rate: (clip.rate.frames, clip.rate.seconds),
            fourcc: movie.fourcc,
        };
        let words = encoder_words(movie, codec, more);
        let (encoder, ending) = (None, None);
        Self { name, parts, words, stream, bias: movie.bias, time: 0, reached, encoder, ending, failed: false }
    }

    fn refused(&mut self, reason: String) -> WriteError {
        self.failed = true;
        WriteError::Encode { file: self.name.clone(), reason }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the encoder of the next part.
    fn begin(&mut self) -> Result<Encoder, WriteError> {
        let at = {
            let parts = self.parts();
            parts.unfinished(parts.next() + u64::from(self.ending.is_some()))
        };
        let words = self.words.iter().cloned().chain([named(&at)]);
        let (child, mut stdin) = Child::start_taking("ffmpeg", &mut ffmpeg(words))
            .map_err(|error| self.refused(not_started("ffmpeg", &error)))?;
        // One that ends at once says why when it is asked.
        let _ = stdin.write_all(&self.stream.header());
        Ok(Encoder { child, stdin: Some(stdin), at, frames: 0 })
    }

    /// Waits until an encoder has written all that it was given.
    fn settle(&mut self, mut encoder: Encoder) -> Result<(), WriteError> {
        drop(encoder.stdin.take());
        match encoder.child.wait_end() {
            Ok(status) if status.success() => {
                let added = self.parts().add(&encoder.at, encoder.frames);
                added.map_err(|source| {
                    self.failed = true;
                    WriteError::Io { file: encoder.at.display().to_string(), source }
                })
            }
            Ok(status) => Err(self.refused(format!("ffmpeg cannot write it: {}", said(&encoder.child.said(), status)))),
            Err(error) => Err(self.refused(format!("ffmpeg: {error}"))),
        }
    }
}

fn put(encoder: &mut Encoder, time: i64, frame: &[u8]) -> io::Result<()> {
    let stdin = encoder.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
    stdin.write_all(&frame_header(time, frame.len()))?;
    stdin.write_all(frame)
}

impl FrameSink for PartsSink {
    fn write(&mut self, frame: &[u8]) -> Result<Shown, WriteError> {
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => self.begin()?,
        };
        if let Err(error) = put(&mut encoder, self.time + self.bias, frame) {
            // It has ended before its time, and says why. The part before it may be whole.
            if let Some(before) = self.ending.take() {
                self.settle(before)?;
            }
            return Err(match self.settle(encoder) {
                Err(said) => said,
                Ok(()) => self.refused(format!("ffmpeg takes no more: {error}")),
            });
        }
        self.reached.store(self.time, Ordering::Relaxed);
        encoder.frames += 1;
        if encoder.frames < FRAMES {
            self.encoder = Some(encoder);
            return Ok(Shown::Now);
        }
        drop(encoder.stdin.take());
        if let Some(before) = self.ending.replace(encoder) {
            self.settle(before)?;
        }
        Ok(Shown::Now)
    }

    fn set_time(&mut self, time: i64) {
        self.time = time;
    }

    fn is_recording(&self) -> bool {
        true
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        if self.failed {
            return Ok(());
        }
        for encoder in [self.ending.take(), self.encoder.take()].into_iter().flatten() {
            self.settle(encoder)?;
        }
        Ok(())
    }
}

/// What the encoder is told, but for where to write.
fn encoder_words(movie: &Movie, codec: Codec, more: &[String]) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["-copyts".into()];
    let colours: Vec<OsString> =
        colours(movie).into_iter().flat_map(|(option, value)| [option.into(), value.into()]).collect();
    words.extend(colours.iter().cloned());
    words.extend(Place::Pipe.input());
    words.extend(["-map", "0:0", "-c:v"].map(Into::into));
    words.extend(codec_words(movie, codec));
    words.extend(colours);
    let tick = format!("{}/{}", movie.time_base.num, movie.time_base.den);
    let times = ["-fps_mode", "passthrough", "-enc_time_base", &tick, "-avoid_negative_ts", "disabled"];
    words.extend(times.map(Into::into));
    words.extend(["-field_order", "progressive", "-map_metadata", "-1"].map(Into::into));
    words.extend(more.iter().map(Into::into));
    words.extend(["-f", "nut", "-write_index", "0", "-y"].map(Into::into));
    words
}

/// The encoder, its quality, and pixels as they are: an encoder that would change them is refused.
pub(super) fn codec_words(movie: &Movie, codec: Codec) -> Vec<OsString> {
    let pixels = movie.pixels.replace("yuvj", "yuv");
    let mut words: Vec<OsString> = codec.words().iter().map(OsString::from).collect();
    if codec == Codec::X265 {
        let said: Vec<&str> = ["log-level=error"].into_iter().chain(movie.hdr.iter().map(|word| &**word)).collect();
        words.extend(["-x265-params".into(), said.join(":").into()]);
    }
    words.extend(["-pix_fmt".into(), format!("+{pixels}").into()]);
    // Where this is all that is said, x264 says nothing, since it goes without saying; and then MP4 does not either.
    let said = colours(movie);
    let only_range = said.iter().all(|(option, _)| matches!(*option, "-color_range" | "-chroma_sample_location"));
    if codec == Codec::X264 && only_range && said.contains(&("-color_range", "tv")) {
        words.extend(["-bsf:v:0", "h264_metadata=video_full_range_flag=0"].map(Into::into));
    }
    words
}

/// What the source says of its colours, word for word: options and their values.
pub(super) fn colours(movie: &Movie) -> Vec<(&'static str, &str)> {
    let video = movie.video();
    // Two curves have another name as an option than in the answer.
    let transfer = match &*video.color_transfer {
        "bt470m" => "gamma22",
        "bt470bg" => "gamma28",
        other => other,
    };
    let range = if movie.clip().format.range == Range::Full { "pc" } else { "tv" };
    let said = [
        ("-color_range", if video.color_range.is_empty() && range == "tv" { "" } else { range }),
        ("-colorspace", &*video.color_space),
        ("-color_primaries", &*video.color_primaries),
        ("-color_trc", transfer),
        ("-chroma_sample_location", &*video.chroma_location),
    ];
    said.into_iter().filter(|(_, value)| !matches!(*value, "" | "unknown" | "unspecified" | "reserved")).collect()
}
