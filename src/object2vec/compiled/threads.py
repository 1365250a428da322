"""The threads that compiled code runs on, and what a fork leaves of them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

from object2vec.compiled.cores import available_cores

_logger = logging.getLogger(__name__)

lock = threading.RLock()  # the pool takes one job at a time
_is_forked = False  # from a process that may have had computing threads
_threads: int | None = None
_held: list[Any] = []  # locks of a fork that is under way


def use_threads(count: int) -> int:
    """Run compiled code on `count` threads from now on; return how many it will be.

    It is one in a process that was forked from one that had threads: those do not come along, and
    GNU's OpenMP ends a process that goes on as if they did.
    """
    global _threads
    if count > 1 and _is_forked:
        _logger.warning(
            "This process was forked: it computes on one thread instead of %d. Start it with "
            "multiprocessing's method spawn to have them all.",
            count,
        )
        count = 1
    _threads = count
    return count


def threads() -> int:
    """Return the number of threads that compiled code runs on; all cores by default."""
    import numba

    most: int = numba.config.NUMBA_NUM_THREADS
    return 1 if _is_forked else min(_threads or available_cores(), most)


def _before_fork() -> None:
    """Wait for what other threads compile or compute: its locks must come free to the child."""
    lock.acquire()
    numba = sys.modules.get("numba.core.compiler_lock")
    _held.extend([lock] if numba is None else [lock, numba.global_compiler_lock])
    for inner in _held[1:]:
        inner.acquire()


def _release() -> None:
    held = list(reversed(_held))
    _held.clear()
    for each in held:
        each.release()


def _after_fork() -> None:
    """Go on with one thread where the parent may have had more."""
    global _is_forked
    _release()
    torch = sys.modules.get("torch")
    if torch is None and "numba" not in sys.modules:
        return
    _is_forked = True
    if torch is not None and hasattr(torch, "set_num_threads"):  # not while it is being imported
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_release, after_in_child=_after_fork)
