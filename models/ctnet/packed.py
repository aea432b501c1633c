"""Crops of packed photographs (`models/pack`), cut on the device that learns from them: no step waits for the host.

The same pairs, sizes and chances as `data.Crops`; places are drawn from the device's own generator.
"""

import functools
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .resize import weights

KEEP = 0.5  # of the places: the steepest


def photographs(path, most=None):
    """The luma of the first `most` photographs, u8 H x W each."""
    import pillow_jxl  # noqa: F401  (lets Pillow read it)

    with zipfile.ZipFile(path) as archive:
        files = [archive.read(name) for name in archive.namelist()[:most]]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda file: np.array(Image.open(io.BytesIO(file)).convert("L")), files))


@functools.lru_cache(64)
def shrinking(n_in, n_out, device):
    """The filter of `resize.resize` along one axis as an n_out x n_in matrix."""
    index, w = weights(n_in, n_out)
    matrix = torch.zeros(n_out, n_in, device=device)
    rows = torch.arange(n_out, device=device).repeat_interleave(index.shape[1])
    columns = torch.from_numpy(index.ravel()).to(device)
    return matrix.index_put_((rows, columns), torch.from_numpy(w.ravel().astype(np.float32)).to(device), accumulate=True)


def resize(image, height, width):
    """A float H x W tensor to `height` x `width`."""
    h, w = image.shape
    return shrinking(h, height, image.device) @ image @ shrinking(w, width, image.device).T


def u8(x):
    return x.round().clamp(0, 255).to(torch.uint8)


class PackedCrops:
    """Batches of random crops; `degrade`, a function of a batch of pictures in 0..1, makes of them what a camera would."""

    def __init__(self, photos, scale, size, batch, sizes, device, degrade=None):
        self.scale, self.size, self.batch, self.device, self.degrade = scale, size, batch, device, degrade
        small, large, shapes, places, chances = [], [], [], [], []
        for photo in photos:
            photo = torch.from_numpy(photo).to(device).float()
            for part in sizes:
                hr = photo if part == 1 else resize(photo, *(int(n * part) for n in photo.shape))
                h, w = (n // scale for n in hr.shape)
                if min(h, w) < size:
                    continue
                hr = hr[: h * scale, : w * scale]
                lr = u8(resize(hr, h, w))
                y, x, energy = self._steep(lr.float())
                places.append(torch.stack([torch.full_like(y, len(shapes)), y, x], 1))
                chances.append(energy / energy.mean() * len(energy) ** 0.5 * (0.25 + energy.mean()))
                shapes.append((h, w))
                small.append(lr.flatten())
                large.append(u8(hr).flatten())
        self.shapes = torch.tensor(shapes, device=device)
        self.first = F.pad(self.shapes.prod(1).cumsum(0), (1, 0))[:-1]  # pixel of each small picture
        self.small, self.large = torch.cat(small), torch.cat(large)
        self.places = torch.cat(places)
        self.cumulative = torch.cat(chances).double().cumsum(0)
        self.cumulative /= self.cumulative[-1].clone()

    def _steep(self, lr):
        """Places of the steepest crops (y, x, mean gradient)."""
        n, step = self.size, self.size // 2
        g = torch.zeros_like(lr)
        g[:, 1:] += lr.diff(dim=1).abs()
        g[1:] += lr.diff(dim=0).abs()
        energy = (F.avg_pool2d(g[None, None], n, step)[0, 0] / 16).sqrt()
        steep = energy >= energy.flatten().quantile(1 - KEEP)
        y, x = steep.nonzero().T
        return y * step, x * step, energy[steep]

    def _cut(self, pixels, first, width, y, x, side, turns):
        """`side` x `side` pixels from (y, x) of the picture that begins at `first`; `turns`: swap axes, flip down, flip across."""
        i = torch.arange(side, device=self.device).view(1, -1, 1)
        j = i.transpose(1, 2)
        swap, down, across = (t.view(-1, 1, 1) for t in turns)
        rows, columns = torch.where(swap, j, i), torch.where(swap, i, j)
        rows, columns = torch.where(down, side - 1 - rows, rows), torch.where(across, side - 1 - columns, columns)
        at = first.view(-1, 1, 1) + (y.view(-1, 1, 1) + rows) * width.view(-1, 1, 1) + x.view(-1, 1, 1) + columns
        return pixels[at].unsqueeze(1).float() / 255

    def __call__(self):
        n, s, b = self.size, self.scale, self.batch
        draw = torch.rand(6, b, device=self.device, dtype=torch.float64)
        chosen = torch.searchsorted(self.cumulative, draw[0]).clamp_(max=len(self.places) - 1)
        which, y, x = self.places[chosen].T
        h, w = self.shapes[which].T
        jitter = ((draw[1:3] - 0.5) * (n // 2 + 1)).round().long()
        y = torch.minimum((y + jitter[0]).clamp(min=0), h - n)
        x = torch.minimum((x + jitter[1]).clamp(min=0), w - n)
        turns = draw[3:] < 0.5
        first = self.first[which]
        small = self._cut(self.small, first, w, y, x, n, turns)
        large = self._cut(self.large, first * s * s, w * s, y * s, x * s, n * s, turns)
        return self.degrade(small) if self.degrade else small, large
