#!/usr/bin/env python3
"""Card images in emulated machines: boot to the picture, wrong configurations, power cuts.

    tests/boards/boot.py NATIVE IMAGES MACHINE... [--wrong] [--cuts N] [--seed N]

NATIVE is the program for this machine, which says what is expected; IMAGES the folder of `boards/image --out`; each
MACHINE (machines.NAMES) boots, with --wrong also with a wrong configuration, and has its power cut N times.
"""

import argparse
import hashlib
import random
import sys
import tempfile
import time
from pathlib import Path

import machines
from machines import Picture

sys.path.insert(0, str(machines.ROOT / "tests/hardware"))
from card.packages import PackageError  # noqa: E402
from guest import GuestError  # noqa: E402


def sha256(file):
    with open(file, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def config(machine, picture):
    return f'source = "{picture.source}&fps=2"\nsink = "{machine.sink}"\n'


def boots(machine, image, picture, folder):
    """The image boots to frames on the screen, which go on, and nothing is written on the card."""
    copy = folder / f"{machine.name}.img"
    machines.configured(image, copy, config(machine, picture))
    before = sha256(copy)
    start = time.monotonic()
    with machine.boot(copy) as guest:
        number = later = picture.wait(machine, guest)
        took = time.monotonic() - start
        while later == number:
            later = picture.wait(machine, guest)
        assert later > number, f"{machine.name}: frame {later} came after frame {number}"
        disks = guest.control("query-blockstats")
        assert not any(disk["stats"]["wr_operations"] for disk in disks), f"{machine.name}: a disk was written to: {disks}"
    assert sha256(copy) == before, f"{machine.name}: something was written on the card"
    told = ""
    if not machine.silent:
        up = [line for line in guest.lines if "bifocal: /dev/" in line and "read-only" in line]
        assert up, f"{machine.name}: the serial line says nothing of the card"
        told = f"; the kernel had the card after {up[0].split(']')[0].rpartition('[')[2].strip()} s"
    print(f"{machine.name}: {machine.board} boots; first frame (number {number}) on the screen, pixel-exact, after "
          f"{took:.1f} s of the emulator{told}", flush=True)
    return took


def falls_back(machine, image, picture, folder):
    """A wrong configuration is named with its line on every console, and the test picture follows."""
    copy = folder / f"{machine.name}-wrong.img"
    machines.configured(image, copy, '# mine\nsource = "test://bars"\nsauce = "hot"\n')
    with machine.boot(copy) as guest:
        said = "something" if machine.silent else guest.until("/card/bifocal.toml:3:").rpartition("bifocal: ")[2]
        picture.wait(machine, guest)
    print(f"{machine.name}: with a wrong bifocal.toml it says '{said}', then shows the test picture", flush=True)


def survives_cuts(machine, image, picture, folder, cuts, seed, usual):
    """The power is cut at random moments of boot and run; each time the next boot comes up and the card is as it was."""
    copy = folder / f"{machine.name}-cut.img"
    machines.configured(image, copy, config(machine, picture))
    before, chance, running, slowest = sha256(copy), random.Random(seed), 0, 0.0
    for cut in range(cuts):
        moment = chance.uniform(0, 1.6 * usual)
        with machine.boot(copy) as guest:
            end = time.monotonic() + moment
            while time.monotonic() < end:
                guest.line(wait=end - time.monotonic())
            running += picture.shown(machine.screen(guest)) is not None
        # Here the emulator is killed (SIGKILL), with whatever it had not yet written.
        assert sha256(copy) == before, f"{machine.name}: cut {cut} after {moment:.2f} s changed the card"
        start = time.monotonic()
        with machine.boot(copy) as guest:
            picture.wait(machine, guest)
        slowest = max(slowest, time.monotonic() - start)
        assert sha256(copy) == before, f"{machine.name}: the boot after cut {cut} changed the card"
        if cut % 10 == 9:
            print(f"  {cut + 1} cuts, {running} of them while frames were shown", flush=True)
    print(f"{machine.name}: {cuts} power cuts (seed {seed}), {running} of them while frames were shown; every next boot "
          f"showed its frames, the slowest after {slowest:.1f} s, and not a byte of the card changed", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("native", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("machines", nargs="+", choices=machines.NAMES, metavar="MACHINE")
    parser.add_argument("--wrong", action="store_true")
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.images) as name:
        folder = Path(name)
        picture, test_picture = Picture(args.native, 160, 90), Picture(args.native, 320, 180)
        for name in args.machines:
            machine = machines.machine(name)
            image = args.images / f"bifocal-{machine.board}.img"
            took = boots(machine, image, picture, folder)
            if args.wrong:
                falls_back(machine, image, test_picture, folder)
            if args.cuts:
                survives_cuts(machine, image, picture, folder, args.cuts, args.seed, took)


if __name__ == "__main__":
    try:
        main()
    except (GuestError, PackageError, AssertionError) as error:
        sys.exit(f"tests/boards: {error}")
