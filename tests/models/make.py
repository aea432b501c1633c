"""Small upscalers of the families that people use, with seeded weights near the identity: what goes in comes out enlarged.

    make.py FOLDER [NAME...]

One file a family, in the spelling that its exporters use; `refused-*` must be refused. The files are our own.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
ROOT = Path(__file__).resolve().parents[2]


class Net:
    """Nodes and constants, from `x` on."""

    def __init__(self, seed, channels=3, opset=17, ir=8, layout="nchw", size=(None, None), kind=FLOAT, as_nodes=False):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants, self.at, self.as_nodes = [], [], "x", as_nodes
        self.channels, self.opset, self.ir, self.kind = channels, opset, ir, kind
        h, w = (n if n else f"s{i}" for i, n in enumerate(size))
        self.shape = [1, channels, h, w] if layout == "nchw" else [1, h, w, channels]
        self.count = 0
        self.c = channels

    def name(self, stem):
        self.count += 1
        return f"{stem}_{self.count}"

    def constant(self, value, stem="const"):
        value = np.asarray(value)
        name = self.name(stem)
        tensor = numpy_helper.from_array(value, name)
        if self.as_nodes:
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.constants.append(tensor)
        return name

    def op(self, operator, *inputs, domain=None, outputs=1, **attributes):
        names = [self.name(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=names[0], domain=domain, **attributes))
        self.at = names[0]
        return self.at if outputs == 1 else names

    def weights(self, outputs, inputs, k, groups=1, noise=0.03):
        w = self.rng.normal(0, noise / np.sqrt(inputs * k * k), (outputs, inputs // groups, k, k))
        for o in range(outputs):
            w[o, (o % inputs) if groups == 1 else 0, k // 2, k // 2] += 1
        return w.astype(np.float32)

    def conv(self, outputs, k=3, groups=1, pads="same", x=None, w=None, bias=True, **more):
        inputs = self.c
        w = self.weights(outputs, inputs, k, groups) if w is None else w
        b = [self.constant(self.rng.normal(0, 0.003, outputs).astype(np.float32), "b")] if bias else []
        p = {"same": {"pads": [k // 2] * 4}, "valid": {}, "upper": {"auto_pad": "SAME_UPPER"}}[pads]
        self.op("Conv", x or self.at, self.constant(w, "w"), *b, kernel_shape=[k, k], group=groups, **p, **more)
        self.c = outputs
        return self.at

    def to_pixels(self, scale, k=3, pads="same", mode="CRD"):
        """Convolution and shuffle: every sub-pixel is its channel."""
        out, inputs = self.channels, self.c
        w = self.rng.normal(0, 0.03 / np.sqrt(inputs * k * k), (out * scale * scale, inputs, k, k)).astype(np.float32)
        for o in range(out * scale * scale):
            w[o, o // (scale * scale) if mode == "CRD" else o % out, k // 2, k // 2] += 1
        self.conv(out * scale * scale, k, pads=pads, w=w)
        if mode == "spelt":
            return self.at
        return self.op("DepthToSpace", self.at, blocksize=scale, **({} if mode == "none" else {"mode": mode}))

    def prelu(self):
        return self.op("PRelu", self.at, self.constant(self.rng.uniform(0.1, 0.4, (self.c, 1, 1)).astype(np.float32)))

    def enlarged(self, x, scale, mode="nearest"):
        how = {"nearest": {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}}
        more = how.get(mode, {"coordinate_transformation_mode": "half_pixel"})
        scales = self.constant(np.array([1, 1, scale, scale], np.float32))
        return self.op("Resize", x, "", scales, mode=mode, **more)

    def model(self, inputs=(), kind_out=None):
        info = helper.make_tensor_value_info
        self.op("Identity", self.at)
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            "net",
            [info("x", self.kind, self.shape), *inputs],
            [info("y", kind_out or self.kind, [None] * 4)],
            self.constants,
        )
        sets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=self.ir)


def espcn(seed=1, fixed=None, scale=2):
    n = Net(seed, channels=1, opset=11, size=fixed or (None, None))
    n.conv(16, 5), n.op("Tanh", n.at), n.conv(8), n.op("Tanh", n.at)
    if not fixed:
        n.to_pixels(scale)
        return n.model()
    h, w = fixed
    n.to_pixels(scale, mode="spelt")
    n.op("Reshape", n.at, n.constant(np.array([-1, 1, scale, scale, h, w])))
    n.op("Transpose", n.at, perm=[0, 1, 4, 2, 5, 3])
    n.op("Reshape", n.at, n.constant(np.array([-1, 1, scale * h, scale * w])))
    return n.model()


def fsrcnn():
    n = Net(2, channels=1, opset=11)
    n.conv(12, 5), n.prelu(), n.conv(6, 1), n.prelu(), n.conv(6), n.prelu(), n.conv(12, 1), n.prelu()
    w = np.zeros((12, 1, 9, 9), np.float32)
    w[0, 0, 3:5, 3:5] = 1
    w += n.rng.normal(0, 0.002, w.shape).astype(np.float32)
    n.op("ConvTranspose", n.at, n.constant(w), strides=[2, 2], pads=[3, 3, 4, 4], kernel_shape=[9, 9])
    n.op("Slice", n.at, *(n.constant(np.array(v)) for v in ([0, 0], [1 << 60, 1 << 60], [2, 3])))
    return n.model()


def compact(scale=2, layers=4, width=16, half=False, seed=3):
    n = Net(seed, opset=17)
    n.conv(width), n.prelu()
    for _ in range(layers):
        n.conv(width), n.prelu()
    w = n.rng.normal(0, 0.01, (3 * scale * scale, width, 3, 3)).astype(np.float32)
    n.conv(3 * scale * scale, w=w)
    y = n.op("DepthToSpace", n.at, blocksize=scale, mode="CRD")
    n.op("Add", y, n.enlarged("x", scale))
    model = n.model()
    return halved(model) if half else model


def halved(model):
    """Weights, input and output in half precision, with the names of dimensions that dynamo exports leave behind."""
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == FLOAT and not tensor.name.startswith("const") or tensor.name.startswith(("w", "b")):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.shape != (4,):
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), tensor.name))
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    graph.value_info.append(helper.make_tensor_value_info("conv_3", TensorProto.FLOAT16, [1, 16, "s53", "s0"]))
    return model


def srcnn():
    n = Net(4, channels=1, opset=9, ir=4)
    n.conv(16, 9), n.op("Relu", n.at), n.conv(8, 1), n.op("Relu", n.at), n.conv(1, 5)
    return n.model()


def vdsr():
    n = Net(5, channels=1, opset=9, ir=4)
    for _ in range(4):
        n.conv(8, bias=False), n.op("Relu", n.at)
    n.conv(1, w=n.rng.normal(0, 0.003, (1, 8, 3, 3)).astype(np.float32), bias=False)
    n.op("Add", n.at, "x")
    return n.model()


def span():
    n = Net(6, opset=17)
    first = n.conv(12)
    for _ in range(2):
        before = n.at
        a = n.op("Relu", n.conv(12))
        b = n.conv(12)
        gate = n.op("Sub", n.op("Sigmoid", b), n.constant(np.float32(0.5)))
        n.op("Add", n.op("Mul", n.op("Add", a, b), gate), before)
    n.op("Concat", first, n.at, axis=1)
    n.c = 24
    w = n.rng.normal(0, 0.03, (12, 24, 1, 1)).astype(np.float32) / 5
    for o in range(12):
        w[o, o] += 1
    n.conv(12, 1, w=w)
    n.to_pixels(2)
    return n.model()


def edge_sr():
    """Softmax over channels chooses between filters."""
    n = Net(7, channels=1, opset=13)
    s, c = 2, 3
    n.conv(2 * c * s * s, 5)
    n.op("DepthToSpace", n.at, blocksize=s)
    upper = n.op("Slice", n.at, *(n.constant(np.array([v])) for v in (0, c, 1)))
    lower = n.op("Slice", n.nodes[-1].input[0], *(n.constant(np.array([v])) for v in (c, 2 * c, 1)))
    n.op("Mul", upper, n.op("Softmax", lower, axis=1))
    n.op("ReduceSum", n.at, n.constant(np.array([1])), keepdims=1)
    return n.model()


def quicksr():
    n = Net(8, opset=11)
    n.conv(16)
    for _ in range(3):
        n.op("Clip", n.conv(16), n.constant(np.float32(0)), n.constant(np.float32(6)))
    n.to_pixels(3, mode="CRD")
    n.op("Clip", n.at, n.constant(np.float32(0)), n.constant(np.float32(1)))
    return n.model()


def edsr():
    n = Net(9, opset=12)
    head = n.conv(12)
    for _ in range(2):
        before = n.at
        n.op("Relu", n.conv(12))
        n.op("Add", n.op("Mul", n.conv(12), n.constant(np.float32(0.1))), before)
    n.op("Add", n.conv(12, w=n.rng.normal(0, 0.002, (12, 12, 3, 3)).astype(np.float32)), head)
    n.to_pixels(2, mode="DCR")
    return n.model()


def rrdb():
    n = Net(10, opset=13)
    n.conv(8)
    for _ in range(2):
        before = n.at
        seen = [before]
        for _ in range(2):
            x = n.op("Concat", *seen, axis=1) if len(seen) > 1 else seen[0]
            n.c = 8 + 4 * (len(seen) - 1)
            w = n.rng.normal(0, 0.1 / np.sqrt(9 * n.c), (4, n.c, 3, 3)).astype(np.float32)
            seen.append(n.op("LeakyRelu", n.conv(4, x=x, w=w), alpha=0.2))
        n.c = 16
        n.conv(8, x=n.op("Concat", *seen, axis=1), w=n.rng.normal(0, 0.02, (8, 16, 3, 3)).astype(np.float32))
        n.op("Add", n.op("Mul", n.at, n.constant(np.float32(0.2))), before)
    n.op("LeakyRelu", n.conv(8, x=n.enlarged(n.at, 2)), alpha=0.2)
    n.op("LeakyRelu", n.conv(8, x=n.enlarged(n.at, 2)), alpha=0.2)
    n.conv(3)
    return n.model()


def swin():
    """One window attention with layer normalisation, sizes from Shape, beside the picture."""
    n = Net(11, opset=17)
    c, t = 12, 8
    start = n.conv(c)
    shape = n.op("Shape", start)
    h, w = (n.op("Gather", shape, n.constant(np.array(i)), axis=0) for i in (2, 3))
    rows, cols = (n.op("Div", v, n.constant(np.array(t))) for v in (h, w))
    lift = lambda v: n.op("Unsqueeze", v, n.constant(np.array([0])))
    known = lambda *v: n.op("Concat", *(x if isinstance(x, str) else n.constant(np.array([x])) for x in v), axis=0)
    rows, cols, h, w = map(lift, (rows, cols, h, w))
    n.op("Reshape", start, known(1, c, rows, t, cols, t))
    n.op("Transpose", n.at, perm=[0, 2, 4, 3, 5, 1])
    tokens = n.op("Reshape", n.at, n.constant(np.array([-1, t * t, c])))
    n.op("LayerNormalization", tokens, n.constant(np.ones(c, np.float32)), n.constant(np.zeros(c, np.float32)), axis=-1)
    normal = n.at
    q, k, v = (n.op("MatMul", normal, n.constant(n.rng.normal(0, 0.3, (c, c)).astype(np.float32))) for _ in range(3))
    scores = n.op("Softmax", n.op("MatMul", q, n.op("Transpose", k, perm=[0, 2, 1])), axis=-1)
    mixed = n.op("Mul", n.op("MatMul", scores, v), n.constant(np.float32(0.02)))
    n.op("Add", mixed, tokens)
    n.op("Reshape", n.at, known(1, rows, cols, t, t, c))
    n.op("Transpose", n.at, perm=[0, 5, 1, 3, 2, 4])
    n.op("Reshape", n.at, known(1, c, h, w))
    n.c = c
    n.to_pixels(2)
    return n.model()


def waifu2x():
    n = Net(12, opset=13)
    for width in (8, 8, 12):
        n.op("LeakyRelu", n.conv(width, pads="valid"), alpha=0.1)
    w = np.zeros((12, 3, 4, 4), np.float32)
    for c in range(3):
        w[c, c, 1:3, 1:3] = 1
    n.op("ConvTranspose", n.at, n.constant(w + n.rng.normal(0, 0.002, w.shape).astype(np.float32)), strides=[2, 2],
         pads=[1, 1, 1, 1], kernel_shape=[4, 4])
    return n.model()


def nhwc():
    """As tf2onnx writes it: rows and columns first."""
    n = Net(13, opset=13, layout="nhwc")
    n.op("Transpose", "x", perm=[0, 3, 1, 2])
    n.op("Relu", n.conv(12, pads="upper")), n.op("Relu", n.conv(12, pads="upper"))
    n.to_pixels(2, pads="upper", mode="DCR")
    return n.model()


def bytes_in():
    n = Net(14, opset=13, kind=TensorProto.UINT8)
    n.op("Cast", "x", to=FLOAT)
    n.op("Relu", n.conv(12)), n.to_pixels(2)
    n.op("Clip", n.op("Round", n.at), n.constant(np.float32(0)), n.constant(np.float32(255)))
    n.op("Cast", n.at, to=TensorProto.UINT8)
    return n.model()


def of_bytes():
    """0..255 in and out: the bias makes sense there alone."""
    n = Net(15, opset=13)
    n.op("Add", "x", n.constant(np.array([-114, -111, -103], np.float32).reshape(1, 3, 1, 1)))
    n.conv(12), n.op("PRelu", n.at, n.constant(np.full((12, 1, 1), 0.9, np.float32)))
    n.to_pixels(2)
    n.op("Add", n.at, n.constant(np.array([114, 111, 103], np.float32).reshape(1, 3, 1, 1)))
    return n.model()


def signed():
    """-1..1 in and out."""
    n = Net(16, opset=13)
    n.op("Tanh", n.op("Mul", n.conv(12), n.constant(np.float32(0.9))))
    n.to_pixels(2), n.op("Clip", n.at, n.constant(np.float32(-1)), n.constant(np.float32(1)))
    return n.model()


def reflect():
    n = Net(17, opset=13)
    for width in (8, 8):
        n.op("Pad", n.at, n.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])), mode="reflect")
        n.op("Relu", n.conv(width, pads="valid"))
    n.to_pixels(2)
    return n.model()


def unshuffled():
    """Sees the picture at half its size, as four times as many channels."""
    n = Net(18, opset=13)
    n.op("SpaceToDepth", "x", blocksize=2)
    n.c = 12
    n.op("Relu", n.conv(24))
    n.channels = 3
    w = n.rng.normal(0, 0.002, (48, 24, 3, 3)).astype(np.float32)
    for o in range(48):
        # Output pixel (i, j) of 4 x 4 lies on input pixel (i / 2, j / 2) of 2 x 2; SpaceToDepth puts colours innermost.
        colour, i, j = o // 16, o % 16 // 4, o % 4
        w[o, (i // 2 * 2 + j // 2) * 3 + colour, 1, 1] += 1
    n.conv(48, w=w)
    n.op("DepthToSpace", n.at, blocksize=4, mode="CRD")
    return n.model()


def old_constants():
    """IR 3: constants are listed among the inputs; others are nodes."""
    n = Net(19, channels=1, opset=8, ir=3)
    n.op("Relu", n.conv(8, 5)), n.to_pixels(2, mode="spelt")
    n.op("DepthToSpace", n.at, blocksize=2)
    model = n.model()
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return model


def constant_nodes():
    n = Net(20, opset=12, as_nodes=True)
    n.conv(12)
    n.prelu(), n.to_pixels(2, mode="none")
    return n.model()


def resize_by_shape():
    n = Net(21, opset=13)
    n.op("Relu", n.conv(8))
    shape = n.op("Shape", n.at)
    part = n.op("Slice", shape, *(n.constant(np.array([v])) for v in (2, 4, 0)))
    channels = n.op("Slice", shape, *(n.constant(np.array([v])) for v in (0, 2, 0)))
    sizes = n.op("Concat", channels, n.op("Mul", part, n.constant(np.array([2, 2]))), axis=0)
    n.op("Resize", n.nodes[1].output[0], "", "", sizes, mode="linear",
         coordinate_transformation_mode="half_pixel")
    n.c = 8
    n.conv(3)
    return n.model()


def cubic():
    n = Net(22, opset=13)
    wide = n.enlarged("x", 2, "cubic")
    small = n.conv(12, w=n.rng.normal(0, 0.01, (12, 3, 3, 3)).astype(np.float32), x="x")
    n.op("Add", n.op("DepthToSpace", small, blocksize=2, mode="CRD"), wide)
    return n.model()


def global_gate():
    """A gate from the mean of the whole picture."""
    n = Net(23, opset=13)
    wide = n.conv(8)
    n.op("Sigmoid", n.conv(8, 1, x=n.op("GlobalAveragePool", wide)))
    n.op("Mul", wide, n.op("Add", n.at, n.constant(np.float32(0.5))))
    n.to_pixels(2)
    return n.model()


def dynamic_int8():
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        before, after = f"{folder}/a.onnx", f"{folder}/b.onnx"
        onnx.save(compact(seed=24), before)
        quantize_dynamic(before, after)
        return onnx.load(after)


def quantised(net):
    """In 8 bits by `models/quantize`, with the pictures of the tests."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = f"{folder}/a.onnx", f"{folder}/b.onnx"
        onnx.save(net, before)
        pictures = ["--photos", ROOT / "tests/pictures", "--count", "1", "--held-out", "1", "--size", "64"]
        command = [sys.executable, ROOT / "models/quantize", before, *pictures, "-o", after, "--most-loss", "3"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return onnx.load(after)


def linear():
    """A network that adds to the picture enlarged linearly, its borders continued."""
    n = Net(33, opset=17)
    n.op("Relu", n.conv(8))
    n.op("Pad", n.at, n.constant(np.array([0, 0, 2, 2, 0, 0, 2, 2])), mode="edge")
    n.conv(8, 5, pads="valid")
    w = n.rng.normal(0, 0.01, (12, 8, 3, 3)).astype(np.float32)
    y = n.op("DepthToSpace", n.conv(12, w=w), blocksize=2, mode="CRD")
    n.op("Add", n.enlarged("x", 2, "linear"), y)
    return n.model()


def operators_of_integers():
    """The other spelling of a quantised network: QLinearConv and its like."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Once(CalibrationDataReader):
        def __init__(self):
            self.left = [{"x": np.random.default_rng(5).random((1, 3, 32, 32), np.float32)}]

        def get_next(self):
            return self.left.pop() if self.left else None

    n = Net(32, opset=13)
    wide = n.conv(8)
    n.op("Relu", wide)
    n.op("Add", n.conv(8), n.op("LeakyRelu", wide, alpha=0.1))
    n.op("Mul", n.at, n.op("Sigmoid", n.at))
    n.to_pixels(2)
    with tempfile.TemporaryDirectory() as folder:
        before, after = f"{folder}/a.onnx", f"{folder}/b.onnx"
        onnx.save(n.model(), before)
        quantize_static(before, after, Once(), quant_format=QuantFormat.QOperator, per_channel=True, reduce_range=True)
        return onnx.load(after)


def many():
    """What stands between convolutions elsewhere: gates, tables, parts of tensors, shuffles both ways, other kernels."""
    n = Net(31, opset=17)
    wide = n.conv(16, 1)
    a, b = n.op("Split", n.op("HardSwish", wide), n.constant(np.array([6, 10])), axis=1, outputs=2)
    n.c = 6
    a = n.op("LeakyRelu", n.conv(10, x=a, groups=2), alpha=0.2)
    gate = n.op("Sigmoid", b)
    product = n.op("Mul", a, gate)
    n.c = 20
    n.conv(16, 5, x=n.op("Concat", product, a, axis=1), pads="upper")
    n.op("AveragePool", n.at, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    less = n.op("Sub", n.op("Clip", n.at, n.constant(np.float32(0)), n.constant(np.float32(6))), wide)
    n.op("SpaceToDepth", n.op("Add", less, wide), blocksize=2)
    n.c = 64
    n.op("DepthToSpace", n.op("Tanh", n.conv(32, 1)), blocksize=2, mode="DCR")
    n.c = 8
    n.to_pixels(2)
    return n.model()


def two_inputs():
    n = Net(25, opset=13)
    n.op("Mul", n.conv(8), "factor")
    n.to_pixels(2)
    return n.model(inputs=[helper.make_tensor_value_info("factor", FLOAT, [1])])


def control_flow():
    n = Net(26, opset=13)
    wide = n.conv(8)
    branch = lambda name, op: helper.make_graph(
        [helper.make_node(op, [wide], [name])], name, [], [helper.make_tensor_value_info(name, FLOAT, None)]
    )
    condition = n.constant(np.array(True))
    n.op("If", condition, then_branch=branch("then", "Relu"), else_branch=branch("other", "Abs"))
    n.to_pixels(2)
    return n.model()


def foreign_operator():
    n = Net(27, opset=13)
    n.op("BiasSplitGelu", n.conv(8), domain="com.microsoft")
    n.to_pixels(2)
    return n.model()


def eight_channels():
    n = Net(28, channels=8, opset=13)
    n.conv(8), n.to_pixels(2)
    return n.model()


FAMILIES = {
    "espcn-y-x2": espcn,
    "espcn-y-x3-fixed": lambda: espcn(scale=3, fixed=(48, 64)),
    "fsrcnn-y-x2": fsrcnn,
    "compact-x2": compact,
    "compact-x2-half": lambda: compact(half=True),
    "srcnn-y-x1": srcnn,
    "vdsr-y-x1": vdsr,
    "span-x2": span,
    "edge-sr-y-x2": edge_sr,
    "quicksr-x3": quicksr,
    "edsr-x2": edsr,
    "rrdb-x4": rrdb,
    "swin-x2": swin,
    "waifu2x-x2": waifu2x,
    "nhwc-x2": nhwc,
    "bytes-x2": bytes_in,
    "of-bytes-x2": of_bytes,
    "signed-x2": signed,
    "reflect-x2": reflect,
    "unshuffled-x2": unshuffled,
    "old-constants-y-x2": old_constants,
    "constant-nodes-x2": constant_nodes,
    "resize-by-shape-x2": resize_by_shape,
    "cubic-x2": cubic,
    "global-gate-x2": global_gate,
    "dynamic-int8-x2": dynamic_int8,
    "int8-compact-x2": lambda: quantised(compact()),
    "int8-espcn-y-x2": lambda: quantised(espcn()),
    "int8-fsrcnn-y-x2": lambda: quantised(fsrcnn()),
    "int8-edsr-x2": lambda: quantised(edsr()),
    "int8-quicksr-x3": lambda: quantised(quicksr()),
    "int8-many-x2": lambda: quantised(many()),
    "int8-reflect-x2": lambda: quantised(reflect()),
    "int8-linear-x2": lambda: quantised(linear()),
    "int8-operators-x2": operators_of_integers,
    "refused-two-inputs": two_inputs,
    "refused-control-flow": control_flow,
    "refused-foreign-operator": foreign_operator,
    "refused-eight-channels": eight_channels,
}


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or FAMILIES:
        make = FAMILIES[name]
        onnx.save(make(), folder / f"{name}.onnx")


if __name__ == "__main__":
    main()
