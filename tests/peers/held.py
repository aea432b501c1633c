"""Copies of the engines that take the processor for one with AVX2 and nothing wider.

Settings do not do it: onnxruntime, ncnn and MNN have none, and OpenVINO held by ONEDNN_MAX_CPU_ISA=AVX2 refuses the networks: its own
nodes still see AVX-512 and ask oneDNN for layouts that it no longer has ("Supported primitive descriptors list is empty for node:
averagepool_43"). All of them ask `cpuid`, in code of their own. So in copies of their libraries that instruction is replaced by one that
no processor has, of as many bytes, and held.c answers in its place. What computes is not touched.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

TOLD = """Held to AVX2: Bifocal by `--level avx2`; every `cpuid` in the libraries of the others and in tract's program is answered without
AVX-512, AMX and VNNI (`held.py` says how and why), so that what they choose is what they choose on a processor without them. OpenVINO's own
log (`ONEDNN_VERBOSE=1`) then says `isa:Intel AVX2`."""
PACKAGES = ("onnxruntime", "openvino", "ncnn", "ncnn.libs", "MNN", "mnn.libs", "_mnncengine*.so", "_tools*.so")
CPUID, OTHER = b"\x0f\xa2", b"\x0f\x04"


def replace(library):
    """Replaces each `cpuid` of a library, as objdump reads its code; says how many."""
    data = bytearray(library.read_bytes())
    if CPUID not in data or data[:4] != b"\x7fELF":
        return 0
    segments = subprocess.run(["readelf", "-lW", library], check=True, capture_output=True, text=True).stdout
    loads = [[int(n, 16) for n in found] for found in re.findall(r"LOAD\s+(0x\w+) (0x\w+) 0x\w+ (0x\w+)", segments)]
    code = subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", library], stdout=subprocess.PIPE, text=True)
    count = 0
    for line in code.stdout:
        if "\tcpuid" not in line:
            continue
        address = int(line.split(":")[0], 16)
        place = next(address - start + offset for offset, start, size in loads if start <= address < start + size)
        assert data[place : place + 2] == CPUID, f"{library}: no cpuid at {address:#x}"
        data[place : place + 2] = OTHER
        count += 1
    if code.wait():
        raise RuntimeError(f"objdump cannot read {library}")
    if count:
        # Not in place: the copy is a link to the same file.
        library.unlink()
        library.write_bytes(data)
    return count


def hold(site, folder):
    """Copies the engines of `site` into `folder`, and gives the environment in which they are found and answered."""
    answer = folder / "held.so"
    if not answer.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in (path for pattern in PACKAGES for path in sorted(site.glob(pattern))):
            if path.is_dir():
                shutil.copytree(path, folder / path.name, copy_function=os.link)
            else:
                os.link(path, folder / path.name)
        for library in sorted(folder.rglob("*.so*")):
            if count := replace(library):
                print(f"{library.relative_to(folder)}: cpuid in {count} places is answered without AVX-512 and VNNI", flush=True)
        source = Path(__file__).with_name("held.c")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", answer, source], check=True)
    return {**os.environ, "PYTHONPATH": str(folder), "LD_PRELOAD": str(answer)}


def program(path, folder):
    """A copy of a program, held likewise."""
    copy = folder / path.name
    if not copy.exists() or copy.stat().st_mtime < path.stat().st_mtime:
        shutil.copy(path, copy)
        print(f"{path.name}: cpuid in {replace(copy)} places is answered without AVX-512 and VNNI", flush=True)
        copy.chmod(0o755)
    return copy
