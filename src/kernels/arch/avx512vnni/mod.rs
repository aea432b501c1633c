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

use super::{avx2, elementwise};
use crate::kernels::contract::{DepthwiseRow, Kernels};
use vectors::Registers;

/// The level of processors with AVX-512 F, BW, VL and VNNI.
pub const KERNELS: Kernels = Kernels {
    prepare: |weights| Arc::new(pack::Packed::new(weights)),
    product: conv::product,
    // Four pixels and sixteen channels are taken at once.
    prepare_depthwise: |weights| {
        if weights.channels < 16 {
            return (avx2::KERNELS.prepare_depthwise)(weights);
        }
        let row: fn(DepthwiseRow) =
            |row| if row.pixels < 4 { avx2::DEPTHWISE_ROW(row) } else { depthwise::depthwise_row(row) };
        Arc::new(row)
    },
    attention: attention::ATTENTION,
    ..elementwise!("avx512f,avx512bw,avx512vl,avx512vnni", Registers, ..avx2::KERNELS)
};
