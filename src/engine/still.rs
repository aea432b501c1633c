//! Windows that stand still: which windows of a frame have changed since what was made of them.
//!
//! A window is compared with the picture that it was last made from, never with the frame before, so that no error creeps
//! in. What is within the tolerance is not taken over: frames are made from the held picture, and a window whose
//! surroundings are the same in it needs no making; its bytes would be the same.

use std::ops::Range;

use crate::frame::Plane;
use crate::geom::Size;

/// How much a window may differ from what it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// So many levels at a pixel, a quarter of it in the mean of 4x4 pixels, a sixteenth in that of the window: as noise does
    /// that is independent from pixel to pixel. 0 is exact.
    Levels(u8),
    /// As many levels as the noise of the frames reaches.
    Noise,
}

/// How windows that stand still are left as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Still {
    /// What counts as still.
    pub tolerance: Tolerance,
    /// Within so many frames every window is made anew; of no use when nothing that differs is left out.
    pub refresh: usize,
}

/// Samples of a plane that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Samples across, channels not counted.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes of a sample.
    pub channels: usize,
    /// Pixels of the picture for each sample, across and down.
    pub subsampling: (usize, usize),
}

impl Shape {
    fn row_bytes(&self) -> usize {
        self.width * self.channels
    }
}

/// The most planes of a frame.
const PLANES: usize = 3;
/// The most that is taken for noise, in levels.
const MOST_NOISE: u32 = 40;
/// Standard deviations of the difference of two noisy samples that are taken for noise: of 256 samples of a window one is
/// outside in a window of 30,000.
const DEVIATIONS: f64 = 5.5;
/// In how many turns a picture is made anew.
const TURNS: usize = 4;
/// Rows of windows whose noise is looked at in every frame: one of so many.
const SAMPLED: usize = 8;

/// The picture that windows were made from.
#[derive(Debug)]
struct Held {
    shape: Shape,
    bytes: Vec<u8>,
    /// Samples of a window, across and down.
    window: Size,
    /// What windows of this frame differ by.
    differences: Vec<Difference>,
    /// Mean absolute value of the noise filter over each window, in 1/256.
    noise: Vec<u32>,
}

/// How far a window is from what it was made from.
#[derive(Clone, Copy, Debug, Default)]
struct Difference {
    /// Largest of a sample.
    sample: u32,
    /// Largest sum over 4x4 samples.
    block: u32,
    /// Sum over the window.
    sum: i32,
    /// Sum of absolute values.
    absolute: u64,
    samples: u64,
}

impl Difference {
    fn within(&self, levels: u32) -> bool {
        // The sum of n samples of noise reaches the square root of n times as far as one.
        let all = u64::from(levels).pow(2) * self.samples;
        self.sample <= levels && self.block <= 4 * levels && u64::from(self.sum.unsigned_abs()).pow(2) <= all
    }
}

/// Watches the windows of frames.
#[derive(Debug)]
pub struct Watch {
    still: Still,
    planes: heapless::Vec<Held, PLANES>,
    size: Size,
    window: usize,
    /// Windows.
    grid: Size,
    /// Windows around one that has changed that are made anew; none where all are.
    reach: Option<usize>,
    changed: Vec<bool>,
    fresh: Vec<bool>,
    /// Is nothing held yet?
    empty: bool,
    /// The row of windows that is refreshed next, and how much is due, in turns times frames.
    next: usize,
    due: usize,
    frames: usize,
}

fn grid(size: Size, window: usize) -> Size {
    Size::new(size.width.div_ceil(window), size.height.div_ceil(window))
}

impl Watch {
    /// Bytes that [`Watch::new`] allocates.
    pub fn bytes(size: Size, shapes: &[Shape], window: usize) -> usize {
        let windows = grid(size, window).area();
        let plane = |s: &Shape| s.row_bytes() * s.height + windows * (size_of::<Difference>() + size_of::<u32>());
        shapes.iter().map(plane).sum::<usize>() + 2 * windows
    }

    /// For frames of `size` in planes of these shapes, of which only the first three are watched. Around a window that has
    /// changed, `reach` windows are made anew; everything where it is none.
    pub fn new(still: Still, size: Size, shapes: &[Shape], window: usize, reach: Option<usize>) -> Self {
        let grid = grid(size, window);
        let held = |shape: &Shape| Held {
            shape: *shape,
            bytes: vec![0; shape.row_bytes() * shape.height],
            window: Size::new(window / shape.subsampling.0, window / shape.subsampling.1),
            differences: vec![Difference::default(); grid.area()],
            noise: vec![0; grid.area()],
        };
        Self {
            still,
            planes: shapes.iter().take(PLANES).map(held).collect(),
            size,
            window,
            grid,
            reach,
            changed: vec![false; grid.area()],
            fresh: vec![true; grid.area()],
            empty: true,
            next: 0,
            due: 0,
            frames: 0,
        }
    }

    /// The next frame is made as a whole.
    pub fn forget(&mut self) {
        self.empty = true;
    }

    /// Looks at a frame that comes `frames` after the one before, and takes over what has changed. Is anything made anew?
    ///
    /// Of the windows that are `owed` something (none, or all are in it), as many are made as fit into `spare` windows.
    pub fn look(&mut self, planes: &[Plane<'_>], frames: usize, owed: &[bool], spare: usize) -> bool {
        let all = std::mem::replace(&mut self.empty, false);
        self.changed.fill(all);
        if !all {
            self.compare(planes);
            self.refresh(frames);
            self.make_up(owed, spare);
        }
        let columns = self.grid.width;
        for (held, plane) in self.planes.iter_mut().zip(planes) {
            for row in 0..self.grid.height {
                held.take_over(plane, row, &self.changed[row * columns..][..columns]);
            }
        }
        self.frames += 1;
        self.spread();
        self.fresh.contains(&true)
    }

    /// Marks the windows that differ by more than is tolerated.
    fn compare(&mut self, planes: &[Plane<'_>]) {
        let Self { still, planes: held, grid, changed, frames, .. } = self;
        for (held, plane) in held.iter_mut().zip(planes) {
            if still.tolerance == Tolerance::Levels(0) {
                (0..grid.height).for_each(|row| held.compare_exactly(plane, row, &mut changed[row * grid.width..]));
                continue;
            }
            for row in 0..grid.height {
                held.compare(plane, row, grid.width);
                if still.tolerance == Tolerance::Noise && (*frames <= 1 || (row + *frames).is_multiple_of(SAMPLED)) {
                    held.sense(plane, row, grid.width);
                }
            }
            let levels = match still.tolerance {
                Tolerance::Levels(levels) => levels.into(),
                Tolerance::Noise => held.noise_levels(),
            };
            for (changed, difference) in changed.iter_mut().zip(&held.differences) {
                *changed |= !difference.within(levels);
            }
        }
    }

    /// Marks the rows of windows whose turn it is.
    fn refresh(&mut self, frames: usize) {
        if self.still.tolerance == Tolerance::Levels(0) {
            return;
        }
        let Size { width, height } = self.grid;
        let period = self.still.refresh.max(1);
        self.due = (self.due + frames * TURNS).min(period * TURNS);
        while self.due >= period {
            self.due -= period;
            // Several rows at once: what surrounds them is made with them.
            for _ in 0..height.div_ceil(TURNS) {
                self.changed[self.next * width..][..width].fill(true);
                self.next = (self.next + 1) % height;
            }
        }
    }

    /// Marks windows that are owed something while there is time for what surrounds them, too.
    fn make_up(&mut self, owed: &[bool], spare: usize) {
        if !owed.contains(&true) {
            return;
        }
        let side = 2 * self.reach.unwrap_or(self.grid.width.max(self.grid.height)) + 1;
        let around = |changed: bool, before: bool| {
            if changed {
                0
            } else if before {
                side
            } else {
                side * side
            }
        };
        let mut before = false;
        let mut left = spare.saturating_sub(self.changed.iter().fold(0, |sum, now| {
            let cost = if *now { around(false, before) } else { 0 };
            before = *now;
            sum + cost
        }));
        let mut before = false;
        for (changed, _) in self.changed.iter_mut().zip(owed).filter(|(_, owed)| **owed) {
            let cost = around(*changed, before);
            if cost > left {
                break;
            }
            left -= cost;
            (*changed, before) = (true, true);
        }
    }

    /// Finds the windows that what has changed can be seen in.
    fn spread(&mut self) {
        let Self { grid, reach, changed, fresh, .. } = self;
        let Some(reach) = *reach else { return fresh.fill(changed.contains(&true)) };
        fresh.fill(false);
        for (window, _) in changed.iter().enumerate().filter(|(_, changed)| **changed) {
            let within = |at: usize, end: usize| at.saturating_sub(reach)..(at + reach + 1).min(end);
            let columns = within(window % grid.width, grid.width);
            for row in within(window / grid.width, grid.height) {
                fresh[row * grid.width..][columns.clone()].fill(true);
            }
        }
    }

    /// Windows that are made anew, row by row.
    pub fn fresh(&self) -> &[bool] {
        &self.fresh
    }

    /// Ranges of pixels of row `y` of the picture that are made anew.
    pub fn ranges(&self, y: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let own = &self.fresh[y / self.window * self.grid.width..][..self.grid.width];
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at + own[at..].iter().position(|fresh| *fresh)?;
            at = start + own[start..].iter().position(|fresh| !fresh).unwrap_or(own.len() - start);
            Some(start * self.window..(at * self.window).min(self.size.width))
        })
    }

    /// Rows of the picture from the first to the last that is made anew.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub fn rows(&self) -> Range<usize> {
        let made = |fresh: Option<usize>| fresh.map(|window| window / self.grid.width * self.window);
        let first = made(self.fresh.iter().position(|fresh| *fresh));
        let last = made(self.fresh.iter().rposition(|fresh| *fresh));
        first.unwrap_or(0)..last.map_or(0, |last| (last + self.window).min(self.size.height))
    }

    /// The picture that is made: a plane of it, rows without padding.
    pub fn held(&self, plane: usize) -> &[u8] {
        &self.planes[plane].bytes
    }
}

impl Held {
    /// Rows of a row of windows.
    fn rows(&self, row: usize) -> Range<usize> {
        let window = self.window.height;
        (row * window).min(self.shape.height)..((row + 1) * window).min(self.shape.height)
    }

    fn take_over(&mut self, plane: &Plane<'_>, row: usize, changed: &[bool]) {
        if !changed.contains(&true) {
            return;
        }
        let (bytes, each) = (self.shape.row_bytes(), self.window.width * self.shape.channels);
        for y in self.rows(row) {
            let new = plane.row(y, bytes).chunks(each);
            let held = self.bytes[y * bytes..][..bytes].chunks_mut(each);
            for ((held, new), _) in held.zip(new).zip(changed).filter(|(_, changed)| **changed) {
                held.copy_from_slice(new);
            }
        }
    }

    fn compare_exactly(&self, plane: &Plane<'_>, row: usize, changed: &mut [bool]) {
        let (bytes, each) = (self.shape.row_bytes(), self.window.width * self.shape.channels);
        for y in self.rows(row) {
            let (new, held) = (plane.row(y, bytes), &self.bytes[y * bytes..][..bytes]);
            if new == held {
                continue;
            }
            for (changed, (new, held)) in changed.iter_mut().zip(new.chunks(each).zip(held.chunks(each))) {
                *changed |= new != held;
            }
        }
    }

    /// Measures what each window of a row differs by.
    fn compare(&mut self, plane: &Plane<'_>, row: usize, columns: usize) {
        let (bytes, each, rows) = (self.shape.row_bytes(), self.window.width * self.shape.channels, self.rows(row));
        let differences = &mut self.differences[row * columns..][..columns];
        differences.fill(Difference::default());
        let mut signed = [0i32; MOST_WIDTH];
        for top in rows.clone().step_by(BLOCK) {
            let block = top..(top + BLOCK).min(rows.end);
            for (column, difference) in differences.iter_mut().enumerate() {
                let own = (column * each).min(bytes)..((column + 1) * each).min(bytes);
                for part in own.clone().step_by(MOST_WIDTH) {
                    let part = part..(part + MOST_WIDTH).min(own.end);
                    let blocks = &mut signed[..part.len()];
                    blocks.fill(0);
                    for y in block.clone() {
                        let (new, held) = (&plane.row(y, bytes)[part.clone()], &self.bytes[y * bytes..][part.clone()]);
                        let (most, absolute) = add_differences(new, held, blocks);
                        difference.sample = difference.sample.max(most);
                        difference.absolute += u64::from(absolute);
                    }
                    for block in blocks.chunks(BLOCK) {
                        let sum: i32 = block.iter().sum();
                        difference.block = difference.block.max(sum.unsigned_abs());
                        difference.sum += sum;
                    }
                    difference.samples += (part.len() * block.len()) as u64;
                }
            }
        }
    }

    /// Measures what the noise filter finds in each window of a row (Immerkaer, 1996): `1 -2 1` across and down, which no
    /// slope and few edges pass.
    fn sense(&mut self, plane: &Plane<'_>, row: usize, columns: usize) {
        let Shape { channels: c, .. } = self.shape;
        let (bytes, each, rows) = (self.shape.row_bytes(), self.window.width * c, self.rows(row));
        for (column, noise) in self.noise[row * columns..][..columns].iter_mut().enumerate() {
            let own = (column * each + c).min(bytes)..((column + 1) * each).min(bytes).saturating_sub(c);
            let (mut sum, mut count) = (0, 0);
            if !own.is_empty() && rows.len() > 2 {
                for y in rows.start + 1..rows.end - 1 {
                    let near = [y - 1, y, y + 1].map(|y| plane.row(y, bytes));
                    sum += filtered(near, own.clone(), c);
                    count += own.len() as u64;
                }
            }
            *noise = (sum << 8).checked_div(count).map_or(u32::MAX, |mean| mean as u32);
        }
    }

    /// The levels that noise reaches: by what windows differ from what they were made from, which is noise where the scene
    /// stands still; and by the frame alone, which is noise where the scene is smooth. Each is too much elsewhere.
    fn noise_levels(&mut self) -> u32 {
        // Mean of the absolute value to standard deviation, for normal noise.
        const DEVIATION: f64 = 1.253_314;
        let moved =
            self.differences.iter().map(|d| (d.absolute << 8).checked_div(d.samples).map_or(0, |mean| mean as u32));
        let in_time = quantile(moved, 2, 4) * DEVIATION;
        // The squared weights of the filter sum to 36; two samples differ by the square root of 2 as much as one.
        let in_space = quantile(self.noise.iter().copied(), 1, 4) * DEVIATION / 6.0 * std::f64::consts::SQRT_2;
        let levels = (DEVIATIONS * in_time.min(in_space)).ceil() as u32;
        levels.min(MOST_NOISE)
    }
}

/// Rows and samples of a block.
const BLOCK: usize = 4;
/// Bytes of a window's row that are looked at together.
const MOST_WIDTH: usize = 48;

/// Adds differences to sums of columns; gives the largest and the sum of the absolute ones.
fn add_differences(new: &[u8], held: &[u8], sums: &mut [i32]) -> (u32, u32) {
    let (mut most, mut absolute) = (0, 0);
    for ((new, held), sum) in new.iter().zip(held).zip(sums) {
        let difference = i32::from(*new) - i32::from(*held);
        *sum += difference;
        most = most.max(difference.unsigned_abs());
        absolute += difference.unsigned_abs();
    }
    (most, absolute)
}

/// The sum of the absolute values of the filter at these bytes.
fn filtered(rows: [&[u8]; 3], own: Range<usize>, channels: usize) -> u64 {
    let across =
        |row: &[u8], x: usize| i32::from(row[x - channels]) - 2 * i32::from(row[x]) + i32::from(row[x + channels]);
    own.map(|x| (across(rows[0], x) - 2 * across(rows[1], x) + across(rows[2], x)).unsigned_abs()).map(u64::from).sum()
}

/// The value, in 256ths, that `part` of `of` values do not exceed; a little more, since values are counted by size.
fn quantile(values: impl Iterator<Item = u32>, part: u32, of: u32) -> f64 {
    const STEPS: usize = 1024;
    let (mut counts, mut count) = ([0u32; STEPS], 0u32);
    for value in values {
        counts[(value as usize / 16).min(STEPS - 1)] += 1;
        count += 1;
    }
    let mut seen = 0;
    let found = counts.iter().position(|n| {
        seen += n;
        seen * of >= count * part
    });
    (found.unwrap_or(STEPS - 1) + 1) as f64 * 16.0 / 256.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(still: Still, size: Size, reach: Option<usize>) -> Watch {
        let shape = Shape { width: size.width, height: size.height, channels: 1, subsampling: (1, 1) };
        Watch::new(still, size, &[shape], 16, reach)
    }

    fn look(watch: &mut Watch, frame: &[u8]) -> usize {
        let plane = Plane::new(frame, watch.size.width);
        watch.look(&[plane], 1, &[], 0);
        watch.fresh().iter().filter(|fresh| **fresh).count()
    }

    #[test]
    fn changes_are_seen_where_they_reach() {
        let still = Still { tolerance: Tolerance::Levels(0), refresh: 60 };
        let mut watch = watch(still, Size::new(90, 70), Some(1));
        let mut frame = vec![7; 90 * 70];
        assert_eq!(look(&mut watch, &frame), 30, "the first is made");
        assert_eq!(look(&mut watch, &frame), 0);
        frame[69 * 90 + 89] = 8;
        assert_eq!(look(&mut watch, &frame), 4, "a corner");
        assert!(watch.ranges(69).eq(std::iter::once(64..90)));
        assert_eq!(watch.ranges(0).count(), 0);
        assert_eq!(look(&mut watch, &frame), 0);
        frame[40 * 90 + 40] = 9;
        assert_eq!(look(&mut watch, &frame), 9);
        watch.forget();
        assert_eq!(look(&mut watch, &frame), 30);
    }

    #[test]
    fn what_is_within_the_tolerance_is_not_taken_over() {
        let still = Still { tolerance: Tolerance::Levels(4), refresh: 1000 };
        let mut watch = watch(still, Size::new(64, 64), None);
        let frame: Vec<u8> = (0..64 * 64).map(|i| (i % 200) as u8).collect();
        look(&mut watch, &frame);
        let mut other = frame.clone();
        other.iter_mut().step_by(97).for_each(|v| *v += 4);
        assert_eq!(look(&mut watch, &other), 0);
        assert_eq!(watch.held(0), frame);
        other[70] = frame[70] + 5;
        assert_eq!(look(&mut watch, &other), 16, "a sample");
        for (from, to) in [(64 * 64 / 2, 1), (0, 64 * 64)] {
            let mut other = frame.clone();
            look(&mut watch, &frame);
            other[from..].iter_mut().take(if to == 1 { 4 } else { to }).for_each(|v| *v += 2);
            assert_eq!(look(&mut watch, &other) > 0, to > 1, "all samples together");
        }
    }

    #[test]
    fn every_window_has_its_turn() {
        let still = Still { tolerance: Tolerance::Levels(200), refresh: 60 };
        let mut watch = watch(still, Size::new(64, 336), Some(0));
        let frame = vec![100; 64 * 336];
        look(&mut watch, &frame);
        let mut made = vec![0; 21];
        for _ in 0..60 {
            look(&mut watch, &frame);
            (0..21).for_each(|row| made[row] += usize::from(watch.fresh()[row * 4]));
        }
        assert!(made.iter().all(|made| (1..=2).contains(made)), "four turns of six: {made:?}");
    }

    #[test]
    fn debts_are_paid_as_time_allows() {
        let still = Still { tolerance: Tolerance::Levels(0), refresh: 60 };
        let mut watch = watch(still, Size::new(160, 160), Some(1));
        let frame = vec![100; 160 * 160];
        look(&mut watch, &frame);
        let mut owed = vec![false; 100];
        owed[55..58].fill(true);
        for (spare, made) in [(8, 0), (9, 9), (12, 12), (99, 15)] {
            watch.look(&[Plane::new(&frame, 160)], 1, &owed, spare);
            assert_eq!(watch.fresh().iter().filter(|fresh| **fresh).count(), made, "{spare}");
        }
    }
}
