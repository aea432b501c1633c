//! Dense convolution and matrix product.
//!
//! A block is a few pixels by 8 or 16 outputs; its sums never leave the registers. Each step takes four bytes of
//! every pixel (one broadcast) and 32 bytes of weights for each 8 outputs. A strip of 16 outputs goes through all
//! pixels before the next begins: its weights, 64 bytes for every four inputs, stay in the first-level cache.
//!
//! A last layer of 4 outputs would leave half of each vector idle; there the halves take four bytes each.

use std::arch::x86_64::*;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::panic::RefUnwindSafe;

use super::finish::{self, Ending};
use super::lines::Lines;
use crate::kernels::contract::{ConvKernel, ConvRow, Tap, Weights};
use crate::kernels::drivers::blocks;

/// How four products are added to each of eight sums.
pub trait MultiplyAdd: Debug + Send + Sync + RefUnwindSafe + 'static {
    /// Does a step leave registers for twelve sums? Else for eight.
    const TWELVE: bool;
    /// Weights, made once for all pixels of a step.
    type Weights: Copy;

    /// Prepares four weights for each of eight sums.
    ///
    /// # Safety
    ///
    /// As for [`MultiplyAdd::add`].
    unsafe fn weights(w: __m256i) -> Self::Weights;

    /// Adds to each 32-bit sum the products of four bytes of `x` with its weights.
    ///
    /// # Safety
    ///
    /// The processor has the instruction, and for [`PairsFit`] weights are such.
    unsafe fn add(sum: __m256i, x: __m256i, w: Self::Weights) -> __m256i;
}

/// Weights of which no two neighbours' products saturate 16 bits ([`Weights::pairs_fit`]).
#[derive(Debug)]
pub struct PairsFit;

impl MultiplyAdd for PairsFit {
    const TWELVE: bool = true;
    type Weights = __m256i;

    #[inline(always)]
    unsafe fn weights(w: __m256i) -> __m256i {
        w
    }

    /// Two pairs are summed in 16 bits, at most 255 * 128 < 32768, then the two as one in 32 bits; adding two such results in
    /// 16 bits would not fit.
    #[inline(always)]
    unsafe fn add(sum: __m256i, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: the level is there (see `arch`).
        unsafe {
            let pairs = _mm256_maddubs_epi16(x, w);
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }
}

/// Any weights: the even bytes and the odd ones are multiplied in 16 bits each.
#[derive(Debug)]
pub struct Wide;

impl MultiplyAdd for Wide {
    /// A step needs two vectors for eight outputs' weights, and two halves of the broadcast.
    const TWELVE: bool = false;
    type Weights = [__m256i; 2];

    #[inline(always)]
    unsafe fn weights(w: __m256i) -> [__m256i; 2] {
        // SAFETY: the level is there (see `arch`).
        unsafe { [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w)), _mm256_srai_epi16::<8>(w)] }
    }

    #[inline(always)]
    unsafe fn add(sum: __m256i, x: __m256i, [even, odd]: [__m256i; 2]) -> __m256i {
        // SAFETY: the level is there (see `arch`).
        unsafe {
            let (x_even, x_odd) = (_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(x));
            let sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x_even, even));
            _mm256_add_epi32(sum, _mm256_madd_epi16(x_odd, odd))
        }
    }
}

/// Weights as [`Weights::data`] has them, for [`conv_row`].
#[derive(Debug)]
pub struct Quads<M> {
    /// Taps whose bytes follow one another, as one tap each.
    taps: Vec<(Tap, usize)>,
    weights: Lines,
    multiply_add: PhantomData<M>,
}

impl<M: MultiplyAdd> Quads<M> {
    pub fn new(weights: &Weights) -> Self {
        Self { taps: weights.merged(), weights: Lines::new(weights.data.iter().copied()), multiply_add: PhantomData }
    }
}

impl<M: MultiplyAdd> ConvKernel for Quads<M> {
    fn row(&self, row: ConvRow) {
        conv_row::<M>(&self.taps, &self.weights, row);
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.taps) + self.weights.bytes()
    }
}

/// A matrix product, of one tap, with weights that nothing has prepared.
pub fn product<M: MultiplyAdd>(weights: &[i8], row: ConvRow) {
    let taps = [(row.taps[0], row.run)];
    conv_row::<M>(&taps, weights, row);
}

/// One row, with weights as [`Weights::data`] has them. `taps` are the row's, those that follow one another as one.
fn conv_row<M: MultiplyAdd>(taps: &[(Tap, usize)], weights: &[i8], mut row: ConvRow) {
    let bytes: usize = taps.iter().map(|(_, run)| run).sum();
    assert!(bytes == row.taps.len() * row.run && weights.len() >= bytes * row.padded(), "weights of another row");
    let out = row.take_out();
    // SAFETY: the row has been checked (see `ConvRow`), and so have the weights; the level is there (see `arch`).
    unsafe {
        let ending = Ending::new(&row.epilogue, out);
        let row = Row::<M> { row: &row, taps, weights, ending, multiply_add: PhantomData };
        if row.row.epilogue.residual.is_some() { row.run::<true>() } else { row.run::<false>() }
    }
}

/// The arguments of [`conv_row`].
struct Row<'a, M> {
    row: &'a ConvRow<'a>,
    taps: &'a [(Tap, usize)],
    weights: &'a [i8],
    ending: Ending,
    multiply_add: PhantomData<M>,
}

impl<M: MultiplyAdd> Row<'_, M> {
    /// All strips of outputs. `R`: there is a residual. Twelve sums, two weights, a broadcast and a constant fill the 16
    /// registers.
    ///
    /// # Safety
    ///
    /// There are as many weights as the row has.
    #[target_feature(enable = "avx2")]
    unsafe fn run<const R: bool>(&self) {
        let (padded, pixels) = (self.row.padded(), self.row.pixels);
        if self.row.outputs == 4 && pixels >= 8 {
            for x in blocks(pixels, 8) {
                // SAFETY: there are 4 outputs, and `x + 8` is at most the row's pixels.
                unsafe { self.narrow_block::<R>(x) };
            }
            return;
        }
        for output in (0..padded).step_by(16) {
            // SAFETY: the strip begins at a multiple of 8 and ends at `padded` at most.
            unsafe {
                match (padded - output >= 16, self.row.outputs - output) {
                    (true, 16..) => self.strip::<R, true, 2>(output),
                    (true, _) => self.strip::<R, false, 2>(output),
                    (false, 8) => self.strip::<R, true, 1>(output),
                    (false, _) => self.strip::<R, false, 1>(output),
                }
            }
        }
    }

    /// All pixels of `V * 8` outputs, in blocks of as many as the registers take. `F`: the outputs are all real.
    ///
    /// # Safety
    ///
    /// As for [`Row::run`], and `output + V * 8` is at most the padded number of outputs.
    #[target_feature(enable = "avx2")]
    unsafe fn strip<const R: bool, const F: bool, const V: usize>(&self, output: usize) {
        // SAFETY: passes on what the caller has promised.
        unsafe {
            match (M::TWELVE, V) {
                (true, 2) => self.strip_of::<R, F, V, 6>(output),
                (true, _) => self.strip_of::<R, F, V, 12>(output),
                (false, 2) => self.strip_of::<R, F, V, 4>(output),
                (false, _) => self.strip_of::<R, F, V, 8>(output),
            }
        }
    }

    /// [`Row::strip`] in blocks of `P`; only rows shorter than a block need smaller ones.
    ///
    /// # Safety
    ///
    /// As for [`Row::strip`].
    #[target_feature(enable = "avx2")]
    unsafe fn strip_of<const R: bool, const F: bool, const V: usize, const P: usize>(&self, output: usize) {
        let pixels = self.row.pixels;
        // SAFETY: the outputs are there, and each block's pixels are below `pixels`.
        unsafe {
            if pixels >= P {
                for x in blocks(pixels, P) {
                    self.block::<R, F, V, P>(output, x);
                }
            } else {
                for x in 0..pixels {
                    self.block::<R, F, V, 1>(output, x);
                }
            }
        }
    }

    /// `P` pixels from `x`, `V * 8` outputs from `output`.
    ///
    /// # Safety
    ///
    /// As for [`Row::run`]; `x + P` is at most the row's pixels, and `output + V * 8` at most the padded number of outputs.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn block<const R: bool, const F: bool, const V: usize, const P: usize>(&self, output: usize, x: usize) {
        let line = self.row.padded() * 4;
        let mut sums = [[_mm256_setzero_si256(); V]; P];
        for v in 0..V {
            // SAFETY: `bias` has the padded number of outputs.
            let bias = unsafe { _mm256_loadu_si256(self.row.bias.as_ptr().add(output + v * 8).cast()) };
            for sums in &mut sums {
                sums[v] = bias;
            }
        }
        // SAFETY: `output` is below the padded number, and a line has four weights for each of them.
        let mut weights = unsafe { self.weights.as_ptr().add(output * 4) };
        for &(Tap { row, offset, step }, run) in self.taps {
            // SAFETY: the tap's row reaches past the run of the last pixel, and `x` is not behind that pixel.
            let mut bytes = unsafe { self.row.rows[row].as_ptr().add(x * step + offset) };
            for _ in 0..run / 4 {
                // SAFETY: the weights hold taps * run / 4 lines, of which this is the next; the four bytes lie in
                // the runs of the pixels x..x + P, all of them in the row.
                unsafe {
                    let w = std::array::from_fn(|v| _mm256_loadu_si256(weights.add(v * 32).cast()));
                    multiply::<M, V, P>(&mut sums, w, |p| four(bytes.add(p * step)));
                }
                bytes = bytes.wrapping_add(4);
                weights = weights.wrapping_add(line);
            }
        }
        // SAFETY: passes on what the caller has promised.
        unsafe { finish::block::<R, F, V, P>(self.row, &self.ending, &sums, output, x) };
    }

    /// The 8 pixels from `x`, 4 outputs each. Of a pixel's next eight bytes the first four go into the lower half of a
    /// vector and the others into the upper; the halves are added at the end.
    ///
    /// # Safety
    ///
    /// As for [`Row::run`]; there are 4 outputs, and `x + 8` is at most the row's pixels.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn narrow_block<const R: bool>(&self, x: usize) {
        const LINE: usize = 32;
        let halves = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
        let mut sums = [[_mm256_setzero_si256()]; 8];
        let mut weights = self.weights.as_ptr();
        for &(Tap { row, offset, step }, run) in self.taps {
            // SAFETY: the tap's row reaches past the run of the last pixel, and `x` is not behind that pixel.
            let mut bytes = unsafe { self.row.rows[row].as_ptr().add(x * step + offset) };
            for _ in 0..run / 8 {
                // SAFETY: the weights hold taps * run / 4 lines, of which these are the next two; the eight bytes lie
                // in the runs of the pixels x..x + 8, all of them in the row.
                unsafe {
                    let w = [_mm256_loadu2_m128i(weights.add(LINE).cast(), weights.cast())];
                    multiply::<M, 1, 8>(&mut sums, w, |p| {
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
                    multiply::<M, 1, 8>(&mut sums, w, |p| four(bytes.add(p * step)));
                }
                weights = weights.wrapping_add(LINE);
            }
        }
        // SAFETY: bias and multipliers have the padded number of outputs, 8.
        let (bias, multiplier) = unsafe {
            let multiplier = _mm_loadu_ps(self.row.multiplier.as_ptr());
            (_mm_loadu_si128(self.row.bias.as_ptr().cast()), _mm256_set_m128(multiplier, multiplier))
        };
        let value = |pair: usize| {
            let (a, b) = (sums[pair * 2][0], sums[pair * 2 + 1][0]);
            let sum =
                _mm256_add_epi32(_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b));
            let sum = _mm256_add_epi32(sum, _mm256_broadcastsi128_si256(bias));
            let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier);
            if !R {
                return value;
            }
            let [first, second] = [0, 1].map(|p| self.ending.skip(x + pair * 2 + p));
            // SAFETY: the addend has 4 bytes at each of the two pixels.
            let skip = unsafe { _mm_unpacklo_epi32(_mm_loadu_si32(first), _mm_loadu_si32(second)) };
            self.ending.addend.add(value, _mm256_cvtepu8_epi32(skip))
        };
        let bytes = self.ending.rule.quantise_in_order([value(0), value(1), value(2), value(3)]);
        for (pair, bytes) in finish::groups(bytes).into_iter().enumerate() {
            let to = self.ending.out.wrapping_add((x + pair * 2) * self.row.out_step);
            // SAFETY: `out` has 4 bytes at each of the two pixels.
            unsafe {
                _mm_storeu_si32(to, bytes);
                _mm_storeu_si32(to.wrapping_add(self.row.out_step), _mm_srli_si128::<4>(bytes));
            }
        }
    }
}

/// Four bytes, in each 32 bits of the vector.
///
/// # Safety
///
/// Four bytes may be read at `from`.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn four(from: *const u8) -> __m256i {
    // SAFETY: the caller vouches for four bytes, and the read asks for no alignment.
    _mm256_set1_epi32(unsafe { from.cast::<i32>().read_unaligned() })
}

/// Adds four products to every sum. `x` gives the bytes that each line of sums multiplies with `w`.
///
/// # Safety
///
/// As for [`MultiplyAdd::add`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn multiply<M: MultiplyAdd, const V: usize, const P: usize>(
    sums: &mut [[__m256i; V]; P],
    w: [__m256i; V],
    x: impl Fn(usize) -> __m256i,
) {
    // SAFETY: passes on what the caller has promised.
    let w = w.map(|w| unsafe { M::weights(w) });
    for (p, sums) in sums.iter_mut().enumerate() {
        let x = x(p);
        for (sum, w) in sums.iter_mut().zip(w) {
            // SAFETY: passes on what the caller has promised.
            *sum = unsafe { M::add(*sum, x, w) };
        }
    }
}
