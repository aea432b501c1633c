"""The networks by name: what is shipped, and what may be trained."""

from .camera import degrade
from .nano import Nano, NanoConfig
from .network import Config, CTNet

TINY = {}
SMALL = {"width": 24, "growth": 12, "dense": (3, 4), "tokens": 24, "keys": 8, "hidden": 16, "context": 8}
BASE = {"width": 48, "growth": 24, "dense": (3, 4), "tokens": 48, "keys": 16, "hidden": 32, "context": 16, "squeeze": 16}


def build(name):
    """`ctnet-SIZE-xSCALE`, with anything after it."""
    _, size, scale, *_ = name.split("-")
    scale = int(scale.removeprefix("x"))
    if size == "nano":
        return Nano(NanoConfig(name, scale))
    return CTNet(Config(name, scale, **{"tiny": TINY, "small": SMALL, "base": BASE}[size]))


NAMES = [f"ctnet-{size}-x{scale}" for size in ("nano", "tiny", "small", "base") for scale in (2, 3, 4)]
NAMES += ["ctnet-tiny-x2-cam", "ctnet-small-x4-photo"]


def degradation(name):
    """What the small pictures go through that the network learns from; nothing for most."""
    return degrade if name.endswith("-cam") else None
