"""Running metrics of one pass over batches: cross-entropy, perplexity and accuracy, or MSE and MAE.

Clips, names and order are those of the AWS container: the same probabilities, the same figures.

    cross_entropy = mean(-ln(p + 1e-12))
    perplexity    = exp(mean(-ln(max(p, 1e-10))))

where p is the probability given to the right class. The two clips differ in the container too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

CROSS_ENTROPY_CLIP = 1e-12
PERPLEXITY_CLIP = 1e-10


class Metrics:
    """Averages over the records seen so far, in float64.

    Parameters
    ----------
    classifier : bool
        Whether the outputs are class probabilities (else one predicted number per record).
    compat : bool, default False
        Average MSE and MAE as AWS does: the mean of the batches' means, in which a record of a
        smaller last batch weighs more. By default, and for classifiers always, every record weighs
        the same.

    Examples
    --------
    >>> import numpy as np
    >>> metrics = Metrics(classifier=False)
    >>> metrics.update(np.array([[3.0], [5.0]], np.float32), np.array([1.0, 5.0], np.float32))
    >>> metrics.values()
    {'mean_squared_error': 2.0, 'mean_absolute_error': 1.0}
    """

    def __init__(self, classifier: bool, *, compat: bool = False) -> None:
        self._classifier = classifier
        self._averages_batches = compat and not classifier
        self._totals = [0.0, 0.0, 0.0] if classifier else [0.0, 0.0]
        self._count = 0

    def update(self, outputs: NDArray[np.float32], label: NDArray[np.float32]) -> None:
        """Add one batch.

        Parameters
        ----------
        outputs : ndarray of shape (B, K) or (B, 1), float32
            Probabilities of the K classes, or predictions; B >= 1.
        label : ndarray of shape (B,), float32
            Class in [0, K), or the true number.
        """
        sums = _class_sums(outputs, label) if self._classifier else _error_sums(outputs, label)
        count, share = (1, len(label)) if self._averages_batches else (len(label), 1)
        self._count += count
        self._totals = [
            total + float(part) / share for total, part in zip(self._totals, sums, strict=True)
        ]

    def values(self) -> dict[str, float]:
        """Return the averages by name, in the order of AWS's logs; NaN before any batch."""
        means = [total / self._count if self._count else math.nan for total in self._totals]
        if not self._classifier:
            return dict(zip(("mean_squared_error", "mean_absolute_error"), means, strict=True))
        surprise, cross_entropy, accuracy = means
        return {
            "perplexity": math.exp(surprise),
            "cross_entropy": cross_entropy,
            "accuracy": accuracy,
        }

    @property
    def loss(self) -> float:
        """The number that early stopping watches: cross-entropy or mean squared error."""
        return self.values()["cross_entropy" if self._classifier else "mean_squared_error"]

    def state(self) -> dict[str, Any]:
        """Return everything added so far as JSON values; totals as hexadecimal text, exactly."""
        return {
            "classifier": self._classifier,
            "averages_batches": self._averages_batches,
            "count": self._count,
            "totals": [total.hex() for total in self._totals],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Metrics:
        """Return metrics that go on from `state` to the very same values.

        Raises
        ------
        KeyError, TypeError, ValueError
            If `state` was not made by `Metrics.state`.
        """
        metrics = cls(bool(state["classifier"]), compat=bool(state["averages_batches"]))
        totals = [float.fromhex(text) for text in state["totals"]]
        if len(totals) != len(metrics._totals):
            raise ValueError(f"not a state of metrics: {len(totals)} totals")
        metrics._count, metrics._totals = int(state["count"]), totals
        return metrics


def _class_sums(
    outputs: NDArray[np.float32], label: NDArray[np.float32]
) -> tuple[float, float, float]:
    """Return the summed -ln p, clipped for perplexity and for cross-entropy, and the hits."""
    classes = label.astype(np.intp)  # (B,)
    right = outputs[np.arange(len(classes)), classes].astype(np.float64)  # (B,)
    return (
        -np.log(np.maximum(right, PERPLEXITY_CLIP)).sum(),
        -np.log(right + CROSS_ENTROPY_CLIP).sum(),
        float(np.count_nonzero(outputs.argmax(axis=1) == classes)),
    )


def _error_sums(outputs: NDArray[np.float32], label: NDArray[np.float32]) -> tuple[float, float]:
    """Return the summed squared and absolute errors."""
    errors = outputs[:, 0].astype(np.float64) - label  # (B,)
    return np.square(errors).sum(), np.abs(errors).sum()
