"""A folder of pictures on the workers of Dask: those of this machine, or of a cluster whose scheduler is named.

    python dask_folder.py IN OUT [--scheduler tcp://HOST:8786] [--workers N] [--model ctnet-tiny-x2]

Needs `pip install bifocal distributed pillow`, on the workers too, and folders that all of them see. What is finished is left
out, and what a worker that dies had in hand another one does.
"""

import argparse
import os
import pathlib

import numpy as np
from distributed import Client, LocalCluster, as_completed
from PIL import Image

import bifocal

KINDS = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def upscale(up, picture, output):
    """Runs on a worker. `up` comes by pickle, and prepares its network for the sizes that it sees there."""
    with Image.open(picture) as image:
        frame = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    output.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(up(frame)).save(partial, "PNG")
    os.replace(partial, output)  # never a half picture under its final name
    return str(output)


def folder(client, up, source, target):
    """The names of what was made, as it is made."""
    source, target = pathlib.Path(source), pathlib.Path(target)
    pictures = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in KINDS]
    outputs = [target / path.relative_to(source).with_suffix(".png") for path in pictures]
    todo = [(path, output) for path, output in zip(pictures, outputs) if not output.exists()]
    # One Upscaler for each worker, not one for each picture.
    shared = client.scatter(up, broadcast=True) if todo else None
    futures = [client.submit(upscale, shared, *pair, pure=False, retries=3) for pair in todo]
    for future in as_completed(futures):
        yield future.result()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--scheduler")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--model", default="ctnet-tiny-x2")
    arguments = parser.parse_args()
    # A worker has one processor: more threads in each would take turns.
    up = bifocal.Upscaler(arguments.model, threads=1)
    cluster = arguments.scheduler or LocalCluster(n_workers=arguments.workers, threads_per_worker=1)
    with Client(cluster) as client:
        for name in folder(client, up, arguments.source, arguments.target):
            print(name)


if __name__ == "__main__":
    main()
