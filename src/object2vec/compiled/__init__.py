"""Code that Numba compiles: whether there is any, on how many threads it runs, what a fork does.

Nothing here imports Numba before it is asked for. `object2vec.compiled.functions` has the
decorators that make a function a compiled one, `object2vec.compiled.cache` keeps the result.
"""

from __future__ import annotations

import functools

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


def first_line(err: Exception) -> str:
    """Return what an error is and the first line of what it says."""
    return f"{type(err).__name__}: {err}".splitlines()[0]


__all__ = ["first_line", "missing", "threads", "use_threads"]
