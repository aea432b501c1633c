"""Weights of a network in one with more layers in its chains or fewer hidden channels: training goes on from there.

A layer that is new begins as the identity, which changes nothing: what it reads is not negative. Of hidden channels those
with the largest weights stay.
"""

import re

import torch

LAYER = re.compile(r"local\d\.layers\.\d+\.(weight|bias)")
BETWEEN = re.compile(r"local(\d)\.between\.\d+\.log_scale")


def fitted(weights, own):
    """`weights` with the names of `own`, which gives the shapes; a tail of another scale stays as it is.

    Raises ValueError where the two are of other kinds.
    """
    weights = dict(weights)
    for name in own.keys() - weights.keys():
        if match := LAYER.fullmatch(name):
            value = torch.zeros_like(own[name])
            if match[1] == "weight":
                value[:, :, 1, 1] = torch.eye(*value.shape[:2])
            weights[name] = value
        elif match := BETWEEN.fullmatch(name):
            weights[name] = weights[f"q_cnn{match[1]}.log_scale"].clone()
    if "q_tail.log_scale" in weights:
        weights["q_tail.log_scale"] = own["q_tail.log_scale"].clone()  # it is given, but was learnt in older weights
    for block in {name.removesuffix(".widen.weight") for name in own if name.endswith(".widen.weight")}:
        _narrow(weights, block, len(own[f"{block}.widen.weight"]))
    other = own.keys() ^ weights.keys()
    other |= {n for n in own.keys() & weights.keys() if own[n].shape != weights[n].shape and not n.startswith("tail.")}
    if other:
        raise ValueError(f"weights of another network: {min(other)}")
    return weights


def _narrow(weights, block, hidden):
    """Keeps `hidden` of the channels inside a feed-forward layer."""
    wide, narrow = weights.get(f"{block}.widen.weight"), weights.get(f"{block}.narrow.weight")
    if wide is None or len(wide) <= hidden:
        return
    size = wide.flatten(1).norm(dim=1) * narrow.flatten(2).squeeze(-1).norm(dim=0)
    kept = size.topk(hidden).indices.sort().values
    weights[f"{block}.widen.weight"] = wide[kept]
    weights[f"{block}.widen.bias"] = weights[f"{block}.widen.bias"][kept]
    weights[f"{block}.narrow.weight"] = narrow[:, kept]
