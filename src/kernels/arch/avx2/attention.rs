//! A window of attention in 16 bits: two products in 32 bits an instruction, exact for any activations.
//!
//! Keys, queries and values become 16-bit distances from their zero points, two neighbours of a sum side by side, so that no
//! bias is needed. Four queries go through both products together: their scores stay in the first-level cache, in 16 bits.

use std::arch::x86_64::*;

use super::finish;
use crate::kernels::contract::{Attention, Kernels, Scratch, Window, WindowAttention};
use crate::kernels::scalar;

pub const ATTENTION: Attention =
    Attention { words: |a| a.tokens * (2 * a.keys + a.values + QUERIES) + LINE, window: any_window };

/// 16-bit words of a cache line. Where vectors begin with one, none lies in two.
const LINE: usize = 32;
/// Queries at once.
const QUERIES: usize = 4;

fn any_window(kernels: &Kernels, of: Window, scratch: &mut Scratch) {
    if of.a.tokens.is_multiple_of(16) {
        window(of, &mut scratch.wide);
    } else {
        (scalar::KERNELS.attention.window)(kernels, of, scratch);
    }
}

/// A window of a multiple of 16 tokens.
fn window(Window { a, query, keys, values, out, .. }: Window, scratch: &mut [i16]) {
    let WindowAttention { tokens, keys: depth, values: width, .. } = *a;
    assert!(tokens.is_multiple_of(16), "{tokens} tokens");
    let begin = scratch.as_ptr().align_offset(2 * LINE).min(LINE);
    let (wide_query, rest) = scratch[begin..].split_at_mut(tokens * depth);
    let (wide_keys, rest) = rest.split_at_mut(tokens * depth);
    let (wide_values, scores) = rest.split_at_mut(tokens * width);
    let scores = &mut scores[..QUERIES * tokens];
    // SAFETY: the slices have the lengths that `a` gives them (see `Window`), and the level is there (see `arch`).
    unsafe {
        widen(query, a.query_zero, wide_query);
        pack_keys(keys, depth, wide_keys);
        pack_values(values, width, wide_values);
        match depth {
            8 => attend::<4>(a, wide_query, wide_keys, wide_values, scores, out),
            _ => attend::<0>(a, wide_query, wide_keys, wide_values, scores, out),
        }
    }
}

/// Scores, and what they weigh, four queries at a time. `PAIRS` is half of a key's bytes, or 0 for any number.
///
/// # Safety
///
/// The slices are as long as `a` gives them, keys and values packed; of scores there are four times the tokens.
#[target_feature(enable = "avx2")]
unsafe fn attend<const PAIRS: usize>(
    a: &WindowAttention,
    query: &[i16],
    keys: &[i16],
    values: &[i16],
    scores: &mut [i16],
    out: &mut [u8],
) {
    let WindowAttention { tokens, keys: depth, values: width, .. } = *a;
    for (query, out) in query.chunks_exact(QUERIES * depth).zip(out.chunks_exact_mut(QUERIES * width)) {
        // SAFETY: passes on what the caller has promised; `out` has all values of four queries.
        unsafe {
            scores_of::<PAIRS>(a, query, keys, scores);
            let mut first = 0;
            while first < width {
                let (values, out) = (&values[first * tokens..], out.as_mut_ptr().add(first));
                if width - first >= 16 {
                    weighted::<16>(a, scores, values, out);
                } else {
                    weighted::<8>(a, scores, values, out);
                }
                first += 16;
            }
        }
    }
}

/// `x - zero` in 16 bits, of a multiple of 16 bytes.
#[target_feature(enable = "avx2")]
fn widen(bytes: &[u8], zero: u8, wide: &mut [i16]) {
    let zero = _mm256_set1_epi16(zero.into());
    for (bytes, wide) in bytes.as_chunks::<16>().0.iter().zip(wide.as_chunks_mut::<16>().0) {
        // SAFETY: 16 bytes, and as many words.
        unsafe {
            let x = _mm256_cvtepu8_epi16(_mm_loadu_si128(bytes.as_ptr().cast()));
            _mm256_storeu_si256(wide.as_mut_ptr().cast(), _mm256_sub_epi16(x, zero));
        }
    }
}

/// `[16 keys][pair of depth][vector][8 keys][2]`. The first vector of a pair has keys 0..4 and 8..12, the second the others:
/// so packing within 128-bit halves leaves their scores in order.
#[target_feature(enable = "avx2")]
fn pack_keys(keys: &[u8], depth: usize, packed: &mut [i16]) {
    for (keys, packed) in keys.chunks_exact(16 * depth).zip(packed.chunks_exact_mut(16 * depth)) {
        let eights = depth / 8 * 8;
        for at in (0..eights).step_by(8) {
            for (vector, first) in [0, 4].into_iter().enumerate() {
                let key = |k: usize| keys[(first + k) * depth + at..][..8].as_ptr();
                // Four pairs of a key are 128 bits.
                // SAFETY: eight bytes, as just cut.
                let two = |k: usize| unsafe {
                    let bytes = _mm_unpacklo_epi64(_mm_loadl_epi64(key(k).cast()), _mm_loadl_epi64(key(k + 8).cast()));
                    _mm256_cvtepi8_epi16(_mm_xor_si128(bytes, _mm_set1_epi8(-128)))
                };
                for (pair, keys) in transposed([two(0), two(1), two(2), two(3)]).into_iter().enumerate() {
                    let to = &mut packed[(at / 2 + pair) * 32 + vector * 16..][..16];
                    // SAFETY: sixteen words, as just cut.
                    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), keys) };
                }
            }
        }
        for (k, key) in keys.chunks_exact(depth).enumerate() {
            let to = k / 4 % 2 * 16 + (k / 8 * 4 + k % 4) * 2;
            let pairs = key[eights..].as_chunks::<2>().0.iter();
            for (pair, packed) in pairs.zip(packed[eights * 16..].chunks_exact_mut(32)) {
                packed[to..to + 2].copy_from_slice(&pair.map(|byte| i16::from(byte) - 128));
            }
        }
    }
}

/// Four times four 32-bit words of each half, transposed.
#[target_feature(enable = "avx2")]
#[inline]
fn transposed([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
    let (ab_high, cd_high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(ab, cd),
        _mm256_unpackhi_epi64(ab, cd),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// `[16 values][2 tokens][vector][8 values][2]`, and of eight that are left `[4 tokens][vector][4 values][4]`: there the first
/// vector has values 0, 1, 4 and 5, the second the others, so that adding neighbours within 128-bit halves leaves their sums in
/// order.
#[target_feature(enable = "avx2")]
fn pack_values(values: &[u8], width: usize, packed: &mut [i16]) {
    let (tokens, wholes) = (values.len() / width, width / 16 * 16);
    // SAFETY: eight bytes, as just cut.
    let eight = |at: usize| unsafe { _mm_loadl_epi64(values[at..][..8].as_ptr().cast()) };
    let (sixteens, last) = packed.split_at_mut(wholes * tokens);
    for (i, packed) in sixteens.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let at = i % (tokens / 2) * 2 * width + i / (tokens / 2) * 16;
        let pairs = |at: usize| _mm_unpacklo_epi8(eight(at), eight(at + width));
        store_wide([pairs(at), pairs(at + 8)], packed);
    }
    for (i, packed) in last.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let at = i * 4 * width + wholes;
        let first = _mm_unpacklo_epi8(eight(at), eight(at + width));
        let second = _mm_unpacklo_epi8(eight(at + 2 * width), eight(at + 3 * width));
        let (low, high) = (_mm_unpacklo_epi16(first, second), _mm_unpackhi_epi16(first, second));
        store_wide([_mm_unpacklo_epi64(low, high), _mm_unpackhi_epi64(low, high)], packed);
    }
}

/// `x - 128` in 16 bits.
#[target_feature(enable = "avx2")]
#[inline]
fn store_wide(bytes: [__m128i; 2], words: &mut [i16; 32]) {
    for (bytes, words) in bytes.into_iter().zip(words.as_chunks_mut::<16>().0) {
        let wide = _mm256_cvtepi8_epi16(_mm_xor_si128(bytes, _mm_set1_epi8(-128)));
        // SAFETY: sixteen words.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), wide) };
    }
}

/// Two 16-bit words, in each 32 bits of the vector.
///
/// # Safety
///
/// Two words may be read at `from`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn two(from: *const i16) -> __m256i {
    // SAFETY: the caller vouches for two words, and the read asks for no alignment.
    _mm256_set1_epi32(unsafe { from.cast::<i32>().read_unaligned() })
}

/// Scores of four queries with all keys, as distances from their zero point. `PAIRS` is half of a key's bytes, or 0 for any number.
///
/// # Safety
///
/// `query` has four queries, `keys` all keys as [`pack_keys`] leaves them, `scores` four times the tokens.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn scores_of<const PAIRS: usize>(a: &WindowAttention, query: &[i16], keys: &[i16], scores: &mut [i16]) {
    let WindowAttention { tokens, keys: depth, scores: clamp, .. } = *a;
    let pairs = if PAIRS > 0 { PAIRS } else { depth / 2 };
    let from_zero = |bound: u8| _mm256_set1_epi16(i16::from(bound) - i16::from(clamp.zero_point));
    let (low, high) = (from_zero(clamp.low), from_zero(clamp.high));
    let multiplier = _mm256_set1_ps(a.score_multiplier);
    for k in (0..tokens).step_by(16) {
        let mut sums = [[_mm256_setzero_si256(); 2]; QUERIES];
        // SAFETY: there are `depth / 2` pairs of each query, and two vectors for each pair of the 16 keys.
        unsafe {
            let keys = keys.as_ptr().add(k * 2 * pairs);
            for pair in 0..pairs {
                let w = [0, 16].map(|half| _mm256_loadu_si256(keys.add(pair * 32 + half).cast()));
                for (q, sums) in sums.iter_mut().enumerate() {
                    let x = two(query.as_ptr().add((q * pairs + pair) * 2));
                    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(x, w[0]));
                    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(x, w[1]));
                }
            }
        }
        for (q, sums) in sums.into_iter().enumerate() {
            let [first, second] =
                sums.map(|sum| _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier)));
            let scored = _mm256_min_epi16(_mm256_max_epi16(_mm256_packs_epi32(first, second), low), high);
            // SAFETY: there are 16 scores of the query from `k`.
            unsafe { _mm256_storeu_si256(scores.as_mut_ptr().add(q * tokens + k).cast(), scored) };
        }
    }
}

/// `W` outputs, 16 or 8, of four queries: as many values of all tokens, weighted by the scores.
///
/// # Safety
///
/// `scores` has four times the tokens; `values` begins at these values of each token as [`pack_values`] leaves them; `out` is
/// where their outputs begin in the first of four queries.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn weighted<const W: usize>(a: &WindowAttention, scores: &[i16], values: &[i16], out: *mut u8) {
    let WindowAttention { tokens, values: width, .. } = *a;
    // Two tokens at once, or four.
    let each = 32 / W;
    let mut sums = [[_mm256_setzero_si256(); 2]; QUERIES];
    for step in 0..tokens / each {
        // SAFETY: there are two or four scores of each query, and two vectors of values, for each step.
        unsafe {
            let values = values.as_ptr().add(step * 32);
            let w = [0, 16].map(|half| _mm256_loadu_si256(values.add(half).cast()));
            for (q, sums) in sums.iter_mut().enumerate() {
                let scores = scores.as_ptr().add(q * tokens + step * each);
                let x = if W == 16 { two(scores) } else { _mm256_set1_epi64x(scores.cast::<i64>().read_unaligned()) };
                sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(x, w[0]));
                sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(x, w[1]));
            }
        }
    }
    let multiplier = _mm256_set1_ps(a.multiplier);
    let value = |sum| _mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier);
    let eights = |values: [__m256; 4]| finish::groups(finish::quantise(values, a.clamp));
    // SAFETY: each query has `W` outputs there.
    let store = |bytes, q: usize, at: usize| unsafe { finish::store(bytes, out.add(q * width + at), 8) };
    if W == 16 {
        for (q, two) in sums.as_chunks::<2>().0.iter().enumerate() {
            let [[a, b], [c, d]] = *two;
            let [a, b, c, d] = eights([value(a), value(b), value(c), value(d)]);
            store(a, q * 2, 0);
            store(b, q * 2, 8);
            store(c, q * 2 + 1, 0);
            store(d, q * 2 + 1, 8);
        }
    } else {
        let values = sums.map(|[first, second]| value(_mm256_hadd_epi32(first, second)));
        for (q, bytes) in eights(values).into_iter().enumerate() {
            store(bytes, q, 0);
        }
    }
}
