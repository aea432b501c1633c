"""Writes a trained network as a QDQ int8 ONNX file with dynamic height and width.

    models/export --checkpoint models/checkpoints/ctnet-tiny-x2.pt --name ctnet-tiny-x2 --data "what it learnt from"

Every shape in the file is constant but H and W: windows are cut by SpaceToDepth and a Reshape that copies one
spatial axis (0) and infers the other (-1), so no Shape arithmetic is needed and any engine can load it.
"""

import argparse
import copy
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from .layers import PAIR, WINDOW, pairs, untied
from .family import NAMES, build
from .ties import choose

LICENCE = "MIT OR Apache-2.0"
OPSET = 13
MODELS = Path(__file__).resolve().parents[1]


class OnnxOps:
    """The same program as `TorchOps`, written down. A value is the name of a dequantised tensor."""

    def __init__(self, chosen):
        """`chosen`: scales of the activations by quantiser; the quantiser's own where it is not in there."""
        self.chosen = chosen
        self.nodes, self.constants, self.count = [], {}, 0
        self.scales = {}  # dequantised tensor -> scale, for the biases
        self.channels = {}  # dequantised output of a convolution -> its channels

    def _name(self, kind):
        self.count += 1
        return f"{kind}_{self.count}"

    def _constant(self, name, array):
        self.constants[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def _node(self, kind, inputs, name=None, **attributes):
        name = name or self._name(kind.lower())
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _out(self, x, q):
        """QuantizeLinear and DequantizeLinear after `x`."""
        scale = self._constant(f"{x}_scale", np.float32(self._scale(q)))
        zero = self._constant(f"{x}_zero_point", np.uint8(q.zero_point))
        quantised = self._node("QuantizeLinear", [x, scale, zero], f"{x}_q")
        value = self._node("DequantizeLinear", [quantised, scale, zero], f"{x}_dq")
        self.scales[value] = self._scale(q)
        return value

    def _scale(self, q):
        return self.chosen.get(q, q.scale)

    def input(self, x, q):
        return self._out(x, q)

    def _conv(self, layer, x, q_out, name=None, factor=None):
        w, b = (t.detach() for t in layer.effective(factor))
        s = untied(layer.scales(w).double(), self.scales[x] / self._scale(q_out))
        name = name or self._name("conv")
        q = torch.clamp(torch.round(w / s.view(-1, 1, 1, 1)), -127, 127)
        if (most := max(float(sums.max()) for sums in pairs(q))) > PAIR:
            raise ValueError(f"{name}: neighbouring weights sum to {most:.0f}, which may saturate 16 bits; the most is {PAIR}")
        q = q.to(torch.int8).numpy()
        bias_scale = (s.numpy() * self.scales[x]).astype(np.float32)
        s = s.numpy().astype(np.float32)
        bias = np.round(b.double().numpy() / bias_scale).astype(np.int32)
        ws = self._constant(f"{name}_weight_scale", s)
        wz = self._constant(f"{name}_weight_zero_point", np.zeros(len(s), np.int8))
        weight = self._node("DequantizeLinear", [self._constant(f"{name}_weight", q), ws, wz], f"{name}_weight_dq", axis=0)
        bs = self._constant(f"{name}_bias_scale", bias_scale)
        bz = self._constant(f"{name}_bias_zero_point", np.zeros(len(s), np.int32))
        bias = self._node("DequantizeLinear", [self._constant(f"{name}_bias", bias), bs, bz], f"{name}_bias_dq", axis=0)
        p, k = layer.padding, layer.kernel
        return self._node(
            "Conv", [x, weight, bias], name,
            kernel_shape=[k, k], pads=[p] * 4, dilations=[layer.dilation] * 2, strides=[1, 1], group=layer.groups,
        )  # fmt: skip

    def conv(self, layer, x, q, relu=False, name=None, factor=None):
        y = self._conv(layer, x, q, name, factor)
        y = self._out(self._node("Relu", [y]) if relu else y, q)
        self.channels[y] = len(layer.bias)
        return y

    def add(self, a, b, q, relu=False, name=None):
        y = self._node("Add", [a, b], name)
        return self._out(self._node("Relu", [y]) if relu else y, q)

    def concat(self, parts, q):
        """Quantised by the scale that its parts share: no value changes, and engines keep the move in int8."""
        return parts[0] if len(parts) == 1 else self._out(self._node("Concat", parts, axis=1), q)

    def _moved(self, source, x):
        self.scales[x] = self.scales[source]
        return x

    def space_to_depth(self, x):
        return self._moved(x, self._node("SpaceToDepth", [x], blocksize=2))

    def depth_to_space(self, x):
        return self._moved(x, self._node("DepthToSpace", [x], blocksize=2, mode="DCR"))

    def attention(self, q, k, v, scores, out, shift, name=None):
        channels = self.channels[v]
        q, k, v = (self._windows(t, shift) for t in (q, k, v))
        k = self._node("Transpose", [k], perm=[0, 1, 3, 2])
        s = self._out(self._node("Relu", [self._node("MatMul", [q, k])]), scores)
        o = self._out(self._node("MatMul", [s, v]), out)
        return self._moved(o, self._merge(o, channels, shift))

    def _windows(self, x, shift):
        """1 x C x h x w to (h / 8) x (w / 8) x 64 x C."""
        channels = self.channels[x]
        if shift:
            pads = self._constant("window_shift_pads", np.array([0, 0, shift, shift] * 2, np.int64))
            x = self._node("Pad", [x, pads], mode="edge")
        x = self._node("SpaceToDepth", [x], blocksize=WINDOW)
        shape = self._constant(f"windows_{channels}", np.array([WINDOW * WINDOW, channels, 0, -1], np.int64))
        return self._node("Transpose", [self._node("Reshape", [x, shape])], perm=[2, 3, 0, 1])

    def _merge(self, x, channels, shift):
        shape = self._constant(f"merge_{channels}", np.array([1, WINDOW * WINDOW * channels, 0, -1], np.int64))
        x = self._node("Reshape", [self._node("Transpose", [x], perm=[2, 3, 0, 1]), shape])
        x = self._node("DepthToSpace", [x], blocksize=WINDOW, mode="DCR")
        if shift:
            starts = self._constant("window_shift_starts", np.array([shift, shift], np.int64))
            ends = self._constant("window_shift_ends", np.array([-shift, -shift], np.int64))
            axes = self._constant("window_shift_axes", np.array([2, 3], np.int64))
            x = self._node("Slice", [x, starts, ends, axes])
        return x

    def pool(self, x, q, along):
        kernel = [1, WINDOW] if along == "x" else [WINDOW, 1]
        return self._out(self._node("AveragePool", [x], kernel_shape=kernel, strides=kernel), q)

    def gate(self, x, g, q, along):
        scales = np.array([1, 1, 1, WINDOW] if along == "x" else [1, 1, WINDOW, 1], np.float32)
        scales = self._constant(f"gate_{along}_scales", scales)
        g = self._node(
            "Resize", [g, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )
        return self._out(self._node("Mul", [x, g]), q)

    def unit(self, layer, x, q):
        y = self._conv(layer, x, q)
        lo, hi = self._constant("unit_low", np.float32(0)), self._constant("unit_high", np.float32(1))
        return self._out(self._node("Clip", [y, lo, hi]), q)

    def output(self, residual, y, q, scale):
        picture = self._out(self._node("Add", [residual, y]), q)
        return self._node("DepthToSpace", [picture], "picture", blocksize=scale, mode="DCR")


def digest(net):
    """SHA-256 over the float weights that are deployed, by name."""
    h = hashlib.sha256()
    for name, value in sorted(net.deployed().items()):
        h.update(name.encode() + value.detach().to(torch.float32).numpy().tobytes())
    return h.hexdigest()


def export(net, path, data="", seed=0):
    ops = OnnxOps(choose(net)[0])
    output = net(ops, "luma")
    scale = net.config.scale
    graph = helper.make_graph(
        ops.nodes, net.config.name,
        [helper.make_tensor_value_info("luma", TensorProto.FLOAT, [1, 1, "H", "W"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, 1, None, None])],
        list(ops.constants.values()),
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="ctnet")
    meta = {
        "name": net.config.name, "scale": scale, "window": 2 * WINDOW, "colour": "luma-bt601-full", "licence": LICENCE,
        "branches": json.dumps(net.silent), "training_data": data, "seed": seed, "weights_sha256": digest(net),
    }  # fmt: skip
    helper.set_model_props(model, {k: str(v) for k, v in meta.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def silenced(model, names):
    """A copy of the model with the named convolutions giving nought, so that one branch runs alone."""
    model = copy.deepcopy(model)
    for tensor in model.graph.initializer:
        if tensor.name in {f"{n}_{part}" for n in names for part in ("weight", "bias")}:
            tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(tensor)), tensor.name))
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--name", default="ctnet-tiny-x2", choices=NAMES)
    parser.add_argument("--out", help="default: models/NAME.onnx")
    parser.add_argument("--data", default="", help="what it was trained on, for the metadata")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    net = build(args.name)
    net.load_state_dict(torch.load(args.checkpoint, weights_only=True)["average"])
    export(net, args.out or MODELS / f"{args.name}.onnx", args.data, args.seed)


if __name__ == "__main__":
    main()
