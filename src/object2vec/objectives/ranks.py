"""Exact ranks of what is right among all candidates, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from object2vec.evaluation.retrieval import rank_measure
from object2vec.objectives.base import RankedChannel

Rows = NDArray[np.integer[Any]]

_BLOCK = 1 << 22  # similarities at once
_AT = (1, 10, 20)
_METRICS = ("hits@1", "recall@20", "mean_reciprocal_rank", "ndcg@10")


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
    counts = np.diff(offsets)  # (n,)
    values = rank_measure(ranks, np.repeat(np.arange(len(counts)), counts), at=_AT).values()
    return {name: values[name] for name in _METRICS}


def _pairs(lists: tuple[Rows, Rows], rows: slice) -> tuple[Rows, Rows]:
    """Return the pairs of some lists: the number of each one's list, from 0, and its entry."""
    offsets, entries = lists
    counts = np.diff(offsets[rows.start : rows.stop + 1])  # (m,)
    owners = np.repeat(np.arange(len(counts)), counts)
    return owners, entries[offsets[rows.start] : offsets[rows.stop]]


def _chunks(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
