//! Weights that lie well in memory.

use std::ops::Deref;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Weights that begin with a cache line, so that no vector of them lies in two, which is read twice.
#[derive(Debug)]
pub struct Lines<T = i8> {
    /// Never grows, and so never moves.
    weights: Vec<T>,
    start: usize,
}

impl<T: Clone + Default> Lines<T> {
    pub fn new(weights: impl ExactSizeIterator<Item = T>) -> Self {
        let most = LINE / size_of::<T>() - 1;
        let mut all: Vec<T> = Vec::with_capacity(weights.len() + most);
        let start = all.as_ptr().align_offset(LINE).min(most);
        all.resize(start, T::default());
        all.extend(weights);
        Self { weights: all, start }
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.weights.capacity() * size_of::<T>()
    }
}

impl<T> Deref for Lines<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.weights[self.start..]
    }
}
