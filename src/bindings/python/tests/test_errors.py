"""What goes wrong is an exception with one line of text."""

import pathlib

import numpy as np
import pytest

import bifocal
from support import command, in_python, scene


def fails(kind, call, *parts):
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and all(part in text for part in parts), text
    return text


def test_the_kinds_are_those_of_python():
    assert issubclass(bifocal.InputError, (bifocal.Error,)) and issubclass(bifocal.InputError, ValueError)
    assert issubclass(bifocal.BudgetError, bifocal.Error) and issubclass(bifocal.BudgetError, MemoryError)
    assert bifocal.Error.__module__ == "bifocal" and not issubclass(bifocal.Error, ValueError)


def test_texts_are_those_of_the_command(tmp_path):
    frame = scene(64, 64)
    picture = tmp_path / "frame.ppm"
    picture.write_bytes(b"P6 64 64 255\n" + frame.tobytes())
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"no network at all")
    missing = tmp_path / "missing.onnx"
    run = ["upscale", picture, tmp_path / "out.ppm"]
    for model in ("ctnet-huge-x9", missing, damaged):
        text = fails(bifocal.InputError, lambda: bifocal.Upscaler(model))
        assert text == command(*run, "-m", model, fails=True)
    text = fails(bifocal.BudgetError, lambda: bifocal.Upscaler("ctnet-tiny-x2", mem="20k")(frame), "the least that works")
    assert command(*run, "-m", "ctnet-tiny-x2", "--mem", "20k", fails=True) == f"{picture}: {text}"
    least = text.split()[-1]
    bifocal.Upscaler("ctnet-tiny-x2", mem=least)(frame)


def test_what_is_asked_for_is_judged():
    new = bifocal.Upscaler
    wrong = bifocal.InputError
    fails(wrong, lambda: new(mem="lots"), "'lots' is not an amount of memory")
    fails(bifocal.BudgetError, lambda: new(mem=1)(scene(8, 8)), "the least that works")
    fails(wrong, lambda: new(threads=0), "0 threads; 1 to 16")
    fails(wrong, lambda: new(threads=-3), "-3 threads")
    fails(wrong, lambda: new(branches="left"), "'left' is not one of both, cnn, transformer, auto")
    fails(wrong, lambda: new(effort=50), "effort is for branches='auto'")
    fails(wrong, lambda: new(branches="auto", effort=101), "an effort of 101; 0 to 100")
    fails(wrong, lambda: new(level="mmx"), "level 'mmx' is not available here; this processor has: scalar")
    fails(wrong, lambda: new("ctnet-tiny-x2", scale=4), "the model ctnet-tiny-x2 has scale 2, not 4")
    fails(wrong, lambda: new(scale=7), "no built-in model has scale 7")
    fails(wrong, lambda: new(b"no network"), "model of bytes:")
    fails(wrong, lambda: new(format="cmyk"), "format 'cmyk' is not one of grey, gray, greyalpha, rgb")
    fails(wrong, lambda: new(output="rgb"), "output is for format='yuv420' or 'nv12'")
    fails(wrong, lambda: new(format="rgb", size=(4, 4)), "size is for")
    fails(wrong, lambda: new(format="yuv420", matrix="bt709"), "matrix and range are for output='rgb' or 'bgr'")
    fails(wrong, lambda: new(format="yuv420", output="grey"), "output 'grey' is not one of rgb, bgr")
    fails(wrong, lambda: new("ctnet-tiny-x4", branches="auto")(scene(8, 8)), "has no thresholds")
    fails(wrong, lambda: new(mem=-1), "mem=-1 is not an amount of memory")
    fails(TypeError, lambda: new(mem=1.5), "mem is float; '32MiB' or a number of bytes are taken")
    for arguments in ({"mem": 1.5}, {"size": 3}, {"quality": 9}):
        fails(TypeError, lambda: new(**arguments))


def test_frames_are_judged():
    up = bifocal.Upscaler("ctnet-tiny-x2")
    wrong = bifocal.InputError
    fails(TypeError, lambda: up([[1, 2], [3, 4]]), "frame is list; NumPy arrays of uint8 are taken")
    fails(TypeError, lambda: up(scene(8, 8).astype(np.float32)), "frame is an array of float32")
    fails(wrong, lambda: up(np.zeros(5, np.uint8)), "an array of shape (5,)")
    fails(wrong, lambda: up(np.zeros((4, 4, 5), np.uint8)), "(4, 4, 5)")
    fails(wrong, lambda: up(np.zeros((0, 4), np.uint8)), "a frame of 4x0 cannot be upscaled")
    fails(wrong, lambda: up(np.zeros((1, 65537), np.uint8)), "a frame of 65537x1 cannot be upscaled")
    fails(wrong, lambda: up(scene(8, 8)[:, ::-1]), "frame: the bytes of a row do not lie side by side")
    fails(wrong, lambda: up(scene(8, 8)[..., ::-1]), "numpy.ascontiguousarray")
    fails(wrong, lambda: up(np.asfortranarray(scene(8, 8))), "side by side")
    fails(wrong, lambda: bifocal.Upscaler(format="rgb")(scene(8, 8, 4)), "height x width x 3")


def test_out_is_judged():
    up = bifocal.Upscaler("ctnet-tiny-x2")
    frame, wrong = scene(8, 9), bifocal.InputError
    fails(wrong, lambda: up(frame, np.empty((16, 16, 3), np.uint8)), "out has shape (16, 16, 3); the upscaled frame has (16, 18, 3)")
    fails(TypeError, lambda: up(frame, np.empty((16, 18, 3), np.int8)), "out is an array of int8")
    fails(wrong, lambda: up(frame, np.empty((18, 16, 3), np.uint8).swapaxes(0, 1)), "out: the bytes of a row")
    locked = np.empty((16, 18, 3), np.uint8)
    locked.flags.writeable = False
    fails(wrong, lambda: up(frame, locked), "out cannot be written to")
    canvas = np.empty((16, 18, 3), np.uint8)
    fails(wrong, lambda: up(canvas[:8, :9], canvas), "apart from the frame")
    over = np.lib.stride_tricks.as_strided(np.empty(4000, np.uint8), (16, 18, 3), (10, 3, 1))
    fails(wrong, lambda: up(frame, over), "out: its rows overlap in memory")
    for strides in ((0, 3, 1), (54, 0, 1), (54, 3, 0)):
        over = np.lib.stride_tricks.as_strided(np.empty(4000, np.uint8), (16, 18, 3), strides)
        fails(wrong, lambda: up(frame, over), "out: its rows overlap in memory")
    two = np.lib.stride_tricks.as_strided(np.empty(4000, np.uint8), (16, 18), (17, 1))
    fails(wrong, lambda: up(frame[..., 0].copy(), two), "out: its rows overlap in memory")
    # Rows with others between them do not overlap.
    assert np.array_equal(up(frame, np.empty((32, 18, 3), np.uint8)[::2]), up(frame))
    # It goes on after errors.
    assert up(frame, canvas) is canvas


def test_yuv_frames_are_judged():
    up = bifocal.Upscaler("ctnet-tiny-x2", format="yuv420", size=(60, 48))
    wrong = bifocal.InputError
    array = np.zeros((72, 64), np.uint8)
    fails(wrong, lambda: up(array[:, :60]), "a YUV frame must lie in one piece")
    fails(wrong, lambda: up(np.zeros((72, 58), np.uint8)), "a YUV 4:2:0 frame of 60x48 has 72 rows")
    fails(wrong, lambda: up(np.zeros((71, 64), np.uint8)), "has 72 rows")
    fails(wrong, lambda: up(np.zeros(72 * 64, np.uint8)), "or 4320 bytes in one dimension")
    fails(wrong, lambda: up(np.zeros((72, 61), np.uint8)), "an even number")
    fails(wrong, lambda: up(np.zeros((72, 60, 1), np.uint8)), "(72, 60, 1)")
    fails(wrong, lambda: up(array, np.zeros((144, 121), np.uint8)), "out has shape (144, 121)")
    over = np.lib.stride_tricks.as_strided(np.empty(4000, np.uint8), (144, 120), (0, 1))
    fails(wrong, lambda: up(array, over), "out: its rows overlap in memory")
    unsized = bifocal.Upscaler("ctnet-tiny-x2", format="yuv420")
    fails(wrong, lambda: unsized(np.zeros(96, np.uint8)), "say which size=(width, height)")
    fails(wrong, lambda: unsized(np.zeros((70, 64), np.uint8)), "height * 3 / 2 rows")


@pytest.mark.parametrize("number", [-1, -(2**40), 2**31, 2**63, 2**64, -(2**64), 10**30, 10**5000], ids=lambda n: hex(n)[:24])
def test_numbers_that_are_too_large_or_below_zero(number):
    new, wrong = bifocal.Upscaler, bifocal.InputError
    shown = str(number) if abs(number) < 10**31 else "0x"
    fails(wrong, lambda: new(threads=number), f"{shown}", "threads; 1 to 16 are supported")
    fails(wrong, lambda: new(branches="auto", effort=number), f"an effort of {shown}", "0 to 100 are supported")
    fails(wrong, lambda: new(scale=number), f"no built-in model has scale {shown}")
    fails(wrong, lambda: new("ctnet-tiny-x2", scale=number), f"has scale 2, not {shown}")
    if not 0 < number < 2**63:
        fails(wrong, lambda: new(mem=number), f"mem={shown}", "is not an amount of memory")
    for size in ((number, 4), [4, number]):
        for call in (lambda: new(format="nv12", size=size), lambda: bifocal.plan(size=size)):
            fails(wrong, call, "size: a frame of ", shown, "cannot be upscaled; sides from 1 to 65536 can")
    fails(wrong, lambda: bifocal.plan(threads=number), "threads; 1 to 16")


def test_sizes():
    new, wrong = bifocal.Upscaler, bifocal.InputError
    for size in ((0, 0), (0, 4), [4, 0], (65537, 1)):
        text = "size: a frame of %dx%d cannot be upscaled; sides from 1 to 65536 can" % tuple(size)
        assert fails(wrong, lambda: new(format="yuv420", size=size)) == text
        assert fails(wrong, lambda: bifocal.plan(size=size)) == text
    frame = np.zeros((72, 64), np.uint8)
    expected = new(format="yuv420", size=(60, 48))(frame)
    for size in ([60, 48], np.array([60, 48]), (np.int64(60), np.uint8(48)), range(60, 47, -12)):
        up = new(format="yuv420", size=size)
        assert np.array_equal(up(frame), expected) and "size=(60, 48)" in repr(up)
        assert bifocal.plan(size=size)["output"] == {"width": 120, "height": 96}
    for size in ((), (4,), (4, 5, 6)):
        fails(wrong, lambda: new(format="yuv420", size=size), "size has not two numbers; (width, height) is taken")
    fails(TypeError, lambda: new(format="yuv420", size=(4.5, 4)), "the width of size is float; a whole number is taken")
    fails(TypeError, lambda: new(format="yuv420", size="44"), "the width of size is str")
    fails(TypeError, lambda: new(format="yuv420", size=4), "size is int; (width, height) is taken")


def test_numbers_of_other_kinds():
    up = bifocal.Upscaler(threads=np.int64(2), mem=np.int64(8 << 20), scale=np.uint8(2))
    assert "threads=2" in repr(up) and "scale=2" in repr(up)
    for name in ("threads", "effort", "scale"):
        fails(TypeError, lambda: bifocal.Upscaler(**{name: 1.5}), f"{name} is float; a whole number is taken")
        fails(TypeError, lambda: bifocal.Upscaler(**{name: "2"}), f"{name} is str")


def test_texts_without_end():
    endless, wrong = "x" * (1 << 20), bifocal.InputError
    for name in ("mem", "branches", "level", "format"):
        fails(wrong, lambda: bifocal.Upscaler(**{name: endless}), f"{name} is a text of 1048576 bytes")
    fails(wrong, lambda: bifocal.Upscaler(format="nv12", siting=endless), "siting is a text of")
    fails(wrong, lambda: bifocal.Upscaler(endless), "model is a path of more than 4096 characters")


# The memory of a process may be so much more than it is now, in MiB; then `call` fails, and the kinds of the error are printed.
LIMITED = """
import resource, bifocal, numpy as np
up = bifocal.Upscaler("ctnet-nano-x2", threads=1)
frame, out = np.zeros((600, 800, 3), np.uint8), np.zeros((1200, 1600, 3), np.uint8)
{before}
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ({more} << 20), -1))
try:
    {call}
except Exception as error:
    print([kind.__name__ for kind in type(error).__mro__[:3]], error)
up(frame, out)
print("goes on")
"""


def limited(more, call, before=""):
    said, on = in_python(LIMITED.format(more=more, call=call, before=before)).splitlines()
    assert on == "goes on"
    return said


def test_memory_that_numpy_does_not_get():
    for call in ("up(frame)", "next(up.stream([frame]))"):
        said = limited(2, call, "up(frame, out)")
        assert said == "['BudgetError', 'Error', 'MemoryError'] this takes 5.5MiB of memory, which the system does not give"


def test_a_model_of_bytes_takes_what_is_there():
    said = limited(96, "bifocal.Upscaler(junk)", "junk = bytes(16 << 20); up(frame, out)")
    assert said.startswith("['InputError', 'Error', 'ValueError'] model of bytes: ")


@pytest.mark.parametrize("call", ["bifocal.Upscaler()", "bifocal.Upscaler(onnx)", "bifocal.plan(onnx)", "bifocal.models()"])
def test_memory_that_a_model_does_not_get(call):
    root = pathlib.Path(__file__).resolve().parents[4]
    said = limited(4, call, f"onnx = open({str(root / 'models/ctnet-base-x2.onnx')!r}, 'rb').read(); up(frame, out)")
    assert said.startswith("['BudgetError', 'Error', 'MemoryError'] this takes 2") and said.endswith("which the system does not give")


def test_a_bug_is_an_ordinary_exception():
    """What PyO3 makes of a panic is not an `Exception`: no `except Exception` would see it."""
    code = """
import numpy, bifocal
up = bifocal.Upscaler()
del numpy._core.multiarray._ARRAY_API
for call in (lambda: up(numpy.zeros((4, 4), "uint8")), lambda: next(up.stream([4]))):
    try:
        call()
    except bifocal.Error as error:
        print(error)
"""
    said = in_python(code).splitlines()
    assert len(said) == 2 and all(line.startswith("internal error: ") and line.endswith("; please report it") for line in said), said


def test_without_numpy():
    code = "import sys\nsys.modules['numpy'] = None\nimport bifocal\nup = bifocal.Upscaler()\n"
    code += "try:\n    up(b'')\nexcept ImportError as error:\n    print(error)"
    assert "numpy" in in_python(code)
