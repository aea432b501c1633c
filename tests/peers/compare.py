"""Peers on the same files and frame, in turn with Bifocal: A B C, A B C, ... What came out goes to RESULTS.md.

    compare.py BIFOCAL TRACT THREADS [--held FOLDER] [NAME...]     only networks whose names hold one of these

With names no file is written. With --held every engine takes the processor for one with AVX2 and nothing wider (held.py, which keeps its copies
in FOLDER), Bifocal by --level avx2, and the networks are those whose speed on such a processor is promised.

Every engine gets 640x360 luma, or three colours, padded to 640x368 where it cannot pad itself, and the same number of threads, in a process of
its own. Bifocal is `bifocal bench`, one measured frame a turn after two of warm-up.
"""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import conversions
import held
import networks
import numpy as np
from engines import frame

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "models"
WIDTH, HEIGHT, PADDED = 640, 360, 368
TURNS = 15
# Of a network whose turns take long, as many as are over by then (in seconds), and some more.
LONGEST, LEAST = 180, 5
PROMISED = ("ctnet-tiny-x2", "ctnet-small-x2")
HELD = "# Peers held to AVX2"


class Engine:
    """A process that answers `run`, `answer PATH` and `memory`; see engines.py."""

    def __init__(self, command, environment):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment
        )
        for line in self.process.stdout:
            if line.strip() == "ready":
                return
        self.process.wait()
        self.log.seek(0)
        raise RuntimeError((self.log.read().strip().splitlines() or ["ended at once"])[-1][:120])

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        return [float(word) for word in self.process.stdout.readline().split()]


def bifocal(binary, model, threads, channels, level):
    pixels = "gray" if channels == 1 else "rgb"
    command = [binary, "bench", "-m", model, "-j", threads, "--size", f"{WIDTH}x{HEIGHT}", "--pixels", pixels]
    command += ["--warmup-runs", "2", "--num-runs", "1", "--format", "json"]
    command += ["--level", level] if level else []
    return json.loads(subprocess.run([str(c) for c in command], check=True, capture_output=True).stdout)


class Contest:
    """One network: all engines on it, and what was measured."""

    def __init__(self, name, int8, real, channels, folder, binary, tract, threads, environment):
        self.channels, self.level = channels, environment and "avx2"
        self.name, self.int8, self.binary, self.threads = name, int8, binary, threads
        self.engines, self.failed, self.times, self.bench, self.turns = {}, {}, {}, None, 0
        python = [sys.executable, HERE / "engines.py"]
        files = {
            "int8": [("onnxruntime", python, int8), ("OpenVINO", python, int8), ("tract", [tract], int8)],
            "f32": [("onnxruntime", python, real), ("OpenVINO", python, real), ("tract", [tract], real),
                    ("ncnn", python, conversions.ncnn), ("MNN", python, conversions.mnn)],
        }  # fmt: skip
        for kind, list_ in files.items():
            for engine, program, path in list_:
                try:
                    path = path(real, folder, PADDED, WIDTH) if callable(path) else path
                    arguments = [] if program == [tract] else [engine]
                    self.engines[f"{engine} {kind}"] = Engine(
                        [*program, *arguments, path, threads, WIDTH, PADDED, channels], environment
                    )
                except (RuntimeError, subprocess.CalledProcessError) as error:
                    self.failed[f"{engine} {kind}"] = str(error)

    def turn(self):
        for name, engine in self.engines.items():
            self.times.setdefault(name, []).append(engine.ask("run")[0])
        self.turns += 1
        self.bench = bifocal(self.binary, self.int8, self.threads, self.channels, self.level)
        self.times.setdefault("Bifocal", []).append(self.bench["latency_ms"]["p50"])

    def apart(self, folder):
        """By engine, the worst difference from onnxruntime's answer on the same kind of file, in levels of 255."""
        answers = {}
        for name, engine in self.engines.items():
            path = Path(folder, "answer")
            engine.ask("answer", path)
            answers[name] = np.clip(np.fromfile(path, np.float32), 0, 1)
        return {n: 255 * np.abs(a - answers["onnxruntime " + n.split()[1]]).max() for n, a in answers.items()}

    def table(self, apart):
        ours = self.times["Bifocal"]
        turns = "" if self.turns == TURNS else f"; {self.turns} turns"
        yield f"## {self.name}\n\nBifocal at level {self.bench['level']}, arena {self.bench['arena_bytes'] / 2**20:.1f} MiB{turns}.\n"
        yield "| engine | median ms | least ms | median / Bifocal's | peak of the process, MiB | of it the engine's, MiB | worst difference |"
        yield "| --- | --- | --- | --- | --- | --- | --- |"
        for name, ms in sorted(self.times.items(), key=lambda item: statistics.median(item[1])):
            if name == "Bifocal":
                peak, before, levels = self.bench["peak_rss_bytes"], 0, "-"
            else:
                peak, before = self.engines[name].ask("memory")
                levels = "-" if name.startswith("onnxruntime") else f"{apart[name]:.1f}"
            median = statistics.median(ms)
            yield (f"| {name} | {median:.1f} | {min(ms):.1f} | {median / statistics.median(ours):.2f} "
                   f"| {peak / 2**20:.0f} | {(peak - before) / 2**20:.0f} | {levels} |")  # fmt: skip
        for name, error in self.failed.items():
            yield f"| {name} | cannot run the file: {error} | | | | | |"
        yield ""


def processor():
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")]
    vnni = "with VNNI" if "vnni" in text else "without VNNI"
    return f"{names[0] if names else platform.processor()}, {vnni}"


def main():
    binary, tract, threads, *names = sys.argv[1:]
    environment = None
    if names[:1] == ["--held"]:
        site, copies, names = Path(np.__file__).parents[1], Path(names[1]), names[2:]
        environment = held.hold(site, copies)
        tract = held.program(Path(tract), copies)
    wanted = lambda name: not names or any(part in name for part in names)
    with tempfile.TemporaryDirectory() as folder:
        folder, networks_ = Path(folder), []
        for int8 in sorted(MODELS.glob("*.onnx")):
            if environment and int8.stem not in PROMISED:
                continue
            real = folder / f"{int8.stem}-f32.onnx"
            networks.without_quantisation(int8, real)
            networks_.append((int8.stem, int8, real, 1))
        if not environment:
            real, int8 = folder / "plain-f32.onnx", folder / "plain.onnx"
            networks.plain_cnn(real)
            networks.quantised(real, int8, [frame(WIDTH, PADDED)])
            networks_.append(("plain CNN, 8 x 32", int8, real, 1))
        if wanted("Compact") and not environment:
            real, int8 = folder / "compact-f32.onnx", folder / "compact.onnx"
            networks.compact(real, int8)
            networks_.append(("Compact, 16 x 64, PReLU, colours", int8, real, 3))
        engines = ", ".join(f"{e} {version(e.lower())}" for e in ("onnxruntime", "OpenVINO", "ncnn", "MNN"))
        title, how = (HELD, f"{threads} held") if environment else ("# Peers", threads)
        held_to = f"{held.TOLD}\n\n" if environment else ""
        lines = [f"{title}\n\n{processor()}; {threads} thread(s); {WIDTH}x{HEIGHT} luma; {TURNS} turns, interleaved; {engines}, "
                 f"tract 0.23.9. `tests/peers/run {how}`.\n\n{held_to}The difference is from onnxruntime's answer, in levels of 255. "
                 "Peers that read no QDQ file get it in f32.\n"]  # fmt: skip
        for network in filter(lambda network: wanted(network[0]), networks_):
            contest = Contest(*network, folder, binary, tract, threads, environment)
            begin = time.monotonic()
            while contest.turns < TURNS and (contest.turns < LEAST or time.monotonic() - begin < LONGEST):
                contest.turn()
            lines += contest.table(contest.apart(folder))
            for engine in contest.engines.values():
                engine.process.kill()
    text = "\n".join(lines)
    if not names:
        results = HERE / "RESULTS.md"
        natural, _, apart = results.read_text().partition(HELD)
        whole = f"{natural.rstrip()}\n\n{text}" if environment else f"{text}\n{HELD}{apart}" if apart else text
        results.write_text(whole)
    print(text)


if __name__ == "__main__":
    main()
