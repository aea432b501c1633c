//! A node of the file with what it reads: the view that every operator is wired from.

use tract_core::internal::*;
use tract_core::ops::binary::TypedBinOp;

use super::messages::{AttributeProto, NodeProto, TensorProto};
use super::{MOST_AXES, Wiring};

/// Types of attributes.
pub(super) const FLOAT: i32 = 1;
pub(super) const INT: i32 = 2;
pub(super) const STRING: i32 = 3;
pub(super) const TENSOR: i32 = 4;
pub(super) const FLOATS: i32 = 6;
pub(super) const INTS: i32 = 7;

/// Kernels, strides, pads and factors beyond it are refused.
const LARGEST_SIZE: i64 = 1 << 16;

/// A node of the file, with its inputs found.
pub(super) struct Call<'a, 'w> {
    pub wiring: &'w mut Wiring<'a>,
    node: &'a NodeProto,
    name: &'a str,
    inputs: Vec<Option<OutletId>>,
}

impl<'a, 'w> Call<'a, 'w> {
    pub fn new(wiring: &'w mut Wiring<'a>, node: &'a NodeProto, name: &'a str) -> TractResult<Self> {
        let found = |input: &String| match wiring.values.get(input.as_str()) {
            _ if input.is_empty() => Ok(None),
            None => bail!("its input '{input}' is computed nowhere before"),
            value => Ok(value.copied()),
        };
        let inputs = node.input.iter().map(found).collect::<TractResult<_>>()?;
        Ok(Self { wiring, node, name, inputs })
    }

    /// The operator; none of another domain, but for onnxruntime's copies of two.
    pub fn operator(&self) -> Option<&'a str> {
        let operator = self.node.op_type.as_str();
        match self.node.domain.as_str() {
            "" | "ai.onnx" => Some(operator),
            "com.microsoft" => Some(operator).filter(|o| matches!(*o, "QuantizeLinear" | "DequantizeLinear")),
            _ => None,
        }
    }

    pub fn opset(&self) -> i64 {
        self.wiring.opset
    }

    pub fn inputs(&self) -> TractResult<Vec<OutletId>> {
        (0..self.inputs.len()).map(|i| self.input(i)).collect()
    }

    pub fn input(&self, index: usize) -> TractResult<OutletId> {
        self.optional(index).with_context(|| format!("input {index} is missing"))
    }

    pub fn optional(&self, index: usize) -> Option<OutletId> {
        self.inputs.get(index).copied().flatten()
    }

    pub fn kind(&self, value: OutletId) -> TractResult<DatumType> {
        Ok(self.wiring.model.outlet_fact(value)?.datum_type)
    }

    pub fn shape(&self, value: OutletId) -> TractResult<Vec<usize>> {
        let shape = &self.wiring.model.outlet_fact(value)?.shape;
        Ok(shape.as_concrete().context("a shape that is not known")?.to_vec())
    }

    /// A constant input; none where it is left out.
    pub fn constant(&self, index: usize) -> TractResult<Option<Arc<Tensor>>> {
        let Some(value) = self.optional(index) else { return Ok(None) };
        let constant = self.wiring.model.outlet_fact(value)?.konst.clone();
        Ok(Some(constant.with_context(|| format!("input {index} must be a constant"))?))
    }

    /// Integers of a constant input, at most two for each axis that a tensor may have; none where it is left out.
    pub fn integers(&self, index: usize) -> TractResult<Option<Vec<i64>>> {
        let Some(constant) = self.constant(index)? else { return Ok(None) };
        let short = constant.rank() <= 1 && constant.len() <= 2 * MOST_AXES;
        ensure!(constant.datum_type().is_integer() && short, "input {index} is not a short list of integers");
        let wide = constant.cast_to::<i64>()?;
        Ok(Some(wide.to_plain_array_view::<i64>()?.iter().copied().collect()))
    }

    /// Integers that later operator sets take from an input, and earlier ones from an attribute.
    pub fn integers_since(&self, opset: i64, index: usize, attribute: &str) -> TractResult<Option<Vec<i64>>> {
        match self.opset() < opset {
            true => Ok(self.ints(attribute)?.map(<[i64]>::to_vec)),
            false => self.integers(index),
        }
    }

    /// An attribute; files of the first version of ONNX leave its type open.
    pub fn attribute(&self, name: &str, kind: i32) -> TractResult<Option<&'a AttributeProto>> {
        let attribute = self.node.attribute.iter().find(|a| a.name == name);
        ensure!(attribute.is_none_or(|a| [0, kind].contains(&a.r#type)), "attribute '{name}' is of another type");
        Ok(attribute)
    }

    pub fn int(&self, name: &str, default: i64) -> TractResult<i64> {
        Ok(self.attribute(name, INT)?.map_or(default, |a| a.i))
    }

    pub fn ints(&self, name: &str) -> TractResult<Option<&'a [i64]>> {
        Ok(self.attribute(name, INTS)?.map(|a| &a.ints[..]))
    }

    pub fn float(&self, name: &str) -> TractResult<Option<f32>> {
        Ok(self.attribute(name, FLOAT)?.map(|a| a.f))
    }

    pub fn text(&self, name: &str, default: &'static str) -> TractResult<&'a str> {
        let Some(attribute) = self.attribute(name, STRING)? else { return Ok(default) };
        std::str::from_utf8(&attribute.s).ok().with_context(|| format!("attribute '{name}' is not text"))
    }

    pub fn tensor(&self, name: &str) -> TractResult<Option<Tensor>> {
        let proto: Option<&TensorProto> = self.attribute(name, TENSOR)?.and_then(|a| a.t.as_ref());
        proto.map(super::tensor::read).transpose().map_err(|e| format_err!("{e}"))
    }

    /// A size of at least `least`.
    pub fn size(&self, name: &str, value: i64, least: i64) -> TractResult<usize> {
        ensure!((least..=LARGEST_SIZE).contains(&value), "{name} {value} is out of range");
        Ok(value as usize)
    }

    /// `count` sizes of an attribute, each at least `least`; none where it is left out.
    pub fn sizes(&self, name: &str, count: usize, least: i64) -> TractResult<Option<TVec<usize>>> {
        let Some(values) = self.ints(name)? else { return Ok(None) };
        ensure!(values.len() == count, "{name} {values:?}: {count} numbers are needed");
        Ok(Some(values.iter().map(|&v| self.size(name, v, least)).collect::<TractResult<_>>()?))
    }

    /// Adds a constant.
    pub fn fold(&mut self, value: Tensor) -> TractResult<OutletId> {
        self.wiring.fold(value.len(), value.datum_type())?;
        self.wiring.constant(self.name, value)
    }

    /// Adds the operation that gives the node's result, which bears the node's name.
    pub fn result(&mut self, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> TractResult<OutletId> {
        self.wiring.node(self.name.to_string(), op.into(), inputs)
    }

    /// Adds an operation on the way to it.
    pub fn step(&mut self, step: &str, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> TractResult<OutletId> {
        self.wiring.node(format!("{}.{step}", self.name), op.into(), inputs)
    }

    /// Adds operations that follow each other; the last gives the result.
    pub fn chain(&mut self, ops: Vec<Box<dyn TypedOp>>, input: OutletId) -> TractResult<OutletId> {
        let mut value = input;
        let last = ops.len().saturating_sub(1);
        for (i, op) in ops.into_iter().enumerate() {
            value = if i < last { self.step(&i.to_string(), op, &[value])? } else { self.result(op, &[value])? };
        }
        Ok(value)
    }

    /// Adds an operation on two tensors, whose shapes are broadcast; `step` as in [`Self::step`], or the result.
    pub fn binary(&mut self, step: Option<&str>, op: TypedBinOp, inputs: [OutletId; 2]) -> TractResult<OutletId> {
        let kinds = [self.kind(inputs[0])?, self.kind(inputs[1])?];
        ensure!(kinds[0] == kinds[1], "inputs of types {:?} and {:?}", kinds[0], kinds[1]);
        let ranks = [self.shape(inputs[0])?.len(), self.shape(inputs[1])?.len()];
        let mut wires = inputs;
        for (side, wire) in wires.iter_mut().enumerate() {
            for axis in ranks[side]..ranks[0].max(ranks[1]) {
                let to = format!("{}input_{side}.axis_{axis}", step.map_or(String::new(), |s| format!("{s}.")));
                *wire = self.step(&to, AxisOp::Add(0), &[*wire])?;
            }
        }
        match step {
            Some(step) => self.step(step, op, &wires),
            None => self.result(op, &wires),
        }
    }
}

/// The axis that `axis`, counted from the end where it is negative, stands for among `rank`.
pub(super) fn axis(axis: i64, rank: usize) -> TractResult<usize> {
    let place = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    ensure!((0..rank as i64).contains(&place), "axis {axis} of {rank}");
    Ok(place as usize)
}
