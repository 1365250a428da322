"""The head: hidden layers and the output layer on top of the comparator."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from object2vec.config import Config
from object2vec.devices import full_precision
from object2vec.kernels.base import Kernel
from object2vec.network.dropout import Dropout
from object2vec.network.linear import Linear
from object2vec.objectives.ranking import MAX_SCALE


class Total(nn.Module):
    """A head without weights: the sum of the comparator's vector."""

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (B, 1) of comparator vectors (B, C)."""
        return z.sum(dim=1, keepdim=True)


class ScaledTotal(Total):
    """The sum of the comparator's vector, and beside it the scale that a softmax over it learns.

    Parameters
    ----------
    start : float
        The scale before training.
    is_learned : bool
        Whether it changes in training; else its gradient is 0.
    """

    def __init__(self, start: float, is_learned: bool = True) -> None:
        super().__init__()
        self.start, self.is_learned = start, is_learned
        # Its logarithm, as a difference from that of the start: 0 in the beginning, as a bias is.
        self.log_scale = nn.Parameter(torch.zeros(1))

    def scale(self) -> Tensor:
        """Return the scale, at most `MAX_SCALE`, (1,)."""
        log_scale = self.log_scale if self.is_learned else self.log_scale * 0
        return (self.start * log_scale.exp()).clamp(max=MAX_SCALE)


class Odds(ScaledTotal):
    """Log odds: the scaled similarity, and the last number of in1's vector as its bias."""

    def query(self, a: Tensor) -> Tensor:
        """Return what the dot product with in1's vectors is the log odds of, (P, D)."""
        one = torch.zeros_like(a[:1])  # (1, D)
        one[:, -1] = 1
        return a * self.scale() + one


class Head(nn.Module):
    """`mlp_layers` hidden layers of width H, then the output layer.

    Each hidden layer is followed by its activation and dropout; with ``mlp_activation=linear`` by
    neither, as AWS's graph shows.

    Parameters
    ----------
    config : Config
    width : int
        Numbers for each pair, K.
    kernel : Kernel
    """

    def __init__(self, config: Config, width: int, kernel: Kernel) -> None:
        super().__init__()
        widths = [config.comparator_width] + config.mlp_layers * [config.mlp_dim]
        self.hidden = nn.ModuleList(
            Linear(wide, narrow, kernel, config.mlp_activation) for wide, narrow in pairwise(widths)
        )
        self.output = Linear(widths[-1], width, kernel)
        self.is_linear = config.mlp_activation == "linear"
        self.dropout = Dropout(config.dropout)

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (B, K) of comparator vectors (B, C)."""
        for layer in self.hidden:
            z = layer(z)  # (B, H)
            if not self.is_linear:
                z = self.dropout(z)  # (B, H)
        logits: Tensor = self.output(z)  # (B, K)
        return logits

    @torch.no_grad()
    def collapsed(self, most: int) -> nn.Module:
        """Return one layer in place of several without activations: their product.

        Parameters
        ----------
        most : int
            Outputs K up to which that is worth it: the product costs as much as K records.

        Returns
        -------
        torch.nn.Module
            The head itself if it has activations, or is no larger than the product.
        """
        weight: Tensor = self.output.weight  # (K, H)
        bias: Tensor = self.output.bias  # (K,)
        if not (self.is_linear and len(self.hidden) and len(weight) <= min(most, weight.shape[1])):
            return self
        with torch.autocast(weight.device.type, enabled=False), full_precision():
            for layer in reversed(self.hidden):
                assert isinstance(layer, Linear)
                bias = bias + weight @ layer.bias  # (K,)
                weight = weight @ layer.weight  # (K, H) or, at last, (K, C)
        with torch.device("meta"):
            product = nn.Linear(weight.shape[1], len(weight))  # so narrow, PyTorch's is the fastest
        product.weight, product.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
        return product
