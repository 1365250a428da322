"""Whether reading has its compiled code: without it everything is read too, only slower."""

from __future__ import annotations

import functools
import logging
from typing import Any

from object2vec.compiled import programs_or_none

_log = logging.getLogger("object2vec.reading")


@functools.cache
def compiled_programs() -> Any:
    """Return the module of what is compiled, or None where that cannot be."""

    def load() -> Any:
        from object2vec.reading import programs

        return programs

    return programs_or_none(load, _log, "Records are read")
