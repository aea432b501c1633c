"""Scales for which no value lies near a tie, so that every engine rounds to the same step.

An engine may add products exactly, or in 32-bit floats in any order. Where a sum lies half-way between two steps of the
output, the smallest error decides, and what a network makes of a step too many can be seen. An integer `n` times `p / q`
is never nearer to half-way than `1 / (2 q)` when `q` is odd. So each multiplier of the file is such a fraction: of
`scale_x * scale_w / scale_out` for a convolution, whose weights' scales are free; of `scale_a / scale_out` and
`scale_b / scale_out`, with the same `q`, for a sum; of `scale_a * scale_b / scale_out` for a product.

Other scales round weights otherwise, and what the network had learnt about its rounding is lost; so the last steps of
training are made with these (`settle`).
"""

import torch

from .layers import WINDOW, Conv

SUM = 2047  # q of sums: their ratios are near one, and 1 / 2047 is as fine as they need


def fraction(value, p):
    """`p / q` near `value` with an odd `q`."""
    q = round(p / value)
    return p / max(q - 1 + q % 2, 1)


class ScaleOps:
    """Runs the program to choose the scales of all activations; a value is the quantiser that it has been through."""

    def __init__(self):
        self.chosen = {}
        self.around = {}  # convolution -> quantisers of what it reads and of what it gives

    def scale(self, q):
        return self.chosen.setdefault(q, q.scale)

    def _by_product(self, q, factor, p=1):
        """Choose the scale of what is `factor` times an integer."""
        if not q.fixed:
            self.chosen[q] = factor / fraction(factor / q.scale, p)

    def input(self, x, q):
        return q

    def conv(self, layer, x, q, relu=False, name=None, factor=None):
        self.around[layer] = x, q
        return q

    def unit(self, layer, x, q):
        return self.conv(layer, x, q)

    def add(self, a, b, q, relu=False, name=None):
        known, free = (b, a) if b in self.chosen or b.fixed else (a, b)
        scale = self.scale(known)
        if not q.fixed:
            assert q not in self.chosen, "a sum into a tensor whose scale is given"
            self.chosen[q] = scale / (max(1, round(SUM * scale / q.scale)) / SUM)
        out = self.scale(q)
        assert free not in self.chosen, "a sum of two tensors whose scales are given"
        self.chosen[free] = max(1, round(SUM * free.scale / out)) / SUM * out
        return q

    def concat(self, parts, q):
        return q

    def space_to_depth(self, x):
        return x

    def depth_to_space(self, x, block=2):
        return x

    def attention(self, q, k, v, scores, out, shift, name=None):
        self._by_product(scores, self.scale(q) * self.scale(k))
        self._by_product(out, self.scale(scores) * self.scale(v))
        return out

    def pool(self, x, q, along):
        if q not in self.chosen:
            self._by_product(q, self.scale(x) / WINDOW, 64)
        return q

    def gate(self, x, g, q, along):
        self._by_product(q, self.scale(x) * self.scale(g))
        return q

    def output(self, residual, y, q, scale):
        self.add(residual, y, q)
        return q


def choose(net):
    """Quantiser -> scale, for all activations of a network; and the ratios that its convolutions have with these."""
    ops = ScaleOps()
    net(ops, None)
    return ops.chosen, {layer: ops.scale(x) / ops.scale(out) for layer, (x, out) in ops.around.items()}


def settle(net, average):
    """Let both have the scales that the average is exported with. The scales must not learn any more."""
    chosen, ratios = choose(average)
    with torch.no_grad():
        for q, scale in chosen.items():
            q.log_scale.fill_(torch.tensor(scale, dtype=torch.float64).log())
        for ours, theirs in zip(net.quantisers(), average.quantisers()):
            ours.log_scale.copy_(theirs.log_scale)
    for ours, theirs in zip(net.modules(), average.modules()):
        if isinstance(theirs, Conv):
            ours.ratio = theirs.ratio = ratios.get(theirs)
