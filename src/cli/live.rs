//! `bifocal live`.

use std::io::Write;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::args::{Compare, Deadline, Format, Live as Args, OnError as HowOnError, Policy};
use super::failure::{Code, Failure};
use super::interrupt::Control;
use super::list;
use super::report;
use super::session::{self, Frames, Session};
use super::settings;
use crate::board::Sensors;
use crate::engine::Tolerance;
use crate::frame::FrameFormat;
use crate::io::{Clip, SinkUri, SourceUri, UriError};
use crate::live::{self, DropPolicy, InfoText, Live, LiveError, OnError, Options, Stats, Upscaler};

/// How often those who look at a page are told numbers.
const TOLD: Duration = Duration::from_secs(1);

/// A line of `--format json`, on standard error.
#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    #[serde(flatten)]
    stats: &'a Stats,
    /// Of the processor, in degrees Celsius.
    temperature_c: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Run<'a>>,
}

/// What the audience of a sink is told.
#[derive(Serialize)]
struct Told<'a> {
    model: &'a str,
    #[serde(flatten)]
    stats: &'a Stats,
    temperature_c: Option<f64>,
    /// Since the beginning.
    dropped_total: u64,
}

/// What was run, in the summary only.
#[derive(Clone, Copy, Serialize)]
struct Run<'a> {
    model: &'a str,
    threads: usize,
    queue: usize,
    budget_bytes: usize,
    total_bytes: usize,
}

pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    if args.list {
        return list::run(args.format);
    }
    let args = &settings::resolve(args)?;
    let mut source_uri: SourceUri = args.source.as_deref().unwrap_or_default().parse()?;
    if let Some(limit) = args.reconnect {
        source_uri.set_patience(limit)?;
    }
    if args.deinterlace {
        source_uri.set_deinterlace()?;
    }
    let on_error = args.on_error.map_or(OnError::Stop, |how| match how {
        HowOnError::Stop => OnError::Stop,
        HowOnError::Skip => OnError::Skip,
        HowOnError::Repeat => OnError::Repeat,
    });
    if on_error != OnError::Stop {
        source_uri.set_lenient()?;
    }
    let sink_uri: SinkUri = args.sink.as_deref().unwrap_or_default().parse()?;
    sink_uri.check(&source_uri)?;
    let info = args.info_text.as_deref().map(str::parse::<InfoText>).transpose();
    let info = info.map_err(|error| Failure::usage(format!("--info-text: {error}")))?;
    let session = Session::open(&args.engine)?;
    if args.resume {
        source_uri.set_finished(&sink_uri, session.scale())?;
    }
    // A program of our own must not be left behind by a signal, not even before its first frame.
    let keys = !source_uri.is_pipe();
    let early = source_uri.is_program().then(|| Control::new(keys)).transpose()?;
    let source = source_uri.open()?;
    let clip = *source.clip();
    let usual = if source_uri.is_camera() { Tolerance::Noise } else { Tolerance::Levels(0) };
    let deep = clip.format.bits > 8;
    if deep && args.still.is_some_and(|still| still.0.is_some()) {
        return Err(Failure::usage("--still compares frames of 8 bits, and these have 10"));
    }
    let still = args.still.map_or((!deep).then_some(usual), |still| still.0);
    let still = still.map(|tolerance| session::still(tolerance, &clip));
    let options = Options { on_error, still, ..options(args, &clip) };

    let scaled = FrameFormat { size: clip.format.size.scaled(session.scale()), ..clip.format };
    let to = sink_uri.takes(&scaled, &source_uri)?;
    if to.bits > 8 && (args.compare.is_some() || info.is_some()) {
        return Err(Failure::usage("--compare and --info-text draw on frames of 8 bits, and these keep their 10"));
    }
    let deadline = args.deadline.map(|deadline| match deadline {
        Deadline::Time(time) => Ok(time),
        Deadline::Fps => {
            let none = || Failure::usage("--deadline fps: the source has no rate; name a time");
            clip.rate.period().ok_or_else(none)
        }
    });
    let deadline = deadline.transpose()?;
    let run =
        Frames { options: &options, from: &clip.format, to: &to, kept: sink_uri.bytes(&clip.format, &to), deadline };
    let (engine_options, engine) = session.engine_for(&run, args.still.is_none())?;
    let total_bytes = engine.report().total_bytes + run.beside(engine.still());
    let options = Options { still: engine.still(), ..options };
    let sensors = session.machine.sensors();
    let mut upscaler = Upscaler::new(engine, clip.format, to, options.compare);
    if args.compare == Some(Compare::Map) {
        upscaler = upscaler.with_map();
    }
    if let Some(info) = info {
        let sensors = sensors.clone();
        upscaler = upscaler.with_info(info, Box::new(move || sensors.temperature()));
    }

    // Before the sink makes its file: a signal must find somebody who removes it.
    let mut control = early.map_or_else(|| Control::new(keys), Ok)?;
    let sink = sink_uri.create(&Clip { format: to, ..clip }, &clip.format)?;
    let (next, line) = (Instant::now(), String::new());
    let mut printer = Printer { every: args.stats, next, format: args.format, sensors, line };
    let mut herald = Herald { next, model: &session.model.metadata().name, dropped: 0 };
    printer.start();
    let done = live::run(&options, upscaler, source, sink, |live| {
        if printer.due() {
            printer.print("stats", &live.interval(), None);
        }
        herald.tell(live, &printer.sensors);
        control.wish()
    });
    drop(control);
    let stats = done?;
    if !quiet {
        let (model, threads) = (session.model.metadata().name.as_str(), engine_options.threads);
        let budget_bytes = session.budget().0;
        let run = Run { model, threads, queue: options.queue, budget_bytes, total_bytes };
        printer.print("summary", &stats, Some(run));
    }
    Ok(())
}

fn options(args: &Args, clip: &Clip) -> Options {
    // A camera goes on whether or not anybody looks; a file waits.
    let usual = if clip.live { DropPolicy::Oldest } else { DropPolicy::Never };
    let policy = args.drop.map_or(usual, |policy| match policy {
        Policy::Oldest => DropPolicy::Oldest,
        Policy::Newest => DropPolicy::Newest,
        Policy::Never => DropPolicy::Never,
    });
    Options {
        queue: args.queue.unwrap_or(1).into(),
        drop: policy,
        compare: args.compare == Some(Compare::Split),
        still: None,
        on_error: OnError::Stop,
        frames: args.frames,
        duration: args.duration,
    }
}

/// Prints statistics on standard error; standard output may be the video.
struct Printer {
    every: Option<Duration>,
    next: Instant,
    format: Format,
    sensors: Sensors,
    line: String,
}

impl Printer {
    fn start(&mut self) {
        self.next = Instant::now() + self.every.unwrap_or_default();
    }

    fn due(&mut self) -> bool {
        let now = Instant::now();
        let Some(every) = self.every.filter(|_| now >= self.next) else { return false };
        self.next = (self.next + every).max(now);
        true
    }

    fn print(&mut self, kind: &'static str, stats: &Stats, run: Option<Run>) {
        let temperature_c = self.sensors.temperature();
        if self.format == Format::Json {
            let json = serde_json::to_string(&Line { kind, stats, temperature_c, run }).unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "{json}");
        } else {
            use std::fmt::Write;
            self.line.clear();
            let _ = write!(self.line, "{stats}");
            if let Some(degrees) = temperature_c {
                let _ = write!(self.line, ", {degrees:.1} °C");
            }
            report::line(&self.line);
        }
    }
}

/// Tells the audience of a sink how the run goes.
struct Herald<'a> {
    next: Instant,
    model: &'a str,
    dropped: u64,
}

impl Herald<'_> {
    fn tell(&mut self, live: &Live, sensors: &Sensors) {
        let now = Instant::now();
        let Some(audience) = live.audience().filter(|_| now >= self.next) else { return };
        self.next = now + TOLD;
        let stats = live.told();
        self.dropped += stats.dropped.total();
        let (temperature_c, dropped_total) = (sensors.temperature(), self.dropped);
        let told = Told { model: self.model, stats: &stats, temperature_c, dropped_total };
        audience.tell(&serde_json::to_string(&told).unwrap_or_default());
    }
}

impl From<UriError> for Failure {
    fn from(error: UriError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::Read(error) => error.into(),
            LiveError::Write(error) => error.into(),
            LiveError::Network(_) => Self::new(Code::Failed, error.to_string()),
            other => Self::new(Code::Failed, other.to_string()),
        }
    }
}
