//! Weights of a dense convolution, a vector for each step of a strip.

use crate::kernels::contract::{ConvRow, Tap, Weights};

/// Bytes of weights for a step of a strip of 12: the outer vector, and half of the middle one, whose halves are the same.
pub const TWELVE: usize = 96;

/// Weights of all strips.
#[derive(Debug)]
pub struct Packed {
    /// Taps whose bytes follow one another, as one tap each.
    pub taps: Vec<(Tap, usize)>,
    /// As [`Weights::data`] has them, for strips of 16; nothing if there is none.
    pub quads: Vec<i8>,
    pub last: Last,
    /// Taps, their run, and outputs.
    shape: [usize; 3],
}

/// The last strip of outputs, if it is narrower than 16. Each has what a step reads: see [`conv`](super::conv).
#[derive(Debug)]
pub enum Last {
    Sixteen,
    Twelve(Vec<[i8; TWELVE]>),
    Eight(Vec<[i8; 64]>),
    Four(Vec<[i8; 64]>),
}

impl Packed {
    pub fn new(weights: &Weights) -> Self {
        let padded = weights.padded();
        let last = match weights.outputs % 16 {
            1..=4 => Last::Four(steps::<16>(weights, padded - 8)),
            5..=8 => Last::Eight(steps::<8>(weights, padded - 8)),
            12 => {
                let steps = steps::<8>(weights, padded - 16).into_iter().zip(steps::<8>(weights, padded - 8));
                let joined = |(outer, middle): ([i8; 64], [i8; 64])| {
                    std::array::from_fn(|i| if i < 64 { outer[i] } else { middle[i - 64] })
                };
                Last::Twelve(steps.map(joined).collect())
            }
            _ => Last::Sixteen,
        };
        let quads = if padded > 8 { weights.data.to_vec() } else { vec![] };
        let shape = [weights.taps.len(), weights.run, weights.outputs];
        Self { taps: weights.merged(), quads, last, shape }
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let last = match &self.last {
            Last::Sixteen => 0,
            Last::Twelve(steps) => size_of_val(&**steps),
            Last::Eight(steps) | Last::Four(steps) => size_of_val(&**steps),
        };
        size_of_val(&*self.taps) + self.quads.len() + last
    }

    /// Panics if these are the weights of rows of another shape.
    pub fn assert_shape(&self, row: &ConvRow) {
        let shape = [row.taps.len(), row.run, row.outputs];
        assert!(self.shape == shape, "a row of {shape:?} and weights of {:?}", self.shape);
    }
}

/// Weights of `64 / D` outputs, 8 or 4, for each step of `D` bytes of a pixel: the words of an output lie together. What is
/// left of a tap is taken by halves, with zeros where the activations are repeated.
fn steps<const D: usize>(weights: &Weights, output: usize) -> Vec<[i8; 64]> {
    let (padded, mut line, mut steps) = (weights.padded(), 0, vec![]);
    for (_, run) in weights.merged() {
        let end = line + run / 4;
        while line < end {
            let left = end - line;
            let lines = if left >= D / 4 { D / 4 } else { 1 << left.ilog2() };
            let mut step = [0; 64];
            for (o, words) in step.chunks_exact_mut(D).enumerate() {
                for (i, word) in words.chunks_exact_mut(4).take(lines).enumerate() {
                    word.copy_from_slice(&weights.data[((line + i) * padded + output + o) * 4..][..4]);
                }
            }
            steps.push(step);
            line += lines;
        }
    }
    steps
}
