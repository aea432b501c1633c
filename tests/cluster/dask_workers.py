"""examples/cluster/dask_folder.py with a worker killed in the middle: nothing is lost.

    dask_workers.py BINARY
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples/cluster"))

import album
import dask_folder
from distributed import Client, LocalCluster

import bifocal

PICTURES, MODEL = 24, "ctnet-base-x2"


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        album.make(work / "raw", PICTURES, (240, 160))
        for name in album.files(work / "raw"):
            picture = (work / "in" / name).with_suffix(".png")
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.open(work / "raw" / name).save(picture)
        album.upscale(binary, "-r", "-m", MODEL, work / "in", work / "once")
        # What is there already is left out.
        (work / "out").mkdir()
        first = min((work / "in").glob("*.png")).name
        (work / "out" / first).write_bytes((work / "once" / first).read_bytes())

        # The example's functions are known here by the name of their module, on workers too.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [sys.path[0], os.environ.get("PYTHONPATH")]))
        up = bifocal.Upscaler(MODEL, threads=1)
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
            victim = client.run(os.getpid).popitem()[1]
            made = []
            for name in dask_folder.folder(client, up, work / "in", work / "out"):
                made.append(name)
                if len(made) == 3:
                    os.kill(victim, signal.SIGKILL)
            # Its nanny has started another in its place.
            client.wait_for_workers(2, timeout=60)
            assert victim not in client.run(os.getpid).values()
        assert len(made) == len(set(made)) == PICTURES - 1, made
        partial = [path for path in (work / "out").rglob("*.partial")]
        assert len(partial) <= 1, partial  # what the worker had in hand
        [path.unlink() for path in partial]
        own, expected = album.files(work / "out"), album.files(work / "once")
        assert own.keys() == expected.keys(), own.keys() ^ expected.keys()
        for name in expected:
            pictures = [np.asarray(Image.open(work / place / name)) for place in ("out", "once")]
            assert np.array_equal(*pictures), name
    print(f"Dask: {PICTURES} pictures on two workers, one of them killed after 3: all are there, equal to one run")


if __name__ == "__main__":
    main()
