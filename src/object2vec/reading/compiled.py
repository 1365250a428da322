"""Whether reading has its compiled code: without it everything is read too, only slower."""

from __future__ import annotations

import functools
import logging
from typing import Any

from object2vec.compiled import missing

_log = logging.getLogger("object2vec.reading")


@functools.cache
def compiled_programs() -> Any:
    """Return the module of what is compiled, or None where that cannot be."""
    try:
        if (why := missing()) is not None:
            raise ImportError(why)
        from object2vec.reading import programs
    except (ImportError, RuntimeError) as err:
        _log.info("Records are read without compiled code, more slowly (%s).", err)
        return None
    return programs
