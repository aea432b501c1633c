//! The ONNX file, bounded and made plain before tract sees it.
//!
//! Files come from anywhere. [`decode`] counts what the bytes hold before anything is allocated for it, and checks every
//! constant against its shape; [`plain`] takes away what keeps a good network from loading: shapes that an exporter
//! baked in, half precision (which tract runs 500 times slower than single), and quantisation at run time.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, type_proto};
use tract_onnx::tract_core::framework::Framework as _;

use super::node::name;

/// Larger files are refused.
pub(super) const LARGEST_FILE: usize = 64 << 20;
/// Larger constants are refused, in values.
pub(super) const LARGEST_TENSOR: usize = 16 << 20;
/// More fields of messages are refused: each takes up to some 300 bytes once it is decoded.
const MOST_FIELDS: usize = 1 << 17;
/// More nodes are refused: tract compares each node's name with all others.
const MOST_NODES: usize = 1 << 13;
/// Axes of a tensor.
pub(super) const MOST_AXES: usize = 8;

/// Decodes the file, once it is known to be of bearable size.
pub(super) fn decode(bytes: &[u8]) -> Result<ModelProto, String> {
    if bytes.len() > LARGEST_FILE {
        return Err(format!("{} bytes is more than a model may have ({LARGEST_FILE})", bytes.len()));
    }
    let damaged = || "not an ONNX file, or a damaged one".to_string();
    let mut fields = 0;
    count(bytes, Message::Model, &mut fields).ok_or_else(damaged)?;
    if fields > MOST_FIELDS {
        return Err(format!("more than {MOST_FIELDS} nodes, constants and attributes"));
    }
    let proto = tract_onnx::onnx().proto_model_for_read(&mut &bytes[..]).map_err(|_| damaged())?;
    let graph = proto.graph.as_ref().ok_or("it holds no graph")?;
    if graph.node.len() > MOST_NODES {
        return Err(format!("{} nodes; {MOST_NODES} are supported", graph.node.len()));
    }
    graph.initializer.iter().try_for_each(check)?;
    for node in &graph.node {
        for attribute in &node.attribute {
            if attribute.g.is_some() || !attribute.graphs.is_empty() {
                return Err(format!("node '{}' ({}): control flow is not supported", name(node), node.op_type));
            }
            attribute.t.iter().chain(&attribute.tensors).try_for_each(check)?;
        }
    }
    Ok(proto)
}

/// Messages of the format whose fields are counted.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Other,
}

impl Message {
    /// The message behind a field, by the numbers of `onnx.proto`; none behind text, bytes and packed numbers.
    fn field(self, number: u64) -> Option<Self> {
        match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Graph, 1) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) => Some(Self::Tensor),
            (Self::Node, 5) => Some(Self::Attribute),
            (Self::Model, 8 | 14 | 20 | 25) | (Self::Graph, 11..=16) | (Self::Attribute, 14 | 15 | 22 | 23) => {
                Some(Self::Other)
            }
            _ => None,
        }
    }
}

/// Adds up the fields of a message and of those in it; stops early when they are too many. None: not such a message.
fn count(mut bytes: &[u8], message: Message, fields: &mut usize) -> Option<()> {
    while !bytes.is_empty() && *fields <= MOST_FIELDS {
        let key = varint(&mut bytes)?;
        // Numbers of a tensor that are not packed are as many fields, but of a few bytes each.
        if !matches!(message, Message::Tensor) {
            *fields += 1;
        }
        match key & 7 {
            0 => drop(varint(&mut bytes)?),
            1 => bytes = bytes.get(8..)?,
            5 => bytes = bytes.get(4..)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let inside = bytes.get(..length)?;
                bytes = &bytes[length..];
                match message.field(key >> 3) {
                    Some(inner) => count(inside, inner, fields)?,
                    // Dimensions, types and the like: messages that hold little, but may be many.
                    None if matches!(message, Message::Other) => *fields += length / 2,
                    None => {}
                }
            }
            _ => return None,
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 127) << shift;
        if first < 128 {
            return Some(value);
        }
    }
    None
}

/// The shape of a constant, once it is known that the file holds as much data as that.
fn check(tensor: &TensorProto) -> Result<(), String> {
    let kind = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
    let Some(size) = bytes_of(kind) else {
        return Err(format!("constant '{}' has a type that is not supported", tensor.name));
    };
    if tensor.data_location == Some(1) || !tensor.external_data.is_empty() {
        return Err(format!(
            "constant '{}' is in another file; only files that hold their weights are read",
            tensor.name
        ));
    }
    let count = tensor.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
    let Some(count) = count.filter(|n| *n <= LARGEST_TENSOR && tensor.dims.len() <= MOST_AXES) else {
        return Err(format!("constant '{}' is too large", tensor.name));
    };
    let held = match kind {
        _ if !tensor.raw_data.is_empty() => {
            tensor.raw_data.len().is_multiple_of(size).then(|| tensor.raw_data.len() / size)
        }
        DataType::Float => Some(tensor.float_data.len()),
        DataType::Double => Some(tensor.double_data.len()),
        DataType::Int64 => Some(tensor.int64_data.len()),
        DataType::Uint64 | DataType::Uint32 => Some(tensor.uint64_data.len()),
        _ => Some(tensor.int32_data.len()),
    };
    if held != Some(count) {
        return Err(format!("constant '{}' has not as much data as its shape says", tensor.name));
    }
    Ok(())
}

/// Bytes of a value in `raw_data`; none for what no upscaler holds.
fn bytes_of(kind: DataType) -> Option<usize> {
    Some(match kind {
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
        DataType::Int16 | DataType::Uint16 | DataType::Float16 => 2,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Int64 | DataType::Uint64 | DataType::Double => 8,
        _ => return None,
    })
}

/// The same network without what keeps it from loading; one input is left, and one output.
pub(super) fn plain(proto: &mut ModelProto) -> Result<(), String> {
    let graph = proto.graph.as_mut().ok_or("it holds no graph")?;
    // Old files list their constants among the inputs.
    let constants: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    graph.input.retain(|i| !constants.contains(&i.name));
    if graph.input.len() != 1 || graph.output.len() != 1 {
        let (inputs, outputs) = (graph.input.len(), graph.output.len());
        return Err(format!("{inputs} inputs and {outputs} outputs; one of each is supported"));
    }
    let output = &graph.output[0].name;
    if !graph.node.iter().any(|n| n.output.contains(output)) && *output != graph.input[0].name {
        return Err(format!("the output '{output}' is computed nowhere"));
    }
    graph.value_info.clear();
    graph.doc_string.clear();
    single_precision(graph);
    shuffles(graph);
    super::qoperator::spelt_out(graph)?;
    static_quantisation(graph)
}

/// `Reshape`, `Transpose`, `Reshape` that spread channels over pixels, to `DepthToSpace`: exporters bake the picture's
/// size into them. One of 2018 spelt it in a way that lays `block * block` small pictures side by side instead, in every
/// engine that takes it at its word; nobody can have meant that, and the file gives one picture here.
fn shuffles(graph: &mut GraphProto) {
    let mut lists: HashMap<String, Vec<i64>> =
        graph.initializer.iter().filter_map(|t| Some((t.name.clone(), list(t)?))).collect();
    let constants = graph.node.iter().filter(|n| n.op_type == "Constant");
    lists.extend(constants.filter_map(|n| {
        let value = n.attribute.iter().find(|a| a.name == "value")?;
        Some((n.output.first()?.clone(), list(value.t.as_ref()?)?))
    }));
    let mut readers: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, node) in graph.node.iter().enumerate() {
        node.input.iter().for_each(|i| readers.entry(i.clone()).or_default().push(at));
    }
    let only_reader = |node: &NodeProto| -> Option<usize> {
        match readers.get(node.output.first()?)?[..] {
            [one] => Some(one),
            _ => None,
        }
    };
    let mut found = vec![];
    for (at, first) in graph.node.iter().enumerate().filter(|(_, n)| n.op_type == "Reshape") {
        let Some(middle) = only_reader(first) else { continue };
        let Some(last) = only_reader(&graph.node[middle]) else { continue };
        let [middle, last] = [&graph.node[middle], &graph.node[last]];
        let perm = middle.attribute.iter().find(|a| a.name == "perm").map(|a| &a.ints[..]);
        let shape = |n: &NodeProto| n.input.get(1).and_then(|i| lists.get(i)).map(|l| &l[..]);
        if (middle.op_type.as_str(), last.op_type.as_str()) != ("Transpose", "Reshape") {
            continue;
        }
        if let (Some(apart), Some(perm), Some(&[_, out, _, _])) = (shape(first), perm, shape(last))
            && let Some((block, mode)) = shuffle(apart, perm, out)
            && let (Some(from), Some(to)) = (first.input.first(), last.output.first())
        {
            found.push((at, from.clone(), to.clone(), block, mode, only_reader(first), name(last).to_string()));
        }
    }
    for (at, from, to, block, mode, _, called) in &found {
        let attribute = |name: &str, kind: AttributeType| AttributeProto {
            name: name.into(),
            r#type: kind.into(),
            ..AttributeProto::default()
        };
        graph.node[*at] = NodeProto {
            op_type: "DepthToSpace".into(),
            name: called.clone(),
            input: vec![from.clone()],
            output: vec![to.clone()],
            attribute: vec![
                AttributeProto { i: *block, ..attribute("blocksize", AttributeType::Int) },
                AttributeProto { s: mode.as_bytes().into(), ..attribute("mode", AttributeType::String) },
            ],
            ..NodeProto::default()
        };
    }
    // The transposes and last reshapes have no reader, or would compute the result twice.
    let made: HashSet<&String> = found.iter().map(|(_, _, to, ..)| to).collect();
    let middles: HashSet<usize> = found.iter().filter_map(|(_, _, _, _, _, middle, _)| *middle).collect();
    let mut at = 0;
    graph.node.retain(|n| {
        let keep = !middles.contains(&at) && (n.op_type != "Reshape" || !n.output.iter().any(|o| made.contains(o)));
        at += 1;
        keep
    });
}

/// Block and mode of a shuffle that is spelt by the shape with six axes, the order of these, and the channels that come out.
fn shuffle(apart: &[i64], perm: &[i64], out: i64) -> Option<(i64, &'static str)> {
    let &[_, a, b, c, _, _] = apart else { return None };
    match perm {
        [0, 1, 4, 2, 5, 3] if b == c && b > 1 && a == out => Some((b, "CRD")),
        [0, 1, 4, 2, 5, 3] if a == b && a > 1 && c == out => Some((a, "CRD")), // the mosaic
        [0, 3, 4, 1, 5, 2] if a == b && a > 1 && c == out => Some((a, "DCR")),
        _ => None,
    }
}

/// The values of a short list of integers.
fn list(tensor: &TensorProto) -> Option<Vec<i64>> {
    if tensor.data_type != i32::from(DataType::Int64) || tensor.dims.len() != 1 || tensor.dims[0] > MOST_AXES as i64 {
        return None;
    }
    Some(match tensor.raw_data.is_empty() {
        true => tensor.int64_data.clone(),
        false => tensor.raw_data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect(),
    })
}

const HALF: i32 = DataType::Float16 as i32;
const SINGLE: i32 = DataType::Float as i32;

/// Half precision to single: constants, casts, input and output.
fn single_precision(graph: &mut GraphProto) {
    graph.initializer.iter_mut().for_each(widen);
    for node in &mut graph.node {
        let cast = node.op_type == "Cast";
        for attribute in &mut node.attribute {
            attribute.t.iter_mut().chain(&mut attribute.tensors).for_each(widen);
            if cast && attribute.name == "to" && attribute.i == i64::from(HALF) {
                attribute.i = i64::from(SINGLE);
            }
        }
    }
    for info in graph.input.iter_mut().chain(&mut graph.output) {
        if let Some(type_proto::Value::TensorType(kind)) = info.r#type.as_mut().and_then(|t| t.value.as_mut())
            && kind.elem_type == HALF
        {
            kind.elem_type = SINGLE;
        }
    }
}

/// A constant of half precision in single.
fn widen(tensor: &mut TensorProto) {
    if tensor.data_type != HALF {
        return;
    }
    let bits: Vec<u16> = match tensor.raw_data.is_empty() {
        true => tensor.int32_data.iter().map(|&v| v as u16).collect(),
        false => tensor.raw_data.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect(),
    };
    tensor.raw_data = bits.iter().flat_map(|&b| half(b).to_le_bytes()).collect();
    tensor.int32_data.clear();
    tensor.data_type = SINGLE;
}

/// IEEE 754 binary16 to single precision, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

/// Quantisation at run time, undone: `DynamicQuantizeLinear` passes its input on with scale 1 and zero point 0, and the
/// integer products read it as it is. The weights keep the 8 bits that they have.
fn static_quantisation(graph: &mut GraphProto) -> Result<(), String> {
    if !graph.node.iter().any(|n| n.op_type == "DynamicQuantizeLinear") {
        return Ok(());
    }
    let places: HashMap<String, usize> =
        graph.initializer.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect();
    let mut made = Vec::new();
    for node in &mut graph.node {
        let bad = |why: &str| format!("node '{}' ({}): {why}", name(node), node.op_type);
        match node.op_type.as_str() {
            "DynamicQuantizeLinear" => {
                let [y, scale, zero] = &node.output[..] else { return Err(bad("three outputs are needed")) };
                made.push(scalar(scale, DataType::Float, 1f32.to_le_bytes().into()));
                made.push(scalar(zero, DataType::Uint8, vec![0]));
                node.output = vec![y.clone()];
                node.op_type = "Identity".into();
            }
            "ConvInteger" | "MatMulInteger" => {
                let constant = |index: usize| {
                    let name = node.input.get(index).filter(|n| !n.is_empty())?;
                    places.get(name).map(|&at| &graph.initializer[at])
                };
                let weights = constant(1).ok_or_else(|| bad("its weights are not constants"))?;
                let zeros = constant(3).map(integers).unwrap_or_default();
                if zeros.len() > 1 {
                    return Err(bad("more than one zero point of weights"));
                }
                let zero = zeros.first().copied().unwrap_or(0.0);
                let real: Vec<u8> = integers(weights).iter().flat_map(|v| (v - zero).to_le_bytes()).collect();
                let called = format!("{}.weights", name(node));
                made.push(TensorProto {
                    name: called.clone(),
                    dims: weights.dims.clone(),
                    data_type: SINGLE,
                    raw_data: real,
                    ..TensorProto::default()
                });
                node.op_type = if node.op_type == "ConvInteger" { "Conv" } else { "MatMul" }.into();
                node.input = vec![node.input[0].clone(), called];
            }
            _ => {}
        }
    }
    graph.initializer.extend(made);
    Ok(())
}

fn scalar(name: &str, kind: DataType, raw: Vec<u8>) -> TensorProto {
    TensorProto { name: name.into(), data_type: kind.into(), raw_data: raw, ..TensorProto::default() }
}

/// The values of an 8-bit constant.
fn integers(tensor: &TensorProto) -> Vec<f32> {
    let signed = tensor.data_type == i32::from(DataType::Int8);
    let value = |byte: u8| if signed { f32::from(byte as i8) } else { f32::from(byte) };
    match tensor.raw_data.is_empty() {
        true => tensor.int32_data.iter().map(|&v| v as f32).collect(),
        false => tensor.raw_data.iter().map(|&b| value(b)).collect(),
    }
}
