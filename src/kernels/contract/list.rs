//! The kernels that a level has.

use std::fmt::Debug;
use std::panic::RefUnwindSafe;
use std::sync::Arc;

use super::bounds::{ConvRow, DepthwiseRow, Window};
use super::shapes::{Add, FilterPhase, Gate, Pool, Table, WindowAttention};
use super::weights::{Depthwise, Weights};

/// Weights of a dense convolution in a level's own order, and its kernel for them.
pub trait ConvKernel: Debug + Send + Sync + RefUnwindSafe {
    /// One row. The row's shape is that of the weights from which [`Kernels::prepare`] has made this.
    fn row(&self, row: ConvRow);

    /// Do [`ConvKernel::two_rows`] take less time than each of the two?
    fn joins_rows(&self) -> bool {
        false
    }

    /// Two rows, of which the lower one reads, of each tensor, what the upper one does a row further down.
    fn two_rows(&self, [upper, lower]: [ConvRow; 2]) {
        self.row(upper);
        self.row(lower);
    }

    /// Bytes on the heap.
    fn bytes(&self) -> usize;
}

/// Weights of a depth-wise convolution in a level's own order, and its kernel for them.
pub trait DepthwiseKernel: Debug + Send + Sync + RefUnwindSafe {
    /// One row, with the weights from which [`Kernels::prepare_depthwise`] has made this.
    fn row(&self, row: DepthwiseRow);

    /// Bytes on the heap.
    fn bytes(&self) -> usize;
}

/// For weights as they are.
impl DepthwiseKernel for fn(DepthwiseRow) {
    fn row(&self, row: DepthwiseRow) {
        self(row);
    }

    fn bytes(&self) -> usize {
        0
    }
}

/// The kernels of a level: `scalar` has all; each other level names its own and takes the rest from a level whose processor
/// features are among its own, as `Kernels { product, ..avx2::KERNELS }`. What they do is said where [`Level`] offers them.
///
/// Arguments have passed `bounds`.
///
/// [`Level`]: crate::kernels::Level
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// Do the dense and the depth-wise kernels read an activation `x` as the signed `x - 128`? What that takes from a sum,
    /// 128 times the sum of the weights, is given back to the bias when weights are packed.
    pub reads_signed: bool,
    /// Chooses a kernel for a dense convolution and brings the weights into its order.
    pub prepare: fn(&Weights) -> Arc<dyn ConvKernel>,
    /// Matrix product with weights made while frames run, in the order of [`Weights::data`].
    pub product: fn(&[i8], ConvRow),
    /// [`Kernels::prepare`] for a depth-wise convolution, whose bias is as this level's sums start.
    pub prepare_depthwise: fn(&Depthwise) -> Arc<dyn DepthwiseKernel>,
    pub add_row: fn(&Add, &[u8], &[u8], &mut [u8]),
    pub add_spread_row: fn(&Add, usize, &[u8], &[u8], &mut [u8]),
    pub shuffle_row: fn(usize, usize, &[u8], &mut [u8]),
    pub gate_row: fn(&Gate, usize, &[u8], &[u8], &mut [u8]),
    pub pool_columns: fn(&Pool, usize, &[u8], &mut [u8]),
    pub pool_rows: fn(&Pool, &[&[u8]], &mut [u8]),
    pub table_row: fn(&[Table], usize, &[u8], &mut [u8]),
    pub split_row: fn(usize, &[u8], &mut [u8]),
    pub luma_row: fn([&[u8]; 3], &mut [u8]),
    pub blend_rows: fn([i16; 4], [&[u8]; 4], &mut [i16]),
    pub enlarge_row: fn(&[FilterPhase], &[i16], &mut [i16]),
    pub round_row: fn(&[i16], &mut [u8]),
    pub shade_row: fn(&[u8], [&[i16]; 4], &mut [u8]),
    pub shade_alpha_row: fn(&[u8], [&[i16]; 5], &mut [u8]),
    pub pack_columns: fn(&[u8], usize, usize, &mut [i8], &mut [i32]),
    pub pack_rows: fn(&[u8], usize, usize, &mut [i8], &mut [i32]),
    pub attention: Attention,
}

/// A window of attention.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// 16-bit words of [`Scratch::wide`] that it needs.
    pub words: fn(&WindowAttention) -> usize,
    /// One window; the level's other kernels are those given.
    pub window: fn(&Kernels, Window, &mut Scratch),
}

/// Memory that attention works in; what it holds before and after means nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Keys or values as weights.
    pub(in crate::kernels) packed: Vec<i8>,
    pub(in crate::kernels) sums: Vec<i32>,
    pub(in crate::kernels) multiplier: Vec<f32>,
    pub(in crate::kernels) scores: Vec<u8>,
    /// Whatever a level holds in 16 bits.
    pub(in crate::kernels) wide: Vec<i16>,
}

impl Scratch {
    /// Grows to what windows of this kind need.
    pub(in crate::kernels) fn grow(&mut self, kernels: &Kernels, a: &WindowAttention) {
        fn grow<T: Clone + Default>(v: &mut Vec<T>, n: usize) {
            if v.len() < n {
                v.resize(n, T::default());
                v.shrink_to_fit();
            }
        }
        grow(&mut self.packed, a.tokens * a.keys.max(a.values));
        grow(&mut self.sums, a.tokens.max(a.values));
        grow(&mut self.multiplier, a.tokens.max(a.values));
        grow(&mut self.scores, a.tokens * a.tokens);
        grow(&mut self.wide, (kernels.attention.words)(a));
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let words = self.sums.len() + self.multiplier.len();
        self.packed.len() + self.scores.len() + 2 * self.wide.len() + 4 * words
    }
}
