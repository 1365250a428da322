"""A thread for work that must not block an event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

_Work = Callable[[], None]


class WorkThread:
    """Runs functions one after the other in a daemon thread, which is started when there is work.

    A daemon cannot keep alive a process that has been asked to end. A forked process, which has
    none of its parent's threads, starts one of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()

    def run(self, work: _Work) -> None:
        """Run a function after those that wait already."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._queue = SimpleQueue()
                self._thread = threading.Thread(
                    target=_run_all, args=(self._queue,), name="model", daemon=True
                )
                self._thread.start()
            self._queue.put(work)

    def close(self) -> None:
        """Let the thread end when its work is done; `run` starts another one."""
        with self._lock:
            if self._thread is not None:
                self._queue.put(None)
                self._thread = None


def _run_all(queue: SimpleQueue[_Work | None]) -> None:
    for work in iter(queue.get, None):
        work()
