"""Upscales pictures, video and camera feeds with a neural network, inside a fixed memory budget."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

__version__: str

_Frame = npt.NDArray[np.uint8]
_Model = str | os.PathLike[str] | bytes
_Branches = Literal["both", "cnn", "transformer", "auto"]

class Error(Exception):
    """Something failed. The text is one line."""

class InputError(Error, ValueError):
    """What was asked for, or the frame, is wrong."""

class BudgetError(Error, MemoryError):
    """The memory budget is too small, and the text says the least that works; or the system gives less."""

@final
class Upscaler:
    """Upscales frames, which are NumPy arrays of uint8: help(bifocal.Upscaler) says what each argument means."""

    def __new__(
        cls,
        model: _Model | None = None,
        *,
        scale: int | None = None,
        mem: str | int | None = None,
        threads: int | None = None,
        branches: _Branches = "both",
        effort: int | None = None,
        level: str | None = None,
        format: Literal["grey", "gray", "greyalpha", "rgb", "rgba", "bgr", "bgra", "yuv420", "nv12"] | None = None,
        size: Sequence[int] | None = None,
        output: Literal["rgb", "bgr"] | None = None,
        matrix: Literal["bt601", "bt709"] | None = None,
        range: Literal["limited", "full"] | None = None,
        siting: Literal["left", "centre", "topleft"] | None = None,
    ) -> Upscaler: ...
    def __call__(self, frame: _Frame, out: _Frame | None = None) -> _Frame:
        """Upscales a frame, and returns out, or a new array."""

    def stream(self, frames: Iterable[_Frame], out: _Frame | None = None) -> Iterator[_Frame]:
        """The upscaled frames of an iterable, each made when it is asked for; with out every one of them is that array."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def scale(self) -> int:
        """Factor on both sides."""

    @property
    def report(self) -> dict[str, Any] | None:
        """The tile and memory plan of the engine, as plan() returns it; None before the first frame."""

    def __getnewargs_ex__(self) -> tuple[tuple[_Model | None], dict[str, Any]]: ...

def models() -> list[dict[str, Any]]:
    """The models that names stand for, with what their files say of themselves."""

def plan(
    model: _Model | None = None,
    size: Sequence[int] = (640, 360),
    *,
    scale: int | None = None,
    mem: str | int | None = None,
    threads: int | None = None,
    branches: _Branches = "both",
    effort: int | None = None,
    level: str | None = None,
) -> dict[str, Any]:
    """What upscaling an RGB frame of size=(width, height) takes. Nothing is run."""
