//! The bounds that the levels' pointers stand on, checked once for every call.
//!
//! A plan with a mistake must not reach past its slices, whatever the level: the calls below exist only when they have
//! passed, and kernels get nothing else.

use super::shapes::{Epilogue, Output, Tap, WindowAttention};

/// That a call was made here.
#[derive(Clone, Copy, Debug)]
struct Checked;

/// One row of a dense convolution, or of a matrix product.
///
/// What holds: `run` is a multiple of 4. For every tap, `rows[tap.row]` has `run` bytes from `x * tap.step + tap.offset` for
/// each of the `pixels`. `bias` and `multiplier` have `outputs` rounded up to a multiple of 8. `out`, and the addend if there is
/// one, have `outputs` bytes at each pixel; written pixels do not overlap.
#[derive(Debug)]
pub struct ConvRow<'a> {
    pub taps: &'a [Tap],
    pub run: usize,
    pub outputs: usize,
    pub bias: &'a [i32],
    pub multiplier: &'a [f32],
    pub epilogue: Epilogue<'a>,
    pub rows: &'a [&'a [u8]],
    pub out: &'a mut [u8],
    pub out_step: usize,
    pub pixels: usize,
    _checked: Checked,
}

impl<'a> ConvRow<'a> {
    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    pub(in crate::kernels) fn new(
        taps: &'a [Tap],
        run: usize,
        outputs: usize,
        bias: &'a [i32],
        multiplier: &'a [f32],
        epilogue: &Epilogue<'a>,
        rows: &'a [&'a [u8]],
        output: &'a mut Output,
    ) -> Self {
        let padded = outputs.next_multiple_of(8);
        assert!(run.is_multiple_of(4), "a run of {run} bytes is not a multiple of 4");
        assert!(bias.len() >= padded && multiplier.len() >= padded, "fewer than {padded} outputs");
        for tap in taps {
            let (have, want) = (rows[tap.row].len(), reach(output.pixels, tap.step, tap.offset, run));
            assert!(have >= want, "row {} of {have} bytes is read up to {want}", tap.row);
        }
        assert_output(epilogue, outputs, output);
        let (out_step, pixels, out) = (output.step, output.pixels, &mut *output.bytes);
        let epilogue = *epilogue;
        Self { taps, run, outputs, bias, multiplier, epilogue, rows, out, out_step, pixels, _checked: Checked }
    }

    /// Where the row is written: for a kernel that writes with pointers, and owns the row.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub fn take_out(&mut self) -> *mut u8 {
        std::mem::take(&mut self.out).as_mut_ptr()
    }

    /// Outputs rounded up to a multiple of 8.
    pub fn padded(&self) -> usize {
        self.outputs.next_multiple_of(8)
    }
}

/// One row of a depth-wise 3x3 convolution.
///
/// What holds: `channels` is a multiple of 8; there are nine times as many weights, and as many entries of `bias` and
/// `multiplier`. Each row has the channels at every tap of every pixel. `out`, and the addend if there is one, have them at each
/// pixel; written pixels do not overlap.
#[derive(Debug)]
pub struct DepthwiseRow<'a> {
    pub data: &'a [i8],
    pub bias: &'a [i32],
    pub multiplier: &'a [f32],
    pub channels: usize,
    /// Bytes from one pixel of the input to the next.
    pub step: usize,
    /// Bytes from one tap of a row to the next.
    pub tap_step: usize,
    pub epilogue: Epilogue<'a>,
    pub rows: [&'a [u8]; 3],
    pub out: &'a mut [u8],
    pub out_step: usize,
    pub pixels: usize,
    _checked: Checked,
}

impl<'a> DepthwiseRow<'a> {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        data: &'a [i8],
        bias: &'a [i32],
        multiplier: &'a [f32],
        channels: usize,
        [step, tap_step]: [usize; 2],
        epilogue: &Epilogue<'a>,
        rows: [&'a [u8]; 3],
        output: &'a mut Output,
    ) -> Self {
        assert!(channels.is_multiple_of(8), "{channels} channels are not a multiple of 8");
        assert!(data.len() >= channels.saturating_mul(9), "fewer than 9 x {channels} weights");
        assert!(bias.len() >= channels && multiplier.len() >= channels, "fewer than {channels} channels");
        let want = reach(output.pixels, step, tap_step.saturating_mul(2), channels);
        for row in rows {
            assert!(row.len() >= want, "a row of {} bytes is read up to {want}", row.len());
        }
        assert_output(epilogue, channels, output);
        let (out_step, pixels, out) = (output.step, output.pixels, &mut *output.bytes);
        let (epilogue, _checked) = (*epilogue, Checked);
        Self { data, bias, multiplier, channels, step, tap_step, epilogue, rows, out, out_step, pixels, _checked }
    }

    /// See [`ConvRow::take_out`].
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub fn take_out(&mut self) -> *mut u8 {
        std::mem::take(&mut self.out).as_mut_ptr()
    }
}

/// A window of attention: tokens lie one after the other.
///
/// What holds: tokens and values are multiples of 8, keys of 4, and none is zero; the slices are as long as `a` says.
#[derive(Debug)]
pub struct Window<'a> {
    pub a: &'a WindowAttention,
    pub query: &'a [u8],
    pub keys: &'a [u8],
    pub values: &'a [u8],
    pub out: &'a mut [u8],
    _checked: Checked,
}

impl<'a> Window<'a> {
    pub(in crate::kernels) fn new(
        a: &'a WindowAttention,
        query: &'a [u8],
        keys: &'a [u8],
        values: &'a [u8],
        out: &'a mut [u8],
    ) -> Self {
        let WindowAttention { tokens, keys: key, values: value, .. } = *a;
        let whole = tokens.is_multiple_of(8) && key.is_multiple_of(4) && value.is_multiple_of(8);
        assert!(whole && key > 0, "{tokens} tokens, keys of {key} bytes, values of {value}");
        let (query, keys) = (&query[..tokens * key], &keys[..tokens * key]);
        Self { a, query, keys, values: &values[..tokens * value], out: &mut out[..tokens * value], _checked: Checked }
    }
}

/// Bytes of a row that `pixels` pixels touch, `step` apart, each from `start` over `length`; none without pixels.
///
/// Saturates, so that a distance beyond memory fails the comparison with a slice's length instead of wrapping.
#[inline]
fn reach(pixels: usize, step: usize, start: usize, length: usize) -> usize {
    match pixels.checked_sub(1) {
        None => 0,
        Some(last) => last.saturating_mul(step).saturating_add(start).saturating_add(length),
    }
}

/// What both convolutions share: what is written, and what is added to it.
#[inline]
fn assert_output(epilogue: &Epilogue, outputs: usize, output: &Output) {
    let Output { ref bytes, step, pixels } = *output;
    let want = reach(pixels, step, 0, outputs);
    assert!(bytes.len() >= want, "a row of {} bytes is written up to {want}", bytes.len());
    // Kernels write in an order of their own, so pixels must not overlap.
    assert!(pixels < 2 || step >= outputs, "pixels of {outputs} bytes lie {step} apart");
    if let Some(r) = &epilogue.residual {
        let want = reach(pixels, r.skip_step, 0, outputs);
        assert!(r.skip.len() >= want, "an addend of {} bytes is read up to {want}", r.skip.len());
    }
}

/// What packing activations relies on, in both directions.
pub fn assert_pack(b: &[u8], outputs: usize, depth: usize, data: &[i8], sums: &[i32]) {
    assert!(outputs.is_multiple_of(8) && depth.is_multiple_of(4), "{outputs} outputs, depth {depth}");
    let bytes = outputs.saturating_mul(depth);
    assert!(b.len() >= bytes && data.len() >= bytes, "fewer than {bytes} bytes");
    assert!(sums.len() >= outputs, "fewer than {outputs} sums");
}
