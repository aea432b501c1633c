//! A window of attention, made of a level's matrix products.

use crate::kernels::contract::{Clamp, ConvRow, Epilogue, Kernels, Output, Scratch, Tap, Window};

/// Scores of all queries with all keys, then the values weighted by them.
pub fn window(kernels: &Kernels, window: Window, scratch: &mut Scratch) {
    let (a, Scratch { packed, sums, multiplier, scores, .. }) = (window.a, &mut *scratch);
    (kernels.pack_columns)(window.keys, a.tokens, a.keys, packed, sums);
    let right = Right { weights: packed, sums, multipliers: multiplier, outputs: a.tokens };
    right.product(kernels, window.query, a.keys, a.query_zero, a.score_multiplier, a.scores, scores);
    weighted(kernels, window, scratch);
}

/// Values, weighted by the scores in `scratch`.
pub fn weighted(kernels: &Kernels, window: Window, scratch: &mut Scratch) {
    let (a, Scratch { packed, sums, multiplier, scores, .. }) = (window.a, scratch);
    (kernels.pack_rows)(window.values, a.values, a.tokens, packed, sums);
    let right = Right { weights: packed, sums, multipliers: multiplier, outputs: a.values };
    let left = &scores[..a.tokens * a.tokens];
    right.product(kernels, left, a.tokens, a.scores.zero_point, a.multiplier, a.clamp, window.out);
}

/// The right side of a product: packed activations, and the sum of each output's.
struct Right<'a> {
    weights: &'a [i8],
    sums: &'a mut [i32],
    multipliers: &'a mut [f32],
    outputs: usize,
}

impl Right<'_> {
    /// Rows of `depth` bytes, whose zero point is `zero`, times the right side.
    #[allow(clippy::too_many_arguments)]
    fn product(
        self,
        kernels: &Kernels,
        left: &[u8],
        depth: usize,
        zero: u8,
        multiplier: f32,
        clamp: Clamp,
        out: &mut [u8],
    ) {
        let Self { weights, sums, multipliers, outputs } = self;
        // What the zero point adds to every sum, and 128 where the level reads activations as signed.
        let bias = if kernels.reads_signed { 128 - i32::from(zero) } else { -i32::from(zero) };
        sums[..outputs].iter_mut().for_each(|sum| *sum *= bias);
        multipliers[..outputs].fill(multiplier);
        let (taps, rows) = ([Tap { row: 0, offset: 0, step: depth }], [left]);
        let epilogue = Epilogue { clamp, residual: None };
        let mut output = Output { bytes: out, step: outputs, pixels: left.len() / depth };
        let row = ConvRow::new(&taps, depth, outputs, sums, multipliers, &epilogue, &rows, &mut output);
        (kernels.product)(&weights[..depth * outputs], row);
    }
}
