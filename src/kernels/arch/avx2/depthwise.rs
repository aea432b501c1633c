//! Depth-wise 3x3 convolution: two taps of a channel are a pair of 16-bit products, added in 32 bits; exact.

use std::arch::x86_64::*;

use super::finish::{self, Addend, Rule};
use crate::kernels::arch::depthwise::Channels;
use crate::kernels::contract::DepthwiseRow;

/// Eight channels of four pixels.
pub struct Eight;

pub struct Strip {
    /// Weights in 16 bits, two taps of a channel side by side; the ninth tap is paired with nothing.
    pairs: [__m256i; 5],
    bias: __m256i,
    multiplier: __m256,
    rule: Rule,
    addend: Addend,
}

impl Channels<4> for Eight {
    type Strip = Strip;
    type Values = __m256;

    #[inline(always)]
    unsafe fn strip(row: &DepthwiseRow, channel: usize) -> Strip {
        // SAFETY: there are nine lines of weights, and biases and multipliers for all channels; the level is there.
        unsafe {
            let tap = row.data.as_ptr().add(channel);
            let pair = |a: usize| {
                let second =
                    if a == 8 { _mm_setzero_si128() } else { _mm_loadl_epi64(tap.add((a + 1) * row.channels).cast()) };
                let first = _mm_loadl_epi64(tap.add(a * row.channels).cast());
                _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(first, second))
            };
            Strip {
                pairs: [pair(0), pair(2), pair(4), pair(6), pair(8)],
                bias: _mm256_loadu_si256(row.bias.as_ptr().add(channel).cast()),
                multiplier: _mm256_loadu_ps(row.multiplier.as_ptr().add(channel)),
                rule: Rule::new(row.epilogue.last_clamp()),
                addend: Addend::new(&row.epilogue),
            }
        }
    }

    #[inline(always)]
    unsafe fn values(strip: &Strip, rows: [*const u8; 3], tap_step: usize) -> __m256 {
        // SAFETY: the caller vouches for the taps; the level is there.
        unsafe {
            let sum = sum(strip, rows, tap_step);
            _mm256_mul_ps(_mm256_cvtepi32_ps(sum), strip.multiplier)
        }
    }

    #[inline(always)]
    unsafe fn add(strip: &Strip, values: __m256, skip: *const u8) -> __m256 {
        // SAFETY: the caller vouches for eight bytes; the level is there.
        unsafe { strip.addend.add(values, _mm256_cvtepu8_epi32(finish::load(skip, 8))) }
    }

    #[inline(always)]
    unsafe fn write(strip: &Strip, values: [__m256; 4], count: usize, out: *mut u8, step: usize) {
        // SAFETY: the caller vouches for eight bytes at each pixel; the level is there.
        unsafe {
            let groups = finish::groups(strip.rule.quantise_in_order(values));
            for (p, bytes) in groups.into_iter().take(count).enumerate() {
                finish::store(bytes, out.add(p * step), 8);
            }
        }
    }
}

/// # Safety
///
/// As for [`Channels::values`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn sum(strip: &Strip, rows: [*const u8; 3], tap_step: usize) -> __m256i {
    // SAFETY: the caller vouches for the taps.
    let tap = |t: usize| unsafe { _mm_loadl_epi64(rows[t / 3].add(t % 3 * tap_step).cast()) };
    let pair = |a, b| _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
    let product = |i: usize, x| _mm256_madd_epi16(x, strip.pairs[i]);
    let a = _mm256_add_epi32(product(0, pair(tap(0), tap(1))), product(1, pair(tap(2), tap(3))));
    let b = _mm256_add_epi32(product(2, pair(tap(4), tap(5))), product(3, pair(tap(6), tap(7))));
    // In 32 bits the upper half of each lane is the zero that the last weight is paired with.
    let c = _mm256_add_epi32(product(4, _mm256_cvtepu8_epi32(tap(8))), strip.bias);
    _mm256_add_epi32(_mm256_add_epi32(a, b), c)
}
