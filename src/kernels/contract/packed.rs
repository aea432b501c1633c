//! Weights in the order of a level.

use std::sync::Arc;

use super::bounds::{ConvRow, DepthwiseRow};
use super::list::{ConvKernel, DepthwiseKernel, Kernels};
use super::shapes::{Epilogue, Output, Tap};
use super::weights::{Depthwise, Weights};

/// Weights of a dense convolution in the order in which the kernels of one level read them.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    taps: Vec<Tap>,
    run: usize,
    outputs: usize,
    /// One for each padded output, as the level's kernels start from it.
    bias: Vec<i32>,
    /// One for each padded output.
    multiplier: Vec<f32>,
    kernel: Arc<dyn ConvKernel>,
}

impl PackedWeights {
    pub(in crate::kernels) fn new(kernels: &Kernels, weights: &Weights) -> Self {
        weights.assert_shape();
        let Weights { taps, run, outputs, .. } = *weights;
        let signed = |output: usize| if kernels.reads_signed { 128 * weights.sum(output) } else { 0 };
        let mut bias: Vec<i32> = (0..outputs).map(|output| weights.bias[output] + signed(output)).collect();
        bias.resize(weights.padded(), 0);
        let mut multiplier = weights.multiplier[..outputs].to_vec();
        multiplier.resize(weights.padded(), 0.0);
        bias.shrink_to_fit();
        multiplier.shrink_to_fit();
        Self { taps: taps.to_vec(), run, outputs, bias, multiplier, kernel: (kernels.prepare)(weights) }
    }

    /// Outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        // The kernel's own fields lie on the heap too, behind two counters.
        let kernel = size_of_val(&*self.kernel) + 2 * size_of::<usize>() + self.kernel.bytes();
        size_of_val(&*self.taps) + 4 * (self.bias.len() + self.multiplier.len()) + kernel
    }

    /// Dense convolution of one row, or rows of a matrix product.
    ///
    /// Output pixel `x` is written at `x * output.step`; it reads, for each tap, `run` bytes of `rows[tap.row]` from
    /// `x * tap.step + tap.offset`.
    pub fn conv_row(&self, epilogue: &Epilogue, rows: &[&[u8]], output: &mut Output) {
        let Self { taps, run, outputs, bias, multiplier, kernel } = self;
        let row = ConvRow::new(taps, *run, *outputs, bias, multiplier, epilogue, rows, output);
        kernel.row(row);
    }

    /// Is it faster to make two rows at once?
    pub fn joins_rows(&self) -> bool {
        self.kernel.joins_rows()
    }

    /// [`PackedWeights::conv_row`] for a row and the one below it.
    pub fn conv_two_rows(&self, epilogues: &[Epilogue; 2], rows: [&[&[u8]]; 2], outputs: [&mut Output; 2]) {
        let Self { taps, run, outputs: count, bias, multiplier, kernel } = self;
        let [upper, lower] = outputs;
        let row = |epilogue, rows, output| ConvRow::new(taps, *run, *count, bias, multiplier, epilogue, rows, output);
        kernel.two_rows([row(&epilogues[0], rows[0], upper), row(&epilogues[1], rows[1], lower)]);
    }
}

/// Weights of a depth-wise convolution for one level.
#[derive(Clone, Debug)]
pub struct PackedDepthwise {
    data: Vec<i8>,
    bias: Vec<i32>,
    multiplier: Vec<f32>,
    channels: usize,
    kernel: Arc<dyn DepthwiseKernel>,
}

impl PackedDepthwise {
    pub(in crate::kernels) fn new(kernels: &Kernels, weights: &Depthwise) -> Self {
        let Depthwise { data, bias, multiplier, channels } = *weights;
        assert!(channels.is_multiple_of(8), "{channels} channels are not a multiple of 8");
        let (data, multiplier) = (data[..9 * channels].to_vec(), multiplier[..channels].to_vec());
        let sum = |channel: usize| data.iter().skip(channel).step_by(channels).map(|&w| i32::from(w)).sum::<i32>();
        let signed = |channel: usize| if kernels.reads_signed { 128 * sum(channel) } else { 0 };
        let bias: Vec<i32> = (0..channels).map(|channel| bias[channel] + signed(channel)).collect();
        let weights = Depthwise { data: &data, bias: &bias, multiplier: &multiplier, channels };
        let kernel = (kernels.prepare_depthwise)(&weights);
        Self { data, bias, multiplier, channels, kernel }
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let kernel = size_of_val(&*self.kernel) + 2 * size_of::<usize>() + self.kernel.bytes();
        self.data.len() + 4 * (self.bias.len() + self.multiplier.len()) + kernel
    }

    /// Depth-wise 3x3 convolution of one row; `rows` begin at the leftmost tap of the first pixel. Pixels of the input
    /// lie `step` bytes apart, taps of a row `tap_step`: dilation times the bytes of a pixel.
    pub fn row(&self, step: usize, tap_step: usize, epilogue: &Epilogue, rows: [&[u8]; 3], output: &mut Output) {
        let Self { data, bias, multiplier, channels, kernel } = self;
        let row = DepthwiseRow::new(data, bias, multiplier, *channels, [step, tap_step], epilogue, rows, output);
        kernel.row(row);
    }
}
