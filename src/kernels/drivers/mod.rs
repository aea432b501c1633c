//! Loops that levels share, over a few operations on registers.
//!
//! They are always inlined into a function that has the level's target features, and so are those operations: a call that is
//! left would pass vectors through memory. For the same reason they use no closures.

pub mod elementwise;

use super::contract::Clamp;

/// What elementwise drivers do with a level's registers. A *block* is so many bytes that their values, 32 bits each, fill
/// four vectors; an *octet* is eight values.
///
/// The functions may be called only where the level is: inside one with its target features.
pub trait Vectors {
    /// Bytes of a block.
    const BLOCK: usize;
    type Bytes: Copy;
    /// A block's values as f32, in the order that suits [`Vectors::quantise`].
    type Reals: Copy;
    /// A clamp, made once for many blocks.
    type Rule: Copy;
    /// Eight sums in 32 bits.
    type Octet: Copy;

    /// Reads the first block of `bytes`.
    fn load(bytes: &[u8]) -> Self::Bytes;
    /// A block of the first eight bytes again and again.
    fn repeated(bytes: &[u8]) -> Self::Bytes;
    /// Writes it to the beginning of `out`.
    fn store(block: Self::Bytes, out: &mut [u8]);
    /// Of every four bytes of two blocks the first two or, if `UPPER`, the last two.
    fn halves<const UPPER: bool>(blocks: [Self::Bytes; 2]) -> Self::Bytes;
    /// `x - zero`, which f32 holds exactly.
    fn centred(block: Self::Bytes, zero: u8) -> Self::Reals;
    fn add(a: Self::Reals, b: Self::Reals) -> Self::Reals;
    fn multiply(a: Self::Reals, b: Self::Reals) -> Self::Reals;
    fn scale(a: Self::Reals, factor: f32) -> Self::Reals;
    /// `(x - zero) * factor` for a quarter of a block, each value four times.
    fn scaled_spread(bytes: &[u8], zero: u8, factor: f32) -> Self::Reals;
    fn rule(clamp: Clamp) -> Self::Rule;
    /// The contract's `quantise` for a block.
    fn quantise(values: Self::Reals, rule: Self::Rule) -> Self::Bytes;
    fn octet(value: i32) -> Self::Octet;
    /// Adds the first eight bytes.
    fn octet_add(sums: Self::Octet, bytes: &[u8]) -> Self::Octet;
    /// The contract's `requantise` for an octet, to the first eight bytes of `out`.
    fn octet_requantise(sums: Self::Octet, multiplier: f32, rule: Self::Rule, out: &mut [u8]);
}

/// Where blocks of `block` begin that cover `total` things, at least one block: one behind the other, but the last may begin
/// earlier. What two blocks cover is made twice, the same both times.
#[inline(always)]
pub fn blocks(total: usize, block: usize) -> Blocks {
    Blocks { next: 0, last: total - block, total, block }
}

/// See [`blocks`].
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    next: usize,
    last: usize,
    total: usize,
    block: usize,
}

impl Iterator for Blocks {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.next >= self.total {
            return None;
        }
        let begin = if self.next < self.last { self.next } else { self.last };
        self.next += self.block;
        Some(begin)
    }
}
