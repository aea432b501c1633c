"""PSNR and SSIM on folders of pictures, as the field measures them.

    models/evaluate --checkpoint models/checkpoints/ctnet-tiny-x2.pt SET5 SET14
    models/evaluate --onnx models/ctnet-tiny-x2.onnx SET5 SET14

Y of BT.601 studio swing, a border of `scale` pixels cut, SSIM with the 11 x 11 Gaussian window (sigma 1.5). The
picture's luma is shrunk by antialiased bicubic and rounded to 8 bits, and the result is rounded to 8 bits.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from .camera import degrade
from .data import load, pair, pictures
from .layers import WINDOW, TorchOps
from .family import NAMES, build
from .resize import blur, resize

GRID = 2 * WINDOW


def upscale(run, lr, scale):
    """u8 luma H x W to u8 luma through `run` (1 x 1 x H x W, 0..1); padded to the window grid by its edge."""
    h, w = lr.shape
    x = np.pad(lr, ((0, -h % GRID), (0, -w % GRID)), mode="edge").astype(np.float32) / 255
    y = run(x[None, None])[0, 0, : h * scale, : w * scale]
    return np.clip(np.round(y * 255), 0, 255)


def network(net, ops, branches="both"):
    def run(x):
        with torch.no_grad():
            return net(ops, torch.from_numpy(x), branches).numpy()

    return run


def studio(y, border):
    return y.astype(np.float64)[border:-border, border:-border] * (219 / 255) + 16


def psnr(a, b, border):
    return 10 * np.log10(255**2 / np.mean((studio(a, border) - studio(b, border)) ** 2))


def ssim(a, b, border):
    a, b = studio(a, border), studio(b, border)
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window /= window.sum()
    ma, mb = blur(a, window), blur(b, window)
    va, vb, cov = blur(a * a, window) - ma**2, blur(b * b, window) - mb**2, blur(a * b, window) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return np.mean((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))


def measure(run, folder, scale, shots=0):
    """Mean (PSNR, SSIM) of `run` over a folder; with `shots`, over so many of each picture by a camera."""
    scores = []
    for path in pictures(folder):
        lr, hr = pair(load(path), scale)
        taken = [degrade(lr, np.random.default_rng(shot)) for shot in range(shots)]
        for picture in taken or [lr]:
            y = upscale(run, picture, scale)
            scores.append((psnr(y, hr, scale), ssim(y, hr, scale)))
    return tuple(float(v) for v in np.mean(scores, 0))


def bicubic(scale):
    return lambda x: resize(x[0, 0], x.shape[2] * scale, x.shape[3] * scale)[None, None]


def mean_psnr(net, folder, ops=None, branches="both"):
    return measure(network(net, ops or TorchOps(), branches), folder, net.config.scale)[0]


def checkpoint_rows(path, name):
    """What to measure of a checkpoint: float and simulated int8, together and each branch alone."""
    net = build(name)
    net.load_state_dict(torch.load(path, weights_only=True)["average"])
    for kind, ops in (("float", TorchOps()), ("int8", TorchOps(quantised=True))):
        for branches in ("both", *net.silent):
            yield f"{kind} {branches}", network(net, ops, branches), net.config.scale


def onnx_rows(path):
    """The same of a file, through onnxruntime; a branch alone has the other's tensors set to nought."""
    import onnx
    import onnxruntime

    from .export import silenced

    model = onnx.load(path)
    meta = {p.key: p.value for p in model.metadata_props}
    silent = {"both": [], **json.loads(meta["branches"])}
    for branches, tensors in silent.items():
        one = silenced(model, tensors)
        session = onnxruntime.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"])
        run = lambda x, s=session: s.run(None, {s.get_inputs()[0].name: x})[0]  # noqa: E731
        yield f"file {branches}", run, int(meta["scale"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint")
    parser.add_argument("--name", default="ctnet-tiny-x2", choices=NAMES, help="what the checkpoint holds")
    parser.add_argument("--onnx")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shots", type=int, default=0, help="so many of each picture, as a camera gives them")
    parser.add_argument("sets", nargs="+", help="folders of full-size pictures")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = list(checkpoint_rows(args.checkpoint, args.name)) if args.checkpoint else []
    rows += list(onnx_rows(args.onnx)) if args.onnx else []
    if not rows:
        parser.error("give --checkpoint, --onnx or both")
    rows.insert(0, ("bicubic", bicubic(rows[0][2]), rows[0][2]))
    print("| | " + " | ".join(Path(s).name for s in args.sets) + " |\n" + "| --- " * (len(args.sets) + 1) + "|")
    for name, run, scale in rows:
        cells = ("{:.3f} / {:.4f}".format(*measure(run, folder, scale, args.shots)) for folder in args.sets)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
