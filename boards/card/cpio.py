"""The archive that an initramfs is: cpio in the `newc` form, the same bytes for the same contents."""

import stat


class Archive:
    """Collects files in memory. Folders above a file come by themselves; all belong to root and have no date."""

    def __init__(self):
        self.entries: dict[str, tuple[int, bytes, tuple[int, int]]] = {}

    def add(self, path: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)):
        folder = path.rpartition("/")[0]
        if folder and folder not in self.entries:
            self.folder(folder)
        self.entries[path] = (mode, data, device)

    def folder(self, path: str):
        self.add(path, stat.S_IFDIR | 0o755)

    def file(self, path: str, data: bytes, mode: int = 0o644):
        self.add(path, stat.S_IFREG | mode, data)

    def link(self, path: str, target: str):
        self.add(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int):
        self.add(path, stat.S_IFCHR | 0o600, device=(major, minor))

    def bytes(self) -> bytes:
        out = bytearray()
        # Sorted, a folder comes before what is in it.
        for number, path in enumerate(sorted(self.entries), 1):
            self._write(out, number, path, *self.entries[path])
        self._write(out, 0, "TRAILER!!!", 0, b"", (0, 0))
        out += bytes(-len(out) % 512)
        return bytes(out)

    @staticmethod
    def _write(out: bytearray, number: int, path: str, mode: int, data: bytes, device: tuple[int, int]):
        name = path.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4)
        out += data
        out += bytes(-len(out) % 4)
