"""Code that Numba compiles: whether there is any, on how many threads it runs, what a fork does.

Nothing here imports Numba before it is asked for. `object2vec.compiled.functions` has the
decorators that make a function a compiled one, `object2vec.compiled.cache` keeps the result.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import sys
from collections.abc import Iterator
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


class Programs:
    """The compiled functions of a room, imported when they are first asked for.

    Parameters
    ----------
    module : str
        Where they are; imported only where there is a Numba.
    log : str
        Name of the logger that hears why there are none.
    without : str
        What is done without them, for that message.
    """

    def __init__(self, module: str, log: str, without: str) -> None:
        self._name, self._log, self._without = module, logging.getLogger(log), without

    def __call__(self) -> Any:
        """Return their module, or None where nothing can be compiled or that must wait."""
        return None if _is_postponed else self._module

    @functools.cached_property
    def _module(self) -> Any:
        try:
            if (why := missing()) is not None:
                raise ImportError(why)
            return importlib.import_module(self._name)
        except (ImportError, RuntimeError) as err:
            self._log.info("%s without compiled code, more slowly (%s).", self._without, err)
            return None


def first_line(err: Exception) -> str:
    """Return what an error is and the first line of what it says."""
    return f"{type(err).__name__}: {err}".splitlines()[0]


__all__ = [
    "Programs",
    "first_line",
    "is_postponed",
    "load",
    "missing",
    "postponed",
    "threads",
    "use_threads",
]
