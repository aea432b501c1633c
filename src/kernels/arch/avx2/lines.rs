//! Weights that lie well in memory.

use std::ops::Deref;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Weights that begin with a cache line, so that no vector of them lies in two, which is read twice.
#[derive(Debug)]
pub struct Lines {
    /// Never grows, and so never moves.
    bytes: Vec<i8>,
    start: usize,
}

impl Lines {
    pub fn new(weights: impl ExactSizeIterator<Item = i8>) -> Self {
        let mut bytes: Vec<i8> = Vec::with_capacity(weights.len() + LINE - 1);
        let start = bytes.as_ptr().align_offset(LINE).min(LINE - 1);
        bytes.resize(start, 0);
        bytes.extend(weights);
        Self { bytes, start }
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Deref for Lines {
    type Target = [i8];

    fn deref(&self) -> &[i8] {
        &self.bytes[self.start..]
    }
}
