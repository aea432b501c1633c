//! The newest frame, and the newest picture of it for all who look.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::jpeg::{Colours, View, encode, half};
use crate::frame::{FrameFormat, Plain};
use crate::io::video::Audience;

/// What a viewer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// After, and before below it.
    Pair,
    /// After alone.
    After,
}

const KINDS: [Kind; 2] = [Kind::Pair, Kind::After];

/// A picture as it is sent.
pub(super) struct Picture {
    number: u64,
    pub(super) jpeg: Vec<u8>,
}

/// A frame as it came, and what it was made of.
struct Raw {
    after: Vec<u8>,
    before: Vec<u8>,
    has_before: bool,
    number: u64,
}

impl Raw {
    fn new(from: &FrameFormat, to: &FrameFormat) -> Self {
        Self { after: vec![0; to.bytes()], before: vec![0; from.bytes()], has_before: false, number: 0 }
    }
}

struct State {
    waiting: Raw,
    /// Has nobody taken it yet?
    is_new: bool,
    newest: [Option<Arc<Picture>>; 2],
    viewers: [usize; 2],
    /// Viewers that are ready for another picture.
    ready: [usize; 2],
    closed: bool,
}

/// Where frames come in and pictures go out.
pub(super) struct Pictures {
    from: FrameFormat,
    to: FrameFormat,
    places: usize,
    quality: u8,
    state: Mutex<State>,
    changed: Condvar,
    audience: Arc<Audience>,
}

/// Bytes that a picture may take: a third of one for each pixel, which is much for what was enlarged. Beyond it, quality gives way.
fn limit(to: &FrameFormat) -> usize {
    to.size.width * (half(to.size.height) + to.size.height) / 3 + (32 << 10)
}

impl Pictures {
    /// Bytes of all frames and pictures, those of the run that wait beside frames for somebody who looks included.
    pub(super) fn bytes(from: &FrameFormat, to: &FrameFormat, places: usize) -> usize {
        // Frames before are at the run's two, in the sink's hands, waiting, and being encoded.
        let frames = 5 * from.bytes() + 2 * to.bytes();
        frames + Plain::bytes(from, to) + Colours::BYTES + pictures(places) * limit(to)
    }

    /// Of frames `to` that are made of frames `from`, which have 8 bits, for at most so many viewers.
    pub(super) fn new(from: FrameFormat, to: FrameFormat, places: usize, quality: u8) -> Self {
        let state = State {
            waiting: Raw::new(&from, &to),
            is_new: false,
            newest: [None, None],
            viewers: [0; 2],
            ready: [0; 2],
            closed: false,
        };
        let (changed, audience) = (Condvar::new(), Arc::default());
        Self { from, to, places, quality, state: Mutex::new(state), changed, audience }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn audience(&self) -> &Arc<Audience> {
        &self.audience
    }

    /// Frames before and after.
    pub(super) fn formats(&self) -> (&FrameFormat, &FrameFormat) {
        (&self.from, &self.to)
    }

    /// Viewers, and how many there may be.
    pub(super) fn viewers(&self) -> (usize, usize) {
        (self.lock().viewers.iter().sum(), self.places)
    }

    /// Takes a frame; what it was made of changes places with what is of no use any more.
    pub(super) fn put(&self, after: &[u8], before: Option<&mut Vec<u8>>) {
        let mut state = self.lock();
        let waiting = &mut state.waiting;
        waiting.after.copy_from_slice(after);
        waiting.number += 1;
        waiting.has_before = before.is_some();
        if let Some(before) = before {
            std::mem::swap(&mut waiting.before, before);
        }
        state.is_new = true;
        self.changed.notify_all();
    }

    /// No more pictures for anybody.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// A place among the viewers, if there is one.
    pub(super) fn watch(&self, kind: Kind) -> Option<Viewer<'_>> {
        let mut state = self.lock();
        if state.viewers.iter().sum::<usize>() >= self.places {
            return None;
        }
        state.viewers[kind as usize] += 1;
        self.audience.set_watches(true);
        Some(Viewer { pictures: self, kind, seen: 0 })
    }

    /// Makes pictures until this is closed: of the newest frame, when somebody is ready for one.
    pub(super) fn encode(&self) {
        let mut own = Raw::new(&self.from, &self.to);
        let (mut plain, colours) = (Plain::new(&self.from, &self.to), Colours::new(self.to));
        let mut quality = self.quality;
        // All that were ever made; those that nobody holds are used again.
        let mut all: Vec<Arc<Picture>> = Vec::new();
        while let Some(wanted) = self.take(&mut own) {
            for kind in KINDS.into_iter().filter(|kind| wanted[*kind as usize]) {
                if kind == Kind::Pair && !own.has_before {
                    continue;
                }
                let free = all.iter_mut().position(|picture| Arc::get_mut(picture).is_some());
                let at = free.unwrap_or_else(|| {
                    all.push(Arc::new(Picture { number: 0, jpeg: Vec::new() }));
                    all.len() - 1
                });
                let Some(picture) = Arc::get_mut(&mut all[at]) else { continue };
                picture.number = own.number;
                let whole = loop {
                    let before = (kind == Kind::Pair).then(|| (&own.before[..], RefCell::new(&mut plain)));
                    let view = View { colours: &colours, after: &own.after, before };
                    match encode(view, quality, limit(&self.to), &mut picture.jpeg) {
                        Ok(false) if quality > 5 => {
                            quality = quality * 3 / 4;
                            log::warn!(
                                "pictures for the browser take too many bytes; their quality is {quality} from here on"
                            );
                        }
                        Ok(whole) => break whole,
                        Err(error) => {
                            log::warn!("a picture for the browser: {error}");
                            break false;
                        }
                    }
                };
                if whole {
                    self.lock().newest[kind as usize] = Some(Arc::clone(&all[at]));
                    self.changed.notify_all();
                }
            }
        }
    }

    /// Waits for a frame, and for somebody to make a picture of it for.
    fn take(&self, own: &mut Raw) -> Option<[bool; 2]> {
        let is_due = |s: &State| s.closed || s.is_new && s.ready.iter().any(|ready| *ready > 0);
        let waited = self.changed.wait_while(self.lock(), |state| !is_due(state));
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        let number = state.waiting.number;
        std::mem::swap(&mut state.waiting, own);
        state.waiting.number = number;
        state.is_new = false;
        Some(state.ready.map(|ready| ready > 0))
    }
}

/// Pictures that there are at once: one in the hands of each viewer, the newest of each kind, and one in the making.
const fn pictures(places: usize) -> usize {
    places + 3
}

/// Somebody who looks.
pub(super) struct Viewer<'a> {
    pictures: &'a Pictures,
    kind: Kind,
    seen: u64,
}

/// What comes next.
pub(super) enum Next {
    /// A newer picture than the one before.
    Picture(Arc<Picture>),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    End,
}

impl Viewer<'_> {
    /// Waits for a newer picture.
    pub(super) fn next(&mut self, time: Duration) -> Next {
        let (kind, end) = (self.kind as usize, Instant::now() + time);
        let mut state = self.pictures.lock();
        state.ready[kind] += 1;
        self.pictures.changed.notify_all();
        let next = loop {
            if state.closed {
                break Next::End;
            }
            if let Some(picture) = state.newest[kind].as_ref().filter(|picture| picture.number > self.seen) {
                self.seen = picture.number;
                break Next::Picture(Arc::clone(picture));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break Next::Nothing;
            }
            let waited = self.pictures.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        state.ready[kind] -= 1;
        next
    }
}

impl Drop for Viewer<'_> {
    fn drop(&mut self) {
        let mut state = self.pictures.lock();
        state.viewers[self.kind as usize] -= 1;
        if state.viewers == [0; 2] {
            self.pictures.audience.set_watches(false);
            // What was seen last is old when the next one comes.
            (state.newest, state.is_new) = ([None, None], false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Layout;
    use crate::geom::Size;

    fn level(picture: &Picture) -> u8 {
        image::load_from_memory(&picture.jpeg).unwrap().to_luma8().get_pixel(20, 5).0[0]
    }

    #[test]
    fn the_newest_frame_is_made_once_for_all() {
        let from = FrameFormat::picture(Size::new(32, 16), Layout::Gray);
        let to = FrameFormat::picture(Size::new(64, 32), Layout::Gray);
        let pictures = Pictures::new(from, to, 3, 90);
        let frame = |level: u8| vec![level; to.bytes()];
        pictures.put(&frame(10), None);
        std::thread::scope(|scope| {
            scope.spawn(|| pictures.encode());
            let mut viewers = [Kind::After, Kind::After, Kind::Pair].map(|kind| pictures.watch(kind).unwrap());
            assert!(pictures.watch(Kind::After).is_none(), "all places are taken");
            assert!(pictures.audience().watches());
            let [first, second, pair] = &mut viewers;
            for newest in [40, 200] {
                // Nobody was ready for the one before.
                pictures.put(&frame(90), None);
                pictures.put(&frame(newest), Some(&mut vec![newest / 2; from.bytes()]));
                let Next::Picture(one) = first.next(Duration::from_secs(20)) else { panic!("no picture") };
                assert!(level(&one).abs_diff(newest) < 4);
                let Next::Picture(other) = second.next(Duration::from_secs(20)) else { panic!("no picture") };
                assert!(Arc::ptr_eq(&one, &other));
                assert!(matches!(first.next(Duration::from_millis(30)), Next::Nothing));
            }
            assert!(matches!(pair.next(Duration::from_millis(30)), Next::Nothing), "no new frame");
            pictures.put(&frame(7), None);
            assert!(matches!(pair.next(Duration::from_millis(30)), Next::Nothing), "nothing is before");
            pictures.put(&frame(7), Some(&mut vec![7; from.bytes()]));
            let Next::Picture(both) = pair.next(Duration::from_secs(20)) else { panic!("no picture") };
            assert_eq!(image::load_from_memory(&both.jpeg).unwrap().height(), 64);
            pictures.close();
            assert!(matches!(first.next(Duration::from_secs(20)), Next::End));
            drop(viewers);
            assert!(!pictures.audience().watches());
        });
    }
}
