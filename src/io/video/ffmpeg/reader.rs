//! Frames of a file or stream, decoded by ffmpeg.

use std::ffi::OsString;
use std::io::{self, Read};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::nut::{NutReader, TimeBase};
use super::probe::Movie;
use super::program::{cannot_open, ffmpeg, said};
use crate::frame::{Matrix, Range};
use crate::io::child::Child;
use crate::io::error::{OpenError, ReadError};
use crate::io::reconnect::{Pauses, Reconnect, Step};
use crate::io::video::{Arrival, Clip, FrameSource, Rate, Troubles};

/// Longest wait for bytes before the caller hears that there is no frame yet.
const WAIT: Duration = Duration::from_millis(100);
/// A stream that gives nothing for so long is taken up anew: first, and then.
const SILENCE: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(5)];
/// By so much of a second a damaged movie may end before its length, which may be that of the sound.
const SHORT: f64 = 1.0;
/// A frame that has begun to come is whole within this time.
const WHOLE: Duration = Duration::from_secs(30);

/// How a movie is decoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoding {
    /// Make frames of fields.
    pub deinterlace: bool,
    /// Turn the picture upright.
    pub upright: bool,
    /// Leave so many frames out at the beginning.
    pub skip: u64,
    /// The time stamp of the last of those.
    pub after: Option<i64>,
    /// Frames do not wait: go on with a stream that breaks off.
    pub live: bool,
    /// How long one that is gone is waited for; `None` for ever.
    pub patience: Option<Duration>,
    /// What a person knows better than the file.
    pub known: Known,
}

/// What a person knows better than the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// Frames a second.
    pub rate: Option<Rate>,
    /// What luma means.
    pub matrix: Option<Matrix>,
    /// What black means.
    pub range: Option<Range>,
}

/// ffmpeg at work.
struct Feed {
    child: Child,
    nut: Option<NutReader>,
    /// When its last frame was whole, or it was started.
    last: Instant,
    frames: u64,
}

/// Frames of a movie.
struct FfmpegSource {
    name: String,
    words: Vec<OsString>,
    clip: Clip,
    time_base: TimeBase,
    bias: i64,
    /// When it ends, in seconds, by what it says of itself.
    end: Option<f64>,
    live: bool,
    feed: Reconnect<Feed>,
    clock: Clock,
    /// Frames were left out at the beginning, so that there may be none.
    skipped: bool,
}

/// Times of the pipe in ticks of the movie.
#[derive(Default)]
struct Clock {
    time: Option<i64>,
    /// As it was in the pipe.
    pts: i64,
    was_moved: bool,
}

impl Clock {
    /// Nothing where a time stamp is none of the movie.
    ///
    /// In the pipe no two frames have one time: ffmpeg moves the second to the tick of the pipe that follows, here it gets that of
    /// the movie. More of them in a row are times that stand still or go back.
    fn tick(&mut self, pts: i64, exact: Option<i64>) -> Option<i64> {
        let next = self.time.map(|time| time + 1);
        let is_second = !self.was_moved && pts == self.pts + 1;
        let time = exact.or(next.filter(|_| is_second))?.max(next.unwrap_or(i64::MIN));
        *self = Self { time: Some(time), pts, was_moved: exact.is_none() };
        Some(time)
    }
}

/// Reads what a child gives until it is there.
struct Patient<'a>(&'a mut Child, Instant);

impl Read for Patient<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(read) = self.0.read(to, WAIT)? {
                return Ok(read);
            }
            if self.1.elapsed() > WHOLE {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl Movie {
    /// Begins to decode its frames.
    ///
    /// # Errors
    ///
    /// When ffmpeg cannot be started.
    pub fn frames(&self, decoding: Decoding) -> Result<Box<dyn FrameSource>, OpenError> {
        Ok(Box::new(FfmpegSource::open(self, decoding)?))
    }

    /// Its frames, decoded so.
    pub fn clip_of(&self, decoding: Decoding) -> Clip {
        let mut clip = if decoding.upright { self.upright() } else { *self.clip() };
        let Known { rate, matrix, range } = decoding.known;
        clip.rate = rate.unwrap_or(clip.rate);
        clip.format.matrix = matrix.unwrap_or(clip.format.matrix);
        clip.format.range = range.unwrap_or(clip.format.range);
        clip
    }
}

impl FfmpegSource {
    fn open(movie: &Movie, decoding: Decoding) -> Result<Self, OpenError> {
        let words = words(movie, decoding);
        let clip = movie.clip_of(decoding);
        let feed = start(&words).map_err(|error| cannot_open(&movie.name, "ffmpeg", error))?;
        Ok(Self {
            name: movie.name.clone(),
            words,
            clip: Clip { live: decoding.live, ..clip },
            time_base: movie.time_base,
            bias: movie.bias,
            end: movie.duration().map(|duration| movie.start() + duration),
            live: decoding.live,
            feed: Reconnect::new(&movie.name, feed, Pauses::GROWING, decoding.patience),
            clock: Clock { time: decoding.after, ..Clock::default() },
            skipped: decoding.skip > 0,
        })
    }

    fn corrupt(&self, reason: String) -> ReadError {
        ReadError::Corrupt { file: self.name.clone(), reason }
    }

    /// ffmpeg gives no more.
    fn ended(&mut self) -> Result<Arrival, ReadError> {
        let Some(feed) = self.feed.device() else { return Ok(Arrival::End) };
        let status = feed.child.wait_end().map_err(|source| ReadError::Io { file: self.name.clone(), source })?;
        let (frames, words) = (feed.frames, feed.child.said());
        if self.live {
            let why = if words.is_empty() { "the stream has ended".into() } else { said(&words, status) };
            self.feed.lose(Instant::now(), why);
            return Ok(Arrival::Pending);
        }
        if !status.success() {
            return Err(self.corrupt(format!("ffmpeg cannot read on: {}", said(&words, status))));
        }
        if frames == 0 && !self.skipped {
            return Err(self.corrupt(format!("there is not a single frame in it: {}", said(&words, status))));
        }
        let Rate { frames: rate, seconds } = self.clip.rate;
        let length = f64::from(seconds) / f64::from(rate.max(1));
        let reached = self.clock.time.map_or(0.0, |time| self.time_base.seconds(time) + length);
        if let Some(end) = self.end.filter(|end| !words.is_empty() && reached + SHORT < *end) {
            let found = said(&words, status);
            return Err(self.corrupt(format!("it ends at {reached:.1} s of {end:.1}; ffmpeg found damage: {found}")));
        }
        if !words.is_empty() {
            log::warn!("{}: ffmpeg found damage: {}", self.name, said(&words, status));
        }
        Ok(Arrival::End)
    }

    fn seek(&mut self) -> Result<Arrival, ReadError> {
        let now = Instant::now();
        match self.feed.step(now) {
            Step::Wait(time) => sleep(time.min(WAIT)),
            Step::Try => self.feed.tried(now, start(&self.words)),
            Step::GiveUp(away) => return Err(self.feed.given_up(away)),
        }
        Ok(Arrival::Pending)
    }
}

fn start(words: &[OsString]) -> io::Result<Feed> {
    let child = Child::start("ffmpeg", &mut ffmpeg(words), "")?;
    Ok(Feed { child, nut: None, last: Instant::now(), frames: 0 })
}

/// What ffmpeg is told: every frame once, with its own time stamp in ticks of the source, in a pipe.
fn words(movie: &Movie, decoding: Decoding) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["-nostdin".into(), "-copyts".into()];
    if decoding.live {
        words.extend(["-fflags", "nobuffer", "-flags", "low_delay"].map(Into::into));
    }
    if !decoding.upright {
        words.push("-noautorotate".into());
    }
    words.extend(movie.place.input());
    let mut filters = Vec::new();
    if decoding.deinterlace {
        filters.push("bwdif=mode=send_frame".to_string());
    }
    if movie.bias > 0 {
        filters.push(format!("setpts=PTS+{}", movie.bias));
    }
    if decoding.skip > 0 {
        filters.push(format!("select=gte(n\\,{})", decoding.skip));
    }
    if !filters.is_empty() {
        words.extend(["-vf".into(), filters.join(",").into()]);
    }
    let tick = format!("{}/{}", movie.time_base.num, movie.time_base.den);
    let map = format!("0:{}", movie.video().index);
    let output = [
        "-map",
        &map,
        "-map_metadata",
        "-1",
        "-map_chapters",
        "-1",
        "-c:v",
        "rawvideo",
        "-pix_fmt",
        movie.pixels,
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        &tick,
        "-f",
        "nut",
        "-write_index",
        "0",
        "pipe:1",
    ];
    words.extend(output.map(Into::into));
    words
}

impl FrameSource for FfmpegSource {
    fn clip(&self) -> &Clip {
        &self.clip
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        let Some(feed) = self.feed.device() else { return self.seek() };
        let failed = match feed.child.peek(WAIT) {
            Ok(None) => {
                let silence = SILENCE[usize::from(feed.frames > 0)];
                if self.live && feed.last.elapsed() > silence {
                    self.feed.lose(Instant::now(), format_args!("no frame for {silence:?}"));
                }
                return Ok(Arrival::Pending);
            }
            Ok(Some(0)) => return self.ended(),
            Ok(Some(_)) => fetch(feed, frame, self.clip),
            Err(error) => Err(error),
        };
        match failed {
            Ok(None) => self.ended(),
            Ok(Some((pts, base))) => {
                let now = Instant::now();
                (feed.last, feed.frames) = (now, feed.frames + 1);
                self.feed.works(now);
                let exact = self.time_base.exactly(pts, base).map(|time| time - self.bias);
                if self.clock.tick(pts, exact).is_none() {
                    let at = base.seconds(pts);
                    return Err(self.corrupt(format!(
                        "times of frames stand still or go back at {at:.3} s; ffmpeg -i IN -map 0 -c copy -c:v ffv1 -fps_mode vfr \
                         -enc_time_base -1 OUT.mkv makes them go on"
                    )));
                }
                Ok(Arrival::Frame(None))
            }
            Err(error) if self.live => {
                self.feed.lose(Instant::now(), error);
                Ok(Arrival::Pending)
            }
            // What ended in the middle of a frame says why by how it ended.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.ended()?;
                Err(self.corrupt("the last frame is cut short".into()))
            }
            Err(error) => Err(self.corrupt(error.to_string())),
        }
    }

    fn time(&self) -> Option<i64> {
        self.clock.time
    }

    fn troubles(&self) -> Troubles {
        Troubles { reconnects: self.feed.reconnects(), ..Troubles::default() }
    }

    fn is_prompt(&self) -> bool {
        true
    }
}

/// A frame and its time stamp, once the first byte of it is there.
fn fetch(feed: &mut Feed, frame: &mut [u8], clip: Clip) -> io::Result<Option<(i64, TimeBase)>> {
    let mut input = Patient(&mut feed.child, Instant::now());
    let nut = match &mut feed.nut {
        Some(nut) => nut,
        none => {
            let nut = NutReader::open(&mut input)?;
            let (given, wanted) = (nut.header().size, clip.format.size);
            if given != wanted {
                return Err(io::Error::other(format!("frames of {given} came, and not of {wanted}")));
            }
            none.insert(nut)
        }
    };
    let base = nut.header().time_base;
    Ok(nut.frame(&mut input, frame)?.map(|pts| (pts, base)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of a film in ticks of which the pipe has 64, as it hands them on from frame `skip` on.
    fn given(times: &[i64], skip: usize, after: Option<i64>) -> Vec<Option<i64>> {
        let (film, pipe) = (TimeBase { num: 1, den: 1000 }, TimeBase { num: 1, den: 64_000 });
        let mut clock = Clock { time: after, ..Clock::default() };
        let mut last = i64::MIN;
        let tick = |time: &i64| {
            last = (time * 64).max(last.saturating_add(1));
            clock.tick(last, film.exactly(last, pipe))
        };
        times[skip..].iter().map(tick).collect()
    }

    #[test]
    fn two_frames_of_one_time_are_a_tick_apart_wherever_a_run_goes_on() {
        for (times, wanted) in [
            ([0, 40, 40, 80, 120, 160], [0, 40, 41, 80, 120, 160]),
            ([0, 40, 40, 41, 41, 80], [0, 40, 41, 42, 43, 80]),
            ([0, 0, 1, 2, 3, 5], [0, 1, 2, 3, 4, 5]),
        ] {
            let wanted = wanted.map(Some);
            assert_eq!(given(&times, 0, None), wanted);
            for skip in 1..times.len() {
                assert_eq!(given(&times, skip, wanted[skip - 1]), wanted[skip..], "{times:?} {skip}");
            }
        }
    }

    #[test]
    fn times_that_stand_still_or_go_back_are_none() {
        assert_eq!(given(&[0, 40, 40, 40], 0, None)[3], None);
        assert_eq!(given(&[0, 40, 80, 0, 40], 0, None)[3..], [Some(81), None]);
    }
}
