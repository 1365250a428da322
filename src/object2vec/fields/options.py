"""Values of options that the configuration has no kinds for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AnyText:
    """Text that is not empty, as it stands."""

    cure: str = "Write it in quotes."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return "must be text of one character or more"

    def parse(self, value: Any) -> str:
        """Return the text."""
        if not isinstance(value, str) or not value:
            raise ValueError("not text")
        return value


@dataclass(frozen=True)
class Words:
    """Some of these words, divided by commas."""

    words: tuple[str, ...]
    cure: str = "Choose some of them, divided by commas."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return f"must name some of {', '.join(self.words)}, each once"

    def parse(self, value: Any) -> str:
        """Return the words, divided by commas alone."""
        given = value.split(",") if isinstance(value, str) else list(value)
        words = [word.strip() for word in given]
        if not words or len(set(words)) < len(words) or not set(words) <= set(self.words):
            raise ValueError("not some of these words")
        return ",".join(words)
