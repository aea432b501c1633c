//! Depth-wise 3x3 convolution.

use super::conv::add;
use crate::kernels::contract::{DepthwiseRow, requantise};

pub fn depthwise_row(row: DepthwiseRow) {
    let channels = row.channels;
    for x in 0..row.pixels {
        for c in 0..channels {
            let mut sum = row.bias[c];
            for t in 0..9 {
                let byte = row.rows[t / 3][x * row.step + (t % 3) * row.tap_step + c];
                sum += i32::from(byte) * i32::from(row.data[t * channels + c]);
            }
            let value = requantise(sum, row.multiplier[c], row.epilogue.clamp);
            row.out[x * row.out_step + c] = match &row.epilogue.residual {
                None => value,
                Some(r) => add(value, row.epilogue.clamp.zero_point, r, r.skip[x * r.skip_step + c]),
            };
        }
    }
}
