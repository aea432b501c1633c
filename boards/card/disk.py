"""The card as a file: a partition table and one FAT partition, made without root and without loop devices."""

import os
import pathlib
import shutil
import subprocess
import tempfile

MIB = 1 << 20
# Room before the partition, as flash translation layers like it.
START = 4 * MIB
LABEL = "BIFOCAL"
VOLUME_ID = "b1f0ca1d"
DISK_ID = "b1f0ca1d-0000-4000-8000-000000000001"
PARTITION_ID = "b1f0ca1d-0000-4000-8000-000000000002"
# The type of partitions that every system mounts by itself.
BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"


class DiskError(Exception):
    pass


def run(*command, epoch: int, text: str | None = None):
    """A tool in an environment that gives the same bytes everywhere."""
    environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC",
                   "SOURCE_DATE_EPOCH": str(epoch), "MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"}
    if not shutil.which(command[0], path=environment["PATH"]):
        raise DiskError(f"{command[0]} is missing: apt install mtools fdisk zstd xz-utils")
    done = subprocess.run([str(c) for c in command], env=environment, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise DiskError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


def write(image: pathlib.Path, files: dict[str, bytes], gpt: bool, epoch: int):
    """Writes a card image whose only partition, FAT32 and mounted by nobody for writing, holds `files`."""
    # A power of two, as emulators want a card to be, with some room for what a user may add. FAT32 needs 65,525
    # clusters, of 1 KiB here, so 128 MiB is the least.
    content = sum(len(data) for data in files.values())
    whole = 128 * MIB
    while whole < content + 16 * MIB:
        whole *= 2
    size = whole - START - MIB  # the end holds the second copy of a GPT
    image.unlink(missing_ok=True)
    with open(image, "wb") as f:
        f.truncate(whole)
    run("sfdisk", "--quiet", "--no-reread", image, epoch=epoch, text=table(gpt, size))
    partition = f"{image}@@{START}"
    run("mformat", "-i", partition, "-T", size // 512, "-F", "-c", 2, "-h", 255, "-s", 63,
        "-H", START // 512, "-v", LABEL, "-N", VOLUME_ID, "::", epoch=epoch)
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        stage(pathlib.Path(folder), files, epoch)
        tops = sorted(pathlib.Path(folder).iterdir())
        run("mcopy", "-i", partition, "-s", "-m", "-Q", *tops, "::", epoch=epoch)


def stage(folder: pathlib.Path, files: dict[str, bytes], epoch: int):
    for name, data in sorted(files.items()):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    for path in folder.rglob("*"):
        os.utime(path, (epoch, epoch))


def table(gpt: bool, size: int) -> str:
    start, sectors = START // 512, size // 512
    if not gpt:
        return f"label: dos\nlabel-id: 0x{VOLUME_ID}\nstart={start}, size={sectors}, type=c, bootable\n"
    # The attribute is where U-Boot looks for extlinux. No EFI system partition: U-Boot would keep its variables there,
    # and Windows hide bifocal.toml. UEFI looks at every FAT partition of what can be removed.
    return (f"label: gpt\nlabel-id: {DISK_ID}\nfirst-lba: 34\n"
            f"start={start}, size={sectors}, type={BASIC_DATA}, uuid={PARTITION_ID}, name={LABEL}, attrs=LegacyBIOSBootable\n")


def compress(image: pathlib.Path, epoch: int) -> pathlib.Path:
    """The image as .xz: one thread, since blocks of several would depend on the machine."""
    run("xz", "--keep", "--force", "--threads=1", "-6", image, epoch=epoch)
    return image.with_suffix(image.suffix + ".xz")
