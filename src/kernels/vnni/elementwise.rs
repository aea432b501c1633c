//! Sums and gates of rows.

use std::arch::x86_64::*;

use super::finish::{self, Rule};
use crate::kernels::{Add, Gate, avx2, scalar};

/// `out = a + b`, byte by byte.
pub fn add_row(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    let whole = out.len().min(a.len()).min(b.len()) / 64 * 64;
    // SAFETY: the level is there (see the module).
    unsafe { add_blocks(add, &a[..whole], &b[..whole], &mut out[..whole]) };
    scalar::add_row(add, &a[whole..], &b[whole..], &mut out[whole..]);
}

/// [`add_row`] for slices of the same length, a multiple of 64.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn add_blocks(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    let rule = Rule::new(add.clamp, None);
    let [a_scaled, b_scaled] = [Scaled::new(add, 0), Scaled::new(add, 1)];
    for ((a, b), out) in a.chunks_exact(64).zip(b.chunks_exact(64)).zip(out.chunks_exact_mut(64)) {
        let (a, b) = (words(a), words(b));
        let value = |v: usize| _mm512_add_ps(a_scaled.of(a[v]), b_scaled.of(b[v]));
        write(rule.place([value(0), value(1), value(2), value(3)]), out);
    }
}

/// `out = a + b`, where `repeat` bytes of `a` share a byte of `b`.
pub fn add_spread_row(add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8]) {
    if repeat != 4 {
        return avx2::add_spread_row(add, repeat, a, b, out);
    }
    let whole = out.len().min(a.len()).min(b.len() * 4) / 64 * 64;
    // SAFETY: the level is there (see the module).
    unsafe { add_spread_blocks(add, &a[..whole], &b[..whole / 4], &mut out[..whole]) };
    scalar::add_spread_row(add, repeat, &a[whole..], &b[whole / 4..], &mut out[whole..]);
}

/// [`add_spread_row`] by fours, for lengths of a multiple of 64, 16 and 64.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn add_spread_blocks(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    let rule = Rule::new(add.clamp, None);
    let [a_scaled, b_scaled] = [Scaled::new(add, 0), Scaled::new(add, 1)];
    // Vector `v` of `words` holds bytes 4v..4v + 4 of each lane: all those that share byte `v` of the lane's four.
    let shared = |v: i32| {
        _mm512_add_epi32(_mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12), _mm512_set1_epi32(v))
    };
    for ((a, b), out) in a.chunks_exact(64).zip(b.chunks_exact(16)).zip(out.chunks_exact_mut(64)) {
        let a = words(a);
        // SAFETY: the chunk has 16 bytes.
        let b = b_scaled.of(_mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(b.as_ptr().cast()) }));
        let value = |v: usize| _mm512_add_ps(a_scaled.of(a[v]), _mm512_permutexvar_ps(shared(v as i32), b));
        write(rule.place([value(0), value(1), value(2), value(3)]), out);
    }
}

/// `(x - zero) * ratio` for an addend.
#[derive(Clone, Copy)]
struct Scaled {
    zero: __m512i,
    ratio: __m512,
}

impl Scaled {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn new(add: &Add, which: usize) -> Self {
        Self { zero: _mm512_set1_epi32(i32::from(add.zeros[which])), ratio: _mm512_set1_ps(add.ratios[which]) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn of(self, x: __m512i) -> __m512 {
        _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(x, self.zero)), self.ratio)
    }
}

/// `out = x * gate`; pixels are `channels` bytes, and `repeat` of them share a pixel of the gate.
pub fn gate_row(gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8]) {
    if gate.repeat != 1 {
        return avx2::gate_row(gate, channels, x, gates, out);
    }
    let bytes = x.len().min(out.len()) / channels.max(1) * channels;
    assert!(gates.len() >= bytes, "{bytes} bytes and {} of gates", gates.len());
    let whole = bytes / 64 * 64;
    // SAFETY: the level is there (see the module).
    unsafe { gate_blocks(gate, &x[..whole], &gates[..whole], &mut out[..whole]) };
    scalar::gate_row(gate, 1, &x[whole..bytes], &gates[whole..bytes], &mut out[whole..bytes]);
}

/// [`gate_row`] without repetition, for slices of the same length, a multiple of 64.
///
/// Both factors are small integers, so their product is exact in floats, as it is in 32 bits.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn gate_blocks(gate: &Gate, x: &[u8], gates: &[u8], out: &mut [u8]) {
    let rule = Rule::new(gate.clamp, None);
    let multiplier = _mm512_set1_ps(gate.multiplier);
    let zeros = gate.zeros.map(|zero| _mm512_set1_epi32(i32::from(zero)));
    for ((x, g), out) in x.chunks_exact(64).zip(gates.chunks_exact(64)).zip(out.chunks_exact_mut(64)) {
        let (x, g) = (words(x), words(g));
        let value = |v: usize| {
            let (x, g) = (_mm512_sub_epi32(x[v], zeros[0]), _mm512_sub_epi32(g[v], zeros[1]));
            _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(x), _mm512_cvtepi32_ps(g)), multiplier)
        };
        write(rule.place([value(0), value(1), value(2), value(3)]), out);
    }
}

/// A chunk of 64 bytes as [`finish::words`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn words(bytes: &[u8]) -> [__m512i; 4] {
    assert_eq!(bytes.len(), 64);
    // SAFETY: there are 64 bytes.
    finish::words(unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) })
}

/// Writes a chunk of 64 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn write(bytes: __m512i, out: &mut [u8]) {
    assert_eq!(out.len(), 64);
    // SAFETY: there are 64 bytes.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), bytes) };
}
