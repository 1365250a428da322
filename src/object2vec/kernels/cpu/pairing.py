"""Comparing embeddings that negatives share, on a CPU: one pass there, one pass back.

With r negatives for each positive a batch has 1 + r records for each embedding. Gathering the
embeddings of each record, comparing them and summing the gradients of both back writes eight
matrices as long as the records; here it is one each way, and the embeddings stay in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from object2vec.config.kinds import COMPARATORS
from object2vec.kernels.cpu.loops.comparator import CODES, compare, records_of, share


def compare_pairs(
    a: Tensor, b: Tensor, rows0: Tensor, rows1: Tensor, comparator_list: Sequence[str]
) -> Tensor:
    """Return what the comparator makes of pairs; see `object2vec.kernels.base.Kernel.compare`."""
    compared: Tensor = _Compare.apply(a, b, rows0, rows1, comparator_list)  # type: ignore[no-untyped-call]
    return compared


class _Compare(torch.autograd.Function):
    """The comparator over pairs of rows; gradients are summed in the order of the records."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, rows0: Tensor, rows1: Tensor, comparator_list: Sequence[str]
    ) -> Tensor:
        a, b = a.contiguous(), b.contiguous()  # (P, D), (P, D)
        parts = np.array([CODES[name] for name in comparator_list])
        width = sum(COMPARATORS[name] for name in comparator_list)
        compared = a.new_empty(len(rows0), a.shape[1] * width)  # (B, C)
        ctx.save_for_backward(a, b)
        rows = rows0.numpy(), rows1.numpy()
        ctx.pairing = parts, *rows
        vectors = a.detach().numpy(), b.detach().numpy()
        compare(len(rows0), *vectors, parts, *rows, compared.numpy())
        return compared

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        parts, *rows = ctx.pairing
        shares: list[Tensor | None] = [None, None]
        handed = gradient.contiguous().numpy()  # (B, C)
        for side in (0, 1):
            if not ctx.needs_input_grad[side]:  # the embeddings of a frozen table
                continue
            own, other = ctx.saved_tensors[side], ctx.saved_tensors[1 - side]  # (P, D) both
            starts, following = np.zeros((2, len(own) + 1), np.int64)  # (P + 1,) both
            records = np.empty(len(rows[side]), np.int64)  # (B,)
            records_of(rows[side], starts, following, records)
            arrays = own.numpy(), other.numpy(), handed, starts, records, rows[1 - side]
            shares[side] = sums = torch.empty_like(own)  # (P, D)
            share(len(own), parts, side, *arrays, sums.numpy())
        return *shares, None, None, None
