"""Bicubic resampling as the field measures it: a = -0.5, antialiased when shrinking (Matlab's imresize)."""

import numpy as np


def cubic(x, a=-0.5):
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def weights(n_in, n_out):
    """Indices and weights, each n_out x taps; borders mirrored."""
    ratio = n_out / n_in
    stretch = max(1.0, 1.0 / ratio)
    centre = (np.arange(n_out) + 0.5) / ratio - 0.5
    taps = int(np.ceil(4 * stretch)) + 2
    first = np.floor(centre - 2 * stretch).astype(int)
    index = first[:, None] + np.arange(taps)
    w = cubic((index - centre[:, None]) / stretch)
    w /= w.sum(1, keepdims=True)
    index = np.mod(index, 2 * n_in)
    return np.where(index < n_in, index, 2 * n_in - 1 - index), w


def resize(image, height, width):
    """float array H x W (x C) to `height` x `width` (x C)."""
    image = np.asarray(image, dtype=np.float32)
    channels = (1,) * (image.ndim - 2)
    index, w = weights(image.shape[0], height)
    w = w.astype(np.float32).reshape(w.shape + (1,) + channels)
    rows = sum(image[index[:, k]] * w[:, k] for k in range(w.shape[1]))
    index, w = weights(image.shape[1], width)
    w = w.astype(np.float32).reshape(w.shape + channels)
    return sum(rows[:, index[:, k]] * w[:, k] for k in range(w.shape[1]))


def downscale(image, scale):
    """Cut to a multiple of `scale`, then shrink."""
    h, w = (n - n % scale for n in image.shape[:2])
    return image[:h, :w], resize(image[:h, :w], h // scale, w // scale)


def blur(x, window):
    """The part of a separable filter's result that needs no border."""
    n = len(window)
    rows = sum(x[i : x.shape[0] - n + 1 + i] * window[i] for i in range(n))
    return sum(rows[:, i : x.shape[1] - n + 1 + i] * window[i] for i in range(n))


def u8(x):
    """The nearest bytes."""
    return np.clip(np.round(x), 0, 255).astype(np.uint8)
