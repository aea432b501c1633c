"""Training pairs from a folder of photographs, and the luma that the network sees."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .resize import downscale, resize, u8

Image.MAX_IMAGE_PIXELS = None
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}
FLAT_BATCH = 2
FLAT_SIDES = (16, 32, 48, 64)  # opposite borders of small pictures are seen together


def pictures(folder):
    return sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES)


def luma(rgb):
    """Full-range BT.601 luma, 0..255, of an H x W x 3 array."""
    return rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)


def load(path):
    """The picture's luma as float 0..255."""
    image = Image.open(path)
    if image.mode == "L":
        return np.asarray(image, dtype=np.float32)
    return luma(np.asarray(image.convert("RGB"), dtype=np.float32))


def pair(hr, scale):
    """(LR, HR) as u8 from float luma, cut to a multiple of the scale."""
    hr, lr = downscale(hr, scale)
    return u8(lr), u8(hr)


def shrunk(photo, part):
    """The photograph at `part` of its size."""
    return resize(photo, *(int(n * part) for n in photo.shape))


def balance(x, y, scale, squared=False):
    """Weights of crops by which they count about alike: one over how far the bicubic filter's picture is from the truth,
    in distances or in `squared` ones.

    The figure of merit is a mean of logarithms, in which a smooth picture's error weighs as much as a busy one's.
    """
    bicubic = torch.nn.functional.interpolate(x, scale_factor=scale, mode="bicubic")
    # Losses are about as large either way; smooth crops have a limit.
    if squared:
        return 0.03 / (3e-5 + (y - bicubic).square().mean((1, 2, 3)))
    return 0.03 / (0.002 + (y - bicubic).abs().mean((1, 2, 3)))


def flat(rng, scale, hard=()):
    """Pictures of one grey each, and the large ones that should become of them: flat too, up to the border.

    `hard`: greys of which every second one is, if there are any.
    """
    side = int(rng.choice(FLAT_SIDES))
    greys = rng.integers(256, size=FLAT_BATCH)
    if len(hard):
        greys[::2] = rng.choice(hard, size=len(greys[::2]))
    greys = torch.from_numpy(greys).float().view(-1, 1, 1, 1) / 255
    return greys.expand(-1, -1, side, side), greys.expand(-1, -1, scale * side, scale * side)


class Crops:
    """Random crops of photographs at several sizes (smaller ones are sharper and busier).

    Places are chosen by gradient: the steepest half of a picture, steeper ones more often. The sequence is a
    function of the seed and of the step alone, so a run that is taken up again sees what it would have seen.
    """

    def __init__(self, folders, scale, size, batch, seed, sizes=(1.0,), degrade=None, even=False):
        """Every photograph is there once at each of `sizes`, which are relative to its own. `even`: all places alike, so that
        what is smooth is learnt from too.

        `degrade`, a function of picture and generator, makes of a small picture what a camera would.
        """
        self.degrade, self.even = degrade, even
        self.scale, self.size, self.batch, self.seed = scale, size, batch, seed
        self.pairs, places, chances = [], [], []
        for path in (p for folder in folders for p in pictures(folder)):
            photo = load(path)
            for part in sizes:
                self._collect(photo if part == 1 else shrunk(photo, part), places, chances)
        self.places = np.concatenate(places)
        self.cumulative = np.cumsum(np.concatenate(chances))
        self.cumulative /= self.cumulative[-1]

    def _collect(self, photo, places, chances):
        lr, hr = pair(photo, self.scale)
        if min(lr.shape) < self.size:
            return
        self.pairs.append((lr, hr))
        y, x, energy = self._steep(lr, 1.0 if self.even else 0.5)
        places.append(np.stack([np.full_like(y, len(self.pairs) - 1), y, x], 1))
        chances.append(np.ones(len(y)) if self.even else energy / energy.mean() * np.sqrt(len(energy)) * (0.25 + energy.mean()))

    def _steep(self, lr, keep):
        step = self.size // 2
        f = lr.astype(np.float32)
        g = np.zeros_like(f)
        g[:, 1:] += np.abs(np.diff(f, axis=1))
        g[1:] += np.abs(np.diff(f, axis=0))
        total = np.pad(g.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        y, x = np.mgrid[0 : lr.shape[0] - self.size + 1 : step, 0 : lr.shape[1] - self.size + 1 : step]
        y, x, n = y.ravel(), x.ravel(), self.size
        energy = total[y + n, x + n] - total[y, x + n] - total[y + n, x] + total[y, x]
        energy = np.sqrt(np.maximum(energy / n**2, 0) / 16)
        steep = energy >= np.quantile(energy, 1 - keep)
        return y[steep], x[steep], energy[steep]

    def _chosen(self, rng, count):
        """Places by their chances."""
        places = np.searchsorted(self.cumulative, rng.random(count))
        return self.places[np.minimum(places, len(self.places) - 1)]

    def __call__(self, step):
        rng = np.random.default_rng((self.seed, step))
        n, s = self.size, self.scale
        inputs = np.empty((self.batch, 1, n, n), np.uint8)
        targets = np.empty((self.batch, 1, n * s, n * s), np.uint8)
        for i, (which, y, x) in enumerate(self._chosen(rng, self.batch)):
            lr, hr = self.pairs[which]
            y = min(max(0, y + rng.integers(-n // 4, n // 4 + 1)), lr.shape[0] - n)
            x = min(max(0, x + rng.integers(-n // 4, n // 4 + 1)), lr.shape[1] - n)
            a, b = lr[y : y + n, x : x + n], hr[y * s : (y + n) * s, x * s : (x + n) * s]
            turns, flip = rng.integers(4), rng.integers(2)
            a, b = np.rot90(a, turns), np.rot90(b, turns)
            if flip:
                a, b = a[:, ::-1], b[:, ::-1]
            inputs[i, 0], targets[i, 0] = self.degrade(a, rng) if self.degrade else a, b
        return torch.from_numpy(inputs).float() / 255, torch.from_numpy(targets).float() / 255

    def named(self, step, batch, side):
        """Crops of `side` large pixels from such places, and the numbers of their pictures."""
        rng = np.random.default_rng((self.seed, step, 2))
        crops, names = np.empty((batch, 1, side, side), np.uint8), []
        for i, (which, y, x) in enumerate(self._chosen(rng, batch)):
            y, x = (self.scale * n + int(rng.integers(self.scale * self.size - side + 1)) for n in (y, x))
            crops[i, 0] = self.pairs[which][1][y : y + side, x : x + side]
            names.append(int(which))
        return torch.from_numpy(crops).float() / 255, torch.tensor(names)
