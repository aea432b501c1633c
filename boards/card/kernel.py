"""Debian's kernel: its image, device trees and modules, wherever the package keeps them."""

import lzma
import pathlib
import re


class KernelError(Exception):
    pass


def plain(name: str) -> str:
    """A module's name as the kernel says it."""
    return name.replace("-", "_")


class Kernel:
    """A kernel unpacked from its packages into `folders`."""

    def __init__(self, folders: list[pathlib.Path]):
        found = [m for f in folders for top in ("lib/modules", "usr/lib/modules") for m in (f / top).glob("*")]
        homes = [folder for folder in found if folder.is_dir()]
        if not homes:
            raise KernelError(f"no kernel modules in {', '.join(map(str, folders))}")
        self.version = homes[0].name
        self.image = self._one([f / "boot" / f"vmlinuz-{self.version}" for f in folders] + [h / "vmlinuz" for h in homes])
        # PCs have no device trees.
        self.trees = [f / "usr/lib" / f"linux-image-{self.version}" for f in folders] + [h / "dtb" for h in homes]
        builtin = self._one([h / "modules.builtin" for h in homes]).read_text().split()
        self.builtin = {plain(pathlib.Path(line).stem) for line in builtin}
        files = (file for home in homes for file in home.glob("kernel/**/*.ko*"))
        self.modules = {plain(file.name.partition(".ko")[0]): file for file in files}

    @staticmethod
    def _one(paths: list[pathlib.Path]) -> pathlib.Path:
        for path in paths:
            if path.exists():
                return path
        raise KernelError(f"none of {', '.join(map(str, paths))} is there")

    def module(self, name: str) -> bytes:
        """The ELF file of a module, decompressed."""
        file = self.modules[name]
        data = file.read_bytes()
        if file.suffix == ".xz":
            return lzma.decompress(data)
        if file.suffix == ".ko":
            return data
        raise KernelError(f"{file}: modules are plain or .xz, not {file.suffix}")

    def with_dependencies(self, wanted: list[str]) -> dict[str, bytes]:
        """The wanted modules and what they need, in the order in which they can be loaded. Builtin ones fall away."""
        ordered: dict[str, bytes] = {}

        def visit(name: str, why: str):
            if name in ordered or name in self.builtin:
                return
            if name not in self.modules:
                raise KernelError(f"Linux {self.version} has no module '{name}' ({why})")
            data = self.module(name)
            for other in depends(data):
                visit(other, f"needed by {name}")
            ordered[name] = data

        for name in wanted:
            visit(plain(name), "asked for")
        return ordered

    def tree(self, path: str) -> pathlib.Path:
        """A device tree such as `broadcom/bcm2711-rpi-4-b.dtb`."""
        for trees in self.trees:
            if (trees / path).exists():
                return trees / path
        raise KernelError(f"Linux {self.version} has no device tree '{path}'")


def depends(module: bytes) -> list[str]:
    """The modules whose symbols a module uses, from its .modinfo section."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [plain(name) for name in found[1].decode().split(",") if name] if found else []
