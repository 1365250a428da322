"""The tasks by name, and the one that suits a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from object2vec.errors import ConfigError, suggestion
from object2vec.task_names import TaskName
from object2vec.tasks.base import Evaluation, Question, Task
from object2vec.tasks.labels import Classification, MultiLabel, Regression, Similarity
from object2vec.tasks.ranks import Ranking, Retrieval

if TYPE_CHECKING:
    from object2vec.inference.engine import Engine
    from object2vec.tasks.records import TaskSource

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Retrieval(),
        Ranking(),
        Similarity(),
        Classification(),
        Regression(),
        MultiLabel(),
    )
}
assert tuple(TASKS) == get_args(TaskName)


def evaluate(engine: Engine, source: TaskSource, name: str, question: Question) -> Evaluation:
    """Return the figures of a task.

    Raises
    ------
    ConfigError
        If there is no task of this name, or the model or what is asked does not suit it.
    DataError
        If the records are wrong.
    """
    if not isinstance(name, str) or name not in TASKS:
        cure = suggestion(name, TASKS).strip() or f"Tasks: {', '.join(TASKS)}."
        raise ConfigError.at("task", "must be a task", name, cure)
    task = TASKS[name]
    task.check(question)
    return task.measure(engine, source, question)


def suiting(engine: Engine, question: Question) -> TaskName:
    """Return the task that suits a model and what is asked."""
    task = engine.network.objective.task
    return "ranking" if task == "retrieval" and question.known is not None else task
