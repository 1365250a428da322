"""Requests in flight merged into one batch, in a bounded queue.

An idle model starts at once; what arrives while it is busy makes the next batch. So batches grow
with the load and nobody waits for a timer. Small work is done in the event loop itself, since
handing it to a thread would take longer; all other work is done in one thread, and the loop never
blocks. A request larger than a batch goes in pieces and takes turns with the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import RequestError
from object2vec.inference.instances import Group
from object2vec.serving.limits import Overloaded
from object2vec.serving.settings import Settings
from object2vec.serving.thread import WorkThread

Floats = NDArray[np.float32]
Outcome = Floats | RequestError

_FAILED = (
    "the model: failed at this request. Send it again, or report it to whoever runs the server."
)
_logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Ticket:
    """A request in the queue."""

    future: asyncio.Future[list[Floats]]
    pieces: deque[_Piece]
    results: list[list[Floats]]  # of each group, those of its pieces
    open_pieces: int
    waiting_units: int

    def close(self, error: RequestError | None = None) -> None:
        """Give the results, or the error, to the one who waits, if somebody still does."""
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(
                [rows[0] if len(rows) == 1 else np.concatenate(rows) for rows in self.results]
            )


@dataclass(slots=True)
class _Piece:
    """A group, or a part of one that is larger than a batch."""

    index: int
    group: Group
    instances: int
    tokens: int


@dataclass(slots=True)
class _Batch:
    """What is computed together."""

    tickets: list[_Ticket] = field(default_factory=list)
    pieces: list[_Piece] = field(default_factory=list)
    instances: int = 0
    tokens: int = 0

    def add(self, ticket: _Ticket, piece: _Piece) -> None:
        self.tickets.append(ticket)
        self.pieces.append(piece)
        self.instances += piece.instances
        self.tokens += piece.tokens
        ticket.waiting_units -= piece.instances + piece.tokens


class Batcher:
    """Computes groups of instances through a model that likes them many at a time.

    Everything but the model's work runs in one event loop.

    Parameters
    ----------
    compute : callable
        Takes groups; returns an array for each, with a row for each instance.
    is_quick : callable
        Takes numbers of instances and tokens; whether the event loop may wait for that much.
    settings : Settings
        Its ``batch_*``, ``queue_units`` and ``timeout_s``.
    thread : WorkThread
        Does what is not quick.
    observe : callable, optional
        Called after every batch with its number of instances and with `waiting_units`.

    Attributes
    ----------
    waiting_units : int
        Instances plus tokens in the queue.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Group]], list[Floats]],
        is_quick: Callable[[int, int], bool],
        settings: Settings,
        thread: WorkThread,
        observe: Callable[[int, int], object] = lambda instances, waiting_units: None,
    ) -> None:
        self._compute, self._is_quick, self._observe = compute, is_quick, observe
        self._settings, self._thread = settings, thread
        self._queue: deque[_Ticket] = deque()
        self._next: asyncio.Handle | None = None
        self._is_busy = False
        self._units_per_s = math.inf
        self.waiting_units = 0

    def wait_s(self) -> float:
        """Return about how long what waits now will take."""
        return self.waiting_units / self._units_per_s

    def submit(self, groups: Sequence[Group]) -> asyncio.Future[list[Floats]]:
        """Return a future of the results of `groups`, an array for each.

        Raises
        ------
        Overloaded
            If they do not fit into the queue, or would wait too long there. One request always fits
            into an empty queue.

        Notes
        -----
        The future raises `RequestError` if the model does, or with status 500 if it fails. To wait
        no longer, cancel it.
        """
        pieces = deque(self._pieces(groups))
        units = sum(piece.instances + piece.tokens for piece in pieces)
        self._admit(units)
        loop = asyncio.get_running_loop()
        ticket = _Ticket(loop.create_future(), pieces, [[] for _ in groups], len(pieces), units)
        if not pieces:
            ticket.close()
            return ticket.future
        self.waiting_units += units
        self._queue.append(ticket)
        self._schedule(loop)
        return ticket.future

    def _pieces(self, groups: Sequence[Group]) -> Iterator[_Piece]:
        """Split groups into pieces that fit into a batch; an instance is never split."""
        instances, tokens = self._settings.batch_instances, self._settings.batch_tokens
        for index, group in enumerate(groups):
            count, total = len(group), group.tokens
            if count <= instances and total <= tokens:
                yield _Piece(index, group, count, total)
                continue
            start, used = 0, 0
            lengths = group.lengths()
            for i, length in enumerate(lengths):
                if i > start and (i - start == instances or used + length > tokens):
                    yield _Piece(index, group.slice(start, i), i - start, used)
                    start, used = i, 0
                used += length
            yield _Piece(index, group.slice(start, count), count - start, used)

    def _admit(self, units: int) -> None:
        """Reject what would make the queue too long."""
        wait_s = self.wait_s()
        fits = self.waiting_units + units <= self._settings.queue_units
        if self.waiting_units and not (fits and wait_s <= self._settings.timeout_s / 2):
            retry_after_s = min(max(math.ceil(wait_s), 1), 60)
            must = "must have room in its queue"
            got = f"{self.waiting_units} instances and tokens waiting"
            cure = f"Send the request again after {retry_after_s} s."
            raise Overloaded.at("the server", must, got, cure, retry_after_s=retry_after_s)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a batch soon, unless one runs or is about to."""
        if self._is_busy or self._next is not None:
            return
        wait_s = self._settings.batch_wait_ms / 1e3
        if wait_s and len(self._queue) < self._settings.batch_instances:
            self._next = loop.call_later(wait_s, self._start)
        else:  # not at once: requests that have already arrived are read first and join the batch
            self._next = loop.call_soon(self._start)

    def _start(self) -> None:
        """Compute a batch, here or in the thread."""
        self._next = None
        batch = self._take()
        if not batch.pieces:
            return
        if self._is_quick(batch.instances, batch.tokens):
            self._finish(batch, *self._run(batch))
            return
        self._is_busy = True
        loop = asyncio.get_running_loop()

        def work() -> None:
            outcome = self._run(batch)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._finish, batch, *outcome)

        self._thread.run(work)

    def _take(self) -> _Batch:
        """Return the next batch, a piece of each request in turn."""
        batch, settings = _Batch(), self._settings
        while self._queue:
            ticket = self._queue[0]
            if ticket.future.done():
                self._forget(ticket)
            else:
                piece = ticket.pieces[0]
                instances = batch.instances + piece.instances
                tokens = batch.tokens + piece.tokens
                if batch.pieces and (
                    instances > settings.batch_instances or tokens > settings.batch_tokens
                ):
                    break
                batch.add(ticket, ticket.pieces.popleft())
            self._queue.popleft()
            if ticket.pieces:
                self._queue.append(ticket)
        self.waiting_units -= batch.instances + batch.tokens
        return batch

    def _run(self, batch: _Batch) -> tuple[list[Outcome], float]:
        """Return the result or the error of each piece, and the seconds that it took."""
        start = time.perf_counter()
        groups = [piece.group for piece in batch.pieces]
        outcomes: list[Outcome] = []
        try:
            outcomes += self._compute(groups)
        except Exception as err:
            _logger.warning("A batch failed, each request is tried alone: %s", type(err).__name__)
            outcomes += [self._alone(group) for group in groups]
        return outcomes, time.perf_counter() - start

    def _alone(self, group: Group) -> Outcome:
        """Return the result of one group, so that it cannot spoil those of its neighbours."""
        try:
            return self._compute([group])[0]
        except RequestError as err:
            return err
        except Exception:
            _logger.exception("A group of %d instances failed.", len(group))
            return RequestError(_FAILED, status=500)

    def _finish(self, batch: _Batch, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Give the results to those who wait for them and go on."""
        self._is_busy = False
        self._observe(batch.instances, self.waiting_units)
        rate = (batch.instances + batch.tokens) / max(seconds, 1e-6)
        known = self._units_per_s != math.inf
        self._units_per_s = 0.9 * self._units_per_s + 0.1 * rate if known else rate
        for ticket, piece, outcome in zip(batch.tickets, batch.pieces, outcomes, strict=True):
            if isinstance(outcome, RequestError):
                ticket.close(outcome)  # `_take` forgets what still waits of it
                continue
            ticket.results[piece.index].append(outcome)
            ticket.open_pieces -= 1
            if not ticket.open_pieces:
                ticket.close()
        if self._queue:
            self._schedule(asyncio.get_running_loop())

    def _forget(self, ticket: _Ticket) -> None:
        """Drop the rest of a request that failed, or that nobody waits for any more."""
        self.waiting_units -= ticket.waiting_units
        ticket.pieces.clear()
