#!/usr/bin/env python3
"""Card images in emulated machines: boot to the picture, wrong configurations, power cuts.

    tests/boards/boot.py NATIVE IMAGES [--machines NAME,...] [--cuts N] [--seed N]

NATIVE is the program for this machine, which says what is expected; IMAGES the folder of `boards/image --out`.
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
        number = later = picture.wait(machine, guest, 200)
        took = time.monotonic() - start
        while later == number:
            later = picture.wait(machine, guest, 60)
        if later < number:
            guest._fail(f"frame {later} came after frame {number}")
    up = [line for line in guest.lines if "bifocal: /dev/" in line and "read-only" in line]
    assert sha256(copy) == before, f"{machine.name}: something was written on the card"
    assert up, f"{machine.name}: the card was not mounted"
    kernel = up[0].split("]")[0].rpartition("[")[2].strip()
    print(f"{machine.name}: {machine.board} boots; first frame (number {number}) on the screen, pixel-exact, after "
          f"{took:.1f} s of the emulator; the kernel had the card after {kernel} s", flush=True)
    return took


def falls_back(machine, image, picture, folder):
    """A wrong configuration is named with its line on every console, and the test picture follows."""
    copy = folder / f"{machine.name}-wrong.img"
    machines.configured(image, copy, '# mine\nsource = "test://bars"\nsauce = "hot"\n')
    with machine.boot(copy) as guest:
        said = guest.until("/card/bifocal.toml:3:")
        picture.wait(machine, guest, 100)
    print(f"{machine.name}: a wrong bifocal.toml says '{said.rpartition('bifocal: ')[2]}', then shows the test picture")


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
            picture.wait(machine, guest, 200)
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
    parser.add_argument("--machines", default="raspi3b,virt-uboot,virt-uefi")
    parser.add_argument("--cuts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    known = machines.machines(args.images.parent)
    with tempfile.TemporaryDirectory(dir=args.images) as name:
        folder = Path(name)
        picture, test_picture = Picture(args.native, 160, 90), Picture(args.native, 320, 180)
        for number, name in enumerate(args.machines.split(",")):
            machine = known[name]
            image = args.images / f"bifocal-{machine.board}.img"
            took = boots(machine, image, picture, folder)
            if number == 0:
                falls_back(machine, image, test_picture, folder)
            if name in ("virt-uboot", args.machines):
                survives_cuts(machine, image, picture, folder, args.cuts, args.seed, took)


if __name__ == "__main__":
    try:
        main()
    except (GuestError, AssertionError) as error:
        sys.exit(f"tests/boards: {error}")
