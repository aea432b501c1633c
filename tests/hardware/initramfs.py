"""Root file systems for the emulated machine: cpio archives, made without root."""

import gzip
import os
import stat
from pathlib import Path


class Archive:
    """A cpio archive (`newc`) with everything owned by root and dated 1970, so that equal contents are equal bytes."""

    def __init__(self):
        self._bytes = bytearray()
        self._seen = set()

    def _entry(self, name, mode, data):
        fields = [len(self._seen) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        self._bytes += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        self._bytes += bytes(-len(self._bytes) % 4)
        self._bytes += data + bytes(-len(data) % 4)

    def folder(self, name):
        name = str(name).strip("/")
        if name in ("", ".") or name in self._seen:
            return
        self.folder(Path(name).parent)
        self._seen.add(name)
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name, data, mode=0o644):
        name = str(name).strip("/")
        self.folder(Path(name).parent)
        self._seen.add(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        name = str(name).strip("/")
        self.folder(Path(name).parent)
        self._seen.add(name)
        self._entry(name, stat.S_IFLNK | 0o777, str(target).encode())

    def tree(self, source, skip=()):
        """All of a folder, but for paths that begin with one of `skip`."""
        source = Path(source)
        for path in sorted(source.rglob("*")):
            name = path.relative_to(source).as_posix()
            if name.startswith(tuple(skip)):
                continue
            if path.is_symlink():
                self.link(name, os.readlink(path))
            elif path.is_dir():
                self.folder(name)
            else:
                self.file(name, path.read_bytes(), path.stat().st_mode & 0o755)

    def write(self, path):
        self._entry("TRAILER!!!", 0, b"")
        Path(path).write_bytes(gzip.compress(bytes(self._bytes), 1, mtime=0))


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
    archive = Archive()
    for name in ("dev", "proc", "sys", "tmp", "share", "mnt", "bin", "etc"):
        archive.folder(name)
    order, loaded = [], set()
    for entry in modules:
        name, _, options = entry.partition(" ")
        for file, data in kernel.modules(name):
            if file in loaded:
                continue
            loaded.add(file)
            archive.file(f"modules/{file}", data)
            own = file.removesuffix(".ko").replace("-", "_") == name.replace("-", "_")
            order.append(f"{file} {options if own else ''}".strip() + "\n")
    archive.file("modules/order", "".join(order).encode())
    archive.file("init", init.encode(), 0o755)
    for folder in programs:
        archive.tree(folder, skip=("usr/share", "usr/include", "etc"))
    for name in BUSYBOX:
        archive.link(f"bin/{name}", "busybox")
    archive.write(path)


BUSYBOX = """sh mount umount insmod rmmod ls cat echo uptime sleep poweroff reboot dmesg mkdir grep cut ln head tail find tr sed
md5sum sha256sum dd seq basename date wc kill free hexdump cmp cp mv rm test timeout awk ps stty true false env sync
mkfifo su chmod""".split()
