//! Dense convolution with long sums of products in 16 bits.
//!
//! A product of an activation, read as `x - 128`, with a weight `w` is at most `128 * |w|`. Products whose weights have
//! magnitudes of at most 255 together meet in a lane of 16 bits: a chain of `smull` and `smlal`, then one `sadalp` to the
//! 32-bit sums. PREPARE looks at the weights and makes the chains (see `chains`): at most five sixteens of inputs, two
//! products of each in a lane, whichever go together. Of trained weights most chains become as long as that. A sixteen
//! always makes one by itself, unless both weights that meet are -128.
//!
//! A vector of sums belongs to one output of one pixel, and its lanes to input channels; the four sums are added at the
//! end. So a pixel's activations are loaded as they lie, sixteen at once, and serve all outputs without being spread.
//! Two pixels' activations of a chain take ten registers, and the sums by 8 outputs sixteen. A strip of 12 outputs
//! keeps those of the last four in memory, which costs less than loading the activations again. Where there is one short
//! chain only, [`alone`] keeps the weights in registers instead.

use std::arch::aarch64::*;
use std::arch::asm;
use std::mem::MaybeUninit;

use super::alone::alone;
use super::arrange::Chained;
use super::chains::LONGEST;
use super::conv::{Epilogue, Row};
use super::finish::{self, ADDED, ADDED_FREE, CLAMPED, FREE};
use super::lines::{Lines, Place, Places, Taps};
use crate::kernels::contract::ConvRow;
use crate::kernels::drivers::blocks;

/// One row of two pixels or more.
pub fn conv_row(weights: &Chained, row: ConvRow) {
    // SAFETY: the level is there (see `arch`).
    unsafe { all_strips(weights, &Row::new(row, &[])) }
}

#[target_feature(enable = "neon")]
fn all_strips(weights: &Chained, row: &Row) {
    let (width, outputs, pixels) = (weights.width, row.row.outputs, row.row.pixels);
    assert!(pixels > 1, "a row of {pixels} pixels");
    assert!(width == 8 || width == 12 && outputs.is_multiple_of(12), "strips of {width} outputs");
    assert!(weights.strips.len() == outputs.div_ceil(width), "{} strips", weights.strips.len());
    let mut taps = Taps { taps: heapless::Vec::new(), step: None };
    taps.fill(&row.row);
    for (i, strip) in weights.strips.iter().enumerate() {
        let mut places =
            Places { firsts: heapless::Vec::new(), steps: heapless::Vec::new(), pieces: heapless::Vec::new() };
        let lines = Lines::new(strip, &taps, &mut places);
        let output = i * width;
        macro_rules! strip {
            ($strip:ident, $a:literal, $b:literal $(, $c:literal)?) => {
                match row.ending() {
                    FREE | CLAMPED => $strip::<$a, $b, $($c,)? CLAMPED>(row, output, &lines),
                    _ => $strip::<$a, $b, $($c,)? ADDED>(row, output, &lines),
                }
            };
        }
        // Inputs of few channels make one chain.
        let only = if lines.present == [0; 2] && !lines.pieced { lines.first } else { 0 };
        // SAFETY: the strip's outputs are there. `Chained::new` has made its counts, sources and weights to go together, of
        // sources that lie in the runs of the row's taps.
        unsafe {
            match (width, row.count(output), taps.step.is_some()) {
                (12, _, true) => match row.ending() {
                    FREE => all_pixels::<2, 2, true, FREE>(row, output, &lines),
                    ADDED_FREE => all_pixels::<2, 2, true, ADDED_FREE>(row, output, &lines),
                    _ => strip!(all_pixels, 2, 2, true),
                },
                (12, _, false) => strip!(all_pixels, 2, 2, false),
                (_, 8, true) => match (only, lines.half) {
                    (1, true) => strip!(alone, 0, true),
                    (1, false) => strip!(alone, 1, false),
                    (2, true) => strip!(alone, 1, true),
                    (2, false) => strip!(alone, 2, false),
                    _ => strip!(all_pixels, 2, 1, true),
                },
                (_, 5.., true) => strip!(all_pixels, 2, 1, true),
                (_, 5.., false) => strip!(all_pixels, 2, 1, false),
                (_, _, true) => strip!(all_pixels, 1, 1, true),
                (_, _, false) => strip!(all_pixels, 1, 1, false),
            }
        }
    }
}

/// All pixels of a strip, two at a time: `Q` fours of outputs, and one more where `W`, the groups of 8 that hold them, is 2.
/// `E`: pixels are evenly spaced, in all sources alike. `R`: their ending.
///
/// # Safety
///
/// `output` begins a strip of so many outputs; `lines` are its own, and may be read at all pixels, two or more.
#[target_feature(enable = "neon")]
#[inline(never)]
unsafe fn all_pixels<const Q: usize, const W: usize, const E: bool, const R: u8>(
    row: &Row,
    output: usize,
    lines: &Lines,
) {
    // SAFETY: the outputs are there, and each block's pixels are those of the row.
    unsafe {
        let last = row.last::<W>(output);
        let bias = row.row.bias.as_ptr().add(output);
        let bias = std::array::from_fn(|i| vld1q_s32(bias.add(i.min(W) * 4)));
        let full = row.count(output) == 8;
        for x in blocks(row.row.pixels, 2) {
            two::<Q, W, E, R>(row, full, lines, bias, &last, x);
        }
    }
}

/// Two pixels from `x`. `full`: all of the first eight outputs are real.
///
/// # Safety
///
/// As for [`all_pixels`], and `x + 2` is at most the row's pixels.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn two<const Q: usize, const W: usize, const E: bool, const R: u8>(
    row: &Row,
    full: bool,
    lines: &Lines,
    bias: [int32x4_t; 3],
    last: &Epilogue<W>,
    x: usize,
) {
    // SAFETY: passes on what the caller has promised.
    unsafe {
        let sums = sums::<Q, W, E>(lines, bias, x);
        if W == 2 {
            row.finish_twelve::<R, W>(last, &sums, x);
        } else {
            // Four outputs come out as eight, of which the last four are not stored.
            let sums = sums.map(|[a, b, _]| [a, b]);
            if full {
                row.finish::<R, true, W, 2>(last, 0, &sums, x);
            } else {
                row.finish::<ADDED, false, W, 2>(last, 0, &sums, x);
            }
        }
    }
}

/// The sums of two pixels from `x`, by 12 outputs if `W` is 2, else by 8, of which the last may not be there.
///
/// # Safety
///
/// As for [`two`].
#[inline(always)]
unsafe fn sums<const Q: usize, const W: usize, const E: bool>(
    lines: &Lines,
    bias: [int32x4_t; 3],
    x: usize,
) -> [[int32x4_t; 3]; 2] {
    // Every block looks up anew what it needs of these, and no more.
    let lines = opaque(lines);
    // SAFETY: the level is there (see `arch`).
    let mut near: [Four; Q] = unsafe { [[[vdupq_n_s32(0); 2]; 4]; Q] };
    let mut far: MaybeUninit<Four> = MaybeUninit::uninit();
    let (firsts, steps, pieces) = (lines.firsts.as_ptr(), lines.steps.as_ptr(), lines.pieces.as_ptr());
    let mut next = Next { first: firsts, step: steps, pieces, eights: lines.eights };
    let mut weights = lines.weights.as_ptr();
    let at = if E { At::Bytes([x * lines.step, (x + 1) * lines.step]) } else { At::Pixel(x) };
    macro_rules! add {
        ($n:literal, $h:expr, $g:expr, $pieced:expr) => {
            // SAFETY: the sources and weights of one more chain are there, and the pixels.
            unsafe {
                chain::<$n, { $h }, { $g }, Q, W>(&mut near, far.as_mut_ptr(), next, $pieced, &mut weights, at);
                next.first = next.first.add($g);
                if !E {
                    next.step = next.step.add($g);
                }
                if $pieced {
                    next.pieces = next.pieces.add(1);
                }
            }
        };
    }
    let pieced = lines.pieced;
    match (lines.first, lines.half) {
        (1, true) => add!(true, true, 1, pieced),
        (2, true) => add!(true, true, 2, pieced),
        (3, true) => add!(true, true, 3, pieced),
        (4, true) => add!(true, true, 4, pieced),
        (_, true) => add!(true, true, 5, pieced),
        (1, false) => add!(true, false, 1, pieced),
        (2, false) => add!(true, false, 2, pieced),
        (3, false) => add!(true, false, 3, pieced),
        (4, false) => add!(true, false, 4, pieced),
        (_, false) => add!(true, false, 5, pieced),
    }
    // One bit tells that there is no chain of a length, or none with pieces: most strips have two or three kinds.
    macro_rules! others {
        ($g:literal, $present:expr, $pieces:literal) => {
            if $present >> (LONGEST - $g) & 1 > 0 {
                let mut count = lines.others[usize::from($pieces)][LONGEST - $g];
                while {
                    add!(false, false, $g, $pieces);
                    count -= 1;
                    count > 0
                } {}
            }
        };
    }
    macro_rules! all {
        ($present:expr, $pieces:literal) => {
            others!(5, $present, $pieces);
            others!(4, $present, $pieces);
            others!(3, $present, $pieces);
            others!(2, $present, $pieces);
            others!(1, $present, $pieces);
        };
    }
    let [plain, pieced] = lines.present;
    all!(plain, false);
    if pieced > 0 {
        all!(pieced, true);
    }
    let _ = next;
    let [a, b] = [end(&near[0], bias[0]), end(&near[Q - 1], bias[1])];
    // SAFETY: the first chain has written the sums that are in memory, if there are any.
    let c = if W == 2 { end(unsafe { opaque(far.assume_init_ref()) }, bias[2]) } else { a };
    [[a[0], b[0], c[0]], [a[1], b[1], c[1]]]
}

/// The same, but the compiler does not know what it is: it would look things up before they are needed, or from afar.
#[inline(always)]
fn opaque<T>(value: &T) -> &T {
    let mut value: *const T = value;
    // SAFETY: no instruction at all, so the reference is the same.
    unsafe {
        asm!("// {0}", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
        &*value
    }
}

/// Two pixels: bytes from the first of a row to each, in every source; or the left one's number.
#[derive(Clone, Copy)]
enum At {
    Bytes([usize; 2]),
    Pixel(usize),
}

/// Where the next chain's sources begin in [`Lines`], and the pieces of the next that has some.
#[derive(Clone, Copy)]
struct Next {
    first: *const *const u8,
    step: *const usize,
    pieces: *const [Place; 2],
    eights: bool,
}

/// Sums of two pixels by four outputs.
type Four = [[int32x4_t; 2]; 4];

/// What the four sums of each output come to, with its bias. Like all that touches the sums it is always inlined: passed to
/// a function they would lie in memory.
#[inline(always)]
fn end(sums: &Four, bias: int32x4_t) -> [int32x4_t; 2] {
    let [a, b, c, d] = *sums;
    // SAFETY: the level is there (see `arch`).
    unsafe {
        let first = finish::pairs(finish::pairs(a[0], b[0]), finish::pairs(c[0], d[0]));
        let second = finish::pairs(finish::pairs(a[1], b[1]), finish::pairs(c[1], d[1]));
        [vaddq_s32(first, bias), vaddq_s32(second, bias)]
    }
}

/// Activations `$a` and `$b`, of two pixels, times the weights in register `$w`, to or onto the sums in 16 bits.
#[rustfmt::skip]
macro_rules! times {
    (8, $how:literal, $a:literal, $b:literal, $w:literal) => {
        concat!(
            $how, " {t:v}.8h, {", $a, ":v}.8b, v", $w, ".8b\n",
            $how, " {u:v}.8h, {", $b, ":v}.8b, v", $w, ".8b\n",
        )
    };
    (16, $how:literal, $a:literal, $b:literal, $w:literal) => {
        concat!(
            times!(8, $how, $a, $b, $w),
            "smlal2 {t:v}.8h, {", $a, ":v}.16b, v", $w, ".16b\n",
            "smlal2 {u:v}.8h, {", $b, ":v}.16b, v", $w, ".16b\n",
        )
    };
}

/// Adds the products of a chain of `G` sources to the sums; the last is an eight if `H`. `N`: they are the first. There are
/// sums of `Q` fours of outputs, and of one more, in memory, if `W` is 2.
///
/// # Safety
///
/// From `next` on so many sources may be read at the two pixels, the last sixteen of them in pieces if `pieced`. At `weights` there are
/// theirs.
#[inline(always)]
unsafe fn chain<const N: bool, const H: bool, const G: usize, const Q: usize, const W: usize>(
    near: &mut [Four; Q],
    far: *mut Four,
    next: Next,
    pieced: bool,
    weights: &mut *const i8,
    at: At,
) {
    // SAFETY: the caller vouches for the sources.
    let pixels = unsafe { load::<H, G>(next, pieced, at) };
    // A loop would index the sums by its variable, for which the compiler keeps them in memory.
    macro_rules! four {
        ($far:literal, $first:literal, $sums:expr) => {
            let sums: *mut [int32x4_t; 2] = $sums.cast();
            output::<N, $far, H, G, $first>(sums, &pixels, weights);
            output::<N, $far, H, G, { $first + 1 }>(sums.add(1), &pixels, weights);
            output::<N, $far, H, G, { $first + 2 }>(sums.add(2), &pixels, weights);
            output::<N, $far, H, G, { $first + 3 }>(sums.add(3), &pixels, weights);
        };
    }
    // SAFETY: the caller vouches for the weights, and the sums are there.
    unsafe {
        four!(false, 0, (&raw mut near[0]));
        if Q > 1 {
            four!(false, 4, (&raw mut near[Q - 1]));
        } else {
            *weights = weights.add(G * 16 * 4); // of outputs that are not there
        }
        if W > 1 {
            four!(true, 8, far);
        }
    }
}

/// [`chain`] for the `J`th output. `F`: its sums stay in memory; those of any other have their own two registers, lest the
/// compiler moves them wherever chains of different lengths meet. What it is left to order it makes for all outputs at
/// once, and they and the sums spill.
///
/// # Safety
///
/// At `weights` there are those of `G` sources, the last of them an eight if `H`, and the sums are at `sums`.
#[inline(always)]
unsafe fn output<const N: bool, const F: bool, const H: bool, const G: usize, const J: usize>(
    sums: *mut [int32x4_t; 2],
    pixels: &[[int8x16_t; LONGEST]; 2],
    weights: &mut *const i8,
) {
    let [a, b] = *pixels;
    macro_rules! program {
        ([$($line:expr),*], [$($last:expr),*], [$($option:ident),*], [$($sums:tt)*], [$($input:tt)*]) => {
            asm!($($line,)* $($last,)* $($input)*
                t = out(vreg) _, u = out(vreg) _, from = inout(reg) *weights, $($sums)*
                out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                options(nostack, preserves_flags, $($option),*))
        };
    }
    macro_rules! near {
        ($lines:tt, $inputs:tt, $($j:literal $s:tt $r:tt),*) => {
            match J {
                $($j if N => program!(
                    $lines,
                    [concat!("saddlp ", $s, ".4s, {t:v}.8h"), concat!("saddlp ", $r, ".4s, {u:v}.8h")],
                    [pure, readonly], [out($s) (*sums)[0], out($r) (*sums)[1],], $inputs
                ),
                $j => program!(
                    $lines,
                    [concat!("sadalp ", $s, ".4s, {t:v}.8h"), concat!("sadalp ", $r, ".4s, {u:v}.8h")],
                    [pure, readonly], [inout($s) (*sums)[0], inout($r) (*sums)[1],], $inputs
                ),)*
                _ => unreachable!("registers for eight outputs"),
            }
        };
    }
    macro_rules! output {
        ($lines:tt, $inputs:tt) => {
            match (F, N) {
                (true, true) => program!(
                    $lines,
                    ["saddlp v28.4s, {t:v}.8h", "saddlp v29.4s, {u:v}.8h", "stp q28, q29, [{sums}]"],
                    [], [sums = in(reg) sums,], $inputs
                ),
                (true, false) => program!(
                    $lines,
                    [
                        "ldp q28, q29, [{sums}]",
                        "sadalp v28.4s, {t:v}.8h",
                        "sadalp v29.4s, {u:v}.8h",
                        "stp q28, q29, [{sums}]"
                    ],
                    [], [sums = in(reg) sums,], $inputs
                ),
                _ => near!(
                    $lines, $inputs, 0 "v0" "v1", 1 "v2" "v3", 2 "v4" "v5", 3 "v6" "v7", 4 "v16" "v17", 5 "v18" "v19",
                    6 "v20" "v21", 7 "v22" "v23"
                ),
            }
        };
    }
    // Vectors of weights in registers that follow each other, which one instruction fills.
    macro_rules! sources {
        (1, $n:tt) => {
            output!(["ldr q28, [{from}], #16", times!($n, "smull", "a", "b", 28)], [a = in(vreg) a[0], b = in(vreg) b[0],])
        };
        (2, $n:tt) => {
            output!(
                ["ldp q28, q29, [{from}], #32", times!(16, "smull", "a", "b", 28), times!($n, "smlal", "c", "d", 29)],
                [a = in(vreg) a[0], b = in(vreg) b[0], c = in(vreg) a[1], d = in(vreg) b[1],]
            )
        };
        (3, $n:tt) => {
            output!(
                [
                    "ld1 {{v28.16b, v29.16b, v30.16b}}, [{from}], #48",
                    times!(16, "smull", "a", "b", 28),
                    times!(16, "smlal", "c", "d", 29),
                    times!($n, "smlal", "e", "f", 30)
                ],
                [a = in(vreg) a[0], b = in(vreg) b[0], c = in(vreg) a[1], d = in(vreg) b[1],
                e = in(vreg) a[2], f = in(vreg) b[2],]
            )
        };
        (4, $n:tt) => {
            output!(
                [
                    "ld1 {{v28.16b, v29.16b, v30.16b, v31.16b}}, [{from}], #64",
                    times!(16, "smull", "a", "b", 28),
                    times!(16, "smlal", "c", "d", 29),
                    times!(16, "smlal", "e", "f", 30),
                    times!($n, "smlal", "g", "h", 31)
                ],
                [a = in(vreg) a[0], b = in(vreg) b[0], c = in(vreg) a[1], d = in(vreg) b[1],
                e = in(vreg) a[2], f = in(vreg) b[2], g = in(vreg) a[3], h = in(vreg) b[3],]
            )
        };
        (5, $n:tt) => {
            output!(
                [
                    "ld1 {{v28.16b, v29.16b, v30.16b}}, [{from}], #48",
                    times!(16, "smull", "a", "b", 28),
                    times!(16, "smlal", "c", "d", 29),
                    times!(16, "smlal", "e", "f", 30),
                    "ldp q28, q29, [{from}], #32",
                    times!(16, "smlal", "g", "h", 28),
                    times!($n, "smlal", "i", "j", 29)
                ],
                [a = in(vreg) a[0], b = in(vreg) b[0], c = in(vreg) a[1], d = in(vreg) b[1],
                e = in(vreg) a[2], f = in(vreg) b[2], g = in(vreg) a[3], h = in(vreg) b[3],
                i = in(vreg) a[4], j = in(vreg) b[4],]
            )
        };
    }
    // SAFETY: reads the weights, which the caller vouches for, and no memory is written but that of the sums.
    unsafe {
        match (G, H) {
            (1, true) => sources!(1, 8),
            (1, false) => sources!(1, 16),
            (2, true) => sources!(2, 8),
            (2, false) => sources!(2, 16),
            (3, true) => sources!(3, 8),
            (3, false) => sources!(3, 16),
            (4, true) => sources!(4, 8),
            (4, false) => sources!(4, 16),
            (_, true) => sources!(5, 8),
            (_, false) => sources!(5, 16),
        }
    }
}

/// A chain's activations of two pixels, as signed ones.
///
/// # Safety
///
/// As for [`chain`].
#[inline(always)]
unsafe fn load<const H: bool, const G: usize>(next: Next, pieced: bool, at: At) -> [[int8x16_t; LONGEST]; 2] {
    // SAFETY: the caller vouches for the sources at these pixels, and NEON is there.
    unsafe {
        let signed = |bytes| vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(0x80)));
        let pixel = |first: *const u8, step: &dyn Fn() -> usize, p: usize| match at {
            At::Bytes(pixels) => first.add(pixels[p]),
            At::Pixel(x) => first.add(x * step()).add(p * step()),
        };
        let begin = |i, p| pixel(*next.first.add(i), &|| *next.step.add(i), p);
        let eight = |i, p| vcombine_u8(vld1_u8(begin(i, p)), vdup_n_u8(0));
        let pieces = |i, p| {
            let [first, second] = (*next.pieces).map(|(first, step)| pixel(first, &|| step, p));
            if next.eights {
                return vcombine_u8(vld1_u8(begin(i, p)), vld1_u8(first));
            }
            let bytes = vreinterpretq_u32_u8(eight(i, p));
            let bytes = vsetq_lane_u32::<2>(first.cast::<u32>().read_unaligned(), bytes);
            vreinterpretq_u8_u32(vsetq_lane_u32::<3>(second.cast::<u32>().read_unaligned(), bytes))
        };
        let mut loaded = [[vdupq_n_s8(0); LONGEST]; 2];
        let sixteens = G - usize::from(H);
        for i in 0..G {
            for p in 0..2 {
                loaded[p][i] = signed(if i == sixteens {
                    eight(i, p)
                } else if i + 1 == sixteens && pieced {
                    pieces(i, p)
                } else {
                    vld1q_u8(begin(i, p))
                });
            }
        }
        loaded
    }
}
