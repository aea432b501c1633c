"""Arrays in, arrays out: the bytes are those of the command."""

import numpy as np
import pytest

import bifocal
from support import ODD, flat, live, padded, scene, upscaled, yuv


@pytest.fixture(scope="module")
def tiny():
    return bifocal.Upscaler("ctnet-tiny-x2")


@pytest.mark.parametrize("size", [ODD, (1, 1), (48, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_those_of_upscale(tiny, size, channels):
    picture = scene(*size, channels)
    picture = picture[..., 0] if channels == 1 else picture
    large = tiny(np.ascontiguousarray(picture))
    assert large.dtype == np.uint8 and large.flags.c_contiguous
    assert np.array_equal(large, upscaled(picture))


@pytest.mark.parametrize("scale", [3, 4])
def test_other_scales(scale):
    picture = scene(*ODD)
    assert np.array_equal(bifocal.Upscaler(scale=scale)(picture), upscaled(picture, "-s", scale))


@pytest.mark.parametrize(
    "arguments, options",
    [
        ({"mem": "1MiB"}, ["--mem", "1MiB"]),
        ({"mem": 1 << 20, "threads": 1, "level": "scalar"}, []),
        ({"branches": "cnn"}, ["--branches", "cnn"]),
        ({"branches": "transformer"}, ["--branches", "transformer"]),
        ({"branches": "auto", "effort": 30}, ["--branches", "auto", "--effort", "30"]),
    ],
)
def test_arguments_are_those_of_upscale(arguments, options):
    picture = scene(96, 80)
    assert np.array_equal(bifocal.Upscaler("ctnet-tiny-x2", **arguments)(picture), upscaled(picture, *options))


def test_alpha_and_channels(tiny):
    picture = scene(*ODD, 4)
    large = tiny(picture)
    assert large.shape == (74, 106, 4)
    assert np.array_equal(large[..., :3], tiny(np.ascontiguousarray(picture[..., :3])))
    grey = tiny(picture[..., :1].copy())
    assert grey.shape == (74, 106, 1)
    assert np.array_equal(grey[..., 0], tiny(picture[..., 0].copy()))
    with_alpha = tiny(np.ascontiguousarray(picture[..., [0, 3]]))
    assert np.array_equal(with_alpha, np.stack([grey[..., 0], large[..., 3]], -1))


@pytest.mark.parametrize("form, channels", [("bgr", 3), ("bgra", 4)])
def test_turned_colours(tiny, form, channels):
    picture = scene(*ODD, channels)
    order = [2, 1, 0, 3][:channels]
    turned = bifocal.Upscaler("ctnet-tiny-x2", format=form)(np.ascontiguousarray(picture[..., order]))
    assert np.array_equal(turned[..., order], tiny(picture))


def test_rows_are_read_and_written_where_they_lie(tiny):
    whole = scene(90, 120)
    crop = whole[10:47, 20:73]
    expected = tiny(np.ascontiguousarray(crop))
    assert np.array_equal(tiny(crop), expected)
    assert np.array_equal(tiny(whole[::-2, 5:40]), tiny(np.ascontiguousarray(whole[::-2, 5:40])))
    read_only = np.frombuffer(whole.tobytes(), np.uint8).reshape(whole.shape)
    assert np.array_equal(tiny(read_only), tiny(whole))
    canvas = np.full((100, 150, 3), 7, np.uint8)
    out = canvas[3:77, 11:117]
    assert tiny(crop, out=out) is out
    assert np.array_equal(out, expected)
    canvas[3:77, 11:117] = 7
    assert (canvas == 7).all(), "nothing beside the view was written"
    upside_down = np.empty((74, 106, 3), np.uint8)
    tiny(crop, upside_down[::-1])
    assert np.array_equal(upside_down[::-1], expected)


@pytest.mark.parametrize("size", [ODD, (48, 64), (49, 64), (48, 63)])
@pytest.mark.parametrize("kind, siting", [("420mpeg2", "left"), ("420jpeg", "centre"), ("420paldv", "topleft")])
def test_yuv_is_that_of_live(size, kind, siting):
    height, width = size
    planes = yuv(height, width)
    expected = live(planes, kind)
    up = bifocal.Upscaler("ctnet-tiny-x2", format="yuv420", size=(width, height), siting=siting)
    packed = up(flat(planes))
    assert packed.shape == (4 * height * width * 3 // 2,)
    assert np.array_equal(packed, expected)
    stride = 96
    frame = padded(planes, stride)
    assert frame.shape == (height + -(-height // 2), stride)
    large = up(frame)
    assert large.shape == (3 * height, 2 * width)
    assert np.array_equal(large.ravel(), expected), "the padding of rows was read"
    # Rows as long as a display wants them.
    wide = np.full((3 * height, 192), 0x5A, np.uint8)
    assert up(frame, out=wide) is wide
    assert np.array_equal(wide[: 2 * height, : 2 * width].ravel(), expected[: 4 * height * width])
    assert (wide[: 2 * height, 2 * width :] == 0x5A).all(), "what lies between rows was written"
    chroma = wide[2 * height :].reshape(2, height, 96)
    assert np.array_equal(chroma[..., :width].ravel(), expected[4 * height * width :])
    assert (chroma[..., width:] == 0x5A).all()


def test_padding_is_pixels_without_a_size():
    frame = padded(yuv(48, 60), 64)
    large = bifocal.Upscaler("ctnet-tiny-x2", format="yuv420")(frame)
    assert large.shape == (144, 128)


def test_nv12_is_yuv420_in_another_order():
    luma, u, v = yuv(48, 60)
    pairs = np.stack([u, v], -1).reshape(24, 60)
    frame = np.full((72, 64), 9, np.uint8)
    frame[:48, :60], frame[48:, :60] = luma, pairs
    large = bifocal.Upscaler("ctnet-tiny-x2", format="nv12", size=(60, 48))(frame)
    expected = live((luma, u, v), "420mpeg2")
    assert np.array_equal(large[:96].ravel(), expected[: 96 * 120])
    chroma = large[96:].reshape(48, 60, 2)
    assert np.array_equal(flat([chroma[..., 0], chroma[..., 1]]), expected[96 * 120 :])
    for output, order in (("rgb", [0, 1, 2]), ("bgr", [2, 1, 0])):
        rgb = bifocal.Upscaler("ctnet-tiny-x2", format="nv12", size=(60, 48), output=output)(frame)
        planar = bifocal.Upscaler("ctnet-tiny-x2", format="yuv420", output="rgb")(padded((luma, u, v), 60))
        assert np.array_equal(rgb[..., order], planar)


@pytest.mark.parametrize("size", [ODD, (48, 64)])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("range", ["limited", "full"])
def test_yuv_becomes_the_rgb_of_live(size, matrix, range):
    height, width = size
    planes = yuv(height, width)
    given = flat(planes).tobytes()
    source = f"-?format=yuv420p&width={width}&height={height}&matrix={matrix}&range={range}"
    from support import command

    expected = np.frombuffer(command("live", source, "-?format=rgb24", given=given), np.uint8)
    up = bifocal.Upscaler(
        "ctnet-tiny-x2", format="yuv420", size=(width, height), output="rgb", matrix=matrix, range=range
    )
    large = up(padded(planes, 80))
    assert large.shape == (2 * height, 2 * width, 3)
    assert np.array_equal(large.ravel(), expected)


def test_a_stream_gives_what_calls_give(tiny):
    frames = [scene(*ODD, seed=seed) for seed in range(4)]
    expected = [tiny(frame) for frame in frames]
    assert all(map(np.array_equal, tiny.stream(iter(frames)), expected))
    out = np.empty_like(expected[0])
    for number, large in enumerate(tiny.stream(frames, out=out)):
        assert large is out
        assert np.array_equal(out, expected[number])
    assert number == 3
    # Of mixed sizes too, and errors of the source come through.
    sizes = [large.shape for large in tiny.stream([scene(8, 9), scene(10, 11), scene(8, 9)])]
    assert sizes == [(16, 18, 3), (20, 22, 3), (16, 18, 3)]

    def broken():
        yield frames[0]
        raise OSError("the camera is gone")

    stream = tiny.stream(broken())
    next(stream)
    with pytest.raises(OSError, match="the camera is gone"):
        next(stream)
