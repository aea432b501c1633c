//! Shapes, number formats and the rounding rule.

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
    quantise(sum as f32 * multiplier, clamp)
}

/// Real value in output steps to quantised value.
pub fn quantise(value: f32, clamp: Clamp) -> u8 {
    // `as i32` saturates; PREPARE has checked that the value stays far inside 32 bits.
    let rounded = value.round_ties_even() as i32 + i32::from(clamp.zero_point);
    rounded.clamp(i32::from(clamp.low), i32::from(clamp.high)) as u8
}

/// Quantised addition of two rows, for `Level::add_row`; the formula of [`Residual`].
#[derive(Clone, Copy, Debug)]
pub struct Add {
    /// Zero points of the addends.
    pub zeros: [u8; 2],
    /// Scales of the addends over that of the sum.
    pub ratios: [f32; 2],
    /// Where the sum may lie.
    pub clamp: Clamp,
}

/// Quantised product of a row with a gate, for `Level::gate_row`:
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

/// Quantised mean over neighbouring pixels, for `Level::pool_columns` and `Level::pool_rows`.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Values that are averaged.
    pub count: usize,
    /// `-count` times the zero point of the values.
    pub bias: i32,
    /// Their scale over `count` times that of the mean.
    pub multiplier: f32,
    /// Where the mean may lie.
    pub clamp: Clamp,
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
pub fn round_sample(v: i32) -> u8 {
    ((v + (1 << (FINE_BITS - 1))) >> FINE_BITS).clamp(0, 255) as u8
}

/// One phase of the polyphase filter: four neighbours of a row and their weights in 1/16384, for `Level::enlarge_row`.
#[derive(Clone, Copy, Debug)]
pub struct FilterPhase {
    /// Samples from an output sample's position to its first neighbour.
    pub first: usize,
    /// Weights.
    pub weights: [i16; 4],
}

/// Attention within a window, for `Level::attention_window`: scores of every query with every key, requantised, and
/// with them the weighted sums of the values, requantised.
///
/// Keys and values have zero point 128; keys are a multiple of 4 bytes, tokens and values of 8.
#[derive(Clone, Copy, Debug)]
pub struct WindowAttention {
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

/// Output pixels of a convolution.
#[derive(Debug)]
pub struct Output<'a> {
    /// Begins at the first output pixel.
    pub bytes: &'a mut [u8],
    /// Bytes from one output pixel to the next.
    pub step: usize,
    /// Output pixels.
    pub pixels: usize,
}

/// What happens to the sums of a convolution: requantised, clamped, and perhaps added to a residual.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// Where the requantised sum may lie.
    pub clamp: Clamp,
    /// Added after that.
    pub residual: Option<Residual<'a>>,
}

impl Epilogue<'_> {
    /// The clamp of the bytes that are written.
    pub(in crate::kernels) fn last_clamp(&self) -> Clamp {
        self.residual.map_or(self.clamp, |residual| residual.clamp)
    }
}

/// What becomes of each byte: a function of one quantised value, for [`Level::table_row`].
///
/// [`Level::table_row`]: crate::kernels::Level::table_row
pub type Table = [u8; 256];
