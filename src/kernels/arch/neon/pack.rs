//! Activations as the right side of a matrix product. Their zero point is 128, so `x - 128` is a weight.

use std::arch::aarch64::*;

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

/// Four outputs by four of depth at a time: a quad of each side by side.
///
/// # Safety
///
/// `assert_pack` of the contract's bounds holds.
#[target_feature(enable = "neon")]
unsafe fn columns(b: *const u8, outputs: usize, depth: usize, data: *mut i8, sums: *mut i32) {
    for o in (0..outputs).step_by(4) {
        let mut sum = vdupq_n_s32(0);
        for k in (0..depth).step_by(4) {
            let quad = |i: usize| b.wrapping_add((o + i) * depth + k).cast::<u32>();
            let mut quads = vdupq_n_u32(0);
            // SAFETY: `o..o + 4` are outputs, and four bytes of their depth are left from `k`; a load of one lane
            // asks for no alignment.
            unsafe {
                quads = vld1q_lane_u32::<0>(quad(0), quads);
                quads = vld1q_lane_u32::<1>(quad(1), quads);
                quads = vld1q_lane_u32::<2>(quad(2), quads);
                quads = vld1q_lane_u32::<3>(quad(3), quads);
            }
            let weights = vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(quads), vdupq_n_u8(0x80)));
            sum = vpadalq_s16(sum, vpaddlq_s8(weights));
            // SAFETY: line `k / 4` has 16 bytes for these outputs.
            unsafe { vst1q_s8(data.wrapping_add((k / 4 * outputs + o) * 4), weights) };
        }
        // SAFETY: there are four sums from `o`.
        unsafe { vst1q_s32(sums.wrapping_add(o), sum) };
    }
}

/// Eight outputs by four of depth at a time: `st4` interleaves four lines.
///
/// # Safety
///
/// `assert_pack` of the contract's bounds holds.
#[target_feature(enable = "neon")]
unsafe fn rows(b: *const u8, outputs: usize, depth: usize, data: *mut i8, sums: *mut i32) {
    let sign = vdup_n_u8(0x80);
    for o in (0..outputs).step_by(8) {
        let mut sum = [vdupq_n_s32(0); 2];
        for k in (0..depth).step_by(4) {
            let line = |i: usize| {
                // SAFETY: each of the lines has eight bytes from `o`.
                let line = unsafe { vld1_u8(b.wrapping_add((k + i) * outputs + o)) };
                vreinterpret_s8_u8(veor_u8(line, sign))
            };
            let lines = int8x8x4_t(line(0), line(1), line(2), line(3));
            let of_four = vaddq_s16(vaddl_s8(lines.0, lines.1), vaddl_s8(lines.2, lines.3));
            sum = [vaddw_s16(sum[0], vget_low_s16(of_four)), vaddw_high_s16(sum[1], of_four)];
            // SAFETY: line `k / 4` has 32 bytes for these outputs.
            unsafe { vst4_s8(data.wrapping_add((k / 4 * outputs + o) * 4), lines) };
        }
        // SAFETY: there are eight sums from `o`.
        unsafe {
            vst1q_s32(sums.wrapping_add(o), sum[0]);
            vst1q_s32(sums.wrapping_add(o + 4), sum[1]);
        }
    }
}
