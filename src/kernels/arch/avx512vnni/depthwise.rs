//! Depth-wise 3x3 convolution.
//!
//! Four taps of a channel are four bytes of a word, and a dot product with their weights adds all four to its sum. A
//! vector has 16 channels of four pixels, one pixel in each 128-bit lane; interleaving four such vectors, one for each
//! tap, makes four vectors with a word for each channel.

use std::arch::x86_64::*;

use super::finish::{self, Rule};
use crate::kernels::contract::DepthwiseRow;
use crate::kernels::drivers::blocks;

/// A row of four pixels and sixteen channels or more.
pub fn depthwise_row(mut row: DepthwiseRow) {
    assert!(row.pixels >= 4 && row.channels >= 16, "{} pixels of {} channels", row.pixels, row.channels);
    let out = row.take_out();
    let row = Row { row, out };
    for channel in blocks(row.row.channels, 16) {
        // SAFETY: the row has been checked (see `DepthwiseRow`), there are 16 channels from `channel` and four pixels or
        // more, and the level is there (see `arch`).
        unsafe {
            if row.row.epilogue.residual.is_some() { row.strip::<true>(channel) } else { row.strip::<false>(channel) }
        }
    }
}

/// The argument of [`depthwise_row`].
struct Row<'a> {
    row: DepthwiseRow<'a>,
    out: *mut u8,
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
    /// Sixteen channels of all pixels, `R`: with a residual.
    ///
    /// # Safety
    ///
    /// The row has four pixels or more and 16 channels from `channel`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn strip<const R: bool>(&self, channel: usize) {
        let DepthwiseRow { data, bias, multiplier, channels, step, out_step, pixels, .. } = self.row;
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
            rule: Rule::new(&self.row.epilogue),
        };
        for x in blocks(pixels, 4) {
            // SAFETY: the pixels x..x + 4 are there.
            unsafe {
                if step == 16 && out_step == 16 {
                    self.block::<R, true>(&strip, x);
                } else {
                    self.block::<R, false>(&strip, x);
                }
            }
        }
    }

    /// Four pixels from `x`. `NEAR`: pixels of both rows lie 16 bytes apart, so that four are one vector.
    ///
    /// # Safety
    ///
    /// The row has `x + 4` pixels or more and the strip's channels, and `NEAR` is true of it.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    unsafe fn block<const R: bool, const NEAR: bool>(&self, strip: &Strip, x: usize) {
        let DepthwiseRow { step, tap_step, out_step, .. } = self.row;
        let at = x * step + strip.channel;
        // SAFETY: the rows reach past all channels of the last tap of the last pixel.
        let tap = |t: usize| unsafe {
            let from = self.row.rows[t / 3].as_ptr().add(at + t % 3 * tap_step);
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
        let skip = self.row.epilogue.residual.filter(|_| R).map(|r| {
            let from = r.skip.as_ptr().wrapping_add(x * r.skip_step + strip.channel);
            // SAFETY: the addend has all channels at every pixel.
            finish::words(unsafe { four(from, r.skip_step) })
        });
        let value = |v: usize| {
            let value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[v]), strip.multiplier[v]);
            match skip {
                None => value,
                Some(skip) => strip.rule.add_residual(value, skip[v]),
            }
        };
        let bytes = strip.rule.quantise([value(0), value(1), value(2), value(3)]);
        let to = self.out.wrapping_add(x * out_step + strip.channel);
        // SAFETY: `out` has all channels at the pixels x..x + 4.
        unsafe {
            if NEAR {
                _mm512_storeu_si512(to.cast(), bytes);
            } else {
                for p in 0..4 {
                    _mm_storeu_si128(to.wrapping_add(p * out_step).cast(), finish::lane(bytes, p));
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
