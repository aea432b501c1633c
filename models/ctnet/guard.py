"""Makes a file add nothing where its picture is flat, whatever it has learnt.

    models/guard models/ctnet-tiny-x3.onnx

What the network adds to the picture is multiplied by a gate of 0 or 1. Four convolutions of two weights look for rises to the
right, to the left, down and up; with the nearest pixel beyond the border there is none there. One more adds these up in 3 x 3
pixels, with so large a step that any rise saturates. So where 4 x 4 pixels are alike the picture is the anchor's, to the byte,
up to the border, and everywhere else nothing changes.

For files that have not learnt it from flat pictures (`flat` in data.py); it costs 4 to 10 % of a frame.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

LUMA = "luma_dq"


def is_guarded(graph):
    return any(node.name == "guarded" for node in graph.node)


def guard(graph):
    """Puts the gate before the last sum, which adds the picture."""
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    nodes = list(graph.node)
    writer = {output: node for node in nodes for output in node.output}
    last = [node for node in nodes if node.op_type == "Add" and LUMA in node.input][-1]
    added = next(name for name in last.input if name != LUMA)
    scale, zero = writer[added].input[1:3]
    conv = writer[writer[writer[added].input[0]].input[0]]
    channels = len(values[writer[conv.input[1]].input[0]])
    level = float(values["luma_scale"])
    new = []

    def node(operator, inputs, output, **attributes):
        new.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(name, value):
        graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def quantised(value, *scale):
        node("QuantizeLinear", [value, *scale], f"{value}_q")
        return node("DequantizeLinear", [f"{value}_q", *scale], f"{value}_dq")

    def convolution(name, value, weights, step, padding):
        held = [
            constant(f"{name}_weight", weights),
            constant(f"{name}_weight_scale", np.full(len(weights), step, np.float32)),
            constant(f"{name}_weight_zero_point", np.zeros(len(weights), np.int8)),
        ]
        weights = node("DequantizeLinear", held, f"{name}_weight_dq", axis=0)
        shape = dict(kernel_shape=[3, 3], pads=[padding] * 4, strides=[1, 1], dilations=[1, 1], group=1)
        return node("Conv", [value, weights], name, **shape)

    of_luma = ["luma_scale", "luma_zero_point"]
    borders = constant("guard_borders", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    wide = node("Pad", [LUMA, borders], "guard_wide", mode="edge")
    rises = np.zeros((4, 1, 3, 3), np.int8)
    rises[:, 0, 1, 1] = -1
    for rise, (y, x) in zip(rises, [(1, 2), (1, 0), (2, 1), (0, 1)]):
        rise[0, y, x] = 1
    found = node("Relu", [convolution("guard_rise", wide, rises, 1, 0)], "guard_rises")
    found = quantised(found, *of_luma)
    gate = convolution("guard_any", found, np.ones((channels, 4, 3, 3), np.int8), 1 / level, 1)
    gate = quantised(gate, *of_luma)
    guarded = quantised(node("Mul", [added, gate], "guarded"), scale, zero)
    for i, name in enumerate(last.input):
        if name == added:
            last.input[i] = guarded
    at = next(i for i, node in enumerate(nodes) if node is last)
    del graph.node[:]
    graph.node.extend(nodes[:at] + new + nodes[at:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="+", help="written anew")
    for file in parser.parse_args().file:
        model = onnx.load(file)
        if is_guarded(model.graph):
            print(f"{file}: it is guarded")
            continue
        guard(model.graph)
        onnx.checker.check_model(model)
        onnx.save(model, file)


if __name__ == "__main__":
    main()
