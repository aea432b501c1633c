"""One engine in a process of its own, so that its memory can be told from the others'.

    python engines.py ENGINE FILE THREADS WIDTH HEIGHT CHANNELS     (a line on standard input is a request, its answer one line)

`run` answers the milliseconds of one frame, `answer PATH` writes what came out (raw f32) and answers its count of numbers,
`memory` answers the peak resident bytes of the process and what of them the interpreter had before the engine came.
`tract.rs` speaks the same.
"""

import sys
import time
from pathlib import Path

import numpy as np


def frame(width, height, channels=1):
    """Waves and a chequerboard, 1 x C x H x W in whole levels of 0..1, all channels alike."""
    y, x = np.mgrid[0:height, 0:width]
    wave = 96 * np.sin(x / 7) * np.cos(y / 11) + 32 * ((x // 16 + y // 16) % 2)
    plane = (np.clip(128 + wave, 0, 255).round() / 255).astype(np.float32)
    return np.repeat(plane[None, None], channels, axis=1)


def onnxruntime(path, threads, x):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})[0]


def openvino(path, threads, x):
    import openvino as ov

    network = ov.Core().read_model(path)
    network.reshape(list(x.shape))
    compiled = ov.compile_model(network, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    return lambda: request.infer({0: x})[0]


def ncnn(path, threads, x):
    """From pnnx's `.param` beside its `.bin`."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = threads, False
    if net.load_param(path) or net.load_model(str(Path(path).with_suffix(".bin"))):
        raise RuntimeError("ncnn has no such layer (see the lines above)")
    source, result = net.input_names()[0], net.output_names()[0]

    def run():
        with net.create_extractor() as extractor:
            extractor.input(source, ncnn.Mat(x[0]))
            return np.array(extractor.extract(result)[1])[None]

    return run


def mnn(path, threads, x):
    import MNN

    runtime = MNN.nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "high"},))
    net = MNN.nn.load_module_from_file(path, [], [], runtime_manager=runtime)
    source = MNN.expr.placeholder(list(x.shape), MNN.expr.NCHW)

    def run():
        source.write(x)
        return np.array(MNN.expr.convert(net.forward(source), MNN.expr.NCHW).read())

    return run


ENGINES = {"onnxruntime": onnxruntime, "OpenVINO": openvino, "ncnn": ncnn, "MNN": mnn}


def status(field):
    """A line of /proc/self/status in bytes; Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    return 0


def main():
    engine, path, threads, width, height, channels = sys.argv[1:]
    x, before = frame(int(width), int(height), int(channels)), status("VmHWM")
    run = ENGINES[engine](path, int(threads), x)
    run()
    print("ready", flush=True)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "run":
            begin = time.perf_counter()
            run()
            print(1e3 * (time.perf_counter() - begin), flush=True)
        elif command == "answer":
            answer = np.ascontiguousarray(run(), np.float32)
            answer.tofile(argument)
            print(answer.size, flush=True)
        elif command == "memory":
            print(status("VmHWM"), before, flush=True)


if __name__ == "__main__":
    main()
