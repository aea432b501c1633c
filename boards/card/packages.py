#!/usr/bin/env python3
"""Debian packages for cards and emulated machines: fetched and unpacked without root, beside the system's own apt.

Every suite gets an apt of its own in the build folder: its own lists, no sources of the host. So packages come
with Debian's signatures checked, from whatever mirror or proxy the host is set up for, and nothing is installed.

    boards/card/packages.py [--suite NAME] [--architecture NAME] PACKAGE...

fetches and unpacks packages, by default for this machine, and prints their folders.
"""

import argparse
import contextlib
import fcntl
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
CACHE = TARGET / "debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = os.environ.get("BIFOCAL_DEBIAN_MIRROR", "http://deb.debian.org")
COMPONENTS = "main non-free-firmware"
# Where the host is no Debian.
USUAL_SUITE = "trixie"


class PackageError(Exception):
    pass


def host_suite() -> str:
    """The release of Debian that this machine runs: what is fetched from it runs here."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return USUAL_SUITE
    return release["VERSION_CODENAME"] if release["ID"] == "debian" else USUAL_SUITE


def host_architecture() -> str:
    done = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def sources(suite: str) -> str:
    """The lines of sources.list for a suite such as `trixie` or `trixie-backports`."""
    archives = [(f"{MIRROR}/debian", suite)]
    if not suite.endswith("-backports"):
        archives += [(f"{MIRROR}/debian", f"{suite}-updates"), (f"{MIRROR}/debian-security", f"{suite}-security")]
    return "".join(f"deb [signed-by={KEYRING}] {url} {name} {COMPONENTS}\n" for url, name in archives)


class Suite:
    """One suite of Debian for one architecture. Several processes may use it at the same time."""

    def __init__(self, suite: str, architecture: str = "arm64"):
        self.name, self.architecture = suite, architecture
        self.apt = CACHE / "apt" / f"{suite}-{architecture}"
        self.pool = CACHE / "packages"
        if not shutil.which("apt-get"):
            raise PackageError("apt-get is missing: Debian's packages are fetched with it, on Debian or Ubuntu")
        if not pathlib.Path(KEYRING).exists():
            raise PackageError(f"{KEYRING} is missing: apt install debian-archive-keyring")
        for folder in ("etc/apt.conf.d", "etc/preferences.d", "lists/partial", "cache/archives/partial"):
            (self.apt / folder).mkdir(parents=True, exist_ok=True)
        self.pool.mkdir(parents=True, exist_ok=True)
        with self.locked():
            (self.apt / "status").touch()
            (self.apt / "sources.list").write_text(sources(suite))
            (self.apt / "apt.conf").write_text(self.configuration())
            if not any((self.apt / "lists").glob("*_Packages*")):
                self._update()

    @contextlib.contextmanager
    def locked(self):
        """Keeps other processes out; apt itself gives up where it finds another at work."""
        with open(CACHE / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def configuration(self) -> str:
        # The host's apt.conf.d stays in force only for how to reach a mirror, which is where proxies are set.
        return f"""\
Dir::Etc::sourcelist "{self.apt}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "{self.apt}/etc/preferences.d";
Dir::State "{self.apt}";
Dir::State::status "{self.apt}/status";
Dir::Cache "{self.apt}/cache";
APT::Architecture "{self.architecture}";
APT::Architectures {{ "{self.architecture}"; }};
APT::Sandbox::User "";
APT::Update::Post-Invoke-Success "";
Acquire::Languages "none";
Acquire::Retries "3";
"""

    def run(self, *command: str, folder: pathlib.Path | None = None) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self.apt / "apt.conf"), "LC_ALL": "C"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["failed"]
            raise PackageError(f"{self.name}: {' '.join(command)}: {last[0]}")
        return done.stdout

    def update(self):
        """Reads the suite's lists anew; without it, what was fetched once stays the newest."""
        with self.locked():
            self._update()

    def _update(self):
        self.run("apt-get", "-q", "update")

    def describe(self, package: str) -> dict[str, str]:
        """The fields of the newest version."""
        text = self.run("apt-cache", "show", "--no-all-versions", package)
        return dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", text, re.MULTILINE))

    def file(self, package: str) -> pathlib.Path:
        """Where the newest version of a package is kept once it is fetched."""
        fields = self.describe(package)
        version = fields["Version"].replace(":", "%3a")
        return self.pool / f"{package}_{version}_{fields['Architecture']}.deb"

    def fetch(self, package: str) -> pathlib.Path:
        """The package's file; fetched once."""
        with self.locked():
            return self._fetch(package)

    def _fetch(self, package: str) -> pathlib.Path:
        file = self.file(package)
        if not file.exists():
            try:
                self.run("apt-get", "-q", "download", package, folder=self.pool)
            except PackageError:
                # What old lists name may be gone.
                self._update()
                file = self.file(package)
                self.run("apt-get", "-q", "download", package, folder=self.pool)
        if not file.exists():
            raise PackageError(f"{self.name}: apt-get fetched no {file.name}")
        return file

    def unpack(self, package: str, used: list[pathlib.Path] | None = None) -> pathlib.Path:
        """The folder with the package's files. Adds the package's file to `used`."""
        with self.locked():
            file = self._fetch(package)
            folder = file.with_suffix("")
            if not folder.exists():
                partial = folder.with_name(f"{folder.name}.part")
                shutil.rmtree(partial, ignore_errors=True)
                subprocess.run(["dpkg-deb", "-x", file, partial], check=True)
                partial.rename(folder)
        if used is not None:
            used.append(file)
        return folder

    def with_dependencies(self, package: str) -> list[str]:
        """The package and all that it depends on."""
        kinds = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
        text = self.run("apt-cache", "depends", "--recurse", *(f"--no-{kind}" for kind in kinds), package)
        # A package stands at the beginning of its line; a virtual one is in brackets.
        return sorted({line for line in text.splitlines() if line[:1].isalnum()})

    def kernel_packages(self, package: str = "linux-image-arm64") -> list[str]:
        """The packages of the kernel that the meta-package stands for: one, or from Linux 7 on, several."""
        found, ask = [], [package]
        while ask:
            name = ask.pop(0)
            if name in found:
                continue
            found.append(name)
            depends = self.describe(name).get("Depends", "")
            names = [re.split(r"[ :(|]", d.strip())[0] for d in depends.split(",")]
            ask += [n for n in names if re.match(r"linux-(image|binary|modules|base)-\d", n)]
        return found[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default=host_suite())
    parser.add_argument("--architecture")
    parser.add_argument("packages", nargs="+", metavar="PACKAGE")
    args = parser.parse_args()
    suite = Suite(args.suite, args.architecture or host_architecture())
    for package in args.packages:
        print(suite.unpack(package))


if __name__ == "__main__":
    try:
        main()
    except PackageError as error:
        sys.exit(f"boards/card/packages: {error}")
