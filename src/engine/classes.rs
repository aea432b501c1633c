//! The map of classes of the windows, and the columns that a Step computes for it.

use std::ops::Range;

use crate::geom::Size;
use crate::plan::{Class, Need, Routing, Silent, StepRoute};
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// Bits of a word.
const BITS: usize = 64;

/// The classes of a frame's windows; rows are set before the passes that read them are issued.
#[derive(Debug)]
pub struct ClassMap {
    /// Words of a row of windows.
    words: usize,
    rows: usize,
    /// Of each [`Plane`], row by row.
    bits: Vec<AtomicU64>,
    /// Is every window `full` and made anew?
    all: AtomicBool,
}

/// What is known of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// It is made anew.
    pub fresh: bool,
    /// It may be needed for one that is: see [`Routing::near`].
    pub near: bool,
}

impl Mark {
    /// Of a picture whose windows are all made.
    pub const MADE: Self = Self { fresh: true, near: true };
}

/// Which windows are meant.
#[derive(Clone, Copy)]
enum Plane {
    /// `full` ones that are made anew or near one that is.
    Full,
    /// Those that are made anew and not `plain`.
    Shown,
    /// Those that are made anew.
    Fresh,
}

const PLANES: usize = 3;

impl ClassMap {
    /// Bytes for sub-frames of at most `size`.
    pub fn bytes(size: Size, window: usize) -> usize {
        let (columns, rows) = (size.width.div_ceil(window), size.height.div_ceil(window));
        PLANES * size_of::<AtomicU64>() * columns.div_ceil(BITS) * rows
    }

    /// For sub-frames of at most `size`.
    pub fn new(size: Size, window: usize) -> Self {
        let (words, rows) = (size.width.div_ceil(window).div_ceil(BITS), size.height.div_ceil(window));
        let bits = (0..PLANES * words * rows).map(|_| AtomicU64::new(0)).collect();
        Self { words, rows, bits, all: AtomicBool::new(false) }
    }

    /// Sets a row of windows.
    pub fn set(&self, row: usize, classes: &[Class], marks: &[Mark]) {
        for (word, (classes, marks)) in classes.chunks(BITS).zip(marks.chunks(BITS)).enumerate() {
            let [mut full, mut shown, mut fresh] = [0; PLANES];
            for (bit, (class, mark)) in classes.iter().zip(marks).enumerate() {
                full |= u64::from(*class == Class::Full && mark.near) << bit;
                shown |= u64::from(*class != Class::Plain && mark.fresh) << bit;
                fresh |= u64::from(mark.fresh) << bit;
            }
            self.word(Plane::Full, row, word).store(full, Ordering::Relaxed);
            self.word(Plane::Shown, row, word).store(shown, Ordering::Relaxed);
            self.word(Plane::Fresh, row, word).store(fresh, Ordering::Relaxed);
        }
    }

    /// Says whether every window is `full` and made anew, so that nobody need look.
    pub fn set_all(&self, all: bool) {
        self.all.store(all, Ordering::Relaxed);
    }

    /// See [`ClassMap::set_all`].
    pub fn is_all(&self) -> bool {
        self.all.load(Ordering::Relaxed)
    }

    fn word(&self, plane: Plane, row: usize, word: usize) -> &AtomicU64 {
        &self.bits[(plane as usize * self.rows + row) * self.words + word]
    }

    /// Calls `each` with every range of windows, of `columns`, for which one of `rows` is `wanted`.
    fn ranges(
        &self,
        plane: Plane,
        rows: Range<usize>,
        columns: usize,
        wanted: bool,
        mut each: impl FnMut(Range<usize>),
    ) {
        let mut open: Option<usize> = None;
        for word in 0..columns.div_ceil(BITS) {
            let set = rows.clone().fold(0, |set, row| {
                let bits = self.word(plane, row, word).load(Ordering::Relaxed);
                set | if wanted { bits } else { !bits }
            });
            let end = (columns - word * BITS).min(BITS);
            let mut at = 0;
            while at < end {
                // The next bit that differs from what was last.
                let rest = if open.is_some() { !set } else { set } >> at;
                let next = at + rest.trailing_zeros() as usize;
                if next >= end {
                    break;
                }
                match open.take() {
                    None => open = Some(word * BITS + next),
                    Some(start) => each(start..word * BITS + next),
                }
                at = next;
            }
        }
        if let Some(start) = open {
            each(start..columns);
        }
    }
}

/// How a frame is routed.
#[derive(Debug)]
pub struct Routes {
    pub routing: Routing,
    pub map: ClassMap,
    /// Is everything computed, and silenced afterwards? The bytes are the same: tests compare.
    pub whole: bool,
    /// Multiply-adds done.
    pub macs: AtomicU64,
}

/// Ranges of columns begin and end at multiples of so many pixels of a Step's units.
const ALIGNED: usize = 4;

impl Routes {
    /// Ranges of columns, in input pixels, where a Step makes `rows` (of the input) of a sub-frame of `size`. `into` has room for
    /// one range for each window.
    pub fn columns(&self, route: &StepRoute, rows: Range<usize>, size: Size, into: &mut Vec<Range<usize>>) {
        self.needed(route.made, route.granule, route.gap, rows, size, into);
    }

    /// The same, where its tensor is needed.
    pub fn wanted(&self, route: &StepRoute, rows: Range<usize>, size: Size, into: &mut Vec<Range<usize>>) {
        self.needed(route.wanted, route.granule, 0, rows, size, into);
    }

    fn needed(
        &self,
        need: Need,
        granule: usize,
        gap: usize,
        rows: Range<usize>,
        size: Size,
        into: &mut Vec<Range<usize>>,
    ) {
        into.clear();
        if self.whole {
            return into.push(0..size.width);
        }
        let (window, aligned) = (self.routing.window, ALIGNED * granule);
        let mut add = |plane: Plane, reach: usize| {
            let first = rows.start.saturating_sub(reach) / window;
            let last = (rows.end + reach).min(size.height).div_ceil(window);
            self.map.ranges(plane, first..last, size.width.div_ceil(window), true, |range| {
                let start = (range.start * window).saturating_sub(reach) / aligned * aligned;
                let end = (range.end * window + reach).next_multiple_of(aligned).min(size.width);
                insert(into, start..end, gap);
            });
        };
        if let Some(reach) = need.fresh {
            add(Plane::Fresh, reach);
        }
        if let Some(reach) = need.shown.filter(|reach| need.fresh.is_none_or(|fresh| *reach > fresh)) {
            add(Plane::Shown, reach);
        }
        if let Some(reach) = need.full {
            add(Plane::Full, reach);
        }
    }

    /// Calls `each` with every range of columns, in input pixels, of a row of windows where a Step is silent.
    pub fn silent(&self, silent: Silent, row: usize, width: usize, mut each: impl FnMut(Range<usize>)) {
        let (plane, window) = match silent {
            Silent::UnlessFull => (Plane::Full, self.routing.window),
            Silent::InPlain => (Plane::Shown, self.routing.window),
        };
        self.map.ranges(plane, row..row + 1, width.div_ceil(window), false, |range| {
            each(range.start * window..(range.end * window).min(width));
        });
    }
}

/// Adds a range to ranges in ascending order that are more than `gap` apart, so that they stay so.
fn insert(ranges: &mut Vec<Range<usize>>, new: Range<usize>, gap: usize) {
    let first = ranges.partition_point(|range| range.end + gap < new.start);
    let last = ranges.partition_point(|range| range.start <= new.end + gap);
    if first == last {
        return ranges.insert(first, new);
    }
    let joined = ranges[first].start.min(new.start)..ranges[last - 1].end.max(new.end);
    ranges[first] = joined;
    ranges.drain(first + 1..last);
}
