//! A last strip of 12 outputs.
//!
//! One word for each output would leave four of a vector's sixteen unused. With two words, as a strip of 8 has them,
//! two pixels fill three vectors: the outer ones have outputs 0..8 of a pixel each, the middle one outputs 8..12 of
//! both. Four pixels make a *group* of 48 bytes.

use std::arch::asm;
use std::arch::x86_64::*;

use super::conv::{Row, pair};
use super::finish::Rule;
use super::pack::TWELVE;
use crate::kernels::contract::Tap;
use crate::kernels::drivers::blocks;

/// Pixels whose sums stay in the registers.
const BLOCK: usize = 16;

/// Where the pairs of outputs of four pixels lie after requantisation: lane `k` has pair `k` of the four, then pair 4 or
/// 5 of the even pixels (lanes 0 and 1) or of the odd ones.
const ORDER: [i16; 32] = {
    let mut order = [0; 32];
    let mut i = 0;
    while i < 24 {
        let (pixel, pair) = (i / 6, i % 6);
        order[i] = if pair < 4 { pair * 8 + pixel } else { (pixel % 2 * 2 + pair - 4) * 8 + 4 + pixel / 2 } as i16;
        i += 1;
    }
    order
};

/// The sums of eight pixels, two by two.
type Eight = [[__m512i; 3]; 4];

/// What the strip needs at every pixel, for the outer vectors and for the middle one.
struct Strip {
    weights: *const i8,
    start: [__m512i; 2],
    multiplier: [__m512; 2],
    rule: Rule,
    out: *mut u8,
}

impl Row<'_> {
    /// Is the row long enough for [`Row::strip_of_12`]?
    pub(super) fn has_strip_of_12(&self) -> bool {
        self.row.pixels >= BLOCK
    }

    /// All pixels of the last 12 outputs, from `output`, without a residual.
    ///
    /// # Safety
    ///
    /// [`Row::has_strip_of_12`] holds, the last 12 outputs begin at `output`, and there is a step of weights for each of the
    /// taps' steps.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) unsafe fn strip_of_12(&self, output: usize, steps: &[[i8; TWELVE]]) {
        // SAFETY: `bias` and `multiplier` have the padded number of outputs.
        let (bias, multiplier) = unsafe {
            (
                _mm512_loadu_si512(self.row.bias.as_ptr().add(output).cast()),
                _mm512_loadu_ps(self.row.multiplier.as_ptr().add(output)),
            )
        };
        // Each bias goes to the first of its output's words, each multiplier to where `pair` leaves the output's sum.
        let outer = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
        let middle = _mm512_setr_epi32(8, 8, 9, 9, 10, 10, 11, 11, 8, 8, 9, 9, 10, 10, 11, 11);
        let outer_twice = _mm512_setr_epi32(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7);
        let middle_twice = _mm512_setr_epi32(8, 9, 8, 9, 10, 11, 10, 11, 8, 9, 8, 9, 10, 11, 10, 11);
        let strip = Strip {
            weights: steps.as_ptr().cast(),
            start: [outer, middle].map(|at| _mm512_maskz_permutexvar_epi32(0x5555, at, bias)),
            multiplier: [outer_twice, middle_twice].map(|at| _mm512_permutexvar_ps(at, multiplier)),
            rule: Rule::new(&self.row.epilogue),
            out: self.out.wrapping_add(output),
        };
        for x in blocks(self.row.pixels, BLOCK) {
            // SAFETY: passes on what the caller has promised, and the block's pixels are there.
            unsafe { self.block_of_12(&strip, x) };
        }
    }

    /// The pixels of a block, from `x`.
    ///
    /// # Safety
    ///
    /// As for [`Row::strip_of_12`]; the row has the pixels.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    unsafe fn block_of_12(&self, strip: &Strip, x: usize) {
        let [outer, middle] = strip.start;
        let mut sums: [Eight; BLOCK / 8] = [[[outer, middle, outer]; 4]; BLOCK / 8];
        let mut weights = strip.weights;
        for &(Tap { row, offset, step }, run) in self.taps {
            // SAFETY: the tap's row reaches past the run of the last pixel, and `x` is not behind that pixel.
            let mut bytes = unsafe { self.row.rows[row].as_ptr().add(x * step + offset) };
            for _ in 0..run / 8 {
                // SAFETY: there is a line of weights for each step, of which this is the next, and 8 bytes are left in
                // the runs of the block's pixels.
                unsafe { multiply::<8>(&mut sums, bytes, step, weights) };
                (bytes, weights) = (bytes.wrapping_add(8), weights.wrapping_add(TWELVE));
            }
            if run & 4 != 0 {
                // SAFETY: as above, with 4 bytes.
                unsafe { multiply::<4>(&mut sums, bytes, step, weights) };
                weights = weights.wrapping_add(TWELVE);
            }
        }
        // SAFETY: `out` has 12 bytes at each pixel of the block.
        unsafe {
            for (i, [a, b, c, d]) in sums.into_iter().enumerate() {
                self.finish_12(strip, [a, b], x + i * 8);
                self.finish_12(strip, [c, d], x + i * 8 + 4);
            }
        }
    }

    /// Requantises the sums of a group, from pixel `x`, and writes the bytes.
    ///
    /// # Safety
    ///
    /// `out` has 12 bytes at each pixel of the group.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    unsafe fn finish_12(&self, strip: &Strip, [s, t]: [[__m512i; 3]; 2], x: usize) {
        let [outer, middle] = strip.multiplier;
        let value = |sums: __m512i, multiplier: __m512| _mm512_mul_ps(_mm512_cvtepi32_ps(sums), multiplier);
        let values = [
            value(pair(s[0], s[2]), outer),
            value(pair(t[0], t[2]), outer),
            value(pair(s[1], t[1]), middle),
            _mm512_setzero_ps(),
        ];
        // SAFETY: the array has 64 bytes; `out` has 12 at each of the four pixels, 48 when no others lie between.
        unsafe {
            let bytes =
                _mm512_permutexvar_epi16(_mm512_loadu_si512(ORDER.as_ptr().cast()), strip.rule.quantise(values));
            let to = strip.out.wrapping_add(x * self.row.out_step);
            if self.row.out_step == 12 {
                _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(bytes));
                _mm_storeu_si128(to.wrapping_add(32).cast(), _mm512_extracti32x4_epi32::<2>(bytes));
            } else {
                let mut array = [0u8; 64];
                _mm512_storeu_si512(array.as_mut_ptr().cast(), bytes);
                for (p, pixel) in array.chunks_exact(12).take(4).enumerate() {
                    std::ptr::copy_nonoverlapping(pixel.as_ptr(), to.wrapping_add(p * self.row.out_step), 12);
                }
            }
        }
    }
}

/// The four pairs of eight pixels. Left alone the compiler makes a slow permutation of the blend.
macro_rules! eight {
    ($broadcast:literal, $sums:ident, $bytes:ident, $step:ident, $outer:ident, $middle:ident) => {{
        let [[a0, a1, a2], [b0, b1, b2], [c0, c1, c2], [d0, d1, d2]] = $sums;
        let (x, y, z): (__m512i, __m512i, __m512i);
        asm!(
            concat!($broadcast, " {x}, [{from}]"),
            concat!($broadcast, " {y}, [{from} + {one}]"),
            "vpdpbusd {a0}, {x}, {outer}",
            "vpblendmq {z} {{{high}}}, {x}, {y}",
            "vpdpbusd {a2}, {y}, {outer}",
            "vpdpbusd {a1}, {z}, {middle}",
            concat!($broadcast, " {x}, [{from} + {one} * 2]"),
            concat!($broadcast, " {y}, [{from} + {three}]"),
            "vpdpbusd {b0}, {x}, {outer}",
            "vpblendmq {z} {{{high}}}, {x}, {y}",
            "vpdpbusd {b2}, {y}, {outer}",
            "vpdpbusd {b1}, {z}, {middle}",
            concat!($broadcast, " {x}, [{from} + {one} * 4]"),
            concat!($broadcast, " {y}, [{from} + {five}]"),
            "vpdpbusd {c0}, {x}, {outer}",
            "vpblendmq {z} {{{high}}}, {x}, {y}",
            "vpdpbusd {c2}, {y}, {outer}",
            "vpdpbusd {c1}, {z}, {middle}",
            concat!($broadcast, " {x}, [{from} + {three} * 2]"),
            concat!($broadcast, " {y}, [{from} + {seven}]"),
            "vpdpbusd {d0}, {x}, {outer}",
            "vpblendmq {z} {{{high}}}, {x}, {y}",
            "vpdpbusd {d2}, {y}, {outer}",
            "vpdpbusd {d1}, {z}, {middle}",
            a0 = inout(zmm_reg) *a0, a1 = inout(zmm_reg) *a1, a2 = inout(zmm_reg) *a2,
            b0 = inout(zmm_reg) *b0, b1 = inout(zmm_reg) *b1, b2 = inout(zmm_reg) *b2,
            c0 = inout(zmm_reg) *c0, c1 = inout(zmm_reg) *c1, c2 = inout(zmm_reg) *c2,
            d0 = inout(zmm_reg) *d0, d1 = inout(zmm_reg) *d1, d2 = inout(zmm_reg) *d2,
            x = out(zmm_reg) x, y = out(zmm_reg) y, z = out(zmm_reg) z, high = in(kreg) 0xf0_u8,
            outer = in(zmm_reg) $outer, middle = in(zmm_reg) $middle, from = in(reg) $bytes,
            one = in(reg) $step, three = in(reg) $step * 3, five = in(reg) $step * 5, seven = in(reg) $step * 7,
            options(pure, readonly, nostack, preserves_flags)
        );
        let _ = (x, y, z);
    }};
}

/// Adds to the sums of each two pixels of a block the products of a line of weights with `B` bytes of the pixels, 8 or
/// 4, repeated.
///
/// # Safety
///
/// `weights` has a line; `B` bytes may be read at `bytes` and at each `step` after it, for all pixels of a block.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
unsafe fn multiply<const B: usize>(sums: &mut [Eight; BLOCK / 8], bytes: *const u8, step: usize, weights: *const i8) {
    // SAFETY: the caller vouches for the bytes and for the line; nothing else is touched but registers.
    unsafe {
        let outer = _mm512_loadu_si512(weights.cast());
        let middle = _mm512_broadcast_i64x4(_mm256_loadu_si256(weights.add(64).cast()));
        for (i, sums) in sums.iter_mut().enumerate() {
            let bytes = bytes.wrapping_add(i * 8 * step);
            match B {
                8 => eight!("vpbroadcastq", sums, bytes, step, outer, middle),
                _ => eight!("vpbroadcastd", sums, bytes, step, outer, middle),
            }
        }
    }
}
