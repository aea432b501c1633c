//! tract's typed graph to [`Graph`].
//!
//! The graph is read as typed, never decluttered: tract's decluttering turns quantised attention into a wrong
//! table. Each outlet gets a meaning; an operation is complete when its result is quantised.

mod conv;
mod function;
mod tidy;

use std::collections::HashMap;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{MultiBroadcastTo, Pad, Slice, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, SumPool};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearI8, QuantizeLinearU8};

use super::float::declared;
use super::format::{Order, Range};
use super::graph::{ConvWeights, Graph, Input, Node, Op, Ratio, Tensor as Activation, TensorId, View};
use super::load::{self, Loaded, unchecked_f32};
use super::moves::{Link, Move, recognise};
use super::{MOST_SCALE, UNSUPPORTED};
use function::{Function, is_element_wise};

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
    /// A function of single bytes that waits for its quantisation.
    Function(Function),
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
    /// A convolution whose depth becomes `n` by `n` pixels.
    Spread(ConvWeights, Input, usize),
    Scores(Scores),
    Attended(Box<Attended>),
}

/// Reads the graph; the error names node and operator. `bytes` of the file bound what may be folded.
pub(super) fn graph(proto: &ModelProto, bytes: usize) -> Result<Graph, String> {
    match declared(proto)?[..] {
        [_, Some(channels @ (1 | 3)), _, _] => read(proto, bytes, channels),
        [_, None, _, _] => read(proto, bytes, 1).or_else(|luma| read(proto, bytes, 3).map_err(|_| luma)),
        _ => Err("the input is not luma or three colours, channels first".into()),
    }
}

fn read(proto: &ModelProto, bytes: usize, channels: usize) -> Result<Graph, String> {
    let loaded = &load::typed(proto, bytes, [1, channels, PROBE.0, PROBE.1])?;
    let output = Input { tensor: 0, view: View::Plain };
    let (range, order) = (Range::One, Order::Rgb);
    let graph = Graph { tensors: vec![], nodes: vec![], output, scale: 1, channels, range, order };
    let mut reader = Reader { loaded, meanings: HashMap::new(), graph };
    let model = &loaded.typed;
    let order = model.eval_order().map_err(|e| e.to_string())?;
    let readers = order.iter().flat_map(|id| model.node(*id).inputs.iter().map(move |input| (input.node, *id)));
    let last: HashMap<usize, usize> = readers.collect();
    for id in order {
        let node = model.node(id);
        let at = |e: String| format!("node '{}' ({}): {e}", node.name, node.op.name());
        let meaning = reader.node(node).map_err(at)?;
        reader.meanings.insert(id, meaning);
        // Functions hold tensors, and convolutions their weights: what nothing reads any more goes. Constants say what they are.
        for input in node.inputs.iter().map(|input| input.node).filter(|input| last[input] == id) {
            if !matches!(reader.meanings.get(&input), Some(Meaning::Constant(_))) {
                reader.meanings.remove(&input);
            }
        }
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
        if op.name() == "Identity" || op.name() == "Cast" && node.outputs[0].fact.datum_type == f32::datum_type() {
            return Ok(inputs[0].clone());
        }
        if let Some(wise) = op.downcast_ref::<ElementWiseOp>() {
            let zero_point = if let Some(q) = wise.0.downcast_ref::<QuantizeLinearU8>() {
                q.zero_point
            } else if let Some(q) = wise.0.downcast_ref::<QuantizeLinearI8>() {
                (i16::from(q.zero_point) + 128) as u8
            } else {
                return self.function(op, &inputs);
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
        if let Some(constant) = function::folded(op, &inputs)? {
            return Ok(Meaning::Constant(constant));
        }
        if op.is::<MultiBroadcastTo>() && matches!(inputs[0], Meaning::Function(_)) && self.keeps_shape(node) {
            return Ok(inputs[0].clone());
        }
        if op.name() == "Resize"
            && let Some(made) = self.linear(node, &inputs)?
        {
            return Ok(made);
        }
        if is_move(op) {
            return self.moved(node, inputs);
        }
        if let Some(conv) = op.downcast_ref::<Conv>() {
            return self.conv(node, conv, inputs);
        }
        if let Some(deconv) = op.downcast_ref::<Deconv>() {
            return self.deconv(node, deconv, inputs);
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
            return self.binary(node, binary.0.name(), inputs);
        }
        if is_element_wise(op) {
            return self.function(op, &inputs);
        }
        Err(UNSUPPORTED.into())
    }

    fn keeps_shape(&self, node: &TypedNode) -> bool {
        self.loaded.typed.outlet_fact(node.inputs[0]).is_ok_and(|fact| fact.shape == node.outputs[0].fact.shape)
    }

    /// A tensor enlarged linearly, centre to centre, a whole number of times; none if it is another enlargement.
    fn linear(&mut self, node: &TypedNode, inputs: &[Meaning]) -> Result<Option<Meaning>, String> {
        let [Meaning::Held { chain, .. }, rest @ ..] = inputs else { return Ok(None) };
        let shape = shape_of(&node.outputs[0].fact)?;
        let Ok(input) = self.input(inputs[0].clone()) else { return Ok(None) };
        let size = self.shape(input.tensor);
        let n = shape[2] / size[2];
        if !chain.is_empty() || n < 2 || shape != [1, size[1], n * size[2], n * size[3]] {
            return Ok(None);
        }
        let constants = rest.iter().filter_map(|meaning| match meaning {
            Meaning::Constant(c) => Some(c.clone()),
            _ => None,
        });
        if !conv::is_linear(node.op.as_ref(), constants.collect(), &size, n)? {
            return Ok(None);
        }
        let what = Pending::Spread(conv::linear(size[1], n)?, input, n);
        Ok(Some(Meaning::Pending { what, low: f32::NEG_INFINITY, high: f32::INFINITY }))
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
            Meaning::Pending { what: Pending::Spread(weights, from, n), low, high } => {
                let byte = |real: f32, open: i32| if real.is_finite() { bound(real).clamp(0, 255) } else { open } as u8;
                let bounds = (byte(low, 0), byte(high, 255));
                held(Base::Tensor(self.spread(node, weights, from, n, (scale, zero_point), bounds)?))
            }
            Meaning::Function(function) => self.tabled(node, function, scale, zero_point),
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

    fn pool(&mut self, pool: &SumPool, inputs: Vec<Meaning>) -> Result<Meaning, String> {
        let spec = &pool.pool_spec;
        if let Some(window) = window_mean(pool) {
            let input = self.input(inputs[0].clone())?;
            return conv::mean(self.channels(input), window).map(|weights| pending(Op::Conv(weights), vec![input]));
        }
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

    fn binary(&mut self, node: &TypedNode, name: &str, inputs: Vec<Meaning>) -> Result<Meaning, String> {
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
                self.binary(node, name, vec![pending(Op::Copy, vec![input]), b.clone()])
            }
            ("Add" | "Sub" | "Mul", Meaning::Held { .. }, Meaning::Held { .. }) if !self.same_size(node) => {
                Err("tensors of different sizes".into())
            }
            ("Sub", Meaning::Held { .. }, Meaning::Held { .. }) => {
                let inputs = vec![self.input(a.clone())?, self.input(b.clone())?];
                if self.channels(inputs[0]) != self.channels(inputs[1]) {
                    return Err("tensors of different channels".into());
                }
                Ok(pending(Op::Subtract, inputs))
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
            _ => self.function(node.op.as_ref(), &inputs),
        }
    }

    /// Have the two inputs of an operation as many rows and columns?
    fn same_size(&self, node: &TypedNode) -> bool {
        let size = |slot: usize| {
            let fact = self.loaded.typed.outlet_fact(node.inputs[slot]).ok()?;
            fact.shape.as_concrete().and_then(|s| s.get(2..4)).map(<[usize]>::to_vec)
        };
        size(0).is_some() && size(0) == size(1)
    }

    /// Channels as seen through the view.
    fn channels(&self, input: Input) -> usize {
        input.view.channels(self.graph.tensors[input.tensor].channels)
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
        let channels = self.graph.channels;
        if !(1..=MOST_SCALE).contains(&scale) || shape != [1, channels, PROBE.0 * scale, PROBE.1 * scale] {
            return Err(format!(
                "the output {shape:?} is no picture of {channels} channels, 1 to {MOST_SCALE} times as large as {PROBE:?}"
            ));
        }
        let first = self.graph.nodes.first().filter(|n| matches!(n.op, Op::Picture));
        let picture = &self.graph.tensors[first.ok_or("it does not begin with the picture, quantised")?.output];
        let real = |byte: u8| (f32::from(byte) - f32::from(picture.zero_point)) * picture.scale;
        self.graph.range = match (real(0), real(255)) {
            (_, high) if high > 16.0 => Range::Bytes,
            (low, _) if low < -0.5 => Range::Signed,
            _ => Range::One,
        };
        self.graph.output = output;
        self.graph.scale = scale;
        tidy::tidy(&mut self.graph)?;
        Ok(self.graph)
    }
}

fn pending(op: Op, inputs: Vec<Input>) -> Meaning {
    Meaning::Pending { what: Pending::Op(op, inputs), low: f32::NEG_INFINITY, high: f32::INFINITY }
}

/// Does it only move data?
fn is_move(op: &dyn TypedOp) -> bool {
    let named = matches!(&*op.name(), "StridedSlice" | "Resize");
    op.is::<Pad>() || named || op.is::<AxisOp>() || op.is::<Slice>() || op.is::<MultiBroadcastTo>()
}

/// The side of a window whose mean is taken around every pixel, zeros beyond the border counted in.
fn window_mean(pool: &SumPool) -> Option<usize> {
    let (spec, side) = (&pool.pool_spec, *pool.pool_spec.kernel_shape.first()?);
    let whole = pool.normalize && (pool.count_include_pad || side == 1) && spec.data_format == DataFormat::NCHW;
    let square = spec.kernel_shape[..] == [side, side] && side % 2 == 1;
    let close = (0..2).all(|axis| square && spec.stride(axis) == 1 && spec.dilation(axis) == 1);
    let same = |axis| conv::padding(spec, axis).is_ok_and(|pads| pads == (side / 2, side / 2));
    (whole && close && same(0) && same(1)).then_some(side)
}

fn recognised(chain: &[Link], shape: &[usize]) -> Result<Move, String> {
    let names = || chain.iter().map(|(op, _)| op.name().into_owned()).collect::<Vec<_>>().join(", ");
    let unknown = || format!("the way in which {} before it moves data is not supported", names());
    recognise(chain, shape).map_err(|e| e.to_string())?.ok_or_else(unknown)
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
