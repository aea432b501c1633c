//! ONNX bytes to tract's typed graph, and the quantised constants that typing folds away.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike as _;
use tract_onnx::tract_hir::infer::Factoid as _;

use super::ModelError;

/// Larger files are refused: the models that run on a board are a thousandth of it.
const LARGEST_FILE: usize = 64 << 20;
/// Larger tensors are refused.
const LARGEST_TENSOR: usize = 16 << 20;
/// Characters of tract's reason that are shown: shapes of a damaged file can run to pages.
const LONGEST_REASON: usize = 400;
/// The network is typed at this frame size: multiples of the window grid, unlike in height and width.
pub(super) const PROBE: (usize, usize) = (48, 64);

/// Quantised values of a constant that tract has folded to f32.
#[derive(Clone, Debug)]
pub(super) struct Quantised {
    pub data: Vec<i8>,
    pub scales: Vec<f32>,
}

/// What tract made of the file.
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
    loaded.map_err(fail)
}

/// Runs `f`, and catches a panic without the hook's message.
pub(super) fn quietly<T>(f: impl FnOnce() -> T) -> Option<T> {
    super::QUIET.with(|quiet| quiet.set(true));
    let result = catch_unwind(AssertUnwindSafe(f));
    super::QUIET.with(|quiet| quiet.set(false));
    result.ok()
}

/// Parses the file and checks the size of every constant, before anything allocates what a header asks for.
pub(super) fn parse(bytes: &[u8]) -> Result<(tract_onnx::Onnx, pb::ModelProto), String> {
    let onnx = tract_onnx::onnx();
    let mut bytes = bytes;
    let proto = onnx.proto_model_for_read(&mut bytes).map_err(|_| "not an ONNX file, or a damaged one".to_string())?;
    let graph = proto.graph.as_ref().ok_or("it holds no graph")?;
    graph.initializer.iter().try_for_each(check_tensor)?;
    Ok((onnx, proto))
}

fn read(bytes: &[u8]) -> Result<Loaded, String> {
    let (onnx, proto) = parse(bytes)?;
    let graph = proto.graph.as_ref().ok_or("it holds no graph")?;
    let mut folded = HashMap::new();
    for node in graph.node.iter().filter(|n| n.op_type == "DequantizeLinear") {
        if let Some((real, quantised)) = constant(&onnx, graph, node)? {
            folded.insert(real, quantised);
        }
    }
    let metadata = proto.metadata_props.iter().map(|p| (p.key.clone(), p.value.clone())).collect();
    let typed = typed(&onnx, &proto).map_err(|e| reason(&e))?;
    Ok(Loaded { typed, constants: folded, metadata })
}

/// The constant's size must be that of its data.
fn check_tensor(tensor: &pb::TensorProto) -> Result<(), String> {
    use pb::tensor_proto::DataType;
    let size = match DataType::try_from(tensor.data_type).ok() {
        Some(DataType::Int8 | DataType::Uint8 | DataType::Bool) => 1,
        Some(DataType::Int16 | DataType::Uint16 | DataType::Float16) => 2,
        Some(DataType::Float | DataType::Int32) => 4,
        Some(DataType::Int64 | DataType::Double) => 8,
        _ => return Err(format!("constant '{}' has a type that is not supported", tensor.name)),
    };
    let count = tensor.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
    let count =
        count.filter(|n| *n <= LARGEST_TENSOR).ok_or_else(|| format!("constant '{}' is too large", tensor.name))?;
    let held = if tensor.raw_data.is_empty() {
        tensor.float_data.len().max(tensor.int32_data.len()).max(tensor.int64_data.len()).max(tensor.double_data.len())
    } else if tensor.raw_data.len() == count * size {
        count
    } else {
        usize::MAX
    };
    if held != count {
        return Err(format!("constant '{}' has not as much data as its shape says", tensor.name));
    }
    Ok(())
}

/// A dequantised constant: the f32 bytes that tract will fold it to, and the integers behind.
fn constant(
    onnx: &tract_onnx::Onnx,
    graph: &pb::GraphProto,
    node: &pb::NodeProto,
) -> Result<Option<(Vec<u8>, Quantised)>, String> {
    let tensor = |index: usize| {
        let name = node.input.get(index)?;
        let proto = graph.initializer.iter().find(|t| &t.name == name)?;
        tract_onnx::tensor::load_tensor(&*onnx.provider, proto, None).ok()
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

fn typed(onnx: &tract_onnx::Onnx, proto: &pb::ModelProto) -> TractResult<TypedModel> {
    let mut model = onnx.model_for_proto_model(proto)?;
    let (h, w) = PROBE;
    let channels =
        model.input_fact(0)?.shape.dim(1).and_then(|d| d.concretize()).and_then(|d| d.to_usize().ok()).unwrap_or(1);
    if channels > 4 {
        tract_onnx::tract_core::internal::bail!("an input of {channels} channels is not a picture");
    }
    model.set_input_fact(0, f32::fact([1, channels, h, w]).into())?;
    model.into_typed()
}

/// tract's chain of reasons, the innermost last, on one line of bearable length.
fn reason(error: &TractError) -> String {
    let whole = error.chain().map(|e| e.to_string().replace('\n', " ")).collect::<Vec<_>>().join(": ");
    match whole.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}...", &whole[..end]),
        None => whole,
    }
}
