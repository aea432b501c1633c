//! Sums, gates and means of rows. What is shorter than a block is left to `scalar`.

use super::{Vectors, blocks};
use crate::kernels::contract::{Add, Gate, Pool};
use crate::kernels::scalar;

/// Sum of two rows.
#[inline(always)]
pub fn add_row<V: Vectors>(add: &Add, a: &[u8], b: &[u8], out: &mut [u8]) {
    let length = out.len().min(a.len()).min(b.len());
    if length < V::BLOCK {
        return scalar::add_row(add, a, b, out);
    }
    let rule = V::rule(add.clamp);
    for at in blocks(length, V::BLOCK) {
        let b = V::scale(V::centred(V::load(&b[at..]), add.zeros[1]), add.ratios[1]);
        sum::<V>(add, V::load(&a[at..]), b, rule, &mut out[at..]);
    }
}

/// Sum of two rows, where `repeat` bytes of `a` share a byte of `b`.
#[inline(always)]
pub fn add_spread_row<V: Vectors>(add: &Add, repeat: usize, a: &[u8], b: &[u8], out: &mut [u8]) {
    let length = out.len().min(a.len()).min(b.len() * 4) / 4 * 4;
    if repeat != 4 || length < V::BLOCK {
        return scalar::add_spread_row(add, repeat, a, b, out);
    }
    let rule = V::rule(add.clamp);
    for at in blocks(length, V::BLOCK) {
        let b = V::scaled_spread(&b[at / 4..], add.zeros[1], add.ratios[1]);
        sum::<V>(add, V::load(&a[at..]), b, rule, &mut out[at..]);
    }
    scalar::add_spread_row(add, repeat, &a[length..], &b[length / 4..], &mut out[length..]);
}

/// A block of `a`, and one of `b` that is scaled.
#[inline(always)]
fn sum<V: Vectors>(add: &Add, a: V::Bytes, b: V::Reals, rule: V::Rule, out: &mut [u8]) {
    let a = V::scale(V::centred(a, add.zeros[0]), add.ratios[0]);
    V::store(V::quantise(V::add(a, b), rule), out);
}

/// Row `y` of the `n` rows that a row of pixels of `n * n` bytes shuffles to.
#[inline(always)]
pub fn shuffle_row<V: Vectors>(n: usize, y: usize, x: &[u8], out: &mut [u8]) {
    let length = out.len().min(x.len() / 2) / 2 * 2;
    if n != 2 || length < V::BLOCK {
        return scalar::shuffle_row(n, y, x, out);
    }
    let (x, out) = (&x[..length * 2], &mut out[..length]);
    if y == 0 { halves::<V, false>(x, out) } else { halves::<V, true>(x, out) }
}

/// [`shuffle_row`] by two, of a block or more.
#[inline(always)]
fn halves<V: Vectors, const UPPER: bool>(x: &[u8], out: &mut [u8]) {
    for at in blocks(out.len(), V::BLOCK) {
        let pair = [V::load(&x[at * 2..]), V::load(&x[at * 2 + V::BLOCK..])];
        V::store(V::halves::<UPPER>(pair), &mut out[at..]);
    }
}

/// Product of a row with a gate, `channels` bytes a pixel.
#[inline(always)]
pub fn gate_row<V: Vectors>(gate: &Gate, channels: usize, x: &[u8], gates: &[u8], out: &mut [u8]) {
    if channels == 0 {
        return scalar::gate_row(gate, channels, x, gates, out);
    }
    let length = x.len().min(out.len()) / channels * channels;
    if gate.repeat > 1 {
        let shared = gate.repeat * channels;
        let groups = x[..length].chunks(shared).zip(out[..length].chunks_mut(shared));
        for ((x, out), gates) in groups.zip(gates.chunks_exact(channels)) {
            shared_gate::<V>(gate, x, gates, out);
        }
    } else if length < V::BLOCK {
        scalar::gate_row(gate, channels, x, gates, out);
    } else {
        let rule = V::rule(gate.clamp);
        for at in blocks(length, V::BLOCK) {
            let gates = V::centred(V::load(&gates[at..]), gate.zeros[1]);
            product::<V>(gate, V::load(&x[at..]), gates, rule, &mut out[at..]);
        }
    }
}

/// Both factors are small integers, so their product is exact in floats, as it is in 32 bits.
#[inline(always)]
fn product<V: Vectors>(gate: &Gate, x: V::Bytes, gates: V::Reals, rule: V::Rule, out: &mut [u8]) {
    let product = V::multiply(V::centred(x, gate.zeros[0]), gates);
    V::store(V::quantise(V::scale(product, gate.multiplier), rule), out);
}

/// Channels of a pixel that a gate may have here, and blocks after which its channels begin a block again.
const MOST_CHANNELS: usize = 256;
const MOST_PHASES: usize = 8;

/// [`gate_row`] for whole pixels that share the pixel `g` of the gate.
#[inline(always)]
fn shared_gate<V: Vectors>(gate: &Gate, x: &[u8], g: &[u8], out: &mut [u8]) {
    let (channels, length) = (g.len(), x.len());
    if length < V::BLOCK || channels > MOST_CHANNELS {
        return scalar::gate_row(gate, channels, x, g, out);
    }
    if channels == 8 {
        let (rule, factors) = (V::rule(gate.clamp), V::centred(V::repeated(g), gate.zeros[1]));
        for at in blocks(length, V::BLOCK) {
            product::<V>(gate, V::load(&x[at..]), factors, rule, &mut out[at..]);
        }
        return;
    }
    // The gate again and again, so that a block may begin at any channel.
    let mut pattern = [0; MOST_CHANNELS + 64];
    if channels.is_multiple_of(8) {
        let mut from = 0;
        for part in pattern[..channels + V::BLOCK].chunks_exact_mut(8) {
            part.copy_from_slice(&g[from..from + 8]);
            from = if from + 8 == channels { 0 } else { from + 8 };
        }
    } else {
        for part in pattern[..channels + V::BLOCK].chunks_mut(channels) {
            part.copy_from_slice(&g[..part.len()]);
        }
    }
    let rule = V::rule(gate.clamp);
    let mut phases: heapless::Vec<V::Reals, MOST_PHASES> = heapless::Vec::new();
    let mut phase = 0;
    loop {
        let factors = V::centred(V::load(&pattern[phase..]), gate.zeros[1]);
        phase = (phase + V::BLOCK) % channels;
        if phases.push(factors).is_err() || phase == 0 {
            break;
        }
    }
    let mut begin = 0;
    if phase == 0 {
        while begin + phases.len() * V::BLOCK <= length {
            for factors in &phases {
                product::<V>(gate, V::load(&x[begin..]), *factors, rule, &mut out[begin..]);
                begin += V::BLOCK;
            }
        }
    }
    // What is left, or everything if the gate has too many phases.
    while begin < length {
        let at = begin.min(length - V::BLOCK);
        let factors = V::centred(V::load(&pattern[at % channels..]), gate.zeros[1]);
        product::<V>(gate, V::load(&x[at..]), factors, rule, &mut out[at..]);
        begin += V::BLOCK;
    }
}

/// Mean over neighbouring pixels of a row, `channels` bytes a pixel.
#[inline(always)]
pub fn pool_columns<V: Vectors>(pool: &Pool, channels: usize, x: &[u8], out: &mut [u8]) {
    if channels == 0 || !channels.is_multiple_of(8) {
        return scalar::pool_columns(pool, channels, x, out);
    }
    let rule = V::rule(pool.clamp);
    for (x, out) in x.chunks_exact(channels * pool.count).zip(out.chunks_exact_mut(channels)) {
        for c in (0..channels).step_by(8) {
            let mut sums = V::octet(pool.bias);
            for p in 0..pool.count {
                sums = V::octet_add(sums, &x[p * channels + c..]);
            }
            V::octet_requantise(sums, pool.multiplier, rule, &mut out[c..]);
        }
    }
}

/// Mean over rows, byte by byte.
#[inline(always)]
pub fn pool_rows<V: Vectors>(pool: &Pool, rows: &[&[u8]], out: &mut [u8]) {
    if out.len() < 8 {
        return scalar::pool_rows(pool, rows, out);
    }
    let rule = V::rule(pool.clamp);
    for at in blocks(out.len(), 8) {
        let mut sums = V::octet(pool.bias);
        for row in rows {
            sums = V::octet_add(sums, &row[at..]);
        }
        V::octet_requantise(sums, pool.multiplier, rule, &mut out[at..]);
    }
}
