//! Depth-wise 3x3 convolution.

use super::conv::add;
use crate::kernels::{Clamp, Depthwise, Residual, requantise};

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
    for x in 0..pixels {
        for c in 0..weights.channels {
            let mut sum = weights.bias[c];
            for (t, w) in weights.data.chunks(weights.channels).enumerate() {
                let byte = rows[t / 3][x * weights.step + (t % 3) * weights.tap_step + c];
                sum += i32::from(byte) * i32::from(w[c]);
            }
            let value = requantise(sum, weights.multiplier[c], clamp);
            out[x * out_step + c] = match residual {
                None => value,
                Some(r) => add(value, clamp.zero_point, r, r.skip[x * r.skip_step + c]),
            };
        }
    }
}
