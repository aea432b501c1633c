//! NEON with the dot product of ARMv8.2. It changes the dense convolution; all else comes from `neon`.

pub(super) mod conv;

use std::sync::Arc;

use super::neon::Neon;
use crate::kernels::contract::{ConvKernel, ConvRow, Kernels, Scratch, Weights, WindowAttention};
use crate::kernels::drivers::attention;

/// The level of processors with dot product.
pub struct DotProd;

/// Weights as [`Weights::data`] has them.
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

impl Kernels for DotProd {
    fn base(&self) -> &'static dyn Kernels {
        &Neon
    }

    fn prepare(&self, weights: &Weights) -> Arc<dyn ConvKernel> {
        Arc::new(Quads(weights.data.to_vec()))
    }

    fn product(&self, weights: &[i8], row: ConvRow) {
        conv::conv_row(weights, row);
    }

    fn attention_window(
        &self,
        a: &WindowAttention,
        query: &[u8],
        keys: &[u8],
        values: &[u8],
        scratch: &mut Scratch,
        out: &mut [u8],
    ) {
        attention::window(self, a, query, keys, values, scratch, out);
    }
}
