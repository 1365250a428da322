"""How long kernels take to compile: once on each machine, and then for a while."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from object2vec.compiled import missing


class CompileClock:
    """A clock in seconds that stands still while Numba compiles.

    Parameters
    ----------
    started : callable
        Called when something is compiled for the first time; what the cache holds is not.
    """

    def __init__(self, started: Callable[[], None]) -> None:
        self._started = started
        self._has_started = False
        self._depth = 0  # a kernel compiles what it calls
        self._since = self._compiling_s = 0.0

    def __call__(self) -> float:
        """Return the seconds of a clock without those in which kernels were compiled."""
        now = time.monotonic()
        return now - self._compiling_s - (now - self._since if self._depth else 0.0)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Watch Numba while the block runs; without Numba there is nothing to watch."""
        if missing() is not None:
            yield
            return
        from numba.core import event

        clock = self

        class Listener(event.Listener):  # type: ignore[misc]
            def on_start(self, event: object) -> None:
                clock._begin()

            def on_end(self, event: object) -> None:
                clock._end()

        with event.install_listener("numba:compile", Listener()):
            yield

    def _begin(self) -> None:
        if self._depth == 0:
            self._since = time.monotonic()
        self._depth += 1
        if not self._has_started:
            self._has_started = True
            self._started()

    def _end(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._compiling_s += time.monotonic() - self._since
