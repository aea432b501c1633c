"""The same network in the peers' own file formats, by their own converters."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import networks


def mnn(path, folder, height, width):
    sized, out = folder / f"{path.stem}-sized.onnx", folder / f"{path.stem}.mnn"
    networks.fixed(path, sized, height, width)
    converter = Path(sys.executable).parent / "mnnconvert"
    command = [converter, "-f", "ONNX", "--modelFile", sized, "--MNNModel", out, "--bizCode", "bifocal"]
    subprocess.run(command, check=True, capture_output=True)
    return out


def ncnn(path, folder, height, width):
    """By pnnx, which leaves two things to mend: it knows ncnn's PixelShuffle only under PyTorch's name, and both it and
    Reorg by PyTorch's order of channels, where ONNX's DepthToSpace and SpaceToDepth mean the other."""
    sized = folder / f"{path.stem}_sized.onnx".replace("-", "_")
    networks.fixed(path, sized, height, width)
    converter = Path(find_spec("pnnx").origin).parent / "pnnx"
    subprocess.run([converter, sized.name], check=True, capture_output=True, cwd=folder)
    blocks = dict(re.findall(r"^DepthToSpace\s+(\S+).*?blocksize=(\d+)", sized.with_suffix(".pnnx.param").read_text(), re.M))
    mended = []
    out = sized.with_suffix(".ncnn.param")
    for line in out.read_text().splitlines():
        kind, name, *rest = line.split() if len(line.split()) > 1 else [line, ""]
        if kind == "DepthToSpace":
            line = " ".join(["PixelShuffle", name, *rest, f"0={blocks[name]}", "1=1"])
        elif kind == "Reorg":
            line = line.replace("1=0", "1=1")
        mended.append(line)
    out.write_text("\n".join(mended) + "\n")
    return out
