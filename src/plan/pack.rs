//! Weights in the order in which a level's kernels read them.

use super::step::Buffer;
use crate::kernels::{Level, PackedWeights, Tap, Weights};
use crate::model::{ConvWeights, Ratio};

/// A tensor that a convolution reads; several stand for their concatenation.
#[derive(Clone, Copy, Debug)]
pub struct InputPart<'a> {
    /// Its buffer.
    pub buffer: &'a Buffer,
    /// Channels.
    pub channels: usize,
}

/// The input of a convolution.
#[derive(Clone, Debug)]
pub struct ConvInput<'a> {
    /// Tensors whose channels lie side by side.
    pub parts: Vec<InputPart<'a>>,
    /// Pixels of the buffer along one axis that make one pixel of the input: 1, or SpaceToDepth's factor.
    pub block: usize,
}

/// What a convolution reads: runs of neighbouring bytes.
#[derive(Clone, Debug)]
pub struct ConvTaps {
    /// Where each run begins.
    pub taps: Vec<Tap>,
    /// Bytes read at each: a multiple of 4.
    pub run: usize,
    /// Bytes of a tap that are real input.
    pub length: usize,
}

impl ConvInput<'_> {
    /// Rows that the kernel reads of each part: offsets from the output row's base.
    pub fn offsets(&self, weights: &ConvWeights) -> Vec<isize> {
        let half = (weights.kernel / 2) as isize;
        let (dilation, n) = (weights.dilation as isize, self.block as isize);
        let rows = (-half..=half).flat_map(|ky| (0..n).map(move |r| ky * dilation * n + r));
        rows.collect()
    }

    /// Where input channel `channel` of kernel row `ky` and column `kx` is read: row, first byte, bytes of a pixel.
    fn locate(&self, weights: &ConvWeights, ky: usize, kx: usize, channel: usize) -> (usize, usize, usize) {
        let (half, n) = (weights.kernel / 2, self.block);
        let (mut part, mut c) = (0, channel);
        let size = |p: usize| self.parts[p].channels * n * n;
        while c >= size(part) {
            c -= size(part);
            part += 1;
        }
        let InputPart { buffer, channels } = self.parts[part];
        let (block, c) = (c / channels, c % channels);
        let row = (part * weights.kernel + ky) * n + block / n;
        let x = (kx * weights.dilation * n + block % n) as isize - (half * weights.dilation * n) as isize;
        let pixel = (buffer.left as isize + x) as usize;
        (row, pixel * buffer.stride + c, n * buffer.stride)
    }

    /// The taps of a convolution: runs of neighbouring bytes, cut to one length that divides them all.
    pub fn taps(&self, weights: &ConvWeights) -> ConvTaps {
        let mut bytes = Vec::new();
        for ky in 0..weights.kernel {
            for kx in 0..weights.kernel {
                bytes.extend((0..weights.inputs).map(|c| self.locate(weights, ky, kx, c)));
            }
        }
        bytes.sort_unstable();
        let mut runs: Vec<(Tap, usize)> = Vec::new();
        for (row, offset, step) in bytes {
            match runs.last_mut() {
                Some((tap, length)) if tap.row == row && tap.offset + *length == offset => *length += 1,
                _ => runs.push((Tap { row, offset, step }, 1)),
            }
        }
        let length = runs.iter().fold(0, |g, (_, length)| Ratio::gcd(g, *length));
        let cut =
            |(tap, all): (Tap, usize)| (0..all / length).map(move |i| Tap { offset: tap.offset + i * length, ..tap });
        ConvTaps { taps: runs.into_iter().flat_map(cut).collect(), run: length.next_multiple_of(4), length }
    }
}

/// Packs outputs `outputs` of the weights. `quantised` are scale and zero point of the input.
pub fn pack(
    input: &ConvInput,
    weights: &ConvWeights,
    taps: &ConvTaps,
    outputs: std::ops::Range<usize>,
    quantised: (f32, u8),
    output_scale: f32,
    level: Level,
) -> Result<PackedWeights, String> {
    let padded = outputs.len().next_multiple_of(8);
    let quads = taps.run / 4;
    let mut data = vec![0i8; taps.taps.len() * quads * padded * 4];
    let each = weights.inputs * weights.kernel * weights.kernel;
    for ky in 0..weights.kernel {
        for kx in 0..weights.kernel {
            for c in 0..weights.inputs {
                let (row, offset, _) = input.locate(weights, ky, kx, c);
                let inside = |t: &Tap| t.row == row && (t.offset..t.offset + taps.length).contains(&offset);
                let tap = taps.taps.iter().position(inside).ok_or("a tap that was not planned")?;
                let i = offset - taps.taps[tap].offset;
                for (o, output) in outputs.clone().enumerate() {
                    let w = weights.data[output * each + (c * weights.kernel + ky) * weights.kernel + kx];
                    data[((tap * quads + i / 4) * padded + o) * 4 + i % 4] = w;
                }
            }
        }
    }
    let (mut bias, mut multiplier) = (vec![], vec![]);
    for output in outputs.clone() {
        let w = &weights.data[output * each..][..each];
        let (b, m) = requantisation(w, weights.scales[output], weights.bias[output], quantised, output_scale)?;
        bias.push(b);
        multiplier.push(m);
    }
    let ConvTaps { taps, run, .. } = taps;
    let (outputs, data, bias, multiplier) = (outputs.len(), &data, &bias, &multiplier);
    Ok(level.pack(&Weights { taps, run: *run, outputs, data, bias, multiplier }))
}

/// Bias and multiplier of one output, checked so that no sum leaves 32 bits, for any input.
///
/// With `x = (byte - zero) * scale_x` and `w = q * scale_w`, the output's step count is
/// `(sum(byte * q) - zero * sum(q) + bias / (scale_x * scale_w)) * scale_x * scale_w / scale_out`.
pub fn requantisation(
    w: &[i8],
    scale: f32,
    bias: f32,
    input: (f32, u8),
    output_scale: f32,
) -> Result<(i32, f32), String> {
    let step = f64::from(scale) * f64::from(input.0);
    let sum: i64 = w.iter().map(|&w| i64::from(w)).sum();
    let most: i64 = w.iter().map(|&w| i64::from(w).abs() * 255).sum();
    let rounded = (f64::from(bias) / step).round_ties_even();
    let multiplier = (step / f64::from(output_scale)) as f32;
    // 128 * sum more: what a level adds to the bias that reads bytes as signed, and takes from the sum.
    let largest = rounded.abs() + (most * 3) as f64;
    let fits = largest < f64::from(i32::MAX)
        && multiplier.is_finite()
        && largest * f64::from(multiplier) < f64::from(i32::MAX / 2);
    if !fits {
        return Err("sums that leave 32 bits".into());
    }
    Ok((rounded as i32 - (i64::from(input.1) * sum) as i32, multiplier))
}
