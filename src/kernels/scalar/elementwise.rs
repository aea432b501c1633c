//! Sums, gates and means of rows.

use crate::kernels::contract::{Add, Gate, Pool, quantise, requantise};

/// `out = a + b`, byte by byte.
pub fn add_row(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    for ((&a, &b), out) in a.iter().zip(b).zip(out) {
        let a = (i32::from(a) - i32::from(add.zeros[0])) as f32 * add.ratios[0];
        let b = (i32::from(b) - i32::from(add.zeros[1])) as f32 * add.ratios[1];
        *out = quantise(a + b, add.clamp);
    }
}

/// `out = a + b`, where `repeat` bytes of `a` share a byte of `b`.
pub fn add_spread_row(add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8]) {
    for ((a, &b), out) in a.chunks(repeat).zip(b).zip(out.chunks_mut(repeat)) {
        for (&a, out) in a.iter().zip(out) {
            let a = (i32::from(a) - i32::from(add.zeros[0])) as f32 * add.ratios[0];
            let b = (i32::from(b) - i32::from(add.zeros[1])) as f32 * add.ratios[1];
            *out = quantise(a + b, add.clamp);
        }
    }
}

/// Row `y` of the `n` rows that a row of `n * n` channels shuffles to: pixel `x` becomes `n` pixels of one byte.
pub fn shuffle_row(n: usize, y: usize, x: &[u8], out: &mut [u8]) {
    for (depth, out) in x.chunks_exact(n * n).zip(out.chunks_exact_mut(n)) {
        out.copy_from_slice(&depth[y * n..][..n]);
    }
}

/// `out = x * gate`; pixels are `channels` bytes, and `repeat` of them share a pixel of the gate.
pub fn gate_row(gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8]) {
    for (i, (x, out)) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)).enumerate() {
        let g = &gates[i / gate.repeat * channels..][..channels];
        for ((&x, &g), out) in x.iter().zip(g).zip(out) {
            let product = (i32::from(x) - i32::from(gate.zeros[0])) * (i32::from(g) - i32::from(gate.zeros[1]));
            *out = requantise(product, gate.multiplier, gate.clamp);
        }
    }
}

/// Mean over neighbouring pixels of a row.
pub fn pool_columns(pool: &Pool, channels: usize, x: &[u8], out: &mut [u8]) {
    for (group, out) in x.chunks_exact(channels * pool.count).zip(out.chunks_exact_mut(channels)) {
        for (c, out) in out.iter_mut().enumerate() {
            let sum: i32 = group.chunks_exact(channels).map(|p| i32::from(p[c])).sum();
            *out = requantise(sum + pool.bias, pool.multiplier, pool.clamp);
        }
    }
}

/// Mean over rows, byte by byte.
pub fn pool_rows(pool: &Pool, rows: &[&[u8]], out: &mut [u8]) {
    for (i, out) in out.iter_mut().enumerate() {
        let sum: i32 = rows.iter().map(|r| i32::from(r[i])).sum();
        *out = requantise(sum + pool.bias, pool.multiplier, pool.clamp);
    }
}
