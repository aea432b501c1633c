//! The three threads. Each ends when the queue before it is closed and empty, and closes the one behind it, even
//! when it panics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::queue::{DropPolicy, Pushed, Queue};
use super::stats::{Meter, Stage};
use super::upscaler::Upscaler;
use super::{LiveError, Options};
use crate::io::{Arrival, FrameSink, FrameSource, ReadError, Shown};

/// A frame of one of the pools.
#[derive(Debug)]
pub(super) struct Frame {
    bytes: Vec<u8>,
    /// When its device took it, else when the source had given it.
    captured: Instant,
}

/// What the threads share.
pub(super) struct Shared {
    pub(super) input: Queue<Frame>,
    input_spare: Queue<Frame>,
    output: Queue<Frame>,
    output_spare: Queue<Frame>,
    pub(super) meter: Meter,
    failure: Mutex<Option<LiveError>>,
    /// Is what the sink was given not all that it should have been?
    torn: AtomicBool,
    /// Since when the sink has been busy with a frame.
    writing: Mutex<Option<Instant>>,
    ended: Mutex<bool>,
    end: Condvar,
}

impl Shared {
    /// Allocates all frames.
    pub(super) fn new(options: &Options, upscaler: &Upscaler) -> Self {
        let (inputs, outputs) = (options.queue + 2, 2);
        let (from, to) = upscaler.frame_bytes();
        Self {
            input: Queue::new(options.queue),
            input_spare: pool(inputs, from),
            output: Queue::new(1),
            output_spare: pool(outputs, to),
            meter: Meter::new(),
            failure: Mutex::new(None),
            torn: AtomicBool::new(false),
            writing: Mutex::new(None),
            ended: Mutex::new(false),
            end: Condvar::new(),
        }
    }

    /// Ends all threads as soon as they look, with frames on their way.
    pub(super) fn abandon(&self) {
        self.torn.store(true, Ordering::Release);
        self.close();
    }

    /// Ends all threads as soon as they look.
    pub(super) fn close(&self) {
        for queue in [&self.input, &self.input_spare, &self.output, &self.output_spare] {
            queue.close();
        }
    }

    /// Has the last thread ended? Waits for it for a while.
    pub(super) fn wait_end(&self, time: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.end.wait_timeout_while(ended, time, |ended| !*ended);
        *result.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Nothing more comes through `queue`. What a thread leaves in a panic is not whole.
    fn leave(&self, queue: &Queue<Frame>) {
        self.torn.fetch_or(std::thread::panicking(), Ordering::Release);
        queue.close();
    }

    fn announce_end(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.end.notify_all();
    }

    fn shown(&self, latency: Duration) {
        log::trace!("shown {} us after its capture", latency.as_micros());
        self.meter.shown(latency);
    }

    /// What the source died of.
    /// Keeps the first failure of a stage, which ends the run.
    fn fail(&self, error: LiveError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    pub(super) fn take_failure(&self) -> Option<LiveError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Has the sink been busy with one frame since `then`, or for longer?
    pub(super) fn stands_still(&self, then: Instant) -> bool {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|since| since <= then)
    }

    fn set_writing(&self, since: Option<Instant>) {
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn is_torn(&self) -> bool {
        self.torn.load(Ordering::Acquire)
    }
}

fn pool(frames: usize, bytes: usize) -> Queue<Frame> {
    let pool = Queue::new(frames);
    for _ in 0..frames {
        pool.push(Frame { bytes: vec![0; bytes], captured: Instant::now() }, DropPolicy::Never);
    }
    pool
}

/// Calls its function when it goes, panic or not.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Fills frames from the source until it ends, fails or has given `most` frames.
pub(super) fn capture(source: &mut dyn FrameSource, shared: &Shared, (policy, most): (DropPolicy, u64)) {
    let _leave = OnDrop(|| shared.leave(&shared.input));
    let Some(mut frame) = shared.input_spare.pop() else { return };
    for _ in 0..most {
        // Where nothing may be dropped, a frame is read when it can go on at once: waiting would make it old.
        if policy == DropPolicy::Never && !shared.input.wait_room() {
            break;
        }
        let begin = Instant::now();
        let at = match fetch(source, &mut frame.bytes, shared) {
            Ok(Some(at)) => at,
            Ok(None) => break,
            Err(error) => {
                shared.fail(error.into());
                break;
            }
        };
        let now = Instant::now();
        frame.captured = at.unwrap_or(now);
        shared.meter.stage(Stage::Capture, now - begin);
        frame = match shared.input.push(frame, policy) {
            Pushed::Kept => match shared.input_spare.pop() {
                Some(spare) => spare,
                None => break,
            },
            Pushed::Replaced(frame) | Pushed::Refused(frame) => frame,
            Pushed::Closed(_) => break,
        };
    }
}

/// Waits for a frame and gives the moment that its device took it; `None` when there are no more, or nobody wants
/// one.
fn fetch(
    source: &mut dyn FrameSource,
    bytes: &mut [u8],
    shared: &Shared,
) -> Result<Option<Option<Instant>>, ReadError> {
    loop {
        let arrival = source.read(bytes);
        shared.meter.source(source.troubles());
        match arrival? {
            Arrival::Frame(at) => return Ok(Some(at)),
            Arrival::End => return Ok(None),
            Arrival::Pending if shared.input.is_closed() => return Ok(None),
            Arrival::Pending => {}
        }
    }
}

/// Upscales frames. The empty output frame comes first: while the sink is busy, newer frames may still replace the
/// one that would be taken now.
pub(super) fn infer(upscaler: &mut Upscaler, shared: &Shared) {
    let _leave = OnDrop(|| shared.leave(&shared.output));
    while let Some(mut out) = shared.output_spare.pop() {
        let Some(frame) = shared.input.pop() else { break };
        let begin = Instant::now();
        shared.meter.stage(Stage::Wait, begin - frame.captured);
        if let Err(reason) = upscaler.run(&frame.bytes, &mut out.bytes) {
            shared.fail(LiveError::Network(reason));
            break;
        }
        upscaler.annotate(&mut out.bytes, || shared.meter.numbers(shared.input.counts()));
        out.captured = frame.captured;
        shared.meter.stage(Stage::Infer, begin.elapsed());
        shared.input_spare.push(frame, DropPolicy::Never);
        if let Pushed::Closed(_) = shared.output.push(out, DropPolicy::Never) {
            break;
        }
    }
}

/// Hands frames to the sink, and finishes it unless the run was abandoned or a thread panicked.
pub(super) fn show(mut sink: Box<dyn FrameSink>, shared: &Shared) -> Result<(), LiveError> {
    let _leave = OnDrop(|| {
        shared.close();
        shared.announce_end();
    });
    while let Some(frame) = shared.output.pop() {
        let begin = Instant::now();
        shared.set_writing(Some(begin));
        let shown = sink.write(&frame.bytes);
        shared.set_writing(None);
        let shown = match shown {
            Ok(shown) => shown,
            // The reader has what it wanted.
            Err(error) if error.is_closed_pipe() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        shared.meter.sink(sink.troubles());
        shared.meter.stage(Stage::Sink, begin.elapsed());
        match shown {
            Shown::Now => shared.shown(frame.captured.elapsed()),
            Shown::At(at) => shared.shown(at.saturating_duration_since(frame.captured)),
            Shown::Nowhere => shared.meter.lost(),
        }
        shared.output_spare.push(frame, DropPolicy::Never);
    }
    // A source that failed has given whole frames until then: they are kept.
    if !shared.is_torn() {
        sink.finish().or_else(|error| if error.is_closed_pipe() { Ok(()) } else { Err(error) })?;
    }
    Ok(())
}
