"""How often the right class is found, and how often the right labels of several.

Precision, recall and F1 are 0 where nothing is there to be counted. Micro means count all decisions
alike; macro means are those of the classes' figures, so that a rare class weighs like a frequent
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError
from object2vec.evaluation.measure import Floats, Measure, means, share

Bools = NDArray[np.bool_]

_CLIP = 1e-12


def class_measure(probabilities: Any, label: Any) -> Measure:
    """Return how well the likeliest class is the right one.

    Parameters
    ----------
    probabilities : array of shape (n, K)
    label : int array of shape (n,)
        Classes 0 to K - 1.

    Returns
    -------
    Measure
        ``accuracy``, ``cross_entropy``, ``auc`` (of two classes that of the second, of more the
        mean of each against the rest), ``macro_precision``, ``macro_recall``, ``macro_f1``, and of
        two classes ``precision``, ``recall`` and ``f1`` of the second. The micro figures of single
        classes are all the accuracy.

    Raises
    ------
    DataError
        If shapes do not fit or a label is no class.
    """
    scores, label = np.asarray(probabilities, np.float64), np.asarray(label)
    _check(scores, len(label))
    if (wrong := label[(label < 0) | (label >= scores.shape[1])]).size:
        must, got = f"must be classes from 0 to {scores.shape[1] - 1}", wrong[0].item()
        raise DataError.at("label", must, got, "Use the classes of the model.")
    classes = np.arange(scores.shape[1])
    truth, said = label[:, None] == classes, scores.argmax(axis=1)[:, None] == classes  # (n, K)
    surprise = -np.log(scores[np.arange(len(label)), label.astype(np.intp)] + _CLIP)  # (n,)
    curves = [
        Curve.of(scores[:, k], truth[:, k]) for k in (classes[1:] if len(classes) == 2 else classes)
    ]
    tables = Decisions.of(said, truth)

    def of(counts: Floats) -> dict[str, Floats]:
        found = means(counts, accuracy=(said & truth).any(axis=1), cross_entropy=surprise)
        areas = [curve.area(counts) for curve in curves]
        precision, recall, f1 = tables.each(counts)  # (R, K)
        found["auc"] = np.mean(areas, axis=0)
        if len(classes) == 2:
            found |= {"precision": precision[:, 1], "recall": recall[:, 1], "f1": f1[:, 1]}
        return found | _macro(precision, recall, f1)

    return Measure(len(label), of)


def binary_measure(scores: Any, is_positive: Any, threshold: float) -> Measure:
    """Return how well a score tells positives from the rest.

    Parameters
    ----------
    scores : array of shape (n,)
    is_positive : bool array of shape (n,)
    threshold : float
        A score from here on says positive.

    Returns
    -------
    Measure
        ``accuracy``, ``auc``, ``precision``, ``recall`` and ``f1``.

    Examples
    --------
    >>> binary_measure([0.9, 0.4, 0.1], [True, False, False], 0.3).values()["precision"]
    0.5
    """
    scores, truth = np.asarray(scores, np.float64), np.asarray(is_positive, bool)
    said = scores >= threshold
    curve, tables = Curve.of(scores, truth), Decisions.of(said[:, None], truth[:, None])

    def of(counts: Floats) -> dict[str, Floats]:
        found = means(counts, accuracy=said == truth) | {"auc": curve.area(counts)}
        each = (figure[:, 0] for figure in tables.each(counts))
        return found | dict(zip(("precision", "recall", "f1"), each, strict=True))

    return Measure(len(truth), of)


def label_measure(scores: Any, truth: Any, threshold: Any) -> Measure:
    """Return how well the labels from a threshold on are the right ones.

    Parameters
    ----------
    scores : array of shape (n, L)
    truth : bool array of shape (n, L)
    threshold : float, or array of shape (L,)
        A score from here on says that the label is one.

    Returns
    -------
    Measure
        ``micro_`` and ``macro_`` ``precision``, ``recall`` and ``f1``.

    Raises
    ------
    DataError
        If shapes do not fit.

    Examples
    --------
    >>> label_measure([[0.9, 0.4], [0.2, 0.8]], [[True, False], [True, True]], 0.5).values()
    ... # doctest: +ELLIPSIS
    {'micro_precision': 1.0, 'micro_recall': 0.666..., 'micro_f1': 0.8, 'macro_precision': 1.0, ...
    """
    scores, truth = np.asarray(scores), np.asarray(truth, bool)
    _check(scores, len(truth))
    tables = Decisions.of(scores >= np.asarray(threshold), truth)

    def of(counts: Floats) -> dict[str, Floats]:
        precision, recall, f1 = tables.all(counts)
        micro = {"micro_precision": precision, "micro_recall": recall, "micro_f1": f1}
        return micro | _macro(*tables.each(counts))

    return Measure(len(truth), of)


def best_threshold(scores: Any, truth: Any) -> float:
    """Return the threshold with the best F1 of all decisions; infinity where nothing is true.

    Parameters
    ----------
    scores : array of shape (n,) or (n, L)
    truth : bool array of the same shape

    Notes
    -----
    It lies halfway between two scores, so that a score a little lower than one of this sample is
    decided like it. Of several thresholds as good the highest is taken.

    Examples
    --------
    >>> best_threshold([0.9, 0.7, 0.3], [True, True, False])
    0.5
    """
    scores, truth = np.asarray(scores, np.float64).ravel(), np.asarray(truth, bool).ravel()
    if not truth.any():
        return float("inf")
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    right = np.cumsum(truth[order])  # (n,) of those down to here
    f1 = 2 * right / (np.arange(1, len(order) + 1) + truth.sum())
    is_last = np.append(ordered[1:] < ordered[:-1], True)  # of its equals
    best = int(np.argmax(np.where(is_last, f1, -1)))
    below = ordered[best + 1] if best + 1 < len(ordered) else ordered[best]
    middle = (ordered[best] + below) / 2
    return float(middle if middle > below else ordered[best])


def label_thresholds(scores: Any, truth: Any) -> Floats:
    """Return the best threshold of each label, (L,); of one that is never true the best of all.

    Parameters
    ----------
    scores : array of shape (n, L)
    truth : bool array of shape (n, L)
    """
    scores, truth = np.asarray(scores), np.asarray(truth, bool)
    found = np.array([best_threshold(scores[:, k], truth[:, k]) for k in range(scores.shape[1])])
    return np.where(np.isfinite(found), found, best_threshold(scores, truth))


@dataclass(frozen=True, eq=False)
class Decisions:
    """Which labels were said of which units, and which are true, (n, L) each."""

    hits: Floats
    said: Floats
    truth: Floats

    @classmethod
    def of(cls, said: Bools, truth: Bools) -> Decisions:
        """Return what is counted of decisions."""
        return cls(*(each.astype(np.float64) for each in (said & truth, said, truth)))

    def each(self, counts: Floats) -> tuple[Floats, Floats, Floats]:
        """Return precision, recall and F1 of each label, (R, L)."""
        return _figures(counts @ self.hits, counts @ self.said, counts @ self.truth)

    def all(self, counts: Floats) -> tuple[Floats, Floats, Floats]:
        """Return precision, recall and F1 of all decisions, (R,)."""
        hits, said, truth = (
            counts @ each.sum(axis=1) for each in (self.hits, self.said, self.truth)
        )
        return _figures(hits, said, truth)


@dataclass(frozen=True, eq=False)
class Curve:
    """Scores in order, for the area under the ROC curve: units, groups of equals, positives."""

    order: NDArray[np.intp]
    first: NDArray[np.intp]
    truth: Bools

    @classmethod
    def of(cls, scores: Floats, truth: Bools) -> Curve:
        """Return the curve of scores and of which of them are positives, (n,) each."""
        order = np.argsort(scores, kind="stable")
        ordered = scores[order]
        is_first = np.append(True, ordered[1:] != ordered[:-1])
        return cls(order, np.flatnonzero(is_first), truth[order])

    def area(self, counts: Floats) -> Floats:
        """Return the chance that a positive has a higher score than another, half for equals, (R,).

        NaN if either is missing.
        """
        counts = counts[:, self.order]
        positive, negative = (
            np.add.reduceat(counts * kind, self.first, axis=1) for kind in (self.truth, ~self.truth)
        )  # (R, groups)
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)  # (R,)
        area = (positive * below).sum(axis=1)
        found: Floats = np.divide(area, pairs, out=np.full_like(pairs, np.nan), where=pairs > 0)
        return found


def _figures(hits: Floats, said: Floats, truth: Floats) -> tuple[Floats, Floats, Floats]:
    return share(hits, said), share(hits, truth), share(2 * hits, said + truth)


def _macro(precision: Floats, recall: Floats, f1: Floats) -> dict[str, Floats]:
    """Return the means of figures of classes, (R, K) each."""
    figures = {"macro_precision": precision, "macro_recall": recall, "macro_f1": f1}
    return {name: each.mean(axis=1) for name, each in figures.items()}


def _check(scores: NDArray[Any], rows: int) -> None:
    if scores.ndim != 2 or len(scores) != rows:
        must = f"must have a row for each of {rows} labels"
        raise DataError.at("scores", must, scores.shape, "Match them row by row.")
