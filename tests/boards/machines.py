"""Emulated machines that boot a card image the way a board does: through a boot loader, from the card alone."""

import hashlib
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

class Picture:
    """The first frames of an upscaled test picture, as the program makes them on this machine."""

    FRAMES = 500

    def __init__(self, program, width, height):
        self.source = f"test://bars?width={width}&height={height}"
        self.width, self.height = 2 * width, 2 * height
        made = [program, "--quiet", "live", f"{self.source}&frames={self.FRAMES}&fps=0", "-?format=rgb24", "--drop", "never"]
        self._numbers = {}
        with subprocess.Popen(made, stdout=subprocess.PIPE) as process:
            while frame := process.stdout.read(self.width * self.height * 3):
                self._numbers[_digest(frame)] = len(self._numbers)
        assert process.returncode == 0 and len(self._numbers) == self.FRAMES, "the test picture's frames differ from each other"

    def shown(self, screen):
        """Which frame stands in the screen's middle, pixel for pixel, with nothing but black around it; or None."""
        width, height, pixels = screen
        left, top = (width - self.width) // 2, (height - self.height) // 2
        if left < 0 or top < 0:
            return None
        rows = [pixels[3 * width * y : 3 * width * (y + 1)] for y in range(height)]
        inside = rows[top : top + self.height]
        black = not any(map(any, rows[:top] + rows[top + self.height :]))
        black = black and not any(any(row[: 3 * left]) or any(row[3 * (left + self.width) :]) for row in inside)
        if not black:
            return None
        return self._numbers.get(_digest(b"".join(row[3 * left : 3 * (left + self.width)] for row in inside)))

    def wait(self, machine, guest, limit):
        """Waits for a frame on a machine's screen; returns its number."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            while guest.line(wait=0.2) is not None:
                pass
            number = self.shown(machine.screen(guest))
            if number is not None:
                return number
        guest._fail(f"no frame on the screen after {limit} s")


def _digest(frame):
    return hashlib.blake2b(frame).digest()


class Machine:
    """How an image is booted. `sink` is what its emulated display is called. `swapped`: QEMU takes the order of colours
    that U-Boot asks for from the other end than U-Boot and Linux do, so that red and blue change places."""

    def __init__(self, name, board, sink, command, swapped=False):
        self.name, self.board, self.sink, self._command, self._swapped = name, board, sink, command, swapped

    def boot(self, image, limit=300):
        return Guest(command=[*self._command(Path(image)), "-display", "none", "-no-reboot"], limit=limit)

    def screen(self, guest):
        """What the screen shows, in the colours that were meant: (width, height, bytes of red, green, blue)."""
        width, height, pixels = guest.screen()
        if self._swapped:
            pixels = bytearray(pixels)
            pixels[0::3], pixels[2::3] = pixels[2::3], pixels[0::3]
        return width, height, bytes(pixels)


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
        Machine("raspi3b", "rpi3", "fb:///dev/fb0", _raspberry_pi("raspi3b", rpi, "bcm2837-rpi-3-b.dtb"), swapped=True),
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
