"""vkms, the kernel's virtual display with a vertical blank: Debian's kernels leave it out, so it is built for one."""

import re
import shutil
import subprocess
import tarfile

import debian

# How Debian calls an architecture's compiler.
COMPILERS = {"arm64": "aarch64-linux-gnu", "amd64": "x86-64-linux-gnu"}
PREFIXES = {"arm64": "aarch64-linux-gnu-", "amd64": "x86_64-linux-gnu-"}
SOURCE = "drivers/gpu/drm/vkms"


def add(kernel):
    """Adds its module to those of `kernel`."""
    built = debian.CACHE / f"vkms-{kernel.version}" / "vkms.ko"
    if not built.exists():
        tree = _tree(kernel.version)
        work = debian.CACHE / f"vkms-{kernel.architecture}"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(tree / SOURCE, work)
        _make(kernel, work)
        built.parent.mkdir(exist_ok=True)
        shutil.move(work / "vkms.ko", built)
        shutil.rmtree(work)
    kernel.add(built)


def _short(version):
    return re.match(r"\d+\.\d+", version)[0]


def _tree(version):
    """The driver's source of the kernel's version."""
    package = f"linux-source-{_short(version)}"
    folder = debian.CACHE / package
    if not folder.exists():
        suite = debian.suite(debian.host_architecture())
        whole, archive = suite.unpack(package), suite.file(package)
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        _extract(next(whole.glob("usr/src/linux-source-*.tar.xz")), part)
        # What is left of it is hundreds of megabytes that nobody needs.
        shutil.rmtree(whole)
        archive.unlink()
        part.rename(folder)
    return folder


def _extract(archive, folder):
    """The driver's files, which stand together; what comes behind them is not even unpacked."""
    found = False
    with tarfile.open(archive, "r|xz") as members:
        for member in members:
            if f"/{SOURCE}/" in member.name and member.isfile():
                found = True
                path = folder / member.name.split("/", 1)[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(members.extractfile(member).read())
            elif found:
                break


def _make(kernel, work):
    version, architecture, host = kernel.version, kernel.architecture, debian.host_architecture()
    name = f"linux-headers-{version}"
    common = f"linux-headers-{version.removesuffix('-' + architecture)}-common"
    headers = debian.suite(architecture).unpack(name) / "usr/src" / name
    own = debian.suite(host)
    shared = own.unpack(common) / "usr/src" / common
    tools = own.unpack(f"linux-kbuild-{_short(version)}") / "usr/lib" / f"linux-kbuild-{_short(version)}"
    # The packages expect to be installed; they find each other through these.
    (headers / "Makefile").write_text(f"include {shared}/Makefile\n")
    for folder in (headers, shared):
        for link in ("scripts", "tools"):
            (folder / link).unlink(missing_ok=True)
            (folder / link).symlink_to(tools / link)
    compiler = re.search(r"gcc-\d+", (headers / ".kernelvariables").read_text())[0]
    cross = architecture != host
    debian.install("make", f"{compiler}-{COMPILERS[architecture]}" if cross else compiler)
    command = ["make", "-C", headers, f"M={work}", "CONFIG_DRM_VKMS=m"]
    command += [f"CROSS_COMPILE={PREFIXES[architecture]}"] if cross else []
    done = subprocess.run([*command, "modules"], capture_output=True, text=True)
    if done.returncode:
        raise debian.PackageError(f"vkms does not build for {version}:\n{done.stderr[-2000:]}")
