//! A block is a vector of bytes.

use std::arch::x86_64::*;

use crate::kernels::contract::Clamp;
use crate::kernels::drivers::Vectors;

use super::finish::{self, Rule};

/// The registers of AVX2.
pub struct Registers;

// SAFETY (of all blocks here): the level is there, see `Vectors`; what reads or writes memory has just cut a slice of the
// bytes.
impl Vectors for Registers {
    const BLOCK: usize = 32;
    type Bytes = __m256i;
    type Reals = [__m256; 4];
    type Rule = Rule;
    type Octet = __m256i;

    #[inline(always)]
    fn load(bytes: &[u8]) -> __m256i {
        // SAFETY: 32 bytes, as just cut.
        unsafe { _mm256_loadu_si256(bytes[..32].as_ptr().cast()) }
    }

    #[inline(always)]
    fn repeated(bytes: &[u8]) -> __m256i {
        // SAFETY: eight bytes, as just cut.
        unsafe { _mm256_broadcastq_epi64(_mm_loadl_epi64(bytes[..8].as_ptr().cast())) }
    }

    #[inline(always)]
    fn store(block: __m256i, out: &mut [u8]) {
        // SAFETY: 32 bytes, as just cut.
        unsafe { _mm256_storeu_si256(out[..32].as_mut_ptr().cast(), block) }
    }

    #[inline(always)]
    fn halves<const UPPER: bool>([a, b]: [__m256i; 2]) -> __m256i {
        // SAFETY: the level is there.
        unsafe {
            let mask = _mm256_set1_epi32(0xffff);
            let [a, b] = if UPPER {
                [_mm256_srli_epi32::<16>(a), _mm256_srli_epi32::<16>(b)]
            } else {
                [_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)]
            };
            // Packing works within 128-bit halves.
            _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(a, b))
        }
    }

    /// In the order in which packing brings them together again: vector `v` holds bytes 4v..4v + 4 of each 128-bit half.
    #[inline(always)]
    fn centred(block: __m256i, zero: u8) -> [__m256; 4] {
        // SAFETY: the level is there.
        unsafe {
            let (nothing, zero) = (_mm256_setzero_si256(), _mm256_set1_epi32(i32::from(zero)));
            let (low, high) = (_mm256_unpacklo_epi8(block, nothing), _mm256_unpackhi_epi8(block, nothing));
            [
                _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_unpacklo_epi16(low, nothing), zero)),
                _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_unpackhi_epi16(low, nothing), zero)),
                _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_unpacklo_epi16(high, nothing), zero)),
                _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_unpackhi_epi16(high, nothing), zero)),
            ]
        }
    }

    #[inline(always)]
    fn add(a: [__m256; 4], b: [__m256; 4]) -> [__m256; 4] {
        // SAFETY: the level is there.
        unsafe {
            [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1]), _mm256_add_ps(a[2], b[2]), _mm256_add_ps(a[3], b[3])]
        }
    }

    #[inline(always)]
    fn multiply(a: [__m256; 4], b: [__m256; 4]) -> [__m256; 4] {
        // SAFETY: the level is there.
        unsafe {
            [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1]), _mm256_mul_ps(a[2], b[2]), _mm256_mul_ps(a[3], b[3])]
        }
    }

    #[inline(always)]
    fn scale(a: [__m256; 4], factor: f32) -> [__m256; 4] {
        // SAFETY: the level is there.
        Self::multiply(a, [unsafe { _mm256_set1_ps(factor) }; 4])
    }

    #[inline(always)]
    fn scaled_spread(bytes: &[u8], zero: u8, factor: f32) -> [__m256; 4] {
        // SAFETY: eight bytes, as just cut; the level is there.
        unsafe {
            let x = _mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes[..8].as_ptr().cast()));
            let x = finish::scaled(x, _mm256_set1_epi32(i32::from(zero)), _mm256_set1_ps(factor));
            // In the order of `centred`: all of a half of vector `v` share value `v` of the half.
            [
                _mm256_permute_ps::<0b00_00_00_00>(x),
                _mm256_permute_ps::<0b01_01_01_01>(x),
                _mm256_permute_ps::<0b10_10_10_10>(x),
                _mm256_permute_ps::<0b11_11_11_11>(x),
            ]
        }
    }

    #[inline(always)]
    fn rule(clamp: Clamp) -> Rule {
        // SAFETY: the level is there.
        unsafe { Rule::new(clamp) }
    }

    #[inline(always)]
    fn quantise(values: [__m256; 4], rule: Rule) -> __m256i {
        // SAFETY: the level is there.
        unsafe { rule.quantise(values) }
    }

    #[inline(always)]
    fn octet(value: i32) -> __m256i {
        // SAFETY: the level is there.
        unsafe { _mm256_set1_epi32(value) }
    }

    #[inline(always)]
    fn octet_add(sums: __m256i, bytes: &[u8]) -> __m256i {
        // SAFETY: eight bytes, as just cut; the level is there.
        unsafe { _mm256_add_epi32(sums, _mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes[..8].as_ptr().cast()))) }
    }

    #[inline(always)]
    fn octet_requantise(sums: __m256i, multiplier: f32, rule: Rule, out: &mut [u8]) {
        // SAFETY: eight bytes, as just cut; the level is there.
        unsafe {
            let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(multiplier));
            // The first four bytes begin the lower half, the others the upper one.
            let bytes = Self::quantise([value; 4], rule);
            let bytes = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
            finish::store(bytes, out[..8].as_mut_ptr(), 8);
        }
    }
}
