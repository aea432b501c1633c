//! Dense convolution and matrix product.

use crate::kernels::contract::{ConvKernel, ConvRow, Residual, quantise, requantise};

/// Weights as they were given: `[tap][run / 4][outputs padded to 8][4]`.
#[derive(Debug)]
pub struct Quads(pub Vec<i8>);

impl ConvKernel for Quads {
    fn row(&self, row: ConvRow) {
        conv_row(&self.0, row);
    }

    fn bytes(&self) -> usize {
        self.0.len()
    }
}

pub fn conv_row(weights: &[i8], row: ConvRow) {
    let (padded, quads) = (row.padded(), row.run / 4);
    for x in 0..row.pixels {
        for o in 0..row.outputs {
            let mut sum = row.bias[o];
            for (t, tap) in row.taps.iter().enumerate() {
                let bytes = &row.rows[tap.row][x * tap.step + tap.offset..][..row.run];
                for (i, &byte) in bytes.iter().enumerate() {
                    let at = ((t * quads + i / 4) * padded + o) * 4 + i % 4;
                    sum += i32::from(byte) * i32::from(weights[at]);
                }
            }
            let value = requantise(sum, row.multiplier[o], row.epilogue.clamp);
            row.out[x * row.out_step + o] = match &row.epilogue.residual {
                None => value,
                Some(r) => add(value, row.epilogue.clamp.zero_point, r, r.skip[x * r.skip_step + o]),
            };
        }
    }
}

/// The formula of [`Residual`].
pub(super) fn add(value: u8, value_zero: u8, r: &Residual, skip: u8) -> u8 {
    let a = (i32::from(value) - i32::from(value_zero)) as f32 * r.value_ratio;
    let b = (i32::from(skip) - i32::from(r.skip_zero)) as f32 * r.skip_ratio;
    quantise(a + b, r.clamp)
}
