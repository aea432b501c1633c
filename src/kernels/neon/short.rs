//! Dense convolution with sums of two or four products in 16 bits.
//!
//! A product of an activation, read as `x - 128`, with a weight `w` is at most `128 * |w|`. Where no four weights that
//! meet in a lane have magnitudes of more than 255 together, their products stay within 16 bits: `smull` and three
//! `smlal`, then one `sadalp` for 32 products. Trained weights are mostly so; PREPARE looks, and orders them. Where
//! they are not, two products always are, unless both weights are -128.
//!
//! A vector of sums belongs to one output of one pixel, and its lanes to input channels; the four sums are added at the
//! end. So a pixel's activations are loaded as they lie, sixteen at once, and serve all outputs without being spread.
//! Two pixels by 8 outputs, or 4 by the 4 outputs of a last layer, make sixteen vectors of sums.

use std::arch::aarch64::*;
use std::arch::asm;

use super::conv::{Last, Row};
use crate::kernels::{Tap, Window};

/// Outputs of a strip.
const STRIP: usize = 8;
/// Bytes of a strip's weights for sixteen inputs.
const LINE: usize = STRIP * 16;
/// Most sixteens of inputs that an output can have.
const MOST: usize = 72;

/// Where sixteen inputs of the first pixel lie: eight here and eight there, and the bytes from pixel to pixel.
#[derive(Clone, Copy)]
struct Source {
    low: (*const u8, usize),
    high: (*const u8, usize),
}

/// What a strip reads: all its sources, of which the first `together` have their sixteen inputs side by side, the
/// weights for each, and whether four products fit into 16 bits.
#[derive(Clone, Copy)]
struct Lines<'a> {
    sources: &'a [Source],
    together: usize,
    weights: &'a [i8],
    fours: bool,
}

/// Taps that continue each other, as one each: with the bytes that are read there.
fn runs(window: &Window) -> impl Iterator<Item = (Tap, usize)> {
    let follows = move |a: &Tap, b: &Tap| a.row == b.row && a.step == b.step && a.offset + window.run == b.offset;
    window.taps.chunk_by(follows).map(move |taps| (taps[0], taps.len() * window.run))
}

/// Sixteen or eight bytes of a run, those from `new` on being in no piece before.
struct Piece {
    begin: usize,
    new: usize,
    size: usize,
}

/// Pieces that cover a run of at least eight bytes. Its end is read again rather than past it, and meets zero weights
/// the second time.
fn pieces(length: usize) -> impl Iterator<Item = Piece> {
    let (wholes, rest) = (length / 16, length % 16);
    let last = |size: usize| Piece { begin: length - size, new: length - rest, size };
    let ends = match rest {
        0 => [None, None],
        1..=8 => [Some(last(8)), None],
        _ if wholes > 0 => [Some(last(16)), None],
        _ => [Some(Piece { begin: 0, new: 0, size: 8 }), Some(Piece { new: 8, ..last(8) })],
    };
    (0..wholes).map(|i| Piece { begin: i * 16, new: i * 16, size: 16 }).chain(ends.into_iter().flatten())
}

/// Sixteens of a convolution: those that lie together, and those that are made of two eights.
fn counts(window: &Window) -> (usize, usize) {
    let of = |size| runs(window).flat_map(|(_, length)| pieces(length)).filter(|piece| piece.size == size).count();
    (of(16), of(8).div_ceil(2))
}

/// Bytes of weights that [`arrange`] makes for so many outputs, a multiple of 8.
pub fn arranged_bytes(window: &Window, padded: usize) -> usize {
    let (together, tails) = counts(window);
    padded * (together + tails) * 16 + padded / STRIP
}

/// The weights for [`conv_row_short`], `[strip of 8 outputs][sixteen][output][16]`, then a byte for each strip: do
/// fours fit? Nothing if they do not suit. `data` is as [`crate::kernels::Weights`] has it.
pub fn arrange(window: &Window, outputs: usize, data: &[i8]) -> Vec<i8> {
    let padded = outputs.next_multiple_of(8);
    let (together, tails) = counts(window);
    let sixteens = together + tails;
    let suits = |length: usize| length >= 8 && length.is_multiple_of(4);
    if sixteens == 0 || sixteens > MOST || !runs(window).all(|(_, length)| suits(length)) {
        return vec![];
    }
    // Where more than a quarter of what is read is read twice, or too wide, quads of inputs are faster.
    let bytes: usize = runs(window).map(|(_, length)| length).sum();
    if sixteens * 16 * 3 > bytes * 4 {
        return vec![];
    }
    let mut arranged = vec![0; padded * sixteens * 16];
    // Eights follow what lies together.
    let (mut first, mut whole, mut tail) = (0, 0, together * 16);
    for (_, length) in runs(window) {
        for piece in pieces(length) {
            let place = if piece.size == 16 { &mut whole } else { &mut tail };
            for byte in piece.new..piece.begin + piece.size {
                let place = *place + byte - piece.begin;
                for output in 0..padded {
                    let w = data[((first + byte) / 4 * padded + output) * 4 + byte % 4];
                    let line = output / STRIP * sixteens + place / 16;
                    arranged[line * LINE + output % STRIP * 16 + place % 16] = w;
                }
            }
            *place += piece.size;
        }
        first += length;
    }
    // What meets in a lane before it is widened: two products of each of so many sixteens.
    let fits = |strip: &[i8], count: usize| {
        strip.chunks(LINE * count).all(|some| {
            let magnitude = |lane: usize| -> u32 {
                let of = some.chunks(LINE).flat_map(|line| [line[lane], line[lane + 8]]);
                of.map(|w| u32::from(w.unsigned_abs())).sum()
            };
            (0..LINE).filter(|lane| lane % 16 < 8).all(|lane| magnitude(lane) <= 255)
        })
    };
    let strips = || arranged.chunks(LINE * sixteens);
    if !strips().all(|strip| fits(strip, 1)) {
        return vec![];
    }
    let fours: Vec<i8> = strips().map(|strip| i8::from(fits(strip, 2))).collect();
    arranged.extend(fours);
    arranged
}

/// [`conv_row`](super::conv_row) for weights that [`arrange`] has ordered.
///
/// # Safety
///
/// `row` is of `window` and weights for which [`arrange`] made `row.weights.arranged`, which is not empty.
#[target_feature(enable = "neon")]
pub unsafe fn conv_row_short(row: &Row) {
    let at = |tap: Tap, byte: usize| (row.rows[tap.row][tap.offset + byte..].as_ptr(), tap.step);
    // No more than `arrange` has counted.
    let mut sources: heapless::Vec<Source, MOST> = heapless::Vec::new();
    let all = || runs(row.window).flat_map(|(tap, length)| pieces(length).map(move |piece| (tap, piece)));
    for (tap, piece) in all().filter(|(_, piece)| piece.size == 16) {
        let _ = sources.push(Source { low: at(tap, piece.begin), high: at(tap, piece.begin + 8) });
    }
    let together = sources.len();
    let mut tails = all().filter(|(_, piece)| piece.size == 8).map(|(tap, piece)| at(tap, piece.begin));
    while let Some(low) = tails.next() {
        // A last eight without another is taken twice, and meets zero weights the second time.
        let _ = sources.push(Source { low, high: tails.next().unwrap_or(low) });
    }
    let (weights, fours) = row.weights.arranged.split_at(row.weights.padded() * sources.len() * 16);
    for (i, weights) in weights.chunks_exact(sources.len() * LINE).enumerate() {
        let (output, residual) = (i * STRIP, row.residual());
        let lines = Lines { sources: &sources, together, weights, fours: fours[i] != 0 };
        // SAFETY: the strip's outputs are there, its weights are those of all sources, and these are of the row's taps.
        unsafe {
            match (row.count(output), residual) {
                (STRIP, false) => blocks::<false, true, 8, 2>(row, output, lines),
                (STRIP, true) => blocks::<true, true, 8, 2>(row, output, lines),
                (5.., _) => blocks::<true, false, 8, 2>(row, output, lines),
                _ => blocks::<true, false, 4, 4>(row, output, lines),
            }
        }
    }
}

/// All pixels of `O` outputs, in blocks of `P`, as [`Row`] has them: `R`, there may be a residual, `F`, all outputs are
/// real. The last block may begin earlier.
///
/// # Safety
///
/// `output` begins a strip, and `lines` are its own, of the row's taps.
#[target_feature(enable = "neon")]
unsafe fn blocks<const R: bool, const F: bool, const O: usize, const P: usize>(row: &Row, output: usize, lines: Lines) {
    // SAFETY: the outputs are there, bias included, and each block's pixels are below `row.pixels`.
    unsafe {
        let last = row.last::<1>(output);
        let bias = row.weights.bias.as_ptr().add(output);
        let bias = [vld1q_s32(bias), vld1q_s32(bias.add(4))];
        let mut x = 0;
        if row.pixels >= P {
            while x < row.pixels {
                x = x.min(row.pixels - P);
                block::<R, F, O, P>(row, lines, bias, &last, x);
                x += P;
            }
        } else {
            while x < row.pixels {
                block::<R, F, O, 1>(row, lines, bias, &last, x);
                x += 1;
            }
        }
    }
}

/// `P` pixels from `x`, `O` outputs.
///
/// # Safety
///
/// As for [`blocks`], and `x + P` is at most the row's pixels.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn block<const R: bool, const F: bool, const O: usize, const P: usize>(
    row: &Row,
    lines: Lines,
    bias: [int32x4_t; 2],
    last: &Last<1>,
    x: usize,
) {
    let Lines { sources, together, weights, fours } = lines;
    let mut sums = [[vdupq_n_s32(0); O]; P];
    let mut weights = weights.as_ptr();
    // SAFETY: there are weights for each of the sources, of which the first `together` are whole, and all are read at
    // the pixels x..x + P.
    unsafe {
        let load_any =
            |i: usize| if i < together { load::<true, P>(&sources[i], x) } else { load::<false, P>(&sources[i], x) };
        let a = load_any(0);
        let mut next = 1;
        if fours && sources.len() > 1 {
            multiply_two::<true, O, P>(&mut sums, &a, &load_any(1), weights);
            next = 2;
        } else {
            multiply_one::<true, O, P>(&mut sums, &a, weights);
        }
        weights = weights.wrapping_add(next * LINE);
        if fours {
            while next + 2 <= together {
                let (a, b) = (load::<true, P>(&sources[next], x), load::<true, P>(&sources[next + 1], x));
                multiply_two::<false, O, P>(&mut sums, &a, &b, weights);
                weights = weights.wrapping_add(LINE * 2);
                next += 2;
            }
            while next + 2 <= sources.len() {
                let (a, b) = (load_any(next), load_any(next + 1));
                multiply_two::<false, O, P>(&mut sums, &a, &b, weights);
                weights = weights.wrapping_add(LINE * 2);
                next += 2;
            }
        }
        while next < sources.len() {
            multiply_one::<false, O, P>(&mut sums, &load_any(next), weights);
            weights = weights.wrapping_add(LINE);
            next += 1;
        }
    }
    let four = |s: &[int32x4_t; O], i: usize| {
        let i = i.min(O - 4); // four outputs come out as eight, of which the last four are not stored
        vaddq_s32(pairs(pairs(s[i], s[i + 1]), pairs(s[i + 2], s[i + 3])), bias[i / 4])
    };
    let sums: [_; P] = std::array::from_fn(|p| [four(&sums[p], 0), four(&sums[p], 4)]);
    // SAFETY: passes on what the caller has promised.
    unsafe { row.finish::<R, F, 1, P>(last, 0, &sums, x) };
}

/// `vpaddq_s32`, which the compiler would take apart to add the bias first.
#[target_feature(enable = "neon")]
#[inline]
fn pairs(a: int32x4_t, b: int32x4_t) -> int32x4_t {
    let sum;
    // SAFETY: arithmetic on registers.
    unsafe {
        asm!("addp {sum:v}.4s, {a:v}.4s, {b:v}.4s", sum = lateout(vreg) sum, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// Sixteen activations of `P` pixels from `x`, as signed ones. `T`: they lie together.
///
/// # Safety
///
/// The source may be read at these pixels.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn load<const T: bool, const P: usize>(source: &Source, x: usize) -> [int8x16_t; P] {
    let (low, high) = (source.low, source.high);
    let sign = vdupq_n_u8(0x80);
    // SAFETY: the caller vouches for the pixels.
    let (first, second) = unsafe { (low.0.add(x * low.1), high.0.add(x * high.1)) };
    // SAFETY: as above.
    std::array::from_fn(|p| unsafe {
        let from = first.add(p * low.1);
        let bytes = if T { vld1q_u8(from) } else { vcombine_u8(vld1_u8(from), vld1_u8(second.add(p * high.1))) };
        vreinterpretq_s8_u8(veorq_u8(bytes, sign))
    })
}

/// Products of two pixels, then what the last instruction, `$add`, does with them to their sums. Left alone the
/// compiler makes the products of all outputs first, and they and the sums spill.
macro_rules! products {
    ($add:literal, $how:ident, [$($product:literal),*], $sum:ident, $other:ident, $($name:ident = $value:expr),*) => {
        asm!(
            $($product,)*
            concat!($add, " {sum:v}.4s, {t:v}.8h"),
            concat!($add, " {other:v}.4s, {u:v}.8h"),
            t = out(vreg) _, u = out(vreg) _,
            sum = $how(vreg) $sum, other = $how(vreg) $other,
            $($name = in(vreg) $value,)*
            options(pure, nomem, nostack, preserves_flags)
        )
    };
}

/// Adds 32 products to each of `O` outputs: see the module for why four of them fit into 16 bits. `N`: they are the
/// first.
///
/// # Safety
///
/// Two lines of weights may be read at `weights`.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn multiply_two<const N: bool, const O: usize, const P: usize>(
    sums: &mut [[int32x4_t; O]; P],
    a: &[int8x16_t; P],
    b: &[int8x16_t; P],
    weights: *const i8,
) {
    macro_rules! two {
        ($add:literal, $how:ident, $sum:ident, $other:ident, $($name:ident = $value:expr),*) => {
            products!(
                $add,
                $how,
                [
                    "smull {t:v}.8h, {a:v}.8b, {v:v}.8b",
                    "smull {u:v}.8h, {c:v}.8b, {v:v}.8b",
                    "smlal2 {t:v}.8h, {a:v}.16b, {v:v}.16b",
                    "smlal2 {u:v}.8h, {c:v}.16b, {v:v}.16b",
                    "smlal {t:v}.8h, {b:v}.8b, {w:v}.8b",
                    "smlal {u:v}.8h, {d:v}.8b, {w:v}.8b",
                    "smlal2 {t:v}.8h, {b:v}.16b, {w:v}.16b",
                    "smlal2 {u:v}.8h, {d:v}.16b, {w:v}.16b"
                ],
                $sum,
                $other,
                $($name = $value),*
            )
        };
    }
    for o in 0..O {
        // SAFETY: the caller vouches for the weights.
        let (v, w) = unsafe { (vld1q_s8(weights.add(o * 16)), vld1q_s8(weights.add(LINE + o * 16))) };
        for p in (0..P).step_by(2) {
            // One pixel at the end is made twice; its second sum goes nowhere.
            let q = (p + 1).min(P - 1);
            let (mut sum, mut other) = (sums[p][o], sums[q][o]);
            // SAFETY: arithmetic on registers.
            unsafe {
                if N {
                    two!("saddlp", out, sum, other, a = a[p], b = b[p], c = a[q], d = b[q], v = v, w = w);
                } else {
                    two!("sadalp", inout, sum, other, a = a[p], b = b[p], c = a[q], d = b[q], v = v, w = w);
                }
            }
            sums[q][o] = other;
            sums[p][o] = sum;
        }
    }
}

/// Adds 16 products to each of `O` outputs. `N`: they are the first.
///
/// # Safety
///
/// A line of weights may be read at `weights`.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn multiply_one<const N: bool, const O: usize, const P: usize>(
    sums: &mut [[int32x4_t; O]; P],
    a: &[int8x16_t; P],
    weights: *const i8,
) {
    macro_rules! one {
        ($add:literal, $how:ident, $sum:ident, $other:ident, $($name:ident = $value:expr),*) => {
            products!(
                $add,
                $how,
                [
                    "smull {t:v}.8h, {a:v}.8b, {w:v}.8b",
                    "smull {u:v}.8h, {c:v}.8b, {w:v}.8b",
                    "smlal2 {t:v}.8h, {a:v}.16b, {w:v}.16b",
                    "smlal2 {u:v}.8h, {c:v}.16b, {w:v}.16b"
                ],
                $sum,
                $other,
                $($name = $value),*
            )
        };
    }
    for o in 0..O {
        // SAFETY: the caller vouches for the weights.
        let w = unsafe { vld1q_s8(weights.add(o * 16)) };
        for p in (0..P).step_by(2) {
            let q = (p + 1).min(P - 1);
            let (mut sum, mut other) = (sums[p][o], sums[q][o]);
            // SAFETY: arithmetic on registers.
            unsafe {
                if N {
                    one!("saddlp", out, sum, other, a = a[p], c = a[q], w = w);
                } else {
                    one!("sadalp", inout, sum, other, a = a[p], c = a[q], w = w);
                }
            }
            sums[q][o] = other;
            sums[p][o] = sum;
        }
    }
}
