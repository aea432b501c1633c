//! Source rows that lie around an output row of the bicubic filter, kept while they are needed.

use std::collections::VecDeque;

use super::plane::{Axis, Phase};

/// The source rows from the first that the next output row needs, each as an `R`.
#[derive(Debug)]
pub(super) struct Window<R> {
    height: usize,
    scale: usize,
    phases: Vec<Phase>,
    rows: VecDeque<R>,
    /// Number of the first row that is kept, and of the next output row.
    first: usize,
    made: usize,
}

impl<R> Window<R> {
    /// For pictures of so many rows.
    pub(super) fn new(height: usize, scale: usize) -> Self {
        let phases = Phase::all(Axis::centred(scale));
        Self { height, scale, phases, rows: VecDeque::new(), first: 0, made: 0 }
    }

    pub(super) fn push(&mut self, row: R) {
        self.rows.push_back(row);
    }

    /// The four rows that the next output row is made of, and their weights, if they are there.
    pub(super) fn near(&self) -> Option<([&R; 4], [i16; 4])> {
        let top = self.top();
        let there = self.first + self.rows.len();
        let at = |k: isize| (top + k).clamp(0, self.height as isize - 1) as usize;
        (at(3) < there).then(|| {
            ([0, 1, 2, 3].map(|k| &self.rows[at(k) - self.first]), self.phases[self.made % self.scale].weights)
        })
    }

    /// The four columns that output column `x` is made of, and their weights, of rows of `width` pixels.
    pub(super) fn columns(&self, x: usize, width: usize) -> ([usize; 4], [i16; 4]) {
        let Phase { first, weights } = self.phases[x % self.scale];
        let at = |k: isize| ((x / self.scale) as isize + first + k).clamp(0, width as isize - 1) as usize;
        ([0, 1, 2, 3].map(at), weights)
    }

    /// The next output row is made: what it alone needed goes.
    pub(super) fn advance(&mut self) {
        self.made += 1;
        let unused = self.top().clamp(0, self.height as isize - 1) as usize;
        while self.first < unused {
            self.rows.pop_front();
            self.first += 1;
        }
    }

    /// First of the four source rows that the next output row is made of.
    fn top(&self) -> isize {
        (self.made / self.scale) as isize + self.phases[self.made % self.scale].first
    }
}
