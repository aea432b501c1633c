//! From sums to bytes: the rounding rule in registers.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::kernels::contract::Epilogue;

/// Epilogues, which are compiled apart. Here zero point 0 and any byte: to saturate is all that the clamp asks for.
pub const FREE: u8 = 0;
/// A zero point and a clamp.
pub const CLAMPED: u8 = 1;
/// A residual, and a clamp as in [`FREE`].
pub const ADDED_FREE: u8 = 2;
/// A zero point and a clamp, and there may be a residual.
pub const ADDED: u8 = 3;

/// Has the ending a clamp that saturation makes?
const fn free(ending: u8) -> bool {
    matches!(ending, FREE | ADDED_FREE)
}

/// May the ending have a residual?
pub const fn adds(ending: u8) -> bool {
    matches!(ending, ADDED_FREE | ADDED)
}

/// Eight values, in order.
pub type Eight = [float32x4_t; 2];

/// The contract's [`Epilogue`] in vectors, so that they are made once for many pixels.
#[derive(Clone, Copy)]
pub struct Rule {
    zero: int16x8_t,
    low: uint8x16_t,
    high: uint8x16_t,
    /// The clamp of the value before the residual: distances from its zero point.
    inner_low: float32x4_t,
    inner_high: float32x4_t,
    value_ratio: float32x4_t,
    skip_zero: u8,
    skip_ratio: f32,
}

impl Rule {
    /// Which of these constants is made for such values.
    pub fn ending(epilogue: &Epilogue) -> u8 {
        let last = epilogue.last_clamp();
        let free = (last.zero_point, last.low, last.high) == (0, 0, u8::MAX);
        match (epilogue.residual.is_some(), free) {
            (false, true) => FREE,
            (false, false) => CLAMPED,
            (true, true) => ADDED_FREE,
            (true, false) => ADDED,
        }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    pub fn new(epilogue: &Epilogue) -> Self {
        let (clamp, residual, last) = (epilogue.clamp, epilogue.residual, epilogue.last_clamp());
        let from_zero = |bound: u8| vdupq_n_f32(f32::from(bound) - f32::from(clamp.zero_point));
        let (skip_zero, skip_ratio, value_ratio) =
            residual.map_or((0, 0.0, 0.0), |r| (r.skip_zero, r.skip_ratio, r.value_ratio));
        Self {
            zero: vdupq_n_s16(i16::from(last.zero_point)),
            low: vdupq_n_u8(last.low),
            high: vdupq_n_u8(last.high),
            inner_low: from_zero(clamp.low),
            inner_high: from_zero(clamp.high),
            value_ratio: vdupq_n_f32(value_ratio),
            skip_zero,
            skip_ratio,
        }
    }

    /// The contract's `quantise` for two groups of eight values, one after the other. `E`: how the rule was made.
    ///
    /// Adding the zero point in saturating 16 bits is as good as in 32: what saturates is far beyond 0..=255 on the
    /// same side, before and after.
    #[target_feature(enable = "neon")]
    #[inline]
    pub fn quantise<const E: u8>(&self, values: [Eight; 2]) -> uint8x16_t {
        let bytes = vqmovun_high_s16(vqmovun_s16(self.near::<E>(values[0])), self.near::<E>(values[1]));
        if free(E) { bytes } else { vminq_u8(vmaxq_u8(bytes, self.low), self.high) }
    }

    /// [`Rule::quantise`] for one group.
    #[target_feature(enable = "neon")]
    #[inline]
    pub fn quantise_eight<const E: u8>(&self, values: Eight) -> uint8x8_t {
        let bytes = vqmovun_s16(self.near::<E>(values));
        if free(E) { bytes } else { vmin_u8(vmax_u8(bytes, vget_low_u8(self.low)), vget_low_u8(self.high)) }
    }

    /// Rounded, with the zero point.
    #[target_feature(enable = "neon")]
    #[inline]
    fn near<const E: u8>(&self, [a, b]: Eight) -> int16x8_t {
        let (a, b) = (vcvtnq_s32_f32(a), vcvtnq_s32_f32(b));
        let near = vqmovn_high_s32(vqmovn_s32(a), b);
        if free(E) { near } else { vqaddq_s16(near, self.zero) }
    }

    /// What the contract's formula of a residual rounds: the value, quantised by its clamp, and eight bytes of the other addend.
    #[target_feature(enable = "neon")]
    #[inline]
    pub fn add_residual(&self, value: Eight, skip: uint8x8_t) -> Eight {
        let skip = scaled(skip, self.skip_zero, self.skip_ratio);
        let half = |value, skip| {
            // Clamping the distance from the zero point saves adding and subtracting it. All of these are integers.
            let value = vminq_f32(vmaxq_f32(vrndnq_f32(value), self.inner_low), self.inner_high);
            // A product, then a sum: a fused multiply-add would round once instead of twice.
            vaddq_f32(vmulq_f32(value, self.value_ratio), skip)
        };
        [half(value[0], skip[0]), half(value[1], skip[1])]
    }
}

/// `vpaddq_s32`, which the compiler takes apart where something is added to it.
#[target_feature(enable = "neon")]
#[inline]
pub fn pairs(a: int32x4_t, b: int32x4_t) -> int32x4_t {
    let sum;
    // SAFETY: arithmetic on registers.
    unsafe {
        asm!("addp {sum:v}.4s, {a:v}.4s, {b:v}.4s", sum = lateout(vreg) sum, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// Sums times multipliers.
#[target_feature(enable = "neon")]
#[inline]
pub fn scale(sums: [int32x4_t; 2], multipliers: Eight) -> Eight {
    [vmulq_f32(vcvtq_f32_s32(sums[0]), multipliers[0]), vmulq_f32(vcvtq_f32_s32(sums[1]), multipliers[1])]
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
