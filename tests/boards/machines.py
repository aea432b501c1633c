"""Emulated machines that boot a card image the way a board does: through a boot loader, from the card alone."""

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "hardware"), str(ROOT / "boards")]

from card import disk  # noqa: E402
from card.packages import PackageError, Suite, host_architecture, host_suite  # noqa: E402
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

    def wait(self, machine, guest, limit=400):
        """Waits for a frame on a machine's screen, seconds at most; returns its number."""
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


@dataclass
class Machine:
    """How an image is booted, by a command for its file; `sink` is what the emulated display is called."""

    name: str
    board: str
    sink: str
    command: Callable[[Path], list[str]]
    # QEMU takes the order of colours that U-Boot asks for from the other end than U-Boot and Linux do, so that red and
    # blue change places.
    swapped: bool = False
    # Linux does not use the emulated serial line; the screen tells all there is.
    silent: bool = False

    def boot(self, image, limit=900):
        return Guest(command=[*self.command(Path(image)), "-display", "none", "-no-reboot"], limit=limit)

    def screen(self, guest):
        """What the screen shows, in the colours that were meant: (width, height, bytes of red, green, blue)."""
        width, height, pixels = guest.screen()
        if self.swapped:
            pixels = bytearray(pixels)
            pixels[0::3], pixels[2::3] = pixels[2::3], pixels[0::3]
        return width, height, bytes(pixels)


NAMES = ("raspi3b", "raspi4b", "virt-uboot", "virt-uefi", "virt-jetson")


def machine(name):
    """The machine of this name. Boot loaders come from Debian's packages."""

    def loader(package, file):
        return Suite("trixie").unpack(package) / file

    def rpi(kind):
        return loader("u-boot-rpi", f"usr/lib/u-boot/{kind}/u-boot.bin")

    if name == "raspi3b":
        command = _raspberry_pi(["qemu-system-aarch64", "-M", name], rpi("rpi_3"), "bcm2837-rpi-3-b.dtb")
        return Machine(name, "rpi3", "fb:///dev/fb0", command, swapped=True)
    if name == "raspi4b":
        command = _raspberry_pi([*_emulator_of_raspi4b(), "-M", name], rpi("rpi_4"), "bcm2711-rpi-4-b.dtb", _emulated_pi4)
        return Machine(name, "rpi4", "fb:///dev/fb0", command, swapped=True, silent=True)
    if name == "virt-uefi":
        return Machine(name, "generic-aarch64", "drm://", _virt(loader("qemu-efi-aarch64", "usr/share/qemu-efi-aarch64/QEMU_EFI.fd")))
    uboot = _virt(loader("u-boot-qemu", "usr/lib/u-boot/qemu_arm64/u-boot.bin"))
    if name == "virt-uboot":
        return Machine(name, "generic-aarch64", "drm://", uboot)
    return Machine(name, "jetson-nano", "drm://", uboot, silent=True)


def _raspberry_pi(emulator, loader, tree, change=None):
    def command(image):
        # The firmware, which emulators do not have, would hand over the card's device tree.
        file = image.with_suffix(".dtb")
        if not file.exists():
            copy_out(image, tree, file)
            if change:
                change(file)
        card = f"if=sd,format=raw,file={image}"
        # The first serial port is Bluetooth's.
        return [*emulator, "-accel", "tcg,thread=single", "-kernel", str(loader), "-dtb", str(file), "-drive", card, "-serial", "null"]

    return command


def _emulated_pi4(tree):
    """Takes out of a Pi 4's device tree what QEMU 10's has no hardware behind: HDMI's own parts, the power switches, the
    firmware's lines, an interrupt of the second serial port that ends. The card is in the slot of the Wi-Fi chip there."""
    for node in ("interrupt-controller@7ef00100", "i2c@7ef04500", "i2c@7ef09500", "clock@7ef00000", "power", "firmware/gpio",
                 "serial@7e215040"):
        subprocess.run(["fdtput", "-t", "s", tree, f"/soc/{node}", "status", "disabled"], check=True)
    for name in ("mmc-pwrseq", "non-removable"):
        subprocess.run(["fdtput", "-d", tree, "/soc/mmc@7e300000", name], check=True)


def _emulator_of_raspi4b():
    """A QEMU of 9 or newer: this system's own, or the one of Debian's backports to it."""
    found = ["qemu-system-aarch64"]
    if not _knows_raspi4b(found):
        backport = Suite(f"{host_suite()}-backports", host_architecture()).unpack("qemu-system-arm")
        # The modules of the installed one are not for it.
        found = ["env", "QEMU_MODULE_DIR=/nonexistent", str(backport / "usr/bin/qemu-system-aarch64")]
        if not _knows_raspi4b(found):
            raise PackageError(f"{backport.name} does not run here; it wants libraries that are not installed")
    return found


def _knows_raspi4b(emulator):
    return "raspi4b" in subprocess.run([*emulator, "-M", "help"], capture_output=True, text=True).stdout


def _virt(loader):
    def command(image):
        return ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "512M", "-nodefaults",
                "-bios", str(loader), "-device", "virtio-gpu-pci", "-drive", f"if=none,id=card,format=raw,file={image}",
                "-device", "virtio-blk-pci,drive=card"]

    return command


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
