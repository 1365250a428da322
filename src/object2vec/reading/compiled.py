"""Whether reading has its compiled code: without it everything is read too, only slower."""

from __future__ import annotations

import functools
import logging
from typing import Any

from object2vec.compiled import is_postponed, programs_or_none

_log = logging.getLogger("object2vec.reading")


def compiled_programs() -> Any:
    """Return the module of what is compiled, or None where that cannot be or must wait."""
    return None if is_postponed() else programs()


@functools.cache
def programs() -> Any:
    """Return the module of what is compiled, or None where that cannot be."""

    def load() -> Any:
        from object2vec.reading import programs

        return programs

    return programs_or_none(load, _log, "Records are read")
