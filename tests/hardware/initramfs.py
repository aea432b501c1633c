"""Root file systems for the emulated machine: what boots, finds the folder that it shares and runs a script there."""

import gzip
import os

from debian import cpio

# Loads modules, mounts what programs expect and the folder shared with the host, runs its `test`, switches off.
INIT = """#!/bin/sh
export PATH=/bin:/usr/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mount -t debugfs debug /sys/kernel/debug
while read -r module options; do insmod "/modules/$module" $options || echo "MISSING MODULE $module"; done < /modules/order
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /share || echo "NO SHARE"
cd /share && sh ./test
echo "GUEST DONE $?"
poweroff -f
"""


def write(path, kernel, modules, programs, init=INIT):
    """Writes an archive of busybox, `modules` (name and options, in this order) and the unpacked packages `programs`,
    whose /init is `init`."""
    archive = cpio.Archive()
    for name in ("dev", "proc", "sys", "tmp", "share", "mnt", "etc"):
        archive.folder(name)
    for name in MERGED:
        archive.folder(f"usr/{name}")
        archive.link(name, f"usr/{name}")
    options = dict(entry.partition(" ")[::2] for entry in modules)
    order = kernel.with_dependencies(list(options))
    for name, data in order.items():
        archive.file(f"modules/{name}.ko", data)
    archive.file("modules/order", "".join(f"{name}.ko {options.get(name, '')}\n" for name in order).encode())
    archive.file("init", init.encode(), 0o755)
    for folder in programs:
        add_package(archive, folder)
    for name in BUSYBOX:
        archive.link(f"usr/bin/{name}", "busybox")
    path.write_bytes(gzip.compress(archive.bytes(), 1, mtime=0))


# Packages of some releases have their files in /lib, of others in /usr/lib.
MERGED = ("bin", "lib", "lib64", "sbin")
NOT_NEEDED = ("usr/share/", "usr/include/", "etc/")


def add_package(archive, folder):
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        name = f"usr/{name}" if name.split("/")[0] in MERGED else name
        if name.startswith(NOT_NEEDED) or name.removeprefix("usr/") in MERGED:
            continue
        if path.is_symlink():
            archive.link(name, os.readlink(path))
        elif path.is_file():
            archive.file(name, path.read_bytes(), path.stat().st_mode & 0o755)


BUSYBOX = """sh mount umount insmod rmmod ls cat echo uptime sleep poweroff reboot dmesg mkdir grep cut ln head tail find tr sed
md5sum sha256sum dd seq basename date wc kill free hexdump cmp cp mv rm test timeout awk ps stty true false env sync
mkfifo su chmod""".split()
