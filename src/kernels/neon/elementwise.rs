//! Sums, gates and means of rows.

use std::arch::aarch64::*;

use super::finish::{self, Eight};
use crate::kernels::{Add, Clamp, Gate, scalar};

/// `out = a + b`, byte by byte.
pub fn add_row(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    let whole = out.len().min(a.len()).min(b.len()) / 16 * 16;
    // SAFETY: NEON is there (see the module).
    unsafe { add_blocks(add, &a[..whole], &b[..whole], &mut out[..whole]) };
    scalar::add_row(add, &a[whole..], &b[whole..], &mut out[whole..]);
}

/// [`add_row`] for slices of the same length, a multiple of 16.
#[target_feature(enable = "neon")]
fn add_blocks(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    for ((a, b), out) in a.chunks_exact(16).zip(b.chunks_exact(16)).zip(out.chunks_exact_mut(16)) {
        let value = |at: usize| -> Eight {
            let a = finish::scaled(eight(a, at), add.zeros[0], add.ratios[0]);
            let b = finish::scaled(eight(b, at), add.zeros[1], add.ratios[1]);
            [vaddq_f32(a[0], b[0]), vaddq_f32(a[1], b[1])]
        };
        let bytes = finish::place([value(0), value(8)], add.clamp);
        write(bytes[0], out, 0);
        write(bytes[1], out, 8);
    }
}

/// `out = a + b`, where `repeat` bytes of `a` share a byte of `b`.
pub fn add_spread_row(add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8]) {
    if repeat != 4 {
        return scalar::add_spread_row(add, repeat, a, b, out);
    }
    let whole = out.len().min(a.len()).min(b.len() * 4) / 32 * 32;
    // SAFETY: NEON is there (see the module).
    unsafe { add_spread_blocks(add, &a[..whole], &b[..whole / 4], &mut out[..whole]) };
    scalar::add_spread_row(add, repeat, &a[whole..], &b[whole / 4..], &mut out[whole..]);
}

/// [`add_spread_row`] by fours, for lengths of a multiple of 32, 8 and 32.
#[target_feature(enable = "neon")]
fn add_spread_blocks(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    for ((a, b), out) in a.chunks_exact(32).zip(b.chunks_exact(8)).zip(out.chunks_exact_mut(32)) {
        let b = finish::scaled(eight(b, 0), add.zeros[1], add.ratios[1]);
        let sum = |at: usize, first: float32x4_t, second: float32x4_t| -> Eight {
            let a = finish::scaled(eight(a, at), add.zeros[0], add.ratios[0]);
            [vaddq_f32(a[0], first), vaddq_f32(a[1], second)]
        };
        for (half, b) in b.into_iter().enumerate() {
            let at = half * 16;
            let low = sum(at, vdupq_laneq_f32::<0>(b), vdupq_laneq_f32::<1>(b));
            let high = sum(at + 8, vdupq_laneq_f32::<2>(b), vdupq_laneq_f32::<3>(b));
            let bytes = finish::place([low, high], add.clamp);
            write(bytes[0], out, at);
            write(bytes[1], out, at + 8);
        }
    }
}

/// Row `y` of the `n` rows that a row of `n * n` channels shuffles to: pixel `x` becomes `n` pixels of one byte.
pub fn shuffle_row(n: usize, y: usize, x: &[u8], out: &mut [u8]) {
    if n != 2 {
        return scalar::shuffle_row(n, y, x, out);
    }
    let whole = out.len().min(x.len() / 2) / 16 * 16;
    // SAFETY: NEON is there (see the module).
    unsafe { shuffle_blocks(y, &x[..whole * 2], &mut out[..whole]) };
    scalar::shuffle_row(n, y, &x[whole * 2..], &mut out[whole..]);
}

/// [`shuffle_row`] for pixels of four bytes: keeps the first two of each or the last two. `x` has twice the length of
/// `out`, a multiple of 16.
#[target_feature(enable = "neon")]
fn shuffle_blocks(y: usize, x: &[u8], out: &mut [u8]) {
    for (x, out) in x.chunks_exact(32).zip(out.chunks_exact_mut(16)) {
        // SAFETY: `x` is a chunk of 32 bytes.
        let (a, b) = unsafe { (vld1q_u8(x.as_ptr()), vld1q_u8(x[16..].as_ptr())) };
        let (a, b) = (vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b));
        let halves = if y == 0 { vuzp1q_u16(a, b) } else { vuzp2q_u16(a, b) };
        // SAFETY: `out` is a chunk of 16 bytes.
        unsafe { vst1q_u8(out.as_mut_ptr(), vreinterpretq_u8_u16(halves)) };
    }
}

/// `out = x * gate`; pixels are `channels` bytes, and `repeat` of them share a pixel of the gate.
pub fn gate_row(gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8]) {
    if channels == 0 || !channels.is_multiple_of(8) {
        return scalar::gate_row(gate, channels, x, gates, out);
    }
    let bytes = x.len().min(out.len()) / channels * channels;
    if gate.repeat == 1 {
        // SAFETY: NEON is there (see the module).
        return unsafe { gate_bytes(gate, &x[..bytes], &gates[..bytes], &mut out[..bytes]) };
    }
    let shared = gate.repeat * channels;
    for (i, (x, out)) in x[..bytes].chunks(shared).zip(out[..bytes].chunks_mut(shared)).enumerate() {
        // SAFETY: NEON is there (see the module).
        unsafe { gate_pixels(gate, x, &gates[i * channels..][..channels], out) };
    }
}

/// [`gate_row`] for whole pixels that share the gate's pixel `g`, a multiple of eight channels.
///
/// Both factors are small integers, so their product is exact in floats, as it is in 32 bits.
#[target_feature(enable = "neon")]
fn gate_pixels(gate: &Gate, x: &[u8], g: &[u8], out: &mut [u8]) {
    let (channels, pixels) = (g.len(), x.len() / g.len());
    let multiplier = vdupq_n_f32(gate.multiplier);
    for c in (0..channels).step_by(8) {
        let g = finish::centred(eight(g, c), gate.zeros[1]);
        for p in (0..pixels).step_by(2) {
            // Past the last pixel the last one again.
            let at = |i: usize| (p + i).min(pixels - 1) * channels + c;
            let value = |i: usize| -> Eight {
                let x = finish::centred(eight(x, at(i)), gate.zeros[0]);
                [0, 1].map(|half| vmulq_f32(vmulq_f32(x[half], g[half]), multiplier))
            };
            let bytes = finish::place([value(0), value(1)], gate.clamp);
            write(bytes[0], out, at(0));
            write(bytes[1], out, at(1));
        }
    }
}

/// [`gate_row`] without repetition, for slices of the same length, a multiple of eight.
#[target_feature(enable = "neon")]
fn gate_bytes(gate: &Gate, x: &[u8], g: &[u8], out: &mut [u8]) {
    let multiplier = vdupq_n_f32(gate.multiplier);
    for ((x, g), out) in x.chunks(16).zip(g.chunks(16)).zip(out.chunks_mut(16)) {
        // Past the last eight bytes those again.
        let second = x.len() - 8;
        let value = |at: usize| -> Eight {
            let (x, g) = (finish::centred(eight(x, at), gate.zeros[0]), finish::centred(eight(g, at), gate.zeros[1]));
            [0, 1].map(|half| vmulq_f32(vmulq_f32(x[half], g[half]), multiplier))
        };
        let bytes = finish::place([value(0), value(second)], gate.clamp);
        write(bytes[0], out, 0);
        write(bytes[1], out, second);
    }
}

/// Mean over `count` neighbouring pixels of a row. `bias` is `-count * zero_point`, `multiplier` holds `1 / count`.
pub fn pool_columns(channels: usize, count: usize, bias: i32, multiplier: f32, clamp: Clamp, x: &[u8], out: &mut [u8]) {
    if !channels.is_multiple_of(8) {
        return scalar::pool_columns(channels, count, bias, multiplier, clamp, x, out);
    }
    for (x, out) in x.chunks_exact(channels * count).zip(out.chunks_exact_mut(channels)) {
        for c in (0..channels).step_by(8) {
            let places = (0..count).map(|p| (x, p * channels + c));
            // SAFETY: NEON is there (see the module).
            unsafe { mean(places, bias, multiplier, clamp, &mut out[c..]) };
        }
    }
}

/// Mean over rows, byte by byte. `bias` and `multiplier` as in [`pool_columns`].
pub fn pool_rows(bias: i32, multiplier: f32, clamp: Clamp, rows: &[&[u8]], out: &mut [u8]) {
    let Some(last) = out.len().checked_sub(8) else {
        return scalar::pool_rows(bias, multiplier, clamp, rows, out);
    };
    for at in (0..out.len()).step_by(8) {
        // The last eight bytes may overlap those before, and come out the same.
        let at = at.min(last);
        let places = rows.iter().map(|row| (*row, at));
        // SAFETY: NEON is there (see the module).
        unsafe { mean(places, bias, multiplier, clamp, &mut out[at..]) };
    }
}

/// Requantised sum of eight bytes from each place.
#[target_feature(enable = "neon")]
fn mean<'a>(places: impl Iterator<Item = (&'a [u8], usize)>, bias: i32, multiplier: f32, clamp: Clamp, out: &mut [u8]) {
    let mut sums = [vdupq_n_s32(bias); 2];
    for (bytes, at) in places {
        let bytes = vreinterpretq_s16_u16(vmovl_u8(eight(bytes, at)));
        sums = [vaddw_s16(sums[0], vget_low_s16(bytes)), vaddw_high_s16(sums[1], bytes)];
    }
    let value = finish::scale(sums, [vdupq_n_f32(multiplier); 2]);
    write(finish::place([value; 2], clamp)[0], out, 0);
}

/// Eight bytes at `at`.
#[target_feature(enable = "neon")]
#[inline]
fn eight(bytes: &[u8], at: usize) -> uint8x8_t {
    let bytes = &bytes[at..at + 8];
    // SAFETY: the slice has eight bytes.
    unsafe { finish::load(bytes.as_ptr(), 8) }
}

/// Writes eight bytes at `at`.
#[target_feature(enable = "neon")]
#[inline]
fn write(bytes: uint8x8_t, out: &mut [u8], at: usize) {
    let out = &mut out[at..at + 8];
    // SAFETY: the slice has eight bytes.
    unsafe { finish::store(bytes, out.as_mut_ptr(), 8) };
}
