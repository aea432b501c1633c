"""`models/quantize` on networks of tests/models: what it writes runs in integers, near the float network's pictures; what would
lose too much, or cannot be quantised, is refused, and nothing is written.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def quantise(name, out, *more):
    pictures = ["--photos", ROOT / "tests/pictures", "--count", "1", "--held-out", "1", "--size", "48"]
    command = [sys.executable, ROOT / "models/quantize", ROOT / f"tests/models/{name}.onnx", *pictures, "-o", out, *more]
    return subprocess.run(command, capture_output=True, text=True)


def upscaled(binary, model, picture, folder):
    out = Path(folder, "out.png")
    subprocess.run([binary, "upscale", "-q", "-m", model, "--mem", "256MiB", picture, out], check=True)
    return np.asarray(Image.open(out).convert("RGB")).astype(float)


def main():
    binary, failed = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as folder:
        picture, made = Path(folder, "in.png"), Path(folder, "made.onnx")
        Image.open(ROOT / "tests/pictures/towers.png").resize((120, 90)).save(picture)
        for name in ("compact-x2", "old-constants-y-x2"):
            done = quantise(name, made, "--most-loss", "3")
            inspected = subprocess.run([binary, "models", "inspect", made], capture_output=True, text=True).stdout
            ours, floats = (upscaled(binary, m, picture, folder) for m in (made, ROOT / f"tests/models/{name}.onnx"))
            psnr = 10 * np.log10(255**2 / max(np.mean((ours - floats) ** 2), 1e-9))
            ok = done.returncode == 0 and "path           int8" in inspected and psnr > 35
            failed += not ok
            print(f"{'ok    ' if ok else 'FAILED'} {name} quantised: {psnr:.1f} dB to the float network {done.stderr.strip()}")
            made.unlink(missing_ok=True)
        for name, more, reason in [
            ("compact-x2", ["--most-loss", "-9"], "dB would be lost"),
            ("int8-compact-x2", [], "quantised already"),
            ("bytes-x2", [], "not in floats"),
            ("compact-x2", ["--count", "5"], "are needed"),
        ]:
            done = quantise(name, made, *more)
            lines = done.stderr.strip().splitlines()
            ok = done.returncode != 0 and len(lines) == 1 and reason in lines[0] and not made.exists()
            failed += not ok
            print(f"{'ok    ' if ok else 'FAILED'} {name} refused: {done.stderr.strip()}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
