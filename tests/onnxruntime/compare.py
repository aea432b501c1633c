"""The engine against onnxruntime: the same file, the same padded frames.

The scales of the files leave no value near a tie (models/ctnet/ties.py), so the bytes are the same, with onnxruntime's
optimiser on and off: at least 99.99 % of them, and none further than one level.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SIZES = [(1, 1), (17, 31), (161, 113), (640, 360)]


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


def main():
    binary = sys.argv[1]
    failed = 0
    for model in sorted((ROOT / "models").glob("*.onnx")):
        for name, session in sessions(model):
            meta = session.get_modelmeta().custom_metadata_map
            for source in sorted((ROOT / "tests/pictures").glob("*.png")):
                for w, h in SIZES:
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
