//! From sums to bytes: the rounding rule in registers.

use std::arch::x86_64::*;

use crate::kernels::contract::{Clamp, ConvRow, Residual};

/// The contract's `quantise` for four groups of eight values; the groups' bytes follow each other.
///
/// Adding the zero point in saturating 16 bits is as good as in 32: what saturates is far beyond 0..=255 on the
/// same side, before and after.
#[target_feature(enable = "avx2")]
#[inline]
pub fn quantise(values: [__m256; 4], clamp: Clamp) -> __m256i {
    let zero = _mm256_set1_epi16(i16::from(clamp.zero_point));
    // The processor's default rounding, to the nearest even, is the only one that Rust programs run with.
    let [a, b, c, d] = [
        _mm256_cvtps_epi32(values[0]),
        _mm256_cvtps_epi32(values[1]),
        _mm256_cvtps_epi32(values[2]),
        _mm256_cvtps_epi32(values[3]),
    ];
    let ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero);
    let cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero);
    // Packing works within 128-bit halves: a0-3 b0-3 c0-3 d0-3, then a4-7 and so on.
    let bytes = _mm256_packus_epi16(ab, cd);
    let bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    let bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8(clamp.low as i8));
    _mm256_min_epu8(bytes, _mm256_set1_epi8(clamp.high as i8))
}

/// What the formula of [`Residual`] rounds: the value, quantised by `clamp`, and eight bytes of the other addend.
#[target_feature(enable = "avx2")]
#[inline]
pub fn add_residual(value: __m256, clamp: Clamp, residual: &Residual, skip: __m128i) -> __m256 {
    // Clamping the distance from the zero point saves adding and subtracting it.
    let from_zero = |bound: u8| _mm256_set1_epi32(i32::from(bound) - i32::from(clamp.zero_point));
    let value = _mm256_max_epi32(_mm256_cvtps_epi32(value), from_zero(clamp.low));
    let value = _mm256_min_epi32(value, from_zero(clamp.high));
    let value = _mm256_mul_ps(_mm256_cvtepi32_ps(value), _mm256_set1_ps(residual.value_ratio));
    _mm256_add_ps(value, scaled(skip, residual.skip_zero, residual.skip_ratio))
}

/// `(x - zero) * ratio` for eight bytes.
#[target_feature(enable = "avx2")]
#[inline]
pub fn scaled(x: __m128i, zero: u8, ratio: f32) -> __m256 {
    _mm256_mul_ps(centred(x, zero), _mm256_set1_ps(ratio))
}

/// `x - zero` for eight bytes, which floats hold exactly.
#[target_feature(enable = "avx2")]
#[inline]
pub fn centred(x: __m128i, zero: u8) -> __m256 {
    _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(x), _mm256_set1_epi32(i32::from(zero))))
}

/// Reads `count` bytes, at most eight, into the low half.
///
/// # Safety
///
/// `count` bytes at `from` may be read.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn load(from: *const u8, count: usize) -> __m128i {
    if count >= 8 {
        // SAFETY: eight bytes may be read, and the instruction asks for no alignment.
        unsafe { _mm_loadl_epi64(from.cast()) }
    } else {
        let mut bytes = [0u8; 8];
        // SAFETY: `count` < 8 bytes may be read, and fit into the array.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), count) };
        _mm_cvtsi64_si128(i64::from_le_bytes(bytes))
    }
}

/// Writes the first `count` bytes of the low half, at most eight.
///
/// # Safety
///
/// `count` bytes at `to` may be written.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn store(bytes: __m128i, to: *mut u8, count: usize) {
    match count {
        // SAFETY: eight bytes may be written, and the instruction asks for no alignment.
        8.. => unsafe { _mm_storel_epi64(to.cast(), bytes) },
        // The last layer has as many outputs as the square of the scale: 4 is the common one.
        // SAFETY: four bytes may be written, and the instruction asks for no alignment.
        4 => unsafe { _mm_storeu_si32(to, bytes) },
        _ => {
            let bytes = _mm_cvtsi128_si64(bytes).to_le_bytes();
            // SAFETY: `count` < 8 bytes may be written, and the array has as many.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count) }
        }
    }
}

/// The four groups of [`quantise`], each in the low half.
#[target_feature(enable = "avx2")]
#[inline]
pub fn groups(bytes: __m256i) -> [__m128i; 4] {
    let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
    [low, _mm_unpackhi_epi64(low, low), high, _mm_unpackhi_epi64(high, high)]
}

/// Requantises the sums of `V * 8` outputs of `P` pixels from `x`, adds the residual and writes the bytes. `R`: there is a
/// residual. `F`: the outputs are all real.
///
/// # Safety
///
/// `x + P` is at most the row's pixels, `output + V * 8` at most the padded number of outputs, and `out` what the row has lent.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn block<const R: bool, const F: bool, const V: usize, const P: usize>(
    row: &ConvRow,
    out: *mut u8,
    sums: &[[__m256i; V]; P],
    output: usize,
    x: usize,
) {
    // How many of the 8 outputs from `first` are real.
    let count = |first: usize| if F { 8 } else { row.outputs.saturating_sub(first).min(8) };
    // Groups of 8 outputs, four of them at a time; past the end the last one again, which is not stored.
    let groups = V * P;
    let clamp = row.epilogue.last_clamp();
    for group in (0..groups).step_by(4) {
        let value = |i: usize| {
            let i = (group + i).min(groups - 1);
            let (p, v) = (i / V, i % V);
            // SAFETY: `multiplier` has the padded number of outputs.
            let multiplier = unsafe { _mm256_loadu_ps(row.multiplier.as_ptr().add(output + v * 8)) };
            let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[p][v]), multiplier);
            match &row.epilogue.residual {
                Some(r) if R => {
                    let first = output + v * 8;
                    let from = r.skip.as_ptr().wrapping_add((x + p) * r.skip_step + first);
                    // SAFETY: the addend has `outputs` bytes at every pixel, and `count` stays within them.
                    let skip = unsafe { load(from, count(first)) };
                    add_residual(value, row.epilogue.clamp, r, skip)
                }
                _ => value,
            }
        };
        let bytes = quantise([value(0), value(1), value(2), value(3)], clamp);
        let halves = [_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes)];
        for (half, bytes) in halves.into_iter().enumerate() {
            let (first, second) = (group + half * 2, group + half * 2 + 1);
            let to = |i: usize| out.wrapping_add((x + i / V) * row.out_step + output + i % V * 8);
            if first >= groups {
                break;
            }
            // SAFETY: groups below `groups` belong to pixels of the row, where `out` has `outputs` bytes: all
            // that the strip has when it is full, and else `count` of each group.
            unsafe {
                if F && V == 2 {
                    _mm_storeu_si128(to(first).cast(), bytes);
                } else {
                    let count = |i: usize| count(output + i % V * 8);
                    store(bytes, to(first), count(first));
                    if second < groups {
                        store(_mm_unpackhi_epi64(bytes, bytes), to(second), count(second));
                    }
                }
            }
        }
    }
}
