//! The level's kernels behind one set of names, and the bounds that the fast ones stand on.

use super::level::Kind;
use super::{Add, Attend, Clamp, Depthwise, Gate, Level, Residual, Room, Taps, Weights, Window, attention, scalar};

#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "aarch64")]
use super::neon;
#[cfg(target_arch = "x86_64")]
use super::vnni;

/// The kernel of this name at this level. Dot product changes only the dense convolution.
macro_rules! kernel {
    ($level:expr, $name:ident ( $($argument:expr),* $(,)? )) => {
        match $level.0 {
            Kind::Scalar => scalar::$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => avx2::$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Kind::Vnni => vnni::$name($($argument),*),
            #[cfg(target_arch = "aarch64")]
            Kind::Neon | Kind::DotProd => neon::$name($($argument),*),
        }
    };
}

impl Level {
    /// Dense convolution of one row, or `pixels` rows of a matrix product.
    ///
    /// Output pixel `x` (its `weights.outputs` bytes) is written at `x * out_step`; it reads, for each tap,
    /// `window.run` bytes of `rows[tap.row]` from `x * tap.step + tap.offset`.
    #[allow(clippy::too_many_arguments)]
    pub fn conv_row(
        self,
        window: &Window,
        weights: &Weights,
        clamp: Clamp,
        residual: Option<&Residual>,
        rows: &[&[u8]],
        out: &mut [u8],
        out_step: usize,
        pixels: usize,
    ) {
        #[cfg(target_arch = "aarch64")]
        if self.0 == Kind::DotProd {
            return neon::conv_row_dot(window, weights, clamp, residual, rows, out, out_step, pixels);
        }
        kernel!(self, conv_row(window, weights, clamp, residual, rows, out, out_step, pixels));
    }

    /// [`Weights::arranged`]: the weights as the fastest kernel of the level that suits them reads them; nothing if it
    /// reads [`Weights::data`], which `data` is.
    pub fn arrange(self, window: &Window, outputs: usize, data: &[i8]) -> Vec<i8> {
        match self.0 {
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => neon::arrange(window, outputs, data),
            #[cfg(target_arch = "x86_64")]
            Kind::Vnni => vnni::arrange(window, outputs, data),
            _ => {
                let _ = (window, outputs, data);
                vec![]
            }
        }
    }

    /// Depth-wise 3x3 convolution of one row; `rows` begin at the leftmost tap of the first pixel.
    #[allow(clippy::too_many_arguments)]
    pub fn depthwise_row(
        self,
        weights: &Depthwise,
        clamp: Clamp,
        residual: Option<&Residual>,
        rows: [&[u8]; 3],
        out: &mut [u8],
        out_step: usize,
        pixels: usize,
    ) {
        kernel!(self, depthwise_row(weights, clamp, residual, rows, out, out_step, pixels));
    }

    /// Sum of two rows, byte by byte.
    pub fn add_row(self, add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
        kernel!(self, add_row(add, a, b, out));
    }

    /// Sum of two rows, where `repeat` bytes of `a` share a byte of `b`.
    pub fn add_spread_row(self, add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8]) {
        kernel!(self, add_spread_row(add, repeat, a, b, out));
    }

    /// Row `y` of the `n` rows of one-byte pixels that a row of pixels of `n * n` bytes shuffles to.
    pub fn shuffle_row(self, n: usize, y: usize, x: &[u8], out: &mut [u8]) {
        kernel!(self, shuffle_row(n, y, x, out));
    }

    /// Product of a row with a gate, `channels` bytes a pixel.
    pub fn gate_row(self, gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8]) {
        kernel!(self, gate_row(gate, channels, x, gates, out));
    }

    /// Mean over `count` neighbouring pixels. `bias` is `-count * zero_point`; `multiplier` holds `1 / count`.
    #[allow(clippy::too_many_arguments)]
    pub fn pool_columns(
        self,
        channels: usize,
        count: usize,
        bias: i32,
        multiplier: f32,
        clamp: Clamp,
        x: &[u8],
        out: &mut [u8],
    ) {
        kernel!(self, pool_columns(channels, count, bias, multiplier, clamp, x, out));
    }

    /// Mean over rows, byte by byte; `bias` and `multiplier` as in [`Level::pool_columns`].
    pub fn pool_rows(self, bias: i32, multiplier: f32, clamp: Clamp, rows: &[&[u8]], out: &mut [u8]) {
        kernel!(self, pool_rows(bias, multiplier, clamp, rows, out));
    }

    /// Planes of a row of interleaved pixels of 2 to 4 bytes, one after the other.
    pub fn split_row(self, channels: usize, row: &[u8], planes: &mut [u8]) {
        kernel!(self, split_row(channels, row, planes));
    }

    /// [`luma`](super::luma) of the pixels whose red, green and blue are in three planes.
    pub fn luma_row(self, planes: [&[u8]; 3], out: &mut [u8]) {
        kernel!(self, luma_row(planes, out));
    }

    /// Weighted sum of four rows of samples, in 1/64.
    pub fn blend_rows(self, weights: [i16; 4], rows: [&[u8]; 4], out: &mut [i16]) {
        kernel!(self, blend_rows(weights, rows, out));
    }

    /// A row enlarged by the number of phases: sample `x` of phase `p`, at `x * phases + p`, is the weighted sum of
    /// four neighbours, the first of them at `x + first`.
    pub fn enlarge_row(self, phases: &[Taps], row: &[i16], out: &mut [i16]) {
        kernel!(self, enlarge_row(phases, row, out));
    }

    /// Each sample as [`whole`](super::whole) rounds it.
    pub fn whole_row(self, fine: &[i16], out: &mut [u8]) {
        kernel!(self, whole_row(fine, out));
    }

    /// Interleaved red, green and blue of planes in 1/64, moved by as much as takes the last plane to `luma`. No sample
    /// lies further from 0..=255 than the filter overshoots, a quarter.
    pub fn shade_row(self, luma: &[u8], fine: [&[i16]; 4], out: &mut [u8]) {
        kernel!(self, shade_row(luma, fine, out));
    }

    /// [`Level::shade_row`] with alpha after blue, which is only rounded.
    pub fn shade_alpha_row(self, luma: &[u8], fine: [&[i16]; 5], out: &mut [u8]) {
        kernel!(self, shade_alpha_row(luma, fine, out));
    }

    /// Packs activations of zero point 128, `[outputs][depth]`, as weights; `sums` receives each output's sum.
    pub fn pack_columns(self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        kernel!(self, pack_columns(b, outputs, depth, data, sums));
    }

    /// Packs activations of zero point 128, `[depth][outputs]`, as weights; `sums` receives each output's sum.
    pub fn pack_rows(self, b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
        kernel!(self, pack_rows(b, outputs, depth, data, sums));
    }

    /// One window of attention: `query`, `keys` and `values` lie token by token, and so does `out`.
    pub fn attention_window(
        self,
        a: &Attend,
        query: &[u8],
        keys: &[u8],
        values: &[u8],
        room: &mut Room,
        out: &mut [u8],
    ) {
        #[cfg(target_arch = "x86_64")]
        if self.0 == Kind::Vnni && a.tokens == 64 {
            vnni::scores(a, query, keys, room);
            return attention::weighted(self, a, values, room, out);
        }
        attention::scores(self, a, query, keys, room);
        attention::weighted(self, a, values, room, out);
    }
}

/// Bytes of a row that `pixels` pixels touch, `step` apart, each from `start` over `length`; none without pixels.
///
/// Saturates, so that a distance beyond memory fails the comparison with a slice's length instead of wrapping.
pub(super) fn reach(pixels: usize, step: usize, start: usize, length: usize) -> usize {
    match pixels.checked_sub(1) {
        None => 0,
        Some(last) => last.saturating_mul(step).saturating_add(start).saturating_add(length),
    }
}

/// Panics unless a dense convolution of this shape stays inside its slices: a plan with a mistake must not
/// reach past them, whatever the level.
#[allow(clippy::too_many_arguments)]
pub(super) fn assert_conv(
    window: &Window,
    weights: &Weights,
    residual: Option<&Residual>,
    rows: &[&[u8]],
    out: &[u8],
    out_step: usize,
    pixels: usize,
) {
    let (padded, run) = (weights.padded(), window.run);
    assert!(run.is_multiple_of(4), "a run of {run} bytes is not a multiple of 4");
    let packed = window.taps.len().saturating_mul(run).saturating_mul(padded);
    assert!(weights.data.len() >= packed, "{} packed weights where {packed} are read", weights.data.len());
    assert!(weights.bias.len() >= padded && weights.multiplier.len() >= padded, "fewer than {padded} outputs");
    for tap in window.taps {
        let (have, want) = (rows[tap.row].len(), reach(pixels, tap.step, tap.offset, run));
        assert!(have >= want, "row {} of {have} bytes is read up to {want}", tap.row);
    }
    assert_written(out, out_step, residual, weights.outputs, pixels);
}

/// [`assert_conv`] for the depth-wise convolution.
pub(super) fn assert_depthwise(
    weights: &Depthwise,
    residual: Option<&Residual>,
    rows: [&[u8]; 3],
    out: &[u8],
    out_step: usize,
    pixels: usize,
) {
    let channels = weights.channels;
    assert!(channels.is_multiple_of(8), "{channels} channels are not a multiple of 8");
    assert!(weights.data.len() >= channels.saturating_mul(9), "fewer than 9 x {channels} weights");
    assert!(weights.bias.len() >= channels && weights.multiplier.len() >= channels, "fewer than {channels} channels");
    let want = reach(pixels, weights.step, weights.tap_step.saturating_mul(2), channels);
    for row in rows {
        assert!(row.len() >= want, "a row of {} bytes is read up to {want}", row.len());
    }
    assert_written(out, out_step, residual, channels, pixels);
}

/// The part of the bounds that both convolutions share: what is written, and what is added to it.
fn assert_written(out: &[u8], out_step: usize, residual: Option<&Residual>, outputs: usize, pixels: usize) {
    let want = reach(pixels, out_step, 0, outputs);
    assert!(out.len() >= want, "a row of {} bytes is written up to {want}", out.len());
    // Kernels write in an order of their own, so pixels must not overlap.
    assert!(pixels < 2 || out_step >= outputs, "pixels of {outputs} bytes lie {out_step} apart");
    if let Some(r) = residual {
        let want = reach(pixels, r.skip_step, 0, outputs);
        assert!(r.skip.len() >= want, "an addend of {} bytes is read up to {want}", r.skip.len());
    }
}
