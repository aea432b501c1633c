//! The file to tract's typed graph, node by node, so that no node makes more than it may.
//!
//! The graph is typed at one size of the picture, and never decluttered here: tract's decluttering turns quantised
//! attention into a wrong table.

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::infer::{Factoid as _, InferenceNode};

use super::ModelError;
use super::file::{LARGEST_TENSOR, MOST_AXES};

/// Characters of a reason that are shown: names and shapes of a damaged file can run to pages.
const LONGEST_REASON: usize = 400;
/// Reading a file takes no longer; the largest that are in use take a second.
const LONGEST: Duration = Duration::from_secs(8);
/// Bytes that folding constants may make in all, for a byte of the file, and beside that.
const MOST_FOLDED: (usize, usize) = (4, 16 << 20);
/// Values of a tensor, for a pixel of the picture, beyond which it is refused.
const MOST_CHANNELS: usize = 4096;

/// Quantised values of a constant that was folded to f32.
#[derive(Clone, Debug)]
pub(super) struct Quantised {
    pub data: Vec<i8>,
    /// One for each index along `axis`.
    pub scales: Vec<f32>,
    /// 0, where a convolution has its outputs, or 1, where a transposed one has them.
    pub axis: usize,
}

/// A file that was read.
pub(super) struct Loaded {
    pub typed: TypedModel,
    /// By the node of the constant that each became.
    pub quantised: HashMap<usize, Quantised>,
}

/// Shape of the network's input.
pub(super) type Shape = [usize; 4];

/// Runs `f`, and catches a panic without the hook's message.
pub(super) fn quietly<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let outer = super::QUIET.with(|quiet| quiet.replace(true));
    let result = catch_unwind(AssertUnwindSafe(f));
    super::QUIET.with(|quiet| quiet.set(outer));
    result.unwrap_or_else(|_| Err("the parser failed on it".into()))
}

/// [`quietly`] for a model: the error bears its name.
pub(super) fn fenced<T>(name: &str, f: impl FnOnce() -> Result<T, String>) -> Result<T, ModelError> {
    quietly(f).map_err(|e| ModelError::Parse { name: name.to_string(), reason: shown(&e) })
}

/// A reason on one line of bearable length, whatever names of the file it holds.
pub(super) fn shown(reason: &str) -> String {
    let mut line: String = reason.chars().take(LONGEST_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if reason.chars().nth(LONGEST_REASON).is_some() {
        line.push_str("...");
    }
    line
}

/// tract's chain of reasons, the innermost last.
pub(super) fn reason(error: TractError) -> String {
    format!("{error:#}")
}

/// The f32 values of a tensor; empty when it holds another type.
pub(super) fn unchecked_f32(tensor: &Tensor) -> Vec<f32> {
    tensor.to_plain_array_view::<f32>().map(|a| a.iter().copied().collect()).unwrap_or_default()
}

/// Shape of the output.
pub(super) fn output_shape(model: &TypedModel) -> Result<Vec<usize>, String> {
    let fact = model.outlet_fact(model.outputs[0]).map_err(reason)?;
    Ok(fact.shape.as_concrete().ok_or("an output of unknown size")?.to_vec())
}

thread_local! {
    /// Is what this thread reads our own?
    static TRUSTED: Cell<bool> = const { Cell::new(false) };
}

/// Reads a file that nobody can have changed: it may take as long as a slow board needs.
pub(super) fn trusting<T>(read: impl FnOnce() -> T) -> T {
    let before = TRUSTED.replace(true);
    let result = read();
    TRUSTED.set(before);
    result
}

/// The typed graph for an input of `shape`; the error names node and operator. `bytes` of the file bound what may be folded.
pub(super) fn typed(proto: &ModelProto, bytes: usize, shape: Shape) -> Result<Loaded, String> {
    let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_output_types(true);
    let source = onnx.with_ignore_value_info(true).parse(proto, None).map_err(reason)?;
    if let Some(missing) = source.unresolved_inputs.first() {
        return Err(format!("'{missing}' is read and computed nowhere"));
    }
    let source = source.model;
    let mut wiring = Wiring {
        loaded: Loaded { typed: TypedModel::default(), quantised: HashMap::new() },
        outlets: HashMap::new(),
        largest: LARGEST_TENSOR.max(shape[2].saturating_mul(shape[3]).saturating_mul(MOST_CHANNELS)),
        left: bytes.saturating_mul(MOST_FOLDED.0).saturating_add(MOST_FOLDED.1),
        until: (!TRUSTED.get()).then(|| Instant::now() + LONGEST),
    };
    for id in source.eval_order().map_err(reason)? {
        let node = source.node(id);
        let at = |e: TractError| format!("node '{}' ({}): {}", node.name, operator(node), reason(e));
        if id == source.inputs[0].node {
            let fact = wiring.input(node, shape).map_err(reason)?;
            let outlet = wiring.loaded.typed.add_source(&node.name, fact).map_err(reason)?;
            wiring.outlets.insert(id.into(), outlet);
        } else {
            wiring.node(&source, node).map_err(at)?;
        }
    }
    let last = wiring.outlets[&source.outputs[0]];
    let mut loaded = wiring.loaded;
    loaded.typed.select_output_outlets(&[last]).map_err(reason)?;
    Ok(loaded)
}

/// The operator as the file names it.
fn operator(node: &InferenceNode) -> String {
    let name = node.op.name();
    let unknown = name.strip_prefix("Unimplemented(").and_then(|n| n.strip_suffix(')'));
    unknown.unwrap_or(name.strip_suffix("Hir").unwrap_or(&name)).to_string()
}

/// The typed graph as far as it is wired.
struct Wiring {
    loaded: Loaded,
    /// Where the values are that the file's nodes make.
    outlets: HashMap<OutletId, OutletId>,
    /// Values of the largest tensor that is accepted.
    largest: usize,
    /// Bytes that may still be folded.
    left: usize,
    /// For ever, if there is no end.
    until: Option<Instant>,
}

impl Wiring {
    /// The picture, in the type that the file declares.
    fn input(&self, node: &InferenceNode, shape: Shape) -> TractResult<TypedFact> {
        let kind = node.outputs[0].fact.datum_type.concretize().unwrap_or(f32::datum_type());
        ensure!(
            [f32::datum_type(), u8::datum_type()].contains(&kind),
            "an input of type {kind:?}; f32 and u8 are supported"
        );
        Ok(kind.fact(shape))
    }

    fn node(&mut self, source: &InferenceModel, node: &InferenceNode) -> TractResult<()> {
        let in_time = self.until.is_none_or(|until| Instant::now() < until);
        ensure!(in_time, "reading takes more than {} s", LONGEST.as_secs());
        let typed = &self.loaded.typed;
        let inputs: TVec<OutletId> = node
            .inputs
            .iter()
            .map(|i| self.outlets.get(i).copied().context("an input that does not exist"))
            .collect::<TractResult<_>>()?;
        if let Some(konst) = node.op_as::<Const>() {
            return self.constant(node, 0, konst.val().clone());
        }
        let facts = inputs.iter().map(|i| typed.outlet_fact(*i).cloned()).collect::<TractResult<TVec<_>>>()?;
        let constants: Option<TVec<TValue>> = facts.iter().map(|f| Some(f.konst.clone()?.into_tvalue())).collect();
        self.bound_growth(node, &facts)?;
        let quantised = match &constants {
            Some(constants) if node.op.name() == "DequantizeLinear" => quantised(node, constants)?,
            _ => None,
        };
        ensure!(!node.op.name().starts_with("Unimplemented("), "not supported");
        let made = node.op.to_typed(source, node, &mut self.loaded.typed, &self.outlets)?;
        let mut folded = 0usize;
        for outlet in &made {
            let fact = self.loaded.typed.outlet_fact(*outlet)?;
            let shape = fact.shape.as_concrete().context("a shape that depends on more than the picture's size")?;
            folded = folded.saturating_add(self.volume(shape)? * fact.datum_type.size_of());
            ensure!(fact.konst.is_some() || self.volume(shape)? > 0, "an empty tensor");
        }
        let known = made.iter().all(|o| self.loaded.typed.outlet_fact(*o).is_ok_and(|f| f.konst.is_some()));
        match constants {
            Some(constants) if !known && !constants.is_empty() => {
                self.spend(folded)?;
                let values = node.op.eval_out_of_plan(constants)?.context("it cannot be folded")?;
                for (slot, value) in values.into_iter().enumerate() {
                    self.constant(node, slot, value.into_arc_tensor())?;
                }
                if let Some(quantised) = quantised {
                    let at = self.outlets[&OutletId::new(node.id, 0)].node;
                    self.loaded.quantised.insert(at, quantised);
                }
            }
            _ => {
                for (slot, outlet) in made.into_iter().enumerate() {
                    self.outlets.insert(OutletId::new(node.id, slot), outlet);
                }
            }
        }
        Ok(())
    }

    fn constant(&mut self, node: &InferenceNode, slot: usize, value: Arc<Tensor>) -> TractResult<()> {
        let name = format!("{}.value{slot}", node.name);
        let outlet = self.loaded.typed.add_const(name, value)?;
        self.outlets.insert(OutletId::new(node.id, slot), outlet);
        Ok(())
    }

    /// Values of a tensor of that shape.
    fn volume(&self, shape: &[usize]) -> TractResult<usize> {
        ensure!(shape.len() <= MOST_AXES, "a tensor of {} axes; {MOST_AXES} are supported", shape.len());
        let volume = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        volume.filter(|v| *v <= self.largest).with_context(|| format!("the tensor {shape:?} is too large"))
    }

    /// Accounts for a constant that is made.
    fn spend(&mut self, bytes: usize) -> TractResult<()> {
        ensure!(bytes <= self.left, "constants that are computed take up too much memory");
        self.left -= bytes;
        Ok(())
    }

    /// Operators whose results are as large as small constants say are looked at before they make anything.
    fn bound_growth(&self, node: &InferenceNode, facts: &[TypedFact]) -> TractResult<()> {
        const BY_AMOUNT: [&str; 9] =
            ["ConstantOfShape", "Expand", "Tile", "Range", "Pad", "Resize", "Upsample", "Onehot", "EyeLike"];
        let operator = node.op.name();
        if !BY_AMOUNT.iter().any(|o| operator.eq_ignore_ascii_case(o)) && !operator.starts_with("Multibroadcast") {
            let volume = facts.iter().map(|f| f.shape.volume().to_usize().unwrap_or(usize::MAX));
            let total = volume.fold(0usize, usize::saturating_add);
            ensure!(total <= 2 * self.largest, "inputs that are too large together");
            return Ok(());
        }
        for constant in facts.iter().filter_map(|f| f.konst.as_ref()) {
            if constant.volume() > 2 * MOST_AXES
                || !constant.datum_type().is_number() && !constant.datum_type().is_tdim()
            {
                continue;
            }
            let amounts = constant.cast_to::<f32>()?.into_owned();
            let product = unchecked_f32(&amounts).iter().fold(1f64, |n, &v| n * f64::from(v.abs().max(1.0)));
            ensure!(product <= self.largest as f64, "an amount that is too large");
        }
        Ok(())
    }
}

/// The integers behind a dequantised constant of weights; none for a bias and for single numbers.
fn quantised(node: &InferenceNode, inputs: &[TValue]) -> TractResult<Option<Quantised>> {
    let [data, scale, rest @ ..] = inputs else { return Ok(None) };
    if data.datum_type().size_of() != 1 || data.rank() == 0 {
        return Ok(None);
    }
    let values = |t: &Tensor| t.cast_to::<f32>().map(|t| unchecked_f32(&t));
    let (scales, zeros) = (values(scale)?, rest.first().map_or(Ok(vec![0.0]), |z| values(z))?);
    let raw = values(data)?;
    // Folding tells the axis of the scales. Those along another axis than 0 and 1 no plan can use; it says so where the weights
    // are read.
    let folded = match scales.len() {
        1 => None,
        _ => {
            let folded = node.op.eval_out_of_plan(inputs.iter().cloned().collect())?.context("it cannot be folded")?;
            Some(unchecked_f32(&folded[0]))
        }
    };
    for axis in 0..data.rank().min(2) {
        let outputs = data.shape()[axis].max(1);
        let each = data.shape()[axis + 1..].iter().product::<usize>().max(1);
        let of = |i: usize| i / each % outputs;
        if ![1, outputs].contains(&scales.len()) || ![1, outputs].contains(&zeros.len()) {
            continue;
        }
        let integer = |i: usize| raw[i] - zeros[of(i) % zeros.len()];
        let along = |(i, v): (usize, &f32)| *v == integer(i) * scales[of(i) % scales.len()];
        if folded.as_ref().is_some_and(|real| !real.iter().enumerate().all(along)) {
            continue;
        }
        let fits = |w: f32| (-128.0..=127.0).contains(&w);
        let Some(integers) = (0..raw.len()).map(|i| Some(integer(i)).filter(|w| fits(*w)).map(|w| w as i8)).collect()
        else {
            return Ok(None);
        };
        let scales = (0..outputs).map(|o| scales[o % scales.len()]).collect();
        return Ok(Some(Quantised { data: integers, scales, axis }));
    }
    Ok(None)
}
