//! Depth-wise 3x3 convolution.
//!
//! Products of eight channels are 16 bits; two taps make one vector before it goes to the 32-bit sums. As in the
//! dense convolution the second product of a pair is subtracted, so that any two fit: see `conv`.

use std::arch::aarch64::*;

use super::finish::{self, ADDED, Rule};
use crate::kernels::arch::depthwise::Channels;
use crate::kernels::contract::DepthwiseRow;

/// Eight channels of two pixels.
pub struct Eight;

pub struct Strip {
    taps: [int8x8_t; 9],
    /// The bias, less the weights of the taps that are subtracted.
    start: [int32x4_t; 2],
    multipliers: finish::Eight,
    rule: Rule,
}

impl Channels<2> for Eight {
    type Strip = Strip;
    type Values = finish::Eight;

    #[inline(always)]
    unsafe fn strip(row: &DepthwiseRow, channel: usize) -> Strip {
        // SAFETY: there are nine lines of weights, and biases and multipliers for all channels; the level is there.
        unsafe {
            let weights = row.data.as_ptr().add(channel);
            let taps: [_; 9] = std::array::from_fn(|t| vld1_s8(weights.add(t * row.channels)));
            let bias = row.bias.as_ptr().add(channel);
            let mut start = [vld1q_s32(bias), vld1q_s32(bias.add(4))];
            for t in [1, 3, 5, 7] {
                let weights = vmovl_s8(taps[t]);
                start = [vsubw_s16(start[0], vget_low_s16(weights)), vsubw_high_s16(start[1], weights)];
            }
            let multipliers = finish::load_eight(row.multiplier.as_ptr().add(channel));
            Strip { taps, start, multipliers, rule: Rule::new(&row.epilogue) }
        }
    }

    #[inline(always)]
    unsafe fn values(strip: &Strip, rows: [*const u8; 3], tap_step: usize) -> finish::Eight {
        // SAFETY: the caller vouches for the taps; the level is there.
        unsafe { finish::scale(sums(strip, rows, tap_step), strip.multipliers) }
    }

    #[inline(always)]
    unsafe fn add(strip: &Strip, values: finish::Eight, skip: *const u8) -> finish::Eight {
        // SAFETY: the caller vouches for eight bytes; the level is there.
        unsafe { strip.rule.add_residual(values, finish::load(skip, 8)) }
    }

    #[inline(always)]
    unsafe fn write(strip: &Strip, values: [finish::Eight; 2], count: usize, out: *mut u8, step: usize) {
        // SAFETY: the caller vouches for eight bytes at each pixel; the level is there.
        unsafe {
            let bytes = strip.rule.quantise::<ADDED>(values);
            finish::store(vget_low_u8(bytes), out, 8);
            if count > 1 {
                finish::store(vget_high_u8(bytes), out.add(step), 8);
            }
        }
    }
}

/// Sums of eight channels of a pixel.
///
/// # Safety
///
/// As for [`Channels::values`].
#[target_feature(enable = "neon")]
#[inline]
unsafe fn sums(strip: &Strip, rows: [*const u8; 3], tap_step: usize) -> [int32x4_t; 2] {
    let signed = |t: usize, sign: u8| {
        // SAFETY: the caller vouches for the taps.
        vreinterpret_s8_u8(veor_u8(unsafe { vld1_u8(rows[t / 3].add(t % 3 * tap_step)) }, vdup_n_u8(sign)))
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
