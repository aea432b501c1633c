//! `bifocal video`.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::args::{Format, Video as Args, VideoCodec};
use super::failure::{Code, Failure};
use super::interrupt::Control;
use super::print;
use super::progress::Progress;
use super::report;
use super::session::{self, Frames, Session};
use crate::engine::Tolerance;
use crate::frame::FrameFormat;
use crate::geom::Size;
use crate::io::ffmpeg::{Codec, Container, Decoding, End, Movie, Parts, PartsError, PartsSink, join, test_output};
use crate::io::{Clip, remove_partial_files, same_file};
use crate::live::{self, DropPolicy, LiveError, OnError, Options, Upscaler, Wish};

/// Nothing is dropped, and nothing waits that need not.
const OPTIONS: Options = Options {
    queue: 1,
    drop: DropPolicy::Never,
    compare: false,
    still: None,
    on_error: OnError::Stop,
    frames: None,
    duration: None,
};

/// What is printed with `--format json`.
#[derive(Serialize)]
struct Summary<'a> {
    model: &'a str,
    scale: usize,
    input: String,
    output: String,
    width: usize,
    height: usize,
    /// Frames of this run, and of those before.
    frames: u64,
    resumed: u64,
    complete: bool,
    seconds: f64,
}

pub(super) fn run(args: &Args, progress: Progress) -> Result<(), Failure> {
    let begin = Instant::now();
    let (input, output) = (&args.input, &args.output);
    let container = Container::of(output)?;
    if same_file(input, output) {
        return Err(Failure::usage(format!(
            "{}: this is the input itself, which is never overwritten",
            output.display()
        )));
    }
    if output.is_dir() {
        return Err(Failure::usage(format!("{}: this is a folder; give the name of a file", output.display())));
    }
    let is_special = |path: &Path| path.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir());
    for (path, reason) in
        [(input, "its input is read more than once"), (output, "its output has its name once it is whole")]
    {
        if is_special(path) {
            return Err(Failure::usage(format!("{}: this is no file, but video needs one: {reason}", path.display())));
        }
    }
    let more = shell_words::split(args.ffmpeg_out.as_deref().unwrap_or_default());
    let more = more.map_err(|error| Failure::usage(format!("--ffmpeg-out: {error}")))?;
    let movie = Movie::open(input)?;
    if movie.is_interlaced() && !args.deinterlace {
        return Err(Failure::usage(format!(
            "{}: the video is interlaced; --deinterlace makes frames of it",
            input.display()
        )));
    }
    let codec = codec(args, &movie, container)?;
    movie.test_times()?;
    let data = test_output(&movie, container, codec, &more, output)?;
    let container = container.holding(codec, &more);
    let session = Session::open(&args.engine)?;
    let decoding = Decoding { deinterlace: args.deinterlace, upright: container.turns(&movie), ..Decoding::default() };
    let size = movie.clip_of(decoding).format.size.scaled(session.scale());
    let tell = |frames, resumed, complete| {
        if args.format == Format::Text {
            return Ok(());
        }
        let (model, scale) = (session.model.metadata().name.as_str(), session.scale());
        let (input, output) = (input.display().to_string(), output.display().to_string());
        let (Size { width, height }, seconds) = (size, begin.elapsed().as_secs_f64());
        print::json(&Summary { model, scale, input, output, width, height, frames, resumed, complete, seconds })
    };
    if args.resume && is_finished(&movie, input, output, size) {
        report::line(&format!("{}: finished before", output.display()));
        return tell(0, 0, true);
    }

    // A signal must find somebody who ends the programs that are started from here on.
    let mut control = Control::new(true)?;
    let parts = Parts::open(output, &note(args, codec, &session), args.resume)?;
    let resumed = parts.frames();
    let decoding = Decoding { skip: resumed, after: parts.last(&movie), ..decoding };
    let parts = Arc::new(Mutex::new(parts));
    let job =
        Job { args, codec, more, decoding, parts: Arc::clone(&parts), reached: Arc::new(AtomicI64::new(i64::MIN)) };
    let done = job.run(&movie, &session, &mut control, progress);
    let reached = job.reached.load(Ordering::Relaxed);
    let (frames, mut failure) = match done {
        Ok((frames, true)) => (frames, None),
        Ok((frames, false)) => (frames, Some(Failure::new(Code::Failed, "ended early").by(control.signal()))),
        // What came before is kept, as of every recording.
        Err(LiveOr::Live(LiveError::Read(error))) => (0, Some(Failure::from(error))),
        Err(error @ LiveOr::Live(LiveError::Abandoned(_))) => {
            return Err(unfinished(&parts, Failure::from(error).by(control.signal())));
        }
        Err(error) => return Err(unfinished(&parts, error.into())),
    };
    let complete = failure.is_none();
    let (last, may_replace) = {
        let parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
        (parts.last(&movie), parts.may_replace(output))
    };
    if let Some(failure) = failure.take_if(|_| reached == i64::MIN || !may_replace) {
        return Err(unfinished(&parts, failure));
    }
    let video = if complete { movie.end(last) } else { last.map(|last| movie.end_of(last)) };
    let (start, end) = (movie.start(), End { video, cut: !complete });
    Joining { parts: Arc::clone(&parts), movie, container, data, end }.run(output, &mut control)?;
    let parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
    if complete {
        if let Err(error) = parts.remove() {
            log::warn!("{}: cannot be removed: {error}", parts.folder().display());
        }
    } else if let Err(error) = parts.note_early(output) {
        log::warn!("{}: {error}", parts.folder().display());
    }
    tell(frames, resumed, complete)?;
    let Some(failure) = failure else { return Ok(()) };
    let (there, seconds) = (parts.all_frames(), end.video.unwrap_or_default() - start);
    let next = match parts.frames() {
        0 => "no part of it is whole, so that the next run begins anew".into(),
        whole => format!("--resume goes on after {whole} of them"),
    };
    let line = format!("{} has the first {there} frames, {seconds:.1} s; {next}", output.display());
    if failure.signal().is_some() {
        return Err(Failure::new(failure.code, line).by(failure.signal()));
    }
    report::line(&line);
    Err(failure)
}

fn codec(args: &Args, movie: &Movie, container: Container) -> Result<Codec, Failure> {
    Ok(match args.codec {
        None if container.is_webm() => Codec::Av1,
        None => Codec::usual(movie),
        Some(VideoCodec::X264) => Codec::X264,
        Some(VideoCodec::X265) => Codec::X265,
        Some(VideoCodec::Av1) => Codec::Av1,
        Some(VideoCodec::Ffv1) => Codec::Ffv1,
        Some(VideoCodec::CopyOfSource) => Codec::of_source(movie).ok_or_else(|| {
            let source = movie.codec();
            Failure::usage(format!(
                "the source is {source}, which is not written here; --codec x264, x265, av1 and ffv1 are"
            ))
        })?,
    })
}

/// Is there an output that was complete: no older than its input, of its size and length, and without parts beside it? Which
/// options made it cannot be seen.
fn is_finished(movie: &Movie, input: &Path, output: &Path, size: Size) -> bool {
    let time = |path: &Path| std::fs::metadata(path).and_then(|about| about.modified()).ok();
    let is_new = matches!((time(input), time(output)), (Some(given), Some(made)) if made >= given);
    if !is_new || Parts::beside(output).exists() {
        return false;
    }
    let Ok(made) = Movie::open(output) else { return false };
    let is_long = made.duration().zip(movie.duration()).is_none_or(|(made, given)| made > given - 1.0);
    made.clip().format.size == size && is_long
}

/// What parts are made of, and how: those of two notes that differ do not fit together.
fn note(args: &Args, codec: Codec, session: &Session) -> String {
    let identity = |path: &Path| {
        let about = std::fs::metadata(path).ok();
        about.map(|about| (about.len(), about.modified().ok()))
    };
    let engine = &args.engine;
    let model = session.model.metadata();
    let file = engine.model.model.as_deref().and_then(identity);
    format!(
        "bifocal {}\nsource {:?} {:?}\nmodel {} {} {file:?} {:?} {:?} {:?}\nbranches {:?} {:?}\ntile {:?}\ncodec {:?} {:?}\n\
         deinterlace {}\nkind {:?}\n",
        env!("CARGO_PKG_VERSION"),
        args.input.canonicalize().ok(),
        identity(&args.input),
        model.name,
        model.scale,
        engine.model_range,
        engine.model_order,
        engine.model_scale,
        engine.branches,
        engine.effort,
        engine.tile,
        codec,
        args.ffmpeg_out,
        args.deinterlace,
        args.output.extension(),
    )
}

/// The end of a run that leaves no output: its parts stay, if there are any.
fn unfinished(parts: &Mutex<Parts>, failure: Failure) -> Failure {
    let parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
    if parts.frames() == 0 {
        let _ = parts.remove();
    } else {
        report::line(&format!(
            "{} holds {} finished frames; --resume goes on",
            parts.folder().display(),
            parts.frames()
        ));
    }
    failure
}

/// Either of two errors.
enum LiveOr {
    Live(LiveError),
    Other(Failure),
}

impl From<LiveOr> for Failure {
    fn from(error: LiveOr) -> Self {
        match error {
            LiveOr::Live(error) => error.into(),
            LiveOr::Other(failure) => failure,
        }
    }
}

/// The frames of a movie to parts.
struct Job<'a> {
    args: &'a Args,
    codec: Codec,
    more: Vec<String>,
    decoding: Decoding,
    parts: Arc<Mutex<Parts>>,
    /// Time stamp of the last frame that went to an encoder.
    reached: Arc<AtomicI64>,
}

impl Job<'_> {
    /// Frames that were upscaled, and whether those were all.
    fn run(
        &self,
        movie: &Movie,
        session: &Session,
        control: &mut Control,
        progress: Progress,
    ) -> Result<(u64, bool), LiveOr> {
        let source = movie.frames(self.decoding).map_err(|error| LiveOr::Other(error.into()))?;
        let clip = *source.clip();
        let to = FrameFormat { size: clip.format.size.scaled(session.scale()), ..clip.format };
        // Exactly: what is left as it is has the bytes that it would be made of. It compares frames of 8 bits.
        let still = (clip.format.bits == 8).then(|| session::still(Tolerance::Levels(0), &clip));
        let options = Options { still, ..OPTIONS };
        let run = Frames { options: &options, from: &clip.format, to: &to, kept: 0, deadline: None };
        let (_, engine) = session.engine_for(&run, true).map_err(LiveOr::Other)?;
        let options = Options { still: engine.still(), ..options };
        let upscaler = Upscaler::new(engine, clip.format, to, false);
        let name = self.args.output.display().to_string();
        let (parts, reached) = (Arc::clone(&self.parts), Arc::clone(&self.reached));
        let sink = PartsSink::new(name, parts, movie, &Clip { format: to, ..clip }, self.codec, &self.more, reached);
        let milliseconds = |seconds: f64| (seconds * 1e3) as usize;
        let bar = progress.bar(&self.args.input.display().to_string(), milliseconds(movie.duration().unwrap_or(0.0)));
        if movie.duration().is_none() {
            bar.finish_and_clear();
        }
        let (mut first, mut is_whole) = (None, true);
        let stats = live::run(&options, upscaler, source, Box::new(sink), |_| {
            let reached = self.reached.load(Ordering::Relaxed);
            if reached > i64::MIN && !bar.is_finished() {
                let at = milliseconds(movie.end_of(reached) - movie.start()) as u64;
                if first.is_none() {
                    // What an earlier run did says nothing of this one's speed.
                    first = Some(at);
                    bar.set_position(at);
                    bar.reset_eta();
                }
                bar.set_position(at);
            }
            let wish = control.wish();
            is_whole = wish == Wish::Run;
            wish
        });
        bar.finish_and_clear();
        stats.map(|stats| (stats.shown, is_whole)).map_err(LiveOr::Live)
    }
}

/// Parts to the output, by a thread of its own: a second Ctrl-C must not wait. A first one that comes now has come too late: what is
/// begun is finished soon.
struct Joining {
    parts: Arc<Mutex<Parts>>,
    movie: Movie,
    container: Container,
    data: bool,
    end: End,
}

impl Joining {
    fn run(self, output: &Path, control: &mut Control) -> Result<(), Failure> {
        let (target, parts) = (output.to_path_buf(), Arc::clone(&self.parts));
        let work = move || {
            let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            join(&self.movie, &parts, &target, self.container, self.data, self.end)
        };
        let thread = std::thread::Builder::new().name("bifocal-join".into()).spawn(work);
        let thread = thread.map_err(LiveError::Spawn)?;
        while !thread.is_finished() {
            std::thread::sleep(Duration::from_millis(10));
            if control.wish() == Wish::Abandon {
                remove_partial_files();
                let failure = Failure::new(Code::Failed, "ended at once; --resume writes the output");
                return Err(failure.by(control.signal()));
            }
        }
        let joined = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        joined.map_err(|error| unfinished(&parts, error.into()))
    }
}

impl From<PartsError> for Failure {
    fn from(error: PartsError) -> Self {
        let code = if matches!(error, PartsError::Io(..) | PartsError::Place(..)) { Code::Failed } else { Code::Usage };
        Self::new(code, error.to_string())
    }
}
