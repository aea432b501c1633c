"""Fits the thresholds of `--branches auto` for a file, and writes them into it.

    models/route models/ctnet-tiny-x2.onnx --photos FOLDER --bifocal target/release/bifocal

Each photograph is made small, then smaller by the network's scale, and upscaled with both branches, with the
Transformer branch alone and by the bicubic filter. For every window of 16 x 16 pixels there are three squared errors
then, and the edges and the energy that the program will see (`engine/detail.rs`): from so many edges on a window gets both
branches, else none below so much energy. For ever smaller shares of the multiply-adds the two thresholds are found that cost
least, every photograph counting alike; the program then says what they take, with what windows need of their neighbours. An
effort of 10, 20 ... gets the lowest that take so many percent at most.
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


def log2(value):
    """In steps of 1/256, straight between powers of two."""
    whole = np.frexp(value)[1].astype(np.int64) - 1
    return (whole << 8) + ((value << 8) >> whole) - 256


def details(luma):
    """Edges and energy of each window, without its outermost pixels: `Detail` of the program."""
    x = luma.astype(np.int64)
    x = x.reshape(x.shape[0] // WINDOW, WINDOW, x.shape[1] // WINDOW, WINDOW).transpose(0, 2, 1, 3)
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    squared = (4 * x[..., 1:-1, 1:-1] - around) ** 2
    blocks = squared.reshape(*x.shape[:2], WINDOW // 2 - 1, 2, WINDOW // 2 - 1, 2).sum((3, 5))
    energy, roots = blocks.sum((2, 3)), np.sqrt(blocks).astype(np.int64).sum((2, 3))
    return 5 * log2(energy + 1) + 6 * ((21 << 8) - log2(roots + 1)), energy


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
    """Edges, energy and the errors of the three classes, window by window."""
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
    edges, energy = details(np.asarray(small))
    return edges.ravel(), energy.ravel(), [errors(np.asarray(m), high, scale * WINDOW).ravel() for m in made]


def fit(seen, cost):
    """Ever higher thresholds of edges and energy, the best for each of ever smaller shares of the multiply-adds."""
    steps = lambda values: np.unique(np.quantile(np.concatenate(values), np.linspace(0, 1, BINS)).astype(np.int64) + 1)
    of_edges, of_energy = (np.concatenate([[0], steps(values)]) for values in list(zip(*seen))[:2])
    bins = len(of_edges), len(of_energy)
    share, loss = np.zeros(bins), np.zeros((3, *bins))
    for edges, energy, made in seen:
        at = [np.searchsorted(of_edges, edges, "right") - 1, np.searchsorted(of_energy, energy, "right") - 1]
        at = np.ravel_multi_index(at, bins)
        add = lambda weights: np.bincount(at, weights, bins[0] * bins[1]).reshape(bins) / len(seen)
        share += add(np.full(len(edges), 1 / len(edges)))
        loss += np.stack([add(m / made[0].sum()) for m in made])
    # Of the windows below so many edges, all and those below so much energy: [edges, energy], one more than bins.
    below = lambda values: np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    share, (both, single, plain) = below(share), map(below, loss)
    all_below = lambda values: values[:, -1:]
    shares = 1 - all_below(share) + cost * (all_below(share) - share)
    losses = both[-1, -1] - all_below(both) + all_below(single) - single + plain
    most, chosen = (0, 0), []
    edges, energy = np.indices(losses.shape)
    for wanted in np.arange(0.98, 0.01, -0.03):
        fitting = (edges >= most[0]) & (energy >= most[1]) & (shares <= wanted)
        if fitting.any():
            most = np.unravel_index(np.where(fitting, losses, np.inf).argmin(), losses.shape)
            chosen.append(most)
    of_edges, of_energy = (np.concatenate([values, [NEVER]]) for values in (of_edges, of_energy))
    return list(dict.fromkeys((int(of_edges[a]), int(of_energy[b])) for a, b in chosen))


def write(source, target, thresholds):
    model = onnx.load(source)
    kept = [p for p in model.metadata_props if p.key != "thresholds"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key="thresholds", value=json.dumps(thresholds))
    onnx.save(model, target)


def measure(args, candidates, photos, folder):
    """Share of the multiply-adds and what is lost, in decibels, with each pair of thresholds, edges and energy."""
    evaluate = lambda *arguments: run(args.bifocal, "eval", photos, "--format", "json", "-m", *arguments)
    both = evaluate(args.file)["mean_psnr_y"]
    for first in range(0, len(candidates), 10):
        pairs = candidates[first : first + 10][::-1]
        pairs = [pairs[0]] * (10 - len(pairs)) + pairs + [(0, 0)]
        trial = folder / "trial.onnx"
        write(args.file, trial, {"edges": [e for e, _ in pairs], "energy": [e for _, e in pairs]})
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
                print(f"edges from {pair[0]:>10}, energy below {pair[1]:>10}: {share:6.1%}, {lost:6.3f} dB lost", flush=True)
    table = [(NEVER, NEVER)]
    for effort in range(1, 10):
        fitting = [pair for pair, (share, _) in measured.items() if share <= effort / 10]
        table.append(min(fitting, key=sum, default=(NEVER, NEVER)))
    table.append((0, 0))
    write(args.file, args.file, {"edges": [e for e, _ in table], "energy": [e for _, e in table]})


if __name__ == "__main__":
    main()
