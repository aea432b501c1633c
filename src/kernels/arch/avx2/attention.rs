//! A window of attention in 16 bits: two products in 32 bits an instruction, exact for any activations.
//!
//! Keys, queries and values become 16-bit distances from their zero points, two neighbours of a sum side by side, so that no
//! bias is needed. Scores are 16-bit distances too, and stay in the first-level cache.

use std::arch::x86_64::*;

use super::finish::{self, Rule};
use crate::kernels::contract::{Attention, Kernels, Scratch, Window, WindowAttention};
use crate::kernels::scalar;

pub const ATTENTION: Attention =
    Attention { words: |a| a.tokens * (2 * a.keys + a.values + a.tokens) + LINE, window: any_window };

/// 16-bit words of a cache line. Where vectors begin with one, none lies in two.
const LINE: usize = 32;
/// Queries at once, where two vectors of sums each are as many as registers take.
const FOUR: usize = 4;

fn any_window(kernels: &Kernels, of: Window, scratch: &mut Scratch) {
    if of.a.tokens.is_multiple_of(16) {
        window(of, &mut scratch.wide);
    } else {
        (scalar::KERNELS.attention.window)(kernels, of, scratch);
    }
}

/// A window of a multiple of 16 tokens.
fn window(Window { a, query, keys, values, out, .. }: Window, scratch: &mut [i16]) {
    let WindowAttention { tokens, keys: depth, values: width, scores: clamp, .. } = *a;
    assert!(tokens.is_multiple_of(16), "{tokens} tokens");
    let begin = scratch.as_ptr().align_offset(2 * LINE).min(LINE);
    let (wide_query, rest) = scratch[begin..].split_at_mut(tokens * depth);
    let (wide_keys, rest) = rest.split_at_mut(tokens * depth);
    let (wide_values, scores) = rest.split_at_mut(tokens * width);
    let scores = &mut scores[..tokens * tokens];
    // SAFETY: the slices have the lengths that `a` gives them (see `Window`), and the level is there (see `arch`).
    unsafe {
        widen(query, a.query_zero, wide_query);
        pack_keys(keys, depth, wide_keys);
        pack_values(values, width, wide_values);
        if depth == 2 * PAIRS && clamp.low == clamp.zero_point {
            attend::<true>(a, wide_query, wide_keys, wide_values, scores, out);
        } else {
            attend::<false>(a, wide_query, wide_keys, wide_values, scores, out);
        }
    }
}

/// Scores, and what they weigh. `S`: [`short_scores`] can make them.
///
/// # Safety
///
/// The slices are as long as `a` gives them, keys and values packed; for each query there is a score of each token.
#[target_feature(enable = "avx2")]
unsafe fn attend<const S: bool>(
    a: &WindowAttention,
    query: &[i16],
    keys: &[i16],
    values: &[i16],
    scores: &mut [i16],
    out: &mut [u8],
) {
    let WindowAttention { tokens, keys: depth, values: width, .. } = *a;
    for (keys, first) in keys.chunks_exact(16 * depth).zip((0..tokens).step_by(16)) {
        let scores = &mut scores[first..];
        // SAFETY: all queries, and sixteen keys; from the first of these on there are as many scores of each query.
        unsafe { if S { short_scores(a, query, keys, scores) } else { any_scores(a, query, keys, scores) } };
    }
    for (scores, out) in scores.chunks_exact(FOUR * tokens).zip(out.chunks_exact_mut(FOUR * width)) {
        for first in (0..width).step_by(16) {
            // SAFETY: passes on what the caller has promised; `out` has all values of four queries.
            unsafe {
                let (values, out) = (&values[first * tokens..], out.as_mut_ptr().add(first));
                if width - first >= 16 {
                    weighted::<16>(a, scores, values, out);
                } else {
                    weighted::<8>(a, scores, values, out);
                }
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
        for (eight, packed) in packed[..16 * eights].as_chunks_mut::<128>().0.iter_mut().enumerate() {
            // SAFETY: of each of the 16 keys there are eight bytes.
            let key = |k: usize| unsafe { _mm_loadl_epi64(keys.as_ptr().add(k * depth + eight * 8).cast()) };
            // Four pairs of a key are 128 bits.
            let two = |k: usize| {
                _mm256_cvtepi8_epi16(_mm_xor_si128(_mm_unpacklo_epi64(key(k), key(k + 8)), _mm_set1_epi8(-128)))
            };
            for (vector, k) in [0, 4].into_iter().enumerate() {
                for (pair, keys) in transposed([two(k), two(k + 1), two(k + 2), two(k + 3)]).into_iter().enumerate() {
                    // SAFETY: sixteen words of 128.
                    unsafe { _mm256_storeu_si256(packed.as_mut_ptr().add(pair * 32 + vector * 16).cast(), keys) };
                }
            }
        }
        for (k, key) in keys.chunks_exact(depth).enumerate().filter(|_| eights < depth) {
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
    let (sixteens, last) = packed.split_at_mut(wholes * tokens);
    for (block, packed) in sixteens.chunks_exact_mut(16 * tokens).enumerate() {
        for (two, packed) in values.chunks_exact(2 * width).zip(packed.as_chunks_mut::<32>().0) {
            // SAFETY: sixteen bytes, as just cut.
            let [a, b] = [0, width].map(|at| unsafe { _mm_loadu_si128(two[at + block * 16..][..16].as_ptr().cast()) });
            store_wide([_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)], packed);
        }
    }
    if wholes < width {
        for (four, packed) in values.chunks_exact(4 * width).zip(last.as_chunks_mut::<32>().0) {
            // SAFETY: eight bytes, as just cut.
            let eight = |t: usize| unsafe { _mm_loadl_epi64(four[t * width + wholes..][..8].as_ptr().cast()) };
            let (first, second) = (_mm_unpacklo_epi8(eight(0), eight(1)), _mm_unpacklo_epi8(eight(2), eight(3)));
            let (low, high) = (_mm_unpacklo_epi16(first, second), _mm_unpackhi_epi16(first, second));
            store_wide([_mm_unpacklo_epi64(low, high), _mm_unpackhi_epi64(low, high)], packed);
        }
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

/// How a sum becomes a score, as a distance from the scores' zero point. `P`: no score lies below that.
struct Scoring<const P: bool> {
    multiplier: __m256,
    low: __m256i,
    high: __m256i,
}

impl<const P: bool> Scoring<P> {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(a: &WindowAttention) -> Self {
        let from_zero = |bound: u8| _mm256_set1_epi16(i16::from(bound) - i16::from(a.scores.zero_point));
        let (low, high) = (from_zero(a.scores.low), from_zero(a.scores.high));
        Self { multiplier: _mm256_set1_ps(a.score_multiplier), low, high }
    }

    /// The sums of sixteen keys, as [`pack_keys`] orders them.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn of(&self, sums: [__m256i; 2]) -> __m256i {
        let [a, b] = sums.map(|sum| _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), self.multiplier)));
        if P {
            _mm256_min_epu16(_mm256_packus_epi32(a, b), self.high)
        } else {
            _mm256_min_epi16(_mm256_max_epi16(_mm256_packs_epi32(a, b), self.low), self.high)
        }
    }
}

/// Pairs of the keys that [`short_scores`] takes.
const PAIRS: usize = 4;

/// [`any_scores`] for keys of eight bytes, which stay in registers, and scores not below their zero point. A query's sums become
/// scores while those of the next are made: either alone would wait for its own results.
///
/// # Safety
///
/// As for [`any_scores`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn short_scores(a: &WindowAttention, query: &[i16], keys: &[i16], scores: &mut [i16]) {
    let scoring = Scoring::<true>::new(a);
    // SAFETY: sixteen keys are twice as many vectors as there are pairs.
    let load = |pair: usize, half| unsafe { _mm256_loadu_si256(keys.as_ptr().add(pair * 32 + half).cast()) };
    let keys: [_; PAIRS] = std::array::from_fn(|pair| [load(pair, 0), load(pair, 16)]);
    let sums_of = |q: usize| {
        let mut sums = [_mm256_setzero_si256(); 2];
        for (pair, keys) in keys.into_iter().enumerate() {
            // SAFETY: there are as many queries as tokens.
            let x = unsafe { two(query.as_ptr().add((q * PAIRS + pair) * 2)) };
            sums = add_products(sums, x, keys);
        }
        sums
    };
    let mut store = |sums, q: usize| {
        // SAFETY: there are sixteen scores of each query.
        unsafe { _mm256_storeu_si256(scores.as_mut_ptr().add(q * a.tokens).cast(), scoring.of(sums)) };
    };
    let mut sums = sums_of(0);
    for q in 1..a.tokens {
        let next = sums_of(q);
        store(sums, q - 1);
        sums = next;
    }
    store(sums, a.tokens - 1);
}

/// Scores of all queries with sixteen keys.
///
/// # Safety
///
/// There are as many queries as tokens, a multiple of four, and sixteen keys as [`pack_keys`] leaves them; `scores` has sixteen
/// from each query's beginning, which lie as many apart as there are tokens.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn any_scores(a: &WindowAttention, query: &[i16], keys: &[i16], scores: &mut [i16]) {
    let scoring = Scoring::<false>::new(a);
    let pairs = a.keys / 2;
    for first in (0..a.tokens).step_by(FOUR) {
        let mut sums = [[_mm256_setzero_si256(); 2]; FOUR];
        for pair in 0..pairs {
            // SAFETY: there are `pairs` pairs of each query, and two vectors of keys for each.
            unsafe {
                let keys = [0, 16].map(|half| _mm256_loadu_si256(keys.as_ptr().add(pair * 32 + half).cast()));
                for (q, sums) in sums.iter_mut().enumerate() {
                    let x = two(query.as_ptr().add(((first + q) * pairs + pair) * 2));
                    *sums = add_products(*sums, x, keys);
                }
            }
        }
        for (q, sums) in sums.into_iter().enumerate() {
            let to = scores.as_mut_ptr().wrapping_add((first + q) * a.tokens);
            // SAFETY: there are sixteen scores of each query.
            unsafe { _mm256_storeu_si256(to.cast(), scoring.of(sums)) };
        }
    }
}

/// Adds two products to every sum.
#[target_feature(enable = "avx2")]
#[inline]
fn add_products(sums: [__m256i; 2], x: __m256i, w: [__m256i; 2]) -> [__m256i; 2] {
    [_mm256_add_epi32(sums[0], _mm256_madd_epi16(x, w[0])), _mm256_add_epi32(sums[1], _mm256_madd_epi16(x, w[1]))]
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
    let mut sums = [[_mm256_setzero_si256(); 2]; FOUR];
    for step in 0..tokens / each {
        // SAFETY: there are two or four scores of each query, and two vectors of values, for each step.
        unsafe {
            let w = [0, 16].map(|half| _mm256_loadu_si256(values.as_ptr().add(step * 32 + half).cast()));
            for (q, sums) in sums.iter_mut().enumerate() {
                let scores = scores.as_ptr().add(q * tokens + step * each);
                let x = if W == 16 { two(scores) } else { _mm256_set1_epi64x(scores.cast::<i64>().read_unaligned()) };
                *sums = add_products(*sums, x, w);
            }
        }
    }
    let multiplier = _mm256_set1_ps(a.multiplier);
    let value = |sum| _mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier);
    let eights = |values: [__m256; 4]| finish::groups(Rule::new(a.clamp).quantise_in_order(values));
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
