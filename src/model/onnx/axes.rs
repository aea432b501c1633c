//! Operators that change axes, and the arithmetic on shapes around them.

use std::collections::BTreeSet;

use tract_core::internal::*;
use tract_core::ops::Downsample;
use tract_core::ops::array::{Gather, MultiBroadcastTo, Slice, TypedConcat};
use tract_core::ops::cast::Cast;

use super::call::{Call, INT, axis};
use crate::model::UNSUPPORTED;

/// Reads the values in the same order in another shape.
pub(super) fn into_shape(from: &[usize], to: &[usize]) -> Box<dyn TypedOp> {
    let dims = |shape: &[usize]| shape.iter().map(|d| d.to_dim()).collect();
    Box::new(AxisOp::Reshape(0, dims(from), dims(to)))
}

/// Splits axes into the shape `split`, permutes, and joins them into the shape `joined`.
pub(super) fn rearrange(from: &[usize], split: &[usize], order: &[usize], joined: &[usize]) -> Vec<Box<dyn TypedOp>> {
    let mut ops = vec![into_shape(from, split)];
    ops.extend(perm_to_ops(order).into_iter().map(|op| Box::new(op) as Box<dyn TypedOp>));
    let moved: Vec<usize> = order.iter().map(|&axis| split[axis]).collect();
    ops.push(into_shape(&moved, joined));
    ops
}

/// The axes that a list names, each once, in its order.
pub(super) fn places(list: &[i64], rank: usize) -> TractResult<Vec<usize>> {
    let places = list.iter().map(|&a| axis(a, rank)).collect::<TractResult<Vec<_>>>()?;
    let distinct: BTreeSet<_> = places.iter().collect();
    ensure!(distinct.len() == places.len(), "axes {list:?}, one of them twice");
    Ok(places)
}

pub(super) fn concat(call: &mut Call) -> TractResult<OutletId> {
    let inputs = call.inputs()?;
    let (Some(&first), Some(attribute)) = (inputs.first(), call.attribute("axis", INT)?) else {
        bail!("without an axis")
    };
    let kind = call.kind(first)?;
    for &input in &inputs {
        ensure!(call.kind(input)? == kind, "inputs of several types");
    }
    let axis = axis(attribute.i, call.shape(first)?.len())?;
    call.result(TypedConcat::new(axis), &inputs)
}

pub(super) fn reshape(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let asked = call.integers(1)?.context("a shape is needed")?;
    let from = call.shape(x)?;
    let to = reshaped(&from, &asked, call.int("allowzero", 0)? != 0)?;
    if from == to { Ok(x) } else { call.result(into_shape(&from, &to), &[x]) }
}

/// The shape that is asked for: 0 keeps an axis, unless it is allowed as a size, and -1 takes what is left.
fn reshaped(from: &[usize], asked: &[i64], zero: bool) -> TractResult<Vec<usize>> {
    let wrong = || format!("{from:?} to {asked:?}");
    let mut to = Vec::with_capacity(asked.len());
    for (i, &size) in asked.iter().enumerate() {
        to.push(match size {
            0 if !zero => *from.get(i).with_context(wrong)?,
            -1 => 1,
            _ => usize::try_from(size).ok().with_context(wrong)?,
        });
    }
    let product = |shape: &[usize]| shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).with_context(wrong);
    let (held, known) = (product(from)?, product(&to)?);
    if let Some(left) = asked.iter().position(|size| *size == -1) {
        ensure!(asked.iter().filter(|size| **size == -1).count() == 1 && known > 0, "{}", wrong());
        to[left] = held / known;
    }
    ensure!(product(&to)? == held, "{}", wrong());
    Ok(to)
}

pub(super) fn flatten(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let from = call.shape(x)?;
    let at = call.int("axis", 1)?;
    let at = if at == from.len() as i64 { from.len() } else { axis(at, from.len())? };
    let to = [from[..at].iter().product(), from[at..].iter().product()];
    call.result(into_shape(&from, &to), &[x])
}

pub(super) fn transpose(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let rank = call.shape(x)?.len();
    let order: Vec<usize> = match call.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(order) => {
            ensure!(order.len() == rank, "{order:?} of {rank} axes");
            places(order, rank)?
        }
    };
    let moves = perm_to_ops(&order).into_iter().map(|op| Box::new(op) as Box<dyn TypedOp>);
    call.chain(moves.collect(), x)
}

pub(super) fn squeeze(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let from = call.shape(x)?;
    let mut places = match call.integers_since(13, 1, "axes")? {
        Some(axes) => places(&axes, from.len())?,
        None => (0..from.len()).filter(|&a| from[a] == 1).collect(),
    };
    ensure!(places.iter().all(|&a| from[a] == 1), "axes {places:?} of {from:?}");
    places.sort_unstable();
    let removed = places.iter().rev().map(|&a| Box::new(AxisOp::Rm(a)) as Box<dyn TypedOp>);
    call.chain(removed.collect(), x)
}

pub(super) fn unsqueeze(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let axes = call.integers_since(13, 1, "axes")?.context("axes are needed")?;
    let mut places = places(&axes, call.shape(x)?.len() + axes.len())?;
    places.sort_unstable();
    let added = places.iter().map(|&a| Box::new(AxisOp::Add(a)) as Box<dyn TypedOp>);
    call.chain(added.collect(), x)
}

/// Constants only: how often a picture would be repeated depends on the size of the frame.
pub(super) fn expand(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    ensure!(call.constant(0).is_ok(), UNSUPPORTED);
    let from: TVec<TDim> = call.shape(x)?.iter().map(|d| d.to_dim()).collect();
    let asked = call.integers(1)?.context("a shape is needed")?;
    ensure!(asked.iter().all(|size| *size >= 0), "to {asked:?}");
    let asked: TVec<TDim> = asked.iter().map(|d| d.to_dim()).collect();
    let to = tract_core::broadcast::multi_broadcast(&[from, asked])?;
    call.result(MultiBroadcastTo::new(ShapeFact::from_dims(to)), &[x])
}

pub(super) fn shape(call: &mut Call) -> TractResult<OutletId> {
    let shape: Vec<i64> = call.shape(call.input(0)?)?.iter().map(|&d| d as i64).collect();
    let rank = shape.len() as i64;
    let place = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (place(call.int("start", 0)?), place(call.int("end", rank)?));
    call.fold(tensor1(&shape[start..end.max(start)]))
}

pub(super) fn constant_of_shape(call: &mut Call) -> TractResult<OutletId> {
    let shape = call.integers(0)?.context("a shape is needed")?;
    let shape: Option<Vec<usize>> = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    let shape = shape.context("a shape with a negative size")?;
    let value = call.tensor("value")?.unwrap_or_else(|| tensor0(0f32));
    ensure!(value.len() == 1, "one value is needed");
    let volume = call.wiring.volume(&shape)?;
    call.wiring.fold(volume, value.datum_type())?;
    call.wiring.constant("filled", value.into_shape(&[])?.broadcast_scalar_to_shape(&shape)?)
}

pub(super) fn gather(call: &mut Call) -> TractResult<OutletId> {
    let (x, places) = (call.input(0)?, call.input(1)?);
    let from = call.shape(x)?;
    let axis = axis(call.int("axis", 0)?, from.len())?;
    let indices = call.constant(1)?.context("input 1 is missing")?;
    ensure!(indices.datum_type().is_integer(), "places that are not integers");
    let size = from[axis] as i64;
    let inside = indices.cast_to::<i64>()?.to_plain_array_view::<i64>()?.iter().all(|i| (-size..size).contains(i));
    ensure!(inside, "places outside of axis {axis} of {from:?}");
    let places = match indices.datum_type() {
        DatumType::I64 => places,
        _ => call.step("places", Cast::new(i64::datum_type()), &[places])?,
    };
    call.result(Gather::new(axis), &[x, places])
}

/// From `start`, inclusively, to `end`, exclusively, on one axis.
struct Cut {
    axis: usize,
    start: i64,
    end: i64,
    step: i64,
}

impl Cut {
    /// Bounds may be counted from the end, and may lie outside of the axis.
    fn ops(&self, size: usize) -> TractResult<Vec<Box<dyn TypedOp>>> {
        let size = size as i64;
        let inside = |at: i64, from: i64, to: i64| (if at < 0 { at.saturating_add(size) } else { at }).clamp(from, to);
        let (first, past) = if self.step > 0 {
            (inside(self.start, 0, size), inside(self.end, 0, size))
        } else {
            // Backwards: from past the end to past the first.
            (inside(self.end, -1, size - 1) + 1, inside(self.start, -1, size - 1) + 1)
        };
        let mut ops: Vec<Box<dyn TypedOp>> = vec![Box::new(Slice::new(self.axis, first, past.max(first)))];
        if self.step != 1 {
            let stride = isize::try_from(self.step)?;
            ops.push(Box::new(Downsample::new(self.axis, stride, 0)));
        }
        Ok(ops)
    }
}

pub(super) fn slice(call: &mut Call) -> TractResult<OutletId> {
    let x = call.input(0)?;
    let from = call.shape(x)?;
    let starts = call.integers_since(10, 1, "starts")?.context("starts are needed")?;
    let ends = call.integers_since(10, 2, "ends")?.context("ends are needed")?;
    let axes = call.integers_since(10, 3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.integers(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let same = [ends.len(), axes.len(), steps.len()] == [starts.len(); 3];
    ensure!(same, "starts, ends, axes and steps differ in number");
    ensure!(steps.iter().all(|s| *s != 0 && s.unsigned_abs() < 1 << 31), "steps {steps:?}");
    let mut ops = Vec::new();
    for (i, axis) in places(&axes, from.len())?.into_iter().enumerate() {
        ops.extend(Cut { axis, start: starts[i], end: ends[i], step: steps[i] }.ops(from[axis])?);
    }
    call.chain(ops, x)
}
