"""What is on a card: kernel, initramfs, and the files by which a board's firmware finds them."""

import pathlib
import subprocess

from . import cpio, disk, uboot
from .describe import Card
from .kernel import Kernel
from .packages import Suite

HERE = pathlib.Path(__file__).parent
KERNEL, INITRAMFS = "vmlinuz", "initrd.img"
# Linux 6.12 reads all of these; the firmware of a Pi 5 is not on the card.
FIRMWARE_SUITE = "trixie"


class Contents:
    """The files of a card by name, and the packages that they came from."""

    def __init__(self, card: Card, program: bytes, update: bool):
        self.card = card
        self.packages: list[pathlib.Path] = []
        self.suites: dict[str, Suite] = {}
        self.update = update
        suite = self.suite(card.kernel)
        self.kernel = Kernel([suite.unpack(p, self.packages) for p in suite.kernel_packages()])
        self.files = {
            KERNEL: self.kernel.image.read_bytes(),
            INITRAMFS: zstd(initramfs(card, self.kernel, program)),
            "bifocal.toml": (HERE / "files/bifocal.toml").read_bytes(),
        }
        if card.layout == "raspberry-pi":
            self.raspberry_pi()
        else:
            self.uefi()
            self.extlinux()
        self.licences()

    def suite(self, name: str) -> Suite:
        if name not in self.suites:
            self.suites[name] = Suite(name)
            if self.update:
                self.suites[name].update()
        return self.suites[name]

    def raspberry_pi(self):
        """For the board's own firmware: config.txt, cmdline.txt, device trees beside them."""
        if self.card.firmware:
            package = self.suite(FIRMWARE_SUITE).unpack("raspi-firmware", self.packages)
            for name in self.card.firmware:
                self.files[name] = (package / "usr/lib/raspi-firmware" / name).read_bytes()
        for tree in self.card.device_trees:
            self.files[tree.rpartition("/")[2]] = self.kernel.tree(tree).read_bytes()
        self.files["config.txt"] = (template("config.txt") + self.card.config.lstrip("\n")).encode()
        self.files["cmdline.txt"] = (command_line(self.card) + "\n").encode()
        self.files["boot.scr"] = uboot.script(template("boot.txt", LINE=f"{command_line(self.card)} {self.card.emulated}"))

    def extlinux(self):
        """For U-Boot. It hands on the device tree that it was started with, unless the card has one for it."""
        lines = ["default bifocal", "timeout 1", "label bifocal", f"    linux /{KERNEL}", f"    initrd /{INITRAMFS}",
                 f"    append {command_line(self.card)}"]
        if self.card.device_trees:
            lines.append("    fdtdir /dtb")
            for tree in self.card.device_trees:
                self.files[f"dtb/{tree}"] = self.kernel.tree(tree).read_bytes()
        self.files["extlinux/extlinux.conf"] = "".join(line + "\n" for line in lines).encode()

    def uefi(self):
        """For UEFI: systemd's boot loader, which needs no more than these files."""
        package = self.suite(self.card.kernel.removesuffix("-backports")).unpack("systemd-boot-efi", self.packages)
        loader = package / "usr/lib/systemd/boot/efi/systemd-bootaa64.efi"
        self.files["EFI/BOOT/BOOTAA64.EFI"] = loader.read_bytes()
        self.files["loader/loader.conf"] = b"timeout 0\ndefault bifocal.conf\n"
        entry = f"title Bifocal\nlinux /{KERNEL}\ninitrd /{INITRAMFS}\noptions {command_line(self.card)}\n"
        self.files["loader/entries/bifocal.conf"] = entry.encode()

    def licences(self):
        """The terms of everything that is not ours, as its packages state them."""
        for package in self.packages:
            folder = package.with_suffix("")
            for file in sorted(folder.glob("usr/share/doc/*/copyright")):
                if not file.is_symlink():
                    self.files[f"licences/{file.parent.name}.txt"] = file.read_bytes()


def command_line(card: Card) -> str:
    """What the kernel is told. `bifocal.card` is how the program finds the partition with bifocal.toml again."""
    consoles = " ".join(f"console={name}" for name in ["tty0", *card.console])
    volume = disk.VOLUME_ID.upper()
    # Warnings of the kernel and our own lines (notice) are shown; `panic` starts over whatever happens.
    return (f"{consoles} loglevel=6 printk.devkmsg=on panic=10 consoleblank=0 vt.global_cursor_default=0 "
            f"bifocal.card={volume[:4]}-{volume[4:]}")


def template(name: str, **values: str) -> str:
    """One of our files with the names of kernel and initramfs, and whatever else it asks for, put in."""
    text = (HERE / "files" / name).read_text()
    for key, value in {"KERNEL": KERNEL, "INITRAMFS": INITRAMFS, **values}.items():
        text = text.replace(f"@{key}@", value)
    return text


def initramfs(card: Card, kernel: Kernel, program: bytes) -> bytes:
    """The root of the running system, all of it in memory: one program and the modules of the board."""
    archive = cpio.Archive()
    for folder in ("dev", "proc", "sys", "tmp", "card"):
        archive.folder(folder)
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/bifocal", program, 0o755)
    archive.link("init", "bin/bifocal")
    wanted = [module for names in card.modules.values() for module in names]
    modules = kernel.with_dependencies(wanted)
    for name, data in modules.items():
        archive.file(f"lib/modules/{name}.ko", data)
    archive.file("lib/modules/order", "".join(f"{name}\n" for name in modules).encode())
    return archive.bytes()


def zstd(data: bytes) -> bytes:
    done = subprocess.run(["zstd", "-19", "-T1", "--no-check", "-c", "-q"], input=data, capture_output=True, check=True)
    return done.stdout
