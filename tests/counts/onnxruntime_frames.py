"""onnxruntime's side of the count: MODEL WIDTH HEIGHT COUNT, one thread."""

import sys

import numpy as np
import onnxruntime as ort

path, width, height, count = sys.argv[1], *map(int, sys.argv[2:])
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
channels = session.get_inputs()[0].shape[1]
x = (np.arange(channels * height * width, dtype=np.float32) * 37 % 256 / 255).reshape(1, channels, height, width)
for _ in range(count):
    session.run(None, {session.get_inputs()[0].name: x})
