//! How far a network sees: for each output pixel, the first and the last input pixel along an axis that it depends on.
//!
//! The typed graph is run on positions instead of values. Two tensors stand for each of its tensors: the least and the
//! greatest position that an element depends on. Whatever only moves data (in any exporter's spelling) is done to them by
//! the operation itself; convolutions, products and reductions take the extremes over what they read; an operation that
//! is not known depends on all that it is given. So the answer may be too wide, and is never too narrow.

use std::collections::HashMap;

use tract_onnx::tract_core::internal::tract_ndarray::{ArrayD, ArrayViewD, Axis, Zip};
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{MultiBroadcastTo, Pad, PadMode, Slice, Tile, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, MaxPool, PoolSpec, SumPool};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::nn::{Reduce, Softmax};
use tract_onnx::tract_core::ops::source::TypedSource;

use super::load::reason;

/// What an element depends on when it depends on nothing.
const NONE: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);

/// Positions that each element of a tensor depends on.
#[derive(Clone)]
struct Extent {
    low: ArrayD<f32>,
    high: ArrayD<f32>,
}

/// Along one axis of the picture.
pub(super) struct Reach {
    /// Of each output pixel, the first and the last input pixel; none that depends on nothing.
    pub spans: Vec<(f32, f32)>,
    /// The first node that depends on the whole of the axis, with its operator.
    pub whole: Option<String>,
}

/// The reach along `axis` of the input (by its number in the input's shape), seen along `output_axis` of the output.
pub(super) fn reach(model: &TypedModel, axis: usize, output_axis: usize) -> Result<Reach, String> {
    let mut extents: HashMap<OutletId, Extent> = HashMap::new();
    let mut whole = None;
    let length = input_length(model, axis)?;
    let order = model.eval_order().map_err(reason)?;
    let mut last_use: HashMap<OutletId, usize> = HashMap::new();
    for &id in &order {
        for input in &model.node(id).inputs {
            last_use.insert(*input, id);
        }
    }
    let output = model.outputs[0];
    for &id in &order {
        let node = model.node(id);
        let at = |e: TractError| format!("node '{}' ({}): {}", node.name, node.op.name(), reason(e));
        let made = if node.op.is::<TypedSource>() {
            Some(vec![source(node, axis).map_err(at)?])
        } else if node.inputs.iter().any(|i| extents.contains_key(i)) {
            let known: Vec<Option<&Extent>> = node.inputs.iter().map(|i| extents.get(i)).collect();
            Some(through(model, node, &known).map_err(at)?)
        } else {
            None
        };
        for (slot, extent) in made.into_iter().flatten().enumerate() {
            if whole.is_none() && sees_all(&extent, length) {
                whole = Some(format!("node '{}' ({})", node.name, node.op.name()));
            }
            extents.insert(OutletId::new(id, slot), extent);
        }
        for input in &node.inputs {
            if last_use.get(input) == Some(&id) && *input != output {
                extents.remove(input);
            }
        }
    }
    let spans = match extents.get(&output) {
        None => return Err("the output does not depend on the picture".into()),
        Some(extent) => {
            let along = |values: &ArrayD<f32>, best: fn(f32, f32) -> f32, none: f32| -> Vec<f32> {
                values.axis_iter(Axis(output_axis)).map(|v| v.iter().copied().fold(none, best)).collect()
            };
            let low = along(&extent.low, f32::min, NONE.0);
            let high = along(&extent.high, f32::max, NONE.1);
            low.into_iter().zip(high).collect()
        }
    };
    Ok(Reach { spans, whole })
}

fn input_length(model: &TypedModel, axis: usize) -> Result<usize, String> {
    let fact = model.outlet_fact(model.inputs[0]).map_err(reason)?;
    fact.shape.as_concrete().and_then(|s| s.get(axis).copied()).ok_or_else(|| "an input of unknown size".into())
}

/// Does every element see both ends?
fn sees_all(extent: &Extent, length: usize) -> bool {
    length > 1 && extent.low.iter().all(|v| *v <= 0.0) && extent.high.iter().all(|v| *v >= (length - 1) as f32)
}

fn concrete(fact: &TypedFact) -> TractResult<TVec<usize>> {
    Ok(fact.shape.as_concrete().context("a shape that is not known")?.into())
}

fn source(node: &TypedNode, axis: usize) -> TractResult<Extent> {
    let shape = concrete(&node.outputs[0].fact)?;
    let position = ArrayD::from_shape_fn(&*shape, |at| at[axis] as f32);
    Ok(Extent { low: position.clone(), high: position })
}

/// What the node's outputs depend on; `inputs` is none where an input does not depend on the picture.
fn through(model: &TypedModel, node: &TypedNode, inputs: &[Option<&Extent>]) -> TractResult<Vec<Extent>> {
    let op: &dyn TypedOp = node.op.as_ref();
    let shapes = node.outputs.iter().map(|o| concrete(&o.fact)).collect::<TractResult<Vec<_>>>()?;
    let shape = &*shapes[0];
    let one = |extent: Extent| Ok(vec![extent]);
    if let Some(conv) = op.downcast_ref::<Conv>() {
        return match inputs {
            [Some(x), None, ..] => one(pooled(&conv.pool_spec, x, shape, true)?),
            _ => everything(inputs, &shapes),
        };
    }
    if let Some(deconv) = op.downcast_ref::<Deconv>() {
        return match inputs {
            [Some(x), None, ..] => one(spread(deconv, x, shape)?),
            _ => everything(inputs, &shapes),
        };
    }
    if let (Some(pool), [Some(x)], 1) = (op.downcast_ref::<MaxPool>(), inputs, shapes.len()) {
        return one(pooled(&pool.pool_spec, x, shape, false)?);
    }
    if let (Some(pool), [Some(x)]) = (op.downcast_ref::<SumPool>(), inputs) {
        return one(pooled(&pool.pool_spec, x, shape, false)?);
    }
    if let Some(einsum) = op.downcast_ref::<EinSum>() {
        return one(product(einsum, inputs, shape)?);
    }
    if let (Some(reduce), [Some(x)]) = (op.downcast_ref::<Reduce>(), inputs) {
        return one(reduced(x, &reduce.axes));
    }
    if let (Some(softmax), [Some(x)]) = (op.downcast_ref::<Softmax>(), inputs) {
        let extremes = reduced(x, &softmax.axes);
        return one(joined(&[&extremes], shape)?);
    }
    if op.name() == "Resize"
        && let [Some(x), ..] = inputs
    {
        return one(resized(x, shape)?);
    }
    let moves = op.is::<AxisOp>()
        || op.is::<Slice>()
        || op.is::<MultiBroadcastTo>()
        || op.is::<Tile>()
        || op.is::<TypedConcat>()
        || op.is::<Pad>()
        || matches!(&*op.name(), "StridedSlice" | "Gather" | "GatherNd" | "GatherElements" | "DynSlice" | "ScatterNd");
    if moves && let Some(extents) = moved(model, node, inputs)? {
        return Ok(extents);
    }
    let element_wise = op.is::<ElementWiseOp>()
        || op.is::<TypedBinOp>()
        || matches!(
            &*op.name(),
            "Cast" | "Iff" | "DequantizeLinearF32" | "QuantizeLinearU8" | "QuantizeLinearI8" | "Identity"
        );
    if (element_wise || op.name().starts_with("Comp")) && shapes.len() == 1 {
        let known: Vec<&Extent> = inputs.iter().copied().flatten().collect();
        return one(joined(&known, shape)?);
    }
    everything(inputs, &shapes)
}

/// Every element of the outputs depends on all that the inputs depend on.
fn everything(inputs: &[Option<&Extent>], shapes: &[TVec<usize>]) -> TractResult<Vec<Extent>> {
    let known = || inputs.iter().copied().flatten();
    let low = known().flat_map(|e| e.low.iter()).copied().fold(NONE.0, f32::min);
    let high = known().flat_map(|e| e.high.iter()).copied().fold(NONE.1, f32::max);
    let filled =
        |shape: &TVec<usize>| Extent { low: ArrayD::from_elem(&**shape, low), high: ArrayD::from_elem(&**shape, high) };
    Ok(shapes.iter().map(filled).collect())
}

/// Extremes over tensors that are broadcast to `shape`.
fn joined(inputs: &[&Extent], shape: &[usize]) -> TractResult<Extent> {
    let mut low = ArrayD::from_elem(shape, NONE.0);
    let mut high = ArrayD::from_elem(shape, NONE.1);
    for input in inputs {
        let view = input.low.broadcast(shape).context("shapes that do not fit")?;
        Zip::from(&mut low).and(view).for_each(|a, b| *a = a.min(*b));
        let view = input.high.broadcast(shape).context("shapes that do not fit")?;
        Zip::from(&mut high).and(view).for_each(|a, b| *a = a.max(*b));
    }
    Ok(Extent { low, high })
}

fn fold_axis(values: ArrayViewD<f32>, axis: usize, none: f32, best: fn(f32, f32) -> f32) -> ArrayD<f32> {
    values.fold_axis(Axis(axis), none, |a, b| best(*a, *b)).insert_axis(Axis(axis))
}

/// Extremes over axes, which stay with length 1.
fn reduced(x: &Extent, axes: &[usize]) -> Extent {
    let mut made = x.clone();
    for &axis in axes {
        made.low = fold_axis(made.low.view(), axis, NONE.0, f32::min);
        made.high = fold_axis(made.high.view(), axis, NONE.1, f32::max);
    }
    made
}

/// Extremes over the window of a convolution or pool, and over channels where it joins them.
fn pooled(spec: &PoolSpec, x: &Extent, shape: &[usize], joins: bool) -> TractResult<Extent> {
    let input = spec.data_format.shape(x.low.shape().to_vec())?;
    let (channels, spatial) = (input.c_axis(), input.h_axis());
    let mut made = if joins { reduced(x, &[channels]) } else { x.clone() };
    let geometry = spec.computed_padding(input.hw_dims());
    for (i, padding) in geometry.iter().enumerate() {
        let (kernel, dilation, stride) = (spec.kernel_shape[i], spec.dilation(i), spec.stride(i));
        let before = padding.pad_before as isize;
        let axis = spatial + i;
        let outputs = padding.convoluted;
        let taken = |values: &ArrayD<f32>, none: f32, best: fn(f32, f32) -> f32| {
            let mut wanted = values.raw_dim();
            wanted[axis] = outputs;
            let mut out = ArrayD::from_elem(wanted, none);
            let length = values.shape()[axis] as isize;
            for o in 0..outputs {
                let mut row = out.index_axis_mut(Axis(axis), o);
                for k in 0..kernel {
                    let at = (o * stride + k * dilation) as isize - before;
                    if (0..length).contains(&at) {
                        Zip::from(&mut row)
                            .and(values.index_axis(Axis(axis), at as usize))
                            .for_each(|a, b| *a = best(*a, *b));
                    }
                }
            }
            out
        };
        made = Extent { low: taken(&made.low, NONE.0, f32::min), high: taken(&made.high, NONE.1, f32::max) };
    }
    joined(&[&made], shape)
}

/// Each input pixel of a transposed convolution reaches the outputs that its kernel covers.
fn spread(op: &Deconv, x: &Extent, shape: &[usize]) -> TractResult<Extent> {
    let spec = &op.pool_spec;
    let input = spec.data_format.shape(x.low.shape().to_vec())?;
    let output = spec.data_format.shape(shape.to_vec())?;
    let (channels, spatial) = (input.c_axis(), input.h_axis());
    let mut made = reduced(x, &[channels]);
    let geometry = spec.padding.compute_for_deconv(
        input.hw_dims(),
        &spec.kernel_shape,
        &spec.dilations(),
        &spec.strides(),
        &op.adjustments,
    )?;
    for (i, padding) in geometry.iter().enumerate() {
        let (kernel, dilation, stride) = (spec.kernel_shape[i], spec.dilation(i), spec.stride(i));
        let axis = spatial + i;
        let outputs = output.hw_dims()[i];
        let before = padding.pad_before as isize;
        let taken = |values: &ArrayD<f32>, none: f32, best: fn(f32, f32) -> f32| {
            let mut wanted = values.raw_dim();
            wanted[axis] = outputs;
            let mut out = ArrayD::from_elem(wanted, none);
            for (at, row) in values.axis_iter(Axis(axis)).enumerate() {
                for k in 0..kernel {
                    let to = (at * stride + k * dilation) as isize - before;
                    if (0..outputs as isize).contains(&to) {
                        Zip::from(out.index_axis_mut(Axis(axis), to as usize))
                            .and(&row)
                            .for_each(|a, b| *a = best(*a, *b));
                    }
                }
            }
            out
        };
        made = Extent { low: taken(&made.low, NONE.0, f32::min), high: taken(&made.high, NONE.1, f32::max) };
    }
    joined(&[&made], shape)
}

/// Extremes over the axes that a product sums.
fn product(op: &EinSum, inputs: &[Option<&Extent>], shape: &[usize]) -> TractResult<Extent> {
    let mut arranged = Vec::new();
    for (slot, input) in inputs.iter().enumerate() {
        let Some(input) = input else { continue };
        let rank = input.low.ndim();
        let mut order = vec![usize::MAX; shape.len()];
        let mut summed = vec![];
        for axis in 0..rank {
            let known = op.axes.axis((InOut::In(slot), axis))?;
            match known.outputs[0].first() {
                Some(&to) => order[to] = axis,
                None => summed.push(axis),
            }
        }
        let extremes = reduced(input, &summed);
        let place = |values: &ArrayD<f32>| -> ArrayD<f32> {
            // Axes of the output in order, then those that were summed; the output's own axes of length 1 are put in.
            let kept: Vec<usize> =
                order.iter().copied().filter(|a| *a != usize::MAX).chain(summed.iter().copied()).collect();
            let mut view = values.view().permuted_axes(kept);
            for _ in &summed {
                let last = Axis(view.ndim() - 1);
                view = view.index_axis_move(last, 0);
            }
            for (to, from) in order.iter().enumerate() {
                if *from == usize::MAX {
                    view = view.insert_axis(Axis(to));
                }
            }
            view.to_owned()
        };
        arranged.push(Extent { low: place(&extremes.low), high: place(&extremes.high) });
    }
    joined(&arranged.iter().collect::<Vec<_>>(), shape)
}

/// A picture in another size by any filter of at most four taps; antialiased where it shrinks.
fn resized(x: &Extent, shape: &[usize]) -> TractResult<Extent> {
    let mut made = x.clone();
    for (axis, &outputs) in shape.iter().enumerate() {
        let length = made.low.shape()[axis];
        if length == outputs {
            continue;
        }
        let ratio = length as f64 / outputs as f64;
        let taps = 2.0 * ratio.max(1.0);
        let taken = |values: &ArrayD<f32>, none: f32, best: fn(f32, f32) -> f32| {
            let mut wanted = values.raw_dim();
            wanted[axis] = outputs;
            let mut out = ArrayD::from_elem(wanted, none);
            for o in 0..outputs {
                // Between the conventions of coordinates lies at most half a step of either side.
                let (first, last) = (o as f64 * ratio - taps, (o as f64 + 1.0) * ratio + taps);
                let first = (first.floor().max(0.0) as usize).min(length - 1);
                let last = (last.ceil().max(0.0) as usize).min(length - 1);
                for at in first..=last {
                    let row = values.index_axis(Axis(axis), at);
                    Zip::from(out.index_axis_mut(Axis(axis), o)).and(row).for_each(|a, b| *a = best(*a, *b));
                }
            }
            out
        };
        made = Extent { low: taken(&made.low, NONE.0, f32::min), high: taken(&made.high, NONE.1, f32::max) };
    }
    Ok(made)
}

/// The operation itself, done to positions; none where it cannot be done to them.
fn moved(model: &TypedModel, node: &TypedNode, inputs: &[Option<&Extent>]) -> TractResult<Option<Vec<Extent>>> {
    let mut op = node.op.clone();
    let run =
        |op: &dyn TypedOp, bound: fn(&Extent) -> &ArrayD<f32>, none: f32| -> TractResult<Option<Vec<ArrayD<f32>>>> {
            let mut values: TVec<TValue> = tvec!();
            for (slot, input) in inputs.iter().enumerate() {
                let fact = model.outlet_fact(node.inputs[slot])?;
                values.push(match input {
                    Some(extent) => Tensor::from(bound(extent).clone()).into_tvalue(),
                    // What is chosen by is read as it is; other data that does not depend on the picture is none.
                    None if fact.datum_type.is_integer() || fact.datum_type.is_tdim() => {
                        let Some(konst) = fact.konst.clone() else { return Ok(None) };
                        konst.into_tvalue()
                    }
                    None => Tensor::from(ArrayD::from_elem(&*concrete(fact)?, none)).into_tvalue(),
                });
            }
            let Ok(Some(made)) = op.eval_out_of_plan(values) else { return Ok(None) };
            let array = |v: TValue| Ok(v.to_plain_array_view::<f32>()?.to_owned());
            made.into_iter().map(array).collect::<TractResult<Vec<_>>>().map(Some)
        };
    let padded = |none: f32| {
        let pad = node.op.downcast_ref::<Pad>()?;
        let PadMode::Constant(_) = pad.mode else { return None };
        Some(Pad { pads: pad.pads.clone(), mode: PadMode::Constant(rctensor0(none)) })
    };
    if let Some(pad) = padded(NONE.0) {
        op = Box::new(pad);
    }
    let Some(low) = run(op.as_ref(), |e| &e.low, NONE.0)? else { return Ok(None) };
    if let Some(pad) = padded(NONE.1) {
        op = Box::new(pad);
    }
    let Some(high) = run(op.as_ref(), |e| &e.high, NONE.1)? else { return Ok(None) };
    Ok(Some(low.into_iter().zip(high).map(|(low, high)| Extent { low, high }).collect()))
}
