"""Upscalers of other families (tests/models) through the program against onnxruntime: 99.9 % of samples within a level of
255 and all within two, whole and in tiles; those of integers the same in tiles.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SIZES = [(64, 48), (161, 113)]
GRIDS = {"swin-x2": 8, "unshuffled-x2": 2, "int8-many-x2": 2}  # sizes must be multiples; frames are continued by their last pixels
LOST = {"waifu2x-x2": 3}  # pixels that the network loses at a border, which is mirrored
AS_WRITTEN = {"int8-linear-x2"}  # onnxruntime's optimiser enlarges bytes, and cuts off what the file rounds
STEPS = {"bytes-x2": 1, "of-bytes-x2": 1}  # levels of the network's 1, where they are not 255


def expected(name, session, image):
    h, w = image.shape[:2]
    grid, lost = GRIDS.get(name, 1), LOST.get(name, 0)
    x = np.pad(image, ((0, -h % grid), (0, -w % grid), (0, 0)), mode="edge")
    x = np.pad(x, ((lost, lost), (lost, lost), (0, 0)), mode="reflect")
    x = x[None] if name.startswith("nhwc") else x.transpose(2, 0, 1)[None]
    steps = STEPS.get(name, 255)
    (info,) = session.get_inputs()
    kind = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}[info.type]
    x = x.astype(np.float32) / 127.5 - 1 if name.startswith("signed") else x.astype(np.float32) / steps
    x = (x * steps if kind == np.uint8 else x).astype(kind)
    y = session.run(None, {info.name: x})[0][0].astype(np.float32)
    y = (y + 1) * 127.5 if name.startswith("signed") else y * steps
    scale = int(name.split("-x")[1][0])
    return np.clip(np.round(y), 0, 255).transpose(1, 2, 0)[: scale * h, : scale * w]


def main():
    binary, failed = sys.argv[1], 0
    source = Image.open(ROOT / "tests/pictures/towers.png")
    for model in sorted((ROOT / "tests/models").glob("*.onnx")):
        name = model.stem
        if name.startswith("refused"):
            continue
        options = ort.SessionOptions()
        if name in AS_WRITTEN:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        for w, h in SIZES:
            if name.endswith("fixed") and (w, h) != SIZES[0]:
                continue  # onnxruntime takes the one size
            picture = source.resize((w, h)).convert("L" if "-y-" in name else "RGB")
            image = np.asarray(picture).reshape(h, w, -1)
            theirs = expected(name, session, image)
            for tile in ("auto", "48"):
                with tempfile.TemporaryDirectory() as folder:
                    before, after = Path(folder, "in.png"), Path(folder, "out.png")
                    picture.save(before)
                    call = [binary, "upscale", "-q", "-m", model, "--mem", "512MiB", "--tile", tile, before, after]
                    subprocess.run(call, check=True)
                    ours = np.asarray(Image.open(after)).reshape(theirs.shape)
                d = np.abs(ours.astype(int) - theirs)
                within = (d <= 1).mean()
                ok = within >= 0.999 and d.max() <= 2
                failed += not ok
                print(f"{'ok    ' if ok else 'FAILED'} {name} {w}x{h}, tile {tile}: within one {within:.5f}, worst {d.max():.0f}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
