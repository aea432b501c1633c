//! Four outputs, as the last layer of a network that doubles has: two pixels side by side are computed as one of eight outputs.
//!
//! Most of what they read is the same. A 3x3 convolution reads four columns for both; of each eight weights for a column in the
//! middle none is zero, and for one at the side four are. Zeros make it easy for steps to find another (see
//! [`paired`](super::paired)).

use super::conv::{PairsFit, Quads};
use super::paired::Paired;
use crate::kernels::contract::{ConvKernel, ConvRow, Epilogue, Output, Residual, Tap, Weights};

/// Most rows of a convolution.
const ROWS: usize = 32;

/// Weights of two pixels.
#[derive(Debug)]
pub struct Twice {
    /// Taps whose bytes follow one another, as one tap each, for both pixels.
    taps: Vec<Tap>,
    run: usize,
    paired: Paired,
    /// Bytes from a pixel to the next.
    step: usize,
    /// For a single pixel, and for outputs that do not follow one another.
    alone: Quads<PairsFit>,
}

impl Twice {
    /// Nothing for other than four outputs, and where neighbours share less than half of what they read.
    pub fn new(weights: &Weights) -> Option<Self> {
        let merged = weights.merged();
        let (Tap { step, .. }, length) = merged[0];
        let alike = merged.iter().all(|&(tap, l)| (tap.step, l) == (step, length));
        if weights.outputs != 4 || !alike || length < 2 * step || !step.is_multiple_of(4) {
            return None;
        }
        let run = length + step;
        let taps: Vec<Tap> = merged.iter().map(|(tap, _)| Tap { step: 2 * step, ..*tap }).collect();
        let mut data = vec![0; taps.len() * run * 8];
        for (from, to) in weights.data.chunks_exact(length * 8).zip(data.chunks_exact_mut(run * 8)) {
            for (quad, from) in from.chunks_exact(32).enumerate() {
                to[quad * 32..][..16].copy_from_slice(&from[..16]);
                to[(quad + step / 4) * 32 + 16..][..16].copy_from_slice(&from[..16]);
            }
        }
        let paired = Paired::new(&Weights { taps: &taps, run, outputs: 8, data: &data, ..*weights })?;
        Some(Self { taps, run, paired, step, alone: Quads::new(weights) })
    }

    /// Two pixels and two again, from pixel `first`.
    fn pairs(&self, row: &mut ConvRow, first: usize, pairs: usize) {
        let from = first * self.step;
        let rows: heapless::Vec<&[u8], ROWS> = row.rows.iter().map(|row| row.get(from..).unwrap_or_default()).collect();
        let Epilogue { clamp, residual } = row.epilogue;
        let residual = residual.map(|r| Residual { skip: &r.skip[first * 4..], skip_step: 8, ..r });
        let epilogue = Epilogue { clamp, residual };
        let bias: [i32; 8] = std::array::from_fn(|i| row.bias[i % 4]);
        let multiplier: [f32; 8] = std::array::from_fn(|i| row.multiplier[i % 4]);
        let mut output = Output { bytes: &mut row.out[first * 4..], step: 8, pixels: pairs };
        let row = ConvRow::new(&self.taps, self.run, 8, &bias, &multiplier, &epilogue, &rows, &mut output);
        self.paired.row(row);
    }
}

impl ConvKernel for Twice {
    fn row(&self, mut row: ConvRow) {
        let adjoin = row.out_step == 4 && row.epilogue.residual.is_none_or(|r| r.skip_step == 4);
        if row.pixels < 2 || !adjoin || row.rows.len() > ROWS {
            return self.alone.row(row);
        }
        let pixels = row.pixels;
        self.pairs(&mut row, 0, pixels / 2);
        if !pixels.is_multiple_of(2) {
            // The last but one again, the same as before.
            self.pairs(&mut row, pixels - 2, 1);
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.taps) + self.paired.bytes() + self.alone.bytes()
    }
}
