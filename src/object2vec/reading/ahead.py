"""Work on what comes next, done by threads while the caller is still at what came before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

from object2vec.compiled.cores import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

WORKERS = max(2, min(4, available_cores()))


class Ahead(Iterator[Item]):
    """What threads make ahead. It ends them with itself.

    Who closes it waits for them, who drops it does not: the garbage collector may drop it in any
    thread, in one that is about to start as well, and that holds a lock which waiting takes.
    """

    def __init__(self, workers: int, make: Callable[[ThreadPoolExecutor], Iterator[Item]]) -> None:
        self._pool = ThreadPoolExecutor(workers)
        self._made = make(self._pool)

    def __next__(self) -> Item:
        try:
            return next(self._made)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Wait for what the threads are at, and let go of the rest."""
        self._made = iter(())
        self._pool.shutdown(cancel_futures=True)


def read_ahead(items: Iterable[Item], work: Callable[[Item], Result]) -> Ahead[tuple[Item, Result]]:
    """Yield each item with what `work` makes of it, in order, while threads work on the next ones.

    The items themselves are made by the caller's thread, a few ahead.
    """

    def made(pool: ThreadPoolExecutor) -> Iterator[tuple[Item, Result]]:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > WORKERS:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()

    return Ahead(WORKERS, made)


def prefetch(items: Iterator[Item]) -> Ahead[Item]:
    """Yield the items, while a thread makes the next one."""

    def made(pool: ThreadPoolExecutor) -> Iterator[Item]:
        end = object()
        future = pool.submit(next, items, end)
        while (item := future.result()) is not end:
            future = pool.submit(next, items, end)
            yield cast(Item, item)

    return Ahead(1, made)
