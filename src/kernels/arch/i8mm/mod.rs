//! NEON with the matrix product of ARMv8.6: `smmla` multiplies two rows of eight bytes with two others, 32 products.
//!
//! A vector of sums is two pixels by two outputs. Its weights are those of two outputs side by side, its activations those of
//! two pixels. 8 pixels by 8 outputs make sixteen sums; a step of eight bytes loads four vectors of weights and eight halves
//! of activations for sixteen instructions. At the end the sums are put in the order of NEON's epilogue.
//!
//! A product with weights that nothing has prepared, as in attention, is made by dot products.

use std::arch::aarch64::*;
use std::arch::asm;
use std::sync::Arc;

use super::dotprod;
use super::neon::conv::{Epilogue, Row};
use super::neon::finish::{ADDED, CLAMPED, FREE};
use crate::kernels::contract::{ConvKernel, ConvRow, Kernels, Tap, Weights};
use crate::kernels::drivers::blocks;

/// The level of processors with the matrix product.
pub const KERNELS: Kernels = Kernels { prepare: |weights| Arc::new(Pairs::new(weights)), ..dotprod::KERNELS };

/// Weights of a strip of 8 outputs for a step, two outputs in each vector.
type Step = [[i8; 16]; 4];

/// `[strip of 8 outputs][step]`; what a tap has less than eight bytes is zeros.
#[derive(Debug)]
struct Pairs {
    /// Taps whose bytes follow one another, as one tap each.
    taps: Vec<(Tap, usize)>,
    /// Steps of a strip.
    steps: usize,
    weights: Vec<Step>,
}

impl Pairs {
    fn new(weights: &Weights) -> Self {
        let (taps, padded) = (weights.merged(), weights.padded());
        let mut packed = vec![];
        for output in (0..padded).step_by(8) {
            let mut line = 0;
            for &(_, run) in &taps {
                let end = line + run / 4;
                while line < end {
                    let mut step = [[0; 16]; 4];
                    for (o, half) in step.iter_mut().flat_map(|pair| pair.chunks_exact_mut(8)).enumerate() {
                        for (quad, line) in half.chunks_exact_mut(4).zip(line..end) {
                            quad.copy_from_slice(&weights.data[(line * padded + output + o) * 4..][..4]);
                        }
                    }
                    packed.push(step);
                    line += 2.min(end - line);
                }
            }
        }
        Self { taps, steps: packed.len() / (padded / 8), weights: packed }
    }
}

impl ConvKernel for Pairs {
    fn row(&self, row: ConvRow) {
        let row = Row::new(row, &[]);
        let steps: usize = self.taps.iter().map(|(_, run)| run.div_ceil(8)).sum();
        let bytes: usize = self.taps.iter().map(|(_, run)| run).sum();
        assert!(steps == self.steps && bytes == row.row.taps.len() * row.row.run, "{steps} steps of {bytes} bytes");
        assert!(self.weights.len() == steps * row.row.padded() / 8, "{} weights", self.weights.len());
        for (i, weights) in self.weights.chunks_exact(steps).enumerate() {
            let output = i * 8;
            // SAFETY: the row has been checked (see `ConvRow`), and so have the steps; the strip's outputs are there, padded,
            // and the level is there (see `arch`).
            unsafe {
                match (row.count(output), row.ending()) {
                    (8, FREE) => strip::<FREE, true>(&row, &self.taps, weights, output),
                    (8, CLAMPED) => strip::<CLAMPED, true>(&row, &self.taps, weights, output),
                    (8, _) => strip::<ADDED, true>(&row, &self.taps, weights, output),
                    _ => strip::<ADDED, false>(&row, &self.taps, weights, output),
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.taps) + size_of_val(&*self.weights)
    }
}

/// All pixels of 8 outputs. `E`: their epilogue; `F`: all of them are real.
///
/// # Safety
///
/// `output + 8` is at most the padded number of outputs; `taps` are the row's, with a step of weights for each eight bytes.
#[target_feature(enable = "neon,i8mm")]
unsafe fn strip<const E: u8, const F: bool>(row: &Row, taps: &[(Tap, usize)], weights: &[Step], output: usize) {
    let pixels = row.row.pixels;
    // SAFETY: the outputs are there, and each block's pixels are below `pixels`.
    unsafe {
        let last = row.last::<1>(output);
        if pixels >= 8 {
            for x in blocks(pixels, 8) {
                block::<E, F, 4, 8>(row, taps, weights, output, x, &last);
            }
        } else if pixels >= 2 {
            for x in blocks(pixels, 2) {
                block::<E, F, 1, 2>(row, taps, weights, output, x, &last);
            }
        } else if pixels > 0 {
            block::<E, F, 1, 1>(row, taps, weights, output, 0, &last);
        }
    }
}

/// `P` pixels from `x`, in `H` pairs.
///
/// # Safety
///
/// As for [`strip`], and `x + P` is at most the row's pixels.
#[target_feature(enable = "neon,i8mm")]
#[inline]
unsafe fn block<const E: u8, const F: bool, const H: usize, const P: usize>(
    row: &Row,
    taps: &[(Tap, usize)],
    weights: &[Step],
    output: usize,
    x: usize,
    last: &Epilogue<1>,
) {
    let mut sums = [[vdupq_n_s32(0); 4]; H];
    let mut weights = weights.as_ptr();
    for &(Tap { row: from, offset, step }, run) in taps {
        // SAFETY: the tap's row reaches past the run of the last pixel, and `x` is not behind that pixel.
        let mut bytes = unsafe { row.row.rows[from].as_ptr().add(x * step + offset) };
        for left in (1..=run.div_ceil(8)).rev() {
            let whole = left > 1 || run.is_multiple_of(8);
            // SAFETY: eight bytes, or else four, are left in the runs of the pixels, and of the weights there is this step.
            unsafe {
                let at = |p: usize| bytes.add(p.min(P - 1) * step);
                let half = |p: usize| {
                    if whole { vld1_u8(at(p)) } else { vcreate_u8(at(p).cast::<u32>().read_unaligned().into()) }
                };
                let w: [_; 4] = std::array::from_fn(|i| vld1q_s8((*weights)[i].as_ptr()));
                for (pair, sums) in sums.iter_mut().enumerate() {
                    let x = veorq_u8(vcombine_u8(half(pair * 2), half(pair * 2 + 1)), vdupq_n_u8(0x80));
                    for (sum, w) in sums.iter_mut().zip(w) {
                        asm!("smmla {sum:v}.4s, {x:v}.16b, {w:v}.16b", sum = inlateout(vreg) *sum, x = in(vreg) x,
                            w = in(vreg) w, options(pure, nomem, nostack, preserves_flags));
                    }
                }
                (bytes, weights) = (bytes.wrapping_add(8), weights.add(1));
            }
        }
    }
    // SAFETY: `bias` has the padded number of outputs.
    let bias: [_; 2] = std::array::from_fn(|i| unsafe { vld1q_s32(row.row.bias.as_ptr().add(output + i * 4)) });
    let sums: [[int32x4_t; 2]; P] = std::array::from_fn(|p| {
        let pairs = sums[p / 2].map(|sum| vreinterpretq_s64_s32(sum));
        std::array::from_fn(|i| {
            let (a, b) = (pairs[i * 2], pairs[i * 2 + 1]);
            let sum = if p % 2 == 0 { vzip1q_s64(a, b) } else { vzip2q_s64(a, b) };
            vaddq_s32(vreinterpretq_s32_s64(sum), bias[i])
        })
    });
    // SAFETY: passes on what the caller has promised.
    unsafe { row.finish::<E, F, 1, P>(last, 0, &sums, x) };
}
