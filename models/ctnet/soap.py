"""SOAP: Adam in the eigenbasis of the gradient's covariance (Vyas et al., 2024, arXiv:2409.11321).

The network's matrices are so small that the basis costs a tenth of a step, and the network gets further in the
same number of steps than with Adam.
"""

import torch


class Soap(torch.optim.Optimizer):
    LARGEST = 256  # a side longer than this keeps its own basis
    EVERY = 10  # steps between two turns of the basis

    def __init__(self, groups, lr, betas=(0.9, 0.99), eps=1e-8):
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps})

    @staticmethod
    def _matrix(tensor):
        """Output channels by the rest; vectors and scalars as one row."""
        return tensor.flatten(1) if tensor.ndim > 1 else tensor.reshape(1, -1)

    def _start(self, p, g):
        state = self.state[p]
        state["step"] = 0
        state["mean"], state["square"] = torch.zeros_like(g), torch.zeros_like(g)
        for side, n in zip("lr", g.shape):
            if p.ndim > 1 and n <= self.LARGEST:
                state[f"{side}_covariance"], state[f"{side}_basis"] = torch.zeros(n, n), torch.eye(n)

    def _turn(self, state):
        """The covariance's eigenvectors, by one orthogonal iteration now and then."""
        for side in "lr":
            if f"{side}_basis" in state and state["step"] % self.EVERY == 1:
                state[f"{side}_basis"] = torch.linalg.qr(state[f"{side}_covariance"] @ state[f"{side}_basis"]).Q

    @staticmethod
    def _follow(state, g, decay):
        """Let the covariances follow the gradient."""
        for side, product in (("l", lambda: g @ g.T), ("r", lambda: g.T @ g)):
            if f"{side}_covariance" in state:
                state[f"{side}_covariance"].lerp_(product(), 1 - decay)

    @staticmethod
    def _into(state, x):
        x = state["l_basis"].T @ x if "l_basis" in state else x
        return x @ state["r_basis"] if "r_basis" in state else x

    @staticmethod
    def _back(state, x):
        x = state["l_basis"] @ x if "l_basis" in state else x
        return x @ state["r_basis"].T if "r_basis" in state else x

    def _move(self, p, g, state, group):
        """Adam's step in the basis."""
        b1, b2 = group["betas"]
        state["mean"].lerp_(g, 1 - b1)
        turned = self._into(state, g)
        state["square"].mul_(b2).addcmul_(turned, turned, value=1 - b2)
        size = (state["square"] / (1 - b2 ** state["step"])).sqrt_().add_(group["eps"])
        move = self._into(state, state["mean"]) / ((1 - b1 ** state["step"]) * size)
        p.add_(self._back(state, move).view_as(p), alpha=-group["lr"])

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = self._matrix(p.grad)
                if p not in self.state:
                    self._start(p, g)
                state = self.state[p]
                state["step"] += 1
                self._follow(state, g, group["betas"][1])
                self._turn(state)
                self._move(p, g, state, group)


class NativeSoap(Soap):
    """The same with its products in compiled code (`compiled/soap.cpp`); parameters and gradients are contiguous."""

    def __init__(self, groups, lr, library, **options):
        super().__init__(groups, lr, **options)
        self.library = library

    @staticmethod
    def _pointers(state, kind):
        return [state[f"{s}_{kind}"].data_ptr() if f"{s}_{kind}" in state else None for s in "lr"]

    def _follow(self, state, g, decay):
        left, right = self._pointers(state, "covariance")
        self.library.soap_follow(g.data_ptr(), *g.shape, decay, left, right)

    def _turn(self, state):
        super()._turn(state)
        if state["step"] % self.EVERY == 1:
            for side in "lr":  # a basis comes out of its factorisation column by column
                if f"{side}_basis" in state:
                    state[f"{side}_basis"] = state[f"{side}_basis"].contiguous()

    def _move(self, p, g, state, group):
        b1, b2 = group["betas"]
        self.library.soap_move(
            p.data_ptr(), g.data_ptr(), *g.shape, *self._pointers(state, "basis"), state["mean"].data_ptr(),
            state["square"].data_ptr(), group["lr"], b1, b2, 1 - b1 ** state["step"], 1 - b2 ** state["step"], group["eps"],
        )  # fmt: skip
