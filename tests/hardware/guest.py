"""The emulated machine: QEMU, its serial console and its screen. Every wait has a limit."""

import json
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path


# How an architecture is emulated, and its console.
MACHINES = {
    "arm64": (["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a76"], "ttyAMA0"),
    "amd64": (["qemu-system-x86_64", "-M", "q35", "-cpu", "max"], "ttyS0"),
}


class GuestError(Exception):
    """The machine did not do what was expected; carries the end of its console."""


class Guest:
    """A machine with Debian's kernel. Use it in a `with` block: whatever happens, it is gone afterwards.

    `share` is a folder that the machine sees as /share (or None), `devices` more arguments for QEMU. With `command`
    something else than the usual machine is run; it gets console and control arguments appended."""

    def __init__(self, kernel=None, initramfs=None, share=None, devices=(), append="", limit=120, memory="512M", command=None):
        self.limit, self._end = limit, time.monotonic() + limit
        self.lines, self._queue = [], queue.Queue()
        # Not in the shared folder: the name of a socket is at most some hundred bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="guest-"))
        control = self._folder / "qmp"
        if command is None:
            machine, console = MACHINES[kernel.architecture]
            command = [*machine, "-smp", "2", "-m", memory, "-nodefaults", "-no-reboot", "-display", "none"]
            command += ["-kernel", str(kernel.image), "-initrd", str(initramfs)]
            command += ["-append", f"console={console} quiet panic=-1 {append}".strip()]
            if share:
                command += ["-virtfs", f"local,path={share},mount_tag=share,security_model=none"]
        command = [*command, *devices, "-serial", "stdio", "-qmp", f"unix:{control},server=on,wait=off"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._control_path, self._control = control, None
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        if self._control:
            self._control.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _listen(self):
        for line in self._process.stdout:
            self._queue.put(line.decode(errors="replace").rstrip())
        self._queue.put(None)

    def _fail(self, what):
        raise GuestError(f"{what}; the console's last lines:\n" + "\n".join(self.lines[-40:]))

    def line(self, wait=None):
        """The next line of the console; None when the machine is off, or after `wait` seconds without one."""
        left = self._end - time.monotonic()
        try:
            line = self._queue.get(timeout=max(0.01, left if wait is None else min(wait, left)))
        except queue.Empty:
            if time.monotonic() >= self._end:
                self._fail(f"not done after {self.limit} s")
            return None
        if line is not None:
            self.lines.append(line)
        return line

    def until(self, text):
        """Reads the console up to a line that holds `text`, and returns that line."""
        while True:
            line = self.line()
            if line is None:
                self._fail(f"the machine is off, '{text}' never came")
            if text in line:
                return line

    def finish(self):
        """Reads the console until the machine is off; returns all its lines."""
        while self.line() is not None:
            pass
        self._process.wait(timeout=30)
        return self.lines

    def send(self, line):
        """Types a line."""
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def control(self, command, **arguments):
        """A command of QEMU's machine protocol; returns its answer."""
        if self._control is None:
            self._control = socket.socket(socket.AF_UNIX)
            self._control.settimeout(30)
            while True:
                try:
                    self._control.connect(str(self._control_path))
                    break
                except (FileNotFoundError, ConnectionRefusedError):
                    if time.monotonic() >= self._end or self._process.poll() is not None:
                        self._fail("QEMU does not answer")
                    time.sleep(0.05)
            self._replies = self._control.makefile("r")
            self._replies.readline()
            self.control("qmp_capabilities")
        self._control.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            reply = json.loads(self._replies.readline())
            if "error" in reply:
                self._fail(f"{command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def screen(self):
        """What the screen shows: (width, height, bytes of red, green, blue)."""
        path = self._folder / "screen.ppm"
        self.control("screendump", filename=str(path))
        return read_ppm(path.read_bytes())


def read_ppm(data):
    """(width, height, bytes of red, green, blue) of a binary PPM or PGM without comments."""
    words, at = [], 0
    while len(words) < 4:
        end = next(i for i in range(at, len(data)) if data[i : i + 1].isspace())
        words += [data[at:end]] if end > at else []
        at = end + 1
    kind, width, height, top = words[0], *map(int, words[1:])
    if kind not in (b"P5", b"P6") or top != 255:
        raise ValueError(f"{kind} up to {top} is not read here")
    pixels = data[at:]
    return width, height, pixels if kind == b"P6" else bytes(value for value in pixels for _ in range(3))
