//! The three threads. Each ends when the queue before it is closed and empty, and closes the one behind it, even
//! when it panics.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::queue::{DropPolicy, Pushed, Queue};
use super::stats::{Meter, Stage};
use super::upscaler::Upscaler;
use super::{LiveError, OnError, Options};
use crate::io::{Arrival, Audience, FrameSink, FrameSource, Rate, ReadError, Shown, WriteError};

/// A frame of one of the pools.
#[derive(Debug)]
pub(super) struct Frame {
    bytes: Vec<u8>,
    /// When its device took it, else when the source had given it.
    captured: Instant,
    /// When that was by the clock of the recording.
    due: Duration,
    /// Its number at the source.
    number: Option<u64>,
    /// Rows of an upscaled frame that differ from the one before.
    changed: Range<usize>,
    /// Its time stamp at the source.
    time: Option<i64>,
    /// Is it to be the frame before once more? Then its bytes mean nothing.
    again: bool,
    /// Of an upscaled frame: what it was made of, where an audience watched.
    source: Vec<u8>,
    has_source: bool,
}

/// What the threads share.
pub(super) struct Shared {
    pub(super) input: Queue<Frame>,
    input_spare: Queue<Frame>,
    output: Queue<Frame>,
    output_spare: Queue<Frame>,
    pub(super) meter: Meter,
    failure: Mutex<Option<LiveError>>,
    /// Are frames on their way of no use any more?
    abandoned: AtomicBool,
    /// Is the sink giving its file a name?
    finishing: AtomicBool,
    /// May a frame have to be written once more where one cannot be read?
    repeats: bool,
    /// Those who look at the run.
    pub(super) audience: Option<Arc<Audience>>,
    /// Since when the sink has been busy with a frame.
    writing: Mutex<Option<Instant>>,
    ended: Mutex<bool>,
    end: Condvar,
}

impl Shared {
    /// Allocates all frames.
    pub(super) fn new(options: &Options, upscaler: &Upscaler, audience: Option<Arc<Audience>>) -> Self {
        let (inputs, outputs) = (options.queue + 2, 2);
        let (from, to) = upscaler.frame_bytes();
        let source = if audience.is_some() { upscaler.source_bytes() } else { 0 };
        Self {
            input: Queue::new(options.queue),
            input_spare: pool(inputs, from, 0),
            output: Queue::new(1),
            output_spare: pool(outputs, to, source),
            meter: Meter::new(),
            failure: Mutex::new(None),
            abandoned: AtomicBool::new(false),
            finishing: AtomicBool::new(false),
            repeats: options.on_error == OnError::Repeat,
            audience,
            writing: Mutex::new(None),
            ended: Mutex::new(false),
            end: Condvar::new(),
        }
    }

    /// Ends all threads as soon as they look, with frames on their way.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
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

    fn announce_end(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.end.notify_all();
    }

    fn shown(&self, latency: Duration) {
        log::trace!("shown {} us after its capture", latency.as_micros());
        self.meter.shown(latency);
    }

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

    /// Is the sink giving its file a name?
    pub(super) fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::Acquire)
    }

    /// Does anybody want to see what frames were made of?
    fn wants_sources(&self) -> bool {
        self.audience.as_ref().is_some_and(|audience| audience.watches())
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }
}

fn pool(frames: usize, bytes: usize, source: usize) -> Queue<Frame> {
    let pool = Queue::new(frames);
    for _ in 0..frames {
        let frame = Frame {
            bytes: vec![0; bytes],
            captured: Instant::now(),
            due: Duration::ZERO,
            number: None,
            changed: 0..0,
            time: None,
            again: false,
            source: vec![0; source],
            has_source: false,
        };
        pool.push(frame, DropPolicy::Never);
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

/// The clock of a recording: it runs while frames come, and stands still while the source is away.
struct Clock {
    last: Option<Instant>,
    time: Duration,
}

/// A source that gives nothing for so long is away.
const AWAY: Duration = Duration::from_secs(10);

impl Clock {
    fn tick(&mut self, captured: Instant) -> Duration {
        let passed = self.last.map_or(Duration::ZERO, |last| captured.saturating_duration_since(last));
        if passed > AWAY {
            log::warn!("nothing came for {passed:.0?}; a recording goes on where it was");
        } else {
            self.time += passed;
        }
        self.last = self.last.max(Some(captured));
        self.time
    }
}

/// Fills frames from the source until it ends, fails or has given `most` frames.
pub(super) fn capture(source: &mut dyn FrameSource, shared: &Shared, options: &Options) {
    let _leave = OnDrop(|| shared.input.close());
    let Some(mut frame) = shared.input_spare.pop() else { return };
    let (policy, mut left) = (options.drop, options.frames.unwrap_or(u64::MAX));
    let mut clock = Clock { last: None, time: Duration::ZERO };
    while left > 0 {
        // Where nothing may be dropped, a frame is read when it can go on at once: waiting would make it old.
        if policy == DropPolicy::Never && !shared.input.wait_room() {
            return;
        }
        let begin = Instant::now();
        let fetched = fetch(source, &mut frame.bytes, shared);
        let captured = Instant::now();
        let (at, number, frames, again) = match fetched {
            Ok(Some(at)) => (at.unwrap_or(captured), source.number(), 1, false),
            Ok(None) => return,
            Err(error) => {
                let Some(gap) = source.pass_over().filter(|_| options.on_error != OnError::Stop) else {
                    return shared.fail(error.into());
                };
                log::warn!("{error}; {}", if options.on_error == OnError::Skip { "passed over" } else { "repeated" });
                shared.meter.source(source.troubles());
                let repeats = if options.on_error == OnError::Repeat { gap.frames } else { 0 };
                (captured, gap.first, repeats, true)
            }
        };
        let due = clock.tick(at);
        shared.meter.stage(Stage::Capture, captured - begin);
        for n in 0..frames.min(left) {
            (frame.captured, frame.due, frame.again) = (at, due, again);
            frame.number = number.map(|first| first + n);
            frame.time = source.time();
            frame = match shared.input.push(frame, policy) {
                Pushed::Kept => match shared.input_spare.pop() {
                    Some(spare) => spare,
                    None => return,
                },
                Pushed::Replaced(frame) | Pushed::Refused(frame) => frame,
                Pushed::Closed(_) => return,
            };
        }
        left = left.saturating_sub(frames);
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
///
/// With the rate of a `live` source, frames are as far apart as their captures.
pub(super) fn infer(upscaler: &mut Upscaler, shared: &Shared, live: Option<Rate>) {
    let _leave = OnDrop(|| shared.output.close());
    let mut before = None;
    while let Some(mut out) = shared.output_spare.pop() {
        let Some(frame) = shared.input.pop() else { break };
        let begin = Instant::now();
        shared.meter.stage(Stage::Wait, begin - frame.captured);
        if !frame.again {
            let passed = before.replace(frame.captured).map(|then| frame.captured.saturating_duration_since(then));
            let frames = live.zip(passed).map_or(1, |(rate, passed)| rate.frames_in(passed).max(1));
            if let Err(reason) = upscaler.run(&frame.bytes, &mut out.bytes, frames) {
                shared.fail(LiveError::Network(reason));
                break;
            }
            shared.meter.work(&upscaler.work());
            out.has_source = shared.wants_sources();
            if out.has_source {
                upscaler.source(&frame.bytes, &mut out.source);
            }
            out.changed = upscaler.changed();
            upscaler.annotate(&mut out.bytes, || shared.meter.numbers(shared.input.counts()));
        }
        (out.captured, out.due, out.again) = (frame.captured, frame.due, frame.again);
        (out.number, out.time) = (frame.number, frame.time);
        shared.meter.stage(Stage::Infer, begin.elapsed());
        shared.input_spare.push(frame, DropPolicy::Never);
        if let Pushed::Closed(_) = shared.output.push(out, DropPolicy::Never) {
            break;
        }
    }
}

/// What a recording of a live source needs to keep time: where frames were dropped, the one before is written again.
pub(super) struct Pace {
    rate: Rate,
    /// Frames that were written.
    written: u64,
    /// When the first was due.
    first: Option<Duration>,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, written: 0, first: None }
    }

    /// How many frames are to be written for one that is due then: with 0 it came too early, with 2 or more the one before
    /// fills the time. A frame less than a period early or late is in time: sources are not exact.
    fn frames(&mut self, due: Duration) -> u64 {
        let since = due.saturating_sub(*self.first.get_or_insert(due)).as_secs_f64();
        let place = since * f64::from(self.rate.frames) / f64::from(self.rate.seconds);
        let late = place - self.written as f64;
        let frames = if late >= 1.0 { 1 + late as u64 } else { u64::from(late > -1.0) };
        self.written += frames;
        frames
    }
}

/// Shows the frames of a file at its rate.
pub(super) struct Play {
    period: Duration,
    due: Instant,
}

impl Play {
    pub(super) fn new(period: Duration) -> Self {
        Self { period, due: Instant::now() }
    }

    /// Waits until the next frame is due. What came late is not caught up with.
    fn wait(&mut self, shared: &Shared) {
        loop {
            let left = self.due.saturating_duration_since(Instant::now());
            if left.is_zero() || shared.is_abandoned() {
                break;
            }
            std::thread::sleep(left.min(super::TICK));
        }
        self.due = Instant::now().max(self.due) + self.period;
    }
}

/// Hands frames to the sink, and finishes it: what it has got is whole frames, whatever ended the run.
pub(super) fn show(
    mut sink: Box<dyn FrameSink>,
    shared: &Shared,
    pace: Option<Pace>,
    play: Option<Play>,
) -> Result<(), LiveError> {
    let _leave = OnDrop(|| {
        shared.close();
        shared.announce_end();
    });
    let shown = show_all(&mut *sink, shared, pace, play);
    // The reader has what it wanted.
    if shown.as_ref().is_err_and(WriteError::is_closed_pipe) {
        return Ok(());
    }
    shared.finishing.store(true, Ordering::Release);
    let finished = sink.finish().or_else(|error| if error.is_closed_pipe() { Ok(()) } else { Err(error) });
    Ok(shown.and(finished)?)
}

fn show_all(
    sink: &mut dyn FrameSink,
    shared: &Shared,
    mut pace: Option<Pace>,
    mut play: Option<Play>,
) -> Result<(), WriteError> {
    // The frame before, where it may have to be written once more.
    let mut held: Option<Frame> = None;
    let holds = pace.is_some() || shared.repeats;
    while let Some(frame) = shared.output.pop() {
        if shared.is_abandoned() {
            return Ok(());
        }
        if let Some(play) = &mut play {
            play.wait(shared);
        }
        let begin = Instant::now();
        let frames = pace.as_mut().map_or(1, |pace| pace.frames(frame.due));
        let mut shown = None;
        for n in 1..=frames {
            // Of several, the last is the new one.
            let next = match &held {
                Some(before) if n < frames || frame.again => before,
                None if frame.again => break,
                _ => &frame,
            };
            if let Some(number) = frame.number {
                sink.set_number(number);
            }
            // What is written again, or was not there to be compared with, is taken as new.
            if frames == 1 && !frame.again {
                sink.set_changed(frame.changed.clone());
            }
            if let Some(time) = frame.time {
                sink.set_time(time);
            }
            if next.has_source {
                sink.set_source(&next.source);
            }
            shared.set_writing(Some(Instant::now()));
            let written = sink.write(&next.bytes);
            shared.set_writing(None);
            shown = Some(written?);
            if shared.is_abandoned() {
                return Ok(());
            }
        }
        shared.meter.sink(sink.troubles());
        shared.meter.stage(Stage::Sink, begin.elapsed());
        match shown {
            Some(Shown::Now) => shared.shown(frame.captured.elapsed()),
            Some(Shown::At(at)) => shared.shown(at.saturating_duration_since(frame.captured)),
            Some(Shown::Nowhere) => shared.meter.lost(),
            None => shared.meter.surplus(),
        }
        shared.meter.filled(frames.saturating_sub(1));
        let spare = if holds && !frame.again { held.replace(frame) } else { Some(frame) };
        if let Some(spare) = spare {
            shared.output_spare.push(spare, DropPolicy::Never);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_time() {
        let ms = Duration::from_millis;
        let mut pace = Pace::new(Rate { frames: 10, seconds: 1 });
        // Not exact, but never a period off.
        let written: Vec<u64> = [0, 130, 190, 310, 370, 505].map(|due| pace.frames(ms(due))).into();
        assert_eq!(written, [1; 6]);
        assert_eq!(pace.frames(ms(1000)), 5, "six periods after the last, one is still to come");
        assert_eq!(pace.frames(ms(1001)) + pace.frames(ms(1002)), 1, "too many");
        assert_eq!(pace.frames(ms(3_600_000)), 36_000 - 12 + 1);
        let mut clock = Clock { last: None, time: Duration::ZERO };
        let begin = Instant::now();
        for (at, time) in [(0, 0), (400, 400), (300, 400), (1400, 1400), (20_000, 1400), (20_500, 1900)] {
            assert_eq!(clock.tick(begin + ms(at)), ms(time), "at {at}");
        }
    }
}
