"""What the tests share: pictures, and the command that the package is compared with."""

import os
import subprocess
import sys

import numpy as np

# The command; `tests/python/run` names it.
COMMAND = os.environ.get("BIFOCAL", "bifocal")
ODD = (37, 53)  # height, width


def scene(height, width, channels=3, seed=1):
    """Edges, slopes and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [
        (96 + 80 * np.sin((x * (c + 2) + y * 3) / 9) + 40 * ((x // 7 + y // (5 + c)) % 2) + rng.integers(0, 12, x.shape))
        for c in range(channels)
    ]
    return np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)


def yuv(height, width, seed=1):
    """A packed frame of YUV 4:2:0 as Y, U, V."""
    u, v = (scene(-(-height // 2), -(-width // 2), 1, seed + n)[..., 0] // 2 + 60 for n in (1, 2))
    return scene(height, width, 1, seed)[..., 0], u, v


def flat(planes):
    """Planes one after the other."""
    return np.concatenate([plane.ravel() for plane in planes])


def padded(planes, stride):
    """Planes as picamera2 gives them: rows of `stride` bytes, of chroma half of that, in an array of such rows."""
    rows = []
    for plane, length in zip(planes, (stride, stride // 2, stride // 2)):
        filled = np.full((plane.shape[0], length), 0xA5, np.uint8)
        filled[:, : plane.shape[1]] = plane
        rows.append(filled.ravel())
    return np.concatenate(rows).reshape(-1, stride)


def command(*arguments, given=b"", fails=False):
    """Standard output of the command; standard error where it is to fail."""
    done = subprocess.run([COMMAND, *map(str, arguments)], input=given, capture_output=True)
    if fails:
        assert done.returncode not in (0, 1), done.stderr
        return done.stderr.decode().strip().removeprefix("bifocal: ")
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def upscaled(picture, *arguments):
    """A picture through `bifocal upscale`."""
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    height, width = picture.shape[:2]
    given = {1: b"P5", 3: b"P6"}[channels] + b" %d %d 255\n" % (width, height) + picture.tobytes()
    out = command("upscale", "-", "-", "-f", "ppm", *arguments, given=given)
    magic, size, depth, rows = out.split(b"\n", 3)
    assert (magic, depth) == (b"P6", b"255"), out[:20]
    width, height = map(int, size.split())
    large = np.frombuffer(rows, np.uint8).reshape(height, width, 3)
    if channels == 3:
        return large
    assert (large == large[..., :1]).all()
    return large[..., 0]


def live(planes, kind, sink="-", *arguments):
    """One YUV frame as Y4M through `bifocal live`; the bytes of the frame that comes out."""
    height, width = planes[0].shape
    given = b"YUV4MPEG2 W%d H%d F25:1 Ip C%s\nFRAME\n" % (width, height, kind.encode()) + flat(planes).tobytes()
    out = command("live", "-", sink, *arguments, given=given)
    return np.frombuffer(out.split(b"FRAME\n", 1)[1] if out.startswith(b"YUV4MPEG2") else out, np.uint8)


def in_python(code, **environment):
    """What another Python prints."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    ).stdout
