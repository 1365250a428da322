"""How far predicted numbers are from the right ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from object2vec.evaluation.measure import Floats, Measure, means, paired


def error_measure(predicted: Any, label: Any) -> Measure:
    """Return the errors of predictions.

    Parameters
    ----------
    predicted, label : array of shape (n,)

    Returns
    -------
    Measure
        ``mean_squared_error``, ``root_mean_squared_error`` and ``mean_absolute_error``.

    Raises
    ------
    DataError
        If the lengths differ.

    Examples
    --------
    >>> error_measure([1.0, 2.0], [1.0, 4.0]).values()["mean_squared_error"]
    2.0
    """
    predicted, label = paired("predictions", predicted, label)
    errors = predicted - label  # (n,)

    def of(counts: Floats) -> dict[str, Floats]:
        found = means(counts, squared=np.square(errors), absolute=np.abs(errors))
        return {
            "mean_squared_error": found["squared"],
            "root_mean_squared_error": np.sqrt(found["squared"]),
            "mean_absolute_error": found["absolute"],
        }

    return Measure(len(label), of)
