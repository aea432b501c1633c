"""The files that the engines run, made from the shipped one or from a seed."""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]


def without_quantisation(path, out):
    """The same network in f32: activations as they are, weights as their integers say."""
    model = onnx.load(path)
    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    renamed, made, kept = {}, {}, []
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            made[node.output[0]] = dequantised(node, constants)
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            renamed[node.output[0]] = renamed.get(node.input[0], node.input[0])
        else:
            kept.append(node)
            continue
    for node in kept:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
    # An output that was made by a DequantizeLinear keeps its name.
    outputs = {renamed[o.name]: o.name for o in graph.output if o.name in renamed}
    for node in kept:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = outputs.get(name, name)
    used = {name for node in kept for name in node.input}
    initializers = [t for t in graph.initializer if t.name in used]
    initializers += [numpy_helper.from_array(v, k) for k, v in made.items() if k in used]
    for field, values in (("node", kept), ("initializer", initializers), ("value_info", [])):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(values)
    onnx.checker.check_model(model)
    onnx.save(model, out)


def dequantised(node, constants):
    data, scale = (constants[name].astype(np.float32) for name in node.input[:2])
    zero = constants[node.input[2]].astype(np.float32) if len(node.input) > 2 else np.float32(0)
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    if scale.ndim and scale.size > 1:
        shape = [-1 if i == axis else 1 for i in range(data.ndim)]
        scale, zero = scale.reshape(shape), np.reshape(zero, shape)
    return ((data - zero) * scale.reshape(scale.shape or ())).astype(np.float32)


def fixed(path, out, height, width):
    """For one frame size, with the shape of every tensor written down: some converters infer too little."""
    model = onnx.load(path)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_value, dims[3].dim_value = height, width
    onnx.save(onnx.shape_inference.infer_shapes(model, data_prop=True), out)


def plain_cnn(out, layers=8, channels=32, scale=2, seed=1):
    """A network as others make them: `layers` 3x3 convolutions with ReLU, a tail and DepthToSpace, He's random weights."""
    random = np.random.default_rng(seed)
    nodes, initializers = [], []

    def conv(name, source, inputs, outputs, relu):
        weights = random.normal(0, np.sqrt(2 / (9 * inputs)), (outputs, inputs, 3, 3)).astype(np.float32)
        bias = random.normal(0, 0.02, outputs).astype(np.float32)
        if not relu:
            # Around the middle of the range, so that the picture is not all black and white.
            weights, bias = weights * 0.25, bias + 0.5
        initializers.append(numpy_helper.from_array(weights.astype(np.float32), f"{name}.weight"))
        initializers.append(numpy_helper.from_array(bias.astype(np.float32), f"{name}.bias"))
        inner = f"{name}.conv" if relu else name
        nodes.append(
            helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [inner], name, kernel_shape=[3, 3], pads=[1] * 4)
        )
        if relu:
            nodes.append(helper.make_node("Relu", [inner], [name], f"{name}.relu"))
        return name

    x, inputs = "luma", 1
    for layer in range(layers):
        x, inputs = conv(f"conv{layer}", x, inputs, channels, True), channels
    x = conv("tail", x, channels, scale * scale, False)
    nodes.append(helper.make_node("DepthToSpace", [x], ["upscaled"], "shuffle", blocksize=scale))
    picture = lambda name, h, w: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, h, w])
    graph = helper.make_graph(
        nodes, "plain", [picture("luma", "H", "W")], [picture("upscaled", f"{scale}*H", f"{scale}*W")], initializers
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, out)


def compact(real, int8):
    """As people use it (RealESRGAN's small one): 16 convolutions of 64 channels with PReLU; in 8 bits by models/quantize."""
    sys.path.insert(0, str(ROOT / "tests/models"))
    import make

    net = make.compact(layers=16, width=64)
    onnx.save(net, real)
    onnx.save(make.quantised(net), int8)


def quantised(path, out, frames):
    """By onnxruntime's own tool, as its documentation recommends for convolutions: QDQ, u8 activations, s8 weights."""
    import logging

    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Frames(CalibrationDataReader):
        def __init__(self):
            self.rest = iter(frames)

        def get_next(self):
            frame = next(self.rest, None)
            return None if frame is None else {"luma": frame}

    logging.getLogger().setLevel(logging.ERROR)
    quantize_static(
        path,
        out,
        Frames(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
