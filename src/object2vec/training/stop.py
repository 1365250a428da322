"""Asking a run to stop: the first signal is a request, the second ends the process."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from object2vec.signals import ENDING, on_signals


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
        """Take the first SIGINT, SIGTERM or SIGHUP as a request while the block runs."""

        def handle(number: int) -> None:
            self.request(number)
            give_back()  # who asks twice does not want to wait

        with on_signals(handle, *ENDING) as give_back:
            yield
