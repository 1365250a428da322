"""Exact retrieval: where the right candidate ranks among all of them, and which are nearest.

Every similarity is a dot product of lifted vectors, so each measure is a matrix product, block by
block: memory holds two blocks of vectors and their scores, whatever the number of candidates.
Scores are computed in float64. Two of them are equal if they differ by less than `_MARGIN` of the
sum of their products' sizes: far above the rounding of that sum (about 1e-16) and far below the
resolution of float32 vectors, so equal candidates tie whatever the order of summation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError
from object2vec.evaluation.measure import Floats, Measure, means

Similarity = Literal["cosine", "dot", "euclidean"]
Ties = Literal["mean", "pessimistic"]

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
    query: Any = None,
    known: tuple[Any, Any] | None = None,
    ties: Ties = "mean",
    similarity: Similarity = "cosine",
) -> NDArray[np.int64]:
    """Return the rank at which each query finds its right candidate; 1 is best.

    Parameters
    ----------
    queries : array of shape (n, D)
    candidates : array of shape (N, D)
        May be a memory-mapped file.
    target : int array of shape (n,) or (p,), optional
        The right candidate of each query, a row of `candidates`.
    own : array of shape (n, D), optional
        The right candidate of each query as a vector, ranked among it and all of `candidates`;
        give this or `target`.
    query : int array of shape (p,), optional
        Where queries have several right candidates or none: whose each of `target` is, ascending.
    known : pair of int arrays of shape (m,), optional
        Rows of `queries` and of `candidates` that do not count, such as pairs of training.
    ties : {"mean", "pessimistic"}, default "mean"
        What equals of a right candidate count: half of them, rounded up, so that a model that
        cannot tell candidates apart ranks in the middle; or all of them.
    similarity : {"cosine", "dot", "euclidean"}, default "cosine"

    Returns
    -------
    int64 array of shape (n,) or (p,)
        1 + the wrong candidates that are more similar + those that tie + the right ones of the same
        query that come before it, so that right ones have different ranks.

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
    asked = _asked(query, len(queries))  # (p,)
    right = _right_vectors(asked, queries, candidates, target, own)  # (p, D)
    hidden = _hidden(asked, target, known, len(candidates))
    ahead = np.empty(len(asked), np.int64)  # (p,) wrong candidates
    for rows in _blocks(len(queries), _QUERY_BLOCK):
        lifted = _lift(queries[rows], similarity, "queries")  # (m, L)
        first, stop = np.searchsorted(asked, (rows.start, rows.stop)).tolist()
        own_row = asked[first:stop] - rows.start  # (q,)
        products = lifted[own_row] * _lift(right[first:stop], similarity, "candidates")  # (q, L)
        score = products.sum(axis=1)  # (q,)
        count = _Ahead(own_row, score, _MARGIN * np.abs(products).sum(axis=1), ties)
        for columns in _blocks(len(candidates), _CANDIDATE_BLOCK):
            block = lifted @ _lift(candidates[columns], similarity, "candidates").T  # (m, b)
            block[hidden.within(rows, columns)] = -np.inf
            count.add(block)
        ahead[first:stop] = count.found
    return ahead + 1 + _ranks_among_right(asked, ahead)


def ranks_by_score(
    scores: Iterable[NDArray[Any]],
    target: Any,
    *,
    query: Any = None,
    known: tuple[Any, Any] | None = None,
    ties: Ties = "mean",
) -> NDArray[np.int64]:
    """Return what `ranks` does, of scores that something else has computed.

    Parameters
    ----------
    scores : iterable of arrays of shape (m, N)
        Those of all candidates, for some queries after another.
    target, query, known, ties
        As of `ranks`; scores tie if they are equal.

    Examples
    --------
    >>> ranks_by_score([[[0.1, 0.9, 0.5]]], [0, 1], query=[0, 0]).tolist()
    [3, 1]
    """
    target = np.asarray(target)
    asked = np.arange(len(target)) if query is None else np.asarray(query)  # (p,)
    hidden, start = _hidden(asked, target, known, None), 0
    ahead = np.empty(len(asked), np.int64)
    for each in scores:
        block = np.array(each, np.float64)  # (m, N)
        rows = slice(start, start + len(block))
        first, stop = np.searchsorted(asked, (rows.start, rows.stop)).tolist()
        own_row = asked[first:stop] - start  # (q,)
        count = _Ahead(own_row, block[own_row, target[first:stop]], np.zeros(stop - first), ties)
        block[hidden.within(rows, slice(0, block.shape[1]))] = -np.inf
        count.add(block)
        ahead[first:stop], start = count.found, rows.stop
    return ahead + 1 + _ranks_among_right(asked, ahead)


class _Ahead:
    """Counts the candidates that are ahead of right ones, block by block.

    Parameters
    ----------
    own_row : int array (q,)
        The row of a block that each right candidate is of, ascending.
    score : float64 array (q,)
        Its similarity.
    margin : float64 array (q,)
        By how much another's may differ and still be equal.
    ties : {"mean", "pessimistic"}
    """

    def __init__(
        self, own_row: NDArray[np.int64], score: Floats, margin: Floats, ties: Ties
    ) -> None:
        self._own_row, self._score, self._margin = own_row, score, margin
        self._better, self._equal = np.zeros((2, len(score)), np.int64)
        self._is_pessimistic = _check_ties(ties) == "pessimistic"

    def add(self, block: Floats) -> None:
        """Take the similarities of all queries to some candidates, (m, b)."""
        is_single = np.array_equal(self._own_row, np.arange(len(block)))
        for part in _blocks(len(self._score), _QUERY_BLOCK):
            scores = block[part if is_single else self._own_row[part]]  # (q, b)
            excess = scores - self._score[part, None]
            margin = self._margin[part, None]
            self._better[part] += np.count_nonzero(excess > margin, axis=1)
            self._equal[part] += np.count_nonzero(np.abs(excess) <= margin, axis=1)

    @property
    def found(self) -> NDArray[np.int64]:
        """How many are ahead of each, (q,)."""
        return self._better + (self._equal if self._is_pessimistic else (self._equal + 1) // 2)


@dataclass(frozen=True, eq=False)
class _Hidden:
    """Pairs of a query and a candidate that are not counted, in the order of the queries."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    def within(self, rows: slice, columns: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return those of a block, as its rows and columns."""
        first, stop = np.searchsorted(self.rows, (rows.start, rows.stop))
        own = self.columns[first:stop]
        is_here = (own >= columns.start) & (own < columns.stop)
        return self.rows[first:stop][is_here] - rows.start, own[is_here] - columns.start


def _asked(query: Any, count: int) -> NDArray[np.int64]:
    """Return whose each right candidate is, (p,)."""
    if query is None:
        return np.arange(count)
    asked = np.asarray(query)
    is_ascending = asked.ndim == 1 and not (asked[1:] < asked[:-1]).any()
    if not is_ascending or (len(asked) and not 0 <= asked[0] <= asked[-1] < count):
        must = f"must hold rows of queries below {count}, ascending"
        raise DataError.at("query", must, asked, "Sort the pairs by query.")
    return asked


def _hidden(
    asked: NDArray[np.int64], target: Any, known: tuple[Any, Any] | None, candidates: int | None
) -> _Hidden:
    """Return the pairs that no right candidate is compared with."""
    pairs = [(asked, np.asarray(target))] if target is not None else []
    if known is not None:
        rows, columns = map(np.asarray, known)
        if (
            candidates is not None
            and len(columns)
            and not 0 <= columns.min() <= columns.max() < candidates
        ):
            must = f"must name candidates below {candidates}"
            raise DataError.at("known", must, columns.max(), "Check the row numbers.")
        pairs.append((rows, columns))
    if not pairs:
        return _Hidden(*np.zeros((2, 0), np.int64))
    rows, columns = (np.concatenate(each).astype(np.int64) for each in zip(*pairs, strict=True))
    order = np.argsort(rows, kind="stable")
    return _Hidden(rows[order], columns[order])


def _ranks_among_right(asked: NDArray[np.int64], ahead: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many right candidates of the same query come before each, (p,)."""
    order = np.lexsort((ahead, asked))  # queries ascend already
    first = np.searchsorted(asked, asked)  # (p,) the first of the same query
    found = np.empty(len(asked), np.int64)
    found[order] = np.arange(len(asked)) - first[order]
    return found


def _check_ties(ties: Ties) -> Ties:
    if ties not in get_args(Ties):
        raise DataError.at("ties", f"must be one of {get_args(Ties)}", ties, "Choose one of them.")
    return ties


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
    """Return what a list of ranks comes to, one for each query.

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
    values = rank_measure(found, at=at).values()
    names = [*(f"hits@{k}" for k in at), "mean_reciprocal_rank", "mean_rank", "median_rank"]
    return {
        **{name: values[name] for name in names},
        **{f"rank_percentile_{p}": value for p, value in percentiles},
    }


def rank_measure(
    found: Any, query: Any = None, *, at: Sequence[int] = (1, 5, 10, 20, 50)
) -> Measure:
    """Return what ranks of right candidates come to; the units are queries.

    Parameters
    ----------
    found : int array of shape (p,)
        From `ranks`.
    query : int array of shape (p,), optional
        Whose each is, ascending; one for each query by default. Queries without any are left out.
    at : sequence of int
        The k of the figures that have one.

    Returns
    -------
    Measure
        Means over queries. ``hits@k``: whether one is among the first k. ``recall@k``: how many of
        a query's are. ``ndcg@k``: discounted cumulative gain of the first k, as a share of the best
        possible. ``mean_reciprocal_rank``: of the first one. ``mean_average_precision``: of the
        precision at each one's rank. ``mean_rank`` and ``median_rank``: over right candidates.

    Notes
    -----
    With one right candidate a query, recall@k is hits@k, and average precision the reciprocal rank.
    """
    found = np.asarray(found, np.int64)
    whose = np.arange(len(found)) if query is None else np.asarray(query)
    order = np.lexsort((found, whose))
    found, whose = found[order], whose[order]
    _, first, sizes = np.unique(whose, return_index=True, return_counts=True)
    number = np.arange(len(found)) - np.repeat(first, sizes) + 1  # from 1 within its query

    def summed(values: NDArray[Any]) -> Floats:
        return np.add.reduceat(np.asarray(values, np.float64), first) if len(first) else np.zeros(0)

    gain = 1 / np.log2(1 + found)  # (p,)
    each: dict[str, Floats] = {}
    for k in at:
        is_in = found <= k
        most = np.cumsum(1 / np.log2(np.arange(2, k + 2)))[np.minimum(sizes, k) - 1]  # (n,)
        each[f"hits@{k}"] = (summed(is_in) > 0).astype(np.float64)
        each[f"recall@{k}"] = summed(is_in) / sizes
        each[f"ndcg@{k}"] = summed(gain * is_in) / most
    each["mean_reciprocal_rank"] = 1 / found[first]
    each["mean_average_precision"] = summed(number / found) / sizes
    totals, by_rank = summed(found), np.argsort(found, kind="stable")
    ordered, owner = found[by_rank], np.repeat(np.arange(len(sizes)), sizes)[by_rank]

    def of(counts: Floats) -> dict[str, Floats]:
        return {
            **means(counts, **each),
            "mean_rank": counts @ totals / (counts @ sizes),
            "median_rank": _medians(ordered, counts[:, owner]),
        }

    return Measure(len(sizes), of)


def _medians(ordered: NDArray[np.int64], counts: Floats) -> Floats:
    """Return the median of ascending numbers (p,) that count so often, (R, p)."""
    until = np.cumsum(counts, axis=1)
    half = until[:, -1:] / 2  # (R, 1)
    low = np.argmax(until >= half, axis=1)  # the last one of the lower half
    high = np.argmax(until > half, axis=1)
    found: Floats = (ordered[low] + ordered[high]) / 2
    return found


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
    asked: NDArray[np.int64], queries: NDArray[Any], candidates: NDArray[Any], target: Any, own: Any
) -> NDArray[Any]:
    """Return the vector of each right candidate, (p, D)."""
    if (target is None) == (own is None):
        got = "neither" if target is None else "both"
        raise DataError.at("ranks", "must be given target or own", got, "Give one of them.")
    right, where = (np.asarray(target), "target") if own is None else (_checked(own, "own"), "own")
    if len(right) != len(asked):
        must = f"must hold one row for each of {len(asked)} queries"
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
