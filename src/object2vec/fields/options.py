"""Values of options that the configuration has no kinds for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Text:
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
