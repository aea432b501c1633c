"""Maps of the classes that `--branches auto` gives windows, for learning with them."""

import numpy as np
import torch

from .network import SILENT
from .route import WINDOW, details

PLAIN, STRUCTURE, FULL = range(3)
# Name of a tensor -> the least class of a window that it is not nought in, as in the program (`plan/route.rs`): what one branch
# gives the other ends with the windows that get both.
LEAST = dict.fromkeys((*SILENT["transformer"], "exchange_to_cnn"), FULL) | {"residual": STRUCTURE}
FEWEST = 0.2  # of a crop's windows: those that get both branches
FLAT_ENERGY = 3000  # below it a window may be plain


def classes(x, rng):
    """Of the windows of each crop, N x rows x columns: those with the most edges get both branches, as many as chance will."""
    maps = []
    for crop in (x[:, 0].numpy() * 255).round().astype(np.uint8):
        edges, energy = details(crop)
        least = np.quantile(edges, 1 - rng.uniform(FEWEST, 1))
        below = np.where(energy < FLAT_ENERGY * rng.integers(2), PLAIN, STRUCTURE)
        maps.append(np.where(edges >= least, FULL, below))
    return torch.from_numpy(np.stack(maps).astype(np.uint8))


def routes(maps):
    """The same for `TorchOps`."""
    return {name: (maps >= least).unsqueeze(1) for name, least in LEAST.items()}
