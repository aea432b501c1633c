"""Measures whether borders between windows of different classes show in what `--branches auto` makes.

    models/seams --model ctnet-base-x2 --bifocal target/release/bifocal FOLDER...

Each picture is made small, then smaller by the network's scale, in grey, and upscaled with both branches and with
`--branches auto`. The step across a border is the mean absolute difference of the two samples on its sides. Borders
between classes lie where pictures change, so steps are larger there in any case; what counts is how much larger they are
with `auto` than with both branches, compared with the same at borders between windows of one class.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from .route import WIDEST, WINDOW, details


def at(table, effort):
    """The threshold at an effort: `Thresholds::at` of the program."""
    index, part = divmod(effort, 10)
    return (table[index] * (10 - part) + table[min(index + 1, 10)] * part) // 10


def steps(picture, classes, side):
    """Sums and counts of steps across borders between classes, and across the others."""
    sums = np.zeros((2, 2))
    for picture, classes in ((picture, classes), (picture.T, classes.T)):
        across = np.abs(picture[:, side::side] - picture[:, side - 1 : -1 : side])
        across = across.reshape(classes.shape[0], side, -1).sum(1)
        differ = classes[:, 1:] != classes[:, :-1]
        for kind, where in enumerate((differ, ~differ)):
            sums[kind] += across[where].sum(), side * where.sum()
    return sums


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="ctnet-base-x2")
    parser.add_argument("--bifocal", default="bifocal")
    parser.add_argument("--effort", type=int, default=75)
    parser.add_argument("--most", type=int, default=200, help="pictures")
    parser.add_argument("--limit", type=float, help="fail where borders between classes show by more than this, as 0.03")
    args = parser.parse_args()
    inspected = subprocess.run(
        [args.bifocal, "models", "inspect", args.model, "--format", "json"], check=True, capture_output=True
    )
    model = json.loads(inspected.stdout)
    scale, thresholds = model["scale"], model["thresholds"]
    full, plain = (at(thresholds[name], args.effort) for name in ("edges", "energy"))
    files = [file for folder in args.folders for file in sorted(folder.iterdir())]
    files = [file for file in files if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".bmp", ".webp")][: args.most]
    sums, counted = {"both": np.zeros((2, 2)), "auto": np.zeros((2, 2))}, 0
    with tempfile.TemporaryDirectory() as folder:
        low, high = Path(folder) / "low.png", Path(folder) / "high.png"
        for file in files:
            image = Image.open(file).convert("L")
            image.thumbnail((WIDEST // scale, WIDEST // scale), Image.BICUBIC)
            width, height = (length // WINDOW * WINDOW for length in image.size)
            if min(width, height) < 2 * WINDOW:
                continue
            image = image.crop((0, 0, width, height))
            image.save(low)
            edges, energy = details(np.asarray(image))
            classes = np.where(edges >= full, 2, np.where(energy < plain, 0, 1))
            for branches, more in (("both", []), ("auto", ["--effort", str(args.effort)])):
                command = [args.bifocal, "-q", "upscale", "-m", args.model, "--branches", branches, *more, low, high]
                subprocess.run(command, check=True)
                made = np.asarray(Image.open(high)).astype(np.float64)
                sums[branches] += steps(made, classes, scale * WINDOW)
            counted += 1
    means = {branches: values[:, 0] / np.maximum(values[:, 1], 1) for branches, values in sums.items()}
    between, within = (means["auto"] / means["both"]).tolist()
    print(
        json.dumps(
            {
                "model": args.model,
                "effort": args.effort,
                "pictures": counted,
                "borders": sums["auto"][:, 1].astype(int).tolist(),
                "step_between_classes": {name: round(mean[0], 4) for name, mean in means.items()},
                "step_within_classes": {name: round(mean[1], 4) for name, mean in means.items()},
                "auto_over_both": {"between": round(between, 4), "within": round(within, 4)},
                "shows_by": round(between / within - 1, 4),
            }
        )
    )
    if args.limit is not None and abs(between / within - 1) > args.limit:
        raise SystemExit(f"borders between classes show: {between / within - 1:+.3f}")


if __name__ == "__main__":
    main()
