"""The dense layers: matrix product, bias and activation by the library that is fastest for them.

PyTorch multiplies float32 matrices with MKL, which leaves half of the vector unit of other makers'
CPUs idle; oneDNN, which comes with PyTorch too, does not, and it applies bias and activation to a
product while that is in the cache. benchmarks/LOG.md has the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# What PyTorch's own compiler calls for a linear layer: x @ weight.T + bias by oneDNN.
_onednn: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "tanh": torch.tanh,
    "relu": torch.relu,
}


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "linear"
) -> Tensor:
    """Return ``activation(x @ weight.T + bias)``, differentiable in all three.

    Parameters
    ----------
    x : Tensor of shape (N, I)
    weight : Tensor of shape (O, I)
    bias : Tensor of shape (O,), optional
    activation : {"linear", "tanh", "relu"}

    Returns
    -------
    Tensor of shape (N, O)
        float32, or bfloat16 where autocast is on.
    """
    if not _suits_onednn(x):
        return _ACTIVATIONS[activation](nn.functional.linear(x, weight, bias))
    outputs: Tensor = _Linear.apply(x, weight, bias, activation)  # type: ignore[no-untyped-call]
    return outputs


def _suits_onednn(x: Tensor) -> bool:
    """Return whether oneDNN is there and takes `x`; autocast goes there on its own."""
    return (
        _onednn is not None
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and not torch.is_autocast_enabled("cpu")
    )


class Linear(nn.Linear):
    """A layer of weight (O, I), bias (O,) and an activation.

    Parameters
    ----------
    inputs, outputs : int
        I and O.
    activation : {"linear", "tanh", "relu"}
    """

    def __init__(self, inputs: int, outputs: int, activation: str = "linear") -> None:
        super().__init__(inputs, outputs)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (N, O) of inputs (N, I)."""
        return linear(x, self.weight, self.bias, self.activation)


class _Linear(torch.autograd.Function):
    """A linear layer all three products of which are oneDNN's."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        outputs = _product(x, weight, bias, activation)
        ctx.save_for_backward(x, weight, outputs if activation != "linear" else None)
        ctx.activation = activation
        return outputs

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        x, weight, outputs = ctx.saved_tensors
        to_x, to_weight, to_bias, _ = ctx.needs_input_grad
        if ctx.activation == "relu":
            gradient = torch.ops.aten.threshold_backward(gradient, outputs, 0)  # (N, O)
        elif ctx.activation == "tanh":
            gradient = torch.ops.aten.tanh_backward(gradient, outputs)  # (N, O)
        return (
            _product(gradient, weight.T) if to_x else None,  # (N, I)
            _product(gradient.T, x.T) if to_weight else None,  # (O, I)
            gradient.sum(0) if to_bias else None,  # (O,)
            None,
        )


def _product(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "linear"
) -> Tensor:
    """Return ``activation(x @ weight.T + bias)``."""
    name = "none" if activation == "linear" else activation  # as oneDNN calls it
    outputs: Tensor = _onednn(x, weight, bias, name, [], "")
    return outputs
