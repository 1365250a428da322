"""The matrix product of the dense layers, by the library that is the fastest for it.

PyTorch multiplies float32 matrices with MKL, which leaves half of the vector unit of other makers'
CPUs idle; oneDNN, which comes with PyTorch too, does not. benchmarks/LOG.md has the figures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# What PyTorch's own compiler calls for a linear layer: x @ weight.T + bias by oneDNN.
_onednn: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x @ weight.T + bias``, differentiable in all three.

    Parameters
    ----------
    x : Tensor of shape (N, I)
    weight : Tensor of shape (O, I)
    bias : Tensor of shape (O,), optional

    Returns
    -------
    Tensor of shape (N, O)
        float32, or bfloat16 where autocast is on.
    """
    if not _suits_onednn(x):
        return nn.functional.linear(x, weight, bias)
    product: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return product


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
    """A layer of weight (O, I) and bias (O,)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (N, O) of inputs (N, I)."""
        return linear(x, self.weight, self.bias)


class _Linear(torch.autograd.Function):
    """A linear layer all three products of which are oneDNN's."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        return (
            _product(gradient, weight.T) if to_x else None,  # (N, I)
            _product(gradient.T, x.T) if to_weight else None,  # (O, I)
            gradient.sum(0) if to_bias else None,  # (O,)
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x @ weight.T + bias``."""
    product: Tensor = _onednn(x, weight, bias, "none", [], "")
    return product
