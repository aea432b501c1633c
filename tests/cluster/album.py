"""Folders of pictures for the tests of clusters, and the run on one machine that they are compared with."""

import pathlib
import random
import subprocess


def make(folder, count, size=(160, 120)):
    """Pictures of noise, some in a folder inside."""
    rng = random.Random(1)
    for number in range(count):
        path = folder / ("inner" if number % 3 else "") / f"{number:02}.ppm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P6 %d %d 255\n" % size + rng.randbytes(3 * size[0] * size[1]))


def files(folder):
    """Each file below a folder, by name."""
    folder = pathlib.Path(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def upscale(binary, *arguments, **more):
    subprocess.run([binary, "upscale", *map(str, arguments)], check=True, capture_output=True, **more)


def names_of(binary, work, source, part):
    """Names of the pictures of `source` that are of this shard, which the names alone decide."""
    small, out = work / "small", work / f"small-{part.replace('/', '-')}"
    for name in files(source):
        path = small / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P6 1 1 255\n123")
    upscale(binary, "-r", "--shard", part, small, out)
    return set(files(out))


def same(made, expected):
    """Are two folders equal, also in what must not be there?"""
    made, expected = files(made), files(expected)
    assert made.keys() == expected.keys(), made.keys() ^ expected.keys()
    different = [name for name in expected if made[name] != expected[name]]
    assert not different, different
