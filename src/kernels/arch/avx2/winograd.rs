//! Dense 3x3 convolution of two rows at once: Winograd's F(2x2, 3x3), exact in whole numbers.
//!
//! A tile of 2x2 outputs reads 4x4 inputs. Sums and differences of these, at 16 positions, meet sums and differences of the
//! weights: 16 products of an input and an output, where 36 are without. They take 16 bits, so that an instruction makes half as
//! many, but neither are pairs widened nor must weights be small.
//!
//! Of Lavin and Gray's transforms (arXiv:1509.09308) that of the weights halves; here it is left out, once for rows and once for
//! columns, and what is made is four times the sum.

use std::arch::x86_64::*;
use std::sync::Arc;

use super::finish::{self, Ending};
use super::lines::Lines;
use crate::kernels::contract::{ConvKernel, ConvRow, Tap, Weights};
use crate::kernels::drivers::blocks;

/// Positions of a tile, by rows.
const POSITIONS: usize = 16;
/// Tiles side by side, whose products with 16 outputs are twelve vectors.
const TILES: usize = 6;
/// Pixels of these.
const PIXELS: usize = 2 * TILES;
/// Most inputs of a tap, the tiles on the stack.
const INPUTS: usize = 64;
/// How often each of three taps counts at each of four positions, of a row or of a column.
const OF_TAPS: [[i16; 3]; 4] = [[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]];

/// Weights at the positions of tiles.
#[derive(Debug)]
pub struct Winograd {
    /// Of 16 outputs, or of the last eight: `[position][pair of inputs][output][2]`.
    strips: Vec<Lines<i16>>,
    /// Where each two inputs of the first tile lie.
    pairs: Vec<usize>,
    /// The first tap.
    first: Tap,
    /// Of a pixel.
    inputs: usize,
    /// Taps, their run, and outputs.
    shape: [usize; 3],
    /// For a row by itself.
    alone: Arc<dyn ConvKernel>,
}

/// Sixteen inputs of tiles, `[position][tile][16]`, and sixteen again. The last sixteen may begin among those before.
#[repr(align(64))]
struct Tiles([[i16; POSITIONS * TILES * 16]; INPUTS / 16]);

/// Sums of products: `[tile][eight outputs][position][8]`.
#[repr(align(64))]
struct Products([i32; TILES * 16 * POSITIONS]);

impl Winograd {
    /// Nothing for another shape, or where sums times four may not fit 32 bits. `alone` is for the same weights.
    pub fn new(weights: &Weights, alone: &Arc<dyn ConvKernel>) -> Option<Self> {
        let Weights { taps, run, outputs, .. } = *weights;
        let (first, inputs) = (taps[0], taps.len() * run / 9);
        if !inputs.is_multiple_of(8) || !(16..=INPUTS).contains(&inputs) || outputs < 16 || !outputs.is_multiple_of(8) {
            return None;
        }
        // Taps may be pixels, or whole rows of three.
        let quads = taps.iter().flat_map(|tap| (0..run).step_by(4).map(|byte| (tap.row, tap.offset + byte, tap.step)));
        let square = (0..9).flat_map(|tap| {
            (0..inputs).step_by(4).map(move |input| (tap / 3, first.offset + tap % 3 * first.step + input, first.step))
        });
        if !quads.eq(square) || !(0..outputs).all(|output| fits(weights, output)) {
            return None;
        }
        let strips = (0..outputs).step_by(16).map(|first| Lines::new(strip(weights, inputs, first).into_iter()));
        // The last sixteen begin where as many are left.
        let pairs = (0..inputs).step_by(2).map(|input| {
            let sixteen = input / 16 * 16;
            sixteen * TILES * POSITIONS + input - sixteen.min(inputs - 16)
        });
        let (strips, pairs, shape) = (strips.collect(), pairs.collect(), [taps.len(), run, outputs]);
        Some(Self { strips, pairs, first, inputs, shape, alone: alone.clone() })
    }
}

/// Can four times the sum of an output lie in 32 bits, whatever the inputs?
fn fits(weights: &Weights, output: usize) -> bool {
    let lines = weights.data.chunks_exact(4).skip(output).step_by(weights.padded());
    let most: i64 = lines.flatten().map(|&w| 255 * i64::from(w).abs()).sum();
    4 * (most + i64::from(weights.bias[output]).abs()) <= i32::MAX.into()
}

/// The transformed weights of the outputs from `first`.
fn strip(weights: &Weights, inputs: usize, first: usize) -> Vec<i16> {
    let outputs = weights.outputs;
    let at = |tap: usize, input: usize, output: usize| {
        let line = (tap * inputs + input) / 4 * outputs + output;
        i16::from(weights.data[line * 4 + input % 4])
    };
    let end = outputs.min(first + 16);
    let mut strip = Vec::with_capacity(POSITIONS * inputs * (end - first));
    for position in 0..POSITIONS {
        let factor = |tap: usize| OF_TAPS[position / 4][tap / 3] * OF_TAPS[position % 4][tap % 3];
        for pair in (0..inputs).step_by(2) {
            let inputs = (first..end).flat_map(|output| [(pair, output), (pair + 1, output)]);
            strip.extend(
                inputs.map(|(input, output)| (0..9).map(|tap| factor(tap) * at(tap, input, output)).sum::<i16>()),
            );
        }
    }
    strip
}

impl ConvKernel for Winograd {
    fn row(&self, row: ConvRow) {
        self.alone.row(row);
    }

    fn joins_rows(&self) -> bool {
        true
    }

    fn two_rows(&self, [mut upper, mut lower]: [ConvRow; 2]) {
        let of_weights = |row: &ConvRow| [row.taps.len(), row.run, row.outputs] == self.shape;
        assert!(of_weights(&upper) && of_weights(&lower), "rows of other weights");
        let follows = (0..2).all(|row| std::ptr::eq(upper.rows[row + 1], lower.rows[row]));
        let alike = upper.epilogue.residual.is_some() == lower.epilogue.residual.is_some();
        if !follows || !alike || upper.pixels != lower.pixels || upper.pixels < PIXELS {
            self.alone.row(upper);
            return self.alone.row(lower);
        }
        let out = [upper.take_out(), lower.take_out()];
        // SAFETY: the rows have been checked (see `ConvRow`), are of the weights' shape, and follow one another; the level is there
        // (see `arch`).
        unsafe {
            let endings = [Ending::new(&upper.epilogue, out[0]), Ending::new(&lower.epilogue, out[1])];
            if upper.epilogue.residual.is_some() {
                self.run::<true>([&upper, &lower], &endings);
            } else {
                self.run::<false>([&upper, &lower], &endings);
            }
        }
    }

    fn bytes(&self) -> usize {
        let strips: usize = self.strips.iter().map(Lines::bytes).sum();
        let lists = size_of_val(&*self.strips) + size_of_val(&*self.pairs);
        strips + lists + size_of_val(&*self.alone) + 2 * size_of::<usize>() + self.alone.bytes()
    }
}

impl Winograd {
    /// Both rows. `R`: they have a residual.
    ///
    /// # Safety
    ///
    /// The rows are of the weights' shape, have the same number of pixels, at least as many as the tiles, and the lower one reads
    /// as its first two rows the last two of the upper one. The endings are theirs.
    #[target_feature(enable = "avx2")]
    unsafe fn run<const R: bool>(&self, rows: [&ConvRow; 2], endings: &[Ending; 2]) {
        let (mut tiles, mut products) = (Tiles([[0; _]; _]), Products([0; _]));
        let (Tap { offset, step, .. }, inputs, outputs) = (self.first, self.inputs, self.shape[2]);
        let [a, b, c, d] = [rows[0].rows[0], rows[0].rows[1], rows[0].rows[2], rows[1].rows[2]];
        for x in blocks(rows[0].pixels, PIXELS) {
            let pixels = [a, b, c, d].map(|row| row.as_ptr().wrapping_add(x * step + offset));
            // SAFETY: the block's pixels are below those of the rows, which reach past the run of the third tap of the last;
            // each strip is that of the outputs that it is called with.
            unsafe {
                for (tiles, first) in tiles.0.iter_mut().zip((0..inputs).step_by(16)) {
                    let first = first.min(inputs - 16);
                    transform(pixels.map(|row| row.wrapping_add(first)), step, tiles);
                }
                for (strip, output) in self.strips.iter().zip((0..outputs).step_by(16)) {
                    if outputs - output >= 16 {
                        self.multiply::<2>(strip, &tiles, &mut products);
                        self.end::<R, 2, 2>(rows, endings, &products, output, x);
                    } else {
                        self.multiply::<1>(strip, &tiles, &mut products);
                        self.end::<R, 1, 4>(rows, endings, &products, output, x);
                    }
                }
            }
        }
    }

    /// Products of the tiles with `V * 8` outputs.
    ///
    /// # Safety
    ///
    /// `strip` is that of these outputs.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn multiply<const V: usize>(&self, strip: &[i16], Tiles(tiles): &Tiles, Products(products): &mut Products) {
        let (first, others) = (self.pairs[0], &self.pairs[1..]);
        let (mut weights, tiles) = (strip.as_ptr(), tiles.as_flattened().as_ptr());
        for position in 0..POSITIONS {
            let mut sums = [[_mm256_setzero_si256(); V]; TILES];
            // SAFETY: at each position there are as many inputs of each tile as `pairs` leads to, and a vector of weights for each
            // of these and each `v`.
            unsafe {
                let inputs = tiles.add(position * TILES * 16);
                add_products::<V, false>(&mut sums, inputs.add(first), weights);
                weights = weights.add(V * 16);
                for &pair in others {
                    add_products::<V, true>(&mut sums, inputs.add(pair), weights);
                    weights = weights.add(V * 16);
                }
            }
            for (tile, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    // SAFETY: there are eight words at each position of `V` vectors of each tile.
                    unsafe {
                        let to = products.as_mut_ptr().add(((tile * V + v) * POSITIONS + position) * 8);
                        _mm256_store_si256(to.cast(), *sum);
                    }
                }
            }
        }
    }

    /// Writes the `V * 8` outputs from `output` of the tiles from pixel `x`, `P / 2` of them at a time.
    ///
    /// # Safety
    ///
    /// As for [`Winograd::run`]; there are the outputs and the pixels.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn end<const R: bool, const V: usize, const P: usize>(
        &self,
        rows: [&ConvRow; 2],
        endings: &[Ending; 2],
        Products(products): &Products,
        output: usize,
        x: usize,
    ) {
        let bias: [_; V] = std::array::from_fn(|v| {
            // SAFETY: `bias` has eight from each eighth output.
            let bias = unsafe { _mm256_loadu_si256(rows[0].bias.as_ptr().add(output + v * 8).cast()) };
            _mm256_slli_epi32::<2>(bias)
        });
        for first in (0..TILES).step_by(P / 2) {
            let mut sums = [[[_mm256_setzero_si256(); V]; P]; 2];
            for tile in 0..P / 2 {
                for v in 0..V {
                    let at = ((first + tile) * V + v) * POSITIONS * 8;
                    // SAFETY: there are eight words at each position of `V` vectors of each tile.
                    let [upper, lower] = unsafe { tile_sums(products.as_ptr().add(at).cast(), bias[v]) };
                    for i in 0..2 {
                        sums[0][tile * 2 + i][v] = upper[i];
                        sums[1][tile * 2 + i][v] = lower[i];
                    }
                }
            }
            for ((row, ending), sums) in rows.into_iter().zip(endings).zip(&sums) {
                // SAFETY: passes on what the caller has promised.
                unsafe { finish::block::<R, true, V, P>(row, ending, sums, output, x + first * 2) };
            }
        }
    }
}

/// Adds to the sums of `V * 8` outputs the products of two inputs of each tile; or begins these sums, unless `ADD`.
///
/// # Safety
///
/// There are two words every sixteen from `inputs`, and `V` vectors of weights.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn add_products<const V: usize, const ADD: bool>(
    sums: &mut [[__m256i; V]; TILES],
    inputs: *const i16,
    weights: *const i16,
) {
    // SAFETY: a vector of `V`.
    let weights: [_; V] = std::array::from_fn(|v| unsafe { _mm256_loadu_si256(weights.add(v * 16).cast()) });
    for (tile, sums) in sums.iter_mut().enumerate() {
        // SAFETY: two words of a tile.
        let two = unsafe { _mm256_set1_epi32(inputs.add(tile * 16).cast::<i32>().read_unaligned()) };
        for (sum, weights) in sums.iter_mut().zip(weights) {
            let products = _mm256_madd_epi16(two, weights);
            *sum = if ADD { _mm256_add_epi32(*sum, products) } else { products };
        }
    }
}

/// Sixteen inputs of the tiles that begin at each second pixel, from where `rows` point to.
///
/// # Safety
///
/// The rows have sixteen bytes at each of the tiles' pixels and the two that follow, `step` apart.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn transform(rows: [*const u8; 4], step: usize, tiles: &mut [i16; POSITIONS * TILES * 16]) {
    let column = |x: usize| {
        // SAFETY: sixteen bytes of a pixel.
        let [a, b, c, d] = rows.map(|row| unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(row.add(x * step).cast())) });
        [_mm256_sub_epi16(a, c), _mm256_add_epi16(b, c), _mm256_sub_epi16(c, b), _mm256_sub_epi16(b, d)]
    };
    let (mut a, mut b) = (column(0), column(1));
    for tile in 0..TILES {
        let mut store = |position: usize, inputs| {
            // SAFETY: there are sixteen words of each tile at each position.
            unsafe { _mm256_store_si256(tiles.as_mut_ptr().add((position * TILES + tile) * 16).cast(), inputs) };
        };
        let c = column(2 * tile + 2);
        for i in 0..4 {
            store(i * 4, _mm256_sub_epi16(a[i], c[i]));
            store(i * 4 + 1, _mm256_add_epi16(b[i], c[i]));
            store(i * 4 + 2, _mm256_sub_epi16(c[i], b[i]));
        }
        let d = column(2 * tile + 3);
        for i in 0..4 {
            store(i * 4 + 3, _mm256_sub_epi16(b[i], d[i]));
        }
        (a, b) = (c, d);
    }
}

/// The sums of a tile's 2x2 pixels, by rows, from its products at all positions, and four times what the sums begin with.
///
/// # Safety
///
/// There are as many vectors, at aligned addresses.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn tile_sums(products: *const __m256i, bias: __m256i) -> [[__m256i; 2]; 2] {
    let column = |x: usize| {
        // SAFETY: a position of sixteen.
        let [a, mut b, c, d] = [0, 1, 2, 3].map(|y| unsafe { _mm256_load_si256(products.add(y * 4 + x)) });
        if x == 1 {
            // All of the tile's sums have the products at this position as they are.
            b = _mm256_add_epi32(b, bias);
        }
        [_mm256_add_epi32(_mm256_add_epi32(b, c), a), _mm256_sub_epi32(_mm256_sub_epi32(b, c), d)]
    };
    let (a, b, c, d) = (column(0), column(1), column(2), column(3));
    let row = |y: usize| {
        let left = _mm256_add_epi32(_mm256_add_epi32(b[y], c[y]), a[y]);
        let right = _mm256_sub_epi32(_mm256_sub_epi32(b[y], c[y]), d[y]);
        [_mm256_srai_epi32::<2>(left), _mm256_srai_epi32::<2>(right)]
    };
    [row(0), row(1)]
}
