//! tract's typed graph to [`Graph`].
//!
//! The graph is read as typed, never decluttered: tract's decluttering turns quantised attention into a wrong
//! table. Each outlet gets a meaning; an operation is complete when its result is quantised.

use std::collections::HashMap;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{MultiBroadcastTo, Pad, PadMode, Slice, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec, SumPool};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearI8, QuantizeLinearU8};

use super::UNSUPPORTED;
use super::float::declared;
use super::graph::{ConvWeights, Graph, Input, Node, Op, Ratio, Tensor as Activation, TensorId, View};
use super::load::{self, Loaded, Quantised, unchecked_f32};
use super::moves::{Link, Move, recognise};

/// The network is typed at this size, height and width: multiples of the window grid, unlike each other.
const PROBE: (usize, usize) = (48, 64);
/// Operations that only move a tensor, one after the other; each is run on the whole chain's values.
const LONGEST_CHAIN: usize = 64;

/// What an outlet holds.
#[derive(Clone)]
enum Meaning {
    /// The picture, not yet quantised.
    Picture,
    /// A constant.
    Constant(Arc<Tensor>),
    /// A quantised tensor, moved; `real` after DequantizeLinear.
    Held { base: Base, chain: Vec<Link>, real: bool },
    /// A result that waits for its quantisation; real bounds from ReLU and Clip.
    Pending { what: Pending, low: f32, high: f32 },
}

/// What a chain of moves starts from.
#[derive(Clone)]
enum Base {
    Tensor(TensorId),
    /// Attention scores, quantised.
    Scores(Scores),
    /// Attention output in window layout.
    Attended(Box<Attended>),
}

#[derive(Clone, Copy)]
struct Scores {
    q: TensorId,
    k: TensorId,
    window: usize,
    shift: usize,
    scale: f32,
    zero_point: u8,
}

#[derive(Clone)]
struct Attended {
    scores: Scores,
    v: TensorId,
    scale: f32,
    zero_point: u8,
    shape: Vec<usize>,
    name: String,
}

#[derive(Clone)]
enum Pending {
    Op(Op, Vec<Input>),
    Scores(Scores),
    Attended(Box<Attended>),
}

/// Reads the graph; the error names node and operator. `bytes` of the file bound what may be folded.
pub(super) fn graph(proto: &ModelProto, bytes: usize) -> Result<Graph, String> {
    if !matches!(declared(proto)?[..], [_, None | Some(1), _, _]) {
        return Err("the input is not one channel of luma".into());
    }
    let loaded = &load::typed(proto, bytes, [1, 1, PROBE.0, PROBE.1])?;
    let mut reader = Reader {
        loaded,
        meanings: HashMap::new(),
        graph: Graph { tensors: vec![], nodes: vec![], output: Input { tensor: 0, view: View::Plain }, scale: 1 },
    };
    let model = &loaded.typed;
    let order = model.eval_order().map_err(|e| e.to_string())?;
    for id in order {
        let node = model.node(id);
        let at = |e: String| format!("node '{}' ({}): {e}", node.name, node.op.name());
        let meaning = reader.node(node).map_err(at)?;
        reader.meanings.insert(id, meaning);
    }
    reader.finish(model.outputs[0])
}

struct Reader<'a> {
    loaded: &'a Loaded,
    meanings: HashMap<usize, Meaning>,
    graph: Graph,
}

impl Reader<'_> {
    fn node(&mut self, node: &TypedNode) -> Result<Meaning, String> {
        let op: &dyn TypedOp = node.op.as_ref();
        let inputs: Vec<Meaning> = node.inputs.iter().map(|i| self.meanings[&i.node].clone()).collect();
        if let Some(c) = op.downcast_ref::<Const>() {
            return Ok(Meaning::Constant(c.val().clone()));
        }
        if op.name() == "Source" {
            return Ok(Meaning::Picture);
        }
        if op.name() == "Cast" && node.outputs[0].fact.datum_type == f32::datum_type() {
            return Ok(inputs[0].clone());
        }
        if let Some(wise) = op.downcast_ref::<ElementWiseOp>() {
            let zero_point = if let Some(q) = wise.0.downcast_ref::<QuantizeLinearU8>() {
                q.zero_point
            } else if let Some(q) = wise.0.downcast_ref::<QuantizeLinearI8>() {
                (i16::from(q.zero_point) + 128) as u8
            } else {
                return Err(UNSUPPORTED.into());
            };
            return self.quantise(node, inputs[0].clone(), zero_point);
        }
        if op.downcast_ref::<DequantizeLinearF32>().is_some() {
            return match inputs[0].clone() {
                Meaning::Held { base, chain, .. } => Ok(Meaning::Held { base, chain, real: true }),
                Meaning::Constant(_) => Err("a constant that was not folded".into()),
                _ => Err("its input is not quantised".into()),
            };
        }
        if is_move(op) {
            return self.moved(node, inputs);
        }
        if let Some(conv) = op.downcast_ref::<Conv>() {
            return self.conv(node, conv, inputs);
        }
        if let Some(pool) = op.downcast_ref::<SumPool>() {
            return self.pool(pool, inputs);
        }
        if let Some(concat) = op.downcast_ref::<TypedConcat>() {
            if concat.axis != 1 {
                return Err("only channels can be concatenated".into());
            }
            let inputs = inputs.into_iter().map(|i| self.input(i)).collect::<Result<_, _>>()?;
            return Ok(pending(Op::Concat, inputs));
        }
        if let Some(einsum) = op.downcast_ref::<EinSum>() {
            return self.matmul(node, einsum, inputs);
        }
        if let Some(binary) = op.downcast_ref::<TypedBinOp>() {
            return self.binary(binary.0.name(), inputs);
        }
        Err(UNSUPPORTED.into())
    }

    /// A tensor that an operation reads, with its view.
    fn input(&mut self, meaning: Meaning) -> Result<Input, String> {
        let Meaning::Held { base, chain, real: true } = meaning else {
            return Err("its input is not a dequantised tensor".into());
        };
        match base {
            Base::Tensor(tensor) => match recognised(&chain, &self.shape(tensor))? {
                Move::View(view) => Ok(Input { tensor, view }),
                _ => Err("windows are supported only inside attention".into()),
            },
            Base::Attended(attended) => {
                let Move::Merge { window, shift } = recognised(&chain, &attended.shape)? else {
                    return Err("attention whose windows are not merged again".into());
                };
                if (window, shift) != (attended.scores.window, attended.scores.shift) {
                    return Err("attention whose windows are merged on another grid".into());
                }
                Ok(Input { tensor: self.attention(&attended), view: View::Plain })
            }
            Base::Scores(_) => Err("attention scores are supported only before a product with values".into()),
        }
    }

    fn shape(&self, tensor: TensorId) -> Vec<usize> {
        let t = &self.graph.tensors[tensor];
        vec![1, t.channels, t.rows.of(PROBE.0), t.columns.of(PROBE.1)]
    }

    /// The attention node, made once however many read it.
    fn attention(&mut self, a: &Attended) -> TensorId {
        if let Some(made) = self.graph.tensors.iter().position(|t| t.name == a.name) {
            return made;
        }
        let values = self.graph.tensors[a.v].clone();
        let output = self.graph.tensors.len();
        self.graph.tensors.push(Activation {
            name: a.name.clone(),
            scale: a.scale,
            zero_point: a.zero_point,
            ..values
        });
        let inputs = [a.scores.q, a.scores.k, a.v].map(|tensor| Input { tensor, view: View::Plain }).to_vec();
        let op = Op::Attention {
            window: a.scores.window,
            shift: a.scores.shift,
            scores: (a.scores.scale, a.scores.zero_point),
        };
        self.graph.nodes.push(Node { op, inputs, output, low: 0, high: 255 });
        output
    }

    /// The scale comes from a DequantizeLinear that reads this node: QuantizeLinear holds only its inverse.
    fn scale(&self, node: &TypedNode) -> Result<f32, String> {
        let readers = node.outputs[0].successors.iter();
        let scale = readers
            .filter_map(|s| self.loaded.typed.node(s.node).op.downcast_ref::<DequantizeLinearF32>())
            .map(|d| d.scale)
            .next();
        scale.filter(|s| s.is_finite() && *s > 0.0).ok_or_else(|| "it is not followed by DequantizeLinear".into())
    }

    fn quantise(&mut self, node: &TypedNode, input: Meaning, zero_point: u8) -> Result<Meaning, String> {
        let scale = self.scale(node)?;
        let held = |base| Ok(Meaning::Held { base, chain: vec![], real: false });
        let bound = |real: f32| (real / scale).round_ties_even().clamp(-512.0, 512.0) as i32 + i32::from(zero_point);
        match input {
            Meaning::Picture => {
                held(Base::Tensor(self.complete(node, Op::Picture, vec![], scale, zero_point, (0, 255))?))
            }
            Meaning::Pending { what: Pending::Scores(s), low, high } => {
                if zero_point != 0 || low < 0.0 || high.is_finite() {
                    return Err("attention scores need a ReLU and zero point 0".into());
                }
                held(Base::Scores(Scores { scale, zero_point, ..s }))
            }
            Meaning::Pending { what: Pending::Attended(a), low, high } => {
                if low.is_finite() || high.is_finite() {
                    return Err("a bound on attention's output".into());
                }
                held(Base::Attended(Box::new(Attended { scale, zero_point, ..*a })))
            }
            Meaning::Pending { what: Pending::Op(op, inputs), low, high } => {
                let byte = |real: f32, open: i32| if real.is_finite() { bound(real).clamp(0, 255) } else { open } as u8;
                let bounds = (byte(low, 0), byte(high, 255));
                held(Base::Tensor(self.complete(node, op, inputs, scale, zero_point, bounds)?))
            }
            // Quantised again: the same values when scale and zero point are the same, else a copy.
            Meaning::Held { base: Base::Tensor(tensor), chain, real: true } => {
                let t = &self.graph.tensors[tensor];
                if (t.scale, t.zero_point) == (scale, zero_point) {
                    return Ok(Meaning::Held { base: Base::Tensor(tensor), chain, real: false });
                }
                let input = self.input(Meaning::Held { base: Base::Tensor(tensor), chain, real: true })?;
                held(Base::Tensor(self.complete(node, Op::Copy, vec![input], scale, zero_point, (0, 255))?))
            }
            Meaning::Held { base: Base::Attended(a), chain, real: true }
                if (a.scale, a.zero_point) == (scale, zero_point) =>
            {
                Ok(Meaning::Held { base: Base::Attended(a), chain, real: false })
            }
            _ => Err(UNSUPPORTED.into()),
        }
    }

    /// Adds the node and its output tensor, whose shape is that of `node`.
    fn complete(
        &mut self,
        node: &TypedNode,
        op: Op,
        inputs: Vec<Input>,
        scale: f32,
        zero_point: u8,
        bounds: (u8, u8),
    ) -> Result<TensorId, String> {
        let shape = shape_of(&node.outputs[0].fact)?;
        let [1, channels, h, w] = shape[..] else { return Err(format!("shape {shape:?} is not one picture")) };
        // An operation bears the name of the node that computes it, not of its QuantizeLinear.
        let name = self.computes(node);
        let (rows, columns) = (Ratio::new(h, PROBE.0), Ratio::new(w, PROBE.1));
        self.graph.tensors.push(Activation { name, channels, rows, columns, scale, zero_point });
        let output = self.graph.tensors.len() - 1;
        self.graph.nodes.push(Node { op, inputs, output, low: bounds.0, high: bounds.1 });
        Ok(output)
    }

    /// Name of the node whose result `quantise` quantises, past ReLU and Clip.
    fn computes(&self, quantise: &TypedNode) -> String {
        let mut node = self.loaded.typed.node(quantise.inputs[0].node);
        while let Some(binary) = node.op.downcast_ref::<TypedBinOp>() {
            if !matches!(binary.0.name(), "Max" | "Min") {
                break;
            }
            let next = node.inputs.iter().find(|i| !matches!(self.meanings.get(&i.node), Some(Meaning::Constant(_))));
            match next {
                Some(i) => node = self.loaded.typed.node(i.node),
                None => break,
            }
        }
        node.name.clone()
    }

    fn moved(&mut self, node: &TypedNode, inputs: Vec<Meaning>) -> Result<Meaning, String> {
        let mut inputs = inputs.into_iter();
        let first = inputs.next();
        let constants = inputs.map(|i| match i {
            Meaning::Constant(c) => Ok(c),
            _ => Err("a move by computed amounts".to_string()),
        });
        let constants = constants.collect::<Result<Vec<_>, _>>()?;
        match first {
            Some(Meaning::Held { base, mut chain, real }) => {
                if chain.len() == LONGEST_CHAIN {
                    return Err(format!("more than {LONGEST_CHAIN} moves of one tensor"));
                }
                chain.push((node.op.clone(), constants));
                Ok(Meaning::Held { base, chain, real })
            }
            Some(Meaning::Constant(_)) => Err("a constant that was not folded".into()),
            _ => Err("it moves values that are not quantised".into()),
        }
    }

    fn conv(&mut self, node: &TypedNode, conv: &Conv, inputs: Vec<Meaning>) -> Result<Meaning, String> {
        let [x, Meaning::Constant(_), Meaning::Constant(bias)] = &inputs[..] else {
            return Err("weights and bias must be constants".into());
        };
        let spec = &conv.pool_spec;
        let (rows, columns) = (spec.kernel_shape.first().copied(), spec.kernel_shape.get(1).copied());
        let (Some(side), true) = (rows, spec.kernel_shape.len() == 2 && rows == columns) else {
            return Err(format!("kernel {:?} is not square", spec.kernel_shape));
        };
        let dilation = same(spec.dilations.as_deref().unwrap_or(&[1, 1]))?;
        if conv.q_params.is_some() || conv.kernel_fmt != KernelFormat::OIHW || spec.data_format != DataFormat::NCHW {
            return Err("a layout other than NCHW and OIHW".into());
        }
        if side % 2 == 0 || side > 7 || dilation * (side / 2) > 16 {
            return Err(format!(
                "kernel {side} with dilation {dilation}; odd sides to 7 that reach at most 16 pixels are supported"
            ));
        }
        if same(spec.strides.as_deref().unwrap_or(&[1, 1]))? != 1 {
            return Err("a stride".into());
        }
        check_padding(spec, dilation * (side / 2), side)?;
        let depthwise = conv.group > 1;
        if depthwise && (conv.group != spec.input_channels || conv.group != spec.output_channels || side != 3) {
            return Err("groups other than depth-wise 3x3".into());
        }
        let quantised = self.weights(node.inputs[1])?;
        let outputs = spec.output_channels;
        let each = spec.input_channels / conv.group;
        if quantised.data.len() != outputs * each * side * side {
            return Err("weights of another shape".into());
        }
        let bias = unchecked_f32(bias);
        let bias = if bias.len() == 1 { vec![bias[0]; outputs] } else { bias };
        if bias.len() != outputs {
            return Err("as many biases as outputs are needed".into());
        }
        let weights = ConvWeights {
            data: quantised.data,
            scales: quantised.scales,
            bias,
            outputs,
            inputs: each,
            kernel: side,
            dilation,
            depthwise,
        };
        let input = self.input(x.clone())?;
        Ok(pending(Op::Conv(weights), vec![input]))
    }

    fn weights(&self, kernel: OutletId) -> Result<Quantised, String> {
        let known = self.loaded.quantised.get(&kernel.node);
        known.cloned().ok_or_else(|| "its weights are not 8-bit integers behind DequantizeLinear".into())
    }

    fn pool(&mut self, pool: &SumPool, inputs: Vec<Meaning>) -> Result<Meaning, String> {
        let spec = &pool.pool_spec;
        let kernel: &[usize] = &spec.kernel_shape;
        if !pool.normalize || spec.strides.as_deref() != Some(kernel) || spec.data_format != DataFormat::NCHW {
            return Err("only means over whole, disjoint groups".into());
        }
        let op = match kernel {
            [1, n] if PROBE.1.is_multiple_of(*n) => Op::PoolColumns(*n),
            [n, 1] if PROBE.0.is_multiple_of(*n) => Op::PoolRows(*n),
            _ => return Err(format!("kernel {kernel:?}; only along rows or along columns")),
        };
        if same(spec.dilations.as_deref().unwrap_or(&[1, 1]))? != 1 {
            return Err("a dilation".into());
        }
        let input = self.input(inputs[0].clone())?;
        Ok(pending(op, vec![input]))
    }

    fn binary(&mut self, name: &str, inputs: Vec<Meaning>) -> Result<Meaning, String> {
        let [a, b] = &inputs[..] else { return Err(UNSUPPORTED.into()) };
        match (name, a, b) {
            ("Max" | "Min", Meaning::Pending { what, low, high }, Meaning::Constant(c))
            | ("Max" | "Min", Meaning::Constant(c), Meaning::Pending { what, low, high }) => {
                let bound = unchecked_f32(c);
                let [bound] = bound[..] else { return Err("a bound that is not one number".into()) };
                let (low, high) =
                    if name == "Max" { (low.max(bound), high.max(bound)) } else { (low.min(bound), high.min(bound)) };
                Ok(Meaning::Pending { what: what.clone(), low, high })
            }
            ("Max" | "Min", Meaning::Held { .. }, Meaning::Constant(_)) => {
                let input = self.input(a.clone())?;
                self.binary(name, vec![pending(Op::Copy, vec![input]), b.clone()])
            }
            ("Add", Meaning::Held { .. }, Meaning::Held { .. }) => {
                let mut inputs = [self.input(a.clone())?, self.input(b.clone())?];
                if self.channels(inputs[0]) < self.channels(inputs[1]) {
                    inputs.swap(0, 1);
                }
                Ok(pending(Op::Add, inputs.to_vec()))
            }
            ("Mul", Meaning::Held { .. }, Meaning::Held { .. }) => {
                let mut inputs = [self.input(a.clone())?, self.input(b.clone())?];
                if matches!(inputs[0].view, View::RepeatColumns(_) | View::RepeatRows(_)) {
                    inputs.swap(0, 1);
                }
                Ok(pending(Op::Gate, inputs.to_vec()))
            }
            ("Add" | "Mul", ..) => Err("both inputs must be dequantised tensors".into()),
            _ => Err(UNSUPPORTED.into()),
        }
    }

    /// Channels as seen through the view.
    fn channels(&self, input: Input) -> usize {
        let c = self.graph.tensors[input.tensor].channels;
        match input.view {
            View::SpaceToDepth(n) => n * n * c,
            View::DepthToSpace(n) => c / (n * n),
            _ => c,
        }
    }

    /// `q k^T` or `scores v`, one product per window.
    fn matmul(&mut self, node: &TypedNode, einsum: &EinSum, inputs: Vec<Meaning>) -> Result<Meaning, String> {
        if einsum.q_params.is_some() || einsum.axes.to_string() != "abmk,abkn->abmn" {
            return Err(format!("product {}; only one per window is supported", einsum.axes));
        }
        let [
            Meaning::Held { base: left, chain: lefts, real: true },
            Meaning::Held { base: Base::Tensor(right), chain: rights, real: true },
        ] = &inputs[..]
        else {
            return Err("both inputs must be dequantised tensors".into());
        };
        let right_move = recognised(rights, &self.shape(*right))?;
        let what = match (left, right_move) {
            (Base::Tensor(q), Move::WindowsTransposed { window, shift }) => {
                if recognised(lefts, &self.shape(*q))? != (Move::Windows { window, shift }) {
                    return Err("queries and keys on different windows".into());
                }
                Pending::Scores(Scores { q: *q, k: *right, window, shift, scale: 1.0, zero_point: 0 })
            }
            (Base::Scores(scores), Move::Windows { window, shift }) if lefts.is_empty() => {
                if (window, shift) != (scores.window, scores.shift) {
                    return Err("scores and values on different windows".into());
                }
                let shape = shape_of(&node.outputs[0].fact)?;
                Pending::Attended(Box::new(Attended {
                    scores: *scores,
                    v: *right,
                    scale: 1.0,
                    zero_point: 0,
                    shape,
                    name: node.name.clone(),
                }))
            }
            _ => return Err("a product that is not window attention".into()),
        };
        Ok(Meaning::Pending { what, low: f32::NEG_INFINITY, high: f32::INFINITY })
    }

    fn finish(mut self, outlet: OutletId) -> Result<Graph, String> {
        let meaning = self.meanings[&outlet.node].clone();
        let output = self.input(meaning).map_err(|e| format!("the output: {e}"))?;
        let shape = shape_of(self.loaded.typed.outlet_fact(outlet).map_err(|e| e.to_string())?)?;
        let scale = shape.get(2).map_or(0, |h| h / PROBE.0);
        if !(1..=4).contains(&scale) || shape != [1, 1, PROBE.0 * scale, PROBE.1 * scale] {
            return Err(format!(
                "the output {shape:?} is not the luma of a picture 1 to 4 times as large as {PROBE:?}"
            ));
        }
        if self.graph.tensors[self.graph.nodes[0].output].channels != 1 {
            return Err("the input is not one channel of luma".into());
        }
        self.graph.output = output;
        self.graph.scale = scale;
        Ok(self.graph)
    }
}

fn pending(op: Op, inputs: Vec<Input>) -> Meaning {
    Meaning::Pending { what: Pending::Op(op, inputs), low: f32::NEG_INFINITY, high: f32::INFINITY }
}

/// Does it only move data?
fn is_move(op: &dyn TypedOp) -> bool {
    let edge = op.downcast_ref::<Pad>().is_some_and(|p| p.mode == PadMode::Edge);
    let named = matches!(&*op.name(), "StridedSlice" | "Resize");
    edge || named || op.is::<AxisOp>() || op.is::<Slice>() || op.is::<MultiBroadcastTo>()
}

fn recognised(chain: &[Link], shape: &[usize]) -> Result<Move, String> {
    recognise(chain, shape).map_err(|e| e.to_string())?.ok_or_else(|| "a move of data that is not supported".into())
}

fn shape_of(fact: &TypedFact) -> Result<Vec<usize>, String> {
    fact.shape.as_concrete().map(<[usize]>::to_vec).ok_or_else(|| "a shape that is not known".into())
}

fn same(axes: &[usize]) -> Result<usize, String> {
    match axes {
        [a, b] if a == b => Ok(*a),
        _ => Err(format!("{axes:?} differs by axis")),
    }
}

fn check_padding(spec: &PoolSpec, reach: usize, side: usize) -> Result<(), String> {
    let fits = match &spec.padding {
        PaddingSpec::Explicit(before, after) => before.iter().chain(after.iter()).all(|p| *p == reach),
        PaddingSpec::SameUpper | PaddingSpec::SameLower => true,
        PaddingSpec::Valid => side == 1,
        _ => false,
    };
    fits.then_some(()).ok_or_else(|| "padding that does not keep the size".into())
}
