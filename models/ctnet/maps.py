"""Maps of the classes that `--branches auto` gives windows, for learning with them."""

import torch

from .network import SILENT

PLAIN, STRUCTURE, FULL = range(3)
# Name of a tensor -> the least class of a window that it is not nought in, as in the program (`plan/route.rs`): what one branch
# gives the other ends with the windows that get both.
LEAST = dict.fromkeys((*SILENT["transformer"], "exchange_to_cnn"), FULL) | {"residual": STRUCTURE}
WINDOW = 16
FEWEST = 0.2  # of a crop's windows: those that get both branches
PLAIN_BELOW = 3000  # so much energy


def details(x):
    """Edges and energy of each window of N x 1 x H x W, as in the program (`engine/detail.rs`) but for the logarithm's steps."""
    n, _, h, w = x.shape
    x = (255 * x).round().view(n, h // WINDOW, WINDOW, w // WINDOW, WINDOW).transpose(2, 3)
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    blocks = (4 * x[..., 1:-1, 1:-1] - around).square().unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).sum((-3, -1))
    energy, roots = blocks.sum((-2, -1)), blocks.sqrt().floor().sum((-2, -1))
    return 5 * (energy + 1).log2() - 6 * (roots + 1).log2(), energy


def classes(x, chance):
    """Of the windows of each crop, N x rows x columns: those with the most edges get both branches.

    `chance`: N x 2 of 0 to 1, how many those are, and whether of the others some are plain.
    """
    edges, energy = details(x)
    above = edges.flatten(1).argsort(descending=True).argsort().view(edges.shape)  # windows with more edges
    many = (FEWEST + (1 - FEWEST) * chance[:, :1, None]) * edges[0].numel()
    plain = (energy < PLAIN_BELOW) & (chance[:, 1:, None] < 0.5)
    maps = torch.where(plain, PLAIN, torch.full_like(above, STRUCTURE))
    return torch.where(above < many, FULL, maps).to(torch.uint8)


def routes(maps):
    """The same for `TorchOps`."""
    return {name: (maps >= least).unsqueeze(1) for name, least in LEAST.items()}
