"""How well scores tell what is real from what is not: the ROC curve, its area and its ends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def false_alarms(real: Any, attack: Any, recall: float = 1.0) -> float:
    """Return the share of real records that must be flagged to find so many attacks.

    Parameters
    ----------
    real, attack : array of shape (n,), (m,)
        Scores, high ones for what looks real.
    recall : float, default 1.0
        Share of the attacks that is found, above 0 to 1.

    Returns
    -------
    float
        What has the score of the last attack that must be found is flagged, too.

    Examples
    --------
    >>> false_alarms([0.9, 0.8, 0.3, 0.2], [0.1, 0.3], recall=1.0)
    0.5
    >>> false_alarms([0.9, 0.8, 0.3, 0.2], [0.1, 0.3], recall=0.5)
    0.0
    """
    last = math.ceil(recall * len(attack)) - 1
    threshold = np.partition(np.asarray(attack), last)[last]
    return float(np.mean(np.asarray(real) <= threshold))


def roc_auc(scores: NDArray[np.float32], is_positive: NDArray[np.bool_]) -> float:
    """Return the chance that a positive has a higher score than another record; half for equals.

    NaN if either is missing.

    >>> roc_auc(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    0.875
    """
    positive, negative = np.sort(scores[is_positive]), np.sort(scores[~is_positive])
    below = np.searchsorted(negative, positive, side="left").sum(dtype=np.int64)
    equal = np.searchsorted(negative, positive, side="right").sum(dtype=np.int64) - below
    pairs = len(positive) * len(negative)
    return float((below + 0.5 * equal) / pairs) if pairs else float("nan")
