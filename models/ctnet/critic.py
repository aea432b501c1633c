"""What `-photo` networks learn from beside the distance of pixels: a picture that looks like a photograph.

Two small networks judge, and both are trained here on the same photographs, so that nothing of unknown licence decides:

* the eye, a classifier that tells from 64 x 64 pixels which of the photographs they are from, by the means of its
  activations: to do so it has to see texture. They are the perceptual loss's features (as VGG's are of Johnson et al.,
  2016, arXiv:1603.08155).
* the critic proper, which learns beside the network to tell its pictures from photographs (Ledig et al., 2017,
  arXiv:1609.04802), patch by patch, with the hinge loss and spectral normalisation.
"""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import spectral_norm

from .network import charbonnier
from .soap import Soap

PIXEL, PERCEPTUAL, ADVERSARIAL = 0.5, 0.1, 0.01
EYE_STEPS, EYE_RATE, EYE_BATCH, EYE_SIDE = 6000, 3e-3, 16, 64


def layers(widths, wrap=lambda layer: layer):
    """3x3 convolutions that each halve the picture."""
    pairs = zip((1, *widths[:-1]), widths)
    return nn.ModuleList(wrap(nn.Conv2d(a, b, 3, stride=2, padding=1)) for a, b in pairs)


def activations(layers, x):
    """What each layer makes of what the one before has made."""
    made = []
    for layer in layers:
        x = F.leaky_relu(layer(x), 0.2)
        made.append(x)
    return made


class Eye(nn.Module):
    def __init__(self, photos):
        super().__init__()
        widths = (24, 48, 64, 96)
        self.layers = layers(widths)
        self.name = nn.Linear(sum(widths), photos)

    def features(self, x):
        return activations(self.layers, x)

    def forward(self, x):
        return self.name(torch.cat([found.mean((2, 3)) for found in self.features(x)], 1))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = layers((24, 48, 64), spectral_norm)
        self.verdict = spectral_norm(nn.Conv2d(64, 1, 3, padding=1))

    def forward(self, x):
        return self.verdict(activations(self.layers, x)[-1])


class Critic(nn.Module):
    """Judges the network's pictures, and learns from them."""

    def __init__(self, photos):
        super().__init__()
        self.eye, self.discriminator = Eye(photos), Discriminator()
        self.optimiser = torch.optim.Adam(self.discriminator.parameters(), lr=3e-4, betas=(0.5, 0.99))

    def learn_to_see(self, crops):
        """Trains the eye on what the network learns from; returns the share of the last crops that it named rightly."""
        optimiser = Soap(list(self.eye.parameters()), lr=EYE_RATE)
        right = []
        for step in range(EYE_STEPS):
            optimiser.param_groups[0]["lr"] = EYE_RATE * (1 - step / EYE_STEPS)
            x, names = crops.named(step, EYE_BATCH, EYE_SIDE)
            guess = self.eye(x)
            loss = F.cross_entropy(guess, names)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            right.append(float((guess.argmax(1) == names).float().mean()))
        self.eye.requires_grad_(False)
        return float(np.mean(right[-200:]))

    def losses(self, picture, truth):
        """What is wrong with `picture`, for the network to learn from."""
        with torch.no_grad():
            wanted = self.eye.features(truth)
        seen = self.eye.features(picture)
        perceptual = sum(F.l1_loss(a, b) / (b.abs().mean() + 1e-6) for a, b in zip(seen, wanted)) / len(seen)
        adversarial = -self.discriminator(picture).mean()
        return PIXEL * charbonnier(picture, truth) + PERCEPTUAL * perceptual + ADVERSARIAL * adversarial

    def learn(self, picture, truth):
        """One step towards telling the two apart."""
        made, real = self.discriminator(picture.detach()), self.discriminator(truth)
        loss = F.relu(1 + made).mean() + F.relu(1 - real).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
