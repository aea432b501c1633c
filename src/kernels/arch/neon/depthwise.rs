//! Depth-wise 3x3 convolution.
//!
//! Products of eight channels are 16 bits; two taps make one vector before it goes to the 32-bit sums. As in the
//! dense convolution the second product of a pair is subtracted, so that any two fit: see `conv`.

use std::arch::aarch64::*;

use super::finish::{self, ADDED, Eight, Rule};
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
    taps: [int8x8_t; 9],
    /// The bias, less the weights of the taps that are subtracted.
    start: [int32x4_t; 2],
    multipliers: Eight,
    rule: Rule,
}

impl Row<'_> {
    /// Eight channels of all pixels: their weights stay in registers.
    ///
    /// # Safety
    ///
    /// `channel + 8` is at most the channels.
    #[target_feature(enable = "neon")]
    unsafe fn strip(&self, channel: usize) {
        let DepthwiseRow { data, bias, multiplier, channels, pixels, .. } = self.row;
        // SAFETY: there are nine lines of `channels` weights.
        let taps: [_; 9] = std::array::from_fn(|t| unsafe { vld1_s8(data.as_ptr().add(t * channels + channel)) });
        let (bias, multiplier) = (bias[channel..channel + 8].as_ptr(), multiplier[channel..channel + 8].as_ptr());
        // SAFETY: eight entries of each from `channel`, as just sliced.
        let (mut start, multipliers) =
            unsafe { ([vld1q_s32(bias), vld1q_s32(bias.add(4))], finish::load_eight(multiplier)) };
        for t in [1, 3, 5, 7] {
            let weights = vmovl_s8(taps[t]);
            start = [vsubw_s16(start[0], vget_low_s16(weights)), vsubw_high_s16(start[1], weights)];
        }
        let rule = Rule::new(&self.row.epilogue);
        let strip = Strip { channel, taps, start, multipliers, rule };
        // SAFETY: each block's pixels are below `pixels`.
        unsafe {
            if pixels >= 2 {
                for x in blocks(pixels, 2) {
                    self.block::<2>(&strip, x);
                }
            } else if pixels > 0 {
                self.block::<1>(&strip, 0);
            }
        }
    }

    /// `P` pixels, one or two, from `x`.
    ///
    /// # Safety
    ///
    /// The row has `x + P` pixels or more, and the strip's channels.
    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn block<const P: usize>(&self, strip: &Strip, x: usize) {
        let value = |p: usize| {
            let p = p.min(P - 1);
            // SAFETY: `x + p` is a pixel of the row.
            let value = finish::scale(unsafe { self.sums(strip, x + p) }, strip.multipliers);
            match &self.row.epilogue.residual {
                None => value,
                Some(r) => {
                    let at = (x + p) * r.skip_step + strip.channel;
                    // SAFETY: the addend has all channels at every pixel.
                    strip.rule.add_residual(value, unsafe { finish::load(r.skip.as_ptr().add(at), 8) })
                }
            }
        };
        let bytes = strip.rule.quantise::<ADDED>([value(0), value(1)]);
        let bytes = [vget_low_u8(bytes), vget_high_u8(bytes)];
        for (p, bytes) in bytes.into_iter().take(P).enumerate() {
            let to = self.out.wrapping_add((x + p) * self.row.out_step + strip.channel);
            // SAFETY: `out` has all channels at the pixels x..x + P.
            unsafe { finish::store(bytes, to, 8) };
        }
    }

    /// Sums of eight channels at pixel `x`.
    ///
    /// # Safety
    ///
    /// The row has `x + 1` pixels or more, and the strip's channels.
    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn sums(&self, strip: &Strip, x: usize) -> [int32x4_t; 2] {
        let DepthwiseRow { step, tap_step, .. } = self.row;
        let at = x * step + strip.channel;
        let signed = |t: usize, sign: u8| {
            let from = self.row.rows[t / 3].as_ptr().wrapping_add(at + t % 3 * tap_step);
            // SAFETY: the rows reach past all channels of the last tap of the last pixel.
            vreinterpret_s8_u8(veor_u8(unsafe { vld1_u8(from) }, vdup_n_u8(sign)))
        };
        let mut sums = strip.start;
        let mut add = |products| {
            sums = [vaddw_s16(sums[0], vget_low_s16(products)), vaddw_high_s16(sums[1], products)];
        };
        for t in [0, 2, 4, 6] {
            let product = vmull_s8(signed(t, 0x80), strip.taps[t]);
            add(vmlsl_s8(product, signed(t + 1, 0x7f), strip.taps[t + 1]));
        }
        add(vmull_s8(signed(8, 0x80), strip.taps[8]));
        sums
    }
}
