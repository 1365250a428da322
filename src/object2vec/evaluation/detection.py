"""How well scores tell what is real from what is not: the ROC curve, its area and its ends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from object2vec.objectives.dot_product import roc_auc

__all__ = ["false_alarms", "roc_auc"]


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
