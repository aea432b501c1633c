//! Operators on small tensors: what is expected, and what tract's own reading of ONNX gives.

use tract_core::internal::*;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{self, AttributeProto, NodeProto, TensorProto};
use tract_onnx::prelude::InferenceModelExt as _;

/// Nodes and constants that lead from the picture `x` to `y`.
struct File {
    opset: i64,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

/// A node called after its result.
fn node(operator: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: operator.into(),
        name: output.into(),
        input: inputs.iter().map(|i| i.to_string()).collect(),
        output: vec![output.into()],
        attribute,
        ..NodeProto::default()
    }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: kind.into(), ..AttributeProto::default() }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..attribute(name, AttributeType::Int) }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { ints: ints.into(), ..attribute(name, AttributeType::Ints) }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { f, ..attribute(name, AttributeType::Float) }
}

fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto { s: s.into(), ..attribute(name, AttributeType::String) }
}

fn tensor(name: &str, dims: &[i64], data_type: DataType) -> TensorProto {
    TensorProto { name: name.into(), dims: dims.into(), data_type: data_type.into(), ..TensorProto::default() }
}

fn list(name: &str, values: &[i64]) -> TensorProto {
    TensorProto { int64_data: values.into(), ..tensor(name, &[values.len() as i64], DataType::Int64) }
}

fn reals(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto { float_data: values.into(), ..tensor(name, dims, DataType::Float) }
}

fn small(name: &str, dims: &[i64], data_type: DataType, values: &[i32]) -> TensorProto {
    TensorProto { int32_data: values.into(), ..tensor(name, dims, data_type) }
}

fn scalar(name: &str, value: f32) -> TensorProto {
    reals(name, &[], &[value])
}

fn file(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> File {
    File { opset: 13, nodes, constants }
}

/// One node from `x` to `y`, with constants.
fn one(operator: &str, attributes: Vec<AttributeProto>, constants: Vec<TensorProto>) -> File {
    let inputs: Vec<&str> = std::iter::once("x").chain(constants.iter().map(|c| c.name.as_str())).collect();
    let node = node(operator, &inputs, "y", attributes);
    file(vec![node], constants)
}

type Made = Result<(Vec<usize>, Vec<f32>), String>;

impl File {
    fn opset(self, opset: i64) -> Self {
        Self { opset, ..self }
    }

    fn bytes(&self, channels: usize) -> Vec<u8> {
        let value = pb::tensor_shape_proto::dimension::Value::DimValue;
        let dim = [1, channels as i64, 0, 0].map(|size| pb::tensor_shape_proto::Dimension {
            value: (size > 0).then(|| value(size)),
            ..Default::default()
        });
        let shape = Some(pb::TensorShapeProto { dim: dim.into() });
        let picture = pb::type_proto::Tensor { elem_type: DataType::Float.into(), shape };
        let kind = pb::TypeProto { value: Some(Value::TensorType(picture)), ..Default::default() };
        let input = pb::ValueInfoProto { name: "x".into(), r#type: Some(kind), ..Default::default() };
        let output = pb::ValueInfoProto { name: "y".into(), ..Default::default() };
        let graph = pb::GraphProto {
            node: self.nodes.clone(),
            initializer: self.constants.clone(),
            input: vec![input],
            output: vec![output],
            ..Default::default()
        };
        let opset = pb::OperatorSetIdProto { version: self.opset, ..Default::default() };
        let model = pb::ModelProto { graph: Some(graph), opset_import: vec![opset], ..Default::default() };
        prost::Message::encode_to_vec(&model)
    }

    /// What our wiring makes of a ramp of `1 x c x h x w`.
    fn ours(&self, [c, h, w]: [usize; 3]) -> Made {
        let proto = super::decode(&self.bytes(c))?;
        run(super::wire(&proto, (h, w))?, [1, c, h, w]).map_err(|e| e.to_string())
    }

    /// The same by tract's own reading.
    fn theirs(&self, [c, h, w]: [usize; 3]) -> TractResult<(Vec<usize>, Vec<f32>)> {
        let mut model = tract_onnx::onnx().model_for_read(&mut &self.bytes(c)[..])?;
        model.set_input_fact(0, f32::fact([1, c, h, w]).into())?;
        run(model.into_typed()?, [1, c, h, w])
    }

    /// Both must give these values in this shape.
    fn gives(&self, from: [usize; 3], shape: &[usize], values: &[f32]) {
        assert_eq!(self.ours(from).unwrap(), (shape.to_vec(), values.to_vec()));
        self.agrees(from);
    }

    /// Both must give the same.
    fn agrees(&self, from: [usize; 3]) {
        assert_eq!(self.ours(from).unwrap(), self.theirs(from).unwrap(), "{:?}", self.nodes);
    }

    /// It must be refused, with this in the reason.
    fn refused(&self, from: [usize; 3], reason: &str) {
        let error = self.ours(from).expect_err("it is refused");
        assert!(error.contains(reason), "{error}");
    }
}

fn run(model: TypedModel, shape: [usize; 4]) -> TractResult<(Vec<usize>, Vec<f32>)> {
    let ramp: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
    let output = model.into_runnable()?.run(tvec!(Tensor::from_shape(&shape, &ramp)?.into_tvalue()))?.remove(0);
    let values = output.cast_to::<f32>()?;
    Ok((output.shape().to_vec(), values.to_plain_array_view::<f32>()?.iter().copied().collect()))
}

fn slice(start: i64, end: i64, axis: i64, step: i64) -> File {
    let constants = [("starts", start), ("ends", end), ("axes", axis), ("steps", step)];
    one("Slice", vec![], constants.map(|(name, value)| list(name, &[value])).to_vec())
}

#[test]
fn slices() {
    slice(-3, -1, 3, 1).gives([1, 2, 4], &[1, 1, 2, 2], &[1.0, 2.0, 5.0, 6.0]);
    slice(1, i64::MAX, -1, 1).gives([1, 2, 3], &[1, 1, 2, 2], &[1.0, 2.0, 4.0, 5.0]);
    slice(-1, i64::MIN, 2, -1).gives([1, 3, 1], &[1, 1, 3, 1], &[2.0, 1.0, 0.0]);
    slice(3, 0, 3, -2).gives([1, 1, 5], &[1, 1, 1, 2], &[3.0, 1.0]);
    slice(-99, 99, 3, 3).gives([1, 1, 7], &[1, 1, 1, 3], &[0.0, 3.0, 6.0]);
    slice(3, 1, 3, 1).refused([1, 1, 5], "empty");
    slice(0, 1, 4, 1).refused([1, 1, 5], "axis 4 of 4");
    slice(0, 1, 3, 0).refused([1, 1, 5], "steps [0]");
    let old = vec![ints("starts", &[1, -1]), ints("ends", &[9, 9]), ints("axes", &[2, 3])];
    one("Slice", old, vec![]).opset(9).gives([1, 3, 2], &[1, 1, 2, 1], &[3.0, 5.0]);
}

#[test]
fn reshapes() {
    let to = |shape: &[i64]| one("Reshape", vec![], vec![list("shape", shape)]);
    let ramp: Vec<f32> = (0..12).map(|i| i as f32).collect();
    to(&[0, 4, -1]).gives([2, 2, 3], &[1, 4, 3], &ramp);
    to(&[-1]).gives([2, 2, 3], &[12], &ramp);
    to(&[3, 0, 2, -1]).gives([2, 2, 3], &[3, 2, 2, 1], &ramp);
    to(&[-1, -1]).refused([2, 2, 3], "[1, 2, 2, 3] to [-1, -1]");
    to(&[5, -1]).refused([2, 2, 3], "to [5, -1]");
    to(&[1, 1, 1, 1, 0]).refused([2, 2, 3], "to [1, 1, 1, 1, 0]");
    to(&[i64::MAX, i64::MAX, 4]).refused([2, 2, 3], "to [9223372036854775807");
    one("Reshape", vec![int("allowzero", 1)], vec![list("shape", &[0, -1])]).refused([2, 2, 3], "to [0, -1]");
    one("Flatten", vec![int("axis", 2)], vec![]).gives([2, 2, 3], &[2, 6], &ramp);
    one("Flatten", vec![int("axis", -1)], vec![]).agrees([2, 2, 3]);
}

#[test]
fn blocks() {
    let eight: Vec<f32> = (0..8).map(|i| i as f32).collect();
    let reshape = || node("Reshape", &["x", "shape"], "channels", vec![]);
    let to_space = |mode| {
        let turn = node("DepthToSpace", &["channels"], "y", vec![int("blocksize", 2), text("mode", mode)]);
        file(vec![reshape(), turn], vec![list("shape", &[1, 8, 1, 1])])
    };
    to_space("DCR").gives([1, 2, 4], &[1, 2, 2, 2], &[0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
    to_space("CRD").gives([1, 2, 4], &[1, 2, 2, 2], &eight);
    to_space("XYZ").refused([1, 2, 4], "node 'y' (DepthToSpace): mode XYZ");
    let to_depth = |block| one("SpaceToDepth", vec![int("blocksize", block)], vec![]);
    to_depth(2).gives([2, 2, 2], &[1, 8, 1, 1], &[0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
    to_depth(2).agrees([3, 4, 6]);
    to_depth(3).refused([2, 2, 2], "blocks of 3");
    to_depth(0).refused([2, 2, 2], "blocksize 0 is out of range");
    to_depth(i64::MAX).refused([2, 2, 2], "is out of range");
}

#[test]
fn resizes() {
    let resize = |attributes, by: &[f32]| {
        let scales = reals("scales", &[by.len() as i64], by);
        file(vec![node("Resize", &["x", "", "scales"], "y", attributes)], vec![scales])
    };
    let modes = |coordinates, rounding| {
        vec![text("coordinate_transformation_mode", coordinates), text("nearest_mode", rounding)]
    };
    let repeated = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
    let by = [1.0, 1.0, 2.0, 3.0];
    resize(vec![], &by).gives([1, 1, 2], &[1, 1, 2, 6], &repeated);
    for (coordinates, rounding) in
        [("asymmetric", "floor"), ("half_pixel", "round_prefer_ceil"), ("pytorch_half_pixel", "round_prefer_floor")]
    {
        resize(modes(coordinates, rounding), &by).gives([1, 1, 2], &[1, 1, 2, 6], &repeated);
        resize(modes(coordinates, rounding), &[1.0, 1.0, 4.0, 1.0]).agrees([2, 3, 2]);
    }
    resize(modes("asymmetric", "round_prefer_floor"), &[1.0, 1.0, 2.0, 2.0]).agrees([1, 3, 4]);
    resize(modes("asymmetric", "round_prefer_floor"), &by).refused([1, 3, 4], "does not repeat");
    resize(modes("align_corners", "floor"), &by).refused([1, 3, 4], "does not repeat");
    resize(vec![text("mode", "linear")], &by).refused([1, 1, 2], "only nearest");
    resize(vec![], &[1.0, 1.0, 1.5, 1.0]).refused([1, 2, 2], "by 1.5");
    resize(vec![], &[1.0, 1.0, f32::NAN, 1.0]).refused([1, 2, 2], "by NaN");
    // The first Resize rounds down, as onnxruntime does; tract rounds to the nearest, which differs from 3 on.
    let first = |by: &[f32]| one("Resize", vec![], vec![reals("scales", &[4], by)]).opset(10);
    assert_eq!(first(&by).ours([1, 1, 2]).unwrap(), (vec![1, 1, 2, 6], repeated.to_vec()));
    first(&[1.0, 1.0, 2.0, 2.0]).agrees([2, 3, 4]);
    let sizes = node("Resize", &["x", "", "", "sizes"], "y", vec![]);
    file(vec![sizes], vec![list("sizes", &[1, 1, 2, 6])]).gives([1, 1, 2], &[1, 1, 2, 6], &repeated);
}

#[test]
fn pads() {
    let around = || list("pads", &[0, 0, 1, 0, 0, 0, 0, 2]);
    let edge = one("Pad", vec![text("mode", "edge")], vec![around()]);
    let expected = [0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0];
    edge.gives([1, 2, 2], &[1, 1, 3, 4], &expected);
    let filled = one("Pad", vec![], vec![around(), scalar("value", 9.0)]);
    filled.gives([1, 1, 1], &[1, 1, 2, 3], &[9.0, 9.0, 9.0, 0.0, 9.0, 9.0]);
    let old = vec![ints("pads", &[0, 0, 0, 1, 0, 0, 0, 0]), float("value", 5.0)];
    one("Pad", old, vec![]).opset(9).gives([1, 1, 1], &[1, 1, 1, 2], &[5.0, 0.0]);
    let axes = node("Pad", &["x", "pads", "", "axes"], "y", vec![text("mode", "edge")]);
    let axes = file(vec![axes], vec![list("pads", &[1, 0]), list("axes", &[-1])]).opset(18);
    axes.gives([1, 1, 2], &[1, 1, 1, 3], &[0.0, 0.0, 1.0]);
    one("Pad", vec![], vec![list("pads", &[0, 0, -1, 0, 0, 0, 0, 0])]).refused([1, 2, 2], "pad -1 is out of range");
    one("Pad", vec![], vec![list("pads", &[0, 0, 65536, 0, 0, 0, 0, 65536])]).refused([1, 1, 1], "too large");
    one("Pad", vec![text("mode", "reflect")], vec![around()]).refused([1, 2, 2], "reflect is not supported here");
}

#[test]
fn bounds() {
    one("Relu", vec![], vec![]).agrees([1, 2, 2]);
    let limits = || vec![scalar("low", 1.0), scalar("high", 2.0)];
    one("Clip", vec![], limits()).gives([1, 1, 4], &[1, 1, 1, 4], &[1.0, 1.0, 2.0, 2.0]);
    let high = file(vec![node("Clip", &["x", "", "high"], "y", vec![])], limits());
    high.gives([1, 1, 4], &[1, 1, 1, 4], &[0.0, 1.0, 2.0, 2.0]);
    let old = vec![float("min", 1.0), float("max", 2.0)];
    one("Clip", old, vec![]).opset(7).gives([1, 1, 4], &[1, 1, 1, 4], &[1.0, 1.0, 2.0, 2.0]);
    one("Max", vec![], limits()).agrees([1, 1, 4]);
    one("Sub", vec![], vec![reals("rows", &[2, 1], &[1.0, 2.0])]).agrees([2, 2, 2]);
    one("Div", vec![], vec![scalar("by", 3.0)]).agrees([2, 2, 2]);
    one("Add", vec![], vec![list("other", &[1])]).refused([1, 1, 1], "inputs of types F32 and I64");
}

#[test]
fn convolutions() {
    let weights = |dims: &[i64]| {
        let count: i64 = dims.iter().product();
        reals("weights", dims, &(0..count).map(|i| (i % 5) as f32 - 2.0).collect::<Vec<_>>())
    };
    let conv = |attributes, dims: &[i64], bias: &[f32]| {
        let bias = reals("bias", &[bias.len() as i64], bias);
        one("Conv", attributes, vec![weights(dims), bias])
    };
    let pads = || vec![ints("pads", &[1, 1, 1, 1]), ints("kernel_shape", &[3, 3])];
    conv(pads(), &[2, 3, 3, 3], &[1.0, -1.0]).agrees([3, 4, 5]);
    conv(pads(), &[1, 3, 3, 3], &[7.0]).agrees([3, 4, 5]);
    conv([pads(), vec![int("group", 3)]].concat(), &[3, 1, 3, 3], &[0.0; 3]).agrees([3, 4, 5]);
    let wide = vec![ints("pads", &[2, 2, 2, 2]), ints("dilations", &[2, 2]), ints("strides", &[2, 1])];
    conv(wide, &[1, 1, 3, 3], &[0.5]).agrees([1, 6, 5]);
    one("Conv", vec![text("auto_pad", "SAME_UPPER")], vec![weights(&[2, 1, 3, 3])]).agrees([1, 4, 5]);
    conv(pads(), &[2, 2, 3, 3], &[0.0; 2]).refused([3, 4, 5], "3 channels, weights for 2 in 1 groups");
    conv(vec![int("group", 0)], &[1, 1, 3, 3], &[0.0]).refused([1, 4, 5], "group 0 is out of range");
    conv(vec![ints("strides", &[0, 1])], &[1, 1, 3, 3], &[0.0]).refused([1, 4, 5], "strides 0");
    conv(vec![], &[1, 1, 5, 5], &[0.0]).refused([1, 4, 5], "kernel [5, 5]");
    let pool = || vec![ints("kernel_shape", &[1, 2]), ints("strides", &[1, 2])];
    one("AveragePool", pool(), vec![]).gives([1, 1, 4], &[1, 1, 1, 2], &[0.5, 2.5]);
    one("AveragePool", [pool(), vec![ints("pads", &[0, 1, 0, 1])]].concat(), vec![]).agrees([2, 2, 4]);
}

#[test]
fn quantisation() {
    let zero = |kind, value| small("zero", &[], kind, &[value]);
    for (kind, value) in [(DataType::Uint8, 3), (DataType::Int8, -2)] {
        let constants = vec![scalar("scale", 0.7), zero(kind, value)];
        let names = ["scale", "zero"];
        let there = node("QuantizeLinear", &["x", names[0], names[1]], "q", vec![]);
        let back = node("DequantizeLinear", &["q", names[0], names[1]], "y", vec![]);
        file(vec![there.clone(), back], constants.clone()).agrees([2, 10, 20]);
        let only = NodeProto { output: vec!["y".into()], ..there };
        file(vec![only], constants).agrees([2, 10, 20]);
    }
    // By row, of a constant.
    let weights = small("w", &[2, 3], DataType::Int8, &[-128, 127, 0, 5, 6, 7]);
    let scales = reals("scale", &[2], &[0.1, 0.3]);
    let zeros = small("zero", &[2], DataType::Int8, &[0, -7]);
    let real = node("DequantizeLinear", &["w", "scale", "zero"], "real", vec![int("axis", 0)]);
    let sum = node("Add", &["x", "real"], "y", vec![]);
    file(vec![real, sum.clone()], vec![weights.clone(), scales, zeros]).agrees([1, 2, 3]);
    let long = node("DequantizeLinear", &["w", "scale"], "real", vec![int("axis", 1)]);
    let long = file(vec![long, sum], vec![weights, reals("scale", &[2], &[0.1, 0.3])]);
    long.refused([1, 2, 3], "node 'real' (DequantizeLinear): as many scales");
}

#[test]
fn axes() {
    one("Transpose", vec![ints("perm", &[0, 2, 3, 1])], vec![]).agrees([2, 3, 4]);
    one("Transpose", vec![], vec![]).agrees([2, 3, 4]);
    one("Transpose", vec![ints("perm", &[0, 2, 2, 1])], vec![]).refused([2, 3, 4], "twice");
    one("Squeeze", vec![], vec![list("axes", &[0, -1])]).agrees([2, 3, 1]);
    one("Squeeze", vec![], vec![list("axes", &[1])]).refused([2, 3, 1], "axes [1] of [1, 2, 3, 1]");
    one("Unsqueeze", vec![ints("axes", &[4, 0])], vec![]).opset(11).agrees([2, 3, 1]);
    let expand = |from, to: &[i64]| {
        let nodes = vec![node("Expand", &[from, "to"], "wide", vec![]), node("Add", &["x", "wide"], "y", vec![])];
        file(nodes, vec![list("to", to), reals("c", &[2, 1], &[1.0, 2.0])])
    };
    expand("c", &[3, 1, 4]).agrees([3, 2, 4]);
    expand("c", &[1 << 40, 1, 1]).refused([1, 2, 1], "too large");
    expand("x", &[1, 1, 4, 4]).refused([1, 1, 4], "node 'wide' (Expand): not supported here");
    one("Concat", vec![int("axis", -3)], vec![reals("c", &[1, 1, 1, 2], &[8.0, 9.0])]).agrees([2, 1, 2]);
    one("Gather", vec![int("axis", 3)], vec![list("places", &[-1, 0])]).agrees([2, 3, 4]);
    one("Gather", vec![int("axis", 3)], vec![list("places", &[4])]).refused([2, 3, 4], "outside of axis 3");
    let turn = node("Transpose", &["x"], "t", vec![ints("perm", &[0, 1, 3, 2])]);
    file(vec![turn, node("MatMul", &["x", "t"], "y", vec![])], vec![]).agrees([2, 3, 4]);
    file(vec![node("MatMul", &["x", "x"], "y", vec![])], vec![]).refused([2, 3, 4], "a product of");
}

/// What PyTorch writes where code reads the size of a tensor: all of it must fold away.
#[test]
fn arithmetic_on_shapes() {
    let constant = |name: &str, value: TensorProto| {
        let value = AttributeProto { t: Some(value), ..attribute("value", AttributeType::Tensor) };
        node("Constant", &[], name, vec![value])
    };
    let flattened = file(
        vec![
            node("Shape", &["x"], "shape", vec![]),
            constant("two", small("", &[], DataType::Int32, &[2])),
            node("Gather", &["shape", "two"], "height", vec![]),
            constant("half", TensorProto { int64_data: vec![2], ..tensor("", &[], DataType::Int64) }),
            node("Div", &["height", "half"], "rows", vec![]),
            node("Unsqueeze", &["rows", "nought"], "listed", vec![]),
            node("Concat", &["nought", "rest", "listed"], "to", vec![int("axis", 0)]),
            node("Reshape", &["x", "to"], "y", vec![]),
        ],
        vec![list("nought", &[0]), list("rest", &[-1])],
    );
    let ramp: Vec<f32> = (0..24).map(|i| i as f32).collect();
    flattened.gives([1, 4, 6], &[1, 12, 2], &ramp);
    let proto = super::decode(&flattened.bytes(1)).unwrap();
    let typed = super::wire(&proto, (4, 6)).unwrap();
    let moves = typed.nodes().iter().filter(|n| !n.op_is::<super::Const>()).count();
    assert_eq!(moves, 2, "the input and the reshape: {typed}");

    // `functional.pad`, whose list runs from the last axis to the first.
    let padded = file(
        vec![
            node("ConstantOfShape", &["missing"], "zeros", vec![int_tensor("value", 0)]),
            node("Concat", &["given", "zeros"], "all", vec![int("axis", 0)]),
            node("Reshape", &["all", "pairs"], "paired", vec![]),
            node("Slice", &["paired", "last", "least", "nought", "last"], "turned", vec![]),
            node("Transpose", &["turned"], "across", vec![ints("perm", &[1, 0])]),
            node("Reshape", &["across", "last"], "flat", vec![]),
            node("Cast", &["flat"], "pads", vec![int("to", 7)]),
            node("Pad", &["x", "pads"], "y", vec![text("mode", "edge")]),
        ],
        vec![
            list("missing", &[4]),
            list("given", &[0, 1, 1, 0]),
            list("pairs", &[-1, 2]),
            list("last", &[-1]),
            list("least", &[i64::MIN + 1]),
            list("nought", &[0]),
        ],
    );
    padded.gives([1, 1, 2], &[1, 1, 2, 3], &[0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
}

fn int_tensor(name: &str, value: i64) -> AttributeProto {
    AttributeProto { t: Some(list("", &[value])), ..attribute(name, AttributeType::Tensor) }
}

#[test]
fn what_is_damaged_is_refused() {
    let relu = |input: &str, output: &str| node("Relu", &[input], output, vec![]);
    file(vec![relu("z", "y"), relu("y", "z")], vec![]).refused([1, 1, 1], "its input 'z' is computed nowhere before");
    file(vec![relu("x", "z")], vec![]).refused([1, 1, 1], "the output 'y' is computed nowhere");
    file(vec![relu("x", "y"), relu("x", "y")], vec![]).refused([1, 1, 1], "another node is called 'y'");
    file(vec![node("Sqrt", &["x"], "y", vec![])], vec![]).refused([1, 1, 1], "node 'y' (Sqrt): not supported here");
    let other = NodeProto { domain: "elsewhere".into(), ..relu("x", "y") };
    file(vec![other], vec![]).refused([1, 1, 1], "node 'y' (Relu): not supported here");
    one("Relu", vec![], vec![]).opset(5).refused([1, 1, 1], "operator set 5");
    let typed = AttributeProto { name: "axis".into(), f: 1.0, ..attribute("axis", AttributeType::Float) };
    one("Flatten", vec![typed], vec![]).refused([1, 1, 1], "attribute 'axis' is of another type");
    let huge = |name| one("Add", vec![], vec![tensor(name, &[i64::MAX, 4], DataType::Float)]);
    huge("c").refused([1, 1, 1], "constant 'c' is too large");
    let short = one("Add", vec![], vec![reals("c", &[3], &[1.0])]);
    short.refused([1, 1, 1], "constant 'c' has not as much data as its shape says");
    // Small files that ask for much memory.
    let fill = |i: usize| node("ConstantOfShape", &["shape"], &format!("c{i}"), vec![]);
    let fills = (0..33).map(fill).chain([relu("x", "y")]).collect();
    file(fills, vec![list("shape", &[1 << 22])]).refused([1, 1, 1], "constants of more than");
    let long = node("ConstantOfShape", &["shape"], "long", vec![int_tensor("value", 1)]);
    let long = file(vec![long, node("Reshape", &["x", "long"], "y", vec![])], vec![list("shape", &[1 << 20])]);
    long.refused([1, 1, 1], "node 'y' (Reshape): input 1 is not a short list");
    let fill = node("ConstantOfShape", &["shape"], "y", vec![]);
    file(vec![fill], vec![list("shape", &[1 << 31, 1 << 31, 4])]).refused([1, 1, 1], "too large");
}
