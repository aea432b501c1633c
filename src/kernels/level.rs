//! A level of this processor, and its kernels under one set of names.

use serde::Serialize;

use super::contract::{
    Add, Depthwise, FilterPhase, Gate, Kernels, PackedDepthwise, PackedWeights, Pool, Scratch, Table, Weights, Window,
    WindowAttention, assert_pack,
};
use super::isa::{Isa, TABLE};
use super::scalar;

/// Proof that the processor has what the kernels of this level need: it cannot be made otherwise.
#[derive(Clone, Copy)]
pub struct Level {
    isa: &'static Isa,
    kernels: &'static Kernels,
}

/// A level that this processor, or this build, lacks.
#[derive(Debug, thiserror::Error)]
#[error("level '{name}' is not available here; this processor has: {have}")]
pub struct Unavailable {
    name: String,
    have: String,
}

impl Level {
    /// The plain kernels, on any processor.
    pub const SCALAR: Self = Self { isa: &TABLE[0], kernels: &scalar::KERNELS };

    /// All levels of this processor, slowest first.
    pub fn all() -> Vec<Self> {
        let of = |isa: &'static Isa| {
            let form = isa.forms.iter().find(|form| (form.detected)())?;
            Some(Self { isa, kernels: form.kernels })
        };
        TABLE.iter().filter_map(of).collect()
    }

    /// The fastest level of this processor.
    pub fn best() -> Self {
        *Self::all().last().unwrap_or(&Self::SCALAR)
    }

    /// A level by name, if this processor has it.
    pub fn named(name: &str) -> Result<Self, Unavailable> {
        let all = Self::all();
        all.iter().copied().find(|l| l.name() == name).ok_or_else(|| Unavailable {
            name: name.to_string(),
            have: all.iter().map(|l| l.name()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        self.isa.name
    }

    /// Its row of the table.
    #[doc(hidden)]
    pub fn isa(self) -> &'static Isa {
        self.isa
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
        PackedDepthwise::new(self.kernels, weights)
    }

    /// Sum of two rows, byte by byte.
    pub fn add_row(self, add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
        (self.kernels.add_row)(add, a, b, out);
    }

    /// Sum of two rows, where `repeat` bytes of `a` share a byte of `b`.
    pub fn add_spread_row(self, add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8]) {
        (self.kernels.add_spread_row)(add, repeat, a, b, out);
    }

    /// Row `y` of the `n` rows of one-byte pixels that a row of pixels of `n * n` bytes shuffles to.
    pub fn shuffle_row(self, n: usize, y: usize, x: &[u8], out: &mut [u8]) {
        (self.kernels.shuffle_row)(n, y, x, out);
    }

    /// Product of a row with a gate, `channels` bytes a pixel.
    pub fn gate_row(self, gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8]) {
        (self.kernels.gate_row)(gate, channels, x, gates, out);
    }

    /// Mean over `pool.count` neighbouring pixels of a row, `channels` bytes a pixel.
    pub fn pool_columns(self, pool: &Pool, channels: usize, x: &[u8], out: &mut [u8]) {
        (self.kernels.pool_columns)(pool, channels, x, out);
    }

    /// Mean over `pool.count` rows, byte by byte.
    pub fn pool_rows(self, pool: &Pool, rows: &[&[u8]], out: &mut [u8]) {
        (self.kernels.pool_rows)(pool, rows, out);
    }

    /// Each byte of a row through a table: the only one, or that of its channel; `channels` bytes a pixel.
    pub fn table_row(self, tables: &[Table], channels: usize, x: &[u8], out: &mut [u8]) {
        (self.kernels.table_row)(tables, channels, x, out);
    }

    /// Planes of a row of interleaved pixels of 2 to 4 bytes, one after the other.
    pub fn split_row(self, channels: usize, row: &[u8], planes: &mut [u8]) {
        (self.kernels.split_row)(channels, row, planes);
    }

    /// [`luma`](super::luma) of the pixels whose red, green and blue are in three planes.
    pub fn luma_row(self, planes: [&[u8]; 3], out: &mut [u8]) {
        (self.kernels.luma_row)(planes, out);
    }

    /// Weighted sum of four rows of samples, in 1/64.
    pub fn blend_rows(self, weights: [i16; 4], rows: [&[u8]; 4], out: &mut [i16]) {
        (self.kernels.blend_rows)(weights, rows, out);
    }

    /// A row enlarged by the number of phases: sample `x` of phase `p`, at `x * phases + p`, is the weighted sum of
    /// four neighbours, the first of them at `x + first`.
    pub fn enlarge_row(self, phases: &[FilterPhase], row: &[i16], out: &mut [i16]) {
        (self.kernels.enlarge_row)(phases, row, out);
    }

    /// Each sample as [`round_sample`](super::round_sample) rounds it.
    pub fn round_row(self, fine: &[i16], out: &mut [u8]) {
        (self.kernels.round_row)(fine, out);
    }

    /// Interleaved red, green and blue of planes in 1/64, moved by as much as takes the last plane to `luma`. No sample
    /// lies further from 0..=255 than the filter overshoots, a quarter.
    pub fn shade_row(self, luma: &[u8], fine: [&[i16]; 4], out: &mut [u8]) {
        (self.kernels.shade_row)(luma, fine, out);
    }

    /// [`Level::shade_row`] with alpha after blue, which is only rounded.
    pub fn shade_alpha_row(self, luma: &[u8], fine: [&[i16]; 5], out: &mut [u8]) {
        (self.kernels.shade_alpha_row)(luma, fine, out);
    }

    /// Packs activations of zero point 128, `[outputs][depth]` (one output's weights lie together, as keys do), as
    /// [`Weights::data`] has them; `sums` receives each output's sum. `outputs` is a multiple of 8, `depth` of 4.
    pub fn pack_columns(self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        assert_pack(b, outputs, depth, data, sums);
        (self.kernels.pack_columns)(b, outputs, depth, data, sums);
    }

    /// [`Level::pack_columns`] for activations that lie as `[depth][outputs]`, as values do.
    pub fn pack_rows(self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        assert_pack(b, outputs, depth, data, sums);
        (self.kernels.pack_rows)(b, outputs, depth, data, sums);
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
        scratch.grow(self.kernels, a);
        (self.kernels.attention.window)(self.kernels, Window::new(a, query, keys, values, out), scratch);
    }

    /// Grows `scratch` to what windows of this kind need.
    pub fn reserve(self, a: &WindowAttention, scratch: &mut Scratch) {
        scratch.grow(self.kernels, a);
    }
}

impl std::fmt::Debug for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Level {}

impl Serialize for Level {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}
