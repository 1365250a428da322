"""Options that would have no effect beside others: an error, not silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from object2vec.config.presets import names_columns
from object2vec.errors import ConfigError, join_problems, problem

Given = Mapping[str, Any]
"""The values of a command's options, by parameter."""


@dataclass(frozen=True)
class Idle:
    """Options of a command that do nothing under a condition.

    Parameters
    ----------
    options : str
        Their parameters, with blanks between them.
    when : callable
        Takes all options of the command.
    must : str
        What must hold instead.
    cure : str
    """

    options: str
    when: Callable[[Given], bool]
    must: str
    cure: str


def check_idle(command: str, given: Given, named: Mapping[str, str]) -> None:
    """Report options that do nothing.

    Parameters
    ----------
    command : str
        Its name.
    given : mapping
        The values of all of its options, by parameter.
    named : mapping of str to str
        What those are called that the user gave, by parameter: ``--format``.

    Raises
    ------
    ConfigError
        All problems together.
    """
    problems = [
        problem(named[name], rule.must, _shown(given[name]), rule.cure)
        for rule in IDLE.get(command, ())
        for name in rule.options.split()
        if name in named and rule.when(given)
    ]
    if problems:
        raise ConfigError(join_problems(problems))


def _shown(value: Any) -> Any:
    """Return a value as it was given: a list as text, a flag as itself."""
    if value is True:
        return "it"
    return ",".join(value) if isinstance(value, (list, tuple)) else value


def has_table(given: Given) -> bool:
    """Return whether the columns of a side are named, or made; else records are AWS's."""
    sides = given["in0"] or given["in1"] or given["pairs"]
    return bool(sides) or names_columns(given["preset"])


def _searches(given: Given, strategy: str) -> bool:
    return bool(given["strategy"].lower() == strategy)


_OF_TABLES = "label weight group time share preset"
_READING = "columns separator quote encoding"
_TABLE = "goes with --in0 and --in1"
_EXAMPLE = "Name the columns of each side, such as --in0 user --in1 film."
_LINES = Idle(
    f"input_format {_READING}",
    lambda given: given["lines"],
    "must be left out with --lines: a line is a value as it stands",
    "Leave one of them out.",
)
_ABOUT = (
    Idle(
        "name as_json",
        lambda given: given["markdown"],
        "must be left out with --markdown, which prints the page of all",
        "Leave one of them out.",
    ),
)

IDLE: dict[str, tuple[Idle, ...]] = {
    "train": (
        Idle(f"{_OF_TABLES} vectors", lambda given: not has_table(given), _TABLE, _EXAMPLE),
        Idle(
            f"table_format {_READING}",
            lambda given: not (has_table(given) or given["start_from"]),
            _TABLE,
            _EXAMPLE,
        ),
        Idle(
            "time",
            lambda given: has_table(given) and not given["split"],
            "goes with --split",
            "Keep a share of the rows for validation, such as --split 0.1.",
        ),
        Idle(
            "auxiliary",
            has_table,
            "must be left out with a table, whose vocabulary is learned",
            "Begin with vectors of words by --vectors.",
        ),
        Idle(
            "host",
            lambda given: given["log_format"] != "sagemaker",
            "goes with --log-format sagemaker",
            "The other formats name no host: leave it out.",
        ),
    ),
    "check": (
        Idle(
            f"{_OF_TABLES} table_format {_READING}",
            lambda given: not has_table(given),
            _TABLE,
            _EXAMPLE,
        ),
        Idle(
            "channel",
            lambda given: has_table(given) or not (given["config"] or given["settings"]),
            "goes with hyperparameters for AWS's records",
            "Leave it out, or give --set or --config.",
        ),
    ),
    "tune": (
        Idle(
            "warm_start",
            lambda given: not given["parent"],
            "goes with --parent",
            "Name the study to learn from.",
        ),
        Idle(
            "parent",
            lambda given: (
                _searches(given, "grid")
                or (_searches(given, "random") and given["warm_start"] != "TRANSFER_LEARNING")
            ),
            "goes with a strategy that learns from other trainings",
            "Use --strategy bayesian or hyperband.",
        ),
        Idle(
            "seed",
            lambda given: _searches(given, "grid"),
            "must be left out with --strategy grid, which draws nothing",
            "Leave one of them out.",
        ),
        Idle(
            "early_stopping",
            lambda given: _searches(given, "hyperband"),
            "must be left out with --strategy hyperband, which stops trainings by itself",
            "Leave one of them out.",
        ),
    ),
    "encode": (_LINES,),
    "evaluate": (
        Idle(
            "compat_metrics",
            lambda given: given["task"] is not None,
            "must be left out with --task: it is of the metrics of training",
            "Leave one of them out.",
        ),
    ),
    "nearest": (
        _LINES,
        Idle(
            f"input_format {_READING} lines",
            lambda given: given["candidates"] is None,
            "goes with --candidates",
            "Name the file that it says how to read.",
        ),
    ),
    "demo": (
        Idle(
            "overwrite",
            lambda given: given["out"] is None,
            "goes with --out",
            "Name the folder of the model to replace.",
        ),
    ),
    "hyperparameters": _ABOUT,
    "kinds": _ABOUT,
    "pairs": _ABOUT,
}
"""By command: which of its options do nothing, and when. A test goes through all options."""
