//! Activations as the right side of a matrix product. Their zero point is 128, so `x - 128` is a weight.

use std::arch::x86_64::*;

/// `b` is `[outputs][depth]` (one output's weights lie together, as keys do): packs to `[depth / 4][outputs][4]`.
/// `sums` receives each output's sum of weights. `outputs` is a multiple of 8, `depth` of 4.
pub fn pack_columns(b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
    // SAFETY: the contract has checked the lengths, and the level is there (see `arch`).
    unsafe { columns(b.as_ptr(), outputs, depth, data.as_mut_ptr(), sums.as_mut_ptr()) };
}

/// `b` is `[depth][outputs]` (as values are): packs and sums like [`pack_columns`].
pub fn pack_rows(b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
    // SAFETY: the contract has checked the lengths, and the level is there (see `arch`).
    unsafe { rows(b.as_ptr(), outputs, depth, data.as_mut_ptr(), sums.as_mut_ptr()) };
}

/// Four outputs by eight of depth at a time: a transpose of 32-bit words.
///
/// # Safety
///
/// `assert_pack` of the contract's bounds holds.
#[target_feature(enable = "avx2")]
unsafe fn columns(b: *const u8, outputs: usize, depth: usize, data: *mut i8, sums: *mut i32) {
    let sign = _mm_set1_epi8(-128);
    for o in (0..outputs).step_by(4) {
        // Sums of the bytes as they are, one a half; each weight is 128 less.
        let mut sums_of = [_mm_setzero_si128(); 4];
        for k in (0..depth).step_by(8) {
            let whole = depth - k >= 8;
            let line = |i: usize| {
                let from = b.wrapping_add((o + i) * depth + k);
                // SAFETY: `o + i` is an output, and 8 bytes of its depth, or else 4, are left from `k`.
                unsafe { if whole { _mm_loadl_epi64(from.cast()) } else { _mm_loadu_si32(from) } }
            };
            let lines = [line(0), line(1), line(2), line(3)];
            for (sum, line) in sums_of.iter_mut().zip(lines) {
                *sum = _mm_add_epi64(*sum, _mm_sad_epu8(line, _mm_setzero_si128()));
            }
            let a = _mm_unpacklo_epi32(lines[0], lines[1]);
            let b = _mm_unpacklo_epi32(lines[2], lines[3]);
            let to = data.wrapping_add((k / 4 * outputs + o) * 4);
            // SAFETY: 16 bytes of line `k / 4`, and of the next one if depth reaches it, belong to these outputs.
            unsafe {
                _mm_storeu_si128(to.cast(), _mm_xor_si128(_mm_unpacklo_epi64(a, b), sign));
                if whole {
                    let to = to.wrapping_add(outputs * 4);
                    _mm_storeu_si128(to.cast(), _mm_xor_si128(_mm_unpackhi_epi64(a, b), sign));
                }
            }
        }
        let [a, b, c, d] = sums_of;
        let sum = _mm_unpacklo_epi64(_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
        let sum = _mm_sub_epi32(sum, _mm_set1_epi32(128 * depth as i32));
        // SAFETY: there are four sums from `o`.
        unsafe { _mm_storeu_si128(sums.wrapping_add(o).cast(), sum) };
    }
}

/// Eight outputs by four of depth at a time: a transpose of bytes.
///
/// # Safety
///
/// `assert_pack` of the contract's bounds holds.
#[target_feature(enable = "avx2")]
unsafe fn rows(b: *const u8, outputs: usize, depth: usize, data: *mut i8, sums: *mut i32) {
    let sign = _mm256_set1_epi8(-128);
    for o in (0..outputs).step_by(8) {
        let mut sum = _mm256_setzero_si256();
        for k in (0..depth).step_by(4) {
            // SAFETY: each of the lines has eight bytes from `o`.
            let line = |i: usize| unsafe { _mm_loadl_epi64(b.wrapping_add((k + i) * outputs + o).cast()) };
            let ab = _mm_unpacklo_epi8(line(0), line(1));
            let cd = _mm_unpacklo_epi8(line(2), line(3));
            let quads = _mm256_setr_m128i(_mm_unpacklo_epi16(ab, cd), _mm_unpackhi_epi16(ab, cd));
            let weights = _mm256_xor_si256(quads, sign);
            let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), weights);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
            // SAFETY: line `k / 4` has 32 bytes for these outputs.
            unsafe { _mm256_storeu_si256(data.wrapping_add((k / 4 * outputs + o) * 4).cast(), weights) };
        }
        // SAFETY: there are eight sums from `o`.
        unsafe { _mm256_storeu_si256(sums.wrapping_add(o).cast(), sum) };
    }
}
