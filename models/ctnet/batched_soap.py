"""SOAP (see `soap.py`) for a device that is bound by launches: matrices of one shape are moved together.

A step reads no number on the host, so it can be recorded in a CUDA graph. The bases are turned outside of it, by QR
factorisations on the host's cores while the device goes on.
"""

from concurrent.futures import ThreadPoolExecutor

import torch

BETAS = 0.9, 0.99
EPS = 1e-8
CLIP = 0.5  # the longest gradient
CORES = ThreadPoolExecutor(14)  # of the host, for all optimisers


def matrix(p):
    """Output channels x the rest."""
    return p.reshape(len(p), -1)


class Stack:
    """Parameters of one matrix shape; `value` becomes what they are views of."""

    def __init__(self, parameters, flat=False):
        self.parameters, self.flat = parameters, flat
        self.value = self._gathered([p.detach() for p in parameters])
        rows = self.value.split([p.numel() for p in parameters]) if flat else self.value
        for p, row in zip(parameters, rows):
            p.data = row.view(p.shape)
        self.mean, self.square = torch.zeros_like(self.value), torch.zeros_like(self.value)
        sides = () if flat else self.value.shape[1:]
        self.covariances = [torch.zeros(len(parameters), n, n, device=self.value.device) for n in sides]
        self.bases = [torch.eye(n, device=self.value.device).repeat(len(parameters), 1, 1) for n in sides]

    def _gathered(self, tensors):
        if self.flat:
            return torch.cat([t.reshape(-1) for t in tensors]).float()
        return torch.stack([matrix(t) for t in tensors]).float()

    def gradient(self):
        return self._gathered([torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters])

    def _into(self, x):
        return x if self.flat else self.bases[0].mT @ x @ self.bases[1]

    def _back(self, x):
        return x if self.flat else self.bases[0] @ x @ self.bases[1].mT

    def move(self, g, rate, corrections):
        """Adam's step in the basis; `corrections`: of mean and square for having begun at nought."""
        if not self.flat:
            self.covariances[0].lerp_(g @ g.mT, 1 - BETAS[1])
            self.covariances[1].lerp_(g.mT @ g, 1 - BETAS[1])
        self.mean.lerp_(g, 1 - BETAS[0])
        turned = self._into(g)
        self.square.mul_(BETAS[1]).addcmul_(turned, turned, value=1 - BETAS[1])
        size = (self.square / corrections[1]).sqrt_().add_(EPS)
        self.value.sub_(self._back(self._into(self.mean) / (corrections[0] * size)) * rate)


class BatchedSoap:
    def __init__(self, parameters):
        """Takes over the memory of `parameters`: they become views."""
        device = parameters[0].device
        shapes, small = {}, []
        for p in parameters:
            if p.ndim > 1:
                shapes.setdefault(matrix(p).shape, []).append(p)
            else:
                small.append(p)
        self.stacks = [Stack(ps) for ps in shapes.values()] + ([Stack(small, flat=True)] if small else [])
        self.rate = torch.zeros((), device=device)
        self.steps = torch.zeros((), device=device, dtype=torch.float64)
        self.taken, self.turning = 0, None

    @torch.no_grad()
    def step(self):
        """On the device alone. A gradient that is not finite moves nothing."""
        self.steps += 1
        corrections = [(1 - beta**self.steps).float() for beta in BETAS]
        gradients = [stack.gradient() for stack in self.stacks]
        norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        factor = torch.where(norm.isfinite(), (CLIP / (norm + 1e-6)).clamp(max=1), 0)
        for stack, g in zip(self.stacks, gradients):
            stack.move(torch.nan_to_num(g * factor, 0, 0, 0), self.rate, corrections)

    def after_step(self):
        """On the host: turn the bases at times, often at first."""
        self.taken += 1
        due = self.taken in (1, 3, 6, 10, 15, 20, 30) or self.taken % 40 == 0
        if self.turning and all(future.done() for _, _, futures in self.turning for future in futures):
            self._turned()
        if due and not self.turning:
            self.turning = [
                (stack, side, [CORES.submit(_turned, c, b) for c, b in zip(stack.covariances[side].cpu(), stack.bases[side].cpu())])
                for stack in self.stacks if not stack.flat for side in (0, 1)
            ]  # fmt: skip
            if self.taken <= 30:
                self._turned()

    def _turned(self):
        for stack, side, futures in self.turning:
            stack.bases[side].copy_(torch.stack([future.result() for future in futures]))
        self.turning = None


def _turned(covariance, basis):
    """One orthogonal iteration."""
    return torch.linalg.qr(covariance @ basis).Q
