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


def read_ahead(
    items: Iterable[Item], work: Callable[[Item], Result]
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what `work` makes of it, in order, while threads work on the next ones.

    The items themselves are made by the caller's thread, a few ahead.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(WORKERS)
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > WORKERS:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items, while a thread makes the next one."""
    end = object()
    pool = ThreadPoolExecutor(1)
    try:
        future = pool.submit(next, items, end)
        while (item := future.result()) is not end:
            future = pool.submit(next, items, end)
            yield cast(Item, item)
    finally:
        pool.shutdown(cancel_futures=True)
