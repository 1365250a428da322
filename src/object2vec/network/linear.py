"""The dense layer of the head."""

from __future__ import annotations

from torch import Tensor, nn

from object2vec.kernels.base import Kernel


class Linear(nn.Linear):
    """A layer of weight (O, I), bias (O,) and an activation.

    Parameters
    ----------
    inputs, outputs : int
        I and O.
    kernel : Kernel
        What computes it.
    activation : {"linear", "tanh", "relu"}
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: Kernel, activation: str = "linear"
    ) -> None:
        super().__init__(inputs, outputs)
        self.kernel = kernel
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (N, O) of inputs (N, I)."""
        return self.kernel.linear(x, self.weight, self.bias, self.activation)
