//! ONNX bytes to tract's typed graph, and the quantised constants that wiring folds away.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_core::prelude::*;

use super::ModelError;
use super::onnx::{self, GraphProto, NodeProto};

/// Larger files are refused: the models that run on a board are a thousandth of it.
const LARGEST_FILE: usize = 64 << 20;
/// Characters of a reason that are shown: names and shapes of a damaged file can run to pages.
const LONGEST_REASON: usize = 400;
/// The network is typed at this frame size: multiples of the window grid, unlike in height and width.
pub(super) const PROBE: (usize, usize) = (48, 64);

/// Quantised values of a constant that wiring has folded to f32.
#[derive(Clone, Debug)]
pub(super) struct Quantised {
    pub data: Vec<i8>,
    pub scales: Vec<f32>,
}

/// What was made of the file.
pub(super) struct Loaded {
    pub typed: TypedModel,
    /// By the bytes of the f32 tensor that each became.
    pub constants: HashMap<Vec<u8>, Quantised>,
    pub metadata: HashMap<String, String>,
}

/// Parses, checks, types. A panic inside tract is an error like any other.
pub(super) fn load(name: &str, bytes: &[u8]) -> Result<Loaded, ModelError> {
    let fail = |reason: String| ModelError::Parse { name: name.to_string(), reason };
    if bytes.len() > LARGEST_FILE {
        return Err(fail(format!("{} bytes is more than a model may have ({LARGEST_FILE})", bytes.len())));
    }
    let loaded = quietly(|| read(bytes)).unwrap_or_else(|| Err("the parser failed on it".to_string()));
    loaded.map_err(|e| fail(shown(&e)))
}

/// A reason on one line of bearable length, whatever names of the file it holds.
pub(super) fn shown(reason: &str) -> String {
    let mut line: String = reason.chars().take(LONGEST_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if reason.chars().nth(LONGEST_REASON).is_some() {
        line.push_str("...");
    }
    line
}

/// Runs `f`, and catches a panic without the hook's message.
pub(super) fn quietly<T>(f: impl FnOnce() -> T) -> Option<T> {
    super::QUIET.with(|quiet| quiet.set(true));
    let result = catch_unwind(AssertUnwindSafe(f));
    super::QUIET.with(|quiet| quiet.set(false));
    result.ok()
}

fn read(bytes: &[u8]) -> Result<Loaded, String> {
    let proto = onnx::decode(bytes)?;
    let graph = proto.graph()?;
    let mut folded = HashMap::new();
    for node in graph.node.iter().filter(|n| n.op_type == "DequantizeLinear") {
        if let Some((real, quantised)) = constant(graph, node)? {
            folded.insert(real, quantised);
        }
    }
    let metadata = proto.metadata_props.iter().map(|p| (p.key.clone(), p.value.clone())).collect();
    Ok(Loaded { typed: onnx::wire(&proto, PROBE)?, constants: folded, metadata })
}

/// A dequantised constant: the f32 bytes that wiring folds it to, and the integers behind.
fn constant(graph: &GraphProto, node: &NodeProto) -> Result<Option<(Vec<u8>, Quantised)>, String> {
    let tensor = |index: usize| {
        let name = node.input.get(index)?;
        let proto = graph.initializer.iter().find(|t| &t.name == name)?;
        onnx::read_tensor(proto).ok()
    };
    let (Some(data), Some(scale)) = (tensor(0), tensor(1)) else { return Ok(None) };
    let zero = tensor(2);
    if data.datum_type() == i32::datum_type() || data.rank() == 0 {
        return Ok(None); // a bias; its real values serve
    }
    let bad = |what: &str| format!("node '{}' (DequantizeLinear): {what}", node.name);
    let axis = node.attribute.iter().find(|a| a.name == "axis").map_or(1, |a| a.i);
    let scales = values(&scale).ok_or_else(|| bad("the scale is not f32"))?;
    let zeros = zero.map_or(Some(vec![0.0]), |z| values(&z)).ok_or_else(|| bad("the zero point is not an integer"))?;
    if scales.len() > 1 && axis != 0 {
        return Err(bad("scales along an axis other than the outputs"));
    }
    let outputs = data.shape()[0].max(1);
    if ![1, outputs].contains(&scales.len()) || ![1, outputs].contains(&zeros.len()) {
        return Err(bad("as many scales as outputs are needed"));
    }
    let each = (data.len() / outputs).max(1);
    let raw = values(&data).ok_or_else(|| bad("the data is not 8-bit"))?;
    let mut real = Vec::with_capacity(raw.len() * 4);
    let mut integers = Vec::with_capacity(raw.len());
    for (i, &v) in raw.iter().enumerate() {
        let output = i / each;
        let w = v - zeros[output % zeros.len()];
        if !(-128.0..=127.0).contains(&w) {
            return Err(bad("weights that need more than 8 signed bits"));
        }
        integers.push(w as i8);
        real.extend((w * scales[output % scales.len()]).to_ne_bytes());
    }
    let scales = (0..outputs).map(|o| scales[o % scales.len()]).collect();
    Ok(Some((real, Quantised { data: integers, scales })))
}

/// The values of an 8-bit or f32 tensor.
fn values(tensor: &Tensor) -> Option<Vec<f32>> {
    let real = tensor.cast_to::<f32>().ok()?;
    Some(unchecked_f32(&real))
}

/// The f32 values of a tensor; empty when it holds another type.
pub(super) fn unchecked_f32(tensor: &Tensor) -> Vec<f32> {
    tensor.to_plain_array_view::<f32>().map(|a| a.iter().copied().collect()).unwrap_or_default()
}
