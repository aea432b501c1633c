//! The kernels of a level under one set of names.

use super::bounds::assert_pack;
use super::{Add, Depthwise, FilterPhase, Gate, PackedDepthwise, PackedWeights, Pool, Weights, WindowAttention};
use crate::kernels::Level;

/// Memory that [`Level::attention_window`] works in; what it holds before and after means nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Keys or values as weights.
    pub(in crate::kernels) packed: Vec<i8>,
    pub(in crate::kernels) sums: Vec<i32>,
    pub(in crate::kernels) multiplier: Vec<f32>,
    pub(in crate::kernels) scores: Vec<u8>,
    /// Whatever a level holds in 16 bits.
    pub(in crate::kernels) wide: Vec<i16>,
}

impl Scratch {
    /// Grows to what windows of this kind need at a level.
    pub fn reserve(&mut self, level: Level, a: &WindowAttention) {
        fn grow<T: Clone + Default>(v: &mut Vec<T>, n: usize) {
            if v.len() < n {
                v.resize(n, T::default());
                v.shrink_to_fit();
            }
        }
        grow(&mut self.packed, a.tokens * a.keys.max(a.values));
        grow(&mut self.sums, a.tokens.max(a.values));
        grow(&mut self.multiplier, a.tokens.max(a.values));
        grow(&mut self.scores, a.tokens * a.tokens);
        grow(&mut self.wide, level.kernels.wide_scratch(a));
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let words = self.sums.len() + self.multiplier.len();
        self.packed.len() + self.scores.len() + 2 * self.wide.len() + 4 * words
    }
}

/// Kernels are no part of what the library promises.
#[doc(hidden)]
impl Level {
    /// Brings weights of a dense convolution into the order of this level's kernels.
    pub fn pack(self, weights: &Weights) -> PackedWeights {
        PackedWeights::new(self.kernels, weights)
    }

    /// [`Level::pack`] for a depth-wise convolution.
    pub fn pack_depthwise(self, weights: &Depthwise) -> PackedDepthwise {
        PackedDepthwise::new(self, weights)
    }

    /// Sum of two rows, byte by byte.
    pub fn add_row(self, add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
        self.kernels.add_row(add, a, b, out);
    }

    /// Sum of two rows, where `repeat` bytes of `a` share a byte of `b`.
    pub fn add_spread_row(self, add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8]) {
        self.kernels.add_spread_row(add, repeat, a, b, out);
    }

    /// Row `y` of the `n` rows of one-byte pixels that a row of pixels of `n * n` bytes shuffles to.
    pub fn shuffle_row(self, n: usize, y: usize, x: &[u8], out: &mut [u8]) {
        self.kernels.shuffle_row(n, y, x, out);
    }

    /// Product of a row with a gate, `channels` bytes a pixel.
    pub fn gate_row(self, gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8]) {
        self.kernels.gate_row(gate, channels, x, gates, out);
    }

    /// Mean over `pool.count` neighbouring pixels of a row, `channels` bytes a pixel.
    pub fn pool_columns(self, pool: &Pool, channels: usize, x: &[u8], out: &mut [u8]) {
        self.kernels.pool_columns(pool, channels, x, out);
    }

    /// Mean over `pool.count` rows, byte by byte.
    pub fn pool_rows(self, pool: &Pool, rows: &[&[u8]], out: &mut [u8]) {
        self.kernels.pool_rows(pool, rows, out);
    }

    /// Each byte of a row through a table: the only one, or that of its channel; `channels` bytes a pixel.
    pub fn table_row(self, tables: &[[u8; 256]], channels: usize, x: &[u8], out: &mut [u8]) {
        self.kernels.table_row(tables, channels, x, out);
    }

    /// Planes of a row of interleaved pixels of 2 to 4 bytes, one after the other.
    pub fn split_row(self, channels: usize, row: &[u8], planes: &mut [u8]) {
        self.kernels.split_row(channels, row, planes);
    }

    /// [`luma`](super::luma) of the pixels whose red, green and blue are in three planes.
    pub fn luma_row(self, planes: [&[u8]; 3], out: &mut [u8]) {
        self.kernels.luma_row(planes, out);
    }

    /// Weighted sum of four rows of samples, in 1/64.
    pub fn blend_rows(self, weights: [i16; 4], rows: [&[u8]; 4], out: &mut [i16]) {
        self.kernels.blend_rows(weights, rows, out);
    }

    /// A row enlarged by the number of phases: sample `x` of phase `p`, at `x * phases + p`, is the weighted sum of
    /// four neighbours, the first of them at `x + first`.
    pub fn enlarge_row(self, phases: &[FilterPhase], row: &[i16], out: &mut [i16]) {
        self.kernels.enlarge_row(phases, row, out);
    }

    /// Each sample as [`round_sample`](super::round_sample) rounds it.
    pub fn round_row(self, fine: &[i16], out: &mut [u8]) {
        self.kernels.round_row(fine, out);
    }

    /// Interleaved red, green and blue of planes in 1/64, moved by as much as takes the last plane to `luma`. No sample
    /// lies further from 0..=255 than the filter overshoots, a quarter.
    pub fn shade_row(self, luma: &[u8], fine: [&[i16]; 4], out: &mut [u8]) {
        self.kernels.shade_row(luma, fine, out);
    }

    /// [`Level::shade_row`] with alpha after blue, which is only rounded.
    pub fn shade_alpha_row(self, luma: &[u8], fine: [&[i16]; 5], out: &mut [u8]) {
        self.kernels.shade_alpha_row(luma, fine, out);
    }

    /// Packs activations of zero point 128, `[outputs][depth]` (one output's weights lie together, as keys do), as
    /// [`Weights::data`] has them; `sums` receives each output's sum. `outputs` is a multiple of 8, `depth` of 4.
    pub fn pack_columns(self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        assert_pack(b, outputs, depth, data, sums);
        self.kernels.pack_columns(b, outputs, depth, data, sums);
    }

    /// [`Level::pack_columns`] for activations that lie as `[depth][outputs]`, as values do.
    pub fn pack_rows(self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        assert_pack(b, outputs, depth, data, sums);
        self.kernels.pack_rows(b, outputs, depth, data, sums);
    }

    /// One window of attention: `query`, `keys` and `values` lie token by token, and so does `out`.
    pub fn attention_window(
        self,
        a: &WindowAttention,
        query: &[u8],
        keys: &[u8],
        values: &[u8],
        scratch: &mut Scratch,
        out: &mut [u8],
    ) {
        a.assert_shape();
        let (query, keys) = (&query[..a.tokens * a.keys], &keys[..a.tokens * a.keys]);
        let (values, out) = (&values[..a.tokens * a.values], &mut out[..a.tokens * a.values]);
        scratch.reserve(self, a);
        self.kernels.attention_window(a, query, keys, values, scratch, out);
    }
}

impl WindowAttention {
    /// Panics unless the numbers are multiples of what kernels take at once.
    fn assert_shape(&self) {
        let Self { tokens, keys, values, .. } = *self;
        let whole = tokens.is_multiple_of(8) && keys.is_multiple_of(4) && values.is_multiple_of(8);
        assert!(whole && keys > 0, "{tokens} tokens, keys of {keys} bytes, values of {values}");
    }
}
