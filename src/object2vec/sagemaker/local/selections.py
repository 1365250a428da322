"""JSONPath as batch transform has it: which part of a record goes in, and which comes out.

The operators are ``$``, ``.name``, ``[0]``, ``[-1]``, ``[1:3]``, ``['name']`` and lists of these in
one pair of brackets. A list gives a list of an array, and an object of an object.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Selection = Callable[[Any], Any]

_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[([^\]]*)\]")
_PART = re.compile(r"'([^']*)'|\"([^\"]*)\"|(-?\d*):(-?\d*)|(-?\d+)|(\*)")


class WrongSelection(ValueError):
    """What is no JSONPath that is read here, or selects what a record does not have."""


def selection(path: str) -> Selection:
    """Return what takes the part of a record that a JSONPath means.

    Raises
    ------
    WrongSelection
        If it is none.

    Examples
    --------
    >>> selection("$['id','SageMakerOutput']")({"id": 7, "in0": [1], "SageMakerOutput": {}})
    {'id': 7, 'SageMakerOutput': {}}
    >>> selection("$[0,2:]")(["a", "b", "c", "d"])
    ['a', 'c', 'd']
    """
    if not path.startswith("$"):
        raise WrongSelection(f"A JSONPath must begin with $; got {path!r}.")
    steps: list[Selection] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise WrongSelection(f"JSONPath {path!r} cannot be read from {path[position:]!r} on.")
        position = match.end()
        steps.append(_member(match[1]) if match[1] else _bracket(match[2], path))

    def select(record: Any) -> Any:
        for step in steps:
            record = step(record)
        return record

    return select


def _bracket(text: str, path: str) -> Selection:
    """Return the step that a pair of brackets means."""
    parts = []
    for piece in text.split(","):
        match = _PART.fullmatch(piece.strip())
        if match is None:
            raise WrongSelection(f"JSONPath {path!r} must not hold {piece.strip()!r}.")
        parts.append(match)
    if len(parts) == 1 and not (parts[0][3] is not None or parts[0][6]):
        only = parts[0]
        return _index(int(only[5])) if only[5] is not None else _member(only[1] or only[2] or "")

    def several(record: Any) -> Any:
        if isinstance(record, dict):
            names = [part[1] or part[2] or "" for part in parts]
            return {name: _member(name)(record) for name in names}
        found: list[Any] = []
        for part in parts:
            found += _taken(record, part)
        return found

    return several


def _taken(record: Any, part: re.Match[str]) -> list[Any]:
    """Return the elements of an array that one part of a pair of brackets means."""
    if part[5] is not None:
        return [_index(int(part[5]))(record)]
    if not isinstance(record, list):
        raise WrongSelection(f"an array is wanted; got {type(record).__name__}")
    return record[int(part[3]) if part[3] else None : int(part[4]) if part[4] else None]


def _member(name: str) -> Selection:
    def take(record: Any) -> Any:
        if not isinstance(record, dict) or name not in record:
            raise WrongSelection(f"the record has no {name!r}")
        return record[name]

    return take


def _index(number: int) -> Selection:
    def take(record: Any) -> Any:
        if not isinstance(record, list) or not -len(record) <= number < len(record):
            raise WrongSelection(f"the record has no element {number}")
        return record[number]

    return take
