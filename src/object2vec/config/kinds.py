"""The kinds of value that a hyperparameter may take; each states its rule and parses a value.

SageMaker passes every value as a string. A kind therefore reads a value's text, and a native value
means what it prints: ``512``, ``512.0``, ``"512"`` and a numpy scalar are one and the same.
"""

from __future__ import annotations

import math
import re
import string
from dataclasses import dataclass
from typing import Any, Protocol

COMPARATORS = {"hadamard": 1, "concat": 2, "abs_diff": 1}
"""The comparators, and how many times as wide as an embedding each one's output is."""


class ValueKind(Protocol):
    """A kind of value: it states its rule and parses a value."""

    @property
    def cure(self) -> str:
        """What to do about a rejected value, as the end of an error message."""

    @property
    def rule(self) -> str:
        """What a value must be, as the middle of an error message."""

    def parse(self, value: Any) -> Any:
        """Return the typed value.

        Raises
        ------
        ValueError
            If `value` breaks the rule.
        """


def _text(value: Any) -> str:
    """Return `value` as text, without the blanks and quotes that consoles leave around it."""
    return str(value).strip(string.whitespace + "\"'")


@dataclass(frozen=True)
class Integer:
    """Whole numbers from `low` to `high` (None: without bound), or one of a few words."""

    low: int
    high: int | None
    words: tuple[str, ...] = ()
    cure: str = "Choose a value in this range."

    @property
    def rule(self) -> str:
        """What a value must be."""
        span = f">= {self.low}" if self.high is None else f"in [{self.low}, {self.high}]"
        words = "".join(f"{word!r} or " for word in self.words)
        return f"must be {words}an integer {span}"

    def parse(self, value: Any) -> int | str:
        """Return the integer, or the word that stands for a choice made later."""
        text = _text(value)
        if text.lower() in self.words:
            return text.lower()
        number = int(text.removesuffix(".0"))  # JSON and pandas turn 512 into 512.0
        if number < self.low or (self.high is not None and number > self.high):
            raise ValueError("out of range")
        return number


@dataclass(frozen=True)
class Float:
    """Finite real numbers in ``[low, high]``."""

    low: float
    high: float
    cure: str = "Choose a value in this range."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return f"must be a number in [{self.low:g}, {self.high:g}]"

    def parse(self, value: Any) -> float:
        """Return the number; a numpy float32 means the decimal that it prints."""
        number = float(_text(value))
        if not (math.isfinite(number) and self.low <= number <= self.high):
            raise ValueError("out of range")
        return number


@dataclass(frozen=True)
class Boolean:
    """True or false, in any case when written as text."""

    cure: str = "Write true or false."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return "must be true or false"

    def parse(self, value: Any) -> bool:
        """Return the boolean."""
        word = _text(value).lower()
        if word not in ("true", "false"):
            raise ValueError("not a boolean")
        return word == "true"


@dataclass(frozen=True)
class Choice:
    """One of a few words; an alias stands for one of them. AWS does not know the extensions."""

    values: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    cure: str = "Choose one of them."
    extensions: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """What a value must be."""
        return "must be one of " + ", ".join(map(repr, (*self.values, *self.extensions)))

    def is_alias(self, value: Any) -> bool:
        """Return whether `value` is understood, but not the documented word."""
        return _text(value) in dict(self.aliases)

    def parse(self, value: Any) -> str:
        """Return the word."""
        text = _text(value)
        word = dict(self.aliases).get(text, text)
        if word not in (*self.values, *self.extensions):
            raise ValueError("not one of the choices")
        return word


@dataclass(frozen=True)
class Comparators:
    """A list of comparators, in order; as text, separated by commas or in JSON."""

    cure: str = "Write for example 'hadamard, concat, abs_diff'."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return "must list one or more of " + ", ".join(map(repr, COMPARATORS)) + ", each once"

    def parse(self, value: Any) -> tuple[str, ...]:
        """Return the comparators in the order given; a set has none and is rejected."""
        parts = value
        if not isinstance(value, list | tuple):
            text = _text(value)
            is_json = text.startswith("[") and text.endswith("]")  # so SageMaker's SDK sends a list
            parts = (text[1:-1] if is_json else text).split(",")
        names = tuple(_text(part) for part in parts)
        if not names or len(set(names)) < len(names) or not COMPARATORS.keys() >= set(names):
            raise ValueError("not a list of comparators")
        return names


@dataclass(frozen=True)
class Pattern:
    """Text of a given form."""

    regex: str
    form: str
    cure: str

    @property
    def rule(self) -> str:
        """What a value must be."""
        return f"must be {self.form}"

    def parse(self, value: Any) -> str:
        """Return the text."""
        text = _text(value)
        if not isinstance(value, str) or not re.fullmatch(self.regex, text):
            raise ValueError("does not have this form")
        return text


@dataclass(frozen=True)
class Anything:
    """Whatever SageMaker's own software sends; kept as text, None as the empty one."""

    cure: str = "Pass text."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return "must be any text"

    def parse(self, value: Any) -> str:
        """Return the text."""
        return "" if value is None else _text(value)
