"""Detection: how well two embeddings fit, as the log odds that they belong together.

    s = a . b,  cross-entropy = mean(-ln(sigmoid(s)) of true pairs, -ln(1 - sigmoid(s)) of others)

In training k negatives of other records (`negative_sampling_rate`) stand for one: there it learns
from s - ln k, so that s is above 0 where two objects meet more often than by chance, whatever k is.
It has no head, so that the embeddings alone say everything. Amazon SageMaker IP Insights learns
this, and names and order of the metrics are those of its log
(https://docs.aws.amazon.com/sagemaker/latest/dg/ip-insights-howitworks.html).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from object2vec.objectives.base import Encoded, LabelRule, Metric, Objective
from object2vec.objectives.softmax import ClassLabels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_metric = partial(Metric, algorithm="ipinsights")
_ACCURACY = _metric("binary_classification_accuracy", "score", short="accuracy")
_CROSS_ENTROPY = _metric("binary_classification_cross_entropy", "loss", short="cross-entropy")
_AUC = _metric("discriminator_auc", "score", short="AUC")


class DotProduct(Objective):
    """The dot product of both embeddings; label 1 for a true pair, 0 for another."""

    metrics = (_ACCURACY, _CROSS_ENTROPY)
    watched = _CROSS_ENTROPY
    task = "classification"
    threshold = 0.0
    overall = (_AUC,)
    measured_against = (0, 1)  # as in AWS's validation, whatever the rates of training are
    head = "sum"
    has_noise = True

    @property
    def labels(self) -> LabelRule:
        """0 and 1."""
        return ClassLabels(2)

    @property
    def output(self) -> str:
        """What a user gets for a pair, in words."""
        return "one number, the dot product of its embeddings"

    @property
    def offset(self) -> float:
        """How much less likely a positive is in training than among as many negatives."""
        return math.log(max(1, self.config.negative_sampling_rate))

    def loss(self, batch: Encoded) -> Tensor:
        """Return the mean loss of a batch in training, a scalar."""
        return super().loss(batch) if batch.contrasted is None else batch.contrasted.loss

    def losses(self, batch: Encoded) -> Tensor:
        """Return the cross-entropy of each pair, (B,)."""
        from torch.nn import functional

        odds, target = batch.logits[:, 0] - self._offset(batch), batch.target  # (B,), (B,)
        return functional.binary_cross_entropy_with_logits(odds, target, reduction="none")

    def sums(self, batch: Encoded) -> Sequence[float]:
        """Return the hits and the summed cross-entropy."""
        if batch.contrasted is not None:
            return batch.contrasted.hits, batch.contrasted.lost
        return binary_sums(self.shown(batch) - self._offset(batch), batch.label)

    def _offset(self, batch: Encoded) -> float:
        """Return what scores are compared with, which only training shifts."""
        return self.offset if batch.is_training else 0.0

    def overall_values(
        self, scores: NDArray[np.float32], label: NDArray[np.float32]
    ) -> Sequence[float]:
        """Return the area under the ROC curve of all records, (n, 1) and (n,)."""
        from object2vec.evaluation.detection import roc_auc

        return (roc_auc(scores[:, 0], label > 0),)


def binary_sums(scores: NDArray[np.float32], label: NDArray[np.float32]) -> tuple[float, float]:
    """Return the hits of log odds (B, 1), and their summed cross-entropy with labels 0 and 1."""
    import numpy as np

    odds, is_true = scores[:, 0].astype(np.float64), label > 0  # (B,), (B,)
    surprise = np.logaddexp(0.0, np.where(is_true, -odds, odds))  # (B,)
    return float(np.count_nonzero((odds > 0) == is_true)), float(surprise.sum())
