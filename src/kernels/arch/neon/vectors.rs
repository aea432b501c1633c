//! A block is a vector of bytes, an octet two vectors.

use std::arch::aarch64::*;

use super::finish::{self, CLAMPED, Rule};
use crate::kernels::contract::{Clamp, Epilogue};
use crate::kernels::drivers::Vectors;

/// The registers of NEON.
pub struct Registers;

/// Applies an operation to each of four vectors.
macro_rules! each {
    ($operation:ident, $a:expr, $b:expr) => {
        [$operation($a[0], $b[0]), $operation($a[1], $b[1]), $operation($a[2], $b[2]), $operation($a[3], $b[3])]
    };
}

// SAFETY (of all blocks here): the level is there, see `Vectors`; what reads or writes memory has just cut a slice of the
// bytes.
impl Vectors for Registers {
    const BLOCK: usize = 16;
    type Bytes = uint8x16_t;
    type Reals = [float32x4_t; 4];
    type Rule = Rule;
    type Octet = [int32x4_t; 2];

    #[inline(always)]
    fn load(bytes: &[u8]) -> uint8x16_t {
        // SAFETY: 16 bytes, as just cut.
        unsafe { vld1q_u8(bytes[..16].as_ptr()) }
    }

    #[inline(always)]
    fn repeated(bytes: &[u8]) -> uint8x16_t {
        // SAFETY: eight bytes, as just cut.
        unsafe {
            let eight = vld1_u8(bytes[..8].as_ptr());
            vcombine_u8(eight, eight)
        }
    }

    #[inline(always)]
    fn store(block: uint8x16_t, out: &mut [u8]) {
        // SAFETY: 16 bytes, as just cut.
        unsafe { vst1q_u8(out[..16].as_mut_ptr(), block) }
    }

    #[inline(always)]
    fn halves<const UPPER: bool>([a, b]: [uint8x16_t; 2]) -> uint8x16_t {
        // SAFETY: the level is there.
        unsafe {
            let (a, b) = (vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b));
            vreinterpretq_u8_u16(if UPPER { vuzp2q_u16(a, b) } else { vuzp1q_u16(a, b) })
        }
    }

    #[inline(always)]
    fn centred(block: uint8x16_t, zero: u8) -> [float32x4_t; 4] {
        // SAFETY: the level is there.
        unsafe {
            // The difference wraps in 16 unsigned bits to what it is in signed ones.
            let low = vreinterpretq_s16_u16(vsubl_u8(vget_low_u8(block), vdup_n_u8(zero)));
            let high = vreinterpretq_s16_u16(vsubl_high_u8(block, vdupq_n_u8(zero)));
            [
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
                vcvtq_f32_s32(vmovl_high_s16(low)),
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                vcvtq_f32_s32(vmovl_high_s16(high)),
            ]
        }
    }

    #[inline(always)]
    fn add(a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: the level is there.
        unsafe { each!(vaddq_f32, a, b) }
    }

    #[inline(always)]
    fn multiply(a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: the level is there.
        unsafe { each!(vmulq_f32, a, b) }
    }

    #[inline(always)]
    fn scale(a: [float32x4_t; 4], factor: f32) -> [float32x4_t; 4] {
        // SAFETY: the level is there.
        Self::multiply(a, [unsafe { vdupq_n_f32(factor) }; 4])
    }

    #[inline(always)]
    fn scaled_spread(bytes: &[u8], zero: u8, factor: f32) -> [float32x4_t; 4] {
        // SAFETY: four bytes, as just cut; the level is there.
        unsafe {
            let four = bytes[..4].as_ptr().cast::<u32>().read_unaligned();
            let x = finish::centred(vcreate_u8(four.into()), zero)[0];
            let x = vmulq_f32(x, vdupq_n_f32(factor));
            [vdupq_laneq_f32::<0>(x), vdupq_laneq_f32::<1>(x), vdupq_laneq_f32::<2>(x), vdupq_laneq_f32::<3>(x)]
        }
    }

    #[inline(always)]
    fn rule(clamp: Clamp) -> Rule {
        // SAFETY: the level is there.
        unsafe { Rule::new(&Epilogue { clamp, residual: None }) }
    }

    #[inline(always)]
    fn quantise([a, b, c, d]: [float32x4_t; 4], rule: Rule) -> uint8x16_t {
        // SAFETY: the level is there.
        unsafe { rule.quantise::<CLAMPED>([[a, b], [c, d]]) }
    }

    #[inline(always)]
    fn octet(value: i32) -> [int32x4_t; 2] {
        // SAFETY: the level is there.
        [unsafe { vdupq_n_s32(value) }; 2]
    }

    #[inline(always)]
    fn octet_add(sums: [int32x4_t; 2], bytes: &[u8]) -> [int32x4_t; 2] {
        // SAFETY: eight bytes, as just cut; the level is there.
        unsafe {
            let bytes = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(bytes[..8].as_ptr())));
            [vaddw_s16(sums[0], vget_low_s16(bytes)), vaddw_high_s16(sums[1], bytes)]
        }
    }

    #[inline(always)]
    fn octet_requantise(sums: [int32x4_t; 2], multiplier: f32, rule: Rule, out: &mut [u8]) {
        // SAFETY: eight bytes, as just cut; the level is there.
        unsafe {
            let multiplier = vdupq_n_f32(multiplier);
            let values = [vmulq_f32(vcvtq_f32_s32(sums[0]), multiplier), vmulq_f32(vcvtq_f32_s32(sums[1]), multiplier)];
            vst1_u8(out[..8].as_mut_ptr(), rule.quantise_eight::<CLAMPED>(values));
        }
    }
}
