//! NEON with the dot product of ARMv8.2. It changes the dense convolution; all else comes from `neon`.

pub(super) mod conv;

use std::sync::Arc;

use super::neon;
use crate::kernels::contract::{ConvKernel, ConvRow, Kernels};

/// The level of processors with dot product.
pub const KERNELS: Kernels =
    Kernels { prepare: |weights| Arc::new(Quads(weights.data.to_vec())), product: conv::conv_row, ..neon::KERNELS };

/// Weights as [`Weights::data`](crate::kernels::Weights::data) has them.
#[derive(Debug)]
struct Quads(Vec<i8>);

impl ConvKernel for Quads {
    fn row(&self, row: ConvRow) {
        conv::conv_row(&self.0, row);
    }

    fn bytes(&self) -> usize {
        self.0.len()
    }
}
