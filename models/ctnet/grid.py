"""A picture of pictures: crops as bicubic enlarges them, as each model does, and as they were.

    models/sets /tmp/sets
    models/grid /tmp/sets/scikit-image/chelsea.png:180,70 --out models/grid-x2.png --scale 2 \
        --models ctnet-nano-x2 ctnet-tiny-x2 ctnet-small-x2

Each crop is FILE:X,Y, its upper left corner. The program upscales what is shrunk by antialiased bicubic here.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .resize import downscale, resize, u8

SIDE, SHOWN, LABEL = 96, 192, 18  # pixels of a crop, of its enlarged view, of the line above


def made(program, model, small):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "small.png"), Path(folder, "large.png")
        Image.fromarray(small).save(source)
        subprocess.run([program, "upscale", source, target, "-m", model, "--quiet"], check=True)
        return np.asarray(Image.open(target).convert("RGB"))


def views(program, models, path, scale):
    """(label, whole picture) for each column."""
    truth, small = downscale(np.asarray(Image.open(path).convert("RGB"), np.float32), scale)
    small = u8(small)
    yield "bicubic", u8(resize(small, *truth.shape[:2]))
    for model in models:
        yield model, made(program, model, small)
    yield "truth", u8(truth)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--scale", type=int, required=True)
    parser.add_argument("--models", nargs="+", required=True, help="names or files, as `bifocal -m` takes them")
    parser.add_argument("--program", default="bifocal")
    parser.add_argument("crops", nargs="+", metavar="FILE:X,Y")
    args = parser.parse_args()
    size = ((len(args.models) + 2) * SHOWN, LABEL + len(args.crops) * SHOWN)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, crop in enumerate(args.crops):
        path, corner = crop.rsplit(":", 1)
        x, y = (int(n) for n in corner.split(","))
        for column, (label, picture) in enumerate(views(args.program, args.models, path, args.scale)):
            draw.text((column * SHOWN + 4, 1), Path(label).stem, fill="black", font=font)
            part = Image.fromarray(picture[y : y + SIDE, x : x + SIDE]).resize((SHOWN, SHOWN), Image.Resampling.NEAREST)
            sheet.paste(part, (column * SHOWN, LABEL + row * SHOWN))
    sheet.save(args.out)


if __name__ == "__main__":
    main()
