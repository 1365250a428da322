"""Threads that help: who is woken for a job, and how many of them."""

from __future__ import annotations

import ctypes
import time

import numba
import numpy as np
import pytest

from object2vec.compiled import threads as count_threads
from object2vec.compiled import use_threads
from object2vec.compiled.functions import parallel

_libc = ctypes.CDLL(None)
_thread_of, _wait = getattr(_libc, "pthread_self", None), getattr(_libc, "usleep", None)
if _thread_of is None or _wait is None:
    pytest.skip("needs POSIX threads", allow_module_level=True)
_thread_of.restype, _thread_of.argtypes = ctypes.c_size_t, ()
_wait.restype, _wait.argtypes = ctypes.c_int, (ctypes.c_uint,)


@parallel
def note_threads(first, last, found):
    for i in range(first, last):
        _wait(500)  # microseconds, in which another thread can take the next range
        found[i] = _thread_of()


@pytest.fixture
def threads(monkeypatch):
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 8)
    yield use_threads
    use_threads(1)


def workers(*, small: bool = False) -> int:
    """How many threads a job has run on."""
    found = np.zeros(64, np.uint64)
    note_threads(64, found, small=small)
    assert found.all()
    return len(np.unique(found))


@pytest.mark.parametrize(
    ("wanted", "cores", "most", "found"),
    [(None, 3, 8, 3), (None, 9, 8, 8), (5, 3, 8, 5), (9, 3, 8, 8), (1, 3, 8, 1)],
)
def test_threads_are_those_that_are_wanted_or_all_cores(wanted, cores, most, found, monkeypatch):
    """Never more than Numba's, which the environment may bound."""
    state = use_threads.__globals__
    monkeypatch.setitem(state, "_threads", None)
    monkeypatch.setitem(state, "available_cores", lambda: cores)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", most)
    if wanted is not None:
        assert use_threads(wanted) == wanted
    assert count_threads() == found


# In this order: fewer threads than before leave some helpers asleep, though they exist.
@pytest.mark.parametrize("count", [2, 6, 3])
def test_a_job_wakes_as_many_helpers_as_are_wanted(count, threads):
    """A busy machine may be late with some of them, not with three jobs in turn for ever."""
    threads(count)
    in_turn, end = 0, time.monotonic() + 30
    while in_turn < 3 and time.monotonic() < end:
        assert workers(small=True) == 1  # longer than a helper looks for work: all fall asleep
        in_turn = in_turn + 1 if workers() == count else 0
    assert in_turn == 3
