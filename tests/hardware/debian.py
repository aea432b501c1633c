"""What the emulated machine is made of: Debian's kernel and programs, which boards/card/packages.py fetches, never
installed on this machine; and what this machine needs to emulate it, which is."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "boards"))

from card import cpio  # noqa: E402, F401
from card.kernel import Kernel, plain  # noqa: E402
from card.packages import CACHE, PackageError, Suite, host_architecture, host_suite  # noqa: E402, F401


def suite(architecture):
    """Packages for an architecture, of this machine's own release: its compilers build modules for that kernel."""
    return Suite(host_suite(), architecture)


def programs(architecture, *packages):
    """The folders of packages and of all that they depend on."""
    packages_of = suite(architecture)
    names = {name for package in packages for name in packages_of.with_dependencies(package)}
    return [packages_of.unpack(name) for name in sorted(names)]


class Linux(Kernel):
    """Debian's kernel for an architecture."""

    def __init__(self, architecture="arm64"):
        self.architecture, packages = architecture, suite(architecture)
        super().__init__([packages.unpack(name) for name in packages.kernel_packages(f"linux-image-{architecture}")])

    def add(self, module):
        """A module that is not Debian's."""
        self.modules[plain(module.stem)] = module


def install(*packages):
    """Packages for this machine itself: installs what is missing when it may, else says so."""
    state = "${db:Status-Status} ${Package}\n"
    known = subprocess.run(["dpkg-query", "-W", "-f", state, *packages], capture_output=True, text=True).stdout
    have = {line.split()[1] for line in known.splitlines() if line.startswith("installed ")}
    lacking = [name for name in packages if name not in have]
    if not lacking:
        return
    if os.geteuid() != 0:
        raise PackageError(f"these Debian packages are needed: {' '.join(lacking)}")
    _apt("update")
    _apt("install", "-y", "--no-install-recommends", *lacking)


def _apt(*words):
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    done = subprocess.run(["apt-get", "-o", "DPkg::Lock::Timeout=300", *words], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise PackageError(f"apt-get {' '.join(words)} failed: {done.stderr.strip().splitlines()[-1:]}")


def skip(what, why):
    """Says what is not tested here and why, and notes it for the end of tests/run."""
    line = f"skipped: {what}: {why}"
    print(line, flush=True)
    if notes := os.environ.get("BIFOCAL_SKIPPED"):
        with open(notes, "a") as file:
            file.write(line + "\n")
