//! Packing: `ld1` puts quads side by side, and `st4` interleaves four lines.

use std::arch::aarch64::*;

use super::vectors::Registers;
use crate::kernels::arch::pack::Quads;

// SAFETY (of all blocks here): the level is there, see `Quads`; what is read and written the caller vouches for.
impl Quads for Registers {
    const DEPTH: usize = 4;
    type Four = int32x4_t;
    type Eight = [int32x4_t; 2];

    #[inline(always)]
    fn four() -> int32x4_t {
        // SAFETY: the level is there.
        unsafe { vdupq_n_s32(0) }
    }

    #[inline(always)]
    fn eight() -> [int32x4_t; 2] {
        [Self::four(); 2]
    }

    #[inline(always)]
    unsafe fn columns<const WHOLE: bool>(
        sums: int32x4_t,
        from: [*const u8; 4],
        to: *mut i8,
        _line: usize,
    ) -> int32x4_t {
        // SAFETY: four bytes may be read at each of `from`, by loads of one lane, which ask for no alignment; 16 be written.
        unsafe {
            let mut quads = vdupq_n_u32(0);
            quads = vld1q_lane_u32::<0>(from[0].cast(), quads);
            quads = vld1q_lane_u32::<1>(from[1].cast(), quads);
            quads = vld1q_lane_u32::<2>(from[2].cast(), quads);
            quads = vld1q_lane_u32::<3>(from[3].cast(), quads);
            let weights = vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(quads), vdupq_n_u8(0x80)));
            vst1q_s8(to, weights);
            vpadalq_s16(sums, vpaddlq_s8(weights))
        }
    }

    #[inline(always)]
    unsafe fn store_four(sums: int32x4_t, _depth: usize, to: *mut i32) {
        // SAFETY: four sums may be written.
        unsafe { vst1q_s32(to, sums) };
    }

    #[inline(always)]
    unsafe fn rows(sums: [int32x4_t; 2], from: [*const u8; 4], to: *mut i8) -> [int32x4_t; 2] {
        // SAFETY: eight bytes may be read at each of `from`, and 32 be written at `to`.
        unsafe {
            let [a, b, c, d] = from;
            let lines = int8x8x4_t(eight(a), eight(b), eight(c), eight(d));
            vst4_s8(to, lines);
            let of_four = vaddq_s16(vaddl_s8(lines.0, lines.1), vaddl_s8(lines.2, lines.3));
            [vaddw_s16(sums[0], vget_low_s16(of_four)), vaddw_high_s16(sums[1], of_four)]
        }
    }

    #[inline(always)]
    unsafe fn store_eight(sums: [int32x4_t; 2], to: *mut i32) {
        // SAFETY: eight sums may be written.
        unsafe {
            vst1q_s32(to, sums[0]);
            vst1q_s32(to.wrapping_add(4), sums[1]);
        }
    }
}

/// Eight bytes as weights.
///
/// # Safety
///
/// Eight bytes may be read at `from`.
#[inline(always)]
unsafe fn eight(from: *const u8) -> int8x8_t {
    // SAFETY: the caller vouches for them; the level is there.
    unsafe { vreinterpret_s8_u8(veor_u8(vld1_u8(from), vdup_n_u8(0x80))) }
}
