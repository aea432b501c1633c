//! The truth: plain loops, no cleverness.

mod attention;
mod colour;
mod conv;
mod depthwise;
mod elementwise;
mod pack;
mod table;

use std::sync::Arc;

use super::contract::{Attention, DepthwiseRow, Kernels};

#[cfg(target_arch = "x86_64")]
pub(super) use attention::weighted;
pub(super) use colour::{blend_rows, enlarge_row, luma_row, round_row, shade_alpha_row, shade_row, split_row};
pub(super) use elementwise::{add_row, add_spread_row, gate_row, pool_columns, pool_rows, shuffle_row};
pub(super) use table::table_row;

/// The level of any processor.
pub const KERNELS: Kernels = Kernels {
    reads_signed: false,
    prepare: |weights| Arc::new(conv::Quads(weights.data.to_vec())),
    product: conv::conv_row,
    prepare_depthwise: |_| Arc::new(depthwise::depthwise_row as fn(DepthwiseRow)),
    add_row,
    add_spread_row,
    shuffle_row,
    gate_row,
    pool_columns,
    pool_rows,
    table_row,
    split_row,
    luma_row,
    blend_rows,
    enlarge_row,
    round_row,
    shade_row,
    shade_alpha_row,
    pack_columns: pack::pack_columns,
    pack_rows: pack::pack_rows,
    attention: Attention { words: |_| 0, window: attention::window },
};
