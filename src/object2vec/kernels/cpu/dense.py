"""The dense layer on a CPU: products by oneDNN, and one compiled pass over each gradient.

PyTorch multiplies float32 matrices with MKL, which leaves half of the vector unit of other makers'
CPUs idle; oneDNN, which comes with PyTorch too, does not, and it applies bias and activation to a
product while that is in the cache. Its product takes any second factor, but a transposed first one
only as a copy, which PyTorch makes on one thread: that copy is made here, in the pass that takes
the gradient through the activation and sums the bias' share. benchmarks/LOG.md has the figures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from object2vec.kernels.cpu.loops.activation import STRIP, take_back
from object2vec.kernels.reference import linear

# What PyTorch's own compiler calls for a linear layer: x @ weight.T + bias by oneDNN.
_onednn: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
_ACTIVATIONS = {"linear": 0, "tanh": 1, "relu": 2}


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    """Return ``activation(x @ weight.T + bias)``; see `object2vec.kernels.base.Kernel.linear`."""
    if not _suits_onednn(x):
        return linear(x, weight, bias, activation)
    outputs: Tensor = _Linear.apply(x, weight, bias, activation)  # type: ignore[no-untyped-call]
    return outputs


def _suits_onednn(x: Tensor) -> bool:
    """Return whether oneDNN is there and takes `x`; autocast goes there on its own."""
    return (
        _onednn is not None
        and x.dtype == torch.float32
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and not torch.is_autocast_enabled("cpu")
    )


class _Linear(torch.autograd.Function):
    """A linear layer all three products of which are oneDNN's."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, activation: str
    ) -> Tensor:
        outputs = _product(x, weight, bias, activation)  # (N, O)
        ctx.save_for_backward(x, weight, outputs)
        ctx.activation = activation
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, outputs = ctx.saved_tensors
        to_x, to_weight, to_bias, _ = ctx.needs_input_grad
        before, transposed, sums = _before_activation(gradient, outputs, ctx.activation)
        return (
            _product(before, weight.T) if to_x else None,  # (N, I)
            _product(transposed, x.T) if to_weight else None,  # (O, I)
            sums if to_bias else None,  # (O,)
            None,
        )


def _product(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "linear"
) -> Tensor:
    """Return ``activation(x @ weight.T + bias)``."""
    name = "none" if activation == "linear" else activation  # as oneDNN calls it
    outputs: Tensor = _onednn(x, weight, bias, name, [], "")
    return outputs


def _before_activation(
    gradient: Tensor, outputs: Tensor, activation: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the gradient of a layer's outputs through its activation.

    Returns
    -------
    before : Tensor of shape (N, O)
        The pre-activation gradient: that of ``x @ weight.T + bias``.
    transposed : Tensor of shape (O, N)
        The same, transposed.
    sums : Tensor of shape (O,)
        Its sum over the rows.
    """
    gradient = gradient.contiguous()  # (N, O)
    n_rows, width = gradient.shape
    before = gradient if activation == "linear" else torch.empty_like(gradient)  # (N, O)
    transposed = gradient.new_empty(width, n_rows)  # (O, N)
    sums = gradient.new_zeros(-(-n_rows // STRIP), width)  # (strips, O)
    arrays = (tensor.numpy() for tensor in (gradient, outputs, before, transposed, sums))
    take_back(len(sums), _ACTIVATIONS[activation], *arrays)
    return before, transposed, sums.sum(0)
