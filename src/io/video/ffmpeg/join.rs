//! Parts and what is copied of the source, to the output.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::nut::{Place as Frame, RawStream, TimeBase, frame_header};
use super::parts::{Ends, Parts};
use super::probe::{Movie, Stream};
use super::program::{Place, ffmpeg, named, not_started, said};
use super::writer::{Codec, codec_words, colours};
use crate::frame::FrameFormat;
use crate::geom::Size;
use crate::io::child::Child;
use crate::io::destination::Destination;
use crate::io::error::{CreateError, WriteError};
use crate::io::location::Location;
use crate::io::video::Rate;

/// The kind of file that an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container {
    format: &'static str,
    /// Does it keep the ticks of the source, and how its picture is turned?
    is_mov: bool,
    /// Does it count in thousandths of a second?
    is_matroska: bool,
    /// What the video is encoded with; none where the user has chosen it in ffmpeg's words.
    codec: Option<Codec>,
}

/// Endings of names, and what ffmpeg calls the format.
const CONTAINERS: &[(&str, &str)] = &[
    ("mkv", "matroska"),
    ("mp4", "mp4"),
    ("m4v", "mp4"),
    ("mov", "mov"),
    ("webm", "webm"),
    ("nut", "nut"),
    ("ts", "mpegts"),
    ("avi", "avi"),
];

/// Numbers that mkvmerge and others write of a stream, which are wrong once it is encoded anew.
const STATISTICS: &[&str] =
    &["BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS_", "encoder", "rotate"];

impl Container {
    /// By the ending of the name.
    pub fn of(path: &Path) -> Result<Self, CreateError> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let found = CONTAINERS.iter().find(|(known, _)| ending.as_deref() == Some(known));
        let Some((_, format)) = found else {
            let known: Vec<&str> = CONTAINERS.iter().map(|(ending, _)| *ending).collect();
            let reason = format!("the name does not tell a kind of video; use one that ends in .{}", known.join(", ."));
            return Err(CreateError::Unsupported { file: path.display().to_string(), reason });
        };
        let (is_mov, is_matroska) = (matches!(*format, "mp4" | "mov"), matches!(*format, "matroska" | "webm"));
        Ok(Self { format, is_mov, is_matroska, codec: None })
    }

    /// Why it cannot hold subtitles of this kind, if they are written as words. Into .ts ffmpeg would write them all the same, as
    /// bytes that no player takes for words.
    fn lacks(self, kind: &str) -> Option<String> {
        let (holds, other) = match self.format {
            "mpegts" | "avi" => (&[][..], ""),
            "mp4" | "mov" => (&["mov_text"][..], "mov_text NEW.mp4"),
            "matroska" => (&["subrip", "ass", "webvtt", "text"][..], "srt NEW.mkv"),
            "webm" => (&["webvtt"][..], "webvtt NEW.mkv"),
            _ => return None,
        };
        let ending = CONTAINERS.iter().find(|(_, format)| *format == self.format).map_or("", |(ending, _)| ending);
        let is_words = ["subrip", "ass", "webvtt", "text", "mov_text"].contains(&kind);
        let at_home = if kind == "mov_text" { ".mp4" } else { ".mkv" };
        let mut reason = format!("there are no subtitles of kind {kind} in .{}, {at_home} holds them", ending);
        if !holds.is_empty() {
            reason += &format!("; ffmpeg -i IN -map 0 -dn -c copy -c:s {other} makes such of them");
        }
        (is_words && !holds.contains(&kind)).then_some(reason)
    }

    /// For what `codec` makes, unless `more` chooses another.
    pub fn holding(self, codec: Codec, more: &[String]) -> Self {
        let choices = ["-c:", "-codec", "-vcodec", "-tag", "-vtag"];
        let chosen = more.iter().any(|word| word == "-c" || choices.iter().any(|choice| word.starts_with(choice)));
        Self { codec: Some(codec).filter(|_| !chosen), ..self }
    }

    /// Does it take AV1 and nothing else of what is written here?
    pub fn is_webm(self) -> bool {
        self.format == "webm"
    }

    /// Is the picture of `movie` turned upright here, since the output could not say how it is to be turned?
    pub fn turns(self, movie: &Movie) -> bool {
        movie.mirrored || movie.turns > 0 && !self.is_mov
    }
}

/// The streams of the output in order: the video, and what is copied.
fn streams(movie: &Movie, data: bool) -> impl Iterator<Item = &Stream> {
    let copied = move |stream: &&Stream| match &*stream.codec_type {
        // Time codes are written anew from the metadata.
        "data" => {
            data && !stream.codec_name.is_empty()
                && stream.tags.get("handler_name").is_none_or(|name| name != "TimeCodeHandler")
        }
        "" => false,
        _ => true,
    };
    movie.streams.iter().filter(copied)
}

/// How long a trial may take before it counts as passed; what is wrong shows at once.
const TRIAL: Duration = Duration::from_secs(20);
/// How long it may take to end once it has said something: some encoders never do when the file is refused.
const SAID: Duration = Duration::from_secs(2);

/// Tries, with one black picture, whether there is such an encoder and whether `container` holds what it gives and what is
/// copied; without data streams if it must be. `true`: with them. Nobody wants to hear of it after hours.
///
/// # Errors
///
/// What is not supported.
pub fn test_output(
    movie: &Movie,
    container: Container,
    codec: Codec,
    more: &[String],
    output: &Path,
) -> Result<bool, CreateError> {
    let file = || output.display().to_string();
    let size = Size::new(128, 128);
    let picture = FrameFormat { size, ..movie.clip().format };
    let stream = RawStream {
        size,
        time_base: TimeBase { num: 1, den: 25 },
        aspect: (1, 1),
        rate: (25, 1),
        fourcc: movie.fourcc,
    };
    if let Some(reason) = streams(movie, true).find_map(|stream| container.lacks(&stream.codec_name)) {
        return Err(CreateError::Unsupported { file: file(), reason });
    }
    let mut frame = [stream.header(), frame_header(0, picture.bytes())].concat();
    frame.resize(frame.len() + picture.bytes(), 0);
    let mut reason = String::new();
    let has_data = streams(movie, true).count() > streams(movie, false).count();
    for data in [true, false].into_iter().take(1 + usize::from(has_data)) {
        let others: Vec<_> = streams(movie, data).filter(|stream| stream.index != movie.video().index).collect();
        let mut words = Place::Pipe.input();
        words.extend(movie.place.input());
        words.extend(["-map", "0:0"].map(Into::into));
        others.iter().for_each(|stream| words.extend(["-map".into(), format!("1:{}", stream.index).into()]));
        words.extend(["-c", "copy", "-c:0"].map(Into::into));
        words.extend(codec_words(movie, codec));
        words.extend(more.iter().map(Into::into));
        words.extend(["-t", "0.04", "-f", container.format, "-y", "file:/dev/null"].map(Into::into));
        let failed = |source| CreateError::Io { file: file(), source };
        let (mut child, mut stdin) = Child::start_taking("ffmpeg", &mut ffmpeg(words)).map_err(failed)?;
        // One that ends at once says why.
        let _ = stdin.write_all(&frame);
        drop(stdin);
        let mut ended = None;
        let begin = Instant::now();
        while ended.is_none() && child.said().is_empty() && begin.elapsed() < TRIAL {
            ended = child.ends_within(Duration::from_millis(50)).map_err(failed)?;
        }
        if ended.is_none() && !child.said().is_empty() {
            ended = child.ends_within(SAID).map_err(failed)?;
        }
        if ended.map_or_else(|| child.said().is_empty(), |status| status.success()) {
            if !data {
                log::warn!("{}: streams of data are left out; {} does not hold them", movie.name, container.format);
            }
            return Ok(data);
        }
        reason = said(&child.said(), ended.unwrap_or_default());
    }
    let reason = format!("ffmpeg cannot make such a file of this source, .mkv holds most: {reason}");
    Err(CreateError::Unsupported { file: file(), reason })
}

/// Where an output ends.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// When its last frame ends, in seconds of the source, if that is known.
    pub video: Option<f64>,
    /// Is what goes on for longer cut off there?
    pub cut: bool,
}

/// Writes the output: the parts as its video, and everything else of the source.
///
/// # Errors
///
/// When it cannot be written; there is none then, or the one that was there before.
pub fn join(
    movie: &Movie,
    parts: &Parts,
    output: &Path,
    container: Container,
    data: bool,
    end: End,
) -> Result<(), WriteError> {
    let name = output.display().to_string();
    let failed = |source| WriteError::Io { file: name.clone(), source };
    let destination = Destination::open(&Location::File(output.to_path_buf())).map_err(failed)?;
    let at = destination.path().unwrap_or(output).to_path_buf();
    let words = words(movie, parts.ends(), container, data, end).into_iter().chain([named(&at)]);
    let refused = |reason: String| WriteError::Encode { file: name.clone(), reason };
    let (mut child, mut stdin) =
        Child::start_taking("ffmpeg", &mut ffmpeg(words)).map_err(|error| refused(not_started("ffmpeg", &error)))?;
    let copied = parts.copy(&mut stdin);
    drop(stdin);
    let status = child.wait_end().map_err(failed)?;
    if !status.success() {
        return Err(refused(format!("ffmpeg cannot write it: {}", said(&child.said(), status))));
    }
    copied.map_err(|error| refused(format!("the parts cannot be joined: {error}")))?;
    destination.commit()
}

/// Gives the last frame the length that it had, of which the parts know nothing; ffmpeg's guess is the usual one, which is wrong
/// where the rate varies. Where another is stored behind it, MP4 adds that one's to the time at which it is decoded: it gets that
/// of the one before it. All others end when the next begins; ffmpeg's guess stays, but where it would make the whole longer.
///
/// Time stamps are in ticks of the output here as of ffmpeg 5, or of the parts, which are `TB`, as of ffmpeg 7: where that of a frame
/// is known, it tells which. Those at 0 are the same.
fn lengths(ends: Ends, zero: f64, end: f64, ticks: u64, is_six: bool) -> String {
    let left = |place: Frame| {
        let begin = ends.time_base.seconds(place.pts) - zero;
        let [begin_out, end_out] = [begin, end].map(|time| (time * ticks as f64).round());
        let is_out =
            if begin_out < 2.0 { format!("{}", !is_six as u8) } else { format!("lt(abs(PTS-{begin_out})\\,2)") };
        format!("max(1\\,if({is_out}\\,{end_out}\\,round({end:.9}/TB))-PTS)")
    };
    let Ends { stored, shown, .. } = ends;
    let (shown_left, stored_left) = (left(shown), left(stored));
    let end_of_all = if is_six { format!("round({end:.9}/TB)") } else { (end * ticks as f64).round().to_string() };
    let guess = format!("min(DURATION\\,max(1\\,{end_of_all}-PTS))");
    let stored_length = format!("if(eq(N\\,{})\\,min(DTS-PREV_INDTS\\,{stored_left})\\,{guess})", stored.number);
    format!("setts=pts=PTS:dts=DTS:duration=if(eq(N\\,{})\\,{shown_left}\\,{stored_length})", shown.number)
}

/// Says in the video what its usual rate is. The encoder, which gets the times of frames in the ticks of the source, says that there
/// is a frame in each.
fn usual_rate(codec: Codec, Rate { frames, seconds }: Rate) -> Option<String> {
    let (frames, seconds) = (frames.max(1), seconds.max(1));
    match codec {
        // It counts fields.
        Codec::X264 => Some(format!("h264_metadata=tick_rate={}/{seconds}", 2 * u64::from(frames))),
        Codec::X265 => Some(format!("hevc_metadata=tick_rate={frames}/{seconds}")),
        Codec::Av1 | Codec::Ffv1 => None,
    }
}

fn words(movie: &Movie, ends: Option<Ends>, container: Container, data: bool, end: End) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["-copyts".into()];
    let mut say = |more: &[&str]| words.extend(more.iter().map(OsString::from));
    let turned = container.is_mov && movie.turns > 0 && !container.turns(movie);
    let degrees = (90 * movie.turns).to_string();
    // Whatever the source begins at, the output begins at 0; all streams move alike.
    let (start, bias) = (movie.start(), movie.time_base.seconds(movie.bias));
    if start + bias != 0.0 {
        say(&["-itsoffset", &format!("{:.9}", -start - bias)]);
    }
    if turned && movie.is_six {
        say(&["-display_rotation", &degrees]);
    }
    let pipe = Place::Pipe.input();
    pipe.iter().for_each(|word| say(&[&word.to_string_lossy()]));
    // Of a broadcast whose start is just what is subtracted, ffmpeg takes the start of the streams that are copied instead, and
    // sound that begins late would begin at 0; a microsecond is less than half of its tick.
    let aside = if movie.is_broadcast { 1e-6 } else { 0.0 };
    if start != 0.0 || movie.is_broadcast {
        say(&["-itsoffset", &format!("{:.9}", aside - start)]);
    }
    movie.place.input().into_iter().for_each(|word| words.push(word));
    let mut say = |more: &[&str]| words.extend(more.iter().map(OsString::from));
    for (to, stream) in streams(movie, data).enumerate() {
        let from = stream.index;
        if from != movie.video().index {
            say(&["-map", &format!("1:{from}"), &format!("-map_metadata:s:{to}"), &format!("1:s:{from}")]);
            continue;
        }
        say(&["-map", "0:0", &format!("-map_metadata:s:{to}"), &format!("1:s:{from}")]);
        for key in stream.tags.keys().filter(|key| STATISTICS.iter().any(|old| key.starts_with(old))) {
            say(&[&format!("-metadata:s:{to}"), &format!("{key}=")]);
        }
        let mut set: Vec<&str> = stream.disposition.iter().filter(|(_, v)| **v != 0).map(|(key, _)| &**key).collect();
        // As ffmpeg does it: a cover beside the video is a video of its own in .mkv.
        let videos = || streams(movie, data).filter(|stream| stream.codec_type == "video");
        if videos().count() > 1 && videos().all(|stream| !stream.is("default")) {
            set.push("default");
        }
        // The name of every video without one. ffmpeg would give it to the time codes, too, which have another.
        if container.is_mov && stream.tags.get("handler_name").is_some_and(|name| name == "VideoHandler") {
            say(&[&format!("-metadata:s:{to}"), "handler_name="]);
        }
        say(&[&format!("-disposition:{to}"), &if set.is_empty() { "0".into() } else { set.join("+") }]);
        if container.is_mov && container.codec == Some(Codec::X265) {
            // By which all players know it; ffmpeg's own is another.
            say(&[&format!("-tag:{to}"), "hvc1"]);
        }
        // What the pipe has no word for, and some codecs neither.
        for (option, value) in colours(movie) {
            say(&[&format!("{option}:{to}"), value]);
        }
        if movie.is_progressive() || movie.is_interlaced() {
            // What was interlaced is that no more.
            say(&[&format!("-field_order:{to}"), "progressive"]);
        }
        let video_end = end.video.map(|end| end - start).filter(|end| *end > 0.0);
        let ticks = if container.is_mov { Some(movie.time_base.den) } else { container.is_matroska.then_some(1000) };
        let mut filters = Vec::new();
        if let (Some(end), Some(ticks), Some(ends)) = (video_end, ticks, ends) {
            filters.push(lengths(ends, start + bias, end, ticks, movie.is_six));
        }
        filters.extend(container.codec.and_then(|codec| usual_rate(codec, movie.clip().rate)));
        if !filters.is_empty() {
            say(&[&format!("-bsf:{to}"), &filters.join(",")]);
        }
        if turned && !movie.is_six {
            say(&[&format!("-metadata:s:{to}"), &format!("rotate={degrees}")]);
        }
    }
    say(&["-c", "copy", "-map_metadata", "1", "-map_chapters", "1"]);
    if container.is_mov {
        // The ticks of the source, where they are parts of a second.
        let ticks = movie.time_base.den.to_string();
        say(&["-video_track_timescale", &ticks]);
        // By how much one stream begins after another, too.
        say(&["-movie_timescale", &ticks]);
        say(&["-movflags", if movie.foreign_tags { "+use_metadata_tags" } else { "+faststart" }]);
    }
    if let (Some(end), true) = (end.video, end.cut) {
        say(&["-t", &format!("{:.6}", (end - start).max(0.0))]);
    }
    say(&["-f", container.format, "-y"]);
    words
}
