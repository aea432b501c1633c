//! Dense convolution with long sums of products in 16 bits.
//!
//! A product of an activation, read as `x - 128`, with a weight `w` is at most `128 * |w|`. Products whose weights have
//! magnitudes of at most 255 together meet in a lane of 16 bits: a chain of `smull` and `smlal`, then one `sadalp` to the
//! 32-bit sums. PREPARE looks at the weights and makes the chains (see `arrange`): at most four sixteens of inputs, two
//! products of each in a lane, whichever go together. Of trained weights most chains become as long as that. A sixteen
//! always makes one by itself, unless both weights that meet are -128.
//!
//! A vector of sums belongs to one output of one pixel, and its lanes to input channels; the four sums are added at the
//! end. So a pixel's activations are loaded as they lie, sixteen at once, and serve all outputs without being spread.
//! Two pixels' activations of a chain take eight registers, and the sums by 8 outputs sixteen. A strip of 12 outputs
//! keeps those of the last four in memory, which costs less than loading the activations again.

use std::arch::aarch64::*;
use std::arch::asm;
use std::mem::MaybeUninit;

use super::arrange::{COUNTS, LONGEST, MOST, PLACES, TAPS};
use super::conv::{Last, Row};
use super::finish;
use crate::kernels::dispatch::reach;

/// Where sixteen inputs of the first pixel lie, eight, four and four, and the bytes from pixel to pixel.
type Source = [(*const u8, usize); PLACES];

/// What a strip reads, in the order of its chains: sources, and the weights of its outputs for them.
struct Lines<'a> {
    sources: &'a [Source],
    /// Bytes from pixel to pixel, if they are the same in all sources.
    step: usize,
    weights: &'a [i8],
    /// Sixteens of the first chain, whether they lie together, and whether an eight follows them.
    first: usize,
    together: bool,
    half: bool,
    /// Chains after it, of four sixteens, three, two and one: so many of sixteens that lie together, then others.
    others: [[usize; 2]; LONGEST],
}

/// [`conv_row`](super::conv_row) of two pixels or more, for weights that [`arrange`](super::arrange::arrange) has ordered.
///
/// Panics when they are for other outputs or reach past the rows.
#[target_feature(enable = "neon")]
pub fn conv_row_short(row: &Row) {
    assert!(row.pixels > 1, "a row of {} pixels", row.pixels);
    let width = row.weights.arranged[0] as usize;
    assert!(width == 8 || width == 12 && row.weights.outputs.is_multiple_of(12), "strips of {width} outputs");
    let step = row.window.taps[0].step;
    let even = row.window.taps.iter().all(|tap| tap.step == step);
    // Each tap's first byte, and how many are there for all pixels from there on.
    let mut taps: heapless::Vec<(*const u8, usize, usize), TAPS> = heapless::Vec::new();
    for tap in row.window.taps.iter().take(TAPS) {
        let bytes = &row.rows[tap.row][tap.offset..];
        let room = (bytes.len() + 1).saturating_sub(reach(row.pixels, tap.step, 0, 1));
        let _ = taps.push((bytes.as_ptr(), room, tap.step));
    }
    let count = row.weights.outputs.div_ceil(width);
    let strips = row.weights.arranged.chunks_exact(row.weights.arranged.len() / count);
    for (i, strip) in strips.take(count).enumerate() {
        let (counts, strip) = strip.split_at(COUNTS);
        let count = |i: usize| usize::from(counts[i] as u8);
        let (first, together, half) = (count(1), count(2) > 0, count(3) > 0);
        let others = std::array::from_fn(|i| [count(4 + i * 2), count(5 + i * 2)]);
        let sixteens = first + (0..LONGEST).map(|i| (others[i][0] + others[i][1]) * (LONGEST - i)).sum::<usize>();
        let (places, weights) = strip.split_at((sixteens + usize::from(half)) * PLACES * 2);
        assert!((1..=LONGEST).contains(&(first + usize::from(half))), "{first} sixteens in the first chain");
        assert!(weights.len() == (sixteens * 16 + usize::from(half) * 8) * width, "{} weights", weights.len());
        let mut sources: heapless::Vec<Source, MOST> = heapless::Vec::new();
        let mut places = places.chunks_exact(PLACES * 2);
        let mut read = |count: usize, sizes: &[usize]| {
            for places in places.by_ref().take(count) {
                let at = |place: &[i8], size: usize| {
                    let (first, room, step) = taps[usize::from(place[0] as u8)];
                    let begin = usize::from(place[1] as u8) * 4;
                    assert!(room >= begin + size, "{size} bytes from {begin} on of {room}");
                    // SAFETY: so many bytes are there.
                    (unsafe { first.add(begin) }, step)
                };
                let mut source = [at(places, sizes[0]); PLACES];
                for (i, &size) in sizes.iter().enumerate().skip(1) {
                    source[i] = at(&places[i * 2..], size);
                }
                assert!(sources.push(source).is_ok(), "more than {MOST} sources");
            }
        };
        let (whole, pieces): (&[_], &[_]) = (&[16], &[8, 4, 4]);
        read(first, if together { whole } else { pieces });
        read(usize::from(half), &[8]);
        for (i, [together, others]) in others.into_iter().enumerate() {
            read(together * (LONGEST - i), whole);
            read(others * (LONGEST - i), pieces);
        }
        let lines = Lines { sources: &sources, step, weights, first, together, half, others };
        let output = i * width;
        // SAFETY: the strip's outputs are there. Its counts, sources and weights have just been found to go together, and
        // the sources to be in the rows for all pixels.
        unsafe {
            match (row.count(output), even) {
                (_, true) if width == 12 => blocks::<2, 2, true, true, false, 0>(row, output, &lines),
                (_, false) if width == 12 => blocks::<2, 2, true, false, false, 0>(row, output, &lines),
                // Inputs of so few channels make one chain, which leaves nothing to choose.
                (5.., true) => match (lines.others == [[0; 2]; LONGEST], first, half) {
                    (true, 1, true) => blocks::<2, 1, false, true, true, 1>(row, output, &lines),
                    (true, 1, false) => blocks::<2, 1, false, true, false, 1>(row, output, &lines),
                    (true, 2, false) => blocks::<2, 1, false, true, false, 2>(row, output, &lines),
                    _ => blocks::<2, 1, true, true, false, 0>(row, output, &lines),
                },
                (5.., false) => blocks::<2, 1, true, false, false, 0>(row, output, &lines),
                (_, true) => blocks::<1, 1, true, true, false, 0>(row, output, &lines),
                (_, false) => blocks::<1, 1, true, false, false, 0>(row, output, &lines),
            }
        }
    }
}

/// All pixels of a strip, two at a time: `Q` fours of outputs, and one more where `W`, the groups of 8 that hold them,
/// is 2. The last two may begin earlier. `A`: the chains are any, or else one of `G` sixteens and an eight if `H`. `E`:
/// pixels are evenly spaced, in all sources alike.
///
/// # Safety
///
/// `output` begins a strip of so many outputs; `lines` are its own, and may be read at all pixels, two or more.
#[target_feature(enable = "neon")]
#[inline(never)]
unsafe fn blocks<const Q: usize, const W: usize, const A: bool, const E: bool, const H: bool, const G: usize>(
    row: &Row,
    output: usize,
    lines: &Lines,
) {
    // SAFETY: the outputs are there, and each block's pixels are below `row.pixels`.
    unsafe {
        let last = row.last::<W>(output);
        let bias = row.weights.bias.as_ptr().add(output);
        let bias = std::array::from_fn(|i| vld1q_s32(bias.add(i.min(W) * 4)));
        let full = row.count(output) == 8;
        let mut x = 0;
        while x < row.pixels {
            x = x.min(row.pixels - 2);
            block::<Q, W, A, E, H, G>(row, full, lines, bias, &last, x);
            x += 2;
        }
    }
}

/// Two pixels from `x`. `full`: all of the first eight outputs are real.
///
/// # Safety
///
/// As for [`blocks`], and `x + 2` is at most the row's pixels.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn block<const Q: usize, const W: usize, const A: bool, const E: bool, const H: bool, const G: usize>(
    row: &Row,
    full: bool,
    lines: &Lines,
    bias: [int32x4_t; 3],
    last: &Last<W>,
    x: usize,
) {
    let mut near: [Four; Q] = [[[vdupq_n_s32(0); 2]; 4]; Q];
    let mut far: MaybeUninit<Four> = MaybeUninit::uninit();
    let (mut sources, mut weights) = (lines.sources.as_ptr(), lines.weights.as_ptr());
    let at = if E { At::Bytes([x * lines.step, (x + 1) * lines.step]) } else { At::Pixel(x) };
    macro_rules! add {
        ($n:literal, $h:expr, $g:expr, $together:expr) => {
            // SAFETY: the sources and weights of one more chain are there, and the pixels.
            unsafe {
                chain::<$n, { $h }, { $g }, Q, W>(&mut near, far.as_mut_ptr(), sources, $together, &mut weights, at);
                sources = sources.add($g + usize::from($h));
            }
        };
    }
    let together = lines.together;
    if A {
        match (lines.first, lines.half) {
            (0, _) => add!(true, true, 0, together),
            (1, true) => add!(true, true, 1, together),
            (2, true) => add!(true, true, 2, together),
            (3.., true) => add!(true, true, 3, together),
            (1, false) => add!(true, false, 1, together),
            (2, false) => add!(true, false, 2, together),
            (3, false) => add!(true, false, 3, together),
            (4.., false) => add!(true, false, 4, together),
        }
        let [fours, threes, twos, ones] = lines.others;
        macro_rules! others {
            ($g:literal, $counts:expr) => {
                let [together, others] = $counts;
                for _ in 0..together {
                    add!(false, false, $g, true);
                }
                for _ in 0..others {
                    add!(false, false, $g, false);
                }
            };
        }
        others!(4, fours);
        others!(3, threes);
        others!(2, twos);
        others!(1, ones);
    } else {
        add!(true, H, G, together);
    }
    let _ = sources;
    // SAFETY: passes on what the caller has promised; the first chain has written the sums that are in memory.
    unsafe {
        if W == 2 {
            let far = far.assume_init();
            let [a, b, c] = [end(&near[0], bias[0]), end(&near[Q - 1], bias[1]), end(&far, bias[2])];
            let sums = [[a[0], b[0], c[0]], [a[1], b[1], c[1]]];
            if row.residual() {
                row.finish_twelve::<true, W>(last, &sums, x);
            } else {
                row.finish_twelve::<false, W>(last, &sums, x);
            }
        } else {
            // Four outputs come out as eight, of which the last four are not stored.
            let [a, b] = [end(&near[0], bias[0]), end(&near[Q - 1], bias[1])];
            let sums = [[a[0], b[0]], [a[1], b[1]]];
            match (full, row.residual()) {
                (true, false) => row.finish::<false, true, W, 2>(last, 0, &sums, x),
                (true, true) => row.finish::<true, true, W, 2>(last, 0, &sums, x),
                _ => row.finish::<true, false, W, 2>(last, 0, &sums, x),
            }
        }
    }
}

/// Two pixels: bytes from the first of a row to each, in every source; or the left one's number.
#[derive(Clone, Copy)]
enum At {
    Bytes([usize; 2]),
    Pixel(usize),
}

/// Sums of two pixels by four outputs.
type Four = [[int32x4_t; 2]; 4];

/// What the four sums of each output come to, with its bias. Like all that touches the sums it is always inlined: passed to
/// a function they would lie in memory.
#[inline(always)]
fn end(sums: &Four, bias: int32x4_t) -> [int32x4_t; 2] {
    let [a, b, c, d] = *sums;
    // SAFETY: NEON is there (see the module above).
    unsafe {
        let first = finish::pairs(finish::pairs(a[0], b[0]), finish::pairs(c[0], d[0]));
        let second = finish::pairs(finish::pairs(a[1], b[1]), finish::pairs(c[1], d[1]));
        [vaddq_s32(first, bias), vaddq_s32(second, bias)]
    }
}

/// Activations `$a` and `$b`, of two pixels, times the weights `$w`, to or onto the sums in 16 bits.
#[rustfmt::skip]
macro_rules! times {
    (8, $how:literal, $a:literal, $b:literal, $w:literal) => {
        concat!(
            $how, " {t:v}.8h, {", $a, ":v}.8b, {", $w, ":v}.8b\n",
            $how, " {u:v}.8h, {", $b, ":v}.8b, {", $w, ":v}.8b\n",
        )
    };
    (16, $how:literal, $a:literal, $b:literal, $w:literal) => {
        concat!(
            times!(8, $how, $a, $b, $w),
            "smlal2 {t:v}.8h, {", $a, ":v}.16b, {", $w, ":v}.16b\n",
            "smlal2 {u:v}.8h, {", $b, ":v}.16b, {", $w, ":v}.16b\n",
        )
    };
}

/// Adds the products of a chain to the sums: `G` sixteens, then an eight if `H`. `N`: they are the first. There are sums
/// of `Q` fours of outputs, and of one more, in memory, if `W` is 2.
///
/// # Safety
///
/// As many sources as said may be read at the two pixels, those of sixteens as `together` says: sixteen bytes at the
/// first place, or eight, four and four at all. At `weights` there are theirs.
#[inline(always)]
unsafe fn chain<const N: bool, const H: bool, const G: usize, const Q: usize, const W: usize>(
    near: &mut [Four; Q],
    far: *mut Four,
    sources: *const Source,
    together: bool,
    weights: &mut *const i8,
    at: At,
) {
    // SAFETY: the caller vouches for the sources.
    let pixels = unsafe { load::<H, G>(sources, together, at) };
    // A loop would index the sums by its variable, for which the compiler keeps them in memory.
    macro_rules! four {
        ($far:literal, $sums:expr) => {
            let sums: *mut [int32x4_t; 2] = $sums.cast();
            output::<N, $far, H, G>(sums, &pixels, weights);
            output::<N, $far, H, G>(sums.add(1), &pixels, weights);
            output::<N, $far, H, G>(sums.add(2), &pixels, weights);
            output::<N, $far, H, G>(sums.add(3), &pixels, weights);
        };
    }
    // SAFETY: the caller vouches for the weights, and the sums are there.
    unsafe {
        four!(false, (&raw mut near[0]));
        if Q > 1 {
            four!(false, (&raw mut near[Q - 1]));
        } else {
            *weights = weights.add((G * 16 + H as usize * 8) * 4); // of outputs that are not there
        }
        if W > 1 {
            four!(true, far);
        }
    }
}

/// [`chain`] for one output. `F`: its sums stay in memory. What the compiler is left to order it makes for all outputs
/// at once, and they and the sums spill.
///
/// # Safety
///
/// At `weights` there are those of `G` sixteens, then of an eight if `H`, and the sums are at `sums`.
#[inline(always)]
unsafe fn output<const N: bool, const F: bool, const H: bool, const G: usize>(
    sums: *mut [int32x4_t; 2],
    pixels: &[[int8x16_t; LONGEST]; 2],
    weights: &mut *const i8,
) {
    let [a, b] = *pixels;
    macro_rules! sum {
        ([$($line:expr),*], [$($last:literal),*], [$($option:ident),*], $($sums:tt)*) => {
            asm!($($line,)* $($last,)* $($sums)*
                t = out(vreg) _, u = out(vreg) _, v = out(vreg) _, w = out(vreg) _, from = inout(reg) *weights,
                options(nostack, preserves_flags, $($option),*))
        };
    }
    macro_rules! output {
        ([$($line:expr),*], $($input:tt)*) => {
            match (F, N) {
                (false, true) => sum!(
                    [$($line),*],
                    ["// {w}", "saddlp {sum:v}.4s, {t:v}.8h", "saddlp {other:v}.4s, {u:v}.8h"],
                    [pure, readonly],
                    sum = out(vreg) (*sums)[0], other = out(vreg) (*sums)[1], $($input)*
                ),
                (false, false) => sum!(
                    [$($line),*],
                    ["// {w}", "sadalp {sum:v}.4s, {t:v}.8h", "sadalp {other:v}.4s, {u:v}.8h"],
                    [pure, readonly],
                    sum = inout(vreg) (*sums)[0], other = inout(vreg) (*sums)[1], $($input)*
                ),
                (true, true) => sum!(
                    [$($line),*],
                    ["saddlp {v:v}.4s, {t:v}.8h", "saddlp {w:v}.4s, {u:v}.8h", "stp {v:q}, {w:q}, [{sums}]"],
                    [],
                    sums = in(reg) sums, $($input)*
                ),
                (true, false) => sum!(
                    [$($line),*],
                    [
                        "ldp {v:q}, {w:q}, [{sums}]",
                        "sadalp {v:v}.4s, {t:v}.8h",
                        "sadalp {w:v}.4s, {u:v}.8h",
                        "stp {v:q}, {w:q}, [{sums}]"
                    ],
                    [],
                    sums = in(reg) sums, $($input)*
                ),
            }
        };
    }
    macro_rules! one {
        ([$($line:expr),*]) => { output!([$($line),*], a = in(vreg) a[0], b = in(vreg) b[0],) };
    }
    macro_rules! two {
        ([$($line:expr),*]) => {
            output!([$($line),*], a = in(vreg) a[0], b = in(vreg) b[0], c = in(vreg) a[1], d = in(vreg) b[1],)
        };
    }
    macro_rules! three {
        ([$($line:expr),*]) => {
            output!([$($line),*], a = in(vreg) a[0], b = in(vreg) b[0], c = in(vreg) a[1], d = in(vreg) b[1],
                e = in(vreg) a[2], f = in(vreg) b[2],)
        };
    }
    macro_rules! four {
        ([$($line:expr),*]) => {
            output!([$($line),*], a = in(vreg) a[0], b = in(vreg) b[0], c = in(vreg) a[1], d = in(vreg) b[1],
                e = in(vreg) a[2], f = in(vreg) b[2], g = in(vreg) a[3], h = in(vreg) b[3],)
        };
    }
    // SAFETY: reads the weights, which the caller vouches for, and no memory is written but that of the sums.
    unsafe {
        match (G, H) {
            (0, _) => one!(["ldr {v:d}, [{from}], #8", times!(8, "smull", "a", "b", "v")]),
            (1, false) => one!(["ldr {v:q}, [{from}], #16", times!(16, "smull", "a", "b", "v")]),
            (1, true) => two!([
                "ldr {v:q}, [{from}], #16",
                times!(16, "smull", "a", "b", "v"),
                "ldr {w:d}, [{from}], #8",
                times!(8, "smlal", "c", "d", "w")
            ]),
            (2, false) => two!([
                "ldp {v:q}, {w:q}, [{from}], #32",
                times!(16, "smull", "a", "b", "v"),
                times!(16, "smlal", "c", "d", "w")
            ]),
            (2, true) => three!([
                "ldp {v:q}, {w:q}, [{from}], #32",
                times!(16, "smull", "a", "b", "v"),
                times!(16, "smlal", "c", "d", "w"),
                "ldr {v:d}, [{from}], #8",
                times!(8, "smlal", "e", "f", "v")
            ]),
            (3, false) => three!([
                "ldp {v:q}, {w:q}, [{from}], #32",
                times!(16, "smull", "a", "b", "v"),
                times!(16, "smlal", "c", "d", "w"),
                "ldr {v:q}, [{from}], #16",
                times!(16, "smlal", "e", "f", "v")
            ]),
            (3, true) => four!([
                "ldp {v:q}, {w:q}, [{from}], #32",
                times!(16, "smull", "a", "b", "v"),
                times!(16, "smlal", "c", "d", "w"),
                "ldr {v:q}, [{from}], #16",
                times!(16, "smlal", "e", "f", "v"),
                "ldr {w:d}, [{from}], #8",
                times!(8, "smlal", "g", "h", "w")
            ]),
            _ => four!([
                "ldp {v:q}, {w:q}, [{from}], #32",
                times!(16, "smull", "a", "b", "v"),
                times!(16, "smlal", "c", "d", "w"),
                "ldp {v:q}, {w:q}, [{from}], #32",
                times!(16, "smlal", "e", "f", "v"),
                times!(16, "smlal", "g", "h", "w")
            ]),
        }
    }
}

/// A chain's activations of two pixels, as signed ones.
///
/// # Safety
///
/// As for [`chain`].
#[inline(always)]
unsafe fn load<const H: bool, const G: usize>(
    sources: *const Source,
    together: bool,
    at: At,
) -> [[int8x16_t; LONGEST]; 2] {
    // SAFETY: the caller vouches for the sources at these pixels, and NEON is there.
    unsafe {
        let signed = |bytes| vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(0x80)));
        let pixel = |(first, step): (*const u8, usize), p: usize| match at {
            At::Bytes(pixels) => first.add(pixels[p]),
            At::Pixel(x) => first.add(x * step).add(p * step),
        };
        let mut loaded = [[vdupq_n_s8(0); LONGEST]; 2];
        if together {
            for i in 0..G {
                let [first, ..] = *sources.add(i);
                loaded[0][i] = signed(vld1q_u8(pixel(first, 0)));
                loaded[1][i] = signed(vld1q_u8(pixel(first, 1)));
            }
        } else {
            for i in 0..G {
                let places = *sources.add(i);
                let four = |place, p| pixel(place, p).cast::<u32>().read_unaligned();
                let pieces = |p| {
                    let eight = vreinterpretq_u32_u8(vcombine_u8(vld1_u8(pixel(places[0], p)), vdup_n_u8(0)));
                    let eight = vsetq_lane_u32::<2>(four(places[1], p), eight);
                    vreinterpretq_u8_u32(vsetq_lane_u32::<3>(four(places[2], p), eight))
                };
                loaded[0][i] = signed(pieces(0));
                loaded[1][i] = signed(pieces(1));
            }
        }
        if H {
            let [first, ..] = *sources.add(G);
            let eight = |p| vcombine_u8(vld1_u8(pixel(first, p)), vdup_n_u8(0));
            loaded[0][G] = signed(eight(0));
            loaded[1][G] = signed(eight(1));
        }
        loaded
    }
}
