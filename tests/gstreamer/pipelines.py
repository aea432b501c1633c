#!/usr/bin/env python3
"""gst-inspect and gst-launch with the element, compared with the program: the same raw frames in, the same bytes out.

    pipelines.py PROGRAM FOLDER     FOLDER is for files; GST_PLUGIN_PATH names that of the plugin"""

import random
import subprocess
import sys
from pathlib import Path

FRAMES = 3


def run(*command, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **{"timeout": 300, **more})
    return done.returncode, done.stdout, done.stderr


def refusal(*command):
    """What a pipeline that cannot run says. gst-launch-1.0 stops its loop where an error is posted, which is lost if the loop does
    not run yet: then it waits for ever, whatever its elements are, and is asked again."""
    for _ in range(6):
        try:
            code, out, err = run(*command, timeout=20)
        except subprocess.TimeoutExpired as late:
            assert "ERROR: from element" in str(late.stderr), f"{command}: waits, and says nothing"
            continue
        assert code != 0, f"{command}: exit code {code}\n{out}{err}"
        return out + err
    raise AssertionError(f"{command}: waits for ever, each time")


def must(*command):
    code, out, err = run(*command)
    assert code == 0, f"{command}: exit code {code}\n{out}{err}"
    return out


def frames(path, width, height, of_420, seed):
    """Noise, which shows every exchanged sample; for grey and RGB `of_420` is how many bytes a pixel has."""
    size = width * height * 3 // 2 if of_420 is None else width * height * of_420
    path.write_bytes(random.Random(seed).randbytes(size * FRAMES))
    return size


def same(a, b, what):
    a, b = a.read_bytes(), b.read_bytes()
    assert len(a) == len(b) > 0, f"{what}: {len(a)} bytes, not {len(b)}"
    differs = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), None)
    assert differs is None, f"{what}: byte {differs} differs"
    print(f"gst-launch, {what}: {len(a)} bytes, as the program's")


def inspect():
    text = must("gst-inspect-1.0", "bifocal")
    for words in (
        "Bifocal upscaler",
        "Filter/Converter/Video/Scaler",
        "Model by name (ctnet-tiny-x2, ",
        'Default: "ctnet-tiny-x2"',
        'Default: "32MiB"',
        "changeable only in NULL or READY state",
        "changeable in NULL, READY, PAUSED or PLAYING state",
        "Range: 0 - 16 Default: 0",
        "(3): auto",
        "{ NV12, I420, YUY2, GRAY8, RGB, BGRx, ",
    ):
        assert words in " ".join(text.replace("(string)", "").split()), f"gst-inspect-1.0 does not say '{words}':\n{text}"
    print("gst-inspect-1.0 reads well")


def raw(program, folder):
    """Frames higher than 576 are BT.709 to GStreamer and have chroma on the left, as raw ones have it to the program, which does
    not ask for the matrix where planes stay planes."""
    width, height = 40, 578
    for gst, name, channels in (("nv12", "nv12", None), ("i420", "yuv420p", None), ("gray8", "gray", 1), ("rgb", "rgb24", 3)):
        source, expected, given = folder / f"{name}.raw", folder / f"{name}-live.raw", folder / f"{name}-gst.raw"
        frames(source, width, height, channels, name)
        must(program, "live", f"file://{source}?format={name}&width={width}&height={height}", f"file://{expected}?format={name}")
        must(
            "gst-launch-1.0", "-q", "filesrc", f"location={source}", "!", "rawvideoparse", f"format={gst}", f"width={width}",
            f"height={height}", "!", "bifocal", "!", "filesink", f"location={given}",
        )
        same(given, expected, f"{name}, BT.709")


def small(program, folder):
    """Smaller ones have BT.601 and chroma between the pixels, as JPEG; a Y4M file says so to the program."""
    width, height = 32, 20
    source, expected, given = folder / "small.raw", folder / "small-live.raw", folder / "small-gst.raw"
    size = frames(source, width, height, None, 7)
    samples, y4m = source.read_bytes(), folder / "small.y4m"
    parts = (b"FRAME\n" + samples[at : at + size] for at in range(0, len(samples), size))
    y4m.write_bytes(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420jpeg\n" % (width, height) + b"".join(parts))
    must(program, "live", f"file://{y4m}", f"file://{expected}?format=yuv420p", "--model", "ctnet-tiny-x3")
    must(
        "gst-launch-1.0", "-q", "filesrc", f"location={source}", "!", "rawvideoparse", "format=i420", f"width={width}",
        f"height={height}", "!", "bifocal", "model=ctnet-tiny-x3", "threads=1", "mem=4MiB", "!", "filesink", f"location={given}",
    )
    same(given, expected, "yuv420p, BT.601, three times the size")


def refused():
    source = ("videotestsrc", "num-buffers=1", "!", "video/x-raw,format=I420,width=320,height=240", "!")
    for properties, caps, words in (
        ("model=none", "video/x-raw", "there is no model 'none'"),
        ("mem=100k", "video/x-raw", "the least that works is"),
        ("model=ctnet-tiny-x2", "video/x-raw,width=641", "not-negotiated"),
    ):
        said = refusal("gst-launch-1.0", *source, "bifocal", properties, "!", caps, "!", "fakesink")
        assert words in said and "panick" not in said, f"{properties}: {said}"
    print("gst-launch-1.0 says why it fails")


def main():
    program, folder = Path(sys.argv[1]), Path(sys.argv[2])
    inspect()
    raw(program, folder)
    small(program, folder)
    refused()


if __name__ == "__main__":
    main()
