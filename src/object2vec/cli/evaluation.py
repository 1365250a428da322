"""``object2vec evaluate``: the metrics of training, or those of a task."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from object2vec.cli.tables import Reading
from object2vec.errors import ConfigError
from object2vec.files.sources import list_sources
from object2vec.objectives.base import TaskName


@dataclass(frozen=True)
class TaskOptions:
    """What was asked, as it was given.

    Parameters
    ----------
    name : str, optional
        By default the metrics of training.
    label, validation, known, candidates, by, ties, relevant, resamples, seed
        As of `object2vec.tasks.Question`, files by their names.
    at : str
        Numbers with commas between them.
    clip : str, optional
        Two numbers with a colon between them.
    """

    name: TaskName | None = None
    label: str | None = None
    validation: str | None = None
    known: Sequence[str] = ()
    candidates: str | None = None
    by: str | None = None
    ties: str = "mean"
    at: str = "1,5,10,20,50"
    relevant: float | None = None
    clip: str | None = None
    resamples: int = 1_000
    seed: int = 0

    def arguments(self, table: Any) -> dict[str, Any]:
        """Return what differs from the defaults, as `model.evaluate` takes it.

        Parameters
        ----------
        table : callable
            Returns what files hold.

        Raises
        ------
        ConfigError
            If some are no numbers.
        """
        nothing = TaskOptions()
        given = {n: v for n, v in vars(self).items() if n != "name" and v != getattr(nothing, n)}
        for name in ("validation", "candidates"):
            if name in given:
                given[name] = table([given[name]])
        if self.known:
            given["known"] = table(list(self.known))
        if "at" in given:
            given["at"] = tuple(_numbers("--at", self.at, ",", int))
        if "clip" in given:
            low, high = _numbers("--clip", str(self.clip), ":", float, 2)
            given["clip"] = low, high
        return given


def _numbers(name: str, text: str, between: str, kind: Any, count: int | None = None) -> list[Any]:
    """Return the numbers of a text."""
    try:
        numbers = [kind(part) for part in text.split(between)]
    except ValueError:
        numbers = []
    is_right = numbers and (len(numbers) == count if count else min(numbers) > 0)
    if not is_right or sorted(set(numbers)) != numbers:
        example = "1:5" if count else "1,10,50"
        must = f"must be ascending numbers with {between} between them"
        raise ConfigError.at(name, must, text, f"For example {name} {example}.")
    return numbers


def evaluate(
    model: str,
    files: Sequence[str],
    task: TaskOptions,
    compat: bool | None,
    device: str | None,
    reading: Reading,
    *,
    as_json: bool,
) -> str:
    """Return the metrics on pairs: those of training as one JSON object, those of a task as lines.

    Without a name it is the task that suits the objective; one that AWS has, too, has its metrics.

    Raises
    ------
    ArtifactError, ConfigError, DataError
        If the model, what is asked, or the records are wrong.
    """
    list_sources(files)  # a file that is not there is named before torch and the model are loaded
    asked = task.arguments(list)
    from object2vec.model import Object2Vec
    from object2vec.tasks import Evaluation

    loaded = Object2Vec.load(model, device=device)
    if loaded.artifact.schema is None:
        reading.reject()
    else:
        asked = task.arguments(reading.table)
    source: Any = list(files) if loaded.artifact.schema is None else reading.table(files)
    name, objective = task.name, loaded.artifact.network.objective
    if name is None and not asked and objective.is_measured_by_task:
        name = objective.task
    metrics = loaded.evaluate(source, task=name, compat_metrics=compat, **asked)
    if isinstance(metrics, Evaluation):
        return json.dumps(metrics.to_dict()) if as_json else "\n".join(metrics.lines())
    return json.dumps({k: v if math.isfinite(v) else None for k, v in metrics.items()})
