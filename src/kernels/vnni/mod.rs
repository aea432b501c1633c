//! AVX-512 kernels with its 8-bit dot product (VNNI): 512-bit vectors, sixteen 32-bit sums in each.
//!
//! `vpdpbusd` adds four products of an unsigned and a signed byte to a 32-bit sum: exact, without saturation.
//!
//! The functions that this module shows are reached only through [`Level`](super::Level)'s dispatch on its VNNI
//! kind, and such a level exists only where detection has found AVX-512 F, BW, VL and VNNI, and AVX2: that is what
//! their `unsafe` calls rest on. What gains nothing from wider vectors comes from `avx2`.

#![allow(unsafe_code)]

mod attention;
mod conv;
mod depthwise;
mod elementwise;
mod finish;
mod twelve;

pub(super) use super::avx2::{
    blend_rows, enlarge_row, luma_row, pack_columns, pack_rows, pool_columns, pool_rows, shade_alpha_row, shade_row,
    shuffle_row, split_row, whole_row,
};
pub(super) use attention::scores;
pub(super) use conv::{arrange, conv_row};
pub(super) use depthwise::depthwise_row;
pub(super) use elementwise::{add_row, add_spread_row, gate_row};
