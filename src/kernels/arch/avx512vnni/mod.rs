//! AVX-512 with its 8-bit dot product (VNNI): 512-bit vectors, sixteen 32-bit sums in each.
//!
//! `vpdpbusd` adds four products of an unsigned and a signed byte to a 32-bit sum: exact, without saturation. What gains
//! nothing from wider vectors comes from `avx2`.

mod attention;
mod conv;
mod depthwise;
mod finish;
mod pack;
mod twelve;
mod vectors;

use std::sync::Arc;

use super::avx2::Avx2;
use super::with_features;
use crate::kernels::contract::{
    Add, ConvKernel, ConvRow, DepthwiseRow, Gate, Kernels, Scratch, Weights, WindowAttention,
};
use crate::kernels::drivers::{attention as driver, elementwise};
use vectors::Registers;

/// The level of processors with AVX-512 F, BW, VL and VNNI.
pub struct Vnni;

impl Kernels for Vnni {
    fn base(&self) -> &'static dyn Kernels {
        &Avx2
    }

    fn prepare(&self, weights: &Weights) -> Arc<dyn ConvKernel> {
        Arc::new(pack::Packed::new(weights))
    }

    fn product(&self, weights: &[i8], row: ConvRow) {
        conv::product(weights, row);
    }

    fn depthwise_row(&self, row: DepthwiseRow) {
        // Four pixels and sixteen channels are taken at once.
        if row.channels < 16 || row.pixels < 4 {
            return self.base().depthwise_row(row);
        }
        depthwise::depthwise_row(row);
    }

    with_features! { "avx512f,avx512bw,avx512vl,avx512vnni":
        fn add_row(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) = elementwise::add_row::<Registers>;
        fn add_spread_row(add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8])
            = elementwise::add_spread_row::<Registers>;
        fn gate_row(gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8])
            = elementwise::gate_row::<Registers>;
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
        if a.tokens == 64 {
            attention::scores(a, query, keys, scratch);
            driver::weighted(self, a, values, scratch, out);
        } else {
            driver::window(self, a, query, keys, values, scratch, out);
        }
    }
}
