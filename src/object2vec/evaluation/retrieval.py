"""Exact retrieval: where the right candidate ranks among all of them, and which are nearest.

Every similarity is a dot product of lifted vectors, so each measure is a matrix product, block by
block: memory holds two blocks of vectors and their scores, whatever the number of candidates.
Scores are computed in float64. Two of them are equal if they differ by less than `_MARGIN` of the
sum of their products' sizes: far above the rounding of that sum (about 1e-16) and far below the
resolution of float32 vectors, so equal candidates tie whatever the order of summation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError

Similarity = Literal["cosine", "dot", "euclidean"]
Floats = NDArray[np.float64]

_MARGIN = 1e-12
_QUERY_BLOCK = 1 << 10
_CANDIDATE_BLOCK = 1 << 13
_PERCENTILES = (50, 80, 90, 99)


def ranks(
    queries: Any,
    candidates: Any,
    target: Any = None,
    *,
    own: Any = None,
    similarity: Similarity = "cosine",
) -> NDArray[np.int64]:
    """Return the rank at which each query finds its right candidate; 1 is best.

    Parameters
    ----------
    queries : array of shape (n, D)
    candidates : array of shape (N, D)
        May be a memory-mapped file.
    target : int array of shape (n,), optional
        The right candidate of each query, a row of `candidates`.
    own : array of shape (n, D), optional
        The right candidate of each query as a vector, ranked among it and all of `candidates`;
        give this or `target`.
    similarity : {"cosine", "dot", "euclidean"}, default "cosine"

    Returns
    -------
    int64 array of shape (n,)
        1 + the candidates that are more similar + half of those just as similar, rounded up: the
        mean rank among equals, so a model that cannot tell candidates apart ranks in the middle.

    Raises
    ------
    DataError
        If shapes do not fit, a number is not finite, a target is no row of `candidates`, or not
        exactly one of `target` and `own` is given.

    Notes
    -----
    With `own` this is the protocol of AWS's document embedding notebook and of StarSpace: each
    query has its own context beside shared base documents.

    Examples
    --------
    >>> ranks([[1.0, 0.0], [1.0, 1.0]], [[1.0, 0.1], [0.0, 1.0]], [0, 1]).tolist()
    [1, 2]
    """
    queries, candidates = _checked(queries, "queries"), _checked(candidates, "candidates")
    _check_width(queries, candidates, "candidates")
    right = _right_vectors(queries, candidates, target, own)  # (n, D)
    found = np.empty(len(queries), np.int64)  # (n,)
    for rows in _blocks(len(queries), _QUERY_BLOCK):
        query = _lift(queries[rows], similarity, "queries")  # (m, L)
        products = query * _lift(right[rows], similarity, "candidates")  # (m, L)
        score = products.sum(axis=1, keepdims=True)  # (m, 1)
        margin = _MARGIN * np.abs(products).sum(axis=1, keepdims=True)  # (m, 1)
        better = np.zeros(len(query), np.int64)  # (m,)
        equal = np.full(len(query), 0 if target is None else -1)  # (m,) the target equals itself
        for columns in _blocks(len(candidates), _CANDIDATE_BLOCK):
            block = _lift(candidates[columns], similarity, "candidates")  # (b, L)
            excess = query @ block.T - score  # (m, b)
            better += np.count_nonzero(excess > margin, axis=1)
            equal += np.count_nonzero(np.abs(excess) <= margin, axis=1)
        found[rows] = 1 + better + (equal + 1) // 2
    return found


def nearest(
    queries: Any, candidates: Any, k: int, *, similarity: Similarity = "cosine"
) -> tuple[NDArray[np.int64], Floats]:
    """Return the `k` most similar candidates of each query, best first.

    Parameters
    ----------
    queries : array of shape (n, D)
    candidates : array of shape (N, D)
    k : int
        At least 1; all candidates if there are fewer.
    similarity : {"cosine", "dot", "euclidean"}, default "cosine"

    Returns
    -------
    indices : int64 array of shape (n, k)
        Rows of `candidates`.
    scores : float64 array of shape (n, k)
        Their similarity; for euclidean the distance, negated.

    Raises
    ------
    DataError
        If shapes do not fit, a number is not finite, or `k` is below 1.

    Examples
    --------
    >>> indices, scores = nearest([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]], 2, similarity="euclidean")
    >>> indices.tolist(), scores.tolist()
    ([[1, 0]], [[-1.0, -5.0]])
    """
    queries, candidates = _checked(queries, "queries"), _checked(candidates, "candidates")
    _check_width(queries, candidates, "candidates")
    if k < 1:
        raise DataError.at("k", "must be at least 1", k, "Ask for one neighbour or more.")
    k = min(k, len(candidates))
    indices = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k))
    for rows in _blocks(len(queries), _QUERY_BLOCK):
        query = _lift(queries[rows], similarity, "queries")  # (m, L)
        best = np.empty((len(query), 0))  # (m, up to k)
        found = np.empty((len(query), 0), np.int64)  # (m, up to k)
        for columns in _blocks(len(candidates), _CANDIDATE_BLOCK):
            block = query @ _lift(candidates[columns], similarity, "candidates").T  # (m, b)
            here = np.arange(columns.start, columns.start + block.shape[1])
            here = np.broadcast_to(here, block.shape)  # (m, b)
            best, found = _top(np.hstack([best, block]), np.hstack([found, here]), k)
        indices[rows], scores[rows] = found, best
    if similarity == "euclidean":
        squares = np.square(queries, dtype=np.float64).sum(axis=1, keepdims=True)  # (n, 1)
        scores = -np.sqrt(np.maximum(squares - 2 * scores, 0))  # (n, k)
    return indices, scores


def retrieval_metrics(found: Any, at: Sequence[int] = (1, 5, 10, 20, 50)) -> dict[str, float]:
    """Return what a list of ranks comes to.

    Parameters
    ----------
    found : int array of shape (n,)
        From `ranks`.
    at : sequence of int
        The k of each hits@k.

    Returns
    -------
    dict
        ``hits@k`` (share of ranks up to k), ``mean_reciprocal_rank``, ``mean_rank``,
        ``median_rank`` and ``rank_percentile_p``.

    Raises
    ------
    DataError
        If there is no rank.

    Examples
    --------
    >>> retrieval_metrics([1, 2, 9], at=(1, 5))["hits@5"]
    0.6666666666666666
    """
    found = np.asarray(found)
    if not found.size:
        raise DataError.at("ranks", "must hold at least one rank", "none", "Add queries.")
    percentiles = zip(_PERCENTILES, np.percentile(found, _PERCENTILES).tolist(), strict=True)
    return {
        **{f"hits@{k}": float(np.mean(found <= k)) for k in at},
        "mean_reciprocal_rank": float(np.mean(1 / found)),
        "mean_rank": float(np.mean(found)),
        "median_rank": float(np.median(found)),
        **{f"rank_percentile_{p}": value for p, value in percentiles},
    }


def _checked(vectors: Any, where: str) -> NDArray[Any]:
    """Return `vectors` as an array if it is a table of numbers."""
    array = np.asarray(vectors)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        got = f"{array.dtype.name} of shape {array.shape}"
        raise DataError.at(where, "must be a number array (rows, D)", got, "Pass a row per vector.")
    if where == "candidates" and not len(array):
        raise DataError.at(where, "must hold a row", array.shape, "Add candidates.")
    return array


def _check_width(queries: NDArray[Any], vectors: NDArray[Any], where: str) -> None:
    if vectors.shape[1] != queries.shape[1]:
        must = f"must have the width of queries, {queries.shape[1]}"
        cure = "Encode both with the same model."
        raise DataError.at(where, must, vectors.shape[1], cure)


def _right_vectors(
    queries: NDArray[Any], candidates: NDArray[Any], target: Any, own: Any
) -> NDArray[Any]:
    """Return the vector of each query's right candidate, (n, D)."""
    if (target is None) == (own is None):
        got = "neither" if target is None else "both"
        raise DataError.at("ranks", "must be given target or own", got, "Give one of them.")
    right, where = (np.asarray(target), "target") if own is None else (_checked(own, "own"), "own")
    if len(right) != len(queries):
        must = f"must hold one row for each of {len(queries)} queries"
        raise DataError.at(where, must, len(right), "Match them row by row.")
    if own is not None:
        _check_width(queries, right, "own")
        return right
    if right.dtype.kind not in "iu" or (right < 0).any() or (right >= len(candidates)).any():
        must = f"must hold rows of candidates, integers in [0, {len(candidates)})"
        raise DataError.at(where, must, right, "Check the row numbers.")
    vectors: NDArray[Any] = candidates[right]
    return vectors


def _blocks(total: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, total, size))


def _lift(vectors: NDArray[Any], similarity: Similarity, role: str) -> Floats:
    """Return vectors (m, L) whose dot products order as the similarity does.

    For euclidean -|q - c|^2 / 2 = q.c - |c|^2 / 2 - |q|^2 / 2, and the last term is the same for
    all candidates of a query: the lifted vectors are [q, -1] and [c, |c|^2 / 2].
    """
    lifted = vectors.astype(np.float64)  # (m, D)
    if not np.isfinite(lifted).all():
        raise DataError.at(
            role, "must be finite", "inf or nan", "Leave these rows out, or train again."
        )
    if similarity == "dot":
        return lifted
    squares = np.square(lifted).sum(axis=1, keepdims=True)  # (m, 1)
    if similarity == "cosine":
        return lifted / np.sqrt(np.where(squares > 0, squares, 1))
    if similarity == "euclidean":
        last = np.full_like(squares, -1) if role == "queries" else squares / 2  # (m, 1)
        return np.hstack([lifted, last])
    rule = f"must be one of {get_args(Similarity)}"
    raise DataError.at("similarity", rule, similarity, "Choose one of them.")


def _top(scores: Floats, indices: NDArray[np.int64], k: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return the k largest of each row of scores (m, b) and their indices, best first, (m, k).

    Equals come by their index; in each row those of one score must already do so.
    """
    if scores.shape[1] > k:
        kept = np.argpartition(-scores, k - 1, axis=1)[:, :k]  # (m, k)
        last = np.take_along_axis(scores, kept[:, -1:], axis=1)  # (m, 1)
        tied = np.flatnonzero(np.count_nonzero(scores >= last, axis=1) > k)  # rows with a choice
        kept[tied] = np.argsort(-scores[tied], axis=1, kind="stable")[:, :k]
        scores = np.take_along_axis(scores, kept, axis=1)
        indices = np.take_along_axis(indices, kept, axis=1)
    order = np.lexsort((indices, -scores), axis=1)  # (m, k)
    top_scores: Floats = np.take_along_axis(scores, order, axis=1)
    return top_scores, np.take_along_axis(indices, order, axis=1)
