//! Dense convolution with weights of which most are small, as trained ones are.
//!
//! A step of [`conv`](super::conv) takes four bytes of a pixel: products of neighbours are added in 16 bits, those in 32 bits, and
//! those to the sum; two of three instructions are multiplications, which half of the ports can do. Where the weights of two steps
//! are small enough, the 16-bit sums of both are added before they are widened: three multiplications for eight bytes in place
//! of four. Which two is chosen in PREPARE, among the steps of a row, for each strip of outputs.

use std::arch::x86_64::*;

use super::conv::four;
use super::finish::{self, Ending};
use super::lines::Lines;
use crate::kernels::contract::{ConvKernel, ConvRow, Tap, Weights};
use crate::kernels::drivers::blocks;

/// A sum of weights up to which 255 times it fits 16 bits, with either sign.
const MOST: i32 = 128;
/// Most steps: they have a pointer each, on the stack.
const STEPS: usize = 256;

/// Weights in the order of steps.
#[derive(Debug)]
pub struct Paired {
    strips: Vec<Strip>,
    /// Bytes from a pixel to the next, the same for all taps.
    step: usize,
    /// Taps, their run, and outputs.
    shape: [usize; 3],
}

/// Sixteen outputs, or the last eight.
#[derive(Debug)]
struct Strip {
    /// Pairs of steps; behind them there are single ones.
    pairs: usize,
    /// Row and offset that each step reads from.
    places: Vec<(u32, u32)>,
    /// For each step those of the strip's outputs, four each.
    weights: Lines,
}

impl Paired {
    /// Nothing where less than three quarters of the steps have another to go with, or where there are four outputs, for which
    /// [`conv`](super::conv) has a schedule of its own.
    pub fn new(weights: &Weights) -> Option<Self> {
        let Weights { taps, run, outputs, .. } = *weights;
        let (padded, step) = (weights.padded(), taps[0].step);
        let quads = |tap: &Tap| {
            let &Tap { row, offset, .. } = tap;
            (0..run).step_by(4).map(move |byte| (row as u32, (offset + byte) as u32))
        };
        let places: Vec<_> = taps.iter().flat_map(quads).collect();
        let most = taps.iter().all(|tap| u32::try_from(tap.offset + run).is_ok()) && places.len() <= STEPS;
        if outputs == 4 || !most || taps.iter().any(|tap| tap.step != step) {
            return None;
        }
        let strip = |output: usize| {
            let width = 4 * (padded - output).min(16);
            let line = |step: usize| &weights.data[(step * padded + output) * 4..][..width];
            let (pairs, singles) = pairs((0..places.len()).map(|step| bounds(line(step))).collect());
            let order = || pairs.iter().flatten().chain(&singles);
            let weights: Vec<_> = order().flat_map(|&step| line(step)).copied().collect();
            let weights = Lines::new(weights.into_iter());
            Strip { pairs: pairs.len(), places: order().map(|&step| places[step]).collect(), weights }
        };
        let strips: Vec<_> = (0..padded).step_by(16).map(strip).collect();
        let enough = strips.iter().all(|strip| 8 * strip.pairs >= 3 * places.len());
        let shape = [taps.len(), run, outputs];
        enough.then_some(Self { strips, step, shape })
    }
}

/// What the products of each two neighbours can add up to, over 255: positive weights, then negative ones.
fn bounds(line: &[i8]) -> Vec<i32> {
    let of = |sign: i32| {
        line.as_chunks::<2>().0.iter().map(move |pair| pair.iter().map(|&w| (sign * i32::from(w)).max(0)).sum())
    };
    of(1).chain(of(-1)).collect()
}

/// Pairs of steps whose bounds together are not above [`MOST`], and the steps that are left. The largest chooses first, the
/// smallest that fits.
fn pairs(bounds: Vec<Vec<i32>>) -> (Vec<[usize; 2]>, Vec<usize>) {
    let mut left: Vec<usize> = (0..bounds.len()).collect();
    left.sort_by_key(|&step| bounds[step].iter().max());
    let (mut pairs, mut singles) = (vec![], vec![]);
    while let Some(step) = left.pop() {
        let fits = |&other: &usize| bounds[step].iter().zip(&bounds[other]).all(|(a, b)| a + b <= MOST);
        match left.iter().position(fits) {
            Some(at) => pairs.push([step, left.remove(at)]),
            None => singles.push(step),
        }
    }
    (pairs, singles)
}

impl ConvKernel for Paired {
    fn row(&self, mut row: ConvRow) {
        let shape = [row.taps.len(), row.run, row.outputs];
        assert!(self.shape == shape, "a row of {shape:?} and weights of {:?}", self.shape);
        let out = row.take_out();
        // SAFETY: the row has been checked (see `ConvRow`), and is of the weights' shape; the level is there (see `arch`).
        unsafe {
            let ending = Ending::new(&row.epilogue, out);
            if row.epilogue.residual.is_some() {
                self.run::<true>(&row, &ending);
            } else {
                self.run::<false>(&row, &ending);
            }
        }
    }

    fn bytes(&self) -> usize {
        let of = |strip: &Strip| size_of_val(&*strip.places) + strip.weights.bytes();
        size_of_val(&*self.strips) + self.strips.iter().map(of).sum::<usize>()
    }
}

impl Paired {
    /// All strips. `R`: there is a residual.
    ///
    /// # Safety
    ///
    /// The row is of the weights' shape, and the ending the row's.
    #[target_feature(enable = "avx2")]
    unsafe fn run<const R: bool>(&self, row: &ConvRow, ending: &Ending) {
        let padded = row.padded();
        for (strip, output) in self.strips.iter().zip((0..padded).step_by(16)) {
            // Six sums, four weights, two broadcasts and what is made of them fill the registers; a block is two such parts,
            // so that its epilogue has whole vectors.
            // SAFETY: passes on what the caller has promised; the strip is that of these outputs.
            unsafe {
                match (padded - output >= 16, row.outputs - output) {
                    (true, 16..) => self.strip::<R, true, 2, 3, 6>(strip, row, ending, output),
                    (true, _) => self.strip::<R, false, 2, 3, 6>(strip, row, ending, output),
                    (false, 8) => self.strip::<R, true, 1, 8, 8>(strip, row, ending, output),
                    (false, _) => self.strip::<R, false, 1, 8, 8>(strip, row, ending, output),
                }
            }
        }
    }

    /// All pixels of `V * 8` outputs, in blocks of `N`, whose sums are made for `P` at once. `F`: the outputs are all real.
    ///
    /// # Safety
    ///
    /// As for [`Paired::run`]; `strip` is that of the outputs from `output`, which are `V * 8`.
    #[target_feature(enable = "avx2")]
    unsafe fn strip<const R: bool, const F: bool, const V: usize, const P: usize, const N: usize>(
        &self,
        strip: &Strip,
        row: &ConvRow,
        ending: &Ending,
        output: usize,
    ) {
        let mut places = [std::ptr::null(); STEPS];
        for (place, &(row_number, offset)) in places.iter_mut().zip(&strip.places) {
            *place = row.rows[row_number as usize].as_ptr().wrapping_add(offset as usize);
        }
        let places = &places[..strip.places.len()];
        // SAFETY: each block's pixels are below those of the row, and the places those of the strip's steps.
        unsafe {
            if row.pixels >= N {
                for x in blocks(row.pixels, N) {
                    let mut sums = [[_mm256_setzero_si256(); V]; N];
                    for (part, x) in sums.as_chunks_mut::<P>().0.iter_mut().zip((x..).step_by(P)) {
                        *part = self.sums(strip, places, row, output, x);
                    }
                    finish::block::<R, F, V, N>(row, ending, &sums, output, x);
                }
            } else {
                for x in 0..row.pixels {
                    let sums: [[__m256i; V]; 1] = self.sums(strip, places, row, output, x);
                    finish::block::<R, F, V, 1>(row, ending, &sums, output, x);
                }
            }
        }
    }

    /// The sums of `P` pixels from `x`.
    ///
    /// # Safety
    ///
    /// As for [`Paired::strip`]; `x + P` is at most the row's pixels. `places` are where the first pixel reads in each step.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn sums<const V: usize, const P: usize>(
        &self,
        strip: &Strip,
        places: &[*const u8],
        row: &ConvRow,
        output: usize,
        x: usize,
    ) -> [[__m256i; V]; P] {
        // SAFETY: `bias` has the padded number of outputs.
        let bias = std::array::from_fn(|v| unsafe { _mm256_loadu_si256(row.bias.as_ptr().add(output + v * 8).cast()) });
        let mut sums = [bias; P];
        let (ones, x, step) = (_mm256_set1_epi16(1), x * self.step, self.step);
        let (pairs, singles) = places.split_at(2 * strip.pairs);
        let mut weights = strip.weights.as_ptr();
        for &[a, b] in pairs.as_chunks::<2>().0 {
            // SAFETY: there are weights for both steps; the four bytes of either lie in the runs of the pixels x..x + P, all of
            // them in the row.
            unsafe {
                let (a, b) = (a.add(x), b.add(x));
                let w: [[_; V]; 2] = std::array::from_fn(|step| {
                    std::array::from_fn(|v| _mm256_loadu_si256(weights.add((step * V + v) * 32).cast()))
                });
                for (p, sums) in sums.iter_mut().enumerate() {
                    let (a, b) = (four(a.add(p * step)), four(b.add(p * step)));
                    for (v, sum) in sums.iter_mut().enumerate() {
                        let products = [_mm256_maddubs_epi16(a, w[0][v]), _mm256_maddubs_epi16(b, w[1][v])];
                        let both = _mm256_add_epi16(products[0], products[1]);
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(both, ones));
                    }
                }
                weights = weights.add(2 * V * 32);
            }
        }
        for &from in singles {
            // SAFETY: as above, for one step.
            unsafe {
                let from = from.add(x);
                let w: [_; V] = std::array::from_fn(|v| _mm256_loadu_si256(weights.add(v * 32).cast()));
                for (p, sums) in sums.iter_mut().enumerate() {
                    let from = four(from.add(p * step));
                    for (sum, w) in sums.iter_mut().zip(w) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_maddubs_epi16(from, w), ones));
                    }
                }
                weights = weights.add(V * 32);
            }
        }
        sums
    }
}
