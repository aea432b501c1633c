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

/// `out = x * gate`; pixels are `channels` bytes, and `repeat` of them share a pixel of the gate.
pub fn gate_row(gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8]) {
    if channels == 0 || !channels.is_multiple_of(8) {
        return scalar::gate_row(gate, channels, x, gates, out);
    }
    let bytes = x.len().min(out.len()) / channels * channels;
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
