"""Signals that a block of code handles itself."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one: the terminal is gone; not on Windows


@contextlib.contextmanager
def on_signals(
    handle: Callable[[int], object], *names: str, only_default: bool = False
) -> Iterator[Callable[[], None]]:
    """Have signals handled by a function while the block runs.

    A signal that the caller ignores stays ignored, as SIGHUP is under nohup and SIGINT in the
    background of a script. Python delivers signals to the main thread only; in another one nothing
    is changed.

    Parameters
    ----------
    handle : callable
        Called with the number of the signal.
    *names : str
        Names of signals; one that the system has not is left out.
    only_default : bool, default False
        Whether a signal that Python code handles already is left to it.

    Yields
    ------
    callable
        Gives the signals back to whoever had them before, as the end of the block does.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        handlers = {number: signal.getsignal(number) for number in numbers}
        # None is a handler that was not set from Python, and that Python could not set again.
        before = {n: h for n, h in handlers.items() if h not in (signal.SIG_IGN, None)}
        if only_default:
            before = {n: h for n, h in before.items() if h is signal.SIG_DFL}

    def handler(number: int, frame: FrameType | None) -> None:
        handle(number)

    def restore() -> None:
        for number, earlier in before.items():
            signal.signal(number, earlier)

    for number in before:
        signal.signal(number, handler)
    try:
        yield restore
    finally:
        restore()
