"""The maximum of each segment, which compiled kernels find in their own ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Finder = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def segment_max(find: Finder, x: Tensor, offsets: Tensor) -> Tensor:
    """Return the maximum over the rows of each segment, (B, F), differentiable in `x`.

    Parameters
    ----------
    find : callable
        Returns the maxima of `x` and the rows where they were found, of equal ones the first, both
        (B, F).
    x, offsets : Tensor
        As `object2vec.kernels.base.Kernel.segment_max` has them.
    """
    maxima: Tensor = _SegmentMax.apply(find, x, offsets)  # type: ignore[no-untyped-call]
    return maxima


class _SegmentMax(torch.autograd.Function):
    """The gradient of a maximum goes to the row where it was found."""

    @staticmethod
    def forward(ctx: Any, find: Finder, x: Tensor, offsets: Tensor) -> Tensor:
        maxima, ctx.rows = find(x.detach().contiguous(), offsets)  # (B, F) both
        ctx.n_rows = len(x)
        return maxima

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        shares = gradient.new_zeros(ctx.n_rows, gradient.shape[1])  # (n, F)
        # Segments do not overlap, so no two maxima of a column share a row.
        return None, shares.scatter_(0, ctx.rows.long(), gradient), None
