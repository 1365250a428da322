"""Options that would have no effect beside others: an error, not silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
    cure : str, optional
    """

    options: str
    when: Callable[[Given], bool]
    must: str
    cure: str = "Leave one of them out."


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
    from object2vec.config.presets import names_columns

    sides = given["in0"] or given["in1"] or given["pairs"]
    return bool(sides) or names_columns(given["preset"])


def _searches(given: Given, strategy: str) -> bool:
    return bool(given["strategy"].lower() == strategy)


def _needs(options: str, other: str, cure: str) -> Idle:
    """Return that options do nothing without another one."""
    return Idle(options, lambda given: not given[other], f"goes with --{other}", cure)


def _excludes(options: str, other: str, why: str) -> Idle:
    """Return that options do nothing beside another one."""
    return Idle(options, lambda given: given[other], f"must be left out with --{other}{why}")


_OF_TABLES = "label weight group share preset"
_READING = "columns separator quote encoding"
_TABLE = "goes with --in0 and --in1"
_EXAMPLE = "Name the columns of each side, such as --in0 user --in1 film."
_LINES = _excludes(f"input_format {_READING}", "lines", ": a line is a value as it stands")
_PAGE = (_excludes("name as_json", "markdown", ", which prints the page of all"),)

IDLE: dict[str, tuple[Idle, ...]] = {
    "train": (
        Idle(f"{_OF_TABLES} time vectors", lambda given: not has_table(given), _TABLE, _EXAMPLE),
        Idle(
            f"table_format {_READING}",
            lambda given: not (has_table(given) or given["start_from"]),
            _TABLE,
            _EXAMPLE,
        ),
        _needs("time", "split", "Keep a share of the rows, such as --split 0.1."),
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
        _needs("warm_start", "parent", "Name the study to learn from."),
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
        ),
        Idle(
            "early_stopping",
            lambda given: _searches(given, "hyperband"),
            "must be left out with --strategy hyperband, which stops trainings by itself",
        ),
    ),
    "encode": (_LINES,),
    "evaluate": (_excludes("compat_metrics", "task", ": it is of the metrics of training"),),
    "nearest": (
        _LINES,
        _needs(
            f"input_format {_READING} lines",
            "candidates",
            "Name the file that it says how to read.",
        ),
    ),
    "demo": (_needs("overwrite", "out", "Name the folder of the model to replace."),),
    "hyperparameters": _PAGE,
    "kinds": _PAGE,
    "pairs": _PAGE,
}
"""By command: which of its options do nothing, and when."""
