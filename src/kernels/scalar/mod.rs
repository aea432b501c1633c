//! The truth: plain loops, no cleverness.

mod colour;
mod conv;
mod depthwise;
mod elementwise;
mod pack;

pub use colour::{blend_rows, enlarge_row, luma_row, shade_alpha_row, shade_row, split_row, whole_row};
pub use conv::conv_row;
pub use depthwise::depthwise_row;
pub use elementwise::{add_row, add_spread_row, gate_row, pool_columns, pool_rows, shuffle_row};
pub use pack::{pack_columns, pack_rows};
