"""Layers with quantisers, and the operations that the network is written in.

The network (`network.py`) is one program over `Ops`. `TorchOps` runs it (float, or with simulated int8), and
`export.OnnxOps` writes the same program down as a QDQ file, so the two cannot drift apart.

Layouts are NCHW. An activation is u8 with zero point 0 (`unsigned`, after a ReLU) or 128 (`signed`).
A weight is s8, symmetric, one scale per output channel.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

WINDOW = 8  # tokens on a side: 16 input pixels, since the Transformer branch runs at half resolution
PAIR = 128  # the most that two neighbouring weights sum to: see `pairs`


class Round(torch.autograd.Function):
    """Round half to even; the gradient passes straight through."""

    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class FakeQuantise(torch.autograd.Function):
    """Round x / scale to a step within low..high and scale back.

    Written by hand because it runs after every layer: the gradient passes straight through inside the range and
    stops outside, and the scale learns from the rounding and clipping errors (learned step size quantisation).
    """

    @staticmethod
    def forward(ctx, x, scale, low, high):
        steps = x / scale
        rounded = steps.round().clamp_(low, high)
        ctx.save_for_backward(steps, rounded)
        return rounded * scale

    @staticmethod
    def backward(ctx, gradient):
        steps, rounded = ctx.saved_tensors
        error = rounded - steps
        inside = error.abs() <= 0.5
        slope = None
        if ctx.needs_input_grad[1]:
            slope = torch.dot(gradient.flatten(), torch.where(inside, error, rounded).flatten())
        return gradient * inside, slope, None, None


class Quantiser(nn.Module):
    """Scale and zero point of one activation tensor, or of several that are concatenated."""

    def __init__(self, signed=False, scale=None):
        super().__init__()
        self.zero_point = 128 if signed else 0
        self.fixed = scale is not None
        value = torch.tensor(float(scale or 1 / 255)).log()
        self.log_scale = nn.Parameter(value, requires_grad=not self.fixed)
        self.calibrating = False
        self.seen = 0.0

    @property
    def scale(self):
        return float(self.log_scale.detach().double().exp())

    def observe(self, x):
        """Widen the range to the 99.99th percentile of what was seen."""
        flat = x.detach().flatten().abs()
        k = max(1, int(flat.numel() * 0.9999))
        self.seen = max(self.seen, float(flat.kthvalue(k).values))

    def settle(self):
        """Turn the range seen while calibrating into the scale."""
        if not self.fixed and self.seen > 0:
            steps = 127 if self.zero_point else 255
            with torch.no_grad():
                self.log_scale.fill_(torch.tensor(self.seen / steps).log())
        self.seen = 0.0

    def forward(self, x):
        return FakeQuantise.apply(x, self.log_scale.exp(), -self.zero_point, 255 - self.zero_point)


def pairs(w):
    """|w0| + |w1| of all neighbours, output by output, at any alignment: with channels innermost, and with taps innermost.

    Processors without 8-bit dot products add u8 x s8 in pairs in 16 bits, and engines lay weights out in either order. Pairs of
    at most `PAIR` fit, since 255 * 128 < 32768; others may saturate, and the picture would depend on the processor.
    """
    orders = (w.abs().permute(0, 2, 3, 1).flatten(1), w.abs().flatten(1))
    return tuple(order[:, :-1] + order[:, 1:] for order in orders)


def weight_scales(w, steps=127):
    """One scale per output channel: `pairs` fit, and |w|, alone and in the pairs that our kernels multiply, is at most `steps`."""
    w = w.detach()
    ours, other = pairs(w)
    # Rounding may add half a step to each of the two, hence not quite `PAIR`.
    limits = [(w.flatten(1), steps), (ours, PAIR - 1), (other, PAIR - 1)]
    if w.shape[1] > 1:
        limits.append((ours[:, ::2], steps))
    return torch.stack([sums.abs().amax(1) / most for sums, most in limits]).amax(0).clamp_min(1e-8)


def untied(scales, ratio):
    """Hardly wider scales, for which the multiplier `ratio * scale` of each is 4 over an odd number: see `ties.py`."""
    q = (4.000001 / (scales.double() * ratio)).floor()
    return (4 / (q - 1 + q % 2).clamp_min(1) / ratio).to(scales.dtype)


class Conv(nn.Module):
    """2-D convolution, stride 1, zero padding that keeps the size."""

    steps = 127  # the largest weight is so many of an output's scale at most
    ratio = None  # of the scale of what it reads to that of what it gives, once these are settled: see `ties.py`

    def __init__(self, cin, cout, kernel=1, dilation=1, depthwise=False):
        super().__init__()
        self.kernel, self.dilation = kernel, dilation
        self.groups = cin if depthwise else 1
        self.weight = nn.Parameter(torch.empty(cout, 1 if depthwise else cin, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(cout))
        nn.init.kaiming_normal_(self.weight, a=0.5)

    @property
    def padding(self):
        return self.dilation * (self.kernel // 2)

    def scales(self, weight):
        scales = weight_scales(weight, self.steps)
        return untied(scales, self.ratio) if self.ratio else scales

    def effective(self, factor=None):
        """Weight and bias as they are deployed: `factor`, one value per output channel, is folded in."""
        if factor is None:
            return self.weight, self.bias
        return self.weight * factor.view(-1, 1, 1, 1), self.bias * factor


class Rounding:
    """What rounds to 8 bits: everything, nothing, or a set of layers and quantisers."""

    quantised = False

    def rounds(self, module):
        """Is this layer's weight, or what this quantiser is for, in 8 bits?"""
        return module in self.quantised if isinstance(self.quantised, frozenset) else self.quantised

    def weights(self, layer, factor=None):
        """Weight and bias that are multiplied and added."""
        w, b = layer.effective(factor)
        if self.rounds(layer):
            s = layer.scales(w).view(-1, 1, 1, 1)
            w = Round.apply(w / s) * s
        return w, b


class TorchOps(Rounding):
    """Runs the program in PyTorch; `quantised` simulates int8: see `Rounding`.

    `leak` is the slope that a ReLU keeps below nought. Early in training it lets a unit that has fallen silent
    find its way back; deployed networks have none. `excess` sums up how far signed tensors go beyond `bound`: a
    loss on it keeps two branches from growing apart and cancelling, which 8 bits cannot follow.
    """

    def __init__(self, quantised=False, calibrate=False, leak=0.0, bound=0.0, routes=None):
        """`routes`: name of a tensor -> N x 1 x rows x columns of the window grid, nought where the tensor shall be nought."""
        self.quantised, self.calibrate, self.leak = quantised, calibrate, leak
        self.bound, self.excess = bound, 0.0
        self.routes = routes or {}

    def _relu(self, x):
        return F.leaky_relu(x, self.leak) if self.leak else F.relu(x)

    def _out(self, x, q):
        if self.calibrate:
            q.observe(x)
        if self.bound and q.zero_point:
            self.excess = self.excess + F.relu(x.abs() - self.bound).square().mean()
        return q(x) if self.rounds(q) else x

    def input(self, x, q):
        return self._out(x, q)

    def _conv(self, layer, x, factor=None):
        w, b = self.weights(layer, factor)
        return F.conv2d(x, w, b, padding=layer.padding, dilation=layer.dilation, groups=layer.groups)

    def conv(self, layer, x, q, relu=False, name=None, factor=None):
        y = self._conv(layer, x, factor)
        y = self._out(self._relu(y) if relu else y, q)
        return self._routed(y, self.routes[name]) if name in self.routes else y

    def _routed(self, y, route):
        """`y` where its window's route is one, nought where it is nought."""
        side = y.shape[2] // route.shape[2]
        return y * route.to(y.dtype).repeat_interleave(side, 2).repeat_interleave(side, 3)

    def add(self, a, b, q, relu=False, name=None):
        y = a + b
        return self._out(self._relu(y) if relu else y, q)

    def concat(self, parts, q):
        return torch.cat(parts, 1)

    # Tensors are N x C x H x W, but lie in memory with the channels last, which is what the views below are
    # cheapest on and what 3x3 convolutions of few channels run fastest on.

    def space_to_depth(self, x):
        n, c, h, w = x.shape
        x = x.permute(0, 2, 3, 1).reshape(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n, h // 2, w // 2, 4 * c).permute(0, 3, 1, 2)

    def depth_to_space(self, x, block=2):
        n, c, h, w = x.shape
        left = c // block**2
        x = x.permute(0, 2, 3, 1).reshape(n, h, w, block, block, left).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n, block * h, block * w, left).permute(0, 3, 1, 2)

    def attention(self, q, k, v, scores, out, shift, name=None):
        """ReLU attention within windows; `shift` tokens of edge padding move the window grid."""
        q, k, v = (self._windows(t, shift) for t in (q, k, v))
        s = self._out(self._relu(q @ k.transpose(-1, -2)), scores)
        return self._merge(self._out(s @ v, out), shift)

    def _windows(self, x, shift):
        if shift:
            x = F.pad(x, (shift,) * 4, mode="replicate")
        n, c, h, w = x.shape
        x = x.permute(0, 2, 3, 1).reshape(n, h // WINDOW, WINDOW, w // WINDOW, WINDOW, c).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n, h // WINDOW, w // WINDOW, WINDOW * WINDOW, c)

    def _merge(self, x, shift):
        n, hw, ww, _, c = x.shape
        x = x.view(n, hw, ww, WINDOW, WINDOW, c).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(n, hw * WINDOW, ww * WINDOW, c).permute(0, 3, 1, 2)
        return x[:, :, shift:-shift, shift:-shift] if shift else x

    def pool(self, x, q, along):
        """Mean over the window's columns (`along` = "x") or rows ("y")."""
        return self._out(F.avg_pool2d(x, (1, WINDOW) if along == "x" else (WINDOW, 1)), q)

    def gate(self, x, g, q, along):
        """Multiply by a gate that is constant along a window's columns or rows."""
        g = g.repeat_interleave(WINDOW, 3 if along == "x" else 2)
        return self._out(x * g, q)

    def unit(self, layer, x, q):
        """1x1 convolution clipped to 0..1."""
        return self._out(torch.clamp(self._conv(layer, x), 0, 1), q)

    def output(self, residual, y, q, scale):
        """Nearest anchor, pixel shuffle, clip: the picture in 0..1."""
        residual = self._routed(residual, self.routes["residual"]) if "residual" in self.routes else residual
        return torch.clamp(self.depth_to_space(self._out(residual + y, q), scale), 0, 1)
