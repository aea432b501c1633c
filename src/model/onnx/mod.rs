//! ONNX to tract's typed graph, at one size of the frame.
//!
//! Every operator is wired straight into the operations that tract types, and what depends on constants alone is
//! folded at once: the size is known, so that an exporter's arithmetic on shapes is too.

mod axes;
mod call;
mod messages;
mod operators;
mod spatial;
mod tensor;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use tract_core::internal::*;
use tract_core::ops::cnn::{Conv, SumPool};
use tract_core::ops::einsum::EinSum;
use tract_core::ops::konst::Const;

use call::Call;
use messages::ValueInfoProto;
pub(super) use messages::{GraphProto, ModelProto, NodeProto};
use tensor::LARGEST_TENSOR;
pub(super) use tensor::read as read_tensor;

/// Operator sets whose operators mean what is wired here.
const OPERATOR_SETS: std::ops::RangeInclusive<i64> = 7..=25;
/// More nodes are refused: some steps of loading look at all pairs.
const MOST_NODES: usize = 1 << 14;
/// Bytes that folding may make in all.
const MOST_FOLDED: usize = 8 * LARGEST_TENSOR;
/// Tensors of more axes are refused.
const MOST_AXES: usize = 8;
/// Values of a tensor, for a pixel of the frame, beyond which it is refused.
const MOST_CHANNELS: usize = 4096;

/// Decodes the file and checks the size of every constant, before anything allocates what a header asks for.
pub(super) fn decode(bytes: &[u8]) -> Result<ModelProto, String> {
    let proto = ModelProto::decode(bytes).map_err(|_| "not an ONNX file, or a damaged one")?;
    proto.graph()?.initializer.iter().try_for_each(|t| tensor::check(t).map(drop))?;
    Ok(proto)
}

/// The typed graph for a frame of `height` and `width`; the error names node and operator.
pub(super) fn wire(proto: &ModelProto, (height, width): (usize, usize)) -> Result<TypedModel, String> {
    let graph = proto.graph()?;
    if graph.node.len() > MOST_NODES {
        return Err(format!("{} nodes; {MOST_NODES} are supported", graph.node.len()));
    }
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    // Old files list their constants among the inputs.
    let inputs: Vec<_> = graph.input.iter().filter(|i| !constants.contains(i.name.as_str())).collect();
    let ([input], [output]) = (&inputs[..], &graph.output[..]) else {
        let outputs = graph.output.len();
        return Err(format!("{} inputs and {outputs} outputs; one of each is supported", inputs.len()));
    };
    let mut wiring = Wiring::new(opset(proto)?, height * width);
    let picture = f32::fact([1, channels(input)?, height, width]);
    let source = wiring.model.add_source(&input.name, picture).map_err(reason)?;
    wiring.values.insert(&input.name, source);
    for tensor in &graph.initializer {
        let value = wiring.constant(&tensor.name, tensor::read(tensor)?).map_err(reason)?;
        wiring.define(&tensor.name, value).map_err(reason)?;
    }
    for node in &graph.node {
        let name = if node.name.is_empty() { node.output.first().unwrap_or(&node.name) } else { &node.name };
        wiring.apply(node, name).map_err(|e| format!("node '{name}' ({}): {}", node.op_type, reason(e)))?;
    }
    let last = wiring.values.get(output.name.as_str());
    let last = *last.ok_or_else(|| format!("the output '{}' is computed nowhere", output.name))?;
    wiring.model.select_output_outlets(&[last]).map_err(reason)?;
    Ok(wiring.model)
}

/// Version of the operators.
fn opset(proto: &ModelProto) -> Result<i64, String> {
    let set = proto.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let version = set.map_or(0, |set| set.version);
    if !OPERATOR_SETS.contains(&version) {
        let (first, last) = OPERATOR_SETS.into_inner();
        return Err(format!("operator set {version}; {first} to {last} are supported"));
    }
    Ok(version)
}

/// Channels of the input as declared; one where the file leaves them open.
fn channels(input: &ValueInfoProto) -> Result<usize, String> {
    let Some(kind) = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()) else { return Ok(1) };
    if tensor::datum_type(kind.elem_type.into()) != Some(f32::datum_type()) {
        return Err("an input that is not f32".into());
    }
    match kind.shape.as_ref().map(|s| &s.dim[..]) {
        None => Ok(1),
        Some([_, channels, _, _]) if channels.dim_value <= 4 => Ok(channels.dim_value.max(1) as usize),
        Some([_, channels, _, _]) => Err(format!("an input of {} channels is not a picture", channels.dim_value)),
        Some(dims) => Err(format!("an input of {} axes is not a picture", dims.len())),
    }
}

/// tract's chain of reasons, the innermost last.
fn reason(error: TractError) -> String {
    format!("{error:#}")
}

/// The typed graph as far as it is wired.
struct Wiring<'a> {
    model: TypedModel,
    /// Where the values are that the file's names stand for.
    values: HashMap<&'a str, OutletId>,
    names: HashSet<String>,
    opset: i64,
    /// Values of the largest tensor that is accepted.
    largest: usize,
    folded: usize,
}

impl<'a> Wiring<'a> {
    fn new(opset: i64, pixels: usize) -> Self {
        let (values, names) = (HashMap::new(), HashSet::new());
        let largest = LARGEST_TENSOR.max(pixels.saturating_mul(MOST_CHANNELS));
        Self { model: TypedModel::default(), values, names, opset, largest, folded: 0 }
    }

    /// Wires a node of the file.
    fn apply(&mut self, node: &'a NodeProto, name: &'a str) -> TractResult<()> {
        let mut outputs = node.output.iter().filter(|o| !o.is_empty());
        let (Some(output), None) = (outputs.next(), outputs.next()) else { bail!("not with one output") };
        let value = operators::wire(&mut Call::new(self, node, name)?)?;
        self.define(output, value)
    }

    fn define(&mut self, name: &'a str, value: OutletId) -> TractResult<()> {
        ensure!(self.values.insert(name, value).is_none(), "'{name}' is computed twice");
        Ok(())
    }

    fn constant(&mut self, name: &str, value: Tensor) -> TractResult<OutletId> {
        let value = value.into_arc_tensor();
        let fact = TypedFact::try_from(value.clone())?;
        Ok(self.model.add_node(name, Const::new(value)?, tvec!(fact))?.into())
    }

    /// Adds an operation, or its result if all that it reads is constant.
    fn node(&mut self, name: String, op: Box<dyn TypedOp>, inputs: &[OutletId]) -> TractResult<OutletId> {
        let facts = inputs.iter().map(|i| self.model.outlet_fact(*i)).collect::<TractResult<TVec<_>>>()?;
        let constants: Option<TVec<TValue>> = facts.iter().map(|f| Some(f.konst.clone()?.into_tvalue())).collect();
        let output = op.output_facts(&facts)?.remove(0);
        drop(facts);
        let shape = output.shape.as_concrete().context("a shape that is not known")?;
        let volume = self.volume(shape)?;
        if let Some(constants) = constants
            && !(op.is::<Conv>() || op.is::<EinSum>() || op.is::<SumPool>())
        {
            self.fold(volume, output.datum_type)?;
            let mut values = op.eval_out_of_plan(constants)?.context("it cannot be folded")?;
            return self.constant(&name, values.remove(0).into_tensor());
        }
        ensure!(volume > 0, "an empty tensor");
        ensure!(self.names.insert(name.clone()), "another node is called '{name}'");
        let id = self.model.add_node(name, op, tvec!(output))?;
        for (slot, &input) in inputs.iter().enumerate() {
            self.model.add_edge(input, InletId::new(id, slot))?;
        }
        Ok(id.into())
    }

    /// Values of a tensor of that shape.
    fn volume(&self, shape: &[usize]) -> TractResult<usize> {
        ensure!(shape.len() <= MOST_AXES, "a tensor of {} axes; {MOST_AXES} are supported", shape.len());
        let volume = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        volume.filter(|v| *v <= self.largest).with_context(|| format!("the tensor {shape:?} is too large"))
    }

    /// Accounts for a constant that is made.
    fn fold(&mut self, volume: usize, kind: DatumType) -> TractResult<()> {
        self.folded = self.folded.saturating_add(volume.saturating_mul(kind.size_of()));
        ensure!(self.folded <= MOST_FOLDED, "constants of more than {MOST_FOLDED} bytes");
        Ok(())
    }
}
