"""Sheets of text, grids, stripes and shapes, drawn from a seed: the straight edges that photographs lack.

Everything is drawn from scratch; text uses the DejaVu fonts (free licence) where they are installed and Pillow's
own font otherwise.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = sorted(Path("/usr/share/fonts/truetype/dejavu").glob("*.ttf"))
LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;-+*/()&%?!")
SIDE, CELL = 1024, 256
FINE = 3  # shapes are drawn this much larger and averaged, so that edges fall between pixels


def font(rng, size):
    if not FONTS:
        return ImageFont.load_default(size)
    return ImageFont.truetype(str(FONTS[rng.integers(len(FONTS))]), size)


def two_greys(rng):
    """Two greys at least 40 apart, so that the edge is worth learning."""
    while True:
        a, b = (int(v) for v in rng.integers(0, 256, 2))
        if abs(a - b) >= 40:
            return a, b


def text(rng):
    back, fore = two_greys(rng)
    image = Image.new("L", (CELL, CELL), back)
    draw = ImageDraw.Draw(image)
    size = int(np.exp(rng.uniform(np.log(9), np.log(60))))
    face = font(rng, size)
    for y in range(4, CELL - size, int(size * 1.3) + 1):
        line = " ".join("".join(rng.choice(LETTERS, rng.integers(2, 10))) for _ in range(40))
        draw.text((4, y), line, fill=fore, font=face)
    return image


def stripes(rng):
    """Bars of one period at any angle, now and then crossed to a grid."""
    back, fore = two_greys(rng)
    side = CELL * FINE
    image = Image.new("L", (side, side), back)
    draw = ImageDraw.Draw(image)
    period = FINE * np.exp(rng.uniform(np.log(4), np.log(40)))
    width = max(1, int(period * rng.uniform(0.15, 0.6)))
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    for a in (angle, angle + np.pi / 2)[: rng.integers(1, 3)]:
        along, across = np.array([np.cos(a), np.sin(a)]), np.array([-np.sin(a), np.cos(a)])
        for offset in np.arange(-side, side, period):
            middle = side / 2 + across * offset
            draw.line([tuple(middle - along * side), tuple(middle + along * side)], fill=fore, width=width)
    return image.resize((CELL, CELL), Image.Resampling.BOX)


def shapes(rng):
    side = CELL * FINE
    image = Image.new("L", (side, side), int(rng.integers(256)))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(12, 50)):
        grey = int(rng.integers(256))
        corners = rng.uniform(0, side, (rng.integers(3, 6), 2))
        corners = corners[0] + (corners - corners[0]) * rng.uniform(0.05, 0.8)
        kind = rng.integers(3)
        if kind == 0:
            draw.polygon([tuple(c) for c in corners], fill=grey)
        elif kind == 1:
            (left, top), (right, bottom) = corners[:2].min(0), corners[:2].max(0)
            draw.ellipse([left, top, right, bottom], fill=grey, outline=int(rng.integers(256)), width=FINE)
        else:
            draw.line([tuple(c) for c in corners], fill=grey, width=int(rng.integers(1, 6 * FINE)), joint="curve")
    return image.resize((CELL, CELL), Image.Resampling.BOX)


def sheet(seed):
    """A SIDE x SIDE sheet as float 0..255: a third text, a third stripes, a third shapes."""
    rng = np.random.default_rng((seed, 77))
    image = Image.new("L", (SIDE, SIDE))
    for y in range(0, SIDE, CELL):
        for x in range(0, SIDE, CELL):
            image.paste((text, stripes, shapes)[rng.integers(3)](rng), (x, y))
    return np.asarray(image, dtype=np.float32)
