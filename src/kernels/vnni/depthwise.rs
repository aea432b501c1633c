//! Depth-wise 3x3 convolution.
//!
//! Four taps of a channel are four bytes of a word, and a dot product with their weights adds all four to its sum. A
//! vector has 16 channels of four pixels, one pixel in each 128-bit lane; interleaving four such vectors, one for each
//! tap, makes four vectors with a word for each channel.

use std::arch::x86_64::*;

use super::finish::{self, Rule};
use crate::kernels::dispatch::assert_depthwise;
use crate::kernels::{Clamp, Depthwise, Residual, avx2};

/// One row of `pixels` output pixels, `out_step` bytes apart; `rows` begin at the leftmost tap of the first pixel.
pub fn depthwise_row(
    weights: &Depthwise,
    clamp: Clamp,
    residual: Option<&Residual>,
    rows: [&[u8]; 3],
    out: &mut [u8],
    out_step: usize,
    pixels: usize,
) {
    if weights.channels < 16 || pixels < 4 {
        return avx2::depthwise_row(weights, clamp, residual, rows, out, out_step, pixels);
    }
    assert_depthwise(weights, residual, rows, out, out_step, pixels);
    let row = Row { weights, residual, rows, out: out.as_mut_ptr(), out_step, pixels };
    for channel in (0..weights.channels).step_by(16) {
        // The last strip may begin earlier and make some channels again, the same as before.
        let channel = channel.min(weights.channels - 16);
        // SAFETY: `assert_depthwise` has just held for these slices, there are 16 channels from `channel` and four
        // pixels or more, and the level is there (see the module).
        unsafe {
            if residual.is_some() { row.strip::<true>(channel, clamp) } else { row.strip::<false>(channel, clamp) }
        }
    }
}

/// The arguments of [`depthwise_row`], after [`assert_depthwise`].
struct Row<'a> {
    weights: &'a Depthwise<'a>,
    residual: Option<&'a Residual<'a>>,
    rows: [&'a [u8]; 3],
    out: *mut u8,
    out_step: usize,
    pixels: usize,
}

/// What sixteen channels need at every pixel; vector `v` is for channels 4v..4v + 4, the same in all lanes.
struct Strip {
    channel: usize,
    /// Weights of taps 0 to 3, 4 to 7, and 8 alone.
    taps: [[__m512i; 4]; 3],
    bias: [__m512i; 4],
    multiplier: [__m512; 4],
    rule: Rule,
}

impl Row<'_> {
    /// Sixteen channels of all pixels, `R`: with a residual. The last block of four may begin earlier and make some
    /// pixels again.
    ///
    /// # Safety
    ///
    /// [`assert_depthwise`] holds for the row, which has four pixels or more and 16 channels from `channel`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn strip<const R: bool>(&self, channel: usize, clamp: Clamp) {
        let Depthwise { data, bias, multiplier, channels, .. } = *self.weights;
        let zero = _mm_setzero_si128();
        // SAFETY: there are nine lines of `channels` weights.
        let tap = |t: usize| unsafe { _mm_loadu_si128(data.as_ptr().add(t * channels + channel).cast()) };
        let four = |taps: [__m128i; 4]| interleaved(taps.map(|t| _mm512_broadcast_i32x4(t)));
        // SAFETY: `bias` and `multiplier` have `channels` entries.
        let (bias, multiplier) = unsafe {
            (
                std::array::from_fn(|v| {
                    _mm512_broadcast_i32x4(_mm_loadu_si128(bias.as_ptr().add(channel + v * 4).cast()))
                }),
                std::array::from_fn(|v| _mm512_broadcast_f32x4(_mm_loadu_ps(multiplier.as_ptr().add(channel + v * 4)))),
            )
        };
        let strip = Strip {
            channel,
            taps: [
                four([tap(0), tap(1), tap(2), tap(3)]),
                four([tap(4), tap(5), tap(6), tap(7)]),
                four([tap(8), zero, zero, zero]),
            ],
            bias,
            multiplier,
            rule: Rule::new(clamp, if R { self.residual } else { None }),
        };
        let pixel = |step: usize| step == 16;
        let mut x = 0;
        while x < self.pixels {
            x = x.min(self.pixels - 4);
            // SAFETY: the pixels x..x + 4 are there.
            unsafe {
                if pixel(self.weights.step) && pixel(self.out_step) {
                    self.block::<R, true>(&strip, x);
                } else {
                    self.block::<R, false>(&strip, x);
                }
            }
            x += 4;
        }
    }

    /// Four pixels from `x`. `NEAR`: pixels of both rows lie 16 bytes apart, so that four are one vector.
    ///
    /// # Safety
    ///
    /// [`assert_depthwise`] holds for the row with `x + 4` pixels or more, the strip's channels are there, and `NEAR`
    /// is true of the row.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    unsafe fn block<const R: bool, const NEAR: bool>(&self, strip: &Strip, x: usize) {
        let Depthwise { step, tap_step, .. } = *self.weights;
        let at = x * step + strip.channel;
        // SAFETY: the rows reach past all channels of the last tap of the last pixel.
        let tap = |t: usize| unsafe {
            let from = self.rows[t / 3].as_ptr().add(at + t % 3 * tap_step);
            if NEAR { _mm512_loadu_si512(from.cast()) } else { four(from, step) }
        };
        let mut sums = strip.bias;
        let mut add = |group: usize, taps: [__m512i; 4]| {
            let taps = interleaved(taps);
            for v in 0..4 {
                sums[v] = _mm512_dpbusd_epi32(sums[v], taps[v], strip.taps[group][v]);
            }
        };
        add(0, [tap(0), tap(1), tap(2), tap(3)]);
        add(1, [tap(4), tap(5), tap(6), tap(7)]);
        // What the last tap lies beside meets zero weights.
        add(2, [tap(8); 4]);
        let skip = self.residual.filter(|_| R).map(|r| {
            let from = r.skip.as_ptr().wrapping_add(x * r.skip_step + strip.channel);
            // SAFETY: the addend has all channels at every pixel.
            finish::words(unsafe { four(from, r.skip_step) })
        });
        let value = |v: usize| {
            let value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[v]), strip.multiplier[v]);
            match skip {
                None => value,
                Some(skip) => strip.rule.add(value, skip[v]),
            }
        };
        let bytes = strip.rule.place([value(0), value(1), value(2), value(3)]);
        let to = self.out.wrapping_add(x * self.out_step + strip.channel);
        // SAFETY: `out` has all channels at the pixels x..x + 4.
        unsafe {
            if NEAR {
                _mm512_storeu_si512(to.cast(), bytes);
            } else {
                for p in 0..4 {
                    _mm_storeu_si128(to.wrapping_add(p * self.out_step).cast(), finish::lane(bytes, p));
                }
            }
        }
    }
}

/// Sixteen bytes at `from` and at each of three steps after it.
///
/// # Safety
///
/// The bytes may be read.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
unsafe fn four(from: *const u8, step: usize) -> __m512i {
    // SAFETY: the caller vouches for the bytes.
    let at = |i: usize| unsafe { _mm_loadu_si128(from.add(i * step).cast()) };
    let low = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(at(0)), at(1));
    _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(low, at(2)), at(3))
}

/// A word of four bytes for each byte of a lane, one from each vector: vector `v` has those of bytes 4v..4v + 4.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn interleaved([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab, cd) = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d));
    let (ab_high, cd_high) = (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d));
    [
        _mm512_unpacklo_epi16(ab, cd),
        _mm512_unpackhi_epi16(ab, cd),
        _mm512_unpacklo_epi16(ab_high, cd_high),
        _mm512_unpackhi_epi16(ab_high, cd_high),
    ]
}
