//! A network in floats at one size of tile, run by tract.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv};
use tract_onnx::tract_core::ops::einsum::EinSum;

use super::format::{Form, Layout, Order, Range};
use super::load::{self, output_shape, reason, unchecked_f32};
use crate::geom::Size;

/// Multiply-adds of convolutions and products.
pub(super) fn macs(model: &TypedModel) -> f64 {
    let volume = |fact: &TypedFact| fact.shape.as_concrete().map_or(0.0, |s| s.iter().product::<usize>() as f64);
    let of = |node: &TypedNode| -> f64 {
        let input = |slot: usize| model.outlet_fact(node.inputs[slot]).map_or(0.0, volume);
        let output = volume(&node.outputs[0].fact);
        if let Some(conv) = node.op_as::<Conv>() {
            input(1) / conv.pool_spec.output_channels.max(1) as f64 * output
        } else if let Some(deconv) = node.op_as::<Deconv>() {
            input(1) / deconv.pool_spec.input_channels.max(1) as f64 * input(0)
        } else if node.op_is::<EinSum>() && node.inputs.len() >= 2 {
            // A product of m x k and k x n: the square root of all three is m k n.
            (input(0) * input(1) * output).sqrt()
        } else {
            0.0
        }
    };
    model.nodes().iter().map(of).sum()
}

/// The network at one size.
pub struct Executor {
    plan: Arc<TypedSimplePlan>,
    form: Form,
    bytes_in: bool,
    input: Size,
    output: Size,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Executor {{ input: {}, output: {} }}", self.input, self.output)
    }
}

impl Executor {
    /// For inputs of `size`, at which the network is typed; tract may simplify it, or not.
    pub(super) fn new(typed: TypedModel, form: Form, size: Size, simplify: bool) -> Result<Self, String> {
        let shape = output_shape(&typed)?;
        let (_, output) = form.layouts[1].read(&shape).ok_or("the output is not a picture")?;
        let bytes_in = typed.outlet_fact(typed.inputs[0]).map_err(reason)?.datum_type == u8::datum_type();
        let ready = if simplify { typed.into_optimized().map_err(reason)? } else { typed };
        Ok(Self { plan: ready.into_runnable().map_err(reason)?, form, bytes_in, input: size, output })
    }

    /// Does the network take bytes?
    pub(super) fn takes_bytes(&self) -> bool {
        self.bytes_in
    }

    /// Size of what comes out.
    pub fn output(&self) -> Size {
        self.output
    }

    /// One tile: interleaved bytes of `size` in, of [`Executor::output`] out.
    ///
    /// The error is tract's: an allocation that failed, say.
    pub fn run(&self, input: &[u8], output: &mut [u8]) -> Result<(), String> {
        let made = load::quietly(|| self.values(input, self.form.range))?;
        match made.to_plain_array_view::<f32>() {
            Ok(values) => {
                let values = values.as_slice().ok_or("an output that is not in order")?;
                self.place(output, |at| self.form.range.byte(values[at]));
            }
            Err(_) => {
                let bytes = made.cast_to::<u8>().map_err(reason)?;
                let bytes = bytes.to_plain_array_view::<u8>().map_err(reason)?;
                let bytes = bytes.as_slice().ok_or("an output that is not in order")?;
                self.place(output, |at| bytes[at]);
            }
        }
        Ok(())
    }

    /// Writes interleaved bytes; `byte` is that of an element of the output.
    fn place(&self, output: &mut [u8], byte: impl Fn(usize) -> u8) {
        let (plane, channels) = (self.output.area(), self.form.channels);
        for (pixel, out) in output.chunks_exact_mut(channels).enumerate() {
            for (channel, out) in out.iter_mut().enumerate() {
                let from = self.of_network(channel);
                *out = byte(if self.form.layouts[1] == Layout::Nchw {
                    from * plane + pixel
                } else {
                    pixel * channels + from
                });
            }
        }
    }

    /// The network's channel for one of ours, and ours for one of its.
    fn of_network(&self, channel: usize) -> usize {
        if self.form.order == Order::Bgr { self.form.channels - 1 - channel } else { channel }
    }

    /// The output's numbers, pixel by pixel, colours in the network's order.
    pub(super) fn real(&self, input: &[u8], range: Range) -> Result<Vec<f32>, String> {
        let made = load::quietly(|| self.values(input, range))?;
        let made = made.cast_to::<f32>().map_err(reason)?;
        let values = unchecked_f32(&made);
        let (plane, c) = (self.output.area(), self.form.channels);
        if self.form.layouts[1] == Layout::Nhwc {
            return Ok(values);
        }
        Ok((0..plane * c).map(|i| values[i % c * plane + i / c]).collect())
    }

    fn values(&self, input: &[u8], range: Range) -> Result<TValue, String> {
        let (c, plane) = (self.form.channels, self.input.area());
        if input.len() != c * plane {
            return Err(format!("{} bytes for a tile of {}", input.len(), self.input));
        }
        let table: [f32; 256] = std::array::from_fn(|v| range.real(v as u8));
        let nchw = self.form.layouts[0] == Layout::Nchw;
        let source = |i: usize| {
            let (pixel, channel) = if nchw { (i % plane, i / plane) } else { (i / c, i % c) };
            input[pixel * c + self.of_network(channel)]
        };
        let shape = self.form.layouts[0].shape(c, self.input);
        let tensor = if self.bytes_in {
            let bytes: Vec<u8> = (0..c * plane).map(source).collect();
            Tensor::from_shape(&shape, &bytes)
        } else {
            let real: Vec<f32> = (0..c * plane).map(|i| table[usize::from(source(i))]).collect();
            Tensor::from_shape(&shape, &real)
        };
        let mut made = self.plan.run(tvec!(tensor.map_err(reason)?.into_tvalue())).map_err(reason)?;
        Ok(made.remove(0))
    }
}

/// Bytes of tensors that are alive together at most, with what a convolution unfolds its input to.
pub(super) fn live_bytes(model: &TypedModel) -> Result<usize, String> {
    let order = model.eval_order().map_err(reason)?;
    let mut last = HashMap::new();
    for &id in &order {
        for input in &model.node(id).inputs {
            last.insert(input.node, id);
        }
    }
    let bytes = |id: usize| -> usize {
        let node = model.node(id);
        let of = |o: &Outlet<TypedFact>| match &o.fact.konst {
            Some(_) => 0,
            None => o.fact.shape.as_concrete().map_or(0, |s| s.iter().product::<usize>()) * o.fact.datum_type.size_of(),
        };
        node.outputs.iter().map(of).sum()
    };
    let (mut alive, mut most) = (0usize, 0usize);
    for &id in &order {
        alive += bytes(id);
        let node = model.node(id);
        let unfolded = node.op.downcast_ref::<Conv>().map_or(0, |conv| {
            let taps: usize = conv.pool_spec.kernel_shape.iter().product();
            let pixels = bytes(id) / conv.pool_spec.output_channels.max(1);
            if taps > 1 { pixels * taps * conv.pool_spec.input_channels } else { 0 }
        });
        most = most.max(alive + unfolded);
        for input in &node.inputs {
            if last.get(&input.node) == Some(&id) {
                alive = alive.saturating_sub(bytes(input.node));
                last.remove(&input.node);
            }
        }
    }
    Ok(most)
}
