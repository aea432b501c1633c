"""Emulated machines that boot a card image the way a board does: through a boot loader, from the card alone."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "hardware"), str(ROOT / "boards")]

from card import disk  # noqa: E402
from card.packages import Suite  # noqa: E402
from guest import Guest  # noqa: E402

WIDTH, HEIGHT, FRAMES = 320, 180, 400
PICTURE = f"test://bars?width={WIDTH}&height={HEIGHT}"


class Machine:
    """How an image is booted. `sink` is what its emulated display is called."""

    def __init__(self, name, board, sink, command):
        self.name, self.board, self.sink, self._command = name, board, sink, command

    def boot(self, image, limit=300):
        return Guest(command=[*self._command(Path(image)), "-display", "none", "-no-reboot"], limit=limit)


def _raspberry_pi(kind, loader, tree, more=()):
    def command(image):
        # The firmware, which emulators do not have, would hand over the card's device tree.
        file = image.with_suffix(".dtb")
        if not file.exists():
            copy_out(image, tree, file)
        card = f"if=sd,format=raw,file={image}"
        # The first serial port is Bluetooth's.
        return ["qemu-system-aarch64", "-M", kind, "-accel", "tcg,thread=single", "-kernel", str(loader),
                "-dtb", str(file), "-drive", card, "-serial", "null", *more]

    return command


def _virt(loader):
    def command(image):
        return ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "512M", "-nodefaults",
                "-bios", str(loader), "-device", "virtio-gpu-pci", "-drive", f"if=none,id=card,format=raw,file={image}",
                "-device", "virtio-blk-pci,drive=card"]

    return command


def machines(cache):
    """All machines by name. The boot loaders come from Debian's packages."""
    suite = Suite("trixie", cache)
    used = []
    rpi = suite.unpack("u-boot-rpi", used) / "usr/lib/u-boot/rpi_3/u-boot.bin"
    uboot = suite.unpack("u-boot-qemu", used) / "usr/lib/u-boot/qemu_arm64/u-boot.bin"
    uefi = suite.unpack("qemu-efi-aarch64", used) / "usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
    found = [
        Machine("raspi3b", "rpi3", "fb:///dev/fb0", _raspberry_pi("raspi3b", rpi, "bcm2837-rpi-3-b.dtb")),
        Machine("virt-uboot", "generic-aarch64", "drm://", _virt(uboot)),
        Machine("virt-uefi", "generic-aarch64", "drm://", _virt(uefi)),
        Machine("virt-jetson", "jetson-nano", "fb:///dev/fb0", _virt(uboot)),
    ]
    return {machine.name: machine for machine in found}


def _mtools(command, image, *arguments):
    subprocess.run([command, "-i", f"{image}@@{disk.START}", *arguments], check=True, capture_output=True)


def copy_out(image, name, file):
    _mtools("mcopy", image, "-n", f"::{name}", str(file))


def configured(image, copy, text):
    """A copy of the image with another bifocal.toml, as a user would edit it."""
    shutil.copy(image, copy)
    file = Path(copy).with_suffix(".toml")
    file.write_text(text)
    _mtools("mcopy", copy, "-o", str(file), "::bifocal.toml")


def expected_frames(program, folder):
    """The first frames of the upscaled test picture, as the program makes them on this machine."""
    raw = Path(folder) / "expected.rgb"
    if not raw.exists():
        made = [program, "--quiet", "live", f"{PICTURE}&frames={FRAMES}&fps=0", f"file://{raw}?format=rgb24", "--drop", "never"]
        subprocess.run(made, check=True)
    data, size = raw.read_bytes(), 2 * WIDTH * 2 * HEIGHT * 3
    frames = {data[i * size : (i + 1) * size]: i for i in range(FRAMES)}
    assert len(data) == FRAMES * size and len(frames) == FRAMES, "the test picture's frames differ from each other"
    return frames


def shown(screen, frames):
    """Which frame stands in the middle of the screen, pixel for pixel, with nothing but black around it; or None."""
    width, height, pixels = screen
    left, top = (width - 2 * WIDTH) // 2, (height - 2 * HEIGHT) // 2
    if left < 0 or top < 0:
        return None
    rows = [pixels[3 * width * y : 3 * width * (y + 1)] for y in range(height)]
    inside = rows[top : top + 2 * HEIGHT]
    number = frames.get(b"".join(row[3 * left : 3 * (left + 2 * WIDTH)] for row in inside))
    black = not any(map(any, rows[:top] + rows[top + 2 * HEIGHT :]))
    black = black and not any(any(row[: 3 * left]) or any(row[3 * (left + 2 * WIDTH) :]) for row in inside)
    return number if black else None


def until_shown(guest, frames, limit):
    """Waits for a frame on the screen; (its number, seconds waited)."""
    start = time.monotonic()
    while time.monotonic() < start + limit:
        while guest.line(wait=0.2) is not None:
            pass
        number = shown(guest.screen(), frames)
        if number is not None:
            return number, time.monotonic() - start
    guest._fail(f"no frame on the screen after {limit} s")
