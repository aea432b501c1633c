//! AVX2: 256-bit vectors, eight 32-bit sums in each.

mod attention;
mod colour;
pub(super) mod conv;
mod dense;
mod depthwise;
pub(super) mod finish;
mod lines;
mod pack;
mod paired;
mod twice;
mod vectors;
mod winograd;

use std::sync::Arc;

use super::{depthwise as driver, elementwise, pack as packing, with_features};
use crate::kernels::contract::{ConvKernel, DepthwiseRow, Kernels};
use crate::kernels::scalar;
use conv::{PairsFit, Quads, Wide};
use dense::Dense;
use paired::Paired;
use twice::Twice;
pub(super) use vectors::Registers;
use winograd::Winograd;

/// One row of a depth-wise convolution, with any weights.
pub(super) const DEPTHWISE_ROW: fn(DepthwiseRow) =
    with_features!("avx2": fn(row: DepthwiseRow) = driver::row::<4, depthwise::Eight>);

/// The level of processors with AVX2.
pub const KERNELS: Kernels = Kernels {
    prepare: |weights| {
        let alone: Arc<dyn ConvKernel> = if !weights.pairs_fit() {
            Arc::new(Quads::<Wide>::new(weights))
        } else if let Some(twice) = Twice::new(weights) {
            Arc::new(twice)
        } else if let Some(paired) = Paired::new(weights) {
            Arc::new(paired)
        } else {
            Arc::new(Quads::<PairsFit>::new(weights))
        };
        match Winograd::new(weights, &alone) {
            Some(winograd) => Arc::new(winograd),
            None => alone,
        }
    },
    product: conv::product::<Wide>,
    prepare_depthwise: |weights| match Dense::new(weights) {
        Some(dense) => Arc::new(dense),
        None => Arc::new(DEPTHWISE_ROW),
    },
    split_row: colour::split_row,
    luma_row: with_features!("avx2": fn(planes: [&[u8]; 3], out: &mut [u8]) = scalar::luma_row),
    blend_rows: with_features!("avx2":
        fn(weights: [i16; 4], rows: [&[u8]; 4], out: &mut [i16]) = scalar::blend_rows),
    enlarge_row: colour::enlarge_row,
    round_row: with_features!("avx2": fn(fine: &[i16], out: &mut [u8]) = scalar::round_row),
    shade_row: colour::shade_row,
    shade_alpha_row: with_features!("avx2":
        fn(luma: &[u8], fine: [&[i16]; 5], out: &mut [u8]) = scalar::shade_alpha_row),
    pack_columns: with_features!("avx2":
        fn(b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) = packing::pack_columns::<Registers>),
    pack_rows: with_features!("avx2":
        fn(b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) = packing::pack_rows::<Registers>),
    attention: attention::ATTENTION,
    ..elementwise!("avx2", Registers, ..scalar::KERNELS)
};
