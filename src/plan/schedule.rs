//! The order in which rows are made, and how many of each buffer must be kept.
//!
//! A pass visits every Step once and lets it make the units whose input rows are there, at most a strip's
//! worth. Rows that a later unit still needs stay in the buffer, a ring; nothing is computed twice.
//!
//! Several threads each run a pass of their own, one behind the other: a pass takes a Step when the pass before has
//! the lead that [`Wavefront`] says. What a pass does depends on its number alone, not on the others.

use std::ops::Range;

use super::Plan;
use super::step::{Read, Step};
use crate::memory::LiveRange;

/// How many rows of the input a pass adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strips {
    /// The first pass. Convolutions keep a few rows back, so that windows are not complete when a strip of their own
    /// height is; another beginning may leave fewer rows waiting.
    pub first: usize,
    /// Every other pass.
    pub rows: usize,
}

impl Strips {
    /// Does a strip end after so many rows of the input?
    pub fn end_at(&self, rows: usize) -> bool {
        rows >= self.first && (rows - self.first).is_multiple_of(self.rows)
    }
}

/// How passes overlap: as a wavefront, each pass a lag behind the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wavefront {
    /// Passes that may be under way at once: one for each thread.
    pub passes: usize,
    /// Passes that may have begun, counted from the first whose output rows have not been taken.
    pub window: usize,
    /// For each Step, how many Steps the pass before has completed when it begins. The more, the fewer rows are alive.
    pub lead: Vec<usize>,
}

impl Wavefront {
    /// For so many threads.
    ///
    /// When all have the same to do, threads are as far apart as a pass is long over their number, with no need to wait.
    /// A lead of two thirds of that leaves room for those that fall back; a fifth of a pass is enough, and two threads
    /// are the faster for it, since the caller, which also makes colour, falls back in every pass.
    pub fn new(plan: &Plan, threads: usize) -> Self {
        let costs: Vec<u64> = plan.steps.iter().map(|step| cost(plan, step)).collect();
        let all: u64 = costs.iter().sum();
        let lag = if threads > 1 { (all / threads as u64 * 2 / 3).min(all / 5) } else { 0 };
        let lead = |step: usize| {
            let within = costs[step + 1..].iter().scan(0, |sum, cost| {
                *sum += cost;
                Some(*sum)
            });
            step + 1 + within.take_while(|sum| *sum <= lag).count()
        };
        // While the caller runs a pass, each helper ends one and needs another.
        Self { passes: threads, window: 2 * threads - 1, lead: (0..costs.len()).map(lead).collect() }
    }
}

/// How long a Step takes, roughly, in the time of a multiply-add.
fn cost(plan: &Plan, step: &Step) -> u64 {
    /// To requantise a byte and write it.
    const BYTE: u64 = 32;
    let side = 16 * plan.grid; // whole pixels of every tensor
    let buffer = &plan.buffers[step.write];
    let bytes = buffer.rows.of(side) * buffer.columns.of(side) * buffer.stride;
    step.frame_macs(side, side) + BYTE * bytes as u64
}

/// How far each Step has come in a frame.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    done: Vec<usize>,
    input_rows: usize,
    height: usize,
    /// Rows of each buffer.
    rows: Vec<usize>,
    /// Units of each Step.
    units: Vec<usize>,
}

impl Progress {
    /// Nothing done, for any frame; [`Progress::begin`] comes first.
    pub fn new(plan: &Plan) -> Self {
        let (steps, buffers) = (plan.steps.len(), plan.buffers.len());
        Self { done: vec![0; steps], input_rows: 0, height: 0, rows: vec![0; buffers], units: vec![0; steps] }
    }

    /// Back to nothing done, for a frame of `height` rows. Allocates nothing.
    pub fn begin(&mut self, plan: &Plan, height: usize) {
        self.done.fill(0);
        self.input_rows = 0;
        if self.height != height {
            self.height = height;
            self.rows.iter_mut().zip(&plan.buffers).for_each(|(rows, b)| *rows = b.rows.of(height));
            self.units.iter_mut().zip(&plan.steps).for_each(|(units, s)| *units = s.unit_count(height));
        }
    }

    /// The next pass begins: another strip of the input is there.
    pub fn next_pass(&mut self, strips: Strips) {
        let strip = if self.input_rows == 0 { strips.first } else { strips.rows };
        self.input_rows = (self.input_rows + strip).min(self.height);
    }

    /// Units of Step number `step` that the pass makes; they count as made from now on.
    pub fn take(&mut self, plan: &Plan, step: usize, strips: Strips) -> Range<usize> {
        let s = &plan.steps[step];
        let first = self.done[step];
        let most = s.units.of(if first == 0 { strips.first.max(strips.rows) } else { strips.rows }).max(1);
        let end =
            s.reads.iter().map(|read| self.units_of(plan, read)).fold((first + most).min(self.units[step]), usize::min);
        self.done[step] = end.max(first);
        first..self.done[step]
    }

    /// Skips the next pass: another thread runs it.
    pub fn skip_pass(&mut self, plan: &Plan, strips: Strips) {
        self.next_pass(strips);
        for step in 0..plan.steps.len() {
            self.take(plan, step, strips);
        }
    }

    /// Units from the first that can be made of the rows that are there of what `read` reads.
    fn units_of(&self, plan: &Plan, read: &Read) -> usize {
        let made = self.made(plan, read.buffer);
        if made == self.rows[read.buffer] {
            return usize::MAX; // rows outside the frame need not be made
        }
        let last = read.offsets.last().copied().unwrap_or(0);
        // unit * num / den, rounded down, + last < made
        usize::try_from(made as isize - last).map_or(0, |rows| (rows * read.den).div_ceil(read.num))
    }

    /// Rows of the output that are made.
    pub fn output_rows(&self, plan: &Plan) -> usize {
        self.made(plan, plan.output)
    }

    /// Rows of `buffer` that are made.
    fn made(&self, plan: &Plan, buffer: usize) -> usize {
        plan.writer[buffer].map_or(self.input_rows, |s| plan.steps[s].rows_done(self.done[s], self.rows[buffer]))
    }

    /// First row of `buffer` that a unit still to be made needs, when Step number `step` has made the units that
    /// `done` says; none when all are made.
    fn needed(&self, plan: &Plan, buffer: usize, done: impl Fn(usize) -> usize) -> Option<usize> {
        let last = self.rows[buffer] as isize - 1;
        let readers = plan.steps.iter().enumerate().filter(|(i, _)| done(*i) < self.units[*i]);
        let first = |(i, s): (usize, &Step)| {
            let reads = s.reads.iter().filter(|r| r.buffer == buffer);
            reads.map(|r| r.span(done(i)).0).min()
        };
        readers.filter_map(first).map(|low| low.clamp(0, last) as usize).min()
    }
}

/// What a schedule needs of memory.
#[derive(Clone, Debug)]
pub struct RowNeeds {
    /// Rows that each buffer must hold when all threads share it.
    pub shared: Vec<usize>,
    /// Rows that each buffer must hold when every thread has its own.
    pub private: Vec<usize>,
    /// When each buffer holds something.
    pub ranges: Vec<LiveRange>,
    /// Input rows from the newest that is there to the oldest that an output row corresponds to.
    pub lag: usize,
}

/// Goes through a whole frame of `height` rows, and records the most of everything.
pub fn simulate(plan: &Plan, height: usize, strips: Strips, wavefront: &Wavefront) -> RowNeeds {
    let buffers = plan.buffers.len();
    let (mut shared, mut private) = (vec![1; buffers], vec![1; buffers]);
    let mut carried = vec![false; buffers];
    let mut progress = Progress::new(plan);
    progress.begin(plan, height);
    // After each pass, the newest last; before the first nothing was done.
    let kept = wavefront.window.max(wavefront.passes);
    let mut history: Vec<Progress> = vec![progress.clone(); kept + 1];
    let mut lag = 0;
    while history[kept].output_rows(plan) < plan.scale * height {
        progress.next_pass(strips);
        let taken = history[kept + 1 - wavefront.window].output_rows(plan);
        let hold = |progress: &Progress, b: usize, done: &dyn Fn(usize) -> usize| {
            let made = progress.made(plan, b);
            let needed = if b == plan.output { taken } else { progress.needed(plan, b, done).unwrap_or(made) };
            made.saturating_sub(needed)
        };
        // The input may be written while the oldest pass of the window has not begun.
        let oldest = &history[kept + 1 - wavefront.window];
        shared[plan.input] = shared[plan.input].max(hold(&progress, plan.input, &|step| oldest.done[step]));
        for (step, s) in plan.steps.iter().enumerate() {
            progress.take(plan, step, strips);
            // What the slowest passes have done for certain when this one has made the Step.
            let sure = |reader: usize| {
                let (mut pass, mut reached) = (0, step + 1);
                while reader >= reached && pass < wavefront.passes {
                    pass += 1;
                    reached = wavefront.lead[reached - 1];
                }
                if pass == 0 { progress.done[reader] } else { history[kept + 1 - pass].done[reader] }
            };
            shared[s.write] = shared[s.write].max(hold(&progress, s.write, &sure));
            private[s.write] = private[s.write].max(hold(&progress, s.write, &|step| progress.done[step]));
        }
        for (b, carried) in carried.iter_mut().enumerate() {
            let made = progress.made(plan, b);
            *carried |= progress.needed(plan, b, |step| progress.done[step]).is_some_and(|n| n < made);
        }
        let (before, out) = (taken, progress.output_rows(plan));
        if out > before {
            lag = lag.max(progress.input_rows - before / plan.scale);
        }
        history.rotate_left(1);
        history[kept].clone_from(&progress);
    }
    let ranges = (0..buffers).map(|b| live_range(plan, b, carried[b])).collect();
    RowNeeds { shared, private, ranges, lag }
}

fn live_range(plan: &Plan, buffer: usize, carried: bool) -> LiveRange {
    let last = plan.steps.iter().rposition(|s| s.reads.iter().any(|r| r.buffer == buffer));
    match (plan.writer[buffer], last) {
        (Some(first), Some(last)) if !carried && buffer != plan.output => LiveRange::Pass { first, last },
        _ => LiveRange::Carried,
    }
}
