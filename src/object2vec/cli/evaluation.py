"""``object2vec evaluate``: the metrics of training, or those of a task."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from object2vec.cli.tables import Reading
from object2vec.errors import ConfigError
from object2vec.files.sources import list_sources
from object2vec.task_names import TaskName

ASKED = "label validation known candidates by ties at relevant clip resamples seed".split()
"""The options that say what is asked of a task, as `object2vec.tasks.Question` has them."""


def _arguments(asked: Mapping[str, Any], table: Callable[[Sequence[str]], Any]) -> dict[str, Any]:
    """Return what was asked as `model.evaluate` takes it: numbers, and tables of files."""
    given = dict(asked)
    for name in ("validation", "candidates"):
        if name in given:
            given[name] = table([given[name]])
    if "known" in given:
        given["known"] = table(list(given["known"]))
    if "at" in given:
        given["at"] = tuple(_numbers("--at", given["at"], ",", int))
    if "clip" in given:
        given["clip"] = tuple(_numbers("--clip", given["clip"], ":", float, 2))
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


def _reject_idle_seed(asked: Mapping[str, Any]) -> None:
    """Reject a seed where no samples are drawn, of a model for which no pairs are made either."""
    if "seed" in asked and asked.get("resamples") == 0:
        must = "must be left out with --resamples 0, which draws nothing"
        raise ConfigError.at("--seed", must, asked["seed"], "Leave one of them out.")


def evaluate(
    model: str,
    files: Sequence[str],
    task: TaskName | None,
    asked: Mapping[str, Any],
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
    question = _arguments(asked, list)
    from object2vec.model import Object2Vec
    from object2vec.tasks import Evaluation

    loaded = Object2Vec.load(model, device=device)
    schema = loaded.artifact.schema
    if schema is None or schema.declared.making is None:
        _reject_idle_seed(asked)
    if schema is None:
        reading.reject()
    else:
        question = _arguments(asked, reading.table)
    source: Any = list(files) if schema is None else reading.table(files)
    objective = loaded.artifact.network.objective
    if task is None and not asked and objective.is_measured_by_task:
        task = objective.task
    metrics = loaded.evaluate(source, task=task, compat_metrics=compat, **question)
    if isinstance(metrics, Evaluation):
        return json.dumps(metrics.to_dict()) if as_json else "\n".join(metrics.lines())
    return json.dumps({k: v if math.isfinite(v) else None for k, v in metrics.items()})
