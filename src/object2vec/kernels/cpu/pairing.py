"""Comparing encodings that negatives share, on a CPU: one pass there, one pass back.

With r negatives for each positive a batch has 1 + r records for each encoding. Gathering the
encodings of each record, comparing them and summing the gradients of both back writes eight
matrices as long as the records; here it is one each way, and the encodings stay in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from object2vec.kernels.cpu import lock

_CODES = {"hadamard": 0, "concat": 1, "abs_diff": 2}
_WIDTHS = {"hadamard": 1, "concat": 2, "abs_diff": 1}  # in units of D


def compare_pairs(
    a: Tensor, b: Tensor, rows0: Tensor, rows1: Tensor, comparator_list: Sequence[str]
) -> Tensor:
    """Return what the comparator makes of pairs; see `object2vec.kernels.base.Kernel.compare`."""
    compared: Tensor = _Compare.apply(a, b, rows0, rows1, comparator_list)  # type: ignore[no-untyped-call]
    return compared


class _Compare(torch.autograd.Function):
    """The comparator over pairs of rows; gradients are summed in the order of the records."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx,  # noqa: ANN001
        a: Tensor,
        b: Tensor,
        rows0: Tensor,
        rows1: Tensor,
        comparator_list: Sequence[str],
    ) -> Tensor:
        a, b = a.contiguous(), b.contiguous()  # (P, D), (P, D)
        parts = np.array([_CODES[name] for name in comparator_list])
        width = a.shape[1] * sum(_WIDTHS[name] for name in comparator_list)
        compared = a.new_empty(len(rows0), width)  # (B, C)
        ctx.save_for_backward(a, b)
        rows = rows0.numpy(), rows1.numpy()
        ctx.pairing = parts, *rows
        with lock.compiled:
            _compare(a.detach().numpy(), b.detach().numpy(), parts, *rows, compared.numpy())
        return compared

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        parts, *rows = ctx.pairing
        shares: list[Tensor | None] = [None, None]
        handed = gradient.contiguous().numpy()  # (B, C)
        for side in (0, 1):
            if not ctx.needs_input_grad[side]:  # the encodings of a frozen table
                continue
            own, other = ctx.saved_tensors[side], ctx.saved_tensors[1 - side]  # (P, D) both
            starts, records = _records_of(rows[side], len(own))
            share = torch.empty_like(own)  # (P, D)
            with lock.compiled:
                _share(
                    parts,
                    side,
                    own.numpy(),
                    other.numpy(),
                    handed,
                    starts,
                    records,
                    rows[1 - side],
                    share.numpy(),
                )
            shares[side] = share
        return *shares, None, None, None


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _compare(a, b, parts, rows0, rows1, compared):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    width = a.shape[1]
    for record in prange(len(rows0)):
        i, j, first = rows0[record], rows1[record], 0
        for part in parts:
            if part == 0:
                for e in range(width):
                    compared[record, first + e] = a[i, e] * b[j, e]
            elif part == 1:
                for e in range(width):
                    compared[record, first + e] = a[i, e]
                first += width
                for e in range(width):
                    compared[record, first + e] = b[j, e]
            else:
                for e in range(width):
                    compared[record, first + e] = abs(a[i, e] - b[j, e])
            first += width


@njit(nogil=True, cache=True, error_model="numpy")
def _records_of(rows, n_rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the records of each row, in their order: ``records[starts[i]:starts[i + 1]]``."""
    starts = np.zeros(n_rows + 1, np.int64)
    for row in rows:
        starts[row + 1] += 1
    for i in range(n_rows):
        starts[i + 1] += starts[i]
    records, place = np.empty(len(rows), np.int64), starts.copy()
    for record in range(len(rows)):
        row = rows[record]
        records[place[row]] = record
        place[row] += 1
    return starts, records


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _share(parts, side, own, other, gradient, starts, records, partners, shares):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sum what each row of one side gets from its records."""
    width = own.shape[1]
    for i in prange(len(shares)):
        for e in range(width):
            shares[i, e] = 0.0
        for place in range(starts[i], starts[i + 1]):
            record = records[place]
            j, first = np.int64(partners[record]), 0
            for part in parts:
                if part == 0:
                    for e in range(width):
                        shares[i, e] += gradient[record, first + e] * other[j, e]
                elif part == 1:
                    here = first + side * width
                    for e in range(width):
                        shares[i, e] += gradient[record, here + e]
                    first += width
                else:
                    for e in range(width):
                        difference = own[i, e] - other[j, e]
                        sign = np.float32(difference > 0.0) - np.float32(difference < 0.0)
                        shares[i, e] += gradient[record, first + e] * sign
                first += width
