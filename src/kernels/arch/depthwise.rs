//! Depth-wise 3x3 convolution, eight channels at a time, over a few operations on a level's registers.
//!
//! Like the `drivers` it is always inlined into a function that has the level's target features, and uses no closures.

use crate::kernels::contract::DepthwiseRow;
use crate::kernels::drivers::blocks;

/// Eight channels of `P` pixels.
///
/// The functions may be called only where the level is, with a row that has been checked (see [`DepthwiseRow`]).
pub trait Channels<const P: usize> {
    /// What eight channels need at every pixel.
    type Strip;
    /// Values of eight channels of a pixel, in f32.
    type Values: Copy;

    /// # Safety
    ///
    /// `channel + 8` is at most the row's channels.
    unsafe fn strip(row: &DepthwiseRow, channel: usize) -> Self::Strip;

    /// The sums of a pixel, scaled. Each of `rows` is where the first tap of it reads.
    ///
    /// # Safety
    ///
    /// The strip's channels may be read at three taps of each row, `tap_step` apart.
    unsafe fn values(strip: &Self::Strip, rows: [*const u8; 3], tap_step: usize) -> Self::Values;

    /// What the contract's formula of a residual rounds, that of the strip's row.
    ///
    /// # Safety
    ///
    /// Eight bytes may be read at `skip`.
    unsafe fn add(strip: &Self::Strip, values: Self::Values, skip: *const u8) -> Self::Values;

    /// Rounds, clamps and writes the first `count` of the pixels, `step` apart.
    ///
    /// # Safety
    ///
    /// Eight bytes may be written there.
    unsafe fn write(strip: &Self::Strip, values: [Self::Values; P], count: usize, out: *mut u8, step: usize);
}

/// One row; the weights of eight channels stay in registers.
#[inline(always)]
pub fn row<const P: usize, C: Channels<P>>(mut row: DepthwiseRow) {
    let (out, pixels) = (row.take_out(), row.pixels);
    for channel in (0..row.channels).step_by(8) {
        // SAFETY: there are eight channels from `channel`, a multiple of 8 as their number is; each block's pixels are
        // below `pixels`.
        unsafe {
            let strip = C::strip(&row, channel);
            if pixels >= P {
                for x in blocks(pixels, P) {
                    block::<P, P, C>(&row, out, &strip, channel, x);
                }
            } else {
                for x in 0..pixels {
                    block::<P, 1, C>(&row, out, &strip, channel, x);
                }
            }
        }
    }
}

/// `N` pixels from `x`, one or `P`.
///
/// # Safety
///
/// The row has `x + N` pixels or more, and eight channels from `channel`, those of the strip.
#[inline(always)]
unsafe fn block<const P: usize, const N: usize, C: Channels<P>>(
    row: &DepthwiseRow,
    out: *mut u8,
    strip: &C::Strip,
    channel: usize,
    x: usize,
) {
    // SAFETY: rows reach past all channels of the last tap of the last pixel, the addend and `out` have all channels at
    // every pixel.
    unsafe {
        let mut values = [pixel::<P, C>(row, strip, channel, x); P];
        let mut p = 1;
        while p < N {
            values[p] = pixel::<P, C>(row, strip, channel, x + p);
            p += 1;
        }
        C::write(strip, values, N, out.add(x * row.out_step + channel), row.out_step);
    }
}

/// Pixel `x`, with what is added to it.
///
/// # Safety
///
/// The row has the pixel, and eight channels from `channel`, those of the strip.
#[inline(always)]
unsafe fn pixel<const P: usize, C: Channels<P>>(
    row: &DepthwiseRow,
    strip: &C::Strip,
    channel: usize,
    x: usize,
) -> C::Values {
    let at = x * row.step + channel;
    // SAFETY: as for `block`.
    unsafe {
        let rows = [row.rows[0].as_ptr().add(at), row.rows[1].as_ptr().add(at), row.rows[2].as_ptr().add(at)];
        let values = C::values(strip, rows, row.tap_step);
        match &row.epilogue.residual {
            None => values,
            Some(r) => C::add(strip, values, r.skip.as_ptr().add(x * r.skip_step + channel)),
        }
    }
}
