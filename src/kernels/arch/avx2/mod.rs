//! AVX2: 256-bit vectors, eight 32-bit sums in each.

mod attention;
mod colour;
pub(super) mod conv;
mod depthwise;
pub(super) mod finish;
mod pack;
mod vectors;

use std::sync::Arc;

use super::with_features;
use crate::kernels::contract::{
    Add, ConvKernel, ConvRow, DepthwiseRow, FilterPhase, Gate, Kernels, Pool, Scratch, Weights, WindowAttention,
};
use crate::kernels::drivers::{attention as driver, elementwise};
use crate::kernels::scalar::{self, Scalar};
use conv::{PairsFit, Quads, Wide};
pub(super) use vectors::Registers;

/// The level of processors with AVX2.
pub struct Avx2;

impl Kernels for Avx2 {
    fn base(&self) -> &'static dyn Kernels {
        &Scalar
    }

    fn prepare(&self, weights: &Weights) -> Arc<dyn ConvKernel> {
        if weights.pairs_fit() {
            Arc::new(Quads::<PairsFit>::new(weights))
        } else {
            Arc::new(Quads::<Wide>::new(weights))
        }
    }

    fn product(&self, weights: &[i8], row: ConvRow) {
        conv::product::<Wide>(weights, row);
    }

    fn depthwise_row(&self, row: DepthwiseRow) {
        depthwise::depthwise_row(row);
    }

    with_features! { "avx2":
        fn add_row(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) = elementwise::add_row::<Registers>;
        fn add_spread_row(add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8])
            = elementwise::add_spread_row::<Registers>;
        fn shuffle_row(n: usize, y: usize, x: &[u8], out: &mut [u8]) = elementwise::shuffle_row::<Registers>;
        fn gate_row(gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8])
            = elementwise::gate_row::<Registers>;
        fn pool_columns(pool: &Pool, channels: usize, x: &[u8], out: &mut [u8]) = elementwise::pool_columns::<Registers>;
        fn pool_rows(pool: &Pool, rows: &[&[u8]], out: &mut [u8]) = elementwise::pool_rows::<Registers>;
        fn luma_row(planes: [&[u8]; 3], out: &mut [u8]) = scalar::luma_row;
        fn blend_rows(weights: [i16; 4], rows: [&[u8]; 4], out: &mut [i16]) = scalar::blend_rows;
        fn round_row(fine: &[i16], out: &mut [u8]) = scalar::round_row;
        fn shade_alpha_row(luma: &[u8], fine: [&[i16]; 5], out: &mut [u8]) = scalar::shade_alpha_row;
    }

    fn split_row(&self, channels: usize, row: &[u8], planes: &mut [u8]) {
        colour::split_row(channels, row, planes);
    }

    fn enlarge_row(&self, phases: &[FilterPhase], row: &[i16], out: &mut [i16]) {
        colour::enlarge_row(phases, row, out);
    }

    fn shade_row(&self, luma: &[u8], fine: [&[i16]; 4], out: &mut [u8]) {
        colour::shade_row(luma, fine, out);
    }

    fn pack_columns(&self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        pack::pack_columns(b, outputs, depth, data, sums);
    }

    fn pack_rows(&self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        pack::pack_rows(b, outputs, depth, data, sums);
    }

    fn wide_scratch(&self, a: &WindowAttention) -> usize {
        attention::scratch(a)
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
        if attention::suits(a) {
            attention::window(a, query, keys, values, &mut scratch.wide, out);
        } else {
            driver::window(self, a, query, keys, values, scratch, out);
        }
    }
}
