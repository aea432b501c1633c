"""Debian's packages for the emulated machine, fetched and unpacked, never installed on this one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "hardware"


class Missing(Exception):
    """What this machine lacks, and what would help."""


def _output(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def host():
    """The architecture of this machine."""
    return _output("dpkg", "--print-architecture").strip()


def install(*packages):
    """Packages for this machine itself: installs what is missing when it may, else says so."""
    state = "${db:Status-Status} ${Package}\n"
    known = subprocess.run(["dpkg-query", "-W", "-f", state, *packages], capture_output=True, text=True).stdout
    have = {line.split()[1] for line in known.splitlines() if line.startswith("installed ")}
    lacking = [name for name in packages if name not in have]
    if not lacking:
        return
    if os.geteuid() != 0:
        raise Missing(f"these Debian packages are needed: {' '.join(lacking)}")
    _apt("update")
    _apt("install", "-y", "--no-install-recommends", *lacking)


def _apt(*words):
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    done = subprocess.run(["apt-get", "-o", "DPkg::Lock::Timeout=300", *words], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"apt-get {' '.join(words)} failed: {done.stderr.strip().splitlines()[-1:]}")


def _know(architecture):
    """Lists of the packages of an architecture, which root may add."""
    policy = _output("apt-cache", "policy", f"busybox-static:{architecture}")
    if any("Candidate:" in line and "(none)" not in line for line in policy.splitlines()):
        return
    if os.geteuid() != 0:
        raise Missing(f"{architecture} packages are needed: dpkg --add-architecture {architecture} && apt-get update")
    _output("dpkg", "--add-architecture", architecture)
    _apt("update")


def _with_dependencies(name, architecture):
    switches = [f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")]
    lines = _output("apt-cache", "depends", "--recurse", *switches, f"{name}:{architecture}").splitlines()
    # Packages of this machine's own architecture are listed without it.
    names = {line.removesuffix(f":{architecture}") for line in lines if line[:1].isalnum()}
    return sorted(name for name in names if ":" not in name)


def unpack(label, packages, dependencies=False, architecture="arm64"):
    """Unpacks packages into one folder of the cache and returns it. Once there, it is taken as it is."""
    folder = CACHE / architecture / label
    if folder.exists():
        return folder
    _know(architecture)
    names = [d for name in packages for d in (_with_dependencies(name, architecture) if dependencies else [name])]
    parts = folder.with_suffix(".part")
    shutil.rmtree(parts, ignore_errors=True)
    (parts / "debs").mkdir(parents=True)
    try:
        _output("apt-get", "download", *(f"{name}:{architecture}" for name in sorted(set(names))), cwd=parts / "debs")
    except subprocess.CalledProcessError as error:
        raise Missing(f"apt-get download failed: {error.stderr.strip()}") from error
    for package in sorted((parts / "debs").iterdir()):
        _output("dpkg", "-x", package, parts)
    shutil.rmtree(parts / "debs")
    parts.rename(folder)
    return folder


class Kernel:
    """Debian's kernel: `image`, `release`, and its modules by name."""

    def __init__(self, architecture="arm64"):
        _know(architecture)
        self.architecture = architecture
        depends = _output("apt-cache", "depends", "--important", f"linux-image-{architecture}:{architecture}").split()
        name = next(word.removesuffix(f":{architecture}") for word in depends if word.startswith("linux-image-") and word[12].isdigit())
        self.folder = unpack(name, [name], architecture=architecture)
        self.image = next(self.folder.glob("boot/vmlinuz-*"))
        self.release = self.image.name.removeprefix("vmlinuz-")
        found = [*self.folder.glob("lib/modules/*/kernel/**/*.ko*"), *self.folder.glob("usr/lib/modules/*/kernel/**/*.ko*")]
        self._modules = {path.name.split(".ko")[0].replace("-", "_"): path for path in found}

    def add(self, path):
        """A module that is not Debian's."""
        self._modules[path.stem.replace("-", "_")] = path

    def modules(self, *names):
        """(name, bytes) of modules, each after those it depends on. A name that is no file is built in."""
        order = {}

        def add(name):
            path = self._modules.get(name.replace("-", "_"))
            if path is None or path in order:
                return
            data = _unpacked(path)
            mark = b"\0depends="
            at = data.find(mark)
            needs = data[at + len(mark) : data.index(b"\0", at + len(mark))].decode().split(",") if at >= 0 else []
            for need in filter(None, needs):
                add(need)
            order[path] = data

        for name in names:
            add(name)
        return [(path.name.split(".ko")[0] + ".ko", data) for path, data in order.items()]


def _unpacked(path):
    if path.suffix == ".xz":
        import lzma

        return lzma.decompress(path.read_bytes())
    return path.read_bytes()


if __name__ == "__main__":
    try:
        kernel = Kernel()
        print(kernel.image)
    except Missing as missing:
        sys.exit(str(missing))
