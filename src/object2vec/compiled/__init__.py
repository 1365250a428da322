"""Code that Numba compiles: whether there is any, on how many threads it runs, what a fork does.

Nothing here imports Numba before it is asked for. `object2vec.compiled.functions` has the
decorators that make a function a compiled one, `object2vec.compiled.cache` keeps the result.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
from collections.abc import Callable, Iterator
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


_is_postponed = False


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Do without compiled code inside, until `load` is called: for little work it loads too long.

    Only a process that has nothing else to do should; it is ignored where Numba is there already.
    """
    global _is_postponed
    _is_postponed = "numba" not in sys.modules
    try:
        yield
    finally:
        _is_postponed = False


def load() -> None:
    """End what `postponed` asks for."""
    global _is_postponed
    _is_postponed = False


def is_postponed() -> bool:
    """Return whether compiled code is not to be loaded for now."""
    return _is_postponed


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


__all__ = [
    "first_line",
    "is_postponed",
    "load",
    "missing",
    "postponed",
    "programs_or_none",
    "threads",
    "use_threads",
]
