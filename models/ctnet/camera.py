"""What a camera does to a small picture before it is upscaled: softness, noise, compression.

Softness is what lens and demosaicing leave; noise grows with brightness as photons do, on a floor of the sensor's own;
blocks of 8 x 8 are JPEG's, which MJPG cameras send and which H.264 at low rates resembles. Each varies from hardly there
to plain to see, so that a network learns to leave a good picture alone.
"""

import io

import numpy as np
import torch
import torch.nn.functional as F
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


# The same of a batch, on the device that holds it.

# JPEG's example table of luma (ITU-T T.81, table K.1), which libjpeg scales by quality.
TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


class Camera:
    """`degrade` of batches in 0..1, N x 1 x H x W with sides that are multiples of 8; reads no number on the host."""

    def __init__(self, device):
        k = torch.arange(BLOCK, dtype=torch.float64)
        cosines = torch.cos((2 * k + 1) * k.view(-1, 1) * torch.pi / (2 * BLOCK)) * (2 / BLOCK) ** 0.5
        cosines[0] /= 2**0.5
        self.cosines = cosines.float().to(device)
        self.table = torch.tensor(TABLE, dtype=torch.float32, device=device).view(1, 1, 1, BLOCK, BLOCK)
        self.taps = torch.arange(-2.0, 3.0, device=device)

    def __call__(self, x):
        n = len(x)
        draw = torch.rand(5, n, 1, 1, 1, device=x.device)
        x = self._soften(x * 255, draw[0] * 0.8)
        shot, floor = draw[1] * 0.25, draw[2] * 3
        x = (x + torch.randn_like(x) * (shot * x + floor**2).clamp(min=0).sqrt()).round().clamp(0, 255)
        compressed = self._compress(x, 50 + (draw[3] * 46).floor())
        return torch.where(draw[4] < 0.7, compressed, x) / 255

    def _soften(self, x, sigma):
        """Gaussian of 5 x 5, of each picture's own `sigma`; below 0.2 it hardly has a second tap."""
        window = torch.exp(-(self.taps**2) / (2 * sigma.clamp(min=0.1) ** 2)).view(len(x), 5)
        window = window / window.sum(1, keepdim=True)
        x = F.pad(x, (2,) * 4, mode="replicate").transpose(0, 1)
        x = F.conv2d(x, window.view(-1, 1, 5, 1), groups=len(window))
        return F.conv2d(x, window.view(-1, 1, 1, 5), groups=len(window)).transpose(0, 1)

    def _compress(self, x, quality):
        """To blocks of 8 x 8 cosines, in steps of the table at `quality`, and back; all blocks of a batch begin at one place."""
        n, _, h, w = x.shape
        steps = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
        steps = ((self.table * steps.unsqueeze(-1) + 50) / 100).floor().clamp(1, 255)
        blocks = (x - 128).view(n, h // BLOCK, BLOCK, w // BLOCK, BLOCK).transpose(2, 3)
        blocks = self.cosines @ blocks @ self.cosines.T
        blocks = (blocks / steps).round() * steps
        blocks = self.cosines.T @ blocks @ self.cosines
        return (blocks.transpose(2, 3).reshape(n, 1, h, w) + 128).round().clamp(0, 255)
