"""Prints a hash of what each kind of frame becomes: the same on every processor."""

import hashlib

import numpy as np

import bifocal

RNG = np.random.default_rng(1)
RGB = RNG.integers(0, 256, (37, 53, 3), np.uint8)
YUV = RNG.integers(0, 256, (72, 80), np.uint8)
SIZED = {"size": (60, 48)}
CASES = [
    (RGB, {}),
    (RGB[..., 0].copy(), {"mem": "1MiB"}),
    (RGB[::-1, 4:41], {"threads": 2}),
    (RGB, {"format": "bgr", "branches": "cnn"}),
    (RGB, {"branches": "auto", "effort": 40}),
    (RGB, {"model": "ctnet-tiny-x3"}),
    (RGB, {"model": "ctnet-nano-x2", "level": "scalar"}),
    (YUV, {"format": "yuv420", **SIZED}),
    (YUV, {"format": "yuv420", "output": "rgb", "matrix": "bt709", **SIZED}),
    (YUV, {"format": "nv12", "output": "bgr", "range": "full", **SIZED}),
]
for frame, arguments in CASES:
    large = bifocal.Upscaler(**{"model": "ctnet-tiny-x2", **arguments})(frame)
    print(hashlib.sha256(large.tobytes()).hexdigest()[:16], large.shape, frame.shape, arguments)
