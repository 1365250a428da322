"""Asking a run to stop: the first signal is a request, the second ends the process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one: the terminal is gone; not on Windows


class StopRequest:
    """Whether somebody asked to stop.

    Attributes
    ----------
    signal_number : int or None
        The signal that asked; None while nobody did.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None

    @property
    def name(self) -> str:
        """Name of the signal, for messages."""
        return "nobody" if self.signal_number is None else signal.Signals(self.signal_number).name

    def request(self, signal_number: int) -> None:
        """Ask to stop as if `signal_number` had arrived."""
        self.signal_number = signal_number

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGHUP as requests while the block runs.

        A signal that the caller ignores stays ignored, as SIGHUP is under nohup and SIGINT in the
        background of a script. Python delivers signals to the main thread only; in another one
        nothing is changed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        handlers = {number: signal.getsignal(number) for number in numbers}
        # None is a handler that was not set from Python, and that Python could not set again.
        before = {n: h for n, h in handlers.items() if h not in (signal.SIG_IGN, None)}

        def handle(number: int, frame: FrameType | None) -> None:
            self.request(number)
            restore()  # who asks twice does not want to wait

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in before:
            signal.signal(number, handle)
        try:
            yield
        finally:
            restore()
