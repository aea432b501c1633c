"""What the package says of itself, where it runs, and what it leaves behind."""

import copy
import json
import multiprocessing
import os
import pathlib
import pickle
import threading
import time
import tracemalloc

import numpy as np
import pytest

import bifocal
from support import COMMAND, command, in_python, scene


def test_models_are_those_of_the_command():
    listed = json.loads(command("models", "list", "--format", "json"))["models"]
    own = bifocal.models()
    assert [model["name"] for model in own][:2] == ["ctnet-tiny-x2", "ctnet-nano-x2"]
    for ours, theirs in zip(own, listed, strict=True):
        assert ours == {key: value for key, value in theirs.items() if key != "path"}


def test_models_in_folders(tmp_path):
    root = pathlib.Path(__file__).resolve().parents[4]
    (tmp_path / "mine.onnx").write_bytes((root / "models/ctnet-nano-x2.onnx").read_bytes())
    (tmp_path / "broken.onnx").write_bytes(b"?")
    code = "import bifocal, warnings\nwith warnings.catch_warnings(record=True) as said:\n    warnings.simplefilter('always')\n"
    code += "    print([model.get('file') for model in bifocal.models()][-1], len(said), said[0].message)\n"
    code += "print(bifocal.Upscaler('mine').scale)"
    first, second = in_python(code, BIFOCAL_MODELS=str(tmp_path)).splitlines()
    assert first.startswith(f"{tmp_path}/mine.onnx 1 model {tmp_path}/broken.onnx: "), first
    assert second == "2"


def test_a_model_of_a_file_or_of_bytes():
    path = pathlib.Path(__file__).resolve().parents[4] / "models/ctnet-tiny-x3.onnx"
    frame = scene(20, 30)
    expected = bifocal.Upscaler("ctnet-tiny-x3")(frame)
    for model in (path, str(path), path.read_bytes()):
        up = bifocal.Upscaler(model)
        assert (up.model, up.scale) == ("ctnet-tiny-x3", 3)
        assert np.array_equal(up(frame), expected)


@pytest.mark.parametrize(
    "arguments, options",
    [
        ({}, []),
        ({"mem": "2MiB", "threads": 1}, ["--mem", "2MiB", "-j", "1"]),
        ({"branches": "cnn", "level": "scalar"}, ["--branches", "cnn", "--level", "scalar"]),
    ],
)
def test_the_plan_is_that_of_the_command(arguments, options):
    theirs = json.loads(command("plan", "--size", "320x200", "--format", "json", "-m", "ctnet-tiny-x2", *options))
    theirs.pop("roomy_budget_bytes")
    assert bifocal.plan("ctnet-tiny-x2", (320, 200), **arguments) == theirs


def test_the_report_is_the_engine_s():
    up = bifocal.Upscaler("ctnet-tiny-x2", mem="4MiB")
    assert up.report is None
    up(scene(40, 50))
    report = up.report
    assert report["budget_bytes"] == 4 << 20 >= report["total_bytes"]
    assert report["output"] == {"width": 100, "height": 80}


def test_names():
    assert bifocal.__version__ == command("--version").decode().split()[1]
    assert {"Upscaler", "models", "plan", "Error", "InputError", "BudgetError"} <= set(dir(bifocal))
    assert "size=(width, height)" in bifocal.Upscaler.__doc__
    up = bifocal.Upscaler("ctnet-tiny-x2", mem="8MiB", threads=2)
    assert repr(up) == "Upscaler('ctnet-tiny-x2', mem='8MiB', threads=2)"
    assert repr(bifocal.Upscaler()) == "Upscaler('ctnet-tiny-x2')"
    installed = pathlib.Path(bifocal.__file__).parent
    assert (installed / "py.typed").exists() and (installed / "__init__.pyi").exists()


def test_it_can_be_sent():
    up = bifocal.Upscaler("ctnet-tiny-x2", mem="8MiB", branches="auto", effort=50, format="bgr")
    frame = scene(20, 30)
    expected = up(frame)
    for other in (pickle.loads(pickle.dumps(up)), copy.copy(up)):
        assert repr(other) == repr(up)
        assert np.array_equal(other(frame), expected)


def _upscale(up, frame, results):
    results.put(up(frame))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_it_runs_in_a_child_process(method):
    context = multiprocessing.get_context(method)
    up, frame = bifocal.Upscaler("ctnet-tiny-x2", threads=2), scene(64, 96)
    expected = up(frame)  # its threads are in this process now
    results = context.Queue()
    child = context.Process(target=_upscale, args=(up, frame, results))
    child.start()
    assert np.array_equal(results.get(timeout=120), expected)
    child.join()
    assert child.exitcode == 0
    assert np.array_equal(up(frame), expected)


def test_other_threads_run_meanwhile():
    """While one thread is in the middle of a call another one runs, which it could not if Python's lock were held."""
    up, frame = bifocal.Upscaler("ctnet-base-x2", threads=1, mem="64MiB"), scene(180, 320)
    up(frame)
    ticks, done = [], threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(time.perf_counter())

    ticker = threading.Thread(target=tick)
    ticker.start()
    begin = time.perf_counter()
    up(frame)
    end = time.perf_counter()
    done.set()
    ticker.join()
    quarter = (end - begin) / 4
    assert any(begin + quarter < tick < end - quarter for tick in ticks), "nothing ran in the middle half of the call"


def test_threads_share_one_upscaler():
    up = bifocal.Upscaler("ctnet-tiny-x2")
    frames = [scene(30 + n % 3, 40, seed=n) for n in range(12)]
    expected = [up(frame) for frame in frames]
    results = [None] * len(frames)

    def work(start):
        for at in range(start, len(frames), 3):
            results[at] = up(frames[at])

    threads = [threading.Thread(target=work, args=(start,)) for start in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all(map(np.array_equal, results, expected))


def resident():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_memory_does_not_grow():
    """Over a thousand frames, with out and without, of two sizes in turn, and with errors among them."""
    up = bifocal.Upscaler("ctnet-nano-x2")
    frames, out = [scene(24, 32), scene(16, 48)], np.empty((48, 64, 3), np.uint8)

    def some(count):
        for number in range(count):
            up(frames[0], out=out)
            up(frames[0])
            if number % 10 == 0:
                up(frames[1])
                with pytest.raises(bifocal.InputError):
                    up(frames[0][..., ::-1])

    some(100)
    tracemalloc.start()
    python, all = tracemalloc.get_traced_memory()[0], resident()
    some(1000)
    python, all = tracemalloc.get_traced_memory()[0] - python, resident() - all
    tracemalloc.stop()
    assert python < 64 << 10, python
    assert all < 2 << 20, all


def test_nothing_of_the_command_is_inside():
    """The package holds the library alone."""
    (extension,) = pathlib.Path(bifocal.__file__).parent.glob("*.so")
    assert os.path.getsize(extension) < 2 * os.path.getsize(COMMAND)
