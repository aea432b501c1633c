//! Attention of windows of 64 tokens.

use std::arch::x86_64::*;

use super::finish::{self, Rule};
use crate::kernels::contract::{Attention, Epilogue, Kernels, Scratch, Window, WindowAttention};
use crate::kernels::scalar;

pub const ATTENTION: Attention = Attention { words: |_| 0, window };

fn window(kernels: &Kernels, window: Window, scratch: &mut Scratch) {
    if window.a.tokens == 64 {
        scores(kernels, &window, scratch);
        scalar::weighted(kernels, window, scratch);
    } else {
        (scalar::KERNELS.attention.window)(kernels, window, scratch);
    }
}

/// Scores of all 64 queries with all 64 keys, into `scratch.scores`: those of a query are one vector of bytes.
fn scores(kernels: &Kernels, &Window { a, query, keys, .. }: &Window, scratch: &mut Scratch) {
    assert!(a.tokens == 64, "{} tokens", a.tokens);
    (kernels.pack_columns)(keys, 64, a.keys, &mut scratch.packed, &mut scratch.sums);
    let (query, packed, sums) = (&query[..64 * a.keys], &scratch.packed[..64 * a.keys], &scratch.sums[..64]);
    let scores = &mut scratch.scores[..64 * 64];
    // SAFETY: the slices have just been cut to what the function asks for, the contract has refused keys whose bytes are
    // no multiple of 4, and the level is there (see `arch`).
    unsafe {
        match a.keys {
            8 => scores_of::<2>(a, query, packed, sums, scores),
            _ => scores_of::<0>(a, query, packed, sums, scores),
        }
    }
}

/// Scores of 64 queries with 64 keys, packed. `QUADS` is a quarter of a key's bytes, or 0 for any number.
///
/// # Safety
///
/// `query` and `packed` have 64 times `a.keys` bytes, a multiple of 4; there are 64 sums and 64 times 64 scores.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn scores_of<const QUADS: usize>(
    a: &WindowAttention,
    query: &[u8],
    packed: &[i8],
    sums: &[i32],
    scores: &mut [u8],
) {
    let rule = Rule::new(&Epilogue { clamp: a.scores, residual: None });
    let multiplier = _mm512_set1_ps(a.score_multiplier);
    let quads = if QUADS > 0 { QUADS } else { a.keys / 4 };
    // Vector `v` is for keys 16v..16v + 16.
    // SAFETY: there are 64 sums.
    let sums = std::array::from_fn(|v| unsafe { _mm512_loadu_si512(sums.as_ptr().add(v * 16).cast()) });
    let start: [__m512i; 4] = sums.map(|sum| _mm512_mullo_epi32(sum, _mm512_set1_epi32(-i32::from(a.query_zero))));
    for q in 0..64 {
        let mut sums = start;
        for k in 0..quads {
            // SAFETY: each query has `quads` times four bytes, and each quad of the weights four vectors.
            unsafe {
                let x = query.as_ptr().add((q * quads + k) * 4).cast::<i32>().read_unaligned();
                for (v, sum) in sums.iter_mut().enumerate() {
                    let w = _mm512_loadu_si512(packed.as_ptr().add((k * 4 + v) * 64).cast());
                    *sum = _mm512_dpbusd_epi32(*sum, _mm512_set1_epi32(x), w);
                }
            }
        }
        let bytes = rule.quantise(sums.map(|sum| _mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier)));
        // SAFETY: there are 64 scores for each query.
        unsafe { _mm512_storeu_si512(scores.as_mut_ptr().add(q * 64).cast(), finish::transposed(bytes)) };
    }
}
