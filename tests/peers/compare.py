"""Peers on the same files and frame, in turn with Bifocal: A B C, A B C, ... Medians and minima go to RESULTS.md.

Every engine gets 640x360 luma, padded to 640x368 where it cannot pad itself, and the same number of threads. Python
engines run in this process, Bifocal as `bifocal bench`, one measured frame a turn after two of warm-up.
"""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import networks
import numpy as np
import onnxruntime as ort
import openvino as ov

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, PADDED = 640, 360, 368
TURNS = 25


def frame():
    y, x = np.mgrid[0:PADDED, 0:WIDTH]
    wave = 96 * np.sin(x / 7) * np.cos(y / 11) + 32 * ((x // 16 + y // 16) % 2)
    return (np.clip(128 + wave, 0, 255).round() / 255).astype(np.float32)[None, None]


def onnxruntime(model, threads):
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino(model, threads):
    network = ov.Core().read_model(model)
    network.reshape([1, 1, PADDED, WIDTH])
    compiled = ov.compile_model(network, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    return lambda x: request.infer({0: x})[0]


def bifocal(binary, model, threads):
    command = [binary, "bench", "-m", str(model), "-j", str(threads), "--size", f"{WIDTH}x{HEIGHT}", "--pixels", "gray"]
    command += ["--warmup-runs", "2", "--num-runs", "1", "--format", "json"]
    return lambda: json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def turns(binary, models, threads):
    """Milliseconds by file and engine, worst difference in levels between engines, and what failed."""
    x, engines, failed = frame(), {}, {}
    for model, int8, real in models:
        for name, make, path in (
            ("onnxruntime int8", onnxruntime, int8), ("OpenVINO int8", openvino, int8),
            ("onnxruntime f32", onnxruntime, real), ("OpenVINO f32", openvino, real),
        ):  # fmt: skip
            try:
                run = make(path, threads)
                run(x)
                engines[model, name] = run
            except Exception as error:  # an engine's own error, whatever its type
                failed[model, name] = str(error).splitlines()[0][:120]
    times, bench = {}, {}
    for _ in range(TURNS):
        for key, run in engines.items():
            begin = time.perf_counter()
            run(x)
            times.setdefault(key, []).append(1e3 * (time.perf_counter() - begin))
        for model, int8, _ in models:
            bench[model] = bifocal(binary, int8, threads)()
            times.setdefault((model, "Bifocal"), []).append(bench[model]["latency_ms"]["p50"])
    apart = {m: np.abs(engines[m, "onnxruntime int8"](x) - engines[m, "OpenVINO int8"](x)).max() * 255 for m, _, _ in models
             if (m, "OpenVINO int8") in engines}  # fmt: skip
    return times, bench, apart, failed


def processor():
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")]
    vnni = "with VNNI" if "avx512_vnni" in text else "without VNNI"
    return f"{names[0] if names else platform.processor()}, {vnni}"


def main():
    binary, threads = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        tiny, plain = ROOT / "models/ctnet-tiny-x2.onnx", Path(folder, "plain.onnx")
        networks.plain_cnn(Path(folder, "plain-f32.onnx"))
        networks.quantised(Path(folder, "plain-f32.onnx"), plain, [frame()])
        networks.without_quantisation(tiny, Path(folder, "tiny-f32.onnx"))
        models = [("ctnet-tiny-x2", tiny, Path(folder, "tiny-f32.onnx")), ("plain CNN, 8 x 32", plain, Path(folder, "plain-f32.onnx"))]
        times, bench, apart, failed = turns(binary, models, threads)
    lines = [f"# Peers\n\n{processor()}; {threads} thread(s); {WIDTH}x{HEIGHT} luma, x2; {TURNS} turns, interleaved; "
             f"onnxruntime {ort.__version__}, OpenVINO {ov.__version__.split('-')[0]}. `tests/peers/run {threads}`.\n"]  # fmt: skip
    for model, _, _ in models:
        ours = times[model, "Bifocal"]
        level, peak = bench[model]["level"], bench[model]["peak_rss_bytes"] / 2**20
        lines.append(f"## {model}\n\nBifocal at level {level}; peak of its process {peak:.0f} MiB.\n")
        lines.append("| engine | median ms | least ms | median / Bifocal's | least / Bifocal's |\n| --- | --- | --- | --- | --- |")
        for (which, name), ms in sorted(times.items(), key=lambda item: statistics.median(item[1])):
            if which == model:
                median, least = statistics.median(ms), min(ms)
                ratios = f"{median / statistics.median(ours):.2f} | {least / min(ours):.2f}"
                lines.append(f"| {name} | {median:.1f} | {least:.1f} | {ratios} |")
        lines += [f"| {name} | cannot run the file: {error} | | | |" for (which, name), error in failed.items() if which == model]
        if model in apart:
            lines.append(f"\nonnxruntime and OpenVINO differ by at most {apart[model]:.1f} levels on int8.")
        lines.append("")
    text = "\n".join(lines)
    Path(__file__).with_name("RESULTS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
