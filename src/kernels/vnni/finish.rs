//! From sums to bytes: the rounding rule in registers.

use std::arch::x86_64::*;

use crate::kernels::{Clamp, Residual};

/// [`place`](crate::kernels::place) for four vectors of sixteen values. Packing works within 128-bit lanes: lane `k`
/// of the result holds lane `k` of each vector, one after the other.
///
/// Adding the zero point in saturating 16 bits is as good as in 32: what saturates is far beyond 0..=255 on the
/// same side, before and after.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub fn place(values: [__m512; 4], clamp: Clamp) -> __m512i {
    let zero = _mm512_set1_epi16(i16::from(clamp.zero_point));
    // The processor's default rounding, to the nearest even, is the only one that Rust programs run with.
    let [a, b, c, d] = [
        _mm512_cvtps_epi32(values[0]),
        _mm512_cvtps_epi32(values[1]),
        _mm512_cvtps_epi32(values[2]),
        _mm512_cvtps_epi32(values[3]),
    ];
    let ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero);
    let cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero);
    let bytes = _mm512_max_epu8(_mm512_packus_epi16(ab, cd), _mm512_set1_epi8(clamp.low as i8));
    _mm512_min_epu8(bytes, _mm512_set1_epi8(clamp.high as i8))
}

/// What the formula of [`Residual`] rounds: the value, quantised by `clamp`, and sixteen values of the other addend.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub fn add(value: __m512, clamp: Clamp, residual: &Residual, skip: __m512i) -> __m512 {
    // Clamping the distance from the zero point saves adding and subtracting it.
    let from_zero = |bound: u8| _mm512_set1_epi32(i32::from(bound) - i32::from(clamp.zero_point));
    let value = _mm512_max_epi32(_mm512_cvtps_epi32(value), from_zero(clamp.low));
    let value = _mm512_min_epi32(value, from_zero(clamp.high));
    let value = _mm512_mul_ps(_mm512_cvtepi32_ps(value), _mm512_set1_ps(residual.value_ratio));
    // A product, then a sum: a fused multiply-add would round once instead of twice.
    _mm512_add_ps(value, scaled(skip, residual.skip_zero, residual.skip_ratio))
}

/// `(x - zero) * ratio` for sixteen values of a byte.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub fn scaled(x: __m512i, zero: u8, ratio: f32) -> __m512 {
    _mm512_mul_ps(centred(x, zero), _mm512_set1_ps(ratio))
}

/// `x - zero` for sixteen values of a byte, which floats hold exactly.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub fn centred(x: __m512i, zero: u8) -> __m512 {
    _mm512_cvtepi32_ps(_mm512_sub_epi32(x, _mm512_set1_epi32(i32::from(zero))))
}

/// Lane `i` of a vector of bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub fn lane(bytes: __m512i, i: usize) -> __m128i {
    match i {
        0 => _mm512_castsi512_si128(bytes),
        1 => _mm512_extracti32x4_epi32::<1>(bytes),
        2 => _mm512_extracti32x4_epi32::<2>(bytes),
        _ => _mm512_extracti32x4_epi32::<3>(bytes),
    }
}

/// Four times four 32-bit words, transposed.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub fn transposed(x: __m512i) -> __m512i {
    _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x)
}
