//! Depth-wise 3x3 convolution.

use std::arch::x86_64::*;

use super::finish;
use crate::kernels::contract::DepthwiseRow;
use crate::kernels::drivers::blocks;

pub fn depthwise_row(mut row: DepthwiseRow) {
    let out = row.take_out();
    let row = Row { row, out };
    for channel in (0..row.row.channels).step_by(8) {
        // SAFETY: the row has been checked (see `DepthwiseRow`), and the level is there (see `arch`).
        unsafe { row.strip(channel) };
    }
}

/// The argument of [`depthwise_row`].
struct Row<'a> {
    row: DepthwiseRow<'a>,
    out: *mut u8,
}

/// What eight channels need at every pixel.
struct Strip {
    channel: usize,
    /// Weights in 16 bits, two taps of a channel side by side; the ninth tap is paired with nothing.
    pairs: [__m256i; 5],
    bias: __m256i,
    multiplier: __m256,
}

impl Row<'_> {
    /// Eight channels of all pixels: their weights stay in registers.
    ///
    /// # Safety
    ///
    /// `channel + 8` is at most the channels.
    #[target_feature(enable = "avx2")]
    unsafe fn strip(&self, channel: usize) {
        let DepthwiseRow { data, bias, multiplier, channels, pixels, .. } = self.row;
        // SAFETY: there are nine lines of `channels` weights.
        let tap = |t: usize| unsafe { _mm_loadl_epi64(data.as_ptr().add(t * channels + channel).cast()) };
        let pair = |a, b| _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b));
        let pairs = [
            pair(tap(0), tap(1)),
            pair(tap(2), tap(3)),
            pair(tap(4), tap(5)),
            pair(tap(6), tap(7)),
            pair(tap(8), _mm_setzero_si128()),
        ];
        // SAFETY: `bias` and `multiplier` have `channels` entries.
        let (bias, multiplier) = unsafe {
            (_mm256_loadu_si256(bias.as_ptr().add(channel).cast()), _mm256_loadu_ps(multiplier.as_ptr().add(channel)))
        };
        let strip = Strip { channel, pairs, bias, multiplier };
        // SAFETY: each block's pixels are below `pixels`.
        unsafe {
            if pixels >= 4 {
                for x in blocks(pixels, 4) {
                    self.block::<4>(&strip, x);
                }
            } else {
                for x in 0..pixels {
                    self.block::<1>(&strip, x);
                }
            }
        }
    }

    /// `P` pixels, at most four, from `x`.
    ///
    /// # Safety
    ///
    /// The row has `x + P` pixels or more, and the strip's channels.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn block<const P: usize>(&self, strip: &Strip, x: usize) {
        let value = |p: usize| {
            let p = p.min(P - 1);
            // SAFETY: `x + p` is a pixel of the row.
            let sum = unsafe { self.sum(strip, x + p) };
            let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), strip.multiplier);
            match &self.row.epilogue.residual {
                None => value,
                Some(r) => {
                    let at = (x + p) * r.skip_step + strip.channel;
                    // SAFETY: the addend has all channels at every pixel.
                    finish::add_residual(value, self.row.epilogue.clamp, r, unsafe {
                        finish::load(r.skip.as_ptr().add(at), 8)
                    })
                }
            }
        };
        let clamp = self.row.epilogue.last_clamp();
        let bytes = finish::quantise([value(0), value(1), value(2), value(3)], clamp);
        for (p, bytes) in finish::groups(bytes).into_iter().take(P).enumerate() {
            let to = self.out.wrapping_add((x + p) * self.row.out_step + strip.channel);
            // SAFETY: `out` has all channels at the pixels x..x + P.
            unsafe { finish::store(bytes, to, 8) };
        }
    }

    /// Sums of eight channels at pixel `x`. Two taps are a pair of 16-bit products, added in 32 bits: exact.
    ///
    /// # Safety
    ///
    /// The row has `x + 1` pixels or more, and the strip's channels.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn sum(&self, strip: &Strip, x: usize) -> __m256i {
        let DepthwiseRow { step, tap_step, .. } = self.row;
        let at = x * step + strip.channel;
        // SAFETY: the rows reach past all channels of the last tap of the last pixel.
        let tap =
            |t: usize| unsafe { _mm_loadl_epi64(self.row.rows[t / 3].as_ptr().add(at + t % 3 * tap_step).cast()) };
        let pair = |a, b| _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
        let product = |i: usize, x| _mm256_madd_epi16(x, strip.pairs[i]);
        let a = _mm256_add_epi32(product(0, pair(tap(0), tap(1))), product(1, pair(tap(2), tap(3))));
        let b = _mm256_add_epi32(product(2, pair(tap(4), tap(5))), product(3, pair(tap(6), tap(7))));
        // In 32 bits the upper half of each lane is the zero that the last weight is paired with.
        let c = _mm256_add_epi32(product(4, _mm256_cvtepu8_epi32(tap(8))), strip.bias);
        _mm256_add_epi32(_mm256_add_epi32(a, b), c)
    }
}
