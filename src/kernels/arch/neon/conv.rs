//! Dense convolution and matrix product with what every ARMv8 processor has.
//!
//! Eight products of 8 bits make a 16-bit vector, eight more go on top of it, and `sadalp` adds neighbours to the
//! 32-bit sums: three instructions for 16 products. A vector of 32-bit sums belongs to two outputs, two sums each,
//! so 4 pixels by 8 outputs take 16 registers, as do 8 pixels by the 4 outputs of a last layer; at the end the two
//! sums of an output are added, and the bias.
//!
//! Two products of s8 do not always fit into 16 bits: -128 * -128 twice is 32768. Their *difference* does: one lies
//! in -128 * 127..=-128 * -128, so the difference of two lies within +-(16384 + 16256) = +-32640. The second is
//! therefore subtracted, and made with the opposite activation. The opposite of `x - 128` may be 128, which is no
//! s8; one less, `127 - x`, always is one (`x ^ 0x7f`, bit by bit). Hence
//!
//! `a + (x - 128) * w = a - (127 - x) * w - w`,
//!
//! and the last term does not depend on the pixels: all of them are taken from the bias.

use std::arch::aarch64::*;

use super::finish::{self, ADDED, CLAMPED, Eight, FREE, Rule};
use crate::kernels::contract::{ConvRow, Tap, Weights};
use crate::kernels::drivers::blocks;

/// Weights as [`Weights::data`] has them.
#[derive(Debug)]
pub struct Quads {
    pub weights: Vec<i8>,
    /// For each padded output the sum of the weights whose products are subtracted.
    subtracted: Vec<i32>,
}

impl Quads {
    pub fn new(weights: &Weights) -> Self {
        let Weights { data, run, .. } = *weights;
        let lines = data.chunks_exact(weights.padded() * 4).enumerate();
        let mut subtracted = vec![0; weights.padded()];
        for (_, line) in lines.filter(|(line, _)| line % (run / 4) % 2 == 1) {
            for (sum, quad) in subtracted.iter_mut().zip(line.chunks_exact(4)) {
                *sum += quad.iter().map(|&w| i32::from(w)).sum::<i32>();
            }
        }
        Self { weights: data.to_vec(), subtracted }
    }

    /// One row.
    pub fn row(&self, row: ConvRow) {
        conv_row(&self.weights, Some(&self.subtracted), row);
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.weights.len() + 4 * self.subtracted.len()
    }
}

/// One row, with weights as [`Weights::data`] has them.
pub fn product(weights: &[i8], row: ConvRow) {
    conv_row(weights, None, row);
}

fn conv_row(weights: &[i8], subtracted: Option<&[i32]>, row: ConvRow) {
    let row = Row::new(row, weights);
    row.assert_quads();
    assert!(subtracted.is_none_or(|sums| sums.len() >= row.row.padded()), "fewer sums than outputs");
    let product = row.row.taps.len() == 1 && row.row.run.is_multiple_of(8) && row.row.run > 0;
    for output in (0..row.row.padded()).step_by(8) {
        let subtracted = subtracted.map(|sums| &sums[output..output + 8]);
        // SAFETY: the strip ends at the padded outputs at most, and the level is there (see `arch`).
        unsafe {
            match (row.count(output), row.ending()) {
                (8, FREE) if product => row.strip::<true, FREE, true, 4, 4>(output, subtracted),
                (8, CLAMPED) if product => row.strip::<true, CLAMPED, true, 4, 4>(output, subtracted),
                (8, FREE | CLAMPED) => row.strip::<false, CLAMPED, true, 4, 4>(output, subtracted),
                (8, _) if product => row.strip::<true, ADDED, true, 4, 4>(output, subtracted),
                (8, _) => row.strip::<false, ADDED, true, 4, 4>(output, subtracted),
                (5.., _) => row.strip::<false, ADDED, false, 4, 4>(output, subtracted),
                _ => row.strip::<false, ADDED, false, 2, 8>(output, subtracted),
            }
        }
    }
}

/// A row, and where it is written.
pub struct Row<'a> {
    pub row: ConvRow<'a>,
    /// Weights of all strips, in an order that the kernel knows.
    pub weights: &'a [i8],
    out: *mut u8,
}

impl<'a> Row<'a> {
    pub fn new(mut row: ConvRow<'a>, weights: &'a [i8]) -> Self {
        let out = row.take_out();
        Self { row, weights, out }
    }

    /// Panics unless there are as many weights as [`Weights::data`] has.
    pub fn assert_quads(&self) {
        let want = self.row.taps.len() * self.row.run * self.row.padded();
        assert!(self.weights.len() >= want, "{} weights where {want} are read", self.weights.len());
    }

    /// All pixels of `V * 2` outputs, in blocks of `P`. `M`: a matrix product, of one tap and a whole number of eights;
    /// `E`: their ending; `F`: the outputs are all real, so that whole vectors may be read and written. Only rows
    /// shorter than a block go pixel by pixel.
    ///
    /// # Safety
    ///
    /// `output + V * 2` is at most the padded number of outputs.
    #[target_feature(enable = "neon")]
    unsafe fn strip<const M: bool, const E: u8, const F: bool, const V: usize, const P: usize>(
        &self,
        output: usize,
        subtracted: Option<&[i32]>,
    ) {
        let pixels = self.row.pixels;
        // SAFETY: the outputs are there, padded to 8, and each block's pixels are below `pixels`.
        unsafe {
            let start = self.start(output, subtracted);
            let last = self.last::<1>(output);
            if pixels >= P {
                for x in blocks(pixels, P) {
                    self.block::<M, E, F, V, P>(output, x, start, &last);
                }
            } else {
                for x in 0..pixels {
                    self.block::<M, E, F, V, 1>(output, x, start, &last);
                }
            }
        }
    }

    /// What is added to the sums of eight outputs: the bias, less the weights of all subtracted products, whose sums may be known.
    ///
    /// # Safety
    ///
    /// `output + 8` is at most the padded number of outputs.
    #[target_feature(enable = "neon")]
    unsafe fn start(&self, output: usize, subtracted: Option<&[i32]>) -> [int32x4_t; 2] {
        let (quads, line) = (self.row.run / 4, self.row.padded() * 4);
        std::array::from_fn(|i| {
            // SAFETY: `bias` has the padded number of outputs.
            let mut start = unsafe { vld1q_s32(self.row.bias.as_ptr().add(output + i * 4)) };
            if let Some(sums) = subtracted {
                // SAFETY: four sums, as just cut.
                return vsubq_s32(start, unsafe { vld1q_s32(sums[i * 4..i * 4 + 4].as_ptr()) });
            }
            for tap in 0..self.row.taps.len() {
                for quad in (1..quads).step_by(2) {
                    let at = (tap * quads + quad) * line + (output + i * 4) * 4;
                    // SAFETY: the weights hold a line for each quad of each tap, with 16 of them for four outputs.
                    let pairs = vpaddlq_s8(unsafe { vld1q_s8(self.weights.as_ptr().add(at)) });
                    start = vsubq_s32(start, vpaddlq_s16(pairs));
                }
            }
            start
        })
    }

    /// `P` pixels from `x`, `V * 2` outputs from `output`.
    ///
    /// # Safety
    ///
    /// `x + P` is at most the row's pixels, `output + 8` at most the padded number of outputs, and it is as `M` says.
    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn block<const M: bool, const E: u8, const F: bool, const V: usize, const P: usize>(
        &self,
        output: usize,
        x: usize,
        start: [int32x4_t; 2],
        last: &Epilogue<1>,
    ) {
        let ConvRow { taps, run, .. } = self.row;
        let line = self.row.padded() * 4;
        let mut sums = [[vdupq_n_s32(0); V]; P];
        // SAFETY: `output` is below the padded number, and a line has four weights for each of them.
        let mut weights = unsafe { self.weights.as_ptr().add(output * 4) };
        for &Tap { row, offset, step } in if M { &taps[..1] } else { taps } {
            // SAFETY: the tap's row reaches past the run of the last pixel, and `x` is not behind that pixel.
            let mut bytes = unsafe { self.row.rows[row].as_ptr().add(x * step + offset) };
            if M {
                // SAFETY: as below, for the first two lines.
                unsafe { multiply_two::<true, V, P>(&mut sums, bytes, step, weights, line) };
                bytes = bytes.wrapping_add(8);
                weights = weights.wrapping_add(line * 2);
            }
            for _ in usize::from(M)..run / 8 {
                // SAFETY: the weights hold taps * run / 4 lines, of which these are the next two; the eight bytes
                // lie in the runs of the pixels x..x + P, all of them in the row.
                unsafe { multiply_two::<false, V, P>(&mut sums, bytes, step, weights, line) };
                bytes = bytes.wrapping_add(8);
                weights = weights.wrapping_add(line * 2);
            }
            if !M && run % 8 != 0 {
                // SAFETY: as above, for one line and the last four bytes of the runs.
                unsafe { multiply_one(&mut sums, bytes, step, weights) };
                weights = weights.wrapping_add(line);
            }
        }
        // Four outputs come out as eight, of which the last four are not stored.
        let four = |s: &[int32x4_t; V], i: usize| vaddq_s32(finish::pairs(s[i * 2 % V], s[i * 2 % V + 1]), start[i]);
        let sums: [_; P] = std::array::from_fn(|p| [four(&sums[p], 0), four(&sums[p], 1)]);
        // SAFETY: passes on what the caller has promised.
        unsafe { self.finish::<E, F, 1, P>(last, 0, &sums, x) };
    }

    /// How its sums end: see [`finish`].
    pub fn ending(&self) -> u8 {
        Rule::ending(&self.row.epilogue)
    }

    /// How many of the 8 outputs from `first` are real.
    #[inline]
    pub fn count(&self, first: usize) -> usize {
        self.row.outputs.saturating_sub(first).min(8)
    }

    /// What the end of `W * 8` outputs from `output` needs.
    ///
    /// # Safety
    ///
    /// `output` is less than the padded number of outputs.
    #[target_feature(enable = "neon")]
    #[inline]
    pub unsafe fn last<const W: usize>(&self, output: usize) -> Epilogue<W> {
        // Twelve outputs come out as sixteen, of which the last four are not stored, and may not even be there.
        let four = |i: usize| (output + i * 4).min(self.row.padded() - 4);
        // SAFETY: `multiplier` has the padded number of outputs.
        let multiplier = |i| unsafe { vld1q_f32(self.row.multiplier.as_ptr().add(four(i))) };
        let residual = &self.row.epilogue.residual;
        let (skip, skip_step) = residual.map_or(([].as_ptr(), 0), |r| (r.skip.as_ptr(), r.skip_step));
        Epilogue {
            multipliers: std::array::from_fn(|w| [multiplier(w * 2), multiplier(w * 2 + 1)]),
            rule: Rule::new(&self.row.epilogue),
            added: residual.is_some(),
            skip: skip.wrapping_add(output),
            skip_step,
            out: self.out.wrapping_add(output),
            out_step: self.row.out_step,
            count: self.row.outputs - output,
        }
    }

    /// Requantises the sums of `P` pixels by the `w`th 8 outputs, adds the residual and writes the bytes.
    ///
    /// # Safety
    ///
    /// `x + P` is at most the row's pixels, and `last` is of this row, for outputs of which all are real if `F`.
    #[target_feature(enable = "neon")]
    #[inline]
    pub unsafe fn finish<const E: u8, const F: bool, const W: usize, const P: usize>(
        &self,
        last: &Epilogue<W>,
        w: usize,
        sums: &[[int32x4_t; 2]; P],
        x: usize,
    ) {
        let count = if F { 8 } else { last.count.saturating_sub(w * 8).min(8) };
        let mut out = last.out.wrapping_add(w * 8 + x * last.out_step);
        let mut skip = last.skip.wrapping_add(w * 8 + x * last.skip_step);
        for p in (0..P).step_by(2) {
            let mut value = |p: usize| -> Eight {
                // Past the last pixel the last one again, which is not stored.
                let value = finish::scale(sums[p.min(P - 1)], last.multipliers[w]);
                if !finish::adds(E) || !last.added {
                    return value;
                }
                // SAFETY: the addend has `outputs` bytes at every pixel, and `count` stays within them.
                let bytes = unsafe { finish::load(skip, count) };
                if p + 1 < P {
                    skip = skip.wrapping_add(last.skip_step);
                }
                last.rule.add_residual(value, bytes)
            };
            let bytes = last.rule.quantise::<E>([value(p), value(p + 1)]);
            // SAFETY: `out` has `outputs` bytes at every pixel, and `count` stays within them.
            unsafe {
                finish::store(vget_low_u8(bytes), out, count);
                out = out.wrapping_add(last.out_step);
                if p + 1 < P {
                    finish::store(vget_high_u8(bytes), out, count);
                    out = out.wrapping_add(last.out_step);
                }
            }
        }
    }

    /// [`Row::finish`] for two pixels by 12 outputs, all real: `W` is 2.
    ///
    /// # Safety
    ///
    /// As for [`Row::finish`].
    #[target_feature(enable = "neon")]
    #[inline]
    pub unsafe fn finish_twelve<const E: u8, const W: usize>(
        &self,
        last: &Epilogue<W>,
        sums: &[[int32x4_t; 3]; 2],
        x: usize,
    ) {
        let (skip, out) = (last.skip.wrapping_add(x * last.skip_step), last.out.wrapping_add(x * last.out_step));
        let (skips, outs) = ([skip, skip.wrapping_add(last.skip_step)], [out, out.wrapping_add(last.out_step)]);
        let [first, second] = *sums;
        // The last four of both pixels make eight together.
        let ends = [last.multipliers[W - 1][0]; 2];
        let mut values = [
            finish::scale([first[0], first[1]], last.multipliers[0]),
            finish::scale([second[0], second[1]], last.multipliers[0]),
            finish::scale([first[2], second[2]], ends),
        ];
        if finish::adds(E) {
            // SAFETY: the addend has these 12 bytes at both pixels.
            unsafe {
                let ends = skips.map(|skip| skip.add(8).cast::<u32>().read_unaligned());
                let ends = vcreate_u8(u64::from(ends[0]) | u64::from(ends[1]) << 32);
                let skips = [finish::load(skips[0], 8), finish::load(skips[1], 8), ends];
                for (value, skip) in values.iter_mut().zip(skips) {
                    *value = last.rule.add_residual(*value, skip);
                }
            }
        }
        let bytes = last.rule.quantise::<E>([values[0], values[1]]);
        let ends = vreinterpret_u32_u8(last.rule.quantise_eight::<E>(values[2]));
        // SAFETY: `out` has these 12 bytes at both pixels.
        unsafe {
            finish::store(vget_low_u8(bytes), outs[0], 8);
            outs[0].add(8).cast::<u32>().write_unaligned(vget_lane_u32::<0>(ends));
            finish::store(vget_high_u8(bytes), outs[1], 8);
            outs[1].add(8).cast::<u32>().write_unaligned(vget_lane_u32::<1>(ends));
        }
    }

    /// [`Row::finish`] for `V * 4` outputs, 16 or 24, all real: `W` is half of `V`.
    ///
    /// # Safety
    ///
    /// As for [`Row::finish`].
    #[target_feature(enable = "neon")]
    #[inline]
    pub unsafe fn finish_wide<const E: u8, const W: usize, const V: usize, const P: usize>(
        &self,
        last: &Epilogue<W>,
        sums: &[[int32x4_t; V]; P],
        x: usize,
    ) {
        let (mut skip, mut out) =
            (last.skip.wrapping_add(x * last.skip_step), last.out.wrapping_add(x * last.out_step));
        for sums in sums {
            let value = |w: usize| -> Eight {
                let value = finish::scale([sums[w * 2], sums[w * 2 + 1]], last.multipliers[w]);
                if finish::adds(E) {
                    // SAFETY: the addend has these `V * 4` bytes at every pixel.
                    last.rule.add_residual(value, unsafe { finish::load(skip.add(w * 8), 8) })
                } else {
                    value
                }
            };
            let bytes = last.rule.quantise::<E>([value(0), value(1)]);
            // SAFETY: `out` has these `V * 4` bytes at every pixel.
            unsafe {
                vst1q_u8(out, bytes);
                if W > 2 {
                    finish::store(last.rule.quantise_eight::<E>(value(W - 1)), out.add(16), 8);
                }
            }
            skip = skip.wrapping_add(last.skip_step);
            out = out.wrapping_add(last.out_step);
        }
    }
}

/// What the end of `W * 8` outputs needs at every pixel.
pub struct Epilogue<const W: usize> {
    multipliers: [Eight; W],
    rule: Rule,
    added: bool,
    /// Where the outputs begin in the addend's first pixel, and the bytes of its pixels.
    skip: *const u8,
    skip_step: usize,
    out: *mut u8,
    out_step: usize,
    /// How many outputs are real, from the first of these on.
    count: usize,
}

/// Adds eight products to every output: four, less the opposites of four more (see the module). `N`: they are the first.
///
/// # Safety
///
/// Eight bytes may be read at `bytes` and at each `step` after it, `P` in all; `V * 8` weights at `weights` and as
/// many `line` after it.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn multiply_two<const N: bool, const V: usize, const P: usize>(
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
            let high = vmlsl_high_s8(vmull_high_s8(a, first), b, second);
            let add = |sum, products| if N { vpaddlq_s16(products) } else { vpadalq_s16(sum, products) };
            sums[i * 2] = add(sums[i * 2], low);
            sums[i * 2 + 1] = add(sums[i * 2 + 1], high);
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
