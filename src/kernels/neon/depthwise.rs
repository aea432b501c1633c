//! Depth-wise 3x3 convolution.
//!
//! Products of eight channels are 16 bits; two taps make one vector before it goes to the 32-bit sums. As in the
//! dense convolution the second product of a pair is subtracted, so that any two fit: see `conv`.

use std::arch::aarch64::*;

use super::finish::{self, ADDED, Eight, Rule};
use crate::kernels::dispatch::assert_depthwise;
use crate::kernels::{Clamp, Depthwise, Residual};

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
    assert_depthwise(weights, residual, rows, out, out_step, pixels);
    let row = Row { weights, clamp, residual, rows, out: out.as_mut_ptr(), out_step };
    for channel in (0..weights.channels).step_by(8) {
        // SAFETY: `assert_depthwise` has just held for these slices, and NEON is there (see the module).
        unsafe { row.strip(channel, pixels) };
    }
}

/// The arguments of [`depthwise_row`], after [`assert_depthwise`].
struct Row<'a> {
    weights: &'a Depthwise<'a>,
    clamp: Clamp,
    residual: Option<&'a Residual<'a>>,
    rows: [&'a [u8]; 3],
    out: *mut u8,
    out_step: usize,
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
    /// [`assert_depthwise`] holds for the row and `pixels`, and `channel + 8` is at most the channels.
    #[target_feature(enable = "neon")]
    unsafe fn strip(&self, channel: usize, pixels: usize) {
        let Depthwise { data, bias, multiplier, channels, .. } = *self.weights;
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
        let rule = Rule::new(self.clamp, self.residual);
        let strip = Strip { channel, taps, start, multipliers, rule };
        let mut x = 0;
        // SAFETY: the pixels x and x + 1, or else x alone, are below `pixels`.
        unsafe {
            while x + 2 <= pixels {
                self.block::<2>(&strip, x);
                x += 2;
            }
            if x < pixels {
                self.block::<1>(&strip, x);
            }
        }
    }

    /// `P` pixels, one or two, from `x`.
    ///
    /// # Safety
    ///
    /// [`assert_depthwise`] holds for the row with `x + P` pixels or more, and the strip's channels are there.
    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn block<const P: usize>(&self, strip: &Strip, x: usize) {
        let value = |p: usize| {
            let p = p.min(P - 1);
            // SAFETY: `x + p` is a pixel of the row.
            let value = finish::scale(unsafe { self.sums(strip, x + p) }, strip.multipliers);
            match self.residual {
                None => value,
                Some(r) => {
                    let at = (x + p) * r.skip_step + strip.channel;
                    // SAFETY: the addend has all channels at every pixel.
                    strip.rule.add(value, unsafe { finish::load(r.skip.as_ptr().add(at), 8) })
                }
            }
        };
        let bytes = strip.rule.place::<ADDED>([value(0), value(1)]);
        let bytes = [vget_low_u8(bytes), vget_high_u8(bytes)];
        for (p, bytes) in bytes.into_iter().take(P).enumerate() {
            let to = self.out.wrapping_add((x + p) * self.out_step + strip.channel);
            // SAFETY: `out` has all channels at the pixels x..x + P.
            unsafe { finish::store(bytes, to, 8) };
        }
    }

    /// Sums of eight channels at pixel `x`.
    ///
    /// # Safety
    ///
    /// [`assert_depthwise`] holds for the row with `x + 1` pixels or more, and the strip's channels are there.
    #[target_feature(enable = "neon")]
    #[inline]
    unsafe fn sums(&self, strip: &Strip, x: usize) -> [int32x4_t; 2] {
        let Depthwise { step, tap_step, .. } = *self.weights;
        let at = x * step + strip.channel;
        let signed = |t: usize, sign: u8| {
            let from = self.rows[t / 3].as_ptr().wrapping_add(at + t % 3 * tap_step);
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
