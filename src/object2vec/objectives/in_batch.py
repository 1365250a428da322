"""The softmax over the similarities of a batch, in blocks of rows.

The similarities of B records with Q candidates are B x Q numbers. They are computed a block of rows
at a time and not kept: the backward pass computes each block again, so memory grows with the
embeddings, not with the square of the batch. Products are the kernel's, and sums run in the order
of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from object2vec.objectives.base import Rivals

_BLOCK = 1 << 20  # similarities that are computed at once


def in_batch_losses(
    a: Tensor,
    b: Tensor,
    rivals: Rivals,
    *,
    directions: tuple[bool, bool],
    smoothing: float,
) -> tuple[Tensor, Tensor]:
    """Return the loss of each record, (B,), and whether it finds its partner first, (B,) bool.

    Parameters
    ----------
    a, b : Tensor of shape (B, D), (Q, D)
        Embeddings as they are compared. Row i of `a` belongs to row i of `b`; what follows in `b`
        are negatives of all.
    rivals : Rivals
    directions : pair of bool
        Whether a row of `a` looks for its partner in `b`, and one of `b` in `a`; the loss is the
        mean of those that do.
    smoothing : float
        Share of the target that is spread over all candidates.
    """
    losses, hits = _InBatch.apply(  # type: ignore[no-untyped-call]
        a, b, rivals.scale, rivals, directions, smoothing
    )
    return losses, hits


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Blocks of similarities, scaled, those that do not count at -inf."""

    a: Tensor
    b: Tensor
    scale: Tensor
    rivals: Rivals

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the rows of each block, and its similarities (m, Q)."""
        size = max(1, _BLOCK // max(1, len(self.b)))
        excluded = self.rivals.excluded
        for start in range(0, len(self.a), size):
            rows = slice(start, min(start + size, len(self.a)))
            block = self.rivals.product(self.a[rows], self.b).mul_(self.scale)  # (m, Q)
            if excluded is not None:
                first, last = np.searchsorted(excluded[0], [rows.start, rows.stop])
                at = [torch.from_numpy(each[first:last]).to(block.device) for each in excluded]
                block[at[0] - rows.start, at[1]] = -torch.inf
            yield rows, block

    def corrected(self, rows: slice, block: Tensor) -> Tensor:
        """Return a block less the logarithm of how often a negative is in a batch, (m, Q)."""
        if self.rivals.log_q is None:
            return block
        log_q = torch.from_numpy(self.rivals.log_q).to(block.device)  # (Q,)
        corrected = block - log_q
        own = _diagonal(rows, block)
        corrected[own] = block[own]
        return corrected


class _Columns:
    """The softmax of each column, block after block of its rows.

    Parameters
    ----------
    count : int
        Columns, C.
    like : Tensor
        Of the device.
    """

    def __init__(self, count: int, like: Tensor) -> None:
        self._largest = like.new_full((count,), -torch.inf)
        self._sum = like.new_zeros(count)

    def add(self, block: Tensor) -> None:
        """Take the next rows of the columns, (m, C)."""
        largest = torch.maximum(self._largest, block.amax(0))  # (C,)
        # From a column that has no candidate so far nothing is to be subtracted: -inf less -inf.
        shift = largest.masked_fill(largest == -torch.inf, 0.0)  # (C,)
        self._sum.mul_((self._largest - shift).exp_()).add_((block - shift).exp_().sum(0))
        self._largest = largest

    def log_sum(self) -> Tensor:
        """Return the logarithm of the sum of each column's exponentials, (C,)."""
        return self._sum.log() + self._largest


class _Means:
    """The mean of the candidates of each row or column, which label smoothing needs.

    Parameters
    ----------
    count : int
        Rows or columns.
    like : Tensor
        Of the device.
    """

    def __init__(self, count: int, like: Tensor) -> None:
        self.counts, self._sums = like.new_zeros(count), like.new_zeros(count)

    def add(self, rows: slice, block: Tensor, axis: int) -> None:
        """Take what a block says of some rows or columns."""
        counted = block > -torch.inf
        self.counts[rows] += counted.sum(axis)
        self._sums[rows] += block.masked_fill(~counted, 0.0).sum(axis)

    def mixed(self, own: Tensor, smoothing: float) -> Tensor:
        """Return what a loss is lowered by: the right one, and a share of the mean."""
        if not smoothing:
            return own
        return (1 - smoothing) * own + smoothing * self._sums / self.counts


class _InBatch(torch.autograd.Function):
    """The losses; the backward pass computes each block of similarities again."""

    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        b: Tensor,
        scale: Tensor,
        rivals: Rivals,
        directions: tuple[bool, bool],
        smoothing: float,
    ) -> tuple[Tensor, Tensor]:
        blocks, n = _Blocks(a, b, scale, rivals), len(a)
        own, row_sums = a.new_empty(n), a.new_empty(n)
        hits = a.new_empty(n, dtype=torch.bool)
        columns, means = _Columns(n, a), (_Means(n, a), _Means(n, a))
        for rows, block in blocks:
            own[rows] = block[_diagonal(rows, a)]
            hits[rows] = block.amax(1) <= own[rows]
            corrected, square = blocks.corrected(rows, block), block[:, :n]
            row_sums[rows] = corrected.logsumexp(1)
            if directions[1]:
                columns.add(square)
            if smoothing:
                means[0].add(rows, corrected, 1)
                means[1].add(slice(None), square, 0)
        sums = row_sums, columns.log_sum()
        losses = torch.zeros_like(own)
        for is_used, total, mean in zip(directions, sums, means, strict=True):
            if is_used:
                losses += (total - mean.mixed(own, smoothing)) / sum(directions)
        ctx.save_for_backward(a, b, scale, *sums, *(mean.counts for mean in means))
        ctx.settings = rivals, directions, smoothing
        ctx.mark_non_differentiable(hits)
        return losses, hits

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        a, b, scale, row_sums, column_sums, *counts = ctx.saved_tensors
        rivals, directions, smoothing = ctx.settings
        blocks, n = _Blocks(a, b, scale, rivals), len(a)
        share = gradient / sum(directions)  # (B,)
        to_a, to_b = torch.empty_like(a), b.new_zeros(b.shape[1], len(b))  # (B, D), (D, Q)
        for rows, block in blocks:
            total = torch.zeros_like(block)  # (m, Q)
            for axis, (part, sums, each) in enumerate(
                (
                    (blocks.corrected(rows, block), row_sums[rows, None], share[rows, None]),
                    (block[:, :n], column_sums, share),
                )
            ):
                if not directions[axis]:
                    continue
                goal = total if axis == 0 else total[:, :n]
                goal += (part - sums).exp_().mul_(each)
                if smoothing:
                    count = counts[axis] if axis else counts[axis][rows, None]
                    goal -= (part > -torch.inf) * (smoothing * each / count)
            total[_diagonal(rows, a)] -= share[rows] * (sum(directions) * (1 - smoothing))
            to_a[rows] = rivals.product(total, b.T)
            to_b += rivals.product(a[rows].T.contiguous(), total.T)
        # By NumPy: PyTorch adds long vectors in an order that depends on the number of threads.
        to_scale = scale.new_tensor((to_a * a).sum(1).cpu().numpy().sum()).reshape(scale.shape)
        return to_a * scale, to_b.T * scale, to_scale, None, None, None


def _diagonal(rows: slice, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return where a block of these rows holds each one's own partner."""
    own = torch.arange(rows.start, rows.stop, device=like.device)
    return own - rows.start, own
