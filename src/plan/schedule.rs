//! The order in which rows are made, and how many of each buffer must be kept.
//!
//! A pass visits every Step once and lets it make the units whose input rows are there, at most a strip's
//! worth. Rows that a later unit still needs stay in the buffer, a ring; nothing is computed twice.

use super::Plan;
use super::step::Step;
use crate::memory::Lifetime;

/// How far each Step has come in a frame.
#[derive(Debug, Default)]
pub struct Progress {
    done: Vec<usize>,
    input_rows: usize,
}

impl Clone for Progress {
    fn clone(&self) -> Self {
        Self { done: self.done.clone(), input_rows: self.input_rows }
    }

    /// Allocates nothing when both are of one plan.
    fn clone_from(&mut self, other: &Self) {
        self.done.clone_from(&other.done);
        self.input_rows = other.input_rows;
    }
}

impl Progress {
    /// Nothing done.
    pub fn new(plan: &Plan) -> Self {
        Self { done: vec![0; plan.steps.len()], input_rows: 0 }
    }

    /// Back to nothing done, for the next frame.
    pub fn reset(&mut self) {
        self.done.fill(0);
        self.input_rows = 0;
    }

    /// `rows` rows of the input are there.
    pub fn set_input(&mut self, rows: usize) {
        self.input_rows = rows;
    }

    /// Units of `step` that can be made now, in a pass over strips of `strip` rows.
    pub fn ready(&self, plan: &Plan, step: usize, height: usize, strip: usize) -> std::ops::Range<usize> {
        let s = &plan.steps[step];
        let first = self.done[step];
        let most = s.units.of(strip).max(1);
        let end = (first + most).min(s.unit_count(height));
        let mut last = first;
        while last < end && self.fits(plan, s, last, height) {
            last += 1;
        }
        first..last
    }

    fn fits(&self, plan: &Plan, step: &Step, unit: usize, height: usize) -> bool {
        step.reads.iter().all(|read| {
            let rows = plan.buffers[read.buffer].rows.of(height);
            let needed = read.span(unit).1.clamp(-1, rows as isize - 1);
            self.made(plan, read.buffer, height) as isize > needed
        })
    }

    /// These units of `step` are made.
    pub fn advance(&mut self, step: usize, units: &std::ops::Range<usize>) {
        self.done[step] = units.end;
    }

    /// Rows of the output that are made.
    pub fn output_rows(&self, plan: &Plan, height: usize) -> usize {
        self.made(plan, plan.output, height)
    }

    /// Rows of `buffer` that are made.
    fn made(&self, plan: &Plan, buffer: usize, height: usize) -> usize {
        let rows = plan.buffers[buffer].rows.of(height);
        plan.writer[buffer].map_or(self.input_rows, |s| plan.steps[s].rows_done(self.done[s], rows))
    }

    /// First row of `buffer` that a unit still to be made needs; none when all are done.
    fn needed(&self, plan: &Plan, buffer: usize, height: usize) -> Option<usize> {
        let rows = plan.buffers[buffer].rows.of(height);
        let readers = plan.steps.iter().zip(&self.done).filter(|(s, done)| **done < s.unit_count(height));
        let reads =
            readers.flat_map(|(s, done)| s.reads.iter().filter(|r| r.buffer == buffer).map(|r| r.span(*done).0));
        reads.map(|low| low.clamp(0, rows as isize - 1) as usize).min()
    }
}

/// What a schedule needs of memory.
#[derive(Clone, Debug)]
pub struct Needs {
    /// Rows that each buffer must hold.
    pub rows: Vec<usize>,
    /// When each buffer holds something.
    pub lifetimes: Vec<Lifetime>,
    /// Input rows from the newest that is there to the oldest that an output row stands over.
    pub lag: usize,
}

/// Goes through a whole frame of `height` rows in strips of `strip`, and writes down the most of everything.
pub fn simulate(plan: &Plan, height: usize, strip: usize) -> Needs {
    let buffers = plan.buffers.len();
    let mut rows = vec![1; buffers];
    let mut carried = vec![false; buffers];
    let mut progress = Progress::new(plan);
    let (mut emitted, mut lag) = (0, 0);
    let mut input = 0;
    while emitted < plan.scale * height {
        input = (input + strip).min(height);
        progress.set_input(input);
        let mut hold = |progress: &Progress, b: usize, emitted: usize| {
            let made = progress.made(plan, b, height);
            let needed = if b == plan.output { emitted } else { progress.needed(plan, b, height).unwrap_or(made) };
            rows[b] = rows[b].max(made.saturating_sub(needed));
        };
        hold(&progress, plan.input, emitted);
        for (step, s) in plan.steps.iter().enumerate() {
            let units = progress.ready(plan, step, height, strip);
            progress.advance(step, &units);
            hold(&progress, s.write, emitted);
        }
        for (b, carried) in carried.iter_mut().enumerate() {
            let made = progress.made(plan, b, height);
            *carried |= progress.needed(plan, b, height).is_some_and(|n| n < made);
        }
        let out = progress.output_rows(plan, height);
        if out > emitted {
            lag = lag.max(input - emitted / plan.scale);
            emitted = out;
        }
    }
    let lifetimes = (0..buffers).map(|b| lifetime(plan, b, carried[b])).collect();
    Needs { rows, lifetimes, lag }
}

fn lifetime(plan: &Plan, buffer: usize, carried: bool) -> Lifetime {
    let last = plan.steps.iter().rposition(|s| s.reads.iter().any(|r| r.buffer == buffer));
    match (plan.writer[buffer], last) {
        (Some(first), Some(last)) if !carried && buffer != plan.output => Lifetime::Pass { first, last },
        _ => Lifetime::Carried,
    }
}
