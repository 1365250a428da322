"""What a task is: records and a model in, figures and the protocol behind them out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import ConfigError, suggestion
from object2vec.evaluation.measure import RESAMPLES, Figure
from object2vec.evaluation.retrieval import Ties

if TYPE_CHECKING:
    from object2vec.inference.engine import Engine
    from object2vec.tasks.records import Records, TaskSource

By = Literal["cosine", "dot", "euclidean", "score"]
Floats = NDArray[np.float32]

_PAIRS = 1 << 22  # numbers of embeddings that are scored at once


@dataclass(frozen=True)
class Question:
    """What is asked besides the task.

    Parameters
    ----------
    label : str, optional
        Column of the labels; by default that of training.
    validation : anything like the file itself, optional
        What thresholds are chosen on.
    known : anything like the file itself, optional
        Pairs that are no candidates, as training has seen them.
    candidates : anything that has objects of in1, optional
        What is ranked; by default the in1 of the file and of `known`.
    by : {"cosine", "dot", "euclidean", "score"}, optional
        What ranks; by default what the objective compares. `score` is what `predict` gives.
    ties : {"mean", "pessimistic"}
        As of `object2vec.evaluation.ranks`.
    at : sequence of int
        The k of the figures that have one.
    relevant : float, optional
        The least label of a right pair; by default any above 0.
    clip : pair of float, optional
        Least and greatest prediction of a number.
    resamples, seed : int
        Of the bootstrap; `seed` also of pairs that are made of documents.
    """

    label: str | None = None
    validation: Any = None
    known: Any = None
    candidates: Any = None
    by: By | None = None
    ties: Ties = "mean"
    at: Sequence[int] = (1, 5, 10, 20, 50)
    relevant: float | None = None
    clip: tuple[float, float] | None = None
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, (is_right, must, cure) in _RULES.items():
            if not is_right(value := getattr(self, name)):
                raise ConfigError.at(name, must, value, cure)

    @classmethod
    def build(cls, given: Mapping[str, Any]) -> Question:
        """Return the question of these arguments; raise `ConfigError` if one is unknown."""
        names = [each.name for each in fields(cls)]
        for name in given:
            if name not in names:
                cure = suggestion(name, names).strip() or f"There are {', '.join(names)}."
                raise ConfigError.at("evaluate", "must be asked what it knows", name, cure)
        return cls(**given)


def _is_whole(value: Any, least: int = 0) -> bool:
    return isinstance(value, Integral) and int(value) >= least


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _are_bounds(values: Any) -> bool:
    are_two = isinstance(values, Collection) and len(values) == 2 and all(map(_is_finite, values))
    return are_two and sorted(set(values)) == list(values)


_WHOLE = _is_whole, "must be a whole number, 0 or more", "For example 1000."
_RULES: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "at": (
        lambda values: isinstance(values, Iterable) and all(_is_whole(k, 1) for k in values),
        "must be whole numbers above 0",
        "For example (1, 10).",
    ),
    "relevant": (lambda v: v is None or _is_finite(v), "must be a number", "For example 4."),
    "clip": (
        lambda values: values is None or _are_bounds(values),
        "must be two finite numbers, the lower one first",
        "For example (1, 5).",
    ),
    "resamples": _WHOLE,
    "seed": _WHOLE,
}


class Evaluation(dict[str, float]):
    """The figures of a task by name.

    Parameters
    ----------
    task : str
    figures : mapping of str to Figure
    protocol : mapping of str to object
        What was measured and how, as JSON values.

    Attributes
    ----------
    task, figures, protocol
    """

    def __init__(
        self, task: str, figures: Mapping[str, Figure], protocol: Mapping[str, Any]
    ) -> None:
        super().__init__({name: figure.value for name, figure in figures.items()})
        self.task, self.figures, self.protocol = task, dict(figures), dict(protocol)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as values for JSON; none for a figure that is no number."""
        metrics = {name: _number(value) for name, value in self.items()}
        intervals = {
            name: [figure.low, figure.high]
            for name, figure in self.figures.items()
            if figure.low is not None
        }
        protocol = self.protocol
        return {"task": self.task, "protocol": protocol, "metrics": metrics, "intervals": intervals}

    def lines(self) -> list[str]:
        """Return all of it for people."""
        width = max(map(len, self), default=0)
        shown = [f"task: {self.task}"]
        shown += [
            f"{name.replace('_', ' ')}: {_shown(value)}" for name, value in self.protocol.items()
        ]
        for name, figure in self.figures.items():
            line = f"  {name:{width}}  {figure.value:.4f}"
            if figure.low is not None:
                line += f"  ({figure.low:.4f} to {figure.high:.4f})"
            shown.append(line)
        return shown


class Task(ABC):
    """A way to measure a model.

    Attributes
    ----------
    name : str
    uses : frozenset of str
        What of a `Question` it looks at, besides `resamples` and `seed`.
    """

    name: ClassVar[str]
    uses: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def measure(self, engine: Engine, source: TaskSource, question: Question) -> Evaluation:
        """Return the figures of a model on the records of a source.

        Raises
        ------
        ConfigError
            If the model does not suit this task.
        DataError
            If the records are wrong.
        """

    def check(self, question: Question) -> None:
        """Reject what was asked and has no meaning here."""
        nothing = Question()
        for name in sorted(vars(nothing).keys() - self.uses - {"resamples", "seed"}):
            if getattr(question, name) != getattr(nothing, name):
                must, got = "must be left out", getattr(question, name)
                cure = f"It means nothing to the task {self.name}."
                raise ConfigError.at(name, must, got, cure)


def labels_of(records: Records, task: str) -> Floats:
    """Return the labels of records, (n,); raise `ConfigError` if there are none."""
    if records.label is None:
        must, cure = f"must name the column of labels for the task {task}", "Pass --label COLUMN."
        raise ConfigError.at("label", must, "none", cure)
    return records.label


def scores_of(engine: Engine, records: Records) -> Floats:
    """Return what `predict` gives for records, (n, K)."""
    return engine.score(records.in0, records.in1)


def scores_of_all(engine: Engine, a: Floats, b: Floats) -> Sequence[slice]:
    """Return which rows of `a` (m, D) can be scored at once with all of `b` (N, D)."""
    step = max(1, _PAIRS // max(1, b.size))
    return [slice(start, start + step) for start in range(0, len(a), step)]


def score_rows(engine: Engine, a: Floats, b: Floats) -> Floats:
    """Return one number for each pair of an embedding of in0 and one of in1, (m, N).

    Of two classes it is the probability of the second one.

    Raises
    ------
    ConfigError
        If the model has more classes.
    """
    scores = engine.score_embeddings(np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1)))
    if scores.shape[1] > 2:
        must, got = "must be a model of one number or two classes", f"{scores.shape[1]} classes"
        raise ConfigError.at("by", must, got, "Leave it out, or use --by cosine.")
    return scores[:, -1].reshape(len(a), len(b))


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
