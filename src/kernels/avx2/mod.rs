//! AVX2 kernels: 256-bit vectors, eight 32-bit sums in each.
//!
//! The functions that this module shows are reached only through [`Level`](super::Level)'s dispatch on its AVX2
//! kind, and such a level exists only where detection has found AVX2: that is what their `unsafe` calls rest on.

#![allow(unsafe_code)]

mod colour;
mod conv;
mod depthwise;
mod elementwise;
mod finish;
mod pack;

pub(super) use colour::{blend_rows, enlarge_row, luma_row, shade_alpha_row, shade_row, split_row, whole_row};
pub(super) use conv::conv_row;
pub(super) use depthwise::depthwise_row;
pub(super) use elementwise::{add_row, add_spread_row, gate_row, pool_columns, pool_rows, shuffle_row};
pub(super) use pack::{pack_columns, pack_rows};
