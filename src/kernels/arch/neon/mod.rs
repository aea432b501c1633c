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

use super::{depthwise as driver, elementwise, pack as packing, with_features};
use crate::kernels::contract::{ConvKernel, ConvRow, DepthwiseRow, Kernels};
use crate::kernels::scalar;
use arrange::Chained;
use conv::Quads;
use vectors::Registers;

/// The level of every 64-bit ARM processor. Every build for it has NEON, so the plain loops of `scalar` are compiled for it.
pub const KERNELS: Kernels = Kernels {
    reads_signed: true,
    prepare: |weights| Arc::new(Packed { quads: Quads::new(weights), chained: Chained::new(weights) }),
    product: conv::product,
    prepare_depthwise: |_| {
        let row: fn(DepthwiseRow) = with_features!("neon": fn(row: DepthwiseRow) = driver::row::<2, depthwise::Eight>);
        Arc::new(row)
    },
    pack_columns: with_features!("neon":
        fn(b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) = packing::pack_columns::<Registers>),
    pack_rows: with_features!("neon":
        fn(b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) = packing::pack_rows::<Registers>),
    ..elementwise!("neon", Registers, ..scalar::KERNELS)
};

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
            Some(chained) if row.pixels > 1 => short::conv_row(chained, row),
            _ => self.quads.row(row),
        }
    }

    fn bytes(&self) -> usize {
        self.quads.bytes() + self.chained.as_ref().map_or(0, Chained::bytes)
    }
}
