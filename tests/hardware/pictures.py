"""Pictures of cameras and screens, and what the program makes of them on this machine."""

import subprocess


def run(program, *words, **options):
    done = subprocess.run([program, *map(str, words)], capture_output=True, **options)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, words))}: {done.stderr.decode().strip()}")
    return done.stdout


def upscaled(program, picture, width, height):
    """What `upscale` makes of a grey picture: its bytes."""
    pgm = b"P5\n%d %d\n255\n" % (width, height) + picture
    out = run(program, "upscale", "-", "-", "-f", "pgm", "--quiet", input=pgm)
    head = b"P5\n%d %d\n255\n" % (2 * width, 2 * height)
    assert out.startswith(head), out[:20]
    return out[len(head) :]


def coloured(grey):
    """Grey samples as red, green and blue."""
    return bytes(value for value in grey for _ in range(3))


def live(program, frames, source, sink):
    """What `live` makes of raw frames, from pipe to pipe."""
    return run(program, "live", f"-?{source}", f"-?{sink}", "--quiet", input=frames)


def middle(screen, width, height):
    """The picture of a size in the middle of a screen, as grey or RGB bytes, and whether the rest is black."""
    across, down, pixels = screen
    left, top = (across - width) // 2, (down - height) // 2
    rows = [pixels[3 * across * y :][: 3 * across] for y in range(down)]
    inside = b"".join(row[3 * left : 3 * (left + width)] for row in rows[top : top + height])
    outside = rows[:top] + rows[top + height :] + [row[: 3 * left] + row[3 * (left + width) :] for row in rows]
    return inside, all(part.count(0) == len(part) for part in outside)
