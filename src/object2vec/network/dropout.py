"""Dropout that draws from a generator of ours, never from global state."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Inverted dropout: zero each number with probability p and scale the rest by 1 / (1 - p).

    Parameters
    ----------
    p : float
        Probability in [0, 1].

    Notes
    -----
    `generator` is set by the training loop before each step, so that a step's mask depends on the
    seed and the number of the step alone and a resumed run draws the same masks.
    """

    generator: torch.Generator | None = None

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with numbers dropped while training, else `x` itself."""
        if not self.training or self.p == 0.0:
            return x
        keep = torch.empty_like(x).bernoulli_(1.0 - self.p, generator=self.generator)  # shape of x
        return x * keep / (1.0 - self.p) if self.p < 1.0 else x * keep
