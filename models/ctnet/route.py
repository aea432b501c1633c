"""Fits the thresholds of `--branches auto` for a file, and writes them into it.

    models/route models/ctnet-tiny-x2.onnx --photos FOLDER --bifocal target/release/bifocal

Each photograph is made small, then smaller by the network's scale, and upscaled with both branches, with the
Transformer branch alone and by the bicubic filter. For every window of 16 x 16 pixels there are three squared errors
then, and the energy that the program will see. For ever smaller shares of the multiply-adds the two thresholds are
found that cost least, every photograph counting alike; the program then says what they take, with what windows need of
their neighbours. An effort of 10, 20 ... gets the lowest that take so many percent at most.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

WINDOW = 16
BINS = 96
NEVER = 2**32 - 1  # no window has so much energy
WIDEST = 1280  # of a photograph, before it is made smaller by the scale: what a camera of 640 pixels would give at x2


def energies(luma):
    """Sum of the squared Laplacians inside each window, without its outermost pixels: `add_energies` of the program."""
    x = luma.astype(np.int64)
    x = x.reshape(x.shape[0] // WINDOW, WINDOW, x.shape[1] // WINDOW, WINDOW).transpose(0, 2, 1, 3)
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return ((4 * x[..., 1:-1, 1:-1] - around) ** 2).sum((2, 3))


def errors(made, truth, side):
    e = (made.astype(np.float64) - truth) ** 2
    return e.reshape(e.shape[0] // side, side, e.shape[1] // side, side).sum((1, 3))


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)
    return json.loads(done.stdout) if done.stdout else None


def truth(photo, scale):
    """A photograph made small, in whole windows."""
    luma = Image.open(photo).convert("L")
    width = min(WIDEST, luma.width) // (scale * WINDOW) * scale * WINDOW
    height = width * luma.height // luma.width // (scale * WINDOW) * scale * WINDOW
    return luma.resize((width, height), Image.BICUBIC)


def observe(args, scale, photo, folder):
    """Energies and the errors of the three classes, window by window."""
    high = truth(photo, scale)
    small = high.resize((high.width // scale, high.height // scale), Image.BICUBIC)
    small.save(folder / "small.png")
    made = []
    for branches in ("both", "transformer"):
        output = folder / f"{branches}.png"
        run(args.bifocal, "upscale", folder / "small.png", output, "-m", args.file, "--branches", branches)
        made.append(Image.open(output).convert("L"))
    made.append(small.resize(high.size, Image.BICUBIC))
    high = np.asarray(high, np.float64)
    return energies(np.asarray(small)).ravel(), [errors(np.asarray(m), high, scale * WINDOW).ravel() for m in made]


def fit(seen, cost):
    """Ever higher thresholds (full, plain), the best for each of ever smaller shares of the multiply-adds."""
    edges = np.unique(np.quantile(np.concatenate([e for e, _ in seen]), np.linspace(0, 1, BINS)).astype(np.int64) + 1)
    edges = np.concatenate([[0], edges])
    share, loss = np.zeros(len(edges)), np.zeros((len(edges), 3))
    for energy, made in seen:
        at = np.searchsorted(edges, energy, "right") - 1
        share += np.bincount(at, minlength=len(edges)) / len(energy) / len(seen)
        loss += np.stack([np.bincount(at, m, len(edges)) / made[0].sum() for m in made], 1) / len(seen)
    below = lambda values: np.concatenate([[0], np.cumsum(values)])  # of the bins below an edge
    share, (both, single, plain) = below(share), (below(column) for column in loss.T)
    # [threshold of plain, threshold of full], by edge
    shares = 1 - share[None, :] + cost * (share[None, :] - share[:, None])
    losses = both[-1] - both[None, :] + single[None, :] - single[:, None] + plain[:, None]
    plain, full = np.indices(losses.shape)
    most, chosen = (0, 0), []
    for wanted in np.arange(0.98, 0.01, -0.03):
        fitting = (plain >= most[0]) & (full >= most[1]) & (plain <= full) & (shares <= wanted)
        if fitting.any():
            most = np.unravel_index(np.where(fitting, losses, np.inf).argmin(), losses.shape)
            chosen.append(most)
    edges = np.concatenate([edges, [NEVER]])
    return list(dict.fromkeys((int(edges[full]), int(edges[plain])) for plain, full in chosen))


def write(source, target, thresholds):
    model = onnx.load(source)
    kept = [p for p in model.metadata_props if p.key != "thresholds"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key="thresholds", value=json.dumps(thresholds))
    onnx.save(model, target)


def measure(args, candidates, photos, folder):
    """Share of the multiply-adds and what is lost, in decibels, with each pair of thresholds."""
    evaluate = lambda *arguments: run(args.bifocal, "eval", photos, "--format", "json", "-m", *arguments)
    both = evaluate(args.file)["mean_psnr_y"]
    for first in range(0, len(candidates), 10):
        pairs = candidates[first : first + 10][::-1]
        pairs = [pairs[0]] * (10 - len(pairs)) + pairs + [(0, 0)]
        trial = folder / "trial.onnx"
        write(args.file, trial, {"full": [f for f, _ in pairs], "plain": [p for _, p in pairs]})
        for effort, pair in list(enumerate(pairs))[:10][::-1]:
            if pair in candidates[first : first + 10]:
                made = evaluate(trial, "--branches", "auto", "--effort", str(10 * effort))
                yield pair, made["mean_macs_share"], both - made["mean_psnr_y"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--bifocal", required=True, help="the program")
    parser.add_argument("--count", type=int, default=40, help="photographs, evenly taken from the folder")
    parser.add_argument("--judged", type=int, default=10, help="those that candidates are measured on")
    args = parser.parse_args()
    photos = sorted(p for p in args.photos.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    photos = photos[:: max(1, len(photos) // args.count)][: args.count]
    plan = lambda branches: run(
        args.bifocal, "plan", "-m", args.file, "--size", "640x360", "--branches", branches, "--format", "json"
    )
    both = plan("both")
    scale = both["output"]["width"] // 640
    cost = plan("transformer")["macs_per_frame"] / both["macs_per_frame"]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        seen = [observe(args, scale, photo, folder) for photo in photos]
        (folder / "photos").mkdir()
        for photo in photos[:: max(1, len(photos) // args.judged)]:
            truth(photo, scale).save(folder / "photos" / f"{photo.stem}.png")
        measured = {}
        for pair, share, lost in measure(args, fit(seen, cost), folder / "photos", folder):
            if pair not in measured:
                measured[pair] = share, lost
                print(f"full from {pair[0]:>10}, plain below {pair[1]:>10}: {share:6.1%}, {lost:6.3f} dB lost", flush=True)
    table = [(NEVER, NEVER)]
    for effort in range(1, 10):
        fitting = [pair for pair, (share, _) in measured.items() if share <= effort / 10]
        table.append(min(fitting, key=sum, default=(NEVER, NEVER)))
    table.append((0, 0))
    write(args.file, args.file, {"full": [f for f, _ in table], "plain": [p for _, p in table]})


if __name__ == "__main__":
    main()
