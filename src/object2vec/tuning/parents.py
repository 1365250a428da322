"""What earlier studies know: their trials as the beginning of a new one.

The two ways and their constraints are SageMaker's
(https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-warm-start.html): with
``IDENTICAL_DATA_AND_ALGORITHM`` the data are the same and ranges may differ; with
``TRANSFER_LEARNING`` the data may differ, too. No weights are reused.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from object2vec.errors import ConfigError, join_problems, problem
from object2vec.tuning.search import Search
from object2vec.tuning.space import Space
from object2vec.tuning.trials import Study, Trial

WarmStart = Literal["IDENTICAL_DATA_AND_ALGORITHM", "TRANSFER_LEARNING"]
MAX_PARENTS, MAX_CHANGES = 5, 10
_FIRST = 3  # of the best values of all parents, tried first on other data
_ENOUGH = 3  # trials of its own that tell a study what is usual on its data


@dataclass(frozen=True)
class Setting:
    """What a study and its parents are compared by.

    Parameters
    ----------
    objective : str
    space : mapping
        State of the `Space`.
    fixed : mapping
        Hyperparameters that are set and not tuned.
    data : str
        What tells data from others.
    """

    objective: str
    space: Mapping[str, Any]
    fixed: Mapping[str, Any]
    data: str

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Setting:
        """Return what the settings of a study say of it."""
        return cls(**{name: settings[name] for name in ("objective", "space", "fixed", "data")})


def check(facts: Setting, parents: Sequence[Study], kind: WarmStart) -> None:
    """Raise `ConfigError` where AWS would not let a study begin with these parents."""
    problems = []
    if not 1 <= len(parents) <= MAX_PARENTS:
        must, cure = f"must be 1 to {MAX_PARENTS}", "Name fewer studies."
        problems.append(problem("parents", must, len(parents), cure))
    for parent in parents:
        where = f"parent {parent.path}"
        problems += _contradictions(where, facts, Setting.of(parent.settings), kind)
        if not all(trial.is_over for trial in parent.trials()):
            cure = "Finish it first: object2vec tune --resume."
            problems.append(problem(where, "must be finished", "trials that are not", cure))
    if problems:
        raise ConfigError(join_problems(problems))


def _contradictions(where: str, facts: Setting, old: Setting, kind: WarmStart) -> list[str]:
    """Return what of a parent does not fit."""
    found = []
    if old.objective != facts.objective:
        must, cure = f"must have the objective {facts.objective}", "Tune by the same metric."
        found.append(problem(where, must, old.objective, cure))
    names, before = {*facts.space, *facts.fixed}, {*old.space, *old.fixed}
    if names != before:
        must = "must set and tune the same hyperparameters"
        cure = "Set or tune them in both studies."
        found.append(problem(where, must, sorted(names ^ before), cure))
    types = [n for n in {*facts.space} & {*old.space} if _type(facts, n) != _type(old, n)]
    if types:
        must, cure = "must have ranges of the same types", "Leave the types as they are."
        found.append(problem(where, must, sorted(types), cure))
    changes = [n for n in names & before if (n in facts.space) != (n in old.space)]
    changes += [n for n in {*facts.fixed} & {*old.fixed} if facts.fixed[n] != old.fixed[n]]
    if len(changes) > MAX_CHANGES:
        must, cure = f"must differ in {MAX_CHANGES} settings at the most", "Change fewer."
        found.append(problem(where, must, sorted(changes), cure))
    if kind == "IDENTICAL_DATA_AND_ALGORITHM" and old.data != facts.data:
        cure = "Use TRANSFER_LEARNING for other data."
        found.append(problem(where, "must have the same data", "other data", cure))
    return found


def _type(facts: Setting, name: str) -> str:
    return str(facts.space[name]["type"])


def knowledge(
    search: Search, parents: Sequence[Study], kind: WarmStart | None, own: Sequence[Trial]
) -> tuple[list[Trial], list[dict[str, Any]]]:
    """Return the trials that the parents add to a study's own, and the values to try first.

    On the same data a value is a value. On other data only their order means something: values are
    put on the scale of the study's own trials, once there are some, and the best ones of the
    parents are tried first.
    """
    if kind is None:
        return [], []
    known = [[t for t in p.trials() if t.value is not None] for p in parents]
    if kind == "IDENTICAL_DATA_AND_ALGORITHM":
        return [trial for trials in known for trial in trials], []
    first = [trial for trials in known for trial in trials if _fits(search.space, trial)]
    first.sort(key=lambda trial: search.objective.sign * trial.known_value)
    have = [trial.known_value for trial in own if trial.is_over and trial.value is not None]
    scaled = [trial for trials in known for trial in _scaled(trials, have)]
    return scaled, [trial.values for trial in _different(first)[:_FIRST]]


def _scaled(trials: Sequence[Trial], have: Sequence[float]) -> list[Trial]:
    """Return trials with values of the mean and the spread of others."""
    if len(have) < _ENOUGH or len(trials) < 2:
        return []
    values = [trial.known_value for trial in trials]
    mean, spread = statistics.fmean(values), statistics.pstdev(values) or 1.0
    target, width = statistics.fmean(have), statistics.pstdev(have)
    return [replace(t, value=target + width * (t.known_value - mean) / spread) for t in trials]


def _fits(space: Space, trial: Trial) -> bool:
    drawn = (each.drawn(trial.values.get(name)) for name, each in space.ranges.items())
    return all(value is not None for value in drawn)


def _different(trials: Sequence[Trial]) -> list[Trial]:
    """Return trials without those whose values another one has."""
    seen: dict[str, Trial] = {}
    for trial in trials:
        seen.setdefault(str(sorted(trial.values.items())), trial)
    return list(seen.values())
