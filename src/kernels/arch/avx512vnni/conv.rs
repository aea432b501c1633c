//! Dense convolution and matrix product.
//!
//! A vector of sums belongs to one pixel and has a word for each of 16 outputs; each step takes four bytes of every
//! pixel (one broadcast) and 64 bytes of weights. Sixteen pixels make a block: its sums never leave the registers,
//! and two dot products a cycle find enough of them to work on. A strip of 16 outputs goes through all pixels before
//! the next begins.
//!
//! With 8 outputs the vector has two words for each output, and a step takes eight bytes of every pixel; with 4
//! outputs it has four words and a step takes sixteen bytes. The words of an output are added at the end. So all three
//! shapes do 64 products an instruction. `D` names them: the bytes of a pixel that a step takes. A *group* is `D`
//! pixels by `64 / D` outputs, a vector of bytes when it is done. A last strip of 12 outputs is in [`super::twelve`].

use std::arch::asm;
use std::arch::x86_64::*;

use super::super::avxvnni;
use super::finish::{self, Rule};
use super::pack::{Last, Packed};
use crate::kernels::contract::{ConvKernel, ConvRow, Tap};
use crate::kernels::drivers::blocks;

impl ConvKernel for Packed {
    fn row(&self, row: ConvRow) {
        conv_row(self, row);
    }

    fn bytes(&self) -> usize {
        Packed::bytes(self)
    }
}

/// One row.
fn conv_row(packed: &Packed, mut row: ConvRow) {
    packed.assert_shape(&row);
    let Packed { taps, quads, last, .. } = packed;
    let out = row.take_out();
    let row = Row { row: &row, taps, quads, last, out };
    // SAFETY: the row has been checked (see `ConvRow`), and the weights are for rows of its shape; the level is there (see
    // `arch`).
    unsafe { if row.row.epilogue.residual.is_some() { row.run::<true>() } else { row.run::<false>() } }
}

/// Most steps for which [`product`] prepares weights of eight outputs.
const MOST_STEPS: usize = 32;

/// A matrix product with weights that nothing has prepared.
pub fn product(weights: &[i8], mut row: ConvRow) {
    let (run, outputs) = (row.run, row.outputs);
    let eight = outputs == 8 && run.is_multiple_of(8) && run / 8 <= MOST_STEPS;
    if !(eight || outputs.is_multiple_of(16)) || row.taps.len() != 1 {
        return (avxvnni::EVEX.product)(weights, row);
    }
    let (taps, out, weights) = ([(row.taps[0], run)], row.take_out(), &weights[..run * outputs]);
    let row = Row { row: &row, taps: &taps, quads: weights, last: &Last::Sixteen, out };
    // SAFETY: the row has been checked (see `ConvRow`), and so have the weights, of which there is a step for every eight
    // bytes of the run; the level is there (see `arch`).
    unsafe {
        if eight {
            let mut steps = [[0; 64]; MOST_STEPS];
            for (step, quads) in steps.iter_mut().zip(weights.as_chunks().0) {
                pair_words(quads, step);
            }
            row.strip::<false, 8, true>(0, Some(&steps[..run / 8]));
        } else {
            row.run::<false>();
        }
    }
}

/// A step of eight outputs: the two words of an output, of two lines of quads, side by side.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn pair_words(quads: &[i8; 64], step: &mut [i8; 64]) {
    let order = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    // SAFETY: both are 64 bytes.
    unsafe {
        let words = _mm512_loadu_si512(quads.as_ptr().cast());
        _mm512_storeu_si512(step.as_mut_ptr().cast(), _mm512_permutexvar_epi32(order, words));
    }
}

/// The arguments of [`conv_row`].
pub(super) struct Row<'a> {
    pub(super) row: &'a ConvRow<'a>,
    /// The row's taps; those that follow one another as one.
    pub(super) taps: &'a [(Tap, usize)],
    quads: &'a [i8],
    last: &'a Last,
    pub(super) out: *mut u8,
}

/// What a strip of `64 / D` outputs needs at every pixel.
struct Strip {
    output: usize,
    /// A vector of weights for each step, and the bytes from one to the next.
    weights: *const i8,
    line: usize,
    /// What a vector of sums starts from.
    start: __m512i,
    /// Requantisation, in the order of [`values`].
    multiplier: __m512,
    rule: Rule,
    /// Where the strip's outputs begin in the addend's first pixel, and the bytes of its pixels.
    skip: *const u8,
    skip_step: usize,
    out: *mut u8,
    out_step: usize,
}

impl Row<'_> {
    /// All strips of outputs. `R`: there is a residual.
    ///
    /// # Safety
    ///
    /// The weights are those of the row's shape.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn run<const R: bool>(&self) {
        let outputs = self.row.outputs;
        for output in (0..outputs).step_by(16) {
            // SAFETY: passes on what the caller has promised. The strip begins at a multiple of 16 and ends at the padded
            // outputs at most; of a last strip the weights are there.
            unsafe {
                match (outputs - output, self.last) {
                    (16.., _) => self.strip::<R, 4, true>(output, None),
                    (8, Last::Eight(steps)) => self.strip::<R, 8, true>(output, Some(steps)),
                    (_, Last::Eight(steps)) => self.strip::<R, 8, false>(output, Some(steps)),
                    (4, Last::Four(steps)) => self.strip::<R, 16, true>(output, Some(steps)),
                    (_, Last::Four(steps)) => self.strip::<R, 16, false>(output, Some(steps)),
                    (_, Last::Twelve(steps)) if !R && self.has_strip_of_12() => self.strip_of_12(output, steps),
                    (_, Last::Twelve(_) | Last::Sixteen) => self.strip::<R, 4, false>(output, None),
                }
            }
        }
    }

    /// All pixels of `64 / D` outputs, in blocks of 16; only rows shorter than a block need smaller ones. `F`: the outputs are
    /// all real, so that whole vectors may be read and written.
    ///
    /// # Safety
    ///
    /// The weights are those of the row's shape; `output + 64 / D` is at most the padded number of outputs; `steps` are the strip's weights, or
    /// it has 16 outputs.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn strip<const R: bool, const D: usize, const F: bool>(&self, output: usize, steps: Option<&[[i8; 64]]>) {
        let count = 64 / D;
        // SAFETY: `bias` and `multiplier` have the padded number of outputs.
        let (bias, multiplier) = unsafe {
            let mask = 0xffff >> (16 - count);
            (
                _mm512_maskz_loadu_epi32(mask, self.row.bias.as_ptr().add(output)),
                _mm512_maskz_loadu_ps(mask, self.row.multiplier.as_ptr().add(output)),
            )
        };
        let (weights, line) = match steps {
            None => (self.quads[output * 4..].as_ptr(), self.row.padded() * 4),
            Some(steps) => (steps.as_ptr().cast(), 64),
        };
        // Each bias goes to the first of its output's words.
        let (start, multiplier) = match D {
            4 => (bias, multiplier),
            8 => {
                let pairs = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
                let twice = _mm512_setr_epi32(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7);
                (_mm512_maskz_permutexvar_epi32(0x5555, pairs, bias), _mm512_permutexvar_ps(twice, multiplier))
            }
            _ => {
                let fours = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
                (_mm512_maskz_permutexvar_epi32(0x1111, fours, bias), _mm512_permutexvar_ps(fours, multiplier))
            }
        };
        let (rule, residual, pixels) = (Rule::new(&self.row.epilogue), self.row.epilogue.residual, self.row.pixels);
        let (skip, skip_step) = residual.map_or(([].as_ptr(), 0), |r| (r.skip.as_ptr(), r.skip_step));
        let (skip, out, out_step) = (skip.wrapping_add(output), self.out.wrapping_add(output), self.row.out_step);
        let strip = Strip { output, weights, line, start, multiplier, rule, skip, skip_step, out, out_step };
        // SAFETY: the outputs are there, and each block's pixels are below `pixels`.
        unsafe {
            if pixels >= 16 {
                for x in blocks(pixels, 16) {
                    self.block::<R, D, F, 16>(&strip, x);
                }
            } else if pixels >= 4 {
                for x in blocks(pixels, 4) {
                    self.block::<R, D, F, 4>(&strip, x);
                }
            } else {
                for x in 0..pixels {
                    self.block::<R, D, F, 1>(&strip, x);
                }
            }
        }
    }

    /// `P` pixels from `x`, all outputs of the strip.
    ///
    /// # Safety
    ///
    /// `x + P` is at most the row's pixels, and the strip's outputs are there.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    unsafe fn block<const R: bool, const D: usize, const F: bool, const P: usize>(&self, strip: &Strip, x: usize) {
        let mut sums = [strip.start; P];
        let mut weights = strip.weights;
        for &(Tap { row, offset, step }, run) in self.taps {
            // SAFETY: the tap's row reaches past the run of the last pixel, and `x` is not behind that pixel.
            let mut bytes = unsafe { self.row.rows[row].as_ptr().add(x * step + offset) };
            let mut step_of = |count: usize| {
                // SAFETY: the strip has a vector of weights for each step, of which this is the next; `count` bytes are
                // left in the runs of the pixels x..x + P, all of them in the row.
                unsafe {
                    let w = _mm512_loadu_si512(weights.cast());
                    match count {
                        16 => multiply::<16, P>(&mut sums, bytes, step, w),
                        8 => multiply::<8, P>(&mut sums, bytes, step, w),
                        _ => multiply::<4, P>(&mut sums, bytes, step, w),
                    }
                }
                bytes = bytes.wrapping_add(count);
                weights = weights.wrapping_add(strip.line);
            };
            for _ in 0..run / D {
                step_of(D);
            }
            if D > 8 && run & 8 != 0 {
                step_of(8);
            }
            if D > 4 && run & 4 != 0 {
                step_of(4);
            }
        }
        // Past the last pixel the last one again, which is not stored. Each group's sums are copied, or else the
        // compiler keeps all of them in memory.
        let group = |first: usize| values::<D>(|p| sums[(first + p).min(P - 1)]);
        // SAFETY: the groups' pixels are those of the block.
        unsafe {
            if P < D {
                self.finish::<R, D, F, P>(strip, group(0), x);
            } else {
                self.finish::<R, D, F, D>(strip, group(0), x);
            }
            if P > D {
                self.finish::<R, D, F, D>(strip, group(D), x + D);
            }
            if P > D * 2 {
                self.finish::<R, D, F, D>(strip, group(D * 2), x + D * 2);
                self.finish::<R, D, F, D>(strip, group(D * 3), x + D * 3);
            }
        }
    }

    /// Requantises the sums of the `P` pixels of a group from `x`, adds the residual and writes the bytes.
    ///
    /// # Safety
    ///
    /// `x + P` is at most the row's pixels, and the strip's outputs are there.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    unsafe fn finish<const R: bool, const D: usize, const F: bool, const P: usize>(
        &self,
        strip: &Strip,
        sums: [__m512i; 4],
        x: usize,
    ) {
        let value = |v: usize| {
            let value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[v]), strip.multiplier);
            if R {
                // SAFETY: the addend has `outputs` bytes at every pixel.
                strip.rule.add_residual(value, unsafe { self.skip::<D, F, P>(strip, x, v * (D / 4)) })
            } else {
                value
            }
        };
        let bytes = in_order::<D>(strip.rule.quantise([value(0), value(1), value(2), value(3)]));
        let to = |p: usize| strip.out.wrapping_add((x + p) * strip.out_step);
        // SAFETY: `out` has `outputs` bytes at each of the pixels, all those of the strip when it is full.
        unsafe {
            if P == D && F && strip.out_step == 64 / D {
                _mm512_storeu_si512(to(0).cast(), bytes);
            } else if F && D == 4 {
                for p in 0..P {
                    _mm_storeu_si128(to(p).cast(), finish::lane(bytes, p));
                }
            } else if D == 4 {
                for p in 0..P {
                    _mm_mask_storeu_epi8(to(p).cast(), self.real(strip), finish::lane(bytes, p));
                }
            } else if F && D == 8 {
                for p in 0..P {
                    let lane = finish::lane(bytes, p / 2);
                    if p % 2 == 0 {
                        _mm_storel_epi64(to(p).cast(), lane);
                    } else {
                        _mm_storeh_pd(to(p).cast(), _mm_castsi128_pd(lane));
                    }
                }
            } else {
                self.store(strip, bytes, to(0), 64 / D, P);
            }
        }
    }

    /// A bit for each real output of a strip of 16.
    fn real(&self, strip: &Strip) -> u16 {
        !(!0 << (self.row.outputs - strip.output).min(16))
    }

    /// Writes the real outputs of each pixel, of which `bytes` has `each`.
    ///
    /// # Safety
    ///
    /// `to` is where the strip's outputs begin in the first of `pixels` pixels of the row.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[cold]
    #[inline(never)]
    unsafe fn store(&self, strip: &Strip, bytes: __m512i, to: *mut u8, each: usize, pixels: usize) {
        let count = each.min(self.row.outputs - strip.output);
        let mut array = [0u8; 64];
        // SAFETY: the array has 64 bytes, `each` for every pixel; `out` has `count` at every pixel of the row.
        unsafe {
            _mm512_storeu_si512(array.as_mut_ptr().cast(), bytes);
            for p in 0..pixels {
                std::ptr::copy_nonoverlapping(
                    array[p * each..].as_ptr(),
                    to.wrapping_add(p * self.row.out_step),
                    count,
                );
            }
        }
    }

    /// The addend of [`values`]' vector that begins at pixel `p` of the group of `P` pixels from `x`, a byte in each
    /// word.
    ///
    /// # Safety
    ///
    /// The row has the pixels and an addend.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    unsafe fn skip<const D: usize, const F: bool, const P: usize>(&self, strip: &Strip, x: usize, p: usize) -> __m512i {
        let from = |i: usize| strip.skip.wrapping_add((x + (p + i).min(P - 1)) * strip.skip_step);
        // SAFETY: the addend has `outputs` bytes at every pixel, all those of the strip when it is full. Several pixels
        // are read at once when no other bytes lie between, and none of them is past the last.
        let bytes = unsafe {
            if F && (D == 4 || (P == D && strip.skip_step == 64 / D)) {
                _mm_loadu_si128(from(0).cast())
            } else if D == 4 {
                _mm_maskz_loadu_epi8(self.real(strip), from(0).cast())
            } else if F && D == 8 {
                _mm_unpacklo_epi64(_mm_loadl_epi64(from(0).cast()), _mm_loadl_epi64(from(1).cast()))
            } else {
                let count = (64 / D).min(self.row.outputs - strip.output);
                let mut array = [0u8; 16];
                for (i, array) in array.chunks_exact_mut(64 / D).enumerate() {
                    std::ptr::copy_nonoverlapping(from(i), array.as_mut_ptr(), count);
                }
                _mm_loadu_si128(array.as_ptr().cast())
            }
        };
        _mm512_cvtepu8_epi32(match D {
            4 => bytes,
            8 => _mm_shuffle_epi8(bytes, _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15)),
            _ => _mm_shuffle_epi8(bytes, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)),
        })
    }
}

/// Sixteen broadcasts and dot products. Left alone the compiler makes all broadcasts first, and they and the sums
/// spill.
macro_rules! sixteen {
    ($broadcast:literal, $sums:ident, $bytes:ident, $step:ident, $w:ident) => {{
        let [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15] = $sums.as_mut_slice() else {
            unreachable!()
        };
        let (x, y, z): (__m512i, __m512i, __m512i);
        asm!(
            concat!($broadcast, " {x}, [{a}]"),
            concat!($broadcast, " {y}, [{a} + {one}]"),
            concat!($broadcast, " {z}, [{a} + {one} * 2]"),
            "vpdpbusd {s0}, {x}, {w}",
            concat!($broadcast, " {x}, [{a} + {three}]"),
            "vpdpbusd {s1}, {y}, {w}",
            concat!($broadcast, " {y}, [{a} + {one} * 4]"),
            "vpdpbusd {s2}, {z}, {w}",
            concat!($broadcast, " {z}, [{a} + {five}]"),
            "vpdpbusd {s3}, {x}, {w}",
            concat!($broadcast, " {x}, [{a} + {three} * 2]"),
            "vpdpbusd {s4}, {y}, {w}",
            concat!($broadcast, " {y}, [{a} + {seven}]"),
            "vpdpbusd {s5}, {z}, {w}",
            concat!($broadcast, " {z}, [{b}]"),
            "vpdpbusd {s6}, {x}, {w}",
            concat!($broadcast, " {x}, [{b} + {one}]"),
            "vpdpbusd {s7}, {y}, {w}",
            concat!($broadcast, " {y}, [{b} + {one} * 2]"),
            "vpdpbusd {s8}, {z}, {w}",
            concat!($broadcast, " {z}, [{b} + {three}]"),
            "vpdpbusd {s9}, {x}, {w}",
            concat!($broadcast, " {x}, [{b} + {one} * 4]"),
            "vpdpbusd {s10}, {y}, {w}",
            concat!($broadcast, " {y}, [{b} + {five}]"),
            "vpdpbusd {s11}, {z}, {w}",
            concat!($broadcast, " {z}, [{b} + {three} * 2]"),
            "vpdpbusd {s12}, {x}, {w}",
            concat!($broadcast, " {x}, [{b} + {seven}]"),
            "vpdpbusd {s13}, {y}, {w}",
            "vpdpbusd {s14}, {z}, {w}",
            "vpdpbusd {s15}, {x}, {w}",
            s0 = inout(zmm_reg) *s0, s1 = inout(zmm_reg) *s1, s2 = inout(zmm_reg) *s2, s3 = inout(zmm_reg) *s3,
            s4 = inout(zmm_reg) *s4, s5 = inout(zmm_reg) *s5, s6 = inout(zmm_reg) *s6, s7 = inout(zmm_reg) *s7,
            s8 = inout(zmm_reg) *s8, s9 = inout(zmm_reg) *s9, s10 = inout(zmm_reg) *s10, s11 = inout(zmm_reg) *s11,
            s12 = inout(zmm_reg) *s12, s13 = inout(zmm_reg) *s13, s14 = inout(zmm_reg) *s14, s15 = inout(zmm_reg) *s15,
            w = in(zmm_reg) $w, x = out(zmm_reg) x, y = out(zmm_reg) y, z = out(zmm_reg) z,
            a = in(reg) $bytes, b = in(reg) $bytes.wrapping_add($step * 8),
            one = in(reg) $step, three = in(reg) $step * 3, five = in(reg) $step * 5, seven = in(reg) $step * 7,
            options(pure, readonly, nostack, preserves_flags)
        );
        let _ = (x, y, z);
    }};
}

/// Adds to each sum the products of `w` with `B` bytes of a pixel, 4, 8 or 16, repeated.
///
/// # Safety
///
/// `B` bytes may be read at `bytes` and at each `step` after it, `P` in all.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
unsafe fn multiply<const B: usize, const P: usize>(sums: &mut [__m512i; P], bytes: *const u8, step: usize, w: __m512i) {
    // SAFETY: the caller vouches for `B` bytes at each of P steps; nothing else is touched but registers.
    unsafe {
        match (P, B) {
            (16, 4) => sixteen!("vpbroadcastd", sums, bytes, step, w),
            (16, 8) => sixteen!("vpbroadcastq", sums, bytes, step, w),
            (16, _) => sixteen!("vbroadcasti32x4", sums, bytes, step, w),
            _ => {
                for (p, sum) in sums.iter_mut().enumerate() {
                    let from = bytes.wrapping_add(p * step);
                    let x = match B {
                        4 => _mm512_set1_epi32(from.cast::<i32>().read_unaligned()),
                        8 => _mm512_set1_epi64(from.cast::<i64>().read_unaligned()),
                        _ => _mm512_broadcast_i32x4(_mm_loadu_si128(from.cast())),
                    };
                    *sum = _mm512_dpbusd_epi32(*sum, x, w);
                }
            }
        }
    }
}

/// The sums of neighbouring words: in each lane two of `a`, then two of `b`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn pair(a: __m512i, b: __m512i) -> __m512i {
    let (a, b) = (_mm512_castsi512_ps(a), _mm512_castsi512_ps(b));
    let (even, odd) = (_mm512_shuffle_ps::<0b10_00_10_00>(a, b), _mm512_shuffle_ps::<0b11_01_11_01>(a, b));
    _mm512_add_epi32(_mm512_castps_si512(even), _mm512_castps_si512(odd))
}

/// The sums of a group, whose pixels' vectors `of` gives, as four vectors with a word for each value: of one pixel, of
/// two or of four.
///
/// Two pixels: each lane has two outputs of the first and the same two of the second. Four pixels: each lane has one
/// output of the four.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn values<const D: usize>(of: impl Fn(usize) -> __m512i) -> [__m512i; 4] {
    let value = |v: usize| match D {
        4 => of(v),
        8 => pair(of(v * 2), of(v * 2 + 1)),
        _ => pair(pair(of(v * 4), of(v * 4 + 1)), pair(of(v * 4 + 2), of(v * 4 + 3))),
    };
    [value(0), value(1), value(2), value(3)]
}

/// Where the pairs of 8 outputs of eight pixels lie: lane `k` has outputs 2k and 2k + 1 of pixel 0, of pixel 1 and so on.
const PAIRS: [i16; 32] = {
    let mut order = [0; 32];
    let mut i = 0;
    while i < 32 {
        order[i] = (i % 4 * 8 + i / 4) as i16;
        i += 1;
    }
    order
};

/// The bytes of a group, as [`Rule::quantise`] leaves them after [`values`], in the order of pixels and outputs.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn in_order<const D: usize>(bytes: __m512i) -> __m512i {
    match D {
        4 => finish::transposed(bytes),
        8 => {
            // SAFETY: the array has 64 bytes.
            _mm512_permutexvar_epi16(unsafe { _mm512_loadu_si512(PAIRS.as_ptr().cast()) }, bytes)
        }
        _ => {
            // Lane `k` has output `k` of pixel 0, of pixel 1 and so on.
            let fours = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_shuffle_epi8(finish::transposed(bytes), _mm512_broadcast_i32x4(fours))
        }
    }
}
