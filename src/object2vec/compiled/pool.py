"""The threads that help with compiled work, which nobody has to wait for.

A parallel region of OpenMP gives each of its threads a fixed share and waits for all of them. On a
machine with other work that is a wait for a thread that does not run, thirty times a step. Here the
ranges of a job lie open: whoever has time takes the next one, and the caller does all that nobody
else has taken. A helper that comes too late finds nothing left, and only a range that it has begun
is waited for. Which thread takes a range changes nothing in it, so results are the same bytes.

A helper looks for work for some 50 microseconds, then it sleeps. It sleeps on a lock of Python's,
whose functions need no interpreter and exist on every system.
"""

from __future__ import annotations

import _thread
import ctypes
import functools
import platform
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic
from numpy.typing import NDArray

from object2vec.compiled.cache import FunctionCache

MOST = 256  # helpers

# Offsets of the numbers that all threads share; those that change often have lines of their own.
_TICKET = 0  # number of the job, and in the lower half how many of its ranges are left
_DONE = 64  # ranges of the job that have been worked on
_WAITS = 128  # 1 while the caller sleeps
_JOB = 192  # body, bounds, data and number of ranges: they stay while a range is taken
RUN = 256  # address of `_run`, for compiled code that has a job
_LIMIT, _ACQUIRE, _RELEASE, _LOCK = 264, 272, 280, 288  # helpers wanted; functions; caller's lock
_HELPERS, _STRIDE = 320, 64  # of each one: 1 while it sleeps, and its lock
_LEFT = (1 << 32) - 1
_new_lock = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThread_allocate_lock", ctypes.pythonapi))
_acquire = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(
    ("PyThread_acquire_lock", ctypes.pythonapi)
)
_IS_X86 = platform.machine().lower() in ("x86_64", "amd64", "i686")
_LOOKS = 1000 if _IS_X86 else 20_000  # for work, before a thread sleeps


def share_work(helpers: int) -> int:
    """Return the address of the pool, with so many helpers for the next jobs."""
    pool = _pool()
    pool.help_with(min(helpers, MOST))
    return pool.address


@functools.cache
def _pool() -> _Pool:
    return _Pool()


class _Pool:
    """The numbers that the threads share, and the threads as they are needed."""

    def __init__(self) -> None:
        # Aligned to a line; never freed, as the helpers look at it to the end of the process.
        raw = np.zeros((_HELPERS + MOST * _STRIDE) // 8 + 8, np.int64)
        skipped = -raw.ctypes.data % 64 // 8
        self._numbers: NDArray[np.int64] = raw[skipped:]
        self.address = self._numbers.ctypes.data
        self._helpers, self._help = 0, _function(_help, 2).ctypes
        self._put(RUN, _function(_run, 5).address)
        for offset, name in ((_ACQUIRE, "acquire"), (_RELEASE, "release")):
            function = getattr(ctypes.pythonapi, f"PyThread_{name}_lock")
            self._put(offset, ctypes.cast(function, ctypes.c_void_p).value)
        self._put(_LOCK, self._held_lock())

    def help_with(self, helpers: int) -> None:
        """Want so many helpers; start those that there are not."""
        self._put(_LIMIT, helpers)
        while self._helpers < helpers:
            number = self._helpers
            self._put(_HELPERS + number * _STRIDE + 8, self._held_lock())
            _thread.start_new_thread(self._help, (self.address, number))
            self._helpers += 1

    def _put(self, offset: int, number: Any) -> None:
        self._numbers[offset // 8] = number

    def _held_lock(self) -> int:
        """Return the address of a lock that is held: who acquires it sleeps until its release."""
        lock = int(_new_lock())
        _acquire(lock, 1)
        return lock


@functools.cache
def _function(code: Any, count: int) -> Any:
    """Return the function of C that takes so many numbers, compiled or from the cache."""
    options = {"error_model": "numpy", "nogil": True}
    function: Any = CFunc(code, ((types.intp,) * count, types.void), {}, options)
    function._cache = FunctionCache(code)
    function.compile()
    return function


_WORD = ir.IntType(8 * np.intp(0).itemsize)
_ORDER = "seq_cst"


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _WORD.as_pointer())


@intrinsic
def _load(typing, address):
    """Return the number at an address."""

    def generate(context, builder, signature, args):
        return builder.load_atomic(_pointer(builder, args[0]), _ORDER, 8)

    return types.intp(address), generate


@intrinsic
def _store(typing, address, number):
    """Write a number to an address."""

    def generate(context, builder, signature, args):
        builder.store_atomic(args[1], _pointer(builder, args[0]), _ORDER, 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


@intrinsic
def _swap(typing, address, number):
    """Write a number to an address; return what was there."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("xchg", _pointer(builder, args[0]), args[1], _ORDER)

    return types.intp(types.intp, types.intp), generate


@intrinsic
def _add(typing, address, number):
    """Add to the number at an address; return what was there."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], _ORDER)

    return types.intp(types.intp, types.intp), generate


@intrinsic
def _replace(typing, address, old, new):
    """Write a number to an address if another one is there; return whether it was."""

    def generate(context, builder, signature, args):
        pair = builder.cmpxchg(_pointer(builder, args[0]), args[1], args[2], _ORDER, _ORDER)
        return builder.extract_value(pair, 1)

    return types.boolean(types.intp, types.intp, types.intp), generate


@intrinsic
def _call(typing, function, first, second, third):
    """Call a function at an address."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [_WORD] * 3)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate


@intrinsic
def _on_lock(typing, function, lock):
    """Call one of Python's functions for locks; the second argument is read by `acquire` alone."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [_WORD, ir.IntType(32)])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1], ir.IntType(32)(1)])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


@intrinsic
def _pause(typing):
    """Let the other thread of this core have its turn."""

    def generate(context, builder, signature, args):
        if _IS_X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            pause = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause")
            builder.call(pause, [])
        return context.get_dummy_value()

    return types.void(), generate


@numba.njit(error_model="numpy", nogil=True)
def _work(pool):
    """Take ranges of the job until none is left."""
    while True:
        ticket = _load(pool + _TICKET)
        left = ticket & _LEFT
        if left == 0:
            return
        # The number of the job is in the ticket: nobody takes a range of one that is over.
        if not _replace(pool + _TICKET, ticket, ticket - 1):
            continue
        count = _load(pool + _JOB + 24)
        bounds = _load(pool + _JOB + 8) + 8 * (count - left)
        _call(_load(pool + _JOB), bounds, 1, _load(pool + _JOB + 16))
        if _add(pool + _DONE, 1) + 1 == count and _swap(pool + _WAITS, 0):
            _on_lock(_load(pool + _RELEASE), _load(pool + _LOCK))


@numba.njit(error_model="numpy", nogil=True)
def _wake(pool, number):
    """Wake a helper if it is wanted and sleeps."""
    own = pool + _HELPERS + number * _STRIDE
    if number < _load(pool + _LIMIT) and _swap(own, 0):
        _on_lock(_load(pool + _RELEASE), _load(own + 8))


def _run(pool, body, bounds, count, data):
    """Work on all ranges of a job, with whoever helps."""
    _store(pool + _JOB, body)
    _store(pool + _JOB + 8, bounds)
    _store(pool + _JOB + 16, data)
    _store(pool + _JOB + 24, count)
    _store(pool + _DONE, 0)
    job = (_load(pool + _TICKET) >> 32) + 1
    _store(pool + _TICKET, job << 32 | count)
    _wake(pool, 0)
    _work(pool)
    for _ in range(_LOOKS):
        if _load(pool + _DONE) == count:
            return
        _pause()
    while _load(pool + _DONE) != count:
        _store(pool + _WAITS, 1)
        # Who has done the last range in between has seen that this thread waits, or has not.
        if _load(pool + _DONE) != count or not _swap(pool + _WAITS, 0):
            _on_lock(_load(pool + _ACQUIRE), _load(pool + _LOCK))


def _help(pool, number):
    """Help with one job after another, to the end of the process."""
    own = pool + _HELPERS + number * _STRIDE
    while True:
        looks = 0
        while looks < _LOOKS and _load(pool + _TICKET) & _LEFT == 0:
            _pause()
            looks += 1
        if looks == _LOOKS:
            _store(own, 1)
            if _load(pool + _TICKET) & _LEFT == 0 or not _swap(own, 0):
                _on_lock(_load(pool + _ACQUIRE), _load(own + 8))
        _wake(pool, 2 * number + 1)  # a tree, so that nobody wakes hundreds
        _wake(pool, 2 * number + 2)
        _work(pool)
