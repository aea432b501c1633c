//! Dense convolution and matrix product.
//!
//! A block is a few pixels by 8 or 16 outputs; its sums never leave the registers. Each step takes four bytes of
//! every pixel (one broadcast) and 32 bytes of weights for each 8 outputs. A strip of 16 outputs goes through all
//! pixels before the next begins: its weights, 64 bytes for every four inputs, stay in the first-level cache.
//!
//! A last layer of 4 outputs would leave half of each vector idle; there the halves take four bytes each.

use std::arch::x86_64::*;

use super::finish;
use crate::kernels::dispatch::assert_conv;
use crate::kernels::{Clamp, Residual, Tap, Weights, Window};

/// One row of `pixels` output pixels, `out_step` bytes apart.
#[allow(clippy::too_many_arguments)]
pub fn conv_row(
    window: &Window,
    weights: &Weights,
    clamp: Clamp,
    residual: Option<&Residual>,
    rows: &[&[u8]],
    out: &mut [u8],
    out_step: usize,
    pixels: usize,
) {
    assert_conv(window, weights, residual, rows, out, out_step, pixels);
    let row = Row { window, weights, clamp, residual, rows, out: out.as_mut_ptr(), out_step, pixels };
    // SAFETY: `assert_conv` has just held for exactly these slices, and AVX2 is there (see the module).
    unsafe { if weights.pairs_fit { row.run::<true>() } else { row.run::<false>() } }
}

/// The arguments of [`conv_row`], after [`assert_conv`].
struct Row<'a> {
    window: &'a Window<'a>,
    weights: &'a Weights<'a>,
    clamp: Clamp,
    residual: Option<&'a Residual<'a>>,
    rows: &'a [&'a [u8]],
    out: *mut u8,
    out_step: usize,
    pixels: usize,
}

impl Row<'_> {
    /// All strips of outputs. `FIT`: 8-bit pairs cannot saturate.
    ///
    /// Twelve sums, two weights, a broadcast and the ones fill the 16 registers. Without `FIT` a step needs
    /// four weights and two halves of the broadcast, which leaves room for eight sums.
    ///
    /// # Safety
    ///
    /// [`assert_conv`] holds for the row.
    #[target_feature(enable = "avx2")]
    unsafe fn run<const FIT: bool>(&self) {
        let padded = self.weights.padded();
        if self.weights.outputs == 4 && self.pixels >= 8 {
            // SAFETY: assert_conv holds, and the condition is what `narrow` asks for.
            return unsafe { self.narrow::<FIT>() };
        }
        let mut output = 0;
        while output < padded {
            // SAFETY: assert_conv holds, and the strip begins at a multiple of 8 and ends at `padded` at most.
            unsafe {
                match (FIT, padded - output >= 16) {
                    (true, true) => self.strip::<FIT, 2, 6>(output),
                    (true, false) => self.strip::<FIT, 1, 12>(output),
                    (false, true) => self.strip::<FIT, 2, 4>(output),
                    (false, false) => self.strip::<FIT, 1, 8>(output),
                }
            }
            output += 16;
        }
    }

    /// All pixels of `V * 8` outputs, in blocks of `P`. The last block may begin earlier and make some pixels
    /// again, the same as before; only rows shorter than a block need smaller ones.
    ///
    /// # Safety
    ///
    /// [`assert_conv`] holds for the row, and `output + V * 8` is at most the padded number of outputs.
    #[target_feature(enable = "avx2")]
    unsafe fn strip<const FIT: bool, const V: usize, const P: usize>(&self, output: usize) {
        let mut x = 0;
        // SAFETY: assert_conv holds, the outputs are there, and each block's pixels are below `self.pixels`.
        unsafe {
            if self.pixels >= P {
                while x < self.pixels {
                    x = x.min(self.pixels - P);
                    self.block::<FIT, V, P>(output, x);
                    x += P;
                }
            } else {
                while x + 2 <= self.pixels {
                    self.block::<FIT, V, 2>(output, x);
                    x += 2;
                }
                if x < self.pixels {
                    self.block::<FIT, V, 1>(output, x);
                }
            }
        }
    }

    /// `P` pixels from `x`, `V * 8` outputs from `output`.
    ///
    /// # Safety
    ///
    /// [`assert_conv`] holds for the row, `x + P` is at most its pixels, and `output + V * 8` at most the padded
    /// number of outputs.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn block<const FIT: bool, const V: usize, const P: usize>(&self, output: usize, x: usize) {
        let Window { taps, run } = *self.window;
        let line = self.weights.padded() * 4;
        let mut sums = [[_mm256_setzero_si256(); V]; P];
        for v in 0..V {
            // SAFETY: `bias` has the padded number of outputs.
            let bias = unsafe { _mm256_loadu_si256(self.weights.bias.as_ptr().add(output + v * 8).cast()) };
            for sums in &mut sums {
                sums[v] = bias;
            }
        }
        // SAFETY: `output` is below the padded number, and a line has four weights for each of them.
        let mut weights = unsafe { self.weights.data.as_ptr().add(output * 4) };
        for &Tap { row, offset, step } in taps {
            // SAFETY: the tap's row reaches past the run of the last pixel, and `x` is not behind that pixel.
            let mut bytes = unsafe { self.rows[row].as_ptr().add(x * step + offset) };
            for _ in 0..run / 4 {
                // SAFETY: the weights hold taps * run / 4 lines, of which this is the next; the four bytes lie in
                // the runs of the pixels x..x + P, all of them in the row.
                unsafe {
                    let w = std::array::from_fn(|v| _mm256_loadu_si256(weights.add(v * 32).cast()));
                    multiply::<FIT, V, P>(&mut sums, w, |p| four(bytes.add(p * step)));
                }
                bytes = bytes.wrapping_add(4);
                weights = weights.wrapping_add(line);
            }
        }
        // SAFETY: passes on what the caller has promised.
        unsafe { self.finish(&sums, output, x) };
    }

    /// All pixels, 8 at a time, of a convolution with 4 outputs. The last block may begin earlier.
    ///
    /// # Safety
    ///
    /// [`assert_conv`] holds for the row, which has 4 outputs and 8 pixels or more.
    #[target_feature(enable = "avx2")]
    unsafe fn narrow<const FIT: bool>(&self) {
        let mut x = 0;
        while x < self.pixels {
            x = x.min(self.pixels - 8);
            // SAFETY: passes on what the caller has promised; x + 8 is at most `self.pixels`.
            unsafe { self.narrow_block::<FIT>(x) };
            x += 8;
        }
    }

    /// The 8 pixels from `x`, 4 outputs each. Of a pixel's next eight bytes the first four go into the lower half of a
    /// vector and the others into the upper; the halves are added at the end.
    ///
    /// # Safety
    ///
    /// As for [`Row::narrow`], and `x + 8` is at most the row's pixels.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn narrow_block<const FIT: bool>(&self, x: usize) {
        let Window { taps, run } = *self.window;
        const LINE: usize = 32;
        let halves = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
        let mut sums = [[_mm256_setzero_si256()]; 8];
        let mut weights = self.weights.data.as_ptr();
        for &Tap { row, offset, step } in taps {
            // SAFETY: the tap's row reaches past the run of the last pixel, and `x` is not behind that pixel.
            let mut bytes = unsafe { self.rows[row].as_ptr().add(x * step + offset) };
            for _ in 0..run / 8 {
                // SAFETY: the weights hold taps * run / 4 lines, of which these are the next two; the eight bytes lie
                // in the runs of the pixels x..x + 8, all of them in the row.
                unsafe {
                    let w = [_mm256_loadu2_m128i(weights.add(LINE).cast(), weights.cast())];
                    multiply::<FIT, 1, 8>(&mut sums, w, |p| {
                        let eight = _mm_loadl_epi64(bytes.add(p * step).cast());
                        _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(eight), halves)
                    });
                }
                bytes = bytes.wrapping_add(8);
                weights = weights.wrapping_add(LINE * 2);
            }
            if run % 8 != 0 {
                // SAFETY: as above, for one line and the last four bytes of the runs.
                unsafe {
                    let w = [_mm256_zextsi128_si256(_mm_loadu_si128(weights.cast()))];
                    multiply::<FIT, 1, 8>(&mut sums, w, |p| four(bytes.add(p * step)));
                }
                weights = weights.wrapping_add(LINE);
            }
        }
        // SAFETY: bias and multipliers have the padded number of outputs, 8.
        let (bias, multiplier) = unsafe {
            let multiplier = _mm_loadu_ps(self.weights.multiplier.as_ptr());
            (_mm_loadu_si128(self.weights.bias.as_ptr().cast()), _mm256_set_m128(multiplier, multiplier))
        };
        let value = |pair: usize| {
            let (a, b) = (sums[pair * 2][0], sums[pair * 2 + 1][0]);
            let sum =
                _mm256_add_epi32(_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b));
            let sum = _mm256_add_epi32(sum, _mm256_broadcastsi128_si256(bias));
            let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier);
            match self.residual {
                None => value,
                Some(r) => {
                    let from = r.skip.as_ptr().wrapping_add((x + pair * 2) * r.skip_step);
                    // SAFETY: the addend has 4 bytes at each of the two pixels.
                    let skip = unsafe {
                        _mm_unpacklo_epi32(_mm_loadu_si32(from), _mm_loadu_si32(from.wrapping_add(r.skip_step)))
                    };
                    finish::add(value, self.clamp, r, skip)
                }
            }
        };
        let clamp = self.residual.map_or(self.clamp, |r| r.clamp);
        let bytes = finish::place([value(0), value(1), value(2), value(3)], clamp);
        for (pair, bytes) in finish::groups(bytes).into_iter().enumerate() {
            let to = self.out.wrapping_add((x + pair * 2) * self.out_step);
            // SAFETY: `out` has 4 bytes at each of the two pixels.
            unsafe {
                _mm_storeu_si32(to, bytes);
                _mm_storeu_si32(to.wrapping_add(self.out_step), _mm_srli_si128::<4>(bytes));
            }
        }
    }

    /// Requantises the sums of a block, adds the residual and writes the bytes.
    ///
    /// # Safety
    ///
    /// As for [`Row::block`].
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn finish<const V: usize, const P: usize>(&self, sums: &[[__m256i; V]; P], output: usize, x: usize) {
        // Groups of 8 outputs, four of them at a time; past the end the last one again, which is not stored.
        let groups = V * P;
        let full = output + V * 8 <= self.weights.outputs;
        let clamp = self.residual.map_or(self.clamp, |r| r.clamp);
        for group in (0..groups).step_by(4) {
            let value = |i: usize| {
                let i = (group + i).min(groups - 1);
                let (p, v) = (i / V, i % V);
                // SAFETY: `multiplier` has the padded number of outputs.
                let multiplier = unsafe { _mm256_loadu_ps(self.weights.multiplier.as_ptr().add(output + v * 8)) };
                let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[p][v]), multiplier);
                match self.residual {
                    None => value,
                    Some(r) => {
                        let first = output + v * 8;
                        let from = r.skip.as_ptr().wrapping_add((x + p) * r.skip_step + first);
                        // SAFETY: the addend has `outputs` bytes at every pixel, and `count` stays within them.
                        let skip = unsafe { finish::load(from, if full { 8 } else { self.count(first) }) };
                        finish::add(value, self.clamp, r, skip)
                    }
                }
            };
            let bytes = finish::place([value(0), value(1), value(2), value(3)], clamp);
            let halves = [_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes)];
            for (half, bytes) in halves.into_iter().enumerate() {
                let (first, second) = (group + half * 2, group + half * 2 + 1);
                let to = |i: usize| self.out.wrapping_add((x + i / V) * self.out_step + output + i % V * 8);
                if first >= groups {
                    break;
                }
                // SAFETY: groups below `groups` belong to pixels of the row, where `out` has `outputs` bytes: all
                // that the strip has when it is full, and else `count` of each group.
                unsafe {
                    if full && V == 2 {
                        _mm_storeu_si128(to(first).cast(), bytes);
                    } else {
                        let count = |i: usize| if full { 8 } else { self.count(output + i % V * 8) };
                        finish::store(bytes, to(first), count(first));
                        if second < groups {
                            finish::store(_mm_unpackhi_epi64(bytes, bytes), to(second), count(second));
                        }
                    }
                }
            }
        }
    }

    /// How many of the 8 outputs from `first` are real.
    #[inline]
    fn count(&self, first: usize) -> usize {
        self.weights.outputs.saturating_sub(first).min(8)
    }
}

/// Four bytes, in each 32 bits of the vector.
///
/// # Safety
///
/// Four bytes may be read at `from`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn four(from: *const u8) -> __m256i {
    // SAFETY: the caller vouches for four bytes, and the read asks for no alignment.
    _mm256_set1_epi32(unsafe { from.cast::<i32>().read_unaligned() })
}

/// Adds four products to every sum. `x` gives the bytes that each line of sums multiplies with `w`.
///
/// With `FIT` two pairs are summed in 16 bits, which fits (see [`Weights::pairs_fit`]: at most 255 * 128 < 32768),
/// then the two as one in 32 bits; adding two such results in 16 bits would not fit. Without it the even bytes and
/// the odd ones are multiplied in 16 bits each, which is exact for any weights.
#[target_feature(enable = "avx2")]
#[inline]
fn multiply<const FIT: bool, const V: usize, const P: usize>(
    sums: &mut [[__m256i; V]; P],
    w: [__m256i; V],
    x: impl Fn(usize) -> __m256i,
) {
    let even = w.map(|w| _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w)));
    let odd = w.map(|w| _mm256_srai_epi16::<8>(w));
    for (p, sums) in sums.iter_mut().enumerate() {
        let x = x(p);
        for (v, sum) in sums.iter_mut().enumerate() {
            if FIT {
                let pairs = _mm256_maddubs_epi16(x, w[v]);
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
            } else {
                let (x_even, x_odd) = (_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(x));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(x_even, even[v]));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(x_odd, odd[v]));
            }
        }
    }
}
