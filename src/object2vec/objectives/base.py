"""What an objective is: all that differs between one thing to learn and another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from object2vec.config import Config
from object2vec.task_names import TaskName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    _Rows = NDArray[np.integer[Any]]


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
        """Return which of the labels (m,) it does not learn from."""

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
    algorithm : {"object2vec", "ipinsights", "beyond"}
        AWS's algorithm that has it; "beyond" if none has.
    """

    name: str
    kind: Literal["loss", "score"]
    short: str = ""
    is_tabled: bool = True
    is_quality: bool = True
    algorithm: Literal["object2vec", "ipinsights", "beyond"] = "object2vec"


class Product(Protocol):
    """A matrix product that is the same to the bit for any number of threads."""

    def __call__(self, x: Tensor, weight: Tensor, /) -> Tensor:
        """Return ``x @ weight.T``, (N, O), of (N, I) and (O, I)."""


@dataclass(frozen=True, eq=False)
class Rivals:
    """What an objective needs that sets the records of a batch against each other.

    Parameters
    ----------
    excluded : pair of int64 arrays (m,), or None
        Records i and rows j of in1 that are no negatives of them, i in order.
    log_q : ndarray of shape (Q,), float32, or None
        Logarithm of how often each row of in1 is expected in a batch.
    scale : Tensor, scalar
        The learned factor of the similarities.
    product : Product
    """

    excluded: tuple[_Rows, _Rows] | None
    log_q: NDArray[np.float32] | None
    scale: Tensor
    product: Product


@dataclass(frozen=True, eq=False)
class RankedChannel:
    """A channel as a whole: each query with the candidates that are right for it.

    Parameters
    ----------
    queries, candidates : Tensor of shape (n, D), (N, D)
        Embeddings, as they are compared: their dot products are the similarities.
    right : pair of int64 arrays (n + 1,), (m,)
        Rows ``right[1][right[0][i]:right[0][i + 1]]`` of the candidates are right for query i, at
        least one.
    known : pair of int64 arrays (n + 1,), (l,), or None
        Those that are no candidates of it, as they are known from training.
    product : Product
    """

    queries: Tensor
    candidates: Tensor
    right: tuple[_Rows, _Rows]
    known: tuple[_Rows, _Rows] | None
    product: Product


class Contrast(NamedTuple):
    """What pairs lose against the noise of their blocks.

    Parameters
    ----------
    loss : Tensor, scalar
        The mean over pairs and their negatives, differentiable.
    lost : float
        The same without gradient, summed over the pairs.
    hits : float
        How many of the pairs score above, and of their negatives at most, what scores are compared
        with; a pair counts as the share of itself and its negatives that are right.
    """

    loss: Tensor
    lost: float
    hits: float


@dataclass(frozen=True, eq=False)
class RightCandidates:
    """What an objective needs that sets each record against every candidate, the L rows of in1.

    Parameters
    ----------
    records, right : Tensor of shape (m,), int64
        Candidate ``right[i]`` is right for record ``records[i]``.
    scale : Tensor of shape (1,)
        The learned factor of the similarities.
    product : Product
    """

    records: Tensor
    right: Tensor
    scale: Tensor
    product: Product


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
    rivals : Rivals, optional
        How the records are set against each other, if they are.
    contrast : callable, optional
        Returns what the pairs lose against noise, of a batch that has it.
    candidates : RightCandidates, optional
        Which rows of `b` are right for each row of `a`, where all are set against each.

    Attributes
    ----------
    found : tuple of Tensor (B,)
        What an objective found when it computed the losses, and its metrics need.
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
        rivals: Rivals | None = None,
        contrast: Callable[[], Contrast] | None = None,
        candidates: RightCandidates | None = None,
    ) -> None:
        self.candidates = candidates
        self.is_training, self.rivals = is_training, rivals
        self.found: tuple[Tensor, ...] = ()
        self.a, self.b, self.pairing, self.label, self.weight = a, b, pairing, label, weight
        self._score, self._contrast = score, contrast

    @cached_property
    def logits(self) -> Tensor:
        """What the head says of the records, (B, K), computed when it is first asked for."""
        return self._score(self.a, self.b, self.pairing)

    @cached_property
    def contrasted(self) -> Contrast | None:
        """What the pairs lose against noise; None if the batch has none."""
        return None if self._contrast is None else self._contrast()

    @cached_property
    def target(self) -> Tensor:
        """The labels where the embeddings are, (B,) float32."""
        import torch

        return torch.from_numpy(self.label).to(self.a.device, non_blocking=True)


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
    head : {"layers", "sum", "similarity", "odds"}
        What makes the logits: layers, or the sum of the comparator's vector; for a similarity with
        a learned scale beside it.
    is_in_batch : bool
        Whether the other records of a batch are a record's negatives, so that all are positives.
    default_label : float, optional
        Label of a record that has none.
    in_training : Metric, optional
        What is watched without validation; by default the same as with it.
    retrieval : tuple of Metric
        Those of `retrieved`, where validation and test are measured as a whole by retrieval.
    has_noise : bool
        Whether it can learn from pairs in blocks that share their negatives.
    task : str
        What a model is good for; see `object2vec.tasks`.
    is_measured_by_task : bool
        Whether the command `evaluate` measures that where no task is named, not the metrics.
    threshold : float
        From which score on a pair is a positive, where there is one number.
    averages_batches : bool
        Whether metrics are the mean of the batches' means, in which a record of a smaller last
        batch weighs more. Else every record weighs the same.
    """

    metrics: ClassVar[tuple[Metric, ...]]
    watched: ClassVar[Metric]
    overall: ClassVar[tuple[Metric, ...]] = ()
    measured_against: ClassVar[tuple[int, int] | None] = None
    head: ClassVar[Literal["layers", "sum", "similarity", "odds"]] = "layers"
    is_in_batch: ClassVar[bool] = False
    default_label: ClassVar[float | None] = None
    in_training: ClassVar[Metric | None] = None
    retrieval: ClassVar[tuple[Metric, ...]] = ()
    has_noise: ClassVar[bool] = False
    task: ClassVar[TaskName]
    is_measured_by_task: ClassVar[bool] = False
    threshold: ClassVar[float] = 0.5
    averages_batches = False

    @property
    def score(self) -> Metric:
        """The metric that says in one number how good a model is: a score if there is one."""
        scores = () if self.retrieval else (each for each in self.metrics if each.kind == "score")
        return next(iter(scores), self.watched)

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def normalized(self) -> tuple[bool, bool]:
        """Whether the embeddings of in0 and of in1 are scaled to length 1 before comparison."""
        return False, False

    @property
    def width(self) -> int:
        """Numbers that the head gives for one record, K; by default there is one."""
        return 1

    @property
    @abstractmethod
    def labels(self) -> LabelRule:
        """Which labels it learns from."""

    @property
    @abstractmethod
    def output(self) -> str:
        """What a user gets for a pair, in words."""

    @property
    def offset(self) -> float:
        """What scores are compared with in training, where there is noise."""
        raise NotImplementedError

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
            losses = losses * torch.from_numpy(batch.weight).to(losses.device, non_blocking=True)
        return losses.mean()

    def scores(self, logits: Tensor) -> Tensor:
        """Return what a user sees of logits (B, K), of the same shape; by default themselves."""
        return logits

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
        raise NotImplementedError

    def retrieved(self, channel: RankedChannel) -> Mapping[str, float]:
        """Return the metrics of `retrieval`, by name, of a channel as a whole."""
        raise NotImplementedError

    def shown(self, batch: Encoded) -> NDArray[np.float32]:
        """Return the scores of a batch as an array, (B, K)."""
        scores: NDArray[np.float32] = self.scores(batch.logits.detach()).cpu().numpy()
        return scores
