"""What an objective is: all that differs between one thing to learn and another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from object2vec.config import Config

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class Pairing(Protocol):
    """Which embeddings make the B records of a batch: row `rows0[i]` with row `rows1[i]`."""

    @property
    def rows0(self) -> NDArray[np.int64]:
        """Rows of in0's embeddings, (B,)."""

    @property
    def rows1(self) -> NDArray[np.int64]:
        """Rows of in1's embeddings, (B,)."""


class LabelRule(Protocol):
    """Which labels an objective learns from."""

    def rejected(self, label: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which of the labels (m,) are none."""

    def problem(self, label: float) -> str:
        """Return what a rejected label should have been, and what to do."""

    def counts(self, label: NDArray[np.float32]) -> NDArray[np.int64] | None:
        """Return how many of the labels (m,) each class has; None where there are no classes."""


@dataclass(frozen=True)
class Metric:
    """A figure of quality.

    Parameters
    ----------
    name : str
    kind : {"loss", "score"}
        Whether a lower or a higher one is better.
    short : str, optional
        Name in the table of epochs; by default the name.
    is_tabled : bool, default True
        Whether that table shows it.
    is_quality : bool, default True
        Whether AWS's log has ``#quality_metric`` lines of it, for SageMaker to read.
    algorithm : {"object2vec", "ipinsights"}
        AWS's algorithm that has it.
    """

    name: str
    kind: Literal["loss", "score"]
    short: str = ""
    is_tabled: bool = True
    is_quality: bool = True
    algorithm: Literal["object2vec", "ipinsights"] = "object2vec"


class Encoded:
    """A batch as an objective sees it: both sides encoded, and logits for who asks for them.

    Parameters
    ----------
    a, b : Tensor of shape (P, D), (Q, D)
        Embeddings of in0 and in1, each sequence's once; without pairing P = Q = B.
    pairing : Pairing or None
        Which embeddings make each of the B records; row i with row i if None.
    label : ndarray of shape (B,), float32
    score : callable
        Returns the logits (B, K) of `a`, `b` and `pairing`: `Network.score`.
    weight : ndarray of shape (B,), float32, optional
        What each record counts in training, 1 on average.
    is_training : bool, default False
        Whether the network learns from the batch.
    """

    def __init__(
        self,
        a: Tensor,
        b: Tensor,
        pairing: Pairing | None,
        label: NDArray[np.float32],
        score: Callable[[Tensor, Tensor, Pairing | None], Tensor],
        weight: NDArray[np.float32] | None = None,
        is_training: bool = False,
    ) -> None:
        self.is_training = is_training
        self.a, self.b, self.pairing, self.label, self.weight = a, b, pairing, label, weight
        self._score = score

    @cached_property
    def logits(self) -> Tensor:
        """What the head says of the records, (B, K), computed when it is first asked for."""
        return self._score(self.a, self.b, self.pairing)

    @cached_property
    def target(self) -> Tensor:
        """The labels where the embeddings are, (B,) float32."""
        import torch

        return torch.from_numpy(self.label).to(self.a.device)


class Objective(ABC):
    """What a network learns.

    It holds no parameters: those belong to the network.

    Parameters
    ----------
    config : Config

    Attributes
    ----------
    metrics : tuple of Metric
        In the order of AWS's logs.
    watched : Metric
        The one that decides which epoch is best and when to stop.
    overall : tuple of Metric
        Those that need all records at once: of validation and test, not of training.
    measured_against : pair of int, optional
        Negatives that each record of validation and test gets where all are positives: with the in1
        of another record, and with one that is drawn; by default as in training.
    has_head : bool
        Whether layers make the logits; else they are the sum of the comparator's vector.
    averages_batches : bool
        Whether metrics are the mean of the batches' means, in which a record of a smaller last
        batch weighs more. Else every record weighs the same.
    """

    metrics: ClassVar[tuple[Metric, ...]]
    watched: ClassVar[Metric]
    overall: ClassVar[tuple[Metric, ...]] = ()
    measured_against: ClassVar[tuple[int, int] | None] = None
    has_head: ClassVar[bool] = True
    averages_batches = False

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers that the head gives for one record, K."""

    @property
    @abstractmethod
    def labels(self) -> LabelRule:
        """Which labels it learns from."""

    @property
    @abstractmethod
    def output(self) -> str:
        """What a user gets for a pair, in words."""

    @abstractmethod
    def losses(self, batch: Encoded) -> Tensor:
        """Return the loss of each record of a batch in training, (B,)."""

    def loss(self, batch: Encoded) -> Tensor:
        """Return the mean loss of a batch in training, a scalar; its records as they weigh.

        Weights scale the loss that is trained on, and no metric: those stay comparable with a run
        without weights.
        """
        import torch

        losses = self.losses(batch)  # (B,)
        if batch.weight is not None:
            losses = losses * torch.from_numpy(batch.weight).to(losses.device)
        return losses.mean()

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """Return what a user sees of logits (B, K), of the same shape."""

    @abstractmethod
    def sums(self, batch: Encoded) -> Sequence[float]:
        """Return what `values` takes the means of, summed over the records of a batch."""

    def values(self, means: Sequence[float]) -> Sequence[float]:
        """Return the metrics, in their order, from the means of `sums` over all records."""
        return means

    def overall_values(
        self, scores: NDArray[np.float32], label: NDArray[np.float32]
    ) -> Sequence[float]:
        """Return the metrics of `overall`, in their order, of all scores (n, K) and labels (n,)."""
        return ()

    def shown(self, batch: Encoded) -> NDArray[np.float32]:
        """Return the scores of a batch as an array, (B, K)."""
        scores: NDArray[np.float32] = self.scores(batch.logits.detach()).cpu().numpy()
        return scores
