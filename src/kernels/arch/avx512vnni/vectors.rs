//! A block is a vector of bytes. Octets are those of AVX2.

use std::arch::x86_64::*;

use super::super::avx2;
use super::finish::{self, Rule};
use crate::kernels::contract::{Clamp, Epilogue};
use crate::kernels::drivers::Vectors;

/// The registers of AVX-512.
pub struct Registers;

type Octets = avx2::Registers;

/// Applies an operation to each of four vectors.
macro_rules! each {
    ($operation:ident, $a:expr, $b:expr) => {
        [$operation($a[0], $b[0]), $operation($a[1], $b[1]), $operation($a[2], $b[2]), $operation($a[3], $b[3])]
    };
}

// SAFETY (of all blocks here): the level is there, see `Vectors`; what reads or writes memory has just cut a slice of the
// bytes.
impl Vectors for Registers {
    const BLOCK: usize = 64;
    type Bytes = __m512i;
    type Reals = [__m512; 4];
    type Rule = Rule;
    type Octet = __m256i;

    #[inline(always)]
    fn load(bytes: &[u8]) -> __m512i {
        // SAFETY: 64 bytes, as just cut.
        unsafe { _mm512_loadu_si512(bytes[..64].as_ptr().cast()) }
    }

    #[inline(always)]
    fn repeated(bytes: &[u8]) -> __m512i {
        // SAFETY: eight bytes, as just cut.
        unsafe { _mm512_broadcastq_epi64(_mm_loadl_epi64(bytes[..8].as_ptr().cast())) }
    }

    #[inline(always)]
    fn store(block: __m512i, out: &mut [u8]) {
        // SAFETY: 64 bytes, as just cut.
        unsafe { _mm512_storeu_si512(out[..64].as_mut_ptr().cast(), block) }
    }

    #[inline(always)]
    fn halves<const UPPER: bool>([a, b]: [__m512i; 2]) -> __m512i {
        // SAFETY: the level is there.
        unsafe {
            let [a, b] = if UPPER { [_mm512_srli_epi32::<16>(a), _mm512_srli_epi32::<16>(b)] } else { [a, b] };
            let (a, b) = (_mm512_cvtepi32_epi16(a), _mm512_cvtepi32_epi16(b));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b)
        }
    }

    #[inline(always)]
    fn centred(block: __m512i, zero: u8) -> [__m512; 4] {
        // SAFETY: the level is there.
        unsafe {
            let zero = [_mm512_set1_epi32(i32::from(zero)); 4];
            let [a, b, c, d] = each!(_mm512_sub_epi32, finish::words(block), zero);
            [_mm512_cvtepi32_ps(a), _mm512_cvtepi32_ps(b), _mm512_cvtepi32_ps(c), _mm512_cvtepi32_ps(d)]
        }
    }

    #[inline(always)]
    fn add(a: [__m512; 4], b: [__m512; 4]) -> [__m512; 4] {
        // SAFETY: the level is there.
        unsafe { each!(_mm512_add_ps, a, b) }
    }

    #[inline(always)]
    fn multiply(a: [__m512; 4], b: [__m512; 4]) -> [__m512; 4] {
        // SAFETY: the level is there.
        unsafe { each!(_mm512_mul_ps, a, b) }
    }

    #[inline(always)]
    fn scale(a: [__m512; 4], factor: f32) -> [__m512; 4] {
        // SAFETY: the level is there.
        Self::multiply(a, [unsafe { _mm512_set1_ps(factor) }; 4])
    }

    #[inline(always)]
    fn scaled_spread(bytes: &[u8], zero: u8, factor: f32) -> [__m512; 4] {
        // SAFETY: 16 bytes, as just cut; the level is there.
        unsafe {
            let x = _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes[..16].as_ptr().cast()));
            let x = _mm512_cvtepi32_ps(_mm512_sub_epi32(x, _mm512_set1_epi32(zero.into())));
            let x = _mm512_mul_ps(x, _mm512_set1_ps(factor));
            // In the order of `centred`: all of a lane of vector `v` share value `v` of the lane.
            [
                _mm512_permute_ps::<0b00_00_00_00>(x),
                _mm512_permute_ps::<0b01_01_01_01>(x),
                _mm512_permute_ps::<0b10_10_10_10>(x),
                _mm512_permute_ps::<0b11_11_11_11>(x),
            ]
        }
    }

    #[inline(always)]
    fn rule(clamp: Clamp) -> Rule {
        // SAFETY: the level is there.
        unsafe { Rule::new(&Epilogue { clamp, residual: None }) }
    }

    #[inline(always)]
    fn quantise(values: [__m512; 4], rule: Rule) -> __m512i {
        // SAFETY: the level is there.
        unsafe { rule.quantise(values) }
    }

    #[inline(always)]
    fn octet(value: i32) -> __m256i {
        Octets::octet(value)
    }

    #[inline(always)]
    fn octet_add(sums: __m256i, bytes: &[u8]) -> __m256i {
        Octets::octet_add(sums, bytes)
    }

    #[inline(always)]
    fn octet_requantise(sums: __m256i, multiplier: f32, rule: Rule, out: &mut [u8]) {
        // SAFETY: eight bytes, as just cut; the level is there.
        unsafe {
            let value = _mm512_castps256_ps512(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(multiplier)));
            let bytes = finish::transposed(rule.quantise([value; 4]));
            _mm_storel_epi64(out[..8].as_mut_ptr().cast(), _mm512_castsi512_si128(bytes));
        }
    }
}
