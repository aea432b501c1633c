"""The engine against onnxruntime: the same file, the same padded frames.

    compare.py BINARY [saturating]

The scales of the files leave no value near a tie (models/ctnet/ties.py), so the bytes are the same, with onnxruntime's
optimiser on and off: at least 99.99 % of them, and none further than one level.

`saturating`: on small frames, and only if this processor adds pairs of u8 x s8 in 16 bits that saturate, as those with AVX2
and without 8-bit dot products do. onnxruntime's optimised kernels give the same bytes there too, since no pair of
neighbouring weights exceeds 16 bits (tests/pairs.rs), and attention multiplies u8 with u8, which is exact.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SIZES = [(1, 1), (17, 31), (161, 113), (640, 360)]
SMALL = [(17, 31), (161, 113)]


def sessions(model):
    levels = ort.GraphOptimizationLevel
    for name, level in (("optimised", levels.ORT_ENABLE_ALL), ("as it stands", levels.ORT_DISABLE_ALL)):
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.log_severity_level = 3
        yield name, ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def expected(session, luma, window, scale):
    h, w = luma.shape
    padded = np.pad(luma, ((0, -h % window), (0, -w % window)), mode="edge")
    (name,) = (i.name for i in session.get_inputs())
    out = session.run(None, {name: padded[None, None].astype(np.float32) / 255})[0][0, 0]
    return np.clip(np.round(out * 255), 0, 255).astype(np.uint8)[: scale * h, : scale * w]


def picture(path, w, h):
    """The picture's luma, continued by mirroring."""
    image = np.asarray(Image.open(path).convert("L"))
    return np.pad(image, ((0, max(0, h - image.shape[0])), (0, max(0, w - image.shape[1]))), mode="symmetric")[:h, :w]


def product(kind, value):
    """What onnxruntime makes of 64 products of 255 and `value`, an integer of the ONNX type `kind`."""
    make, shape = onnx.helper, [64, 64]
    node = make.make_node("MatMulInteger", ["a", "b"], ["sum"])
    inputs = [make.make_tensor_value_info(n, k, shape) for n, k in (("a", onnx.TensorProto.UINT8), ("b", kind))]
    graph = make.make_graph([node], "g", inputs, [make.make_tensor_value_info("sum", onnx.TensorProto.INT32, shape)])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    b = np.full(shape, value, make.tensor_dtype_to_np_dtype(kind))
    return int(session.run(None, {"a": np.full(shape, 255, np.uint8), "b": b})[0][0, 0])


def saturates():
    """Does this processor add pairs of u8 x s8 in too few bits? Those of u8 x u8 must be exact."""
    unsigned = product(onnx.TensorProto.UINT8, 255)
    if unsigned != 64 * 255 * 255:
        sys.exit(f"FAILED u8 x u8 is not exact here: {unsigned}")
    return product(onnx.TensorProto.INT8, 127) != 64 * 255 * 127


def dynamic_types(path):
    """ONNX types of what the file's MatMuls multiply, which is quantised just before, but for moves."""
    graph = onnx.load(path).graph
    made = {output: node for node in graph.node for output in node.output}
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}

    def quantised(name):
        while made[name].op_type != "QuantizeLinear":
            name = made[name].input[0]
        return types[made[name].input[2]]

    return {quantised(name) for node in graph.node if node.op_type == "MatMul" for name in node.input}


def main():
    binary, saturating = sys.argv[1], sys.argv[2:] == ["saturating"]
    failed = 0
    if saturating and not saturates():
        sys.exit("FAILED: pairs of products do not saturate here, so this is not the processor to compare on")
    for model in sorted((ROOT / "models").glob("*.onnx")):
        if dynamic_types(model) - {onnx.TensorProto.UINT8}:
            failed += 1
            print(f"FAILED {model.name}: a MatMul of other bytes than u8")
        for name, session in list(sessions(model))[: 1 if saturating else 2]:
            meta = session.get_modelmeta().custom_metadata_map
            for source in sorted((ROOT / "tests/pictures").glob("*.png")):
                for w, h in SMALL if saturating else SIZES:
                    luma = picture(source, w, h)
                    with tempfile.TemporaryDirectory() as folder:
                        before, after = Path(folder, "in.png"), Path(folder, "out.png")
                        Image.fromarray(luma).save(before)
                        subprocess.run([binary, "upscale", "-q", "-m", str(model), str(before), str(after)], check=True)
                        ours = np.asarray(Image.open(after))
                    theirs = expected(session, luma, int(meta["window"]), int(meta["scale"]))
                    d = np.abs(ours.astype(int) - theirs)
                    equal = (d == 0).mean()
                    ok = ours.shape == theirs.shape and d.max() <= 1 and equal >= 0.9999
                    failed += not ok
                    print(
                        f"{'ok    ' if ok else 'FAILED'} {model.name}, {name}, {source.name} {w}x{h}: equal {equal:.5f}, "
                        f"worst {d.max()}"
                    )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
