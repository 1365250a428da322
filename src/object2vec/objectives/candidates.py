"""Each in0 against every candidate: labels with their odds, or one of many classes.

With the embedding a of an in0, b of each candidate and a learned factor s,

    dot_product:  z = s a . b + (last number of b),  loss = mean over all candidates of the
                  cross-entropy of sigmoid(z) with whether it is right
    ranking:      z = s a . b,  loss = mean over the right candidates of -ln softmax(z)

where `normalize` says which embeddings have length 1. With vectors as wide as there are candidates
the first is a logistic regression of each on the words of a text. Its last number is a candidate's
bias: how often it is right at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from object2vec.objectives.base import Encoded, LabelRule, Metric, Objective, RightCandidates
from object2vec.objectives.ranking import InBatchRanking, PositiveLabels

if TYPE_CHECKING:
    from torch import Tensor

_F1 = Metric("micro_f1", "score", short="F1", is_quality=False)
_PRECISION = Metric("micro_precision", "score", is_tabled=False, is_quality=False)
_RECALL = Metric("micro_recall", "score", is_tabled=False, is_quality=False)
_CROSS_ENTROPY = Metric("candidate_cross_entropy", "loss", short="cross-entropy", is_quality=False)
_ACCURACY = Metric("candidate_accuracy", "score", short="accuracy", is_quality=False)


class _AgainstAll(Objective):
    """What both have: one number for a pair, and records that are all right."""

    default_label = 1.0

    @property
    def normalized(self) -> tuple[bool, bool]:
        """Whether the embeddings of in0 and of in1 are scaled to length 1 before comparison."""
        return self.config.normalize in ("both", "in0"), self.config.normalize in ("both", "in1")

    @property
    def labels(self) -> LabelRule:
        """1 alone."""
        return PositiveLabels(self.config.output_layer)


class LabelOdds(_AgainstAll):
    """The log odds of each candidate to belong to an in0, of which several may."""

    metrics = (_F1, _PRECISION, _RECALL, _CROSS_ENTROPY)
    watched = _F1
    head = "odds"
    task = "multilabel"
    is_measured_by_task = True
    threshold = 0.0

    @property
    def output(self) -> str:
        """What a user gets for a pair, in words."""
        return "one number, the log odds that in1 belongs to in0"

    def losses(self, batch: Encoded) -> Tensor:
        """Return the mean cross-entropy of all candidates of each record, (B,)."""
        losses, _ = _odds_losses(batch.a, batch.b, _all_of(batch))
        return losses

    def sums(self, batch: Encoded) -> Sequence[float]:
        """Return how many are right and found, found, and right, and the cross-entropy."""
        import torch

        candidates = _all_of(batch)
        with torch.no_grad():
            losses, odds = _odds_losses(batch.a, batch.b, candidates)
            above = odds > self.threshold  # (B, L)
            found = above[candidates.records, candidates.right].sum()
        right, lost = len(candidates.records), float(losses.double().sum())
        return float(found), float(above.sum()), float(right), lost

    def values(self, means: Sequence[float]) -> Sequence[float]:
        """Return F1, precision, recall and cross-entropy."""
        hits, found, right, lost = means
        both = found + right
        shares = 2 * hits / both if both else 0.0, hits / found if found else 0.0
        return *shares, hits / right if right else 0.0, lost


class Classes(_AgainstAll):
    """Which of all candidates belongs to an in0, by a softmax over them."""

    metrics = (_CROSS_ENTROPY, _ACCURACY)
    watched = _CROSS_ENTROPY
    head = "similarity"
    task = "retrieval"
    is_measured_by_task = True

    @property
    def output(self) -> str:
        """What a user gets for a pair, in words."""
        return InBatchRanking(self.config).output

    def losses(self, batch: Encoded) -> Tensor:
        """Return what each record loses, (B,): the mean over the candidates right for it."""
        return self._found(batch)[0]

    def sums(self, batch: Encoded) -> Sequence[float]:
        """Return the summed losses, and for how many records the likeliest candidate is right."""
        import torch

        candidates = _all_of(batch)
        with torch.no_grad():
            losses, logits = self._found(batch)
            best = logits.argmax(1)[candidates.records] == candidates.right  # (m,)
        return float(losses.double().sum()), float(best.sum())

    def _found(self, batch: Encoded) -> tuple[Tensor, Tensor]:
        """Return what each record loses, (B,), and the logits of all candidates, (B, L)."""
        candidates, smoothing = _all_of(batch), self.config.label_smoothing
        logits = candidates.product(batch.a * candidates.scale, batch.b)  # (B, L)
        counts = logits.new_zeros(len(logits)).index_add_(
            0, candidates.records, logits.new_ones(len(candidates.records))
        )  # (B,)
        share = 1 / counts.clamp(min=1)[candidates.records]  # (m,)
        own = logits[candidates.records, candidates.right] * share  # (m,)
        right = logits.new_zeros(len(logits)).index_add(0, candidates.records, own)  # (B,)
        has_any = (counts > 0).float()  # (B,)
        target = (1 - smoothing) * right + smoothing * logits.mean(1) * has_any
        return logits.logsumexp(1) * has_any - target, logits


def _all_of(batch: Encoded) -> RightCandidates:
    assert batch.candidates is not None, "our bug: the batch does not hold all candidates"
    return batch.candidates


def _odds_losses(a: Tensor, b: Tensor, candidates: RightCandidates) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy of each record, (B,), and all odds, (B, L)."""
    from torch.nn import functional

    odds = candidates.product(a, b)  # (B, L)
    right = odds[candidates.records, candidates.right]  # (m,)
    lost = functional.softplus(odds).sum(1)  # (B,)
    return lost.index_add(0, candidates.records, right, alpha=-1) / len(b), odds
