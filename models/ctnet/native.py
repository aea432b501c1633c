"""The network's loss and gradients by compiled code (`compiled/`), several times faster than by PyTorch on a processor.

The network is written down once more as a program, as for the exported file; the compiled code runs it forwards and
backwards, crop by crop. What becomes of the weights before (factors, rounding) and after (the optimiser) stays in PyTorch.
"""

import ctypes
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

import torch
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_input, conv2d_weight

from .family import NAMES, build
from .layers import WINDOW, Rounding, TorchOps
from .maps import LEAST, classes, routes
from .network import CTNet

MODELS = Path(__file__).resolve().parents[1]
SOURCES = [str(Path(__file__).parent / "compiled" / name) for name in ("plan.cpp", "soap.cpp")]
FLAGS = ("-O3", "-march=native", "-ffast-math", "-std=c++17", "-shared", "-fPIC")
CONV, ADD, TO_DEPTH, TO_SPACE, ATTENTION, POOL, GATE, CLIP, ROUND, ROUTE, BOUND, LOSS = range(12)


def compiled():
    """The library, built anew by each process: it takes seconds, and is made for the processor at hand."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "native.so"
        subprocess.run(["c++", *FLAGS, *SOURCES, "-o", str(path)], check=True)
        library = ctypes.CDLL(str(path))
    pointer, integer, real = ctypes.c_void_p, ctypes.c_int, ctypes.c_float
    library.plan_new.restype = pointer
    library.plan_new.argtypes = [pointer, integer] * 3
    library.plan_run.restype = ctypes.c_double
    library.plan_run.argtypes = [pointer] * 3 + [integer] + [pointer] * 6 + [real] * 4 + [integer] * 3 + [pointer]
    library.soap_follow.argtypes = [pointer, integer, integer, real, pointer, pointer]
    library.soap_move.argtypes = [pointer] * 2 + [integer] * 2 + [pointer] * 4 + [real] * 6
    return library


class Value:
    """A tensor of the program; None stands for noughts."""

    def __init__(self, index, h, w, c):
        self.index, self.h, self.w, self.c = index, h, w, c

    def __mul__(self, other):
        assert other == 0
        return None


class NativeOps(Rounding):
    """Writes the network down as a program over values. Same calls as `TorchOps`."""

    def __init__(self, size, quantised=False, least=None):
        """`least`: name of a tensor -> the least class of a window that it is not nought in."""
        self.quantised, self.least = quantised, least or {}
        self.sizes, self.code, self.layers, self.effective, self.quantisers = [], [], [], [], []
        self.entry = self._value(size, size, 1)

    def _value(self, h, w, c):
        self.sizes.append((h, w, c))
        return Value(len(self.sizes) - 1, h, w, c)

    def _step(self, kind, shape, a=-1, b=-1, flag=0, layer=-1, scale=-1, parts=()):
        out = self._value(*shape) if shape else None
        parts = [p.index for p in parts]
        a, b = (v.index if isinstance(v, Value) else -1 for v in (a, b))
        self.code.append([kind, out.index if out else -1, a, b, int(flag), layer, scale, len(parts), *parts])
        return out

    def _scale(self, q):
        if not self.rounds(q):
            return -1
        self.quantisers.append(q)
        return len(self.quantisers) - 1

    def _out(self, x, q):
        if q.zero_point:
            self._step(BOUND, None, x)
        return self._step(ROUND, (x.h, x.w, x.c), x, flag=q.zero_point, scale=self._scale(q)) if self.rounds(q) else x

    def input(self, x, q):
        """Its values are steps of 1 / 255 already."""
        return self.entry

    def _conv(self, layer, x, relu=False, factor=None):
        parts = x if isinstance(x, list) else [x]
        w, b = self.weights(layer, factor)
        self.effective.append((w, b))
        cin = sum(p.c for p in parts)
        self.layers += [cin, len(b), layer.kernel, layer.dilation, int(layer.groups > 1)]
        shape = (parts[0].h, parts[0].w, len(b))
        return self._step(CONV, shape, flag=relu, layer=len(self.effective) - 1, parts=parts)

    def conv(self, layer, x, q, relu=False, name=None, factor=None):
        y = self._out(self._conv(layer, x, relu, factor), q)
        return self._routed(y, self.least[name]) if name in self.least else y

    def _routed(self, x, least):
        return self._step(ROUTE, (x.h, x.w, x.c), x, flag=least)

    def add(self, a, b, q, relu=False, name=None):
        a, b = (a, b) if a else (b, a)
        return self._out(self._step(ADD, (a.h, a.w, a.c), a, b, relu), q)

    def concat(self, parts, q):
        return list(parts)

    def space_to_depth(self, x):
        return self._step(TO_DEPTH, (x.h // 2, x.w // 2, 4 * x.c), x)

    def depth_to_space(self, x):
        return self._step(TO_SPACE, (2 * x.h, 2 * x.w, x.c // 4), x)

    def attention(self, q, k, v, scores, out, shift, name=None):
        return self._out(self._step(ATTENTION, (v.h, v.w, v.c), q, k, shift, scale=self._scale(scores), parts=[v]), out)

    def pool(self, x, q, along):
        shape = (x.h, x.w // WINDOW, x.c) if along == "x" else (x.h // WINDOW, x.w, x.c)
        return self._out(self._step(POOL, shape, x, flag=along == "y"), q)

    def gate(self, x, g, q, along):
        return self._out(self._step(GATE, (x.h, x.w, x.c), x, g, along == "y"), q)

    def unit(self, layer, x, q):
        x = self._conv(layer, x)
        return self._out(self._step(CLIP, (x.h, x.w, x.c), x), q)

    def output(self, residual, y, q, scale):
        self.picture_rounds = self.rounds(q)
        self._step(LOSS, None, self._routed(residual, self.least["residual"]) if self.least else residual)


def integers(values):
    return (ctypes.c_int * len(values))(*values)


def pointers(addresses):
    return (ctypes.c_void_p * len(addresses))(*addresses)


class Native:
    """Losses and gradients of a network. Crops of a batch run beside each other; their sums do not depend on `threads`."""

    def __init__(self, net, threads=1, precise=False):
        """`precise`: floats in every product, even where the processor is quicker with shorter numbers (`bf16.h`)."""
        self.net, self.library, self.plans, self.precise = net, compiled(), {}, precise
        self.threads, self.crew = threads, ThreadPoolExecutor(threads)

    def _plans(self, ops, key):
        """One for each thread, kept as long as the process: a plan holds the values of the crop that it works on."""
        if key not in self.plans:
            sizes = integers([n for size in ops.sizes for n in size])
            code = integers([n for step in ops.code for n in step])
            arguments = sizes, len(ops.sizes), integers(ops.layers), len(ops.effective), code, len(ops.code)
            self.plans[key] = [self.library.plan_new(*arguments) for _ in range(self.threads)]
            assert all(self.plans[key]), "a layer is wider than the compiled code knows"
        return self.plans[key]

    def __call__(self, x, y, branches, quantised=False, leak=0.0, bound=0.0, excess=0.0, weights=None, squared=None, classes=None):
        """The mean loss of a batch, a float; adds its gradients to the parameters.

        `quantised`: see `Rounding`; `weights`: of the crops, one by default; `squared`: are distances, as the network's by default;
        `classes`: of each crop's windows, N x rows x columns (`maps.py`), then `branches` is both.
        """
        squared = self.net.squared if squared is None else squared
        norms = [float(w) / len(x) for w in (torch.ones(len(x)) if weights is None else weights)]
        ops = NativeOps(x.shape[-1], quantised, LEAST if classes is not None else None)
        self.net(ops, None, branches)
        plans = self._plans(ops, (x.shape[-1], branches, quantised, classes is not None))
        made = [t for pair in ops.effective for t in pair]
        values = [t.detach().contiguous() for t in made]
        scales = torch.stack([q.log_scale.detach() for q in ops.quantisers]).exp() if ops.quantisers else torch.zeros(0)
        # The gradients of a crop lie one after the other: weights and biases by turns, then the scales.
        ends = list(accumulate([0, *(t.numel() for t in values), scales.numel()]))
        gradients = torch.zeros(len(x), ends[-1])
        x, y = x.contiguous(), y.contiguous()
        kernels, biases = (pointers([t.data_ptr() for t in values[i::2]]) for i in range(2))

        def run(worker):
            total = 0.0
            for i in range(worker, len(x), self.threads):
                at = [gradients[i].data_ptr() + 4 * end for end in ends]
                total += self.library.plan_run(
                    plans[worker], x[i].data_ptr(), y[i].data_ptr(), self.net.config.scale, kernels, biases,
                    scales.data_ptr(), pointers(at[:-2:2]), pointers(at[1:-2:2]), at[-2],
                    leak, bound, excess, norms[i], ops.picture_rounds, self.precise, squared,
                    None if classes is None else classes[i].data_ptr(),
                )  # fmt: skip
            return total

        loss = sum(self.crew.map(run, range(self.threads))) if self.threads > 1 else run(0)
        given = [g.view_as(t) for g, t in zip(gradients.sum(0).split([t.numel() for t in (*values, scales)]), (*values, scales))]
        self._hand_back(made, given[:-1], ops.quantisers, given[-1])
        return loss

    @staticmethod
    def _hand_back(made, given, quantisers, of_scales):
        """Gradients of what was made of the parameters to the parameters."""
        for p, g in zip(made, given):
            if p.is_leaf:
                p.grad = g if p.grad is None else p.grad + g
        inner = [(p, g) for p, g in zip(made, given) if not p.is_leaf]
        if inner:
            torch.autograd.backward(*zip(*inner))
        for q, g in zip(quantisers, of_scales):
            if not q.fixed:
                q.log_scale.grad = g.clone() if q.log_scale.grad is None else q.log_scale.grad + g


class Short(torch.autograd.Function):
    """A convolution whose products are of numbers rounded to 16 bits, there and back, as in `bf16.h`."""

    @staticmethod
    def forward(ctx, x, w, b):
        short = x.bfloat16().float(), w.bfloat16().float()
        ctx.save_for_backward(*short)
        return conv2d(*((x, w) if x.shape[1] == 1 else short), b, padding=w.shape[-1] // 2)

    @staticmethod
    def backward(ctx, gradient):
        x, w = ctx.saved_tensors
        short, padding = gradient.bfloat16().float(), w.shape[-1] // 2
        of_x = conv2d_input(x.shape, w, short, padding=padding)
        return of_x, conv2d_weight(x, w.shape, short, padding=padding), gradient.sum((0, 2, 3))


class ShortOps(TorchOps):
    """PyTorch with the rounding of products that are not precise."""

    def _conv(self, layer, x, factor=None):
        return super()._conv(layer, x, factor) if layer.groups > 1 else Short.apply(x, *layer.effective(factor))


def calibrate(net, size=64):
    """Scales for what random weights give, as training takes them from what it sees."""
    with torch.no_grad():
        net(TorchOps(calibrate=True), torch.randint(0, 256, (2, 1, size, size)).float() / 255)
    for q in net.quantisers():
        q.settle()


def compare(net, native, ops=TorchOps, size=64, batch=2, quantised=False):
    """Relative differences between these gradients and PyTorch's, the worst over the choices of branches: of one
    parameter's gradient, and of all together."""
    worst, whole = 0.0, 0.0
    x = torch.randint(0, 256, (batch, 1, size, size)).float() / 255
    weights = torch.linspace(0.5, 1.5, batch)
    y = torch.nn.functional.interpolate(x, scale_factor=net.config.scale, mode="bicubic").clamp(0, 1)
    choices = [("both", None), *((b, None) for b in net.silent)]
    if not quantised:  # with maps, too, roundings that differ spread so far that they say nothing of the code
        choices.append(("both", classes(x, torch.full((batch, 2), 0.4))))
    for branches, maps in choices:
        found = []
        routed = None if maps is None else routes(maps)
        for run in (
            lambda: net.losses(ops(quantised, leak=0.1, routes=routed), x, y, branches, weights).backward(),
            lambda: native(x, y, branches, quantised, leak=0.1, weights=weights, classes=maps),
        ):
            net.zero_grad()
            run()
            found.append({name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None})
        reference, ours = found
        worst = max(worst, *(float((g - ours[name]).norm() / (g.norm() + 1e-8)) for name, g in reference.items()))
        both = [torch.cat([gradients[name].flatten() for name in reference]) for gradients in found]
        whole = max(whole, float((both[0] - both[1]).norm() / both[0].norm()))
    return worst, whole


def main():
    """`models/check`: is the compiled code right on this processor, for the files that it trains?"""
    for name in (n for n in NAMES if (MODELS / f"{n}.onnx").exists()):
        torch.manual_seed(1)
        net = build(name)
        # Base learns on a GPU: from random weights, roundings that differ leave nothing to compare after so many layers.
        if not isinstance(net, CTNet) or "-base-" in name:
            continue
        native = Native(net, precise=True)
        for net.squared in (True, False):
            worst, _ = compare(net, native)
            print(f"{name}: worst relative difference of a gradient {worst:.1e}" + ", squared" * net.squared)
            assert worst < 1e-3
        calibrate(net)
        _, whole = compare(net, native, quantised=True)
        print(f"  quantised, all together {whole:.1e}")
        # A sum in another order that is rounded otherwise, where it lies near a tie, changes what comes after it.
        assert whole < 0.05
        if native.library.plan_has_pairs():
            native = Native(net)
            worst, whole = compare(net, native, ShortOps)
            print(f"  with short numbers {worst:.1e}, of all together {whole:.1e}; ", end="")
            # Where a sum in another order is rounded otherwise, the difference spreads.
            assert worst < 0.1 and whole < 2e-2
            # A gradient that is next to nothing, as of attention at first, may be far off.
            worst, whole = compare(net, native)
            print(f"from precise ones {worst:.1e}, of all together {whole:.1e}")
            assert whole < 3e-2


if __name__ == "__main__":
    main()
