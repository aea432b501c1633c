//! What a file or stream holds, as `ffprobe` tells it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::ffprobe::probe;
use super::hdr::x265_words;
use super::nut::TimeBase;
use super::program::Place;
use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;
use crate::io::error::{Cause, OpenError};
use crate::io::limits::check_side;
use crate::io::video::{Clip, Rate};

/// Most bytes that ffprobe may say; a film with a hundred chapters takes some 100 KiB.
const MOST: usize = 16 << 20;
/// By how many seconds frames may be stored before those that they follow; ffmpeg's own limit.
const BACK: f64 = 0.1;
/// How long it may look at a file, which may lie on a slow disk, and at a stream.
const PATIENCE: [Duration; 2] = [Duration::from_secs(120), Duration::from_secs(20)];

/// The pixel formats that are read: what ffmpeg calls them, what it is asked for, the name of that in NUT.
const PIXELS: &[(&str, &str, [u8; 4], Layout, u32)] = &[
    ("yuv420p", "yuv420p", *b"I420", Layout::Yuv420, 8),
    ("yuvj420p", "yuvj420p", *b"I420", Layout::Yuv420, 8),
    ("nv12", "yuv420p", *b"I420", Layout::Yuv420, 8),
    ("yuv422p", "yuv422p", *b"Y42B", Layout::Yuv422, 8),
    ("yuvj422p", "yuvj422p", *b"Y42B", Layout::Yuv422, 8),
    ("yuyv422", "yuv422p", *b"Y42B", Layout::Yuv422, 8),
    ("uyvy422", "yuv422p", *b"Y42B", Layout::Yuv422, 8),
    ("yuv444p", "yuv444p", *b"444P", Layout::Yuv444, 8),
    ("yuvj444p", "yuvj444p", *b"444P", Layout::Yuv444, 8),
    ("gray", "gray", *b"Y800", Layout::Gray, 8),
    ("yuv420p10le", "yuv420p10le", [b'Y', b'3', 11, 10], Layout::Yuv420, 10),
    ("p010le", "yuv420p10le", [b'Y', b'3', 11, 10], Layout::Yuv420, 10),
    ("yuv422p10le", "yuv422p10le", [b'Y', b'3', 10, 10], Layout::Yuv422, 10),
    ("yuv444p10le", "yuv444p10le", [b'Y', b'3', 0, 10], Layout::Yuv444, 10),
    ("gray10le", "gray10le", [b'Y', b'1', 0, 10], Layout::Gray, 10),
];

#[derive(Debug, Deserialize)]
struct Probe {
    #[serde(default)]
    streams: Vec<Stream>,
    format: Option<Format>,
    #[serde(default)]
    library_versions: Vec<Library>,
}

#[derive(Debug, Deserialize)]
struct Library {
    name: String,
    major: u32,
}

#[derive(Debug, Default, Deserialize)]
struct Format {
    #[serde(default)]
    format_name: String,
    start_time: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// A stream of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stream {
    pub(super) index: usize,
    pub(super) codec_type: String,
    pub(super) codec_name: String,
    width: usize,
    height: usize,
    pix_fmt: String,
    sample_aspect_ratio: String,
    field_order: String,
    pub(super) color_range: String,
    pub(super) color_space: String,
    pub(super) color_transfer: String,
    pub(super) color_primaries: String,
    pub(super) chroma_location: String,
    r_frame_rate: String,
    avg_frame_rate: String,
    time_base: String,
    start_pts: Option<i64>,
    duration: Option<String>,
    pub(super) disposition: BTreeMap<String, i64>,
    pub(super) tags: BTreeMap<String, String>,
    side_data_list: Vec<SideData>,
}

impl Stream {
    /// Is it marked so?
    pub(super) fn is(&self, mark: &str) -> bool {
        self.disposition.get(mark).is_some_and(|value| *value != 0)
    }
}

#[derive(Debug, Deserialize)]
struct SideData {
    rotation: Option<f64>,
    displaymatrix: Option<String>,
}

/// A file or stream with a video that can be read.
#[derive(Debug)]
pub struct Movie {
    pub(super) name: String,
    pub(super) place: Place,
    /// All streams of it, in order.
    pub(super) streams: Vec<Stream>,
    /// Which of them is the video, by its place among them.
    video: usize,
    /// What ffmpeg is asked to decode to, and the name of that in NUT.
    pub(super) pixels: &'static str,
    pub(super) fourcc: [u8; 4],
    clip: Clip,
    pub(super) time_base: TimeBase,
    is_interlaced: bool,
    /// Quarters of a turn, to the left, that show the picture upright.
    pub(super) turns: u32,
    /// Is it mirrored, or turned by an angle in between?
    pub(super) mirrored: bool,
    /// Ticks that make all time stamps positive.
    pub(super) bias: i64,
    start: f64,
    duration: Option<f64>,
    /// When the last frame may end, in seconds, the likeliest first.
    ends: Vec<f64>,
    /// Half of the least time between two frames, in seconds.
    least: f64,
    /// Is it one whose clock may start anew on the way?
    pub(super) is_broadcast: bool,
    /// Is this ffmpeg 6 or newer, which says with another word how a picture is turned?
    pub(super) is_six: bool,
    /// What x265 is to be told of its light.
    pub(super) hdr: Vec<String>,
    /// Is there metadata that only some containers take?
    pub(super) foreign_tags: bool,
}

impl Movie {
    /// Looks at a file.
    ///
    /// # Errors
    ///
    /// When ffprobe is missing or finds no video in it, or one that is not supported; the message says what is.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let name = path.display().to_string();
        if let Err(error) = std::fs::File::open(path) {
            return Err(OpenError::io(&name, error));
        }
        let mut movie = Self::look(name, Place::file(path), PATIENCE[0])?;
        if movie.video().color_transfer == "smpte2084" {
            movie.hdr = x265_words(&movie.name, &movie.place, movie.video().index)?;
        }
        Ok(movie)
    }

    /// Looks at a stream of the network; `name` is for messages.
    pub(in crate::io) fn open_url(name: &str, url: &str) -> Result<Self, OpenError> {
        Self::look(name.into(), Place::Network(url.into()), PATIENCE[1])
    }

    fn look(name: String, place: Place, patience: Duration) -> Result<Self, OpenError> {
        let text = ask(&name, &place, patience)?;
        let corrupt = |reason: String| OpenError::Corrupt { file: name.clone(), reason };
        let probe: Probe = serde_json::from_slice(&text).map_err(|error| corrupt(format!("ffprobe: {error}")))?;
        let movie = Self::of(name.clone(), place, probe);
        let movie = movie.map_err(|reason| OpenError::Unsupported { file: name.clone(), reason })?;
        check_side(&name, movie.clip.format.size)?;
        Ok(movie)
    }

    fn of(name: String, place: Place, probe: Probe) -> Result<Self, String> {
        let candidates = || {
            let all = probe.streams.iter().enumerate();
            all.filter(|(_, stream)| stream.codec_type == "video" && !stream.is("attached_pic"))
        };
        let video = candidates().find(|(_, stream)| stream.is("default")).or_else(|| candidates().next());
        let Some((video, stream)) = video else { return Err("there is no video in it".into()) };
        if candidates().count() > 1 {
            log::warn!("{name}: it has several videos; the first is upscaled, the others are copied as they are");
        }
        let size = Size::new(stream.width, stream.height);
        if size.width == 0 || size.height == 0 {
            return Err("no picture of its video can be decoded; a beginning is missing, or it is damaged".into());
        }
        let row = PIXELS.iter().find(|(pixels, ..)| *pixels == stream.pix_fmt);
        let Some((_, pixels, fourcc, layout, bits)) = row else {
            let known: Vec<&str> = PIXELS.iter().filter(|row| row.0 == row.1).map(|row| row.0).collect();
            return Err(format!(
                "its pixels are '{}', which are not supported; {} are (ffmpeg -i IN -c:v ffv1 -pix_fmt yuv444p -c:a copy OUT.mkv \
                 makes some)",
                stream.pix_fmt,
                known.join(", ")
            ));
        };
        let full = stream.color_range == "pc" || stream.pix_fmt.starts_with("yuvj");
        let siting = match &*stream.chroma_location {
            "center" => Siting::Centre,
            "topleft" => Siting::TopLeft,
            "left" => Siting::Left,
            // Without a word: as JPEG has it, and else as all the others do.
            _ if stream.codec_name == "mjpeg" => Siting::Centre,
            _ => Siting::Left,
        };
        let matrix = match &*stream.color_space {
            "bt709" => Matrix::Bt709,
            "smpte170m" | "bt470bg" | "fcc" => Matrix::Bt601,
            // Where nothing is said, players go by the size.
            _ if size.height >= 720 => Matrix::Bt709,
            _ => Matrix::Bt601,
        };
        let range = if full { Range::Full } else { Range::Limited };
        let format = FrameFormat { bits: *bits, siting, matrix, range, ..FrameFormat::picture(size, *layout) };
        let rates = [&stream.avg_frame_rate, &stream.r_frame_rate].map(|rate| fraction(rate));
        // Streams of the network may say the rate of their clock.
        let usual = |(frames, seconds): &(u32, u32)| *frames <= seconds.saturating_mul(480);
        let rate = rates.into_iter().flatten().find(usual).unwrap_or((25, 1));
        let (num, den) = fraction(&stream.time_base).ok_or("its video has no time base")?;
        let (turns, mirrored) = turns(stream);
        let seconds = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
        let format_ = probe.format.unwrap_or_default();
        let start_pts = stream.start_pts.unwrap_or(0);
        let time_base = TimeBase { num: num.into(), den: den.into() };
        let start = seconds(&format_.start_time).unwrap_or(0.0);
        let ends = [
            seconds(&stream.duration).map(|length| time_base.seconds(start_pts) + length),
            // What is written of the streams of Matroska.
            stream.tags.get("DURATION").and_then(|text| clock(text)),
            seconds(&format_.duration).map(|length| start + length),
        ];
        Ok(Self {
            pixels,
            fourcc: *fourcc,
            clip: Clip {
                format,
                rate: Rate { frames: rate.0, seconds: rate.1 },
                aspect: fraction(&stream.sample_aspect_ratio).unwrap_or((0, 0)),
                live: false,
            },
            time_base,
            is_interlaced: matches!(&*stream.field_order, "tt" | "bb" | "tb" | "bt"),
            turns,
            mirrored,
            bias: (-start_pts).max(0),
            start,
            ends: ends.into_iter().flatten().collect(),
            least: fraction(&stream.r_frame_rate).map_or(0.0, |(frames, per)| f64::from(per) / f64::from(frames) / 2.0),
            is_broadcast: matches!(&*format_.format_name, "mpegts" | "mpeg"),
            duration: seconds(&stream.duration).or_else(|| seconds(&format_.duration)).filter(|s| *s > 0.0),
            is_six: probe.library_versions.iter().any(|library| library.name == "libavutil" && library.major >= 58),
            hdr: Vec::new(),
            foreign_tags: format_.tags.keys().any(|key| key.contains('.')),
            name,
            place,
            video,
            streams: probe.streams,
        })
    }

    /// Does it say that it is not?
    pub(super) fn is_progressive(&self) -> bool {
        self.video().field_order == "progressive"
    }

    /// Its frames, as they are decoded.
    pub fn clip(&self) -> &Clip {
        &self.clip
    }

    /// Its frames where they are turned upright.
    pub(in crate::io) fn upright(&self) -> Clip {
        let mut clip = self.clip;
        if self.turns % 2 == 1 {
            let Size { width, height } = clip.format.size;
            clip.format.size = Size::new(height, width);
            clip.aspect = (clip.aspect.1, clip.aspect.0);
        }
        clip
    }

    /// How long it is, in seconds, where that is known.
    pub fn duration(&self) -> Option<f64> {
        self.duration
    }

    /// When it begins, in seconds: the first of its streams.
    pub fn start(&self) -> f64 {
        self.start
    }

    /// Is it made of fields?
    pub fn is_interlaced(&self) -> bool {
        self.is_interlaced
    }

    /// When a frame of this time stamp ends, in seconds; of the usual length, since only the next tells.
    pub fn end_of(&self, time: i64) -> f64 {
        let Rate { frames, seconds } = self.clip.rate;
        self.time_base.seconds(time) + f64::from(seconds) / f64::from(frames.max(1))
    }

    /// When the last frame ends, in seconds; it has this time stamp, where that is known. What a file says of its length is of
    /// several streams at times, or of the order in which they are stored.
    pub fn end(&self, last: Option<i64>) -> Option<f64> {
        let Some(last) = last else { return self.ends.first().copied() };
        let (at, usual) = (self.time_base.seconds(last), self.end_of(last));
        let likely = |end: &&f64| **end - at > self.least && **end - at < 10.0 * (usual - at);
        Some(self.ends.iter().find(likely).copied().unwrap_or(usual))
    }

    /// Looks whether the times of a broadcast or of a DVD go on from its beginning to its end, as those of two that were made one
    /// do not: sound and picture would be put together by times of which each is there twice.
    ///
    /// # Errors
    ///
    /// When they do not.
    pub fn test_times(&self) -> Result<(), OpenError> {
        if !self.is_broadcast {
            return Ok(());
        }
        let video = self.video().index.to_string();
        let words = ["-v", "error", "-select_streams", &video, "-show_entries", "packet=dts_time", "-of", "csv=p=0"];
        let (mut rest, mut before) = (Vec::new(), f64::MIN);
        let mut back = None;
        probe(&self.name, &words, &self.place, |some| {
            rest.extend_from_slice(some);
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
            let whole: Vec<u8> = rest.drain(..=end).collect();
            for word in String::from_utf8_lossy(&whole).split([',', '\n']) {
                let Ok(time) = word.trim().parse::<f64>() else { continue };
                if back.is_none() && before - time > BACK {
                    back = Some((before, time));
                }
                before = time;
            }
            Ok(())
        })?;
        let Some((before, time)) = back else { return Ok(()) };
        let (after, by) = (before - self.start(), before - time);
        let reason = format!(
            "its times go back by {by:.1} s after {after:.1} s, as where one file was put behind another; ffmpeg -i IN -map 0 -c \
             copy OUT.mp4 makes them go on"
        );
        Err(OpenError::Unsupported { file: self.name.clone(), reason })
    }

    /// What the video is encoded with.
    pub fn codec(&self) -> &str {
        &self.video().codec_name
    }

    pub(super) fn video(&self) -> &Stream {
        &self.streams[self.video]
    }
}

/// What ffprobe says of a file or stream.
fn ask(name: &str, place: &Place, patience: Duration) -> Result<Vec<u8>, OpenError> {
    let words = ["-v", "error", "-show_format", "-show_streams", "-show_library_versions", "-of", "json"];
    let (mut text, begin) = (Vec::new(), Instant::now());
    probe(name, &words, place, |some| {
        text.extend_from_slice(some);
        if begin.elapsed() > patience || text.len() > MOST {
            let reason = format!("ffprobe finds nothing in it within {patience:?}");
            return Err(OpenError::Unavailable { file: name.into(), cause: Cause::Failed, reason, source: None });
        }
        Ok(())
    })?;
    Ok(text)
}

/// `30000/1001`, `4:3`; nothing where one of both is zero.
fn fraction(text: &str) -> Option<(u32, u32)> {
    let (a, b) = text.split_once(['/', ':'])?;
    Some((a.parse().ok()?, b.parse().ok()?)).filter(|(a, b)| *a > 0 && *b > 0)
}

/// Seconds of `01:02:03.004000000`.
fn clock(text: &str) -> Option<f64> {
    text.split(':').try_fold(0.0, |all, part| Some(60.0 * all + part.trim().parse::<f64>().ok()?))
}

/// Quarters of a turn to the left, and whether there is more than that.
fn turns(stream: &Stream) -> (u32, bool) {
    let Some(side) = stream.side_data_list.iter().find(|side| side.displaymatrix.is_some()) else { return (0, false) };
    let numbers: Vec<f64> = side
        .displaymatrix
        .iter()
        .flat_map(|text| text.split_whitespace())
        .filter_map(|word| word.parse().ok())
        .collect();
    let mirrored = match numbers[..] {
        [a, b, _, c, d, ..] => a * d - b * c < 0.0,
        _ => false,
    };
    let degrees = side.rotation.unwrap_or(0.0);
    let quarters = (degrees / 90.0).round();
    (quarters.rem_euclid(4.0) as u32, mirrored || (degrees - 90.0 * quarters).abs() > 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn movie(stream: &str) -> Result<Movie, String> {
        let text = format!(
            r#"{{"streams": [{{"index": 0, "codec_type": "audio"}}, {stream}], "format": {{"duration": "2.5"}}}}"#
        );
        Movie::of("x".into(), Place::Pipe, serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn streams_as_ffprobe_tells_of_them() {
        let stream = r#"{"index": 1, "codec_name": "hevc", "codec_type": "video", "width": 720, "height": 576,
            "pix_fmt": "yuv420p10le", "sample_aspect_ratio": "16:15", "field_order": "progressive", "color_range": "tv",
            "color_space": "bt2020nc", "time_base": "1/90000", "start_pts": -900, "avg_frame_rate": "30000/1001",
            "side_data_list": [{"side_data_type": "Display Matrix", "rotation": -90,
            "displaymatrix": "\n00000000: 0 65536 0\n00000001: -65536 0 0\n00000002: 0 0 1073741824\n"}]}"#;
        let movie = movie(stream).unwrap();
        assert_eq!((movie.turns, movie.bias, movie.video().index), (3, 900, 1));
        assert_eq!((movie.clip().format.bits, movie.clip().aspect), (10, (16, 15)));
        assert_eq!((movie.upright().format.size, movie.upright().aspect), (Size::new(576, 720), (15, 16)));
        assert_eq!(movie.time_base, TimeBase { num: 1, den: 90_000 });
        assert_eq!(movie.duration(), Some(2.5));
    }

    #[test]
    fn what_is_not_supported_is_told() {
        let stream = |pixels: &str, more: &str| {
            format!(
                r#"{{"index": 1, "codec_type": "video", "width": 4, "height": 4, "time_base": "1/25", "pix_fmt": "{pixels}"{more}}}"#
            )
        };
        assert!(movie(&stream("gbrp", "")).unwrap_err().contains("yuv444p10le"));
        assert!(movie(&stream("yuv420p", r#", "disposition": {"attached_pic": 1}"#)).unwrap_err().contains("no video"));
        assert!(movie(&stream("yuv420p", r#", "field_order": "tt""#)).unwrap().is_interlaced());
    }
}
