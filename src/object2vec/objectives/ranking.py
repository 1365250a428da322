"""Ranking: each object finds its partner among those of the whole batch.

    S = s a^ b^T,  loss = mean over records i of (CE(S_i., i) + CE(S_.i, i)) / 2

with a^ and b^ the embeddings, scaled to length 1 where `normalize` says so, CE the cross-entropy of
a softmax over a row or a column of S, and s a learned scale. The other records of the batch are the
negatives, and so are objects of in1 that are drawn for it; an object that would be right as well
(the same one again, a known positive, one of the same group) is left out of the softmax. This is
the loss of sentence-transformers' MultipleNegativesRankingLoss (Henderson et al. 2017,
https://arxiv.org/abs/1705.00652), in both directions as in CLIP (Radford et al. 2021,
https://arxiv.org/abs/2103.00020), which learns s, too, as exp(t), and lets it not exceed 100.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from object2vec.objectives.base import Encoded, LabelRule, Metric, Objective, RankedChannel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

MAX_SCALE = 100.0
_score = partial(Metric, kind="score", is_quality=False)
_LOSS = Metric("ranking_loss", "loss", short="loss", is_quality=False)
_IN_BATCH = _score("in_batch_hits@1", short="in batch")
_HITS, _RECALL = _score("hits@1"), _score("recall@20")
_RECIPROCAL = _score("mean_reciprocal_rank", short="MRR")
_NDCG = Metric("ndcg@10", "score", short="NDCG@10", algorithm="beyond")


class InBatchRanking(Objective):
    """A softmax over the similarities of a batch; a user sees the similarity itself."""

    metrics = (_LOSS, _IN_BATCH)
    watched = _NDCG
    in_training = _LOSS
    retrieval = (_HITS, _RECALL, _RECIPROCAL, _NDCG)
    task = "retrieval"
    is_measured_by_task = True
    head = "similarity"
    is_in_batch = True
    default_label = 1.0

    @property
    def normalized(self) -> tuple[bool, bool]:
        """Whether the embeddings of in0 and of in1 are scaled to length 1 before comparison."""
        normalize = self.config.normalize
        return normalize in ("both", "in0"), normalize in ("both", "in1")

    @property
    def labels(self) -> LabelRule:
        """1 alone."""
        return PositiveLabels()

    @property
    def output(self) -> str:
        """What a user gets for a pair, in words."""
        if all(self.normalized):
            return "one number, the cosine of its embeddings"
        lengths = {"in0": ", that of in0 at length 1", "in1": ", that of in1 at length 1"}
        return (
            f"one number, the dot product of its embeddings{lengths.get(self.config.normalize, '')}"
        )

    def losses(self, batch: Encoded) -> Tensor:
        """Return the loss of each record, (B,)."""
        from object2vec.objectives.in_batch import in_batch_losses

        assert batch.rivals is not None, "our bug: the records are not set against each other"
        config, direction = self.config, self.config.ranking_direction
        losses, hits = in_batch_losses(
            batch.a,
            batch.b,
            batch.rivals,
            directions=(direction != "in1", direction != "in0"),
            smoothing=config.label_smoothing,
        )
        batch.found = losses.detach(), hits
        return losses

    def sums(self, batch: Encoded) -> Sequence[float]:
        """Return the summed losses, and how many find their partner in the batch."""
        import numpy as np

        if not batch.found:
            self.losses(batch)
        losses, hits = (each.cpu().numpy() for each in batch.found)  # (B,), (B,)
        return float(losses.sum(dtype=np.float64)), float(np.count_nonzero(hits))

    def retrieved(self, channel: RankedChannel) -> Mapping[str, float]:
        """Return the metrics of retrieval over a whole channel."""
        from object2vec.objectives.ranks import ranking_metrics, ranks_of_right

        return ranking_metrics(channel.right[0], ranks_of_right(channel))


@dataclass(frozen=True)
class PositiveLabels:
    """1 alone: what is no positive cannot be ranked."""

    output_layer: str = "ranking"

    def rejected(self, label: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which labels (m,) are not 1."""
        rejected: NDArray[np.bool_] = label != 1
        return rejected

    def problem(self, label: float) -> str:
        """Return what a rejected label should have been, and what to do."""
        cure = "Leave out the records that are wrong: the others are the negatives."
        return f"label must be 1 for output_layer={self.output_layer}; got {label:g}. {cure}"

    def counts(self, label: NDArray[np.float32]) -> None:
        """Return None: there are no classes."""
        return None
