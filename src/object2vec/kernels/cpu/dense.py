"""The dense layer on a CPU: products by oneDNN, and one compiled pass over each gradient.

PyTorch multiplies float32 matrices with MKL, which leaves half of the vector unit of other makers'
CPUs idle; oneDNN, which comes with PyTorch too, does not, and it applies bias and activation to a
product while that is in the cache. Its product takes any second factor, but a transposed first one
only as a copy, which PyTorch makes on one thread: that copy is made here, in the pass that takes
the gradient through the activation and sums the bias' share. benchmarks/LOG.md has the figures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from object2vec.kernels.cpu import lock
from object2vec.kernels.cpu.transpose import transpose_rows
from object2vec.kernels.reference import linear

# What PyTorch's own compiler calls for a linear layer: x @ weight.T + bias by oneDNN.
_onednn: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
_ACTIVATIONS = {"linear": 0, "tanh": 1, "relu": 2}
_STRIP = 64  # rows of a gradient that one thread takes at a time


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
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        outputs = _product(x, weight, bias, activation)  # (N, O)
        ctx.save_for_backward(x, weight, outputs)
        ctx.activation = activation
        return outputs

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        x, weight, outputs = ctx.saved_tensors
        to_x, to_weight, to_bias, _ = ctx.needs_input_grad
        passed, turned, sums = _passed(gradient, outputs, ctx.activation)
        return (
            _product(passed, weight.T) if to_x else None,  # (N, I)
            _product(turned, x.T) if to_weight else None,  # (O, I)
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


def _passed(gradient: Tensor, outputs: Tensor, activation: str) -> tuple[Tensor, Tensor, Tensor]:
    """Take the gradient of a layer's outputs through its activation.

    Returns
    -------
    passed : Tensor of shape (N, O)
        That of ``x @ weight.T + bias``.
    turned : Tensor of shape (O, N)
        The same, transposed.
    sums : Tensor of shape (O,)
        Its sum over the rows.
    """
    gradient = gradient.contiguous()  # (N, O)
    n_rows, width = gradient.shape
    passed = gradient if activation == "linear" else torch.empty_like(gradient)  # (N, O)
    turned = gradient.new_empty(width, n_rows)  # (O, N)
    sums = gradient.new_zeros(-(-n_rows // _STRIP), width)  # (strips, O)
    arrays = (tensor.numpy() for tensor in (gradient, outputs, passed, turned, sums))
    with lock.compiled:
        _pass(_ACTIVATIONS[activation], *arrays)
    return passed, turned, sums.sum(0)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _pass(activation, gradient, outputs, passed, turned, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n_rows, width = gradient.shape
    for strip in prange(len(sums)):
        start, stop = strip * _STRIP, min((strip + 1) * _STRIP, n_rows)
        for i in range(start, stop):
            for j in range(width):
                value = gradient[i, j]
                if activation == 1:
                    value *= np.float32(1.0) - outputs[i, j] * outputs[i, j]
                elif activation == 2 and outputs[i, j] <= 0.0:  # not where it is no number
                    value = np.float32(0.0)
                passed[i, j] = value
                sums[strip, j] += value
        transpose_rows(passed, start, stop, turned)
