//! Convolutions of any kernel, brought to the square, odd ones with zero padding that the plan has; transposed ones to
//! convolutions whose depth becomes space.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{Pad, PadMode};
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::nn::DataFormat;

use super::function::run;
use super::{Meaning, Pending, Reader, pending, shape_of};
use crate::model::graph::{Border, ConvWeights, Input, Node, Op, Tensor as Activation, TensorId, View};
use crate::model::load::{Quantised, reason, unchecked_f32};

/// Largest side of a kernel, once it is square and odd.
const MOST_SIDE: usize = 11;
/// Pixels that a kernel reaches at most.
const MOST_REACH: usize = 16;
/// Weights of a convolution whose groups are written out.
const MOST_WEIGHTS: usize = 4 << 20;

/// Taps of a kernel along one axis: the first lies `first` pixels from the output's own, the others `apart` each.
#[derive(Clone, Copy)]
struct Taps {
    first: isize,
    apart: usize,
    count: usize,
}

impl Taps {
    fn at(self, tap: usize) -> isize {
        self.first + (tap * self.apart) as isize
    }

    fn reach(self) -> usize {
        self.at(0).unsigned_abs().max(self.at(self.count - 1).unsigned_abs())
    }

    fn fits(self, apart: usize) -> bool {
        (0..self.count).all(|tap| self.at(tap).unsigned_abs().is_multiple_of(apart))
    }
}

/// Kernel side and distance between taps that hold both axes.
fn square(axes: [Taps; 2]) -> Result<(usize, usize), String> {
    let wanted = axes.iter().filter(|t| t.count > 1).map(|t| t.apart).min().unwrap_or(1);
    let apart = if axes.iter().all(|t| t.fits(wanted)) { wanted } else { 1 };
    let reach = axes[0].reach().max(axes[1].reach());
    let side = 2 * reach.div_ceil(apart) + 1;
    if side > MOST_SIDE || reach > MOST_REACH {
        return Err(format!("a kernel that reaches {reach} pixels, {side} taps a side"));
    }
    Ok((side, apart))
}

/// Square, odd weights from any: `tap` gives that of output, input, row and column of the file's kernel.
fn arranged(
    axes: [Taps; 2],
    (outputs, inputs): (usize, usize),
    tap: impl Fn(usize, usize, usize, usize) -> i8,
) -> Result<(Vec<i8>, usize, usize), String> {
    let (side, apart) = square(axes)?;
    let middle = (side / 2) as isize;
    let place = |t: Taps, k: usize| (t.at(k) / apart as isize + middle) as usize;
    let mut data = vec![0; outputs * inputs * side * side];
    for (o, i) in (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))) {
        for (ky, kx) in (0..axes[0].count).flat_map(|y| (0..axes[1].count).map(move |x| (y, x))) {
            let at = ((o * inputs + i) * side + place(axes[0], ky)) * side + place(axes[1], kx);
            data[at] = tap(o, i, ky, kx);
        }
    }
    Ok((data, side, apart))
}

/// Pixels before and after each axis, in all.
pub(super) fn padding(spec: &PoolSpec, axis: usize) -> Result<(usize, usize), String> {
    let spare = spec.dilation(axis) * (spec.kernel_shape[axis] - 1);
    match &spec.padding {
        PaddingSpec::Explicit(before, after) | PaddingSpec::ExplicitOnnxPool(before, after, _) => {
            Ok((before[axis], after[axis]))
        }
        PaddingSpec::SameUpper => Ok((spare / 2, spare.div_ceil(2))),
        PaddingSpec::SameLower => Ok((spare.div_ceil(2), spare / 2)),
        PaddingSpec::Valid => Ok((0, 0)),
    }
}

fn check_layout(spec: &PoolSpec, format: KernelFormat) -> Result<(), String> {
    if spec.kernel_shape.len() != 2 || format != KernelFormat::OIHW || spec.data_format != DataFormat::NCHW {
        return Err("a layout other than NCHW and OIHW".into());
    }
    Ok(())
}

/// The mean of a window of `side` by `side` pixels, channel by channel.
pub(super) fn mean(channels: usize, side: usize) -> Result<ConvWeights, String> {
    let taps = Taps { first: -((side / 2) as isize), apart: 1, count: side };
    let depthwise = side == 3 && channels.is_multiple_of(8);
    let inputs = if depthwise { 1 } else { channels };
    let (data, kernel, dilation) = arranged([taps; 2], (channels, inputs), |o, i, _, _| i8::from(depthwise || o == i))?;
    let scales = vec![1.0 / (side * side) as f32; channels];
    let (bias, outputs, border) = (vec![0.0; channels], channels, Border::Zero);
    Ok(ConvWeights { data, scales, bias, outputs, inputs, kernel, dilation, depthwise, border })
}

/// Weights of the pixel before, the own and the pixel after, along one axis, in steps of `1 / 2n`: phase `r` of `n` lies
/// `(2r + 1 - n) / 2n` from the own pixel's centre.
fn between(n: usize, r: usize) -> [i32; 3] {
    let off = 2 * r as i32 + 1 - n as i32;
    [(-off).max(0), 2 * n as i32 - off.abs(), off.max(0)]
}

/// Is it what [`linear`] does? The operation is run, since its ways to say so are many.
pub(super) fn is_linear(
    op: &dyn TypedOp,
    constants: Vec<Arc<Tensor>>,
    shape: &[usize],
    n: usize,
) -> Result<bool, String> {
    let (height, width) = (shape[2], shape[3]);
    let value = |at: usize| (at * 7919 % 1009) as f32;
    let all: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    let input = Tensor::from_shape(shape, &all).map_err(reason)?.into_arc_tensor();
    let made = unchecked_f32(&*run(op, [vec![input], constants].concat())?);
    let near = |at: usize, length: usize| {
        let place = |by: isize| Border::Edge.inside(at as isize + by, length).unwrap_or(0);
        [place(-1), place(0), place(1)]
    };
    let expected = |channel: usize, y: usize, x: usize| {
        let (rows, columns) = (near(y / n, height), near(x / n, width));
        let (down, across) = (between(n, y % n), between(n, x % n));
        let taps = (0..9).map(|t| {
            let at = (channel * height + rows[t / 3]) * width + columns[t % 3];
            (down[t / 3] * across[t % 3]) as f32 * value(at)
        });
        taps.sum::<f32>() / (4 * n * n) as f32
    };
    let all = n * n * height * width;
    let close = |(at, v): (usize, &f32)| {
        let (channel, at) = (at / all, at % all);
        (v - expected(channel, at / (n * width), at % (n * width))).abs() < 0.01
    };
    Ok(made.len() == all * shape[1] && made.iter().enumerate().all(close))
}

/// Enlarged `n` times by the nearest pixels along each axis, centre to centre.
pub(super) fn linear(channels: usize, n: usize) -> Result<ConvWeights, String> {
    if n > 5 || channels * channels * 9 * n * n > MOST_WEIGHTS {
        return Err(format!("linear enlargement {n} times of {channels} channels"));
    }
    let taps = Taps { first: -1, apart: 1, count: 3 };
    let tap = |o: usize, i: usize, y: usize, x: usize| {
        let (block, channel) = (o / channels, o % channels);
        if i == channel { (between(n, block / n)[y] * between(n, block % n)[x]) as i8 } else { 0 }
    };
    let outputs = n * n * channels;
    let (data, kernel, dilation) = arranged([taps; 2], (outputs, channels), tap)?;
    let (scales, bias) = (vec![1.0 / (4 * n * n) as f32; outputs], vec![0.0; outputs]);
    let (inputs, depthwise, border) = (channels, false, Border::Edge);
    Ok(ConvWeights { data, scales, bias, outputs, inputs, kernel, dilation, depthwise, border })
}

impl Reader<'_> {
    pub(super) fn conv(&mut self, node: &TypedNode, conv: &Conv, inputs: Vec<Meaning>) -> Result<Meaning, String> {
        let [x, Meaning::Constant(_), Meaning::Constant(bias)] = &inputs[..] else {
            return Err("weights and bias must be constants".into());
        };
        let spec = &conv.pool_spec;
        check_layout(spec, conv.kernel_fmt)?;
        if conv.q_params.is_some() || (0..2).any(|axis| spec.stride(axis) != 1) {
            return Err("a stride".into());
        }
        let mut x = x.clone();
        let (padded, border) = padded(&mut x)?;
        if border != Border::Zero && (0..2).any(|axis| padding(spec, axis) != Ok((0, 0))) {
            return Err("padding of two kinds".into());
        }
        let mut axes = [Taps { first: 0, apart: 1, count: 1 }; 2];
        for (axis, taps) in axes.iter_mut().enumerate() {
            let (before, after) = padding(spec, axis)?;
            let (before, after) = (before + padded[axis].0, after + padded[axis].1);
            let (apart, count) = (spec.dilation(axis), spec.kernel_shape[axis]);
            if before + after != apart * (count - 1) {
                return Err("padding that does not keep the size".into());
            }
            *taps = Taps { first: -(before as isize), apart, count };
        }
        let quantised = self.weights(node.inputs[1])?;
        let (outputs, groups) = (spec.output_channels, conv.group.max(1));
        let each = spec.input_channels / groups;
        let [rows, columns] = axes.map(|t| t.count);
        if quantised.data.len() != outputs * each * rows * columns || quantised.axis != 0 {
            return Err("weights of another shape".into());
        }
        let tap = |o: usize, i: usize, y: usize, x: usize| quantised.data[((o * each + i) * rows + y) * columns + x];
        let depthwise = groups > 1 && groups == outputs && each == 1 && outputs.is_multiple_of(8);
        let ((data, kernel, dilation), inputs) = if groups == 1 || depthwise && square(axes)?.0 == 3 {
            (arranged(axes, (outputs, each), tap)?, each)
        } else {
            // Each output's group among all inputs; the others meet zeros.
            if outputs * spec.input_channels * rows * columns > MOST_WEIGHTS {
                return Err(format!("{groups} groups"));
            }
            let of_group = |o: usize, i: usize, y: usize, x: usize| {
                let group = o / (outputs / groups);
                if i / each == group { tap(o, i % each, y, x) } else { 0 }
            };
            (arranged(axes, (outputs, spec.input_channels), of_group)?, spec.input_channels)
        };
        let bias = biases(bias, outputs)?;
        let depthwise = depthwise && inputs == 1;
        let weights =
            ConvWeights { data, scales: quantised.scales, bias, outputs, inputs, kernel, dilation, depthwise, border };
        let input = self.input(x)?;
        Ok(pending(Op::Conv(weights), vec![input]))
    }

    /// Output pixel `n y + r` sums the inputs `y + j` times the taps `r + pad - n j`: `n * n` convolutions of the small picture.
    pub(super) fn deconv(&mut self, node: &TypedNode, op: &Deconv, inputs: Vec<Meaning>) -> Result<Meaning, String> {
        let [x, Meaning::Constant(_), Meaning::Constant(bias)] = &inputs[..] else {
            return Err("weights and bias must be constants".into());
        };
        let spec = &op.pool_spec;
        check_layout(spec, op.kernel_format)?;
        let n = spec.stride(0);
        if spec.stride(1) != n || op.group != 1 || (0..2).any(|axis| spec.dilation(axis) != 1) {
            return Err("groups, dilations or strides that differ".into());
        }
        let shape = shape_of(&node.outputs[0].fact)?;
        let input = self.input(x.clone())?;
        let size = self.shape(input.tensor);
        let mut pads = [0; 2];
        let mut axes = [Taps { first: 0, apart: 1, count: 1 }; 2];
        for axis in 0..2 {
            let (count, (before, _)) = (spec.kernel_shape[axis], padding(spec, axis)?);
            if shape[2 + axis] != n * size[2 + axis] || input.view != View::Plain || before >= count {
                return Err("an output that is no multiple of the input's size".into());
            }
            pads[axis] = before;
            // The first and the last j of any tap: r + pad - n j from 0 to count - 1.
            let last = before.div_ceil(n) as isize;
            let first = -(((count - 1 - before) / n) as isize);
            axes[axis] = Taps { first, apart: 1, count: (last - first + 1) as usize };
        }
        let quantised = self.deconv_weights(node.inputs[1])?;
        let (outputs, each) = (spec.output_channels, spec.input_channels);
        let [rows, columns] = [spec.kernel_shape[0], spec.kernel_shape[1]];
        let uniform = quantised.scales.windows(2).all(|s| s[0] == s[1]);
        if quantised.data.len() != outputs * each * rows * columns || quantised.axis != 1 && !uniform {
            return Err("weights of another shape".into());
        }
        let tap = |o: usize, i: usize, y: usize, x: usize| {
            let (block, channel) = (o / outputs, o % outputs);
            let at = |axis: usize, phase: usize, t: usize, count: usize| {
                let j = axes[axis].at(t);
                let k = (phase + pads[axis]) as isize - n as isize * j;
                usize::try_from(k).ok().filter(|k| *k < count)
            };
            match (at(0, block / n, y, rows), at(1, block % n, x, columns)) {
                (Some(y), Some(x)) => quantised.data[((i * outputs + channel) * rows + y) * columns + x],
                _ => 0,
            }
        };
        let (data, kernel, dilation) = arranged(axes, (n * n * outputs, each), tap)?;
        let scale = |channel: usize| quantised.scales[if uniform { 0 } else { channel }];
        let scales = (0..n * n * outputs).map(|o| scale(o % outputs)).collect();
        let bias = biases(bias, outputs)?.repeat(n * n);
        let (outputs, depthwise, border) = (n * n * outputs, false, Border::Zero);
        let weights = ConvWeights { data, scales, bias, outputs, inputs: each, kernel, dilation, depthwise, border };
        let what = Pending::Spread(weights, input, n);
        Ok(Meaning::Pending { what, low: f32::NEG_INFINITY, high: f32::INFINITY })
    }

    fn weights(&self, kernel: OutletId) -> Result<Quantised, String> {
        let known = self.loaded.quantised.get(&kernel.node);
        known.cloned().ok_or_else(|| "its weights are not 8-bit integers behind DequantizeLinear".into())
    }

    /// Weights behind the moves that put outputs first.
    fn deconv_weights(&self, mut kernel: OutletId) -> Result<Quantised, String> {
        let typed = &self.loaded.typed;
        while !self.loaded.quantised.contains_key(&kernel.node) && typed.node(kernel.node).inputs.len() == 1 {
            kernel = typed.node(kernel.node).inputs[0];
        }
        self.weights(kernel)
    }

    /// A convolution's tensor, and the one of its depth in space.
    pub(super) fn spread(
        &mut self,
        node: &TypedNode,
        weights: ConvWeights,
        from: Input,
        n: usize,
        (scale, zero_point): (f32, u8),
        (low, high): (u8, u8),
    ) -> Result<TensorId, String> {
        let source = &self.graph.tensors[from.tensor];
        let (rows, columns) = (source.rows, source.columns);
        let name = self.computes(node);
        let depth = Activation { name, channels: weights.outputs, rows, columns, scale, zero_point };
        self.graph.tensors.push(depth);
        let depth = self.graph.tensors.len() - 1;
        self.graph.nodes.push(Node { op: Op::Conv(weights), inputs: vec![from], output: depth, low, high });
        let view = Input { tensor: depth, view: View::DepthToSpace(n) };
        self.complete(node, Op::Arrange, vec![view], scale, zero_point, (0, 255))
    }
}

fn biases(bias: &Tensor, outputs: usize) -> Result<Vec<f32>, String> {
    match unchecked_f32(bias) {
        one if one.len() == 1 => Ok(vec![one[0]; outputs]),
        all if all.len() == outputs => Ok(all),
        _ => Err("as many biases as outputs are needed".into()),
    }
}

/// Takes a last Pad off a moved tensor: rows and columns before and after, and with what.
fn padded(x: &mut Meaning) -> Result<([(usize, usize); 2], Border), String> {
    let none = ([(0, 0); 2], Border::Zero);
    let Meaning::Held { chain, .. } = x else { return Ok(none) };
    let Some(pad) = chain.last().and_then(|(op, _)| op.downcast_ref::<Pad>()) else { return Ok(none) };
    let border = match &pad.mode {
        PadMode::Constant(value) if unchecked_f32(value) == [0.0] => Border::Zero,
        PadMode::Edge => Border::Edge,
        PadMode::Reflect => Border::Reflect,
        _ => return Err("padding with other numbers than zeros".into()),
    };
    match pad.pads[..] {
        [(0, 0), (0, 0), rows, columns] => {
            chain.pop();
            Ok(([rows, columns], border))
        }
        _ => Err("padding of channels".into()),
    }
}
