"""The demo's baseline: search by the cosine of TF-IDF vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.evaluation.retrieval import ranks_by_score
from object2vec.objects.ragged import Ragged, offsets_of

Ids = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]
Texts = Sequence[Sequence[str]]


def tfidf_ranks(documents: Texts, queries: Texts, target: Ids) -> Ids:
    """Return at which rank each query finds its document.

    A term of count n weighs (1 + ln n) (1 + ln(N / df)), as scikit-learn's with sublinear_tf.

    Parameters
    ----------
    documents : N lists of words
    queries : n lists of words
    target : array of shape (n,)
        The document that each query should find.

    Returns
    -------
    array of shape (n,)
        From 1; the middle one among documents of equal score.
    """
    numbers: dict[str, int] = {}
    known, asked = (
        Ragged.build([[numbers.setdefault(word, len(numbers)) for word in text] for text in texts])
        for texts in (documents, queries)
    )
    return ranks_by_score(_scores(known, asked, len(numbers)), target)


def _scores(documents: Ragged, queries: Ragged, size: int) -> Iterator[NDArray[Any]]:
    """Return the cosines of some queries after another with all documents, (m, N) each."""
    count = len(documents)
    used_in = np.bincount(_counts(documents, size)[1], minlength=size)  # (V,)
    rarity = 1 + np.log(count / np.maximum(used_in, 1))  # (V,)
    document, word, weight = _weighted(documents, rarity)  # (nnz,) by document
    by_word = np.argsort(word, kind="stable")  # (nnz,)
    postings = Ragged(by_word.astype(np.int32), offsets_of(used_in))  # of each word
    for start in range(0, len(queries), 256):
        part = queries.slice(start, start + 256)
        query, asked, asked_weight = _weighted(part, rarity)  # (nnz of part,)
        hits = postings.take(asked)
        cell = np.repeat(query, hits.lengths) * count + document[hits.values]  # (hits,)
        product = np.repeat(asked_weight, hits.lengths) * weight[hits.values]  # (hits,)
        scores = np.bincount(cell, product, minlength=len(part) * count)
        yield scores.reshape(len(part), count).round(9)  # equal ones, whatever the order of sums


def _counts(texts: Ragged, size: int) -> tuple[Ids, Ids, Ids]:
    """Return the row, the id and the count of each different id of each row, (nnz,)."""
    rows = np.repeat(np.arange(len(texts)), texts.lengths)  # (n_tokens,)
    keys, counts = np.unique(rows * size + texts.values, return_counts=True)  # (nnz,)
    return keys // size, keys % size, counts


def _weighted(texts: Ragged, rarity: Floats) -> tuple[Ids, Ids, Floats]:
    """Return the row, the id and the weight of TF-IDF rows of length one, (nnz,) each."""
    rows, ids, counts = _counts(texts, len(rarity))
    weights = (1 + np.log(counts)) * rarity[ids]  # (nnz,)
    lengths = np.sqrt(np.bincount(rows, weights**2, minlength=len(texts)))  # (n,)
    return rows, ids, weights / lengths[rows]
