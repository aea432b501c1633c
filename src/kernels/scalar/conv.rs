//! Dense convolution and matrix product.

use crate::kernels::{Clamp, Residual, Weights, Window, place, requantise};

/// One row of `pixels` output pixels, `out_step` bytes apart.
#[allow(clippy::too_many_arguments)]
pub fn conv_row(
    window: &Window,
    weights: &Weights,
    clamp: Clamp,
    residual: Option<&Residual>,
    rows: &[&[u8]],
    out: &mut [u8],
    out_step: usize,
    pixels: usize,
) {
    let padded = weights.padded();
    let quads = window.run / 4;
    for x in 0..pixels {
        for o in 0..weights.outputs {
            let mut sum = weights.bias[o];
            for (t, tap) in window.taps.iter().enumerate() {
                let bytes = &rows[tap.row][x * tap.step + tap.offset..][..window.run];
                for (i, &byte) in bytes.iter().enumerate() {
                    let at = ((t * quads + i / 4) * padded + o) * 4 + i % 4;
                    sum += i32::from(byte) * i32::from(weights.data[at]);
                }
            }
            let value = requantise(sum, weights.multiplier[o], clamp);
            out[x * out_step + o] = match residual {
                None => value,
                Some(r) => add(value, clamp.zero_point, r, r.skip[x * r.skip_step + o]),
            };
        }
    }
}

/// The formula of [`Residual`].
pub(super) fn add(value: u8, value_zero: u8, r: &Residual, skip: u8) -> u8 {
    let a = (i32::from(value) - i32::from(value_zero)) as f32 * r.value_ratio;
    let b = (i32::from(skip) - i32::from(r.skip_zero)) as f32 * r.skip_ratio;
    place(a + b, r.clamp)
}
