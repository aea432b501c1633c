//! The only chain of a strip (see [`short`](super::short)), of at most 32 inputs: its weights for eight outputs fit into
//! registers, and stay there for all pixels of a row.

use std::arch::aarch64::*;
use std::arch::asm;

use super::conv::Row;
use super::finish;
use super::lines::Lines;
use crate::kernels::drivers::blocks;

/// All pixels of a strip of eight outputs, all real, whose only chain is `S` sixteens, and an eight if `H`: the weights stay
/// in registers. `R`: its ending.
///
/// # Safety
///
/// `output` begins such a strip; `lines` are its own, and may be read at all pixels, two or more, which are evenly spaced.
#[target_feature(enable = "neon")]
#[inline(never)]
pub(super) unsafe fn alone<const S: usize, const H: bool, const R: u8>(row: &Row, output: usize, lines: &Lines) {
    let sources = S + usize::from(H);
    let weights = |output: usize, source: usize| lines.weights[(output * sources + source) * 16..].as_ptr();
    // SAFETY: each output has sixteen weights for each source, and the pixels are there.
    unsafe {
        let last = row.last::<1>(output);
        let bias = row.row.bias.as_ptr().add(output);
        let bias = [vld1q_s32(bias), vld1q_s32(bias.add(4))];
        let wholes: [[int8x16_t; 8]; S] = std::array::from_fn(|i| std::array::from_fn(|j| vld1q_s8(weights(j, i))));
        // Eights of two outputs side by side: the upper one goes with the upper half of the activations, the same again.
        let eights: [int8x16_t; 4] = std::array::from_fn(|j| {
            let eight = |j: usize| if H { vld1_s8(weights(j, S)) } else { vdup_n_s8(0) };
            vcombine_s8(eight(j * 2), eight(j * 2 + 1))
        });
        for x in blocks(row.row.pixels, 2) {
            let sums = [
                eight_sums::<S, H>(lines, &wholes, &eights, bias, x),
                eight_sums::<S, H>(lines, &wholes, &eights, bias, x + 1),
            ];
            row.finish::<R, true, 1, 2>(&last, 0, &sums, x);
        }
    }
}

/// The sums of pixel `x` for [`alone`], whose weights these are.
///
/// # Safety
///
/// As for [`alone`], of a pixel of the row.
#[inline(always)]
unsafe fn eight_sums<const S: usize, const H: bool>(
    lines: &Lines,
    wholes: &[[int8x16_t; 8]; S],
    eights: &[int8x16_t; 4],
    bias: [int32x4_t; 2],
    x: usize,
) -> [int32x4_t; 2] {
    let begin = |source: usize| lines.firsts.as_ptr().wrapping_add(source);
    // SAFETY: the sources begin there and are there at the pixel, and NEON is there (see `arch`).
    unsafe {
        let signed = |bytes| vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(0x80)));
        let mut inputs = [vdupq_n_s8(0); 2];
        for i in 0..S {
            inputs[i] = signed(vld1q_u8(begin(i).read().add(x * lines.step)));
        }
        let mut eight = vdupq_n_s8(0);
        if H {
            let bytes = begin(S).read().add(x * lines.step).cast::<u64>().read_unaligned();
            eight = signed(vreinterpretq_u8_u64(vdupq_n_u64(bytes)));
        }
        let mut sums = bias;
        for (i, sum) in sums.iter_mut().enumerate() {
            let products = |j: usize| products::<S, H>(inputs, eight, wholes.map(|w| w[j]), eights[j / 2], j % 2 > 0);
            let first = finish::pairs(products(i * 4), products(i * 4 + 1));
            let second = finish::pairs(products(i * 4 + 2), products(i * 4 + 3));
            *sum = vaddq_s32(finish::pairs(first, second), *sum);
        }
        sums
    }
}

/// Four sums of an output's products with `S` sixteens of inputs, and with an eight if `H`: the weights of that are in the
/// upper half of `x` if `upper`. Left alone the compiler would keep halves of weights in registers of their own, and run
/// out of these.
#[inline(always)]
unsafe fn products<const S: usize, const H: bool>(
    [a, b]: [int8x16_t; 2],
    eight: int8x16_t,
    weights: [int8x16_t; S],
    x: int8x16_t,
    upper: bool,
) -> int32x4_t {
    macro_rules! program {
        ([$($line:expr),*], $($input:tt)*) => {{
            let sums: int32x4_t;
            asm!($($line,)* "saddlp {t:v}.4s, {t:v}.8h", t = out(vreg) sums, $($input)*
                options(nomem, nostack, preserves_flags));
            sums
        }};
    }
    let weight = |i: usize| weights.get(i).copied().unwrap_or(x);
    // SAFETY: arithmetic on registers.
    unsafe {
        match (S, H, upper) {
            (0, _, false) => program!(["smull {t:v}.8h, {e:v}.8b, {x:v}.8b"], e = in(vreg) eight, x = in(vreg) x,),
            (0, _, true) => program!(["smull2 {t:v}.8h, {e:v}.16b, {x:v}.16b"], e = in(vreg) eight, x = in(vreg) x,),
            (1, false, _) => program!(
                ["smull {t:v}.8h, {a:v}.8b, {v:v}.8b", "smlal2 {t:v}.8h, {a:v}.16b, {v:v}.16b"],
                a = in(vreg) a, v = in(vreg) weight(0),
            ),
            (1, true, false) => program!(
                [
                    "smull {t:v}.8h, {a:v}.8b, {v:v}.8b",
                    "smlal2 {t:v}.8h, {a:v}.16b, {v:v}.16b",
                    "smlal {t:v}.8h, {e:v}.8b, {x:v}.8b"
                ],
                a = in(vreg) a, v = in(vreg) weight(0), e = in(vreg) eight, x = in(vreg) x,
            ),
            (1, true, true) => program!(
                [
                    "smull {t:v}.8h, {a:v}.8b, {v:v}.8b",
                    "smlal2 {t:v}.8h, {a:v}.16b, {v:v}.16b",
                    "smlal2 {t:v}.8h, {e:v}.16b, {x:v}.16b"
                ],
                a = in(vreg) a, v = in(vreg) weight(0), e = in(vreg) eight, x = in(vreg) x,
            ),
            _ => program!(
                [
                    "smull {t:v}.8h, {a:v}.8b, {v:v}.8b",
                    "smlal2 {t:v}.8h, {a:v}.16b, {v:v}.16b",
                    "smlal {t:v}.8h, {b:v}.8b, {w:v}.8b",
                    "smlal2 {t:v}.8h, {b:v}.16b, {w:v}.16b"
                ],
                a = in(vreg) a, v = in(vreg) weight(0), b = in(vreg) b, w = in(vreg) weight(1),
            ),
        }
    }
}
