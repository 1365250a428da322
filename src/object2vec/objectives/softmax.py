"""Classification: cross-entropy of the classes' probabilities.

    cross_entropy = mean(-ln(p + 1e-12))
    perplexity    = exp(mean(-ln(max(p, 1e-10))))

where p is the probability given to the right class. Clips, names and order of the metrics are those
of the AWS container, where the two clips differ too: the same probabilities, the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from object2vec.objectives.base import Encoded, LabelRule, Metric, Objective

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

CROSS_ENTROPY_CLIP = 1e-12
PERPLEXITY_CLIP = 1e-10

_PERPLEXITY = Metric("perplexity", "loss", is_tabled=False, is_quality=False)
_CROSS_ENTROPY = Metric("cross_entropy", "loss", short="cross-entropy")
_ACCURACY = Metric("accuracy", "score")


class Softmax(Objective):
    """The probability of each of `num_classes` classes."""

    metrics = (_PERPLEXITY, _CROSS_ENTROPY, _ACCURACY)
    watched = _CROSS_ENTROPY
    task = "classification"

    @property
    def width(self) -> int:
        """One number for each class."""
        return self.config.num_classes

    @property
    def labels(self) -> LabelRule:
        """Classes."""
        return ClassLabels(self.config.num_classes)

    @property
    def output(self) -> str:
        """What a user gets for a pair, in words."""
        return f"probabilities of {self.width} classes"

    def losses(self, batch: Encoded) -> Tensor:
        """Return the cross-entropy of each record, (B,)."""
        from torch.nn import functional

        return functional.cross_entropy(batch.logits, batch.target.long(), reduction="none")

    def scores(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the classes, (B, K)."""
        return logits.softmax(dim=1)

    def sums(self, batch: Encoded) -> Sequence[float]:
        """Return the summed -ln p, clipped for perplexity and for cross-entropy, and the hits."""
        return class_sums(self.shown(batch), batch.label)

    def values(self, means: Sequence[float]) -> Sequence[float]:
        """Return perplexity, cross-entropy and accuracy."""
        surprise, cross_entropy, accuracy = means
        return math.exp(surprise), cross_entropy, accuracy


def class_sums(
    probabilities: NDArray[np.float32], label: NDArray[np.float32]
) -> tuple[float, float, float]:
    """Return the summed -ln p, clipped for perplexity and for cross-entropy, and the hits.

    Parameters
    ----------
    probabilities : ndarray of shape (B, K), float32
    label : ndarray of shape (B,), float32
        Classes 0 to K - 1.
    """
    import numpy as np

    classes = label.astype(np.intp)  # (B,)
    right = probabilities[np.arange(len(classes)), classes].astype(np.float64)  # (B,)
    return (
        float(-np.log(np.maximum(right, PERPLEXITY_CLIP)).sum()),
        float(-np.log(right + CROSS_ENTROPY_CLIP).sum()),
        float(np.count_nonzero(probabilities.argmax(axis=1) == classes)),
    )


@dataclass(frozen=True)
class ClassLabels:
    """Whole numbers from 0 below `classes`."""

    classes: int

    def rejected(self, label: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which of the labels (m,) are no class."""
        import numpy as np

        bad: NDArray[np.bool_] = (label < 0) | (label >= self.classes) | (label != np.floor(label))
        return bad

    def problem(self, label: float) -> str:
        """Return what a rejected label should have been, and what to do."""
        is_class = label >= self.classes and label.is_integer()
        cure = "Raise num_classes or fix the label." if is_class else "Fix the label."
        return f"label must be an integer class in [0, {self.classes}); got {label:g}. {cure}"

    def counts(self, label: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return how many of the labels (m,) each class has, (classes,)."""
        import numpy as np

        return np.bincount(label.astype(np.int64), minlength=self.classes)
