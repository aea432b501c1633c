//! Depth-wise 3x3 convolution of rows whose pixels follow one another: channels and pixels are one sequence, of which a vector
//! takes 32 bytes wherever they begin.
//!
//! Bytes of four taps, interleaved, are a word of each channel, which is multiplied with its four weights. As a vector ends
//! anywhere in a pixel, there are weights for every channel that one can begin with.

use std::arch::x86_64::*;

use super::DEPTHWISE_ROW;
use super::finish::{Addend, Rule};
use crate::kernels::contract::{Depthwise, DepthwiseKernel, DepthwiseRow};
use crate::kernels::drivers::blocks;

/// Bytes of a vector.
const BYTES: usize = 32;
/// Most channels that vectors begin with.
const TURNS: usize = 6;

/// What 32 bytes in sequence need. Vector `v` of four is for bytes `4 v..4 v + 4` of each 128-bit half.
#[derive(Debug)]
struct Turn {
    /// Weights of taps 0 to 3 and 4 to 7, a byte each.
    fours: [[__m256i; 4]; 2],
    /// Weights of the last tap in 32 bits.
    last: [__m256i; 4],
    bias: [__m256i; 4],
    multiplier: [__m256; 4],
}

/// Weights for such rows.
#[derive(Debug)]
pub struct Dense {
    /// For each channel that a vector can begin with.
    turns: Vec<Turn>,
    channels: usize,
}

impl Dense {
    /// Nothing where vectors begin with many channels, or where neighbours' products may saturate 16 bits.
    pub fn new(weights: &Depthwise) -> Option<Self> {
        let (channels, unit) = (weights.channels, unit(weights.channels));
        if channels / unit > TURNS || !weights.pairs_fit() {
            return None;
        }
        // SAFETY: the level is there (see `arch`).
        let turns = (0..channels).step_by(unit).map(|channel| unsafe { Turn::new(weights, channel) }).collect();
        Some(Self { turns, channels })
    }
}

impl DepthwiseKernel for Dense {
    fn row(&self, mut row: DepthwiseRow) {
        let channels = row.channels;
        assert!(channels == self.channels, "{channels} channels and weights of {}", self.channels);
        let alike = |step: usize| step == channels;
        let dense = alike(row.step) && alike(row.out_step) && row.epilogue.residual.is_none_or(|r| alike(r.skip_step));
        if !dense || row.pixels * channels < BYTES {
            return DEPTHWISE_ROW(row);
        }
        let out = row.take_out();
        // SAFETY: the row has been checked (see `DepthwiseRow`), is dense, and has the weights' channels; the level is there (see
        // `arch`).
        unsafe {
            if row.epilogue.residual.is_some() { self.run::<true>(&row, out) } else { self.run::<false>(&row, out) }
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.turns)
    }
}

/// Bytes of which the beginnings of vectors are multiples, in a pixel too.
fn unit(channels: usize) -> usize {
    if channels.is_multiple_of(16) { 16 } else { 8 }
}

impl Dense {
    /// All of the row. `R`: there is a residual.
    ///
    /// # Safety
    ///
    /// The row is dense, has a vector's bytes or more and the weights' channels, `R` is true of it, and `out` is what it has lent.
    #[target_feature(enable = "avx2")]
    unsafe fn run<const R: bool>(&self, row: &DepthwiseRow, out: *mut u8) {
        let (channels, unit) = (row.channels, unit(row.channels));
        let (rule, addend) = (Rule::new(row.epilogue.last_clamp()), Addend::new(&row.epilogue));
        for at in blocks(row.pixels * channels, BYTES) {
            let turn = &self.turns[at % channels / unit];
            // SAFETY: rows reach past the last tap of the last byte, and `at + BYTES` is at most the bytes of all pixels.
            let tap = |t: usize| unsafe {
                _mm256_loadu_si256(row.rows[t / 3].as_ptr().add(at + t % 3 * row.tap_step).cast())
            };
            let mut sums = turn.bias;
            for (four, weights) in turn.fours.iter().enumerate() {
                let words = interleaved(std::array::from_fn(|t| tap(four * 4 + t)));
                for v in 0..4 {
                    let pairs = _mm256_maddubs_epi16(words[v], weights[v]);
                    sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
                }
            }
            let words = widened(tap(8));
            for v in 0..4 {
                sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(words[v], turn.last[v]));
            }
            let mut values: [_; 4] =
                std::array::from_fn(|v| _mm256_mul_ps(_mm256_cvtepi32_ps(sums[v]), turn.multiplier[v]));
            if let Some(r) = row.epilogue.residual.filter(|_| R) {
                // SAFETY: the addend is as dense as the row.
                let skip = widened(unsafe { _mm256_loadu_si256(r.skip.as_ptr().add(at).cast()) });
                for v in 0..4 {
                    values[v] = addend.add(values[v], skip[v]);
                }
            }
            // SAFETY: `out` is as dense as the row.
            unsafe { _mm256_storeu_si256(out.add(at).cast(), rule.quantise(values)) };
        }
    }
}

impl Turn {
    /// For a vector that begins with this channel.
    #[target_feature(enable = "avx2")]
    fn new(weights: &Depthwise, channel: usize) -> Self {
        // Channels from the one that is `byte` bytes behind the first; eight of them lie together.
        let at = |byte: usize| (channel + byte) % weights.channels;
        let tap = |t: usize| {
            let eight = |i: usize| {
                let eight = &weights.data[t * weights.channels + at(i * 8)..][..8];
                i64::from_le_bytes(std::array::from_fn(|i| eight[i] as u8))
            };
            _mm256_setr_epi64x(eight(0), eight(1), eight(2), eight(3))
        };
        let four = |first: usize| interleaved(std::array::from_fn(|t| tap(first + t)));
        let last = widened(tap(8)).map(|word| _mm256_srai_epi32::<24>(_mm256_slli_epi32::<24>(word)));
        let order = |v: usize, i: usize| at(v * 4 + i / 4 * 16) + i % 4;
        let bias: [[i32; 8]; 4] = std::array::from_fn(|v| std::array::from_fn(|i| weights.bias[order(v, i)]));
        let multiplier: [[f32; 8]; 4] =
            std::array::from_fn(|v| std::array::from_fn(|i| weights.multiplier[order(v, i)]));
        Self {
            fours: [four(0), four(4)],
            last,
            // SAFETY: eight words each.
            bias: bias.map(|eight| unsafe { _mm256_loadu_si256(eight.as_ptr().cast()) }),
            // SAFETY: eight each.
            multiplier: multiplier.map(|eight| unsafe { _mm256_loadu_ps(eight.as_ptr()) }),
        }
    }
}

/// A byte of each of four vectors in every word.
#[target_feature(enable = "avx2")]
#[inline]
fn interleaved([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
    let (ab_high, cd_high) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
    [
        _mm256_unpacklo_epi16(ab, cd),
        _mm256_unpackhi_epi16(ab, cd),
        _mm256_unpacklo_epi16(ab_high, cd_high),
        _mm256_unpackhi_epi16(ab_high, cd_high),
    ]
}

/// A byte in every word, in the order of [`interleaved`].
#[target_feature(enable = "avx2")]
#[inline]
fn widened(bytes: __m256i) -> [__m256i; 4] {
    let none = _mm256_setzero_si256();
    interleaved([bytes, none, none, none])
}
