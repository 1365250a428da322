"""Exact ranks of what is right among all candidates, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from object2vec.objectives.base import RankedChannel

Rows = NDArray[np.integer[Any]]

_BLOCK = 1 << 22  # similarities at once
_AT_RECALL, _AT_NDCG = 20, 10


def ranks_of_right(channel: RankedChannel) -> NDArray[np.int64]:
    """Return the rank of each right candidate among all that are not known, (m,).

    It is 1 plus the number of others that are as similar or more: of equals it is the last.
    """
    offsets, right = channel.right
    found = np.empty(len(right), np.int64)
    size = max(1, _BLOCK // max(1, len(channel.candidates)))
    for start in range(0, len(channel.queries), size):
        rows = slice(start, min(start + size, len(channel.queries)))
        block = channel.product(channel.queries[rows], channel.candidates)  # (m, N)
        if channel.known is not None:
            owners, columns = _pairs(channel.known, rows)
            block[torch.from_numpy(owners), torch.from_numpy(columns)] = -torch.inf
        owners, columns = _pairs(channel.right, rows)
        first = offsets[rows.start]
        for part in _chunks(len(owners), size):
            similar = block
            if not np.array_equal(owners[part], np.arange(len(block))):
                at = torch.from_numpy(owners[part]).to(block.device)
                similar = block.index_select(0, at)  # (p, N)
            own = similar.gather(
                1, torch.from_numpy(columns[part, None]).to(block.device)
            )  # (p, 1)
            counts = (similar >= own).sum(1)  # (p,) itself among them
            found[first + part.start : first + part.stop] = counts.cpu().numpy()
    return found


def ranking_metrics(offsets: Rows, ranks: Rows) -> dict[str, float]:
    """Return hits@1, recall@20, the mean reciprocal rank and NDCG@10, means over queries.

    Parameters
    ----------
    offsets : int64 array (n + 1,)
        Query i has the ranks from ``offsets[i]`` to before ``offsets[i + 1]``, at least one.
    ranks : int64 array (m,)
        Of each right candidate, from 1.

    Examples
    --------
    >>> ranking_metrics(np.array([0, 1, 2]), np.array([1, 2]))["mean_reciprocal_rank"]
    0.75
    """
    starts, counts = offsets[:-1], np.diff(offsets)  # (n,), (n,)
    best = np.minimum.reduceat(ranks, starts)  # (n,)
    recall = np.add.reduceat(ranks <= _AT_RECALL, starts, dtype=np.int64) / counts  # (n,)
    gains = np.where(ranks <= _AT_NDCG, 1 / np.log2(1 + ranks), 0.0)  # (m,)
    ideal = np.cumsum(1 / np.log2(np.arange(_AT_NDCG) + 2))  # (10,) of so many right ones
    ndcg = np.add.reduceat(gains, starts) / ideal[np.minimum(counts, _AT_NDCG) - 1]  # (n,)
    return {
        "hits@1": float(np.mean(best <= 1)),
        f"recall@{_AT_RECALL}": float(recall.mean()),
        "mean_reciprocal_rank": float(np.mean(1 / best)),
        f"ndcg@{_AT_NDCG}": float(ndcg.mean()),
    }


def _pairs(lists: tuple[Rows, Rows], rows: slice) -> tuple[Rows, Rows]:
    """Return the pairs of some lists: the number of each one's list, from 0, and its entry."""
    offsets, entries = lists
    counts = np.diff(offsets[rows.start : rows.stop + 1])  # (m,)
    owners = np.repeat(np.arange(len(counts)), counts)
    return owners, entries[offsets[rows.start] : offsets[rows.stop]]


def _chunks(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
