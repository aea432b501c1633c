//! Kernels: one contract, `scalar` the truth, `avx2`, `vnni` and `neon` the speed, the same bytes from all.
//!
//! # The contract
//!
//! Activations are u8 with a zero point, channels innermost; weights are s8 without one. A kernel makes one row
//! of output pixels. Sums are exact in 32 bits. There is one rounding rule, [`requantise`]: the sum as f32
//! (nearest even), times an f32 multiplier, rounded to the nearest even integer, plus the zero point, clamped.
//! Every step of it is an IEEE 754 single operation, so it gives the same bytes on every processor.
//!
//! Colour (the bicubic filter, and pixels moved to a new luma) is fixed-point: weights in 1/16384, samples in 1/64.

mod attention;
mod level;
mod scalar;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod vnni;

mod dispatch;

pub use level::{Level, Unavailable};

/// Where a tap of the convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Index into the rows given to the kernel.
    pub row: usize,
    /// Bytes from the start of that row to where the first output pixel reads.
    pub offset: usize,
    /// Bytes from where one output pixel reads to where the next does; rows of one convolution may differ, so
    /// that a concatenation is read from the tensors it is made of.
    pub step: usize,
}

/// Weights of a matrix product, packed for [`Level::conv_row`].
///
/// `data` is `[tap][run / 4][outputs padded to 8][4]`: four neighbouring input bytes of one output lie together.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Packed weights; padding is zero.
    pub data: &'a [i8],
    /// What the sum starts from, one for each padded output; already passed through [`Level::bias`].
    pub bias: &'a [i32],
    /// Requantisation, one for each padded output.
    pub multiplier: &'a [f32],
    /// Outputs that are written, at most the padded number.
    pub outputs: usize,
    /// The weights once more as [`Level::arrange`] orders them for its fastest kernel, or nothing.
    pub arranged: &'a [i8],
    /// For every output, each aligned pair of neighbours has |w0| + |w1| <= 128, so that an 8-bit
    /// multiply-add (u8 x s8, pairs summed in 16 bits) cannot saturate.
    pub pairs_fit: bool,
}

impl Weights<'_> {
    /// Outputs rounded up to a multiple of 8.
    pub fn padded(&self) -> usize {
        self.outputs.next_multiple_of(8)
    }
}

/// Shape of a dense convolution over one row.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Places to read, in the order of the weights.
    pub taps: &'a [Tap],
    /// Bytes read at each tap: a multiple of 4. Bytes past the real channels meet zero weights.
    pub run: usize,
}

/// Where a quantised value may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clamp {
    /// Zero point.
    pub zero_point: u8,
    /// Smallest value (the zero point itself when a ReLU is fused).
    pub low: u8,
    /// Largest value.
    pub high: u8,
}

/// A residual added after requantisation:
/// `out = clamp(round((value - value_zero) * value_ratio + (skip - skip_zero) * skip_ratio) + zero_point)`,
/// each product rounded to f32, then the sum rounded to f32, then to the nearest even integer.
#[derive(Clone, Copy, Debug)]
pub struct Residual<'a> {
    /// The other addend, beginning at the first output pixel.
    pub skip: &'a [u8],
    /// Bytes from one pixel of `skip` to the next.
    pub skip_step: usize,
    /// Zero point and ratio of `skip`: its scale over the output's.
    pub skip_zero: u8,
    /// Scale of `skip` over that of the sum.
    pub skip_ratio: f32,
    /// Scale of the requantised value over that of the sum.
    pub value_ratio: f32,
    /// Where the sum may lie.
    pub clamp: Clamp,
}

/// Sum to quantised value: the one rounding rule.
pub fn requantise(sum: i32, multiplier: f32, clamp: Clamp) -> u8 {
    place(sum as f32 * multiplier, clamp)
}

/// Real value in output steps to quantised value.
pub fn place(value: f32, clamp: Clamp) -> u8 {
    // `as i32` saturates; PREPARE has checked that the value stays far inside 32 bits.
    let rounded = value.round_ties_even() as i32 + i32::from(clamp.zero_point);
    rounded.clamp(i32::from(clamp.low), i32::from(clamp.high)) as u8
}

/// Depth-wise 3x3 weights, for [`Level::depthwise_row`].
#[derive(Clone, Copy, Debug)]
pub struct Depthwise<'a> {
    /// `[9][channels]`, row-major taps.
    pub data: &'a [i8],
    /// What the sum starts from; already passed through [`Level::bias`]. One per channel.
    pub bias: &'a [i32],
    /// Requantisation, one per channel.
    pub multiplier: &'a [f32],
    /// Channels: a multiple of 8.
    pub channels: usize,
    /// Bytes from one tap of a row to the next: dilation * bytes of a pixel.
    pub tap_step: usize,
    /// Bytes from one pixel of the input to the next.
    pub step: usize,
}

/// Quantised addition of two rows, for [`Level::add_row`]; the formula of [`Residual`].
#[derive(Clone, Copy, Debug)]
pub struct Add {
    /// Zero points of the addends.
    pub zeros: [u8; 2],
    /// Scales of the addends over that of the sum.
    pub ratios: [f32; 2],
    /// Where the sum may lie.
    pub clamp: Clamp,
}

/// Quantised product of a row with a gate, for [`Level::gate_row`]:
/// `out = requantise((x - x_zero) * (gate - gate_zero), multiplier)`.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// Zero points of the row and of the gate.
    pub zeros: [u8; 2],
    /// Scale of the row times that of the gate over that of the product.
    pub multiplier: f32,
    /// Where the product may lie.
    pub clamp: Clamp,
    /// Pixels of the row that share a pixel of the gate.
    pub repeat: usize,
}

/// Fraction bits of the bicubic filter's weights.
pub const WEIGHT_BITS: u32 = 14;
/// Fraction bits of filtered samples: 255 and the filter's overshoot fit 16 bits.
pub const FINE_BITS: u32 = 6;

/// Luma of red, green and blue, rounded to the nearest: BT.601, full range, as JPEG and the network have it.
#[inline(always)]
pub fn luma([r, g, b]: [u8; 3]) -> u8 {
    // In 1/65536; the weights sum to 1.
    ((19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 32768) >> 16) as u8
}

/// A filtered sample, in 1/64, to a byte: the nearest, ties upwards.
#[inline(always)]
pub fn whole(v: i32) -> u8 {
    ((v + (1 << (FINE_BITS - 1))) >> FINE_BITS).clamp(0, 255) as u8
}

/// Four neighbours of a row and their weights in 1/16384, for [`Level::enlarge_row`].
#[derive(Clone, Copy, Debug)]
pub struct Taps {
    /// Samples from where an output sample stands to its first neighbour.
    pub first: usize,
    /// Weights.
    pub weights: [i16; 4],
}

/// Attention within a window, for [`Level::attention_window`]: scores of every query with every key, requantised, and
/// with them the weighted sums of the values, requantised.
///
/// Keys and values have zero point 128; keys are a multiple of 4 bytes, tokens and values of 8.
#[derive(Clone, Copy, Debug)]
pub struct Attend {
    /// Tokens of the window.
    pub tokens: usize,
    /// Bytes of a query and of a key.
    pub keys: usize,
    /// Bytes of a value and of what comes out for a token.
    pub values: usize,
    /// Zero point of the queries.
    pub query_zero: u8,
    /// Requantisation of the scores.
    pub score_multiplier: f32,
    /// Where a score may lie.
    pub scores: Clamp,
    /// Requantisation of the weighted sums.
    pub multiplier: f32,
    /// Where a weighted sum may lie.
    pub clamp: Clamp,
}

/// Memory that [`Level::attention_window`] works in; what it holds before and after means nothing.
#[derive(Debug)]
pub struct Room<'a> {
    /// `tokens` times the greater of `keys` and `values`.
    pub packed: &'a mut [i8],
    /// The greater of `tokens` and `values`.
    pub sums: &'a mut [i32],
    /// The greater of `tokens` and `values`.
    pub multiplier: &'a mut [f32],
    /// `tokens` times `tokens`.
    pub scores: &'a mut [u8],
}
