"""The networks by name: what is shipped, and what may be trained."""

from .camera import degrade
from .nano import Nano, NanoConfig
from .network import Config, CTNet

SIZES = {
    "tiny": {},
    "small": {"width": 24, "layers": (4, 3), "steps": 96, "tokens": 24, "keys": 8, "hidden": 8, "context": 8},
    "base": {
        "width": 48, "layers": (4, 4), "tokens": 48, "keys": 16, "hidden": 24, "context": 16, "squeeze": 16, "more": (1, 1),
    },
}
# Files that were trained before the CNN trunk was a chain: residual dense blocks of as many multiply-adds.
DENSE = {"tiny": {"growth": 8, "layers": (2, 3)}, "small": {"growth": 12, "layers": (3, 4), "hidden": 16}}
WITH_DENSE = ("ctnet-tiny-x3", "ctnet-tiny-x2-cam", "ctnet-small-x4-photo")


def build(name):
    """`ctnet-SIZE-xSCALE`, with anything after it."""
    _, size, scale, *_ = name.split("-")
    scale = int(scale.removeprefix("x"))
    if size == "nano":
        return Nano(NanoConfig(name, scale))
    return CTNet(Config(name, scale, **(SIZES[size] | (DENSE[size] if name in WITH_DENSE else {}))))


NAMES = [f"ctnet-{size}-x{scale}" for size in ("nano", "tiny", "small", "base") for scale in (2, 3, 4)]
NAMES += ["ctnet-tiny-x2-cam", "ctnet-tiny-x4-cam", "ctnet-small-x4-photo"]


def degradation(name):
    """What the small pictures go through that the network learns from; nothing for most."""
    return degrade if name.endswith("-cam") else None
