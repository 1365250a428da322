from __future__ import annotations

import threading

import pytest

from object2vec.reading.ahead import WORKERS, prefetch, read_ahead


def counted(made, end=100):
    for item in range(end):
        made.append(item)
        yield item


@pytest.mark.parametrize("count", [0, 1, WORKERS, WORKERS + 1, 50])
def test_items_come_in_their_order_with_what_is_made_of_them(count):
    assert list(read_ahead(range(count), str)) == [(n, str(n)) for n in range(count)]
    assert list(prefetch(iter(range(count)))) == list(range(count))


def test_the_next_items_are_worked_on_while_the_caller_is_at_one():
    waiting = threading.Barrier(WORKERS)
    ahead = read_ahead(range(2 * WORKERS), lambda item: waiting.wait(timeout=30) + item)
    assert [item for item, _ in ahead] == list(range(2 * WORKERS))


def test_only_a_few_items_are_made_ahead():
    made = []
    ahead = read_ahead(counted(made), str)
    assert next(ahead) == (0, "0")
    assert made == list(range(WORKERS + 1))
    assert next(ahead) == (1, "1")
    assert made == list(range(WORKERS + 2))
    ahead.close()
    assert list(ahead) == []


def test_the_next_item_is_made_while_the_caller_is_at_one():
    is_made = threading.Event()

    def items():
        yield 1
        is_made.set()
        yield 2

    ahead = prefetch(items())
    assert next(ahead) == 1
    assert is_made.wait(30)
    assert list(ahead) == [2]


def test_an_error_comes_when_its_item_would():
    ahead = read_ahead([4, 2, 0, 1], lambda item: 4 // item)
    assert [next(ahead), next(ahead)] == [(4, 1), (2, 2)]
    with pytest.raises(ZeroDivisionError):
        next(ahead)
    ahead = prefetch(4 // item for item in (4, 2, 0))
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(ahead)


@pytest.mark.parametrize("kind", ["read_ahead", "prefetch"])
def test_who_drops_it_unfinished_does_not_wait_for_its_threads(kind):
    """The garbage collector may drop it in any thread, in one that is about to start as well.

    Such a thread holds a lock already that it would need to wait for another one.
    """
    is_at_work, goes_on = threading.Event(), threading.Event()

    def work(item):
        if item:
            is_at_work.set()
            goes_on.wait(60)

    def items():
        yield 0
        work(1)

    held = [read_ahead([0, *[1] * WORKERS], work) if kind == "read_ahead" else prefetch(items())]
    next(held[0])
    assert is_at_work.wait(30)
    dropping = threading.Thread(target=held.clear)
    dropping.start()
    dropping.join(30)
    waits = dropping.is_alive()
    goes_on.set()
    dropping.join()
    assert not waits


@pytest.mark.parametrize(
    "make", [lambda items: read_ahead(items, str), prefetch], ids=["read_ahead", "prefetch"]
)
def test_its_threads_end_with_it(make):
    before = set(threading.enumerate())
    ahead = make(counted([]))
    next(ahead)
    own = set(threading.enumerate()) - before
    assert own
    del ahead
    for each in own:
        each.join(30)
        assert not each.is_alive()
