"""Frames a second of the Python package beside those of `bifocal bench`, in turns, so that both see the same machine.

    speed.py BINARY [ROUNDS]

Of one thread it is processor time that counts, since that is the same when other programs run; it fails where the frame rate in the
median of the rounds is below 97 % of the command's. With all threads the clock is read, which says something on a quiet
machine alone.
"""

import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

import bifocal

MODEL, WIDTH, HEIGHT, FRAMES, WARM_UP = "ctnet-tiny-x2", 640, 360, 40, 5
LEAST = 0.97


def processor_time(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def bench(binary, frames, *options):
    """What `bench` prints, and the processor time that all of it took."""
    before = processor_time(resource.RUSAGE_CHILDREN)
    size = f"{WIDTH}x{HEIGHT}"
    command = [binary, "bench", "-m", MODEL, "--size", size, "--warmup-runs", "1", "--num-runs", str(frames), *options]
    printed = subprocess.run([*command, "--format", "json"], check=True, capture_output=True).stdout
    return json.loads(printed), processor_time(resource.RUSAGE_CHILDREN) - before


def seconds(up, frame, out, clock):
    """Seconds of a frame by this clock."""
    start = clock()
    for _ in range(FRAMES):
        up(frame, out=out)
    return (clock() - start) / FRAMES


def main():
    binary, rounds = sys.argv[1], int((sys.argv[2:] or ["9"])[0])
    one, all = bifocal.Upscaler(MODEL, threads=1), bifocal.Upscaler(MODEL)
    # Time does not depend on the picture: every window gets both branches.
    frame = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    out = one(frame)
    all(frame, out=out)
    ratios = {"one thread, out=": [], "one thread, new arrays": [], "all threads, by the clock": []}

    def own_time():
        return processor_time(resource.RUSAGE_SELF)

    for number in range(rounds):
        # Loading and preparing cancel out.
        theirs = (bench(binary, WARM_UP + FRAMES, "-j", "1")[1] - bench(binary, WARM_UP, "-j", "1")[1]) / FRAMES
        ratios["one thread, out="].append(theirs / seconds(one, frame, out, own_time))
        ratios["one thread, new arrays"].append(theirs / seconds(one, frame, None, own_time))
        clock = bench(binary, FRAMES)[0]["latency_ms"]["mean"] / 1e3
        ratios["all threads, by the clock"].append(clock / seconds(all, frame, out, time.perf_counter))
        print(f"round {number + 1}: bench {1e3 * theirs:.2f} ms; " + ", ".join(f"{values[-1]:.3f}" for values in ratios.values()))
    medians = {name: statistics.median(values) for name, values in ratios.items()}
    print("frame rate over that of bench: " + "; ".join(f"{name} {ratio:.3f}" for name, ratio in medians.items()))
    return 0 if medians["one thread, out="] >= LEAST else f"below {LEAST}"


if __name__ == "__main__":
    sys.exit(main())
