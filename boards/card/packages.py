"""Debian packages, by default for 64-bit ARM: fetched and unpacked without root, beside the system's own apt.

Every suite gets an apt of its own under the cache folder: its own lists, no sources of the host. So packages come
with Debian's signatures checked, from whatever mirror or proxy the host is set up for, and nothing is installed.
"""

import os
import pathlib
import re
import shutil
import subprocess

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = os.environ.get("BIFOCAL_DEBIAN_MIRROR", "http://deb.debian.org")
COMPONENTS = "main non-free-firmware"


class PackageError(Exception):
    pass


def sources(suite: str) -> str:
    """The lines of sources.list for a suite such as `trixie` or `trixie-backports`."""
    archives = [(f"{MIRROR}/debian", suite)]
    if not suite.endswith("-backports"):
        archives += [(f"{MIRROR}/debian", f"{suite}-updates"), (f"{MIRROR}/debian-security", f"{suite}-security")]
    return "".join(f"deb [signed-by={KEYRING}] {url} {name} {COMPONENTS}\n" for url, name in archives)


class Suite:
    """One suite of Debian for one architecture."""

    def __init__(self, suite: str, cache: pathlib.Path, architecture: str = "arm64"):
        self.name, self.architecture = suite, architecture
        self.apt = cache / "apt" / f"{suite}-{architecture}"
        self.pool = cache / "packages"
        if not shutil.which("apt-get"):
            raise PackageError("apt-get is missing: card images are composed of Debian's packages, on Debian or Ubuntu")
        if not pathlib.Path(KEYRING).exists():
            raise PackageError(f"{KEYRING} is missing: apt install debian-archive-keyring")
        for folder in ("etc/apt.conf.d", "etc/preferences.d", "lists/partial", "cache/archives/partial"):
            (self.apt / folder).mkdir(parents=True, exist_ok=True)
        self.pool.mkdir(parents=True, exist_ok=True)
        (self.apt / "status").touch()
        (self.apt / "sources.list").write_text(sources(suite))
        (self.apt / "apt.conf").write_text(self.configuration())
        if not any((self.apt / "lists").glob("*_Packages*")):
            self.update()

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
        file = self.file(package)
        if not file.exists():
            try:
                self.run("apt-get", "-q", "download", package, folder=self.pool)
            except PackageError:
                # What old lists name may be gone.
                self.update()
                file = self.file(package)
                self.run("apt-get", "-q", "download", package, folder=self.pool)
        if not file.exists():
            raise PackageError(f"{self.name}: apt-get fetched no {file.name}")
        return file

    def unpack(self, package: str, used: list[pathlib.Path]) -> pathlib.Path:
        """The folder with the package's files. Adds the package's file to `used`."""
        file = self.fetch(package)
        used.append(file)
        folder = file.with_suffix("")
        if not folder.exists():
            partial = folder.with_suffix(f".{os.getpid()}")
            subprocess.run(["dpkg-deb", "-x", file, partial], check=True)
            partial.rename(folder)
        return folder

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
