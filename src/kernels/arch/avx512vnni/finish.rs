//! From sums to bytes: the rounding rule in registers.

use std::arch::x86_64::*;

use crate::kernels::contract::Epilogue;

/// An [`Epilogue`] in vectors, so that they are made once for many pixels.
#[derive(Clone, Copy)]
pub struct Rule {
    zero: __m512i,
    low: __m512i,
    high: __m512i,
    /// The clamp of the value before the residual: distances from its zero point, 32 bits each.
    inner_low: __m512i,
    inner_high: __m512i,
    value_ratio: __m512,
    skip_zero: __m512i,
    skip_ratio: __m512,
}

impl Rule {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    pub fn new(epilogue: &Epilogue) -> Self {
        let (clamp, residual, last) = (epilogue.clamp, epilogue.residual, epilogue.last_clamp());
        let from_zero = |bound: u8| _mm512_set1_epi32(i32::from(bound) - i32::from(clamp.zero_point));
        let (skip_zero, skip_ratio, value_ratio) =
            residual.map_or((0, 0.0, 0.0), |r| (r.skip_zero, r.skip_ratio, r.value_ratio));
        Self {
            zero: _mm512_set1_epi16(i16::from(last.zero_point)),
            low: _mm512_set1_epi8(last.low as i8),
            high: _mm512_set1_epi8(last.high as i8),
            inner_low: from_zero(clamp.low),
            inner_high: from_zero(clamp.high),
            value_ratio: _mm512_set1_ps(value_ratio),
            skip_zero: _mm512_set1_epi32(i32::from(skip_zero)),
            skip_ratio: _mm512_set1_ps(skip_ratio),
        }
    }

    /// The contract's `quantise` for four vectors of sixteen values. Packing works within 128-bit lanes: lane
    /// `k` of the result holds lane `k` of each vector, one after the other.
    ///
    /// Adding the zero point in saturating 16 bits is as good as in 32: what saturates is far beyond 0..=255 on the
    /// same side, before and after.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    pub fn quantise(&self, values: [__m512; 4]) -> __m512i {
        // The processor's default rounding, to the nearest even, is the only one that Rust programs run with.
        let [a, b, c, d] = [
            _mm512_cvtps_epi32(values[0]),
            _mm512_cvtps_epi32(values[1]),
            _mm512_cvtps_epi32(values[2]),
            _mm512_cvtps_epi32(values[3]),
        ];
        let ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), self.zero);
        let cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), self.zero);
        _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(ab, cd), self.low), self.high)
    }

    /// What the contract's formula of a residual rounds: the value, quantised by its clamp, and sixteen values of the other
    /// addend.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    pub fn add_residual(&self, value: __m512, skip: __m512i) -> __m512 {
        // Clamping the distance from the zero point saves adding and subtracting it.
        let value = _mm512_max_epi32(_mm512_cvtps_epi32(value), self.inner_low);
        let value = _mm512_cvtepi32_ps(_mm512_min_epi32(value, self.inner_high));
        let skip = _mm512_cvtepi32_ps(_mm512_sub_epi32(skip, self.skip_zero));
        // Products, then their sum: a fused multiply-add would round once instead of twice.
        _mm512_add_ps(_mm512_mul_ps(value, self.value_ratio), _mm512_mul_ps(skip, self.skip_ratio))
    }
}

/// The bytes of a vector as 32-bit words, in the order that [`Rule::quantise`] makes bytes of: vector `v` holds bytes
/// 4v..4v + 4 of each 128-bit lane.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub fn words(bytes: __m512i) -> [__m512i; 4] {
    let zero = _mm512_setzero_si512();
    let (low, high) = (_mm512_unpacklo_epi8(bytes, zero), _mm512_unpackhi_epi8(bytes, zero));
    [
        _mm512_unpacklo_epi16(low, zero),
        _mm512_unpackhi_epi16(low, zero),
        _mm512_unpacklo_epi16(high, zero),
        _mm512_unpackhi_epi16(high, zero),
    ]
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
