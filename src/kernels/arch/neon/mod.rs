//! NEON: 128-bit vectors, four 32-bit sums in each.
//!
//! These kernels read an activation `x` as the signed `x - 128`, which is `x ^ 0x80` bit by bit. What that takes from a sum has
//! been given back to the bias.

mod alone;
mod arrange;
mod chains;
pub(super) mod conv;
mod depthwise;
pub(super) mod finish;
mod lines;
mod pack;
mod short;
mod vectors;

use std::sync::Arc;

use super::with_features;
use crate::kernels::contract::{
    Add, ConvKernel, ConvRow, DepthwiseRow, Gate, Kernels, Pool, Scratch, Weights, WindowAttention,
};
use crate::kernels::drivers::{attention, elementwise};
use crate::kernels::scalar::Scalar;
use arrange::Chained;
use conv::Quads;
use vectors::Registers;

/// The level of every 64-bit ARM processor. Every build for it has NEON, so the plain loops of `scalar` are compiled for it.
pub struct Neon;

/// Weights of a dense convolution.
#[derive(Debug)]
struct Packed {
    quads: Quads,
    /// For two pixels or more, if the weights suit.
    chained: Option<Chained>,
}

impl ConvKernel for Packed {
    fn row(&self, row: ConvRow) {
        match &self.chained {
            Some(chained) if row.pixels > 1 => chained.row(row),
            _ => self.quads.row(row),
        }
    }

    fn bytes(&self) -> usize {
        self.quads.bytes() + self.chained.as_ref().map_or(0, Chained::bytes)
    }
}

impl Kernels for Neon {
    fn base(&self) -> &'static dyn Kernels {
        &Scalar
    }

    fn reads_signed(&self) -> bool {
        true
    }

    fn prepare(&self, weights: &Weights) -> Arc<dyn ConvKernel> {
        Arc::new(Packed { quads: Quads::new(weights), chained: Chained::new(weights) })
    }

    fn product(&self, weights: &[i8], row: ConvRow) {
        conv::product(weights, row);
    }

    fn depthwise_row(&self, row: DepthwiseRow) {
        depthwise::depthwise_row(row);
    }

    with_features! { "neon":
        fn add_row(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) = elementwise::add_row::<Registers>;
        fn add_spread_row(add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8])
            = elementwise::add_spread_row::<Registers>;
        fn shuffle_row(n: usize, y: usize, x: &[u8], out: &mut [u8]) = elementwise::shuffle_row::<Registers>;
        fn gate_row(gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8])
            = elementwise::gate_row::<Registers>;
        fn pool_columns(pool: &Pool, channels: usize, x: &[u8], out: &mut [u8]) = elementwise::pool_columns::<Registers>;
        fn pool_rows(pool: &Pool, rows: &[&[u8]], out: &mut [u8]) = elementwise::pool_rows::<Registers>;
    }

    fn pack_columns(&self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        pack::pack_columns(b, outputs, depth, data, sums);
    }

    fn pack_rows(&self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        pack::pack_rows(b, outputs, depth, data, sums);
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
