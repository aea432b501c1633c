"""What goes wrong is an exception with one line of text."""

import numpy as np
import pytest

import bifocal
from support import command, scene


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
    fails(wrong, lambda: up(frame, over), "out: ")
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
    unsized = bifocal.Upscaler("ctnet-tiny-x2", format="yuv420")
    fails(wrong, lambda: unsized(np.zeros(96, np.uint8)), "say which size=(width, height)")
    fails(wrong, lambda: unsized(np.zeros((70, 64), np.uint8)), "height * 3 / 2 rows")
