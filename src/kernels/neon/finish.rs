//! From sums to bytes: the rounding rule in registers.

use std::arch::aarch64::*;

use crate::kernels::{Clamp, Residual};

/// Eight values, in order.
pub type Eight = [float32x4_t; 2];

/// [`place`](crate::kernels::place) for two groups of eight values.
///
/// Adding the zero point in saturating 16 bits is as good as in 32: what saturates is far beyond 0..=255 on the
/// same side, before and after.
#[target_feature(enable = "neon")]
#[inline]
pub fn place(values: [Eight; 2], clamp: Clamp) -> [uint8x8_t; 2] {
    let zero = vdupq_n_s16(i16::from(clamp.zero_point));
    let half = |[a, b]: Eight| {
        let (a, b) = (vcvtnq_s32_f32(a), vcvtnq_s32_f32(b));
        vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), zero)
    };
    let bytes = vqmovun_high_s16(vqmovun_s16(half(values[0])), half(values[1]));
    let bytes = vminq_u8(vmaxq_u8(bytes, vdupq_n_u8(clamp.low)), vdupq_n_u8(clamp.high));
    [vget_low_u8(bytes), vget_high_u8(bytes)]
}

/// Sums times multipliers.
#[target_feature(enable = "neon")]
#[inline]
pub fn scale(sums: [int32x4_t; 2], multipliers: Eight) -> Eight {
    [vmulq_f32(vcvtq_f32_s32(sums[0]), multipliers[0]), vmulq_f32(vcvtq_f32_s32(sums[1]), multipliers[1])]
}

/// What the formula of [`Residual`] rounds: the value, quantised by `clamp`, and eight bytes of the other addend.
#[target_feature(enable = "neon")]
#[inline]
pub fn add(value: Eight, clamp: Clamp, residual: &Residual, skip: uint8x8_t) -> Eight {
    // Clamping the distance from the zero point saves adding and subtracting it.
    let from_zero = |bound: u8| vdupq_n_s32(i32::from(bound) - i32::from(clamp.zero_point));
    let skip = scaled(skip, residual.skip_zero, residual.skip_ratio);
    let half = |value, skip| {
        let value = vmaxq_s32(vcvtnq_s32_f32(value), from_zero(clamp.low));
        let value = vcvtq_f32_s32(vminq_s32(value, from_zero(clamp.high)));
        // A product, then a sum: a fused multiply-add would round once instead of twice.
        vaddq_f32(vmulq_f32(value, vdupq_n_f32(residual.value_ratio)), skip)
    };
    [half(value[0], skip[0]), half(value[1], skip[1])]
}

/// `(x - zero) * ratio`.
#[target_feature(enable = "neon")]
#[inline]
pub fn scaled(x: uint8x8_t, zero: u8, ratio: f32) -> Eight {
    centred(x, zero).map(|x| vmulq_f32(x, vdupq_n_f32(ratio)))
}

/// `x - zero`, which floats hold exactly.
#[target_feature(enable = "neon")]
#[inline]
pub fn centred(x: uint8x8_t, zero: u8) -> Eight {
    // The difference wraps in 16 unsigned bits to what it is in signed ones.
    let x = vreinterpretq_s16_u16(vsubl_u8(x, vdup_n_u8(zero)));
    [vcvtq_f32_s32(vmovl_s16(vget_low_s16(x))), vcvtq_f32_s32(vmovl_high_s16(x))]
}

/// Reads eight multipliers or other values.
///
/// # Safety
///
/// Eight values at `from` may be read.
#[target_feature(enable = "neon")]
#[inline]
pub unsafe fn load_eight(from: *const f32) -> Eight {
    // SAFETY: the caller vouches for eight values.
    unsafe { [vld1q_f32(from), vld1q_f32(from.add(4))] }
}

/// Reads `count` bytes, at most eight.
///
/// # Safety
///
/// `count` bytes at `from` may be read.
#[target_feature(enable = "neon")]
#[inline]
pub unsafe fn load(from: *const u8, count: usize) -> uint8x8_t {
    if count >= 8 {
        // SAFETY: eight bytes may be read, and the instruction asks for no alignment.
        unsafe { vld1_u8(from) }
    } else {
        let mut bytes = [0u8; 8];
        // SAFETY: `count` < 8 bytes may be read, and fit into the array.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), count) };
        vcreate_u8(u64::from_le_bytes(bytes))
    }
}

/// Writes the first `count` bytes, at most eight.
///
/// # Safety
///
/// `count` bytes at `to` may be written.
#[target_feature(enable = "neon")]
#[inline]
pub unsafe fn store(bytes: uint8x8_t, to: *mut u8, count: usize) {
    let word = vget_lane_u64::<0>(vreinterpret_u64_u8(bytes));
    match count {
        // SAFETY: eight bytes may be written, and the instruction asks for no alignment.
        8.. => unsafe { vst1_u8(to, bytes) },
        // The last layer has as many outputs as the square of the scale: 4 is the common one.
        // SAFETY: four bytes may be written; the write asks for no alignment.
        4 => unsafe { to.cast::<u32>().write_unaligned(word as u32) },
        // SAFETY: `count` < 8 bytes may be written, and the array has as many.
        _ => unsafe { std::ptr::copy_nonoverlapping(word.to_le_bytes().as_ptr(), to, count) },
    }
}
