//! NEON kernels: 128-bit vectors, four 32-bit sums in each.
//!
//! The functions that this module shows are reached only through [`Level`](super::Level)'s dispatch on its NEON and
//! dot product kinds (`conv_row_dot` on the latter alone), and such a level exists only where detection has found the
//! feature: that is what their `unsafe` calls rest on.
//!
//! These kernels read an activation `x` as the signed `x - 128`, which is `x ^ 0x80` bit by bit.
//! [`Level::bias`](super::Level::bias) has given back to the bias what that takes from the sum.

#![allow(unsafe_code)]

mod alone;
mod arrange;
mod chains;
mod conv;
mod depthwise;
mod dot;
mod elementwise;
mod finish;
mod lines;
mod pack;
mod short;

// Every build for this processor has NEON, so the plain loops are compiled for it.
pub(super) use super::scalar::{blend_rows, enlarge_row, luma_row, shade_alpha_row, shade_row, split_row, whole_row};
pub(super) use arrange::arrange;
pub(super) use conv::conv_row;
pub(super) use depthwise::depthwise_row;
pub(super) use dot::conv_row_dot;
pub(super) use elementwise::{add_row, add_spread_row, gate_row, pool_columns, pool_rows, shuffle_row};
pub(super) use pack::{pack_columns, pack_rows};
