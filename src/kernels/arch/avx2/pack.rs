//! Packing: transposes of 32-bit words and of bytes.

use std::arch::x86_64::*;

use super::vectors::Registers;
use crate::kernels::arch::pack::Quads;

// SAFETY (of all blocks here): the level is there, see `Quads`; what is read and written the caller vouches for.
impl Quads for Registers {
    const DEPTH: usize = 8;
    /// Of the bytes as they are, one sum a half; each weight is 128 less.
    type Four = [__m128i; 4];
    type Eight = __m256i;

    #[inline(always)]
    fn four() -> [__m128i; 4] {
        // SAFETY: the level is there.
        unsafe { [_mm_setzero_si128(); 4] }
    }

    #[inline(always)]
    fn eight() -> __m256i {
        // SAFETY: the level is there.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn columns<const WHOLE: bool>(
        mut sums: [__m128i; 4],
        from: [*const u8; 4],
        to: *mut i8,
        line: usize,
    ) -> [__m128i; 4] {
        // SAFETY: eight bytes, or else four, may be read at each of `from`; 16 be written at `to`, and at the next line if
        // there are eight.
        unsafe {
            let [a, b, c, d] = from;
            let lines = if WHOLE {
                [eight(a), eight(b), eight(c), eight(d)]
            } else {
                [_mm_loadu_si32(a), _mm_loadu_si32(b), _mm_loadu_si32(c), _mm_loadu_si32(d)]
            };
            for (sum, line) in sums.iter_mut().zip(lines) {
                *sum = _mm_add_epi64(*sum, _mm_sad_epu8(line, _mm_setzero_si128()));
            }
            let sign = _mm_set1_epi8(-128);
            let (a, b) = (_mm_unpacklo_epi32(lines[0], lines[1]), _mm_unpacklo_epi32(lines[2], lines[3]));
            _mm_storeu_si128(to.cast(), _mm_xor_si128(_mm_unpacklo_epi64(a, b), sign));
            if WHOLE {
                _mm_storeu_si128(to.wrapping_add(line).cast(), _mm_xor_si128(_mm_unpackhi_epi64(a, b), sign));
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn store_four([a, b, c, d]: [__m128i; 4], depth: usize, to: *mut i32) {
        // SAFETY: four sums may be written.
        unsafe {
            let sum = _mm_unpacklo_epi64(_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
            _mm_storeu_si128(to.cast(), _mm_sub_epi32(sum, _mm_set1_epi32(128 * depth as i32)));
        }
    }

    #[inline(always)]
    unsafe fn rows(sums: __m256i, from: [*const u8; 4], to: *mut i8) -> __m256i {
        // SAFETY: eight bytes may be read at each of `from`, and 32 be written at `to`.
        unsafe {
            let [a, b, c, d] = from;
            let (ab, cd) = (_mm_unpacklo_epi8(eight(a), eight(b)), _mm_unpacklo_epi8(eight(c), eight(d)));
            let quads = _mm256_setr_m128i(_mm_unpacklo_epi16(ab, cd), _mm_unpackhi_epi16(ab, cd));
            let weights = _mm256_xor_si256(quads, _mm256_set1_epi8(-128));
            _mm256_storeu_si256(to.cast(), weights);
            let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), weights);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    unsafe fn store_eight(sums: __m256i, to: *mut i32) {
        // SAFETY: eight sums may be written.
        unsafe { _mm256_storeu_si256(to.cast(), sums) };
    }
}

/// # Safety
///
/// Eight bytes may be read at `from`, and the level is there.
#[inline(always)]
unsafe fn eight(from: *const u8) -> __m128i {
    // SAFETY: the caller vouches for them, and the read asks for no alignment.
    unsafe { _mm_loadl_epi64(from.cast()) }
}
