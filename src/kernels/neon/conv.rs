//! Dense convolution and matrix product with what every ARMv8 processor has.
//!
//! Eight products of 8 bits make a 16-bit vector, eight more go on top of it, and `sadalp` adds neighbours to the
//! 32-bit sums: three instructions for 16 products. A vector of 32-bit sums belongs to two outputs, two sums each,
//! so 4 pixels by 8 outputs take 16 registers, as do 8 pixels by the 4 outputs of a last layer; at the end the two
//! sums of an output are added.
//!
//! Two products of s8 do not always fit into 16 bits: -128 * -128 twice is 32768. Their *difference* does: one lies
//! in -128 * 127..=-128 * -128, so the difference of two lies within +-(16384 + 16256) = +-32640. The second is
//! therefore subtracted, and made with the opposite activation. The opposite of `x - 128` may be 128, which is no
//! s8; one less, `127 - x`, always is one (`x ^ 0x7f`, bit by bit). Hence
//!
//! `a + (x - 128) * w = a - (127 - x) * w - w`,
//!
//! and the last term does not depend on the pixels: all of them are taken from where the sums start.

use std::arch::aarch64::*;

use super::finish::{self, Eight};
use crate::kernels::dispatch::assert_conv;
use crate::kernels::{Clamp, Residual, Tap, Weights, Window};

/// One row of `pixels` output pixels, `out_step` bytes apart.
#[allow(clippy::too_many_arguments)]
pub fn conv_row(
    window: &Window,
    weights: &Weights,
    clamp: Clamp,
    residual: Option<&Residual>,
    rows: &[&[u8]],
    out: &mut [u8],
    out_step: usize,
    pixels: usize,
) {
    let row = Row::new(window, weights, clamp, residual, rows, out, out_step, pixels);
    for output in (0..weights.padded()).step_by(8) {
        // SAFETY: the strip ends at `padded` at most, and NEON is there (see the module above).
        unsafe { if row.count(output) > 4 { row.strip::<4, 4>(output) } else { row.strip::<2, 8>(output) } };
    }
}

/// The arguments of [`conv_row`], which have passed [`assert_conv`].
pub(super) struct Row<'a> {
    pub window: &'a Window<'a>,
    pub weights: &'a Weights<'a>,
    pub rows: &'a [&'a [u8]],
    pub pixels: usize,
    clamp: Clamp,
    residual: Option<&'a Residual<'a>>,
    out: *mut u8,
    out_step: usize,
}

impl<'a> Row<'a> {
    /// Panics when a slice is too short.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        window: &'a Window<'a>,
        weights: &'a Weights<'a>,
        clamp: Clamp,
        residual: Option<&'a Residual<'a>>,
        rows: &'a [&'a [u8]],
        out: &'a mut [u8],
        out_step: usize,
        pixels: usize,
    ) -> Self {
        assert_conv(window, weights, residual, rows, out, out_step, pixels);
        Self { window, weights, rows, pixels, clamp, residual, out: out.as_mut_ptr(), out_step }
    }

    /// All pixels of `V * 2` outputs, in blocks of `P`. The last block may begin earlier and make some pixels again,
    /// the same as before; only rows shorter than a block go pixel by pixel.
    ///
    /// # Safety
    ///
    /// `output + V * 2` is at most the padded number of outputs.
    #[target_feature(enable = "neon")]
    unsafe fn strip<const V: usize, const P: usize>(&self, output: usize) {
        // SAFETY: the outputs are there, and each block's pixels are below `self.pixels`.
        unsafe {
            let start = self.start::<V>(output);
            let mut x = 0;
            if self.pixels >= P {
                while x < self.pixels {
                    x = x.min(self.pixels - P);
                    self.block::<V, P>(output, x, start);
                    x += P;
                }
            } else {
                while x < self.pixels {
                    self.block::<V, 1>(output, x, start);
                    x += 1;
                }
            }
        }
    }

    /// Where the sums of `V * 2` outputs start: at the bias, less the weights of all subtracted products.
    ///
    /// # Safety
    ///
    /// `output + V * 2` is at most the padded number of outputs.
    #[target_feature(enable = "neon")]
    unsafe fn start<const V: usize>(&self, output: usize) -> [int32x4_t; V] {
        let (quads, line) = (self.window.run / 4, self.weights.padded() * 4);
        let mut start = [vdupq_n_s32(0); V];
        for i in 0..V / 2 {
            // SAFETY: `bias` has the padded number of outputs.
            let bias = unsafe { vld1q_s32(self.weights.bias.as_ptr().add(output + i * 4)) };
            start[i * 2] = vzip1q_s32(bias, vdupq_n_s32(0));
            start[i * 2 + 1] = vzip2q_s32(bias, vdupq_n_s32(0));
            for tap in 0..self.window.taps.len() {
                for quad in (1..quads).step_by(2) {
                    let at = (tap * quads + quad) * line + (output + i * 4) * 4;
                    // SAFETY: the weights hold a line for each quad of each tap, with 16 of them for four outputs.
                    let pairs = vpaddlq_s8(unsafe { vld1q_s8(self.weights.data.as_ptr().add(at)) });
                    start[i * 2] = vsubw_s16(start[i * 2], vget_low_s16(pairs));
                    start[i * 2 + 1] = vsubw_high_s16(start[i * 2 + 1], pairs);
                }
            }
        }
        start
    }

    /// `P` pixels from `x`, `V * 2` outputs from `output`.
    ///
    /// # Safety
    ///
    /// `x + P` is at most the row's pixels, and `output + V * 2` at most the padded number of outputs.
    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn block<const V: usize, const P: usize>(&self, output: usize, x: usize, start: [int32x4_t; V]) {
        let Window { taps, run } = *self.window;
        let line = self.weights.padded() * 4;
        let mut sums = [start; P];
        // SAFETY: `output` is below the padded number, and a line has four weights for each of them.
        let mut weights = unsafe { self.weights.data.as_ptr().add(output * 4) };
        for &Tap { row, offset, step } in taps {
            // SAFETY: the tap's row reaches past the run of the last pixel, and `x` is not behind that pixel.
            let mut bytes = unsafe { self.rows[row].as_ptr().add(x * step + offset) };
            for _ in 0..run / 8 {
                // SAFETY: the weights hold taps * run / 4 lines, of which these are the next two; the eight bytes
                // lie in the runs of the pixels x..x + P, all of them in the row.
                unsafe { multiply_two(&mut sums, bytes, step, weights, line) };
                bytes = bytes.wrapping_add(8);
                weights = weights.wrapping_add(line * 2);
            }
            if run % 8 != 0 {
                // SAFETY: as above, for one line and the last four bytes of the runs.
                unsafe { multiply_one(&mut sums, bytes, step, weights) };
                weights = weights.wrapping_add(line);
            }
        }
        // Four outputs come out as eight, of which the last four are not stored.
        let four = |s: &[int32x4_t; V], i: usize| match V {
            2 => vpaddq_s32(s[0], s[1]),
            _ => vpaddq_s32(s[i], s[i + 1]),
        };
        let sums: [_; P] = std::array::from_fn(|p| [four(&sums[p], 0), four(&sums[p], 2)]);
        // SAFETY: passes on what the caller has promised.
        unsafe { self.finish(&sums, output, x) };
    }

    /// How many of the 8 outputs from `first` are real.
    #[inline]
    pub fn count(&self, first: usize) -> usize {
        self.weights.outputs.saturating_sub(first).min(8)
    }

    /// Requantises the sums of `P` pixels by 8 outputs, adds the residual and writes the bytes.
    ///
    /// # Safety
    ///
    /// `x + P` is at most the row's pixels, and `output + 8` at most the padded number of outputs.
    #[target_feature(enable = "neon")]
    #[inline]
    pub unsafe fn finish<const P: usize>(&self, sums: &[[int32x4_t; 2]; P], output: usize, x: usize) {
        // SAFETY: `multiplier` has the padded number of outputs.
        let multipliers = unsafe { finish::load_eight(self.weights.multiplier.as_ptr().add(output)) };
        let count = self.count(output);
        let clamp = self.residual.map_or(self.clamp, |r| r.clamp);
        for p in (0..P).step_by(2) {
            let value = |p: usize| -> Eight {
                // Past the last pixel the last one again, which is not stored.
                let p = p.min(P - 1);
                let value = finish::scale(sums[p], multipliers);
                match self.residual {
                    None => value,
                    Some(r) => {
                        let from = r.skip.as_ptr().wrapping_add((x + p) * r.skip_step + output);
                        // SAFETY: the addend has `outputs` bytes at every pixel, and `count` stays within them.
                        finish::add(value, self.clamp, r, unsafe { finish::load(from, count) })
                    }
                }
            };
            let bytes = finish::place([value(p), value(p + 1)], clamp);
            for (p, bytes) in (p..P).zip(bytes) {
                let to = self.out.wrapping_add((x + p) * self.out_step + output);
                // SAFETY: `out` has `outputs` bytes at every pixel, and `count` stays within them.
                unsafe { finish::store(bytes, to, count) };
            }
        }
    }
}

/// Adds eight products to every output: four, less the opposites of four more (see the module).
///
/// # Safety
///
/// Eight bytes may be read at `bytes` and at each `step` after it, `P` in all; `V * 8` weights at `weights` and as
/// many `line` after it.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn multiply_two<const V: usize, const P: usize>(
    sums: &mut [[int32x4_t; V]; P],
    bytes: *const u8,
    step: usize,
    weights: *const i8,
    line: usize,
) {
    let signs = vcreate_u8(0x7f7f_7f7f_8080_8080);
    for (p, sums) in sums.iter_mut().enumerate() {
        // SAFETY: the caller vouches for eight bytes at each of P steps.
        let x = veor_u8(unsafe { vld1_u8(bytes.add(p * step)) }, signs);
        let x = vreinterpret_s32_u8(x);
        let a = vreinterpretq_s8_s32(vdupq_lane_s32::<0>(x));
        let b = vreinterpretq_s8_s32(vdupq_lane_s32::<1>(x));
        for i in 0..V / 2 {
            // SAFETY: the caller vouches for V / 2 vectors of 16 weights in both lines.
            let (first, second) = unsafe { (vld1q_s8(weights.add(i * 16)), vld1q_s8(weights.add(line + i * 16))) };
            let low = vmull_s8(vget_low_s8(a), vget_low_s8(first));
            let low = vmlsl_s8(low, vget_low_s8(b), vget_low_s8(second));
            sums[i * 2] = vpadalq_s16(sums[i * 2], low);
            let high = vmlsl_high_s8(vmull_high_s8(a, first), b, second);
            sums[i * 2 + 1] = vpadalq_s16(sums[i * 2 + 1], high);
        }
    }
}

/// Adds four products to every output.
///
/// # Safety
///
/// Four bytes may be read at `bytes` and at each `step` after it, `P` in all; `V * 8` weights at `weights`.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn multiply_one<const V: usize, const P: usize>(
    sums: &mut [[int32x4_t; V]; P],
    bytes: *const u8,
    step: usize,
    weights: *const i8,
) {
    for (p, sums) in sums.iter_mut().enumerate() {
        // SAFETY: the caller vouches for four bytes at each of P steps.
        let x = unsafe { bytes.add(p * step).cast::<u32>().read_unaligned() };
        let x = vreinterpretq_s8_u32(vdupq_n_u32(x ^ 0x8080_8080));
        for i in 0..V / 2 {
            // SAFETY: the caller vouches for V / 2 vectors of 16 weights.
            let weights = unsafe { vld1q_s8(weights.add(i * 16)) };
            let low = vmull_s8(vget_low_s8(x), vget_low_s8(weights));
            sums[i * 2] = vpadalq_s16(sums[i * 2], low);
            sums[i * 2 + 1] = vpadalq_s16(sums[i * 2 + 1], vmull_high_s8(x, weights));
        }
    }
}
