//! Capture, upscale, show: three threads, joined by queues of fixed capacity.
//!
//! ```text
//! capture --(queue of N frames)--> infer --(1 frame)--> sink
//!    ^------- N + 2 frames --------'  ^---- 2 frames ----'
//! ```
//!
//! Every frame lives in one of two pools that are allocated in PREPARE. The network takes an empty output frame
//! before it takes the next input, so nothing is upscaled that would only wait: with a sink or network of D per
//! frame a frame waits at most N D in the queue, D in the network's hands and D in the sink's. Latency is at most
//! (N + 2) frame times, for ever.
//!
//! A recording of a live source keeps time: frames have the moment of their capture, and where some were dropped, the sink gets
//! the one before again until the recording is as long as what was recorded. A file that somebody looks at is shown at its rate.

mod deep;
mod overlay;
mod queue;
mod stages;
mod stats;
mod upscaler;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use overlay::{InfoText, Thermometer};
pub use queue::{Counts, DropPolicy, MOST_QUEUE, Pushed, Queue};
pub use stats::{Devices, Drops, Latency, Shares, Spent, Stages, Stats};
pub use upscaler::{Upscaler, engine_format};

use crate::engine::{self, PrepareError, Still};
use crate::frame::FrameFormat;
use crate::io::{Audience, FrameSink, FrameSource, PORT_BYTES, ReadError, WriteError};
use stages::{Frame, Shared};

/// Stack of each of the three threads.
const STACK: usize = 512 << 10;
/// Files' buffers, thread names and the like.
const FIXED: usize = 2 * PORT_BYTES + (32 << 10);
/// How often the run looks up.
const TICK: Duration = Duration::from_millis(50);
/// Longest wait for a source that has something to end in good order.
const PROMPT: Duration = Duration::from_secs(3);
/// How long a sink may take to let go when nobody waits for its frame: a display's longest flip, and more.
const LETTING_GO: Duration = Duration::from_secs(3);

/// How long the end of a run waits for a sink that takes no more: the reader of a pipe may stand still for ever.
const STANDSTILL: Duration = Duration::from_secs(10);

/// Frames of a file that is played are this far apart at most.
const LONGEST: Duration = Duration::from_secs(1);

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Frames that may wait for the network, 1 to [`MOST_QUEUE`].
    pub queue: usize,
    /// Who gives way when they are too many.
    pub drop: DropPolicy,
    /// Left half bicubic, right half network.
    pub compare: bool,
    /// Leave windows as they are that stand still.
    pub still: Option<Still>,
    /// What becomes of frames that cannot be read.
    pub on_error: OnError,
    /// End after so many captured frames.
    pub frames: Option<u64>,
    /// End after this time.
    pub duration: Option<Duration>,
}

/// What becomes of a frame that cannot be read, where others can follow: a damaged picture of a sequence, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The run ends.
    Stop,
    /// It is left out, and counted.
    Skip,
    /// The one before takes its place, and it is counted.
    Repeat,
}

/// What the caller wants at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Run,
    /// Capture no more; show what is on its way, and end.
    Stop,
    /// End at once: what is on its way is dropped. What a recording has is kept.
    Abandon,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The source failed, or holds no valid video.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The sink failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A network that runs in floats failed.
    #[error("the network failed: {0}")]
    Network(String),
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Spawn(std::io::Error),
    /// The caller would not wait.
    #[error("ended at once: {0} frames on their way were dropped; what was written before is kept")]
    Abandoned(u64),
}

/// Bytes that a run takes beside the engine: frames, queues, filters, stacks, buffers.
pub fn bytes_beside_engine(options: &Options, from: &FrameFormat, to: &FrameFormat) -> usize {
    let inputs = (options.queue + 2).saturating_mul(from.bytes());
    let outputs = to.bytes().saturating_mul(2);
    let queues = 4 * Queue::<Frame>::BYTES + stats::Meter::BYTES;
    let upscaler = Upscaler::bytes(from, to, options.compare, options.still.is_some());
    let rest = queues + overlay::Overlay::BYTES + upscaler + 3 * STACK + FIXED;
    inputs.saturating_add(outputs).saturating_add(rest)
}

/// Runs `prepare` with what `beside` bytes leave of the budget. When that is too little, the error's least budget
/// has room for both.
///
/// # Errors
///
/// As `prepare`.
pub fn within<T>(
    options: &engine::Options,
    beside: usize,
    prepare: impl FnOnce(&engine::Options) -> Result<T, PrepareError>,
) -> Result<T, PrepareError> {
    let given = options.budget.0;
    let mut rest = options.clone();
    rest.told = true;
    rest.budget.0 = given.saturating_sub(beside);
    prepare(&rest).map_err(|error| match error {
        PrepareError::Budget { needed, .. } => PrepareError::Budget { needed: needed.saturating_add(beside), given },
        other => other,
    })
}

/// What `watch` can ask while frames go by.
pub struct Live<'a>(&'a Shared);

impl Live<'_> {
    /// Numbers since the last call.
    pub fn interval(&self) -> Stats {
        self.0.meter.interval(self.0.input.counts())
    }

    /// Those who look at the run through the sink.
    pub fn audience(&self) -> Option<&Audience> {
        self.0.audience.as_deref()
    }

    /// Numbers since the last call, for the audience.
    pub fn told(&self) -> Stats {
        self.0.meter.told(self.0.input.counts())
    }
}

/// Runs until the source ends, `options` or `watch` say so, or the sink's reader leaves, which is no error.
///
/// `watch` is called some twenty times a second. With [`Wish::Stop`] the frames on their way are still shown.
///
/// # Errors
///
/// When source or sink fail. What a recording has got until then is whole frames, and kept.
pub fn run(
    options: &Options,
    mut upscaler: Upscaler,
    mut source: Box<dyn FrameSource>,
    sink: Box<dyn FrameSink>,
    mut watch: impl FnMut(&Live) -> Wish,
) -> Result<Stats, LiveError> {
    let shared = Arc::new(Shared::new(options, &upscaler, sink.audience()));
    // Where nothing is dropped, every frame is there already.
    let rate = source.clip().rate;
    let paced = source.clip().live && rate.frames > 0 && options.drop != DropPolicy::Never && sink.is_recording();
    let pace = paced.then(|| stages::Pace::new(rate));
    let period = (!source.clip().live && sink.is_watched()).then(|| rate.period()).flatten();
    let play = period.map(|period| stages::Play::new(period.min(LONGEST)));
    // Of a file, every frame is the next one.
    let source_rate = Some(rate).filter(|rate| source.clip().live && rate.frames > 0);
    let own = *options;
    let patience = if source.is_prompt() { PROMPT } else { TICK };
    let capture = start("capture", &shared, move |shared| stages::capture(&mut *source, shared, &own))?;
    let capture = Capture { thread: Some(capture), shared: &shared, patience };
    let clock = source_rate.filter(|_| own.still.is_some());
    let infer = start("infer", &shared, move |shared| stages::infer(&mut upscaler, shared, clock))?;
    let show = start("sink", &shared, move |shared| stages::show(sink, shared, pace, play))?;

    let begin = Instant::now();
    let mut ending = None;
    while !shared.wait_end(TICK) {
        let over = options.duration.is_some_and(|limit| begin.elapsed() >= limit);
        let stands_still = Instant::now()
            .checked_sub(STANDSTILL)
            .is_some_and(|then| ending.is_some_and(|since: Instant| since <= then) && shared.stands_still(then));
        match watch(&Live(&shared)) {
            wish if wish == Wish::Abandon || stands_still => {
                shared.abandon();
                // A display's console returns when the sink goes; a recording gets its name.
                while !await_end(&show, LETTING_GO) && shared.is_finishing() {}
                return Err(LiveError::Abandoned(shared.meter.summary(shared.input.counts()).dropped.ended));
            }
            Wish::Run if !over => {}
            _ => {
                ending.get_or_insert_with(Instant::now);
                shared.input.close();
            }
        }
    }
    // Both, before a panic of one goes on: the sink has something to put right.
    let (infer, show) = (infer.join(), show.join());
    passed_on(infer);
    passed_on(show)?;
    capture.end();
    shared.take_failure().map_or(Ok(()), Err)?;
    Ok(shared.meter.summary(shared.input.counts()))
}

/// The capture thread, which may wait for a source that never gives another frame; it is left to that, and holds no
/// frame that counts. However a run ends, a source that is prompt has ended before it.
struct Capture<'a> {
    thread: Option<Handle<()>>,
    shared: &'a Shared,
    patience: Duration,
}

impl Capture<'_> {
    /// Waits for the thread; its panic is this thread's.
    fn end(mut self) {
        if let Some(thread) = self.wait() {
            passed_on(thread.join());
        }
    }

    fn wait(&mut self) -> Option<Handle<()>> {
        self.shared.close();
        self.thread.take().filter(|thread| await_end(thread, self.patience))
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        self.wait();
    }
}

type Handle<T> = std::thread::JoinHandle<T>;

fn start<T: Send + 'static>(
    name: &str,
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> T + Send + 'static,
) -> Result<Handle<T>, LiveError> {
    let own = Arc::clone(shared);
    let thread = std::thread::Builder::new().name(format!("bifocal-{name}")).stack_size(STACK);
    let handle = thread.spawn(move || work(&own));
    handle.map_err(|error| {
        shared.close();
        LiveError::Spawn(error)
    })
}

/// Waits for the end of a thread, at most `time`.
fn await_end<T>(handle: &Handle<T>, time: Duration) -> bool {
    let patience = Instant::now() + time;
    while !handle.is_finished() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
    }
    handle.is_finished()
}

/// What a thread gave; its panic goes on in this one.
fn passed_on<T>(ended: std::thread::Result<T>) -> T {
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
