//! Functions of single bytes: whatever stands between DequantizeLinear and QuantizeLinear and looks at one number at a time
//! becomes a table of 256 bytes. The operations themselves are run on all bytes, so their spelling does not matter.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::MultiBroadcastTo;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;

use super::{Base, Meaning, Reader, UNSUPPORTED};
use crate::model::file::LARGEST_TENSOR;
use crate::model::graph::{Input, Node, Op, Tensor as Activation, TensorId, View};
use crate::model::load::reason;
use crate::model::moves::Link;

/// A function of one tensor's bytes.
#[derive(Clone)]
pub(super) struct Function {
    /// The tensor, and how it was moved before.
    tensor: TensorId,
    chain: Vec<Link>,
    /// The function's values where the tensor holds the bytes of [`Reader::ramp`].
    values: Arc<Tensor>,
}

/// Does each element of its result depend on the elements in its place alone?
pub(super) fn is_element_wise(op: &dyn TypedOp) -> bool {
    let named = matches!(&*op.name(), "Iff" | "Cast") || op.name().starts_with("Comp");
    named || op.is::<ElementWiseOp>() || op.is::<TypedBinOp>()
}

/// The result of an operation whose inputs are all constants.
pub(super) fn folded(op: &dyn TypedOp, inputs: &[Meaning]) -> Result<Option<Arc<Tensor>>, String> {
    let constant = |meaning: &Meaning| match meaning {
        Meaning::Constant(c) => Some(c.clone()),
        _ => None,
    };
    let Some(constants) = inputs.iter().map(constant).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let grows = op.downcast_ref::<MultiBroadcastTo>().and_then(|b| b.shape.as_concrete());
    if constants.is_empty() || grows.is_some_and(|s| s.iter().product::<usize>() > LARGEST_TENSOR) {
        return Ok(None);
    }
    run(op, constants).map(Some)
}

/// What an operation makes of these inputs.
pub(super) fn run(op: &dyn TypedOp, inputs: Vec<Arc<Tensor>>) -> Result<Arc<Tensor>, String> {
    let inputs = inputs.into_iter().map(IntoTValue::into_tvalue).collect();
    let made = op.eval_out_of_plan(inputs).map_err(reason)?.ok_or("it cannot be computed beforehand")?;
    made.into_iter().next().map(|v| v.into_arc_tensor()).ok_or_else(|| "it makes nothing".into())
}

impl Reader<'_> {
    /// The operation as a function of the one tensor that its inputs stand for.
    pub(super) fn function(&self, op: &dyn TypedOp, inputs: &[Meaning]) -> Result<Meaning, String> {
        let mut of: Option<(TensorId, Vec<Link>)> = None;
        let mut values = Vec::with_capacity(inputs.len());
        for meaning in inputs {
            let known = match meaning {
                Meaning::Constant(c) => {
                    values.push(c.clone());
                    continue;
                }
                Meaning::Function(function) => function.clone(),
                Meaning::Held { base: Base::Tensor(tensor), chain, real: true } => {
                    let t = &self.graph.tensors[*tensor];
                    let real = |byte: f32| (byte - f32::from(t.zero_point)) * t.scale;
                    let values = self.ramp(*tensor, chain, real)?;
                    Function { tensor: *tensor, chain: chain.clone(), values }
                }
                Meaning::Pending { .. } => return Err("its input is not quantised before".into()),
                _ => return Err(UNSUPPORTED.into()),
            };
            match &of {
                None => of = Some((known.tensor, known.chain)),
                Some((tensor, chain)) if *tensor == known.tensor && chain.is_empty() && known.chain.is_empty() => {}
                Some(_) => return Err("a function of two tensors".into()),
            }
            values.push(known.values);
        }
        let (tensor, chain) = of.ok_or("its input is not quantised")?;
        Ok(Meaning::Function(Function { tensor, chain, values: run(op, values)? }))
    }

    /// The tensor with every byte in each of its channels, moved: `value` of each.
    fn ramp(&self, tensor: TensorId, chain: &[Link], value: impl Fn(f32) -> f32) -> Result<Arc<Tensor>, String> {
        let shape = self.shape(tensor);
        let plane = shape[2] * shape[3];
        if plane < 256 {
            return Err("a tensor too small to hold every byte".into());
        }
        // Another order in each channel and each row of 256.
        let byte = |i: usize| ((i % plane) * (1 + 2 * (i / plane % 64)) + 37 * (i % plane / 256)) % 256;
        let values: Vec<f32> = (0..plane * shape[1]).map(|i| value(byte(i) as f32)).collect();
        let mut moved = Tensor::from_shape(&shape, &values).map_err(reason)?.into_arc_tensor();
        for (op, constants) in chain {
            moved = run(op.as_ref(), [vec![moved], constants.clone()].concat())?;
        }
        Ok(moved)
    }

    /// The quantised function: a table, or one for each channel.
    pub(super) fn tabled(
        &mut self,
        node: &TypedNode,
        function: Function,
        scale: f32,
        zero_point: u8,
    ) -> Result<Meaning, String> {
        let Function { tensor, chain, values } = function;
        let bytes = self.ramp(tensor, &chain, |byte| byte)?;
        let bytes = bytes.to_plain_array_view::<f32>().map_err(reason)?;
        let real = values.to_plain_array_view::<f32>().map_err(reason)?;
        if bytes.len() != real.len() {
            return Err("a function that makes a tensor of another size".into());
        }
        let base = self.graph.tensors[tensor].clone();
        let channels = if chain.is_empty() { base.channels } else { 1 };
        let plane = (bytes.len() / channels).max(1);
        let mut tables: Vec<[Option<u8>; 256]> = vec![[None; 256]; channels];
        for (at, (byte, real)) in bytes.iter().zip(real).enumerate() {
            let steps = (real / scale).round_ties_even() as i32;
            let quantised = steps.saturating_add(i32::from(zero_point)).clamp(0, 255) as u8;
            let entry = &mut tables[at / plane][*byte as usize];
            if entry.is_some_and(|known| known != quantised) {
                return Err("a function that differs by position".into());
            }
            *entry = Some(quantised);
        }
        let complete = |table: &[Option<u8>; 256]| -> Option<[u8; 256]> {
            let known: Vec<u8> = table.iter().copied().collect::<Option<_>>()?;
            known.try_into().ok()
        };
        let mut tables: Vec<[u8; 256]> =
            tables.iter().map(complete).collect::<Option<_>>().ok_or("a function of some bytes only")?;
        if tables.iter().all(|table| *table == tables[0]) {
            tables.truncate(1);
        }
        let output = self.graph.tensors.len();
        self.graph.tensors.push(Activation { name: self.computes(node), scale, zero_point, ..base });
        let inputs = vec![Input { tensor, view: View::Plain }];
        self.graph.nodes.push(Node { op: Op::Table(tables.into()), inputs, output, low: 0, high: 255 });
        Ok(Meaning::Held { base: Base::Tensor(output), chain, real: false })
    }
}
