//! Sums, gates and means of rows.

use std::arch::x86_64::*;

use super::finish;
use crate::kernels::{Add, Clamp, Gate, scalar};

/// `out = a + b`, byte by byte.
pub fn add_row(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    let whole = out.len().min(a.len()).min(b.len()) / 32 * 32;
    // SAFETY: AVX2 is there (see the module).
    unsafe { add_blocks(add, &a[..whole], &b[..whole], &mut out[..whole]) };
    scalar::add_row(add, &a[whole..], &b[whole..], &mut out[whole..]);
}

/// [`add_row`] for slices of the same length, a multiple of 32.
#[target_feature(enable = "avx2")]
fn add_blocks(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    for ((a, b), out) in a.chunks_exact(32).zip(b.chunks_exact(32)).zip(out.chunks_exact_mut(32)) {
        let value = |i: usize| {
            let a = finish::scaled(eight(a, i * 8), add.zeros[0], add.ratios[0]);
            let b = finish::scaled(eight(b, i * 8), add.zeros[1], add.ratios[1]);
            _mm256_add_ps(a, b)
        };
        let bytes = finish::place([value(0), value(1), value(2), value(3)], add.clamp);
        // SAFETY: `out` is a chunk of 32 bytes.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), bytes) };
    }
}

/// `out = a + b`, where `repeat` bytes of `a` share a byte of `b`.
pub fn add_spread_row(add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8]) {
    if repeat != 4 {
        return scalar::add_spread_row(add, repeat, a, b, out);
    }
    let whole = out.len().min(a.len()).min(b.len() * 4) / 32 * 32;
    // SAFETY: AVX2 is there (see the module).
    unsafe { add_spread_blocks(add, &a[..whole], &b[..whole / 4], &mut out[..whole]) };
    scalar::add_spread_row(add, repeat, &a[whole..], &b[whole / 4..], &mut out[whole..]);
}

/// [`add_spread_row`] by fours, for lengths of a multiple of 32, 8 and 32.
#[target_feature(enable = "avx2")]
fn add_spread_blocks(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    for ((a, b), out) in a.chunks_exact(32).zip(b.chunks_exact(8)).zip(out.chunks_exact_mut(32)) {
        let b = finish::scaled(eight(b, 0), add.zeros[1], add.ratios[1]);
        let value = |i: i32| {
            let a = finish::scaled(eight(a, i as usize * 8), add.zeros[0], add.ratios[0]);
            let (low, high) = (i * 2, i * 2 + 1);
            let shared = _mm256_setr_epi32(low, low, low, low, high, high, high, high);
            _mm256_add_ps(a, _mm256_permutevar8x32_ps(b, shared))
        };
        let bytes = finish::place([value(0), value(1), value(2), value(3)], add.clamp);
        // SAFETY: `out` is a chunk of 32 bytes.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), bytes) };
    }
}

/// Row `y` of the `n` rows that a row of `n * n` channels shuffles to: pixel `x` becomes `n` pixels of one byte.
pub fn shuffle_row(n: usize, y: usize, x: &[u8], out: &mut [u8]) {
    if n != 2 {
        return scalar::shuffle_row(n, y, x, out);
    }
    let whole = out.len().min(x.len() / 2) / 32 * 32;
    // SAFETY: AVX2 is there (see the module).
    unsafe { shuffle_blocks(y, &x[..whole * 2], &mut out[..whole]) };
    scalar::shuffle_row(n, y, &x[whole * 2..], &mut out[whole..]);
}

/// [`shuffle_row`] for pixels of four bytes: keeps the first two of each or the last two. `x` has twice the length of
/// `out`, a multiple of 32.
#[target_feature(enable = "avx2")]
fn shuffle_blocks(y: usize, x: &[u8], out: &mut [u8]) {
    let shift = _mm_cvtsi32_si128(y as i32 * 16);
    for (x, out) in x.chunks_exact(64).zip(out.chunks_exact_mut(32)) {
        // SAFETY: `x` is a chunk of 64 bytes.
        let (a, b) = unsafe { (_mm256_loadu_si256(x.as_ptr().cast()), _mm256_loadu_si256(x[32..].as_ptr().cast())) };
        let half = |x| _mm256_and_si256(_mm256_srl_epi32(x, shift), _mm256_set1_epi32(0xffff));
        // Packing works within 128-bit halves.
        let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(half(a), half(b)));
        // SAFETY: `out` is a chunk of 32 bytes.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), packed) };
    }
}

/// `out = x * gate`; pixels are `channels` bytes, and `repeat` of them share a pixel of the gate.
pub fn gate_row(gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8]) {
    if channels == 0 || !channels.is_multiple_of(8) {
        return scalar::gate_row(gate, channels, x, gates, out);
    }
    let bytes = x.len().min(out.len()) / channels * channels;
    if gate.repeat == 1 {
        // SAFETY: AVX2 is there (see the module).
        return unsafe { gate_bytes(gate, &x[..bytes], &gates[..bytes], &mut out[..bytes]) };
    }
    let shared = gate.repeat * channels;
    for (i, (x, out)) in x[..bytes].chunks(shared).zip(out[..bytes].chunks_mut(shared)).enumerate() {
        // SAFETY: AVX2 is there (see the module).
        unsafe { gate_pixels(gate, x, &gates[i * channels..][..channels], out) };
    }
}

/// [`gate_row`] for whole pixels that share the gate's pixel `g`, a multiple of eight channels.
///
/// Both factors are small integers, so their product is exact in floats, as it is in 32 bits.
#[target_feature(enable = "avx2")]
fn gate_pixels(gate: &Gate, x: &[u8], g: &[u8], out: &mut [u8]) {
    let (channels, pixels) = (g.len(), x.len() / g.len());
    let multiplier = _mm256_set1_ps(gate.multiplier);
    for c in (0..channels).step_by(8) {
        let g = finish::centred(eight(g, c), gate.zeros[1]);
        for p in (0..pixels).step_by(4) {
            // Past the last pixel the last one again.
            let at = |i: usize| (p + i).min(pixels - 1) * channels + c;
            let value = |i: usize| {
                let product = _mm256_mul_ps(finish::centred(eight(x, at(i)), gate.zeros[0]), g);
                _mm256_mul_ps(product, multiplier)
            };
            let bytes = finish::place([value(0), value(1), value(2), value(3)], gate.clamp);
            for (i, bytes) in finish::groups(bytes).into_iter().enumerate() {
                write(bytes, out, at(i));
            }
        }
    }
}

/// [`gate_row`] without repetition, for slices of the same length, a multiple of eight.
#[target_feature(enable = "avx2")]
fn gate_bytes(gate: &Gate, x: &[u8], g: &[u8], out: &mut [u8]) {
    let multiplier = _mm256_set1_ps(gate.multiplier);
    for ((x, g), out) in x.chunks(32).zip(g.chunks(32)).zip(out.chunks_mut(32)) {
        // Past the last eight bytes those again.
        let at = |i: usize| (i * 8).min(x.len() - 8);
        let value = |i: usize| {
            let (x, g) = (eight(x, at(i)), eight(g, at(i)));
            let product = _mm256_mul_ps(finish::centred(x, gate.zeros[0]), finish::centred(g, gate.zeros[1]));
            _mm256_mul_ps(product, multiplier)
        };
        let bytes = finish::place([value(0), value(1), value(2), value(3)], gate.clamp);
        for (i, bytes) in finish::groups(bytes).into_iter().enumerate() {
            write(bytes, out, at(i));
        }
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
            // SAFETY: AVX2 is there (see the module).
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
        // SAFETY: AVX2 is there (see the module).
        unsafe { mean(places, bias, multiplier, clamp, &mut out[at..]) };
    }
}

/// Requantised sum of eight bytes from each place.
#[target_feature(enable = "avx2")]
fn mean<'a>(places: impl Iterator<Item = (&'a [u8], usize)>, bias: i32, multiplier: f32, clamp: Clamp, out: &mut [u8]) {
    let mut sum = _mm256_set1_epi32(bias);
    for (bytes, at) in places {
        sum = _mm256_add_epi32(sum, _mm256_cvtepu8_epi32(eight(bytes, at)));
    }
    let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(multiplier));
    write(_mm256_castsi256_si128(finish::place([value; 4], clamp)), out, 0);
}

/// Eight bytes at `at`.
#[target_feature(enable = "avx2")]
#[inline]
fn eight(bytes: &[u8], at: usize) -> __m128i {
    let bytes = &bytes[at..at + 8];
    // SAFETY: the slice has eight bytes.
    unsafe { finish::load(bytes.as_ptr(), 8) }
}

/// Writes the low eight bytes at `at`.
#[target_feature(enable = "avx2")]
#[inline]
fn write(bytes: __m128i, out: &mut [u8], at: usize) {
    let out = &mut out[at..at + 8];
    // SAFETY: the slice has eight bytes.
    unsafe { finish::store(bytes, out.as_mut_ptr(), 8) };
}
