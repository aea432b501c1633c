//! Dense convolution and matrix product with the dot product of ARMv8.2: 16 products an instruction.
//!
//! A vector of weights is four outputs by four inputs; the by-element form of `sdot` multiplies it with four of a
//! pixel's sixteen activations, so one load and one sign change serve four steps. Two pipelines of four cycles are
//! busy with eight sums (8 pixels by the 4 outputs of a last layer); 4 pixels by 16 outputs and 8 by 8 make sixteen, 3 by
//! 24 and 6 by 12 make 18, and ask for fewer loads.

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::neon::conv::{Epilogue, Row};
use super::super::neon::finish::{ADDED, ADDED_FREE, CLAMPED, FREE};
use crate::kernels::contract::{ConvRow, Tap};
use crate::kernels::drivers::blocks;

/// Activations of some pixels, as signed ones: those at `$from` and each of `$offsets`, loaded by `$load`. Left alone the
/// compiler makes a pointer to each pixel anew every time.
macro_rules! load {
    ($load:literal, $from:expr, $offsets:expr) => {
        $offsets.map(|offset: usize| {
            let x: uint8x16_t;
            asm!($load, x = lateout(vreg) x, from = in(reg) $from, offset = in(reg) offset,
                options(pure, readonly, nostack, preserves_flags));
            vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(0x80)))
        })
    };
}

/// One row, with weights as [`Weights::data`](crate::kernels::Weights::data) has them.
pub fn conv_row(weights: &[i8], row: ConvRow) {
    let row = Row::new(row, weights);
    row.assert_quads();
    let outputs = row.row.outputs;
    // Wide strips load activations less often; narrow ones may have more pixels, which share the loads of weights.
    let width = [24, 12].into_iter().find(|&width| outputs.is_multiple_of(width)).unwrap_or(16);
    let ending = row.ending();
    for output in (0..outputs).step_by(width) {
        // SAFETY: the strip ends at the padded outputs at most, and the processor has dot products (see `arch`).
        unsafe {
            match ((outputs - output).min(width), ending) {
                (24, FREE) => strip::<FREE, true, 3, 6, 3>(&row, output),
                (24, CLAMPED) => strip::<CLAMPED, true, 3, 6, 3>(&row, output),
                (24, ADDED_FREE) => strip::<ADDED_FREE, true, 3, 6, 3>(&row, output),
                (24, _) => strip::<ADDED, true, 3, 6, 3>(&row, output),
                (16.., FREE) => strip::<FREE, true, 2, 4, 4>(&row, output),
                (16.., CLAMPED) => strip::<CLAMPED, true, 2, 4, 4>(&row, output),
                (16.., ADDED_FREE) => strip::<ADDED_FREE, true, 2, 4, 4>(&row, output),
                (16.., _) => strip::<ADDED, true, 2, 4, 4>(&row, output),
                (12, FREE | CLAMPED) => strip::<CLAMPED, true, 2, 3, 6>(&row, output),
                (12, _) => strip::<ADDED, true, 2, 3, 4>(&row, output),
                (8, FREE | CLAMPED) => strip::<CLAMPED, true, 1, 2, 8>(&row, output),
                (8, _) => strip::<ADDED, true, 1, 2, 8>(&row, output),
                (13.., _) => strip::<ADDED, false, 2, 4, 4>(&row, output),
                (9.., _) => strip::<ADDED, false, 2, 3, 4>(&row, output),
                (5.., _) => strip::<ADDED, false, 1, 2, 8>(&row, output),
                _ => strip::<ADDED, false, 1, 1, 8>(&row, output),
            }
        }
    }
}

/// All pixels of `V * 4` outputs, in blocks of `P`. `E`: their ending; `F`: the outputs are all real; `W` groups
/// of 8 outputs hold them. Only rows shorter than a block need smaller ones.
///
/// # Safety
///
/// `output + V * 4` is at most the padded number of outputs.
#[target_feature(enable = "dotprod")]
unsafe fn strip<const E: u8, const F: bool, const W: usize, const V: usize, const P: usize>(row: &Row, output: usize) {
    // SAFETY: the outputs are there: those of the strip, with four more where its last group of 8 has 4.
    let last = unsafe { row.last::<W>(output) };
    let pixels = row.row.pixels;
    // SAFETY: the outputs are there, and each block's pixels are below `pixels`.
    unsafe {
        if pixels >= P {
            for x in blocks(pixels, P) {
                block::<E, F, W, V, P>(row, output, x, &last);
            }
        } else if pixels >= 2 {
            for x in blocks(pixels, 2) {
                block::<E, F, W, V, 2>(row, output, x, &last);
            }
        } else if pixels > 0 {
            block::<E, F, W, V, 1>(row, output, 0, &last);
        }
    }
}

/// `P` pixels from `x`, `V * 4` outputs from `output`.
///
/// # Safety
///
/// `x + P` is at most the row's pixels, and `output + V * 4` at most the padded number of outputs.
#[target_feature(enable = "dotprod")]
#[inline]
unsafe fn block<const E: u8, const F: bool, const W: usize, const V: usize, const P: usize>(
    row: &Row,
    output: usize,
    x: usize,
    last: &Epilogue<W>,
) {
    let ConvRow { taps, run, rows, .. } = row.row;
    let line = row.row.padded() * 4;
    // SAFETY: `bias` has the padded number of outputs.
    let bias = std::array::from_fn(|v| unsafe { vld1q_s32(row.row.bias.as_ptr().add(output + v * 4)) });
    let mut sums: [[int32x4_t; V]; P] = [bias; P];
    // SAFETY: `output` is below the padded number, and a line has four weights for each of them.
    let mut weights = unsafe { row.weights.as_ptr().add(output * 4) };
    let (mut offsets, mut last_step) = ([0; P], 0);
    for &Tap { row: from, offset, step } in taps {
        if step != last_step {
            // What the compiler may not move keeps this a branch, hardly ever taken twice, instead of `P` selections.
            // SAFETY: no instruction at all.
            unsafe { asm!("", options(nomem, nostack, preserves_flags)) };
            (offsets, last_step) = (std::array::from_fn(|p| p * step), step);
        }
        // SAFETY: the tap's row is there and reaches past the run of the last pixel, and `x` is not behind that pixel.
        let mut bytes = unsafe { rows.get_unchecked(from).as_ptr().add(x * step + offset) };
        // SAFETY: the weights hold taps * run / 4 lines, of which four, two or one are the next; the 16, 8 or 4
        // bytes lie in the runs of the pixels x..x + P, all of them in the row.
        unsafe {
            for _ in 0..run / 16 {
                let x = load!("ldr {x:q}, [{from}, {offset}]", bytes, offsets);
                multiply::<0, V, P>(&mut sums, &x, &mut weights, line);
                multiply::<1, V, P>(&mut sums, &x, &mut weights, line);
                multiply::<2, V, P>(&mut sums, &x, &mut weights, line);
                multiply::<3, V, P>(&mut sums, &x, &mut weights, line);
                bytes = bytes.wrapping_add(16);
            }
            if run & 8 != 0 {
                let x = load!("ldr {x:d}, [{from}, {offset}]", bytes, offsets);
                multiply::<0, V, P>(&mut sums, &x, &mut weights, line);
                multiply::<1, V, P>(&mut sums, &x, &mut weights, line);
                bytes = bytes.wrapping_add(8);
            }
            if run & 4 != 0 {
                let x = load!("ldr {x:s}, [{from}, {offset}]", bytes, offsets);
                multiply::<0, V, P>(&mut sums, &x, &mut weights, line);
            }
        }
    }
    // SAFETY: passes on what the caller has promised.
    unsafe {
        if F && (V == 4 || V == 6) {
            return row.finish_wide::<E, W, V, P>(last, &sums, x);
        }
        if F && V == 3 && P % 2 == 0 {
            for p in (0..P).step_by(2) {
                let two = [sums[p], sums[(p + 1) % P]].map(|sums| [sums[0], sums[1 % V], sums[V - 1]]);
                row.finish_twelve::<E, W>(last, &two, x + p);
            }
            return;
        }
        // Four outputs come out as eight, of which the last four are not stored. A loop over `W` would index the sums
        // by its variable, for which the compiler keeps them in memory from the first product on.
        let eight =
            |first: usize| -> [_; P] { std::array::from_fn(|p| [sums[p][first], sums[p][(first + 1).min(V - 1)]]) };
        row.finish::<E, F, W, P>(last, 0, &eight(0), x);
        if V > 2 {
            row.finish::<E, false, W, P>(last, 1, &eight(2 % V), x); // four are real, at most, unless others overwrite them
        }
    }
}

/// Adds four products to every sum, with the `LANE`th four activations, and moves on to the next line of weights.
///
/// # Safety
///
/// `V * 16` weights may be read at `weights`.
#[target_feature(enable = "dotprod")]
#[inline]
unsafe fn multiply<const LANE: usize, const V: usize, const P: usize>(
    sums: &mut [[int32x4_t; V]; P],
    x: &[int8x16_t; P],
    weights: &mut *const i8,
    line: usize,
) {
    // SAFETY: the caller vouches for V * 16 weights.
    let w = unsafe { load_weights::<V>(weights, line) };
    for v in 0..V {
        for (sums, x) in sums.iter_mut().zip(x) {
            // SAFETY: arithmetic on registers, which this function's processor has.
            unsafe {
                asm!(
                    "sdot {sum:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]",
                    sum = inlateout(vreg) sums[v],
                    w = in(vreg) w[v],
                    x = in(vreg) *x,
                    lane = const LANE,
                    options(nomem, nostack, preserves_flags)
                );
            }
        }
    }
}

/// `V` vectors of weights, one to four or six, by the instruction that also steps to the next line (two if they are six).
/// It fills registers that follow each other, which the compiler would not choose.
///
/// # Safety
///
/// `V * 16` weights may be read at `from`.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn load_weights<const V: usize>(from: &mut *const i8, line: usize) -> [int8x16_t; V] {
    macro_rules! load {
        ($registers:literal, $line:expr, $($out:tt)*) => {
            asm!(concat!("ld1 {{", $registers, "}}, [{from}], {line}"), $($out)*
                from = inout(reg) *from, line = in(reg) $line, options(readonly, nostack, preserves_flags))
        };
    }
    let mut w = [vdupq_n_s8(0); 6];
    // SAFETY: the caller vouches for V * 16 weights.
    unsafe {
        match V {
            1 => load!("v28.16b", line, out("v28") w[0],),
            2 => load!("v28.16b, v29.16b", line, out("v28") w[0], out("v29") w[1],),
            3 => load!("v28.16b, v29.16b, v30.16b", line, out("v28") w[0], out("v29") w[1], out("v30") w[2],),
            4 => load!(
                "v28.16b, v29.16b, v30.16b, v31.16b", line,
                out("v28") w[0], out("v29") w[1], out("v30") w[2], out("v31") w[3],
            ),
            _ => {
                load!("v26.16b, v27.16b, v28.16b", 48usize, out("v26") w[0], out("v27") w[1], out("v28") w[2],);
                load!("v29.16b, v30.16b, v31.16b", line - 48, out("v29") w[3], out("v30") w[4], out("v31") w[5],);
            }
        }
    }
    std::array::from_fn(|v| w[v])
}
