"""Multiply-adds of a network per input pixel, counted as it runs."""

import torch

from .layers import WINDOW, TorchOps


class CountingOps(TorchOps):
    """Runs the program and adds up what its convolutions and products of matrices multiply."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def _conv(self, layer, x, factor=None):
        y = super()._conv(layer, x, factor)
        self.count += y.shape[2] * y.shape[3] * layer.weight.numel()
        return y

    def attention(self, q, k, v, scores, out, shift, name=None):
        h, w = (n + 2 * shift for n in q.shape[2:])
        self.count += h * w * WINDOW**2 * (q.shape[1] + v.shape[1])
        return super().attention(q, k, v, scores, out, shift, name)


def macs(net, branches="both", side=1024):
    """Per input pixel, on a large picture, so that what a shifted grid adds at the border hardly counts."""
    ops = CountingOps()
    with torch.no_grad():
        net(ops, torch.zeros(1, 1, side, side), branches)
    return ops.count / side**2
