"""What a camera does to a small picture before it is upscaled: softness, noise, compression.

Softness is what lens and demosaicing leave; noise grows with brightness as photons do, on a floor of the sensor's own;
blocks of 8 x 8 are JPEG's, which MJPG cameras send and which H.264 at low rates resembles. Each varies from hardly there
to plain to see, so that a network learns to leave a good picture alone.
"""

import io

import numpy as np
from PIL import Image

from .resize import blur, u8

BLOCK = 8


def degrade(picture, rng):
    """A u8 H x W picture as a camera might give it; what it does is drawn from `rng`."""
    x = soften(picture.astype(np.float32), rng.uniform(0, 0.8))
    shot, floor = rng.uniform(0, 0.25), rng.uniform(0, 3)
    x += rng.standard_normal(x.shape, np.float32) * np.sqrt(shot * x + floor**2)
    x = u8(x)
    return compress(x, int(rng.integers(50, 96)), rng) if rng.random() < 0.7 else x


def soften(x, sigma):
    """Gaussian of 5 x 5."""
    if sigma < 0.2:
        return x
    window = np.exp(-(np.arange(-2, 3) ** 2) / (2 * sigma**2)).astype(np.float32)
    window /= window.sum()
    return blur(np.pad(x, 2, mode="edge"), window)


def compress(x, quality, rng):
    """JPEG and back, its blocks laid anywhere."""
    h, w = x.shape
    top, left = rng.integers(BLOCK, size=2)
    file = io.BytesIO()
    Image.fromarray(np.pad(x, ((top, 0), (left, 0)), mode="edge")).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))[top : top + h, left : left + w]
