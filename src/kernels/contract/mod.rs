//! What a kernel is asked for: shapes, number formats, the rounding rule, and the list of kernels that a level has.
//!
//! Activations are u8 with a zero point, channels innermost; weights are s8 without one. A kernel makes one row
//! of output pixels. Sums are exact in 32 bits. There is one rounding rule, [`requantise`]: the sum as f32
//! (nearest even), times an f32 multiplier, rounded to the nearest even integer, plus the zero point, clamped.
//! Every step of it is an IEEE 754 single operation, so it gives the same bytes on every processor.
//!
//! Colour (the bicubic filter, and pixels moved to a new luma) is fixed-point: weights in 1/16384, samples in 1/64.
//!
//! What pointers of the levels stand on is checked in `bounds`, once for every call, and nowhere else.

mod bounds;
mod list;
mod packed;
mod shapes;
mod weights;

pub(super) use bounds::{ConvRow, DepthwiseRow, Window, assert_pack};
#[cfg(target_arch = "x86_64")]
pub(super) use list::DepthwiseKernel;
pub use list::Scratch;
pub(super) use list::{Attention, ConvKernel, Kernels};
pub use packed::{PackedDepthwise, PackedWeights};
pub use shapes::*;
pub use weights::{Depthwise, Weights};
