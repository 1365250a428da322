"""Asking a run to stop: the first SIGINT or SIGTERM is a request, the second ends the process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


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
        """Take SIGINT and SIGTERM as requests while the block runs.

        Python delivers signals to the main thread only; in another one nothing is changed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        watched = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in watched}

        def handle(number: int, frame: FrameType | None) -> None:
            self.request(number)
            for other in watched:  # who asks twice does not want to wait
                signal.signal(other, before[other])

        for number in watched:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number in watched:
                signal.signal(number, before[number])
