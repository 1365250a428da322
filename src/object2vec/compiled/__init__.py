"""Code that Numba compiles: whether there is any, on how many threads it runs, what a fork does.

Nothing here imports Numba before it is asked for. `object2vec.compiled.functions` has the
decorators that make a function a compiled one, `object2vec.compiled.cache` keeps the result.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from object2vec.compiled.threads import threads, use_threads


@functools.cache
def missing() -> str | None:
    """Return what keeps this process from compiled code, in a few words; None if nothing does."""
    try:
        import numba
    # A Numba that does not fit NumPy or Python, or an llvmlite without its library, raises what it
    # likes; none of that must end a program that can do without.
    except Exception as err:
        return first_line(err)
    if numba.config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set"
    try:
        import object2vec.compiled.functions  # noqa: F401
    except Exception as err:
        return first_line(err)
    return None


def programs_or_none(load: Callable[[], Any], log: logging.Logger, without: str) -> Any:
    """Return the module of a room's compiled functions, or None where nothing can be compiled.

    Parameters
    ----------
    load : callable
        Imports the module; asked only where there is a Numba.
    log : Logger
        Hears why there is none.
    without : str
        What is done without them, for that message.
    """
    try:
        if (why := missing()) is not None:
            raise ImportError(why)
        return load()
    except (ImportError, RuntimeError) as err:
        log.info("%s without compiled code, more slowly (%s).", without, err)
        return None


def first_line(err: Exception) -> str:
    """Return what an error is and the first line of what it says."""
    return f"{type(err).__name__}: {err}".splitlines()[0]


__all__ = ["first_line", "missing", "programs_or_none", "threads", "use_threads"]
