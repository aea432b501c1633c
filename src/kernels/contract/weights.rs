//! Weights as PREPARE has them, and in the order of a level.

use std::sync::Arc;

use super::bounds::{ConvRow, DepthwiseRow, assert_weights};
use super::{ConvKernel, Epilogue, Kernels, Output, Tap};
use crate::kernels::Level;

/// Weights of a dense convolution or a matrix product, for [`Level::pack`].
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Where the inputs of an output pixel are read, in the order of the weights.
    pub taps: &'a [Tap],
    /// Bytes read at each tap: a multiple of 4. Bytes past the real channels meet zero weights.
    pub run: usize,
    /// Outputs that are written.
    pub outputs: usize,
    /// `[tap][run / 4][outputs padded to 8][4]`: four neighbouring input bytes of one output lie together. Padding is
    /// zero.
    pub data: &'a [i8],
    /// What the sum starts from, one for each output.
    pub bias: &'a [i32],
    /// Requantisation, one for each output.
    pub multiplier: &'a [f32],
}

impl Weights<'_> {
    /// Outputs rounded up to a multiple of 8.
    pub(in crate::kernels) fn padded(&self) -> usize {
        self.outputs.next_multiple_of(8)
    }

    /// Sum of an output's weights.
    fn sum(&self, output: usize) -> i32 {
        self.data.chunks_exact(4).skip(output).step_by(self.padded()).flatten().map(|&w| i32::from(w)).sum()
    }

    /// For every output, has each aligned pair of neighbours |w0| + |w1| <= 128? Then an 8-bit multiply-add (u8 x s8,
    /// pairs summed in 16 bits) cannot saturate.
    #[cfg(target_arch = "x86_64")]
    pub(in crate::kernels) fn pairs_fit(&self) -> bool {
        self.data.chunks(2).all(|pair| pair.iter().map(|&w| i32::from(w).abs()).sum::<i32>() <= 128)
    }

    /// Taps whose bytes follow one another, as one tap each, with the bytes of all.
    pub(in crate::kernels) fn merged(&self) -> Vec<(Tap, usize)> {
        let run = self.run;
        let adjoin = |a: &Tap, b: &Tap| (a.row, a.step, a.offset + run) == (b.row, b.step, b.offset);
        self.taps.chunk_by(adjoin).map(|taps| (taps[0], taps.len() * run)).collect()
    }

    /// Bytes from where a tap begins to where the merged tap that it is part of ends.
    #[cfg(target_arch = "aarch64")]
    pub(in crate::kernels) fn merged_from(&self, tap: usize) -> usize {
        let taps = self.merged().into_iter().map(|(_, length)| length / self.run);
        let end = taps.scan(0, |end, taps| Some(std::mem::replace(end, *end + taps) + taps)).find(|&end| end > tap);
        (end.unwrap_or(tap) - tap) * self.run
    }
}

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
    pub(super) fn new(kernels: &dyn Kernels, weights: &Weights) -> Self {
        assert_weights(weights);
        let Weights { taps, run, outputs, .. } = *weights;
        let signed = |output: usize| if kernels.reads_signed() { 128 * weights.sum(output) } else { 0 };
        let mut bias: Vec<i32> = (0..outputs).map(|output| weights.bias[output] + signed(output)).collect();
        bias.resize(weights.padded(), 0);
        let mut multiplier = weights.multiplier[..outputs].to_vec();
        multiplier.resize(weights.padded(), 0.0);
        bias.shrink_to_fit();
        multiplier.shrink_to_fit();
        Self { taps: taps.to_vec(), run, outputs, bias, multiplier, kernel: kernels.prepare(weights) }
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
}

/// Weights of a depth-wise 3x3 convolution, for [`Level::pack_depthwise`].
#[derive(Clone, Copy, Debug)]
pub struct Depthwise<'a> {
    /// `[9][channels]`, row-major taps.
    pub data: &'a [i8],
    /// What the sum starts from, one for each channel.
    pub bias: &'a [i32],
    /// Requantisation, one for each channel.
    pub multiplier: &'a [f32],
    /// Channels: a multiple of 8.
    pub channels: usize,
}

/// Weights of a depth-wise convolution for one level.
#[derive(Clone, Debug)]
pub struct PackedDepthwise {
    level: Level,
    data: Vec<i8>,
    bias: Vec<i32>,
    multiplier: Vec<f32>,
    channels: usize,
}

impl PackedDepthwise {
    pub(super) fn new(level: Level, weights: &Depthwise) -> Self {
        let Depthwise { data, bias, multiplier, channels } = *weights;
        assert!(channels.is_multiple_of(8), "{channels} channels are not a multiple of 8");
        let (data, multiplier) = (data[..9 * channels].to_vec(), multiplier[..channels].to_vec());
        let sum = |channel: usize| data.iter().skip(channel).step_by(channels).map(|&w| i32::from(w)).sum::<i32>();
        let signed = |channel: usize| if level.kernels.reads_signed() { 128 * sum(channel) } else { 0 };
        let bias = bias[..channels].iter().enumerate().map(|(channel, &bias)| bias + signed(channel)).collect();
        Self { level, data, bias, multiplier, channels }
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.data.len() + 4 * (self.bias.len() + self.multiplier.len())
    }

    /// Depth-wise 3x3 convolution of one row; `rows` begin at the leftmost tap of the first pixel. Pixels of the input
    /// lie `step` bytes apart, taps of a row `tap_step`: dilation times the bytes of a pixel.
    pub fn row(&self, step: usize, tap_step: usize, epilogue: &Epilogue, rows: [&[u8]; 3], output: &mut Output) {
        let Self { level, data, bias, multiplier, channels } = self;
        let row = DepthwiseRow::new(data, bias, multiplier, *channels, [step, tap_step], epilogue, rows, output);
        level.kernels.depthwise_row(row);
    }
}
