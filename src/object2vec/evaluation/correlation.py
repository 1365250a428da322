"""How well similarities follow what people say: the correlation coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.evaluation.measure import Floats, Measure, paired


def correlation_measure(scores: Any, label: Any) -> Measure:
    """Return Pearson's and Spearman's correlation of scores and labels.

    Parameters
    ----------
    scores, label : array of shape (n,)

    Returns
    -------
    Measure
        ``pearson`` and ``spearman``, NaN where all scores or all labels are equal.

    Raises
    ------
    DataError
        If the lengths differ.

    Examples
    --------
    >>> correlation_measure([0.1, 0.2, 0.9], [1, 2, 3]).values()["spearman"]
    1.0
    """
    scores, label = paired("scores", scores, label)
    x, y = _groups(scores), _groups(label)

    def of(counts: Floats) -> dict[str, Floats]:
        shape = counts.shape
        return {
            "pearson": _pearson(
                np.broadcast_to(scores, shape), np.broadcast_to(label, shape), counts
            ),
            "spearman": _pearson(_ranks(*x, counts), _ranks(*y, counts), counts),
        }

    return Measure(len(scores), of)


def cosines(a: Any, b: Any) -> Floats:
    """Return the cosine of each row of two arrays (n, D), in float64; 0 where a row is zeros.

    Examples
    --------
    >>> cosines([[1.0, 0.0], [0.0, 0.0]], [[2.0, 0.0], [1.0, 1.0]]).tolist()
    [1.0, 0.0]
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    sizes = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))  # (n,)
    found: Floats = (a * b).sum(axis=1) / np.where(sizes > 0, sizes, 1)
    return found


def _groups(values: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the order of values (n,), where groups of equals begin in it, and each one's group."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    is_first = np.append(True, ordered[1:] != ordered[:-1])
    group = np.empty(len(values), np.intp)
    group[order] = np.cumsum(is_first) - 1
    return order, np.flatnonzero(is_first), group


def _ranks(
    order: NDArray[np.intp], first: NDArray[np.intp], group: NDArray[np.intp], counts: Floats
) -> Floats:
    """Return the mean rank of each value in samples that hold it so often, (R, n)."""
    sizes = np.add.reduceat(counts[:, order], first, axis=1)  # (R, groups)
    ranks = np.cumsum(sizes, axis=1) - sizes / 2
    found: Floats = ranks[:, group]
    return found


def _pearson(x: Floats, y: Floats, counts: Floats) -> Floats:
    """Return the correlation of rows of two arrays (R, n), of which each value counts so often."""
    total = counts.sum(axis=1, keepdims=True)  # (R, 1)
    dx = x - (counts * x).sum(axis=1, keepdims=True) / total
    dy = y - (counts * y).sum(axis=1, keepdims=True) / total
    size = np.sqrt((counts * dx * dx).sum(axis=1) * (counts * dy * dy).sum(axis=1))  # (R,)
    products = (counts * dx * dy).sum(axis=1)
    found: Floats = np.divide(products, size, out=np.full_like(size, np.nan), where=size > 0)
    return found
