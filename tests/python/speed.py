"""Frames a second of the Python package beside those of `bifocal bench`, in turns, so that both see the same machine.

    speed.py BINARY [ROUNDS]

Prints the median of the ratios of neighbouring runs, with `out=` and with a new array for each frame, and fails where the first is
below 0.97.
"""

import json
import statistics
import subprocess
import sys
import time

import numpy as np

import bifocal

MODEL, WIDTH, HEIGHT, FRAMES = "ctnet-tiny-x2", 640, 360, 60
LEAST = 0.97


def bench(binary):
    command = [binary, "bench", "-m", MODEL, "--size", f"{WIDTH}x{HEIGHT}", "--num-runs", str(FRAMES), "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def package(up, frame, out):
    """Milliseconds of a frame, the median."""
    times = []
    for _ in range(FRAMES):
        start = time.perf_counter()
        up(frame, out=out)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def main():
    binary, rounds = sys.argv[1], int((sys.argv[2:] or ["9"])[0])
    up = bifocal.Upscaler(MODEL)
    # Time does not depend on the picture: every window gets both branches.
    frame = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    out = up(frame)
    ratios = {"out=": [], "new arrays": []}
    for number in range(rounds):
        before = bench(binary)["latency_ms"]["p50"]
        own = {"out=": package(up, frame, out), "new arrays": package(up, frame, None)}
        theirs = (before + bench(binary)["latency_ms"]["p50"]) / 2
        for name, time_of_frame in own.items():
            ratios[name].append(theirs / time_of_frame)
        print(f"round {number + 1}: bench {theirs:.2f} ms, " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in own.items()))
    medians = {name: statistics.median(values) for name, values in ratios.items()}
    print("frame rate over that of bench: " + ", ".join(f"{name} {ratio:.3f}" for name, ratio in medians.items()))
    return 0 if medians["out="] >= LEAST else f"below {LEAST}"


if __name__ == "__main__":
    sys.exit(main())
