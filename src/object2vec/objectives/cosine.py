"""Graded similarity: pairs with a higher label shall have a higher cosine.

    loss of record i = log(1 + sum of exp(s (c_j - c_i)) over the records j with a lower label)

where c are the cosines of a batch and s is `ranking_scale`. It asks for the order of the labels and
not for their size, so that these may be any numbers. It is CoSENT's loss (Su 2022,
https://kexue.fm/archives/8847) with a logarithm for each record in place of one for the batch, so
that a record has a loss of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from object2vec.objectives.base import Encoded, LabelRule, Metric, Objective
from object2vec.objectives.mean_squared_error import NumberLabels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_LOSS = Metric("cosine_loss", "loss", short="loss", is_quality=False)
_PEARSON = Metric("pearson", "score", short="Pearson", is_quality=False)
_SPEARMAN = Metric("spearman", "score", short="Spearman", algorithm="beyond")


class Cosine(Objective):
    """The cosine of both embeddings, in the order of the labels."""

    metrics = (_LOSS,)
    watched = _SPEARMAN
    in_training = _LOSS
    overall = (_PEARSON, _SPEARMAN)
    head = "sum"
    task = "similarity"
    is_measured_by_task = True

    @property
    def normalized(self) -> tuple[bool, bool]:
        """Both sides are scaled to length 1."""
        return True, True

    @property
    def labels(self) -> LabelRule:
        """Any numbers."""
        return NumberLabels()

    @property
    def output(self) -> str:
        """What a user gets for a pair, in words."""
        return "one number, the cosine of its embeddings"

    def losses(self, batch: Encoded) -> Tensor:
        """Return the loss of each record, (B,)."""
        import torch

        scaled, label = self.config.ranking_scale * batch.logits[:, 0], batch.target  # (B,), (B,)
        order = label.argsort(stable=True)  # (B,)
        # What all records up to one add, from the lowest label on: nothing before the first.
        below = torch.logcumsumexp(scaled[order], dim=0)  # (B,)
        below = torch.cat([below.new_full((1,), -torch.inf), below])  # (B + 1,)
        lower = torch.searchsorted(label[order].contiguous(), label.contiguous())  # (B,)
        return torch.nn.functional.softplus(below[lower] - scaled)

    def sums(self, batch: Encoded) -> Sequence[float]:
        """Return the summed losses."""
        import torch

        with torch.no_grad():
            return (float(self.losses(batch).double().sum()),)

    def overall_values(
        self, scores: NDArray[np.float32], label: NDArray[np.float32]
    ) -> Sequence[float]:
        """Return Pearson's and Spearman's correlation of all cosines (n, 1) and labels (n,)."""
        from object2vec.evaluation.correlation import correlation_measure

        values = correlation_measure(scores[:, 0], label).values()
        return values["pearson"], values["spearman"]
