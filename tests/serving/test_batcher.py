"""The batcher with a model of plain arithmetic: merging, turns, limits, failures."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from object2vec.errors import RequestError
from object2vec.inference.instances import Group
from object2vec.serving.batcher import Batcher
from object2vec.serving.limits import Overloaded
from object2vec.serving.settings import Settings
from object2vec.serving.thread import WorkThread


def group(*rows: list[int]) -> Group:
    return Group([*rows], None)


class Model:
    """Answers each instance with the sum of its ids; remembers every batch and may be held up."""

    def __init__(self, *, bad: int | None = None) -> None:
        self.batches: list[list[list[list[int]]]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.bad = bad

    def __call__(self, groups):
        self.gate.wait(10)
        self.batches.append([g.in0 for g in groups])
        self.threads.add(threading.current_thread().name)
        if any(self.bad in row for g in groups for row in g.in0):
            raise ValueError("an inside")
        return [np.array([[sum(row)] for row in g.in0], np.float32) for g in groups]


def sums(*groups: Group) -> list[list[list[float]]]:
    return [[[float(sum(row))] for row in g.in0] for g in groups]


def listed(answers) -> list[list[list[float]]]:
    return [a.tolist() for a in answers]


def batcher(model, *, quick=True, observe=lambda *_: None, **settings) -> Batcher:
    return Batcher(
        model, lambda instances, tokens: quick, Settings(**settings), WorkThread(), observe
    )


@pytest.mark.parametrize("quick", [True, False])
def test_requests_that_arrive_together_make_one_batch(quick):
    model, sizes = Model(), []

    async def main():
        b = batcher(model, quick=quick, observe=lambda *seen: sizes.append(seen))
        groups = [[group([1]), group([2], [3])], [group([4, 5])], []]
        futures = [b.submit(g) for g in groups]
        assert b.waiting_units == 4 + 5  # instances and tokens
        answers = await asyncio.gather(*futures)
        assert [listed(a) for a in answers] == [sums(*g) for g in groups]
        assert b.waiting_units == 0

    asyncio.run(main())
    assert model.batches == [[[[1]], [[4, 5]], [[2], [3]]]]  # a piece of each request in turn
    assert sizes == [(4, 0)]
    assert model.threads == {"MainThread" if quick else "model"}


def test_what_arrives_while_the_model_is_busy_makes_the_next_batch():
    model = Model()

    async def main():
        b = batcher(model, quick=False)
        model.gate.clear()
        futures = [b.submit([group([1])])]
        await asyncio.sleep(0.01)
        futures += [b.submit([group([i])]) for i in (2, 3)]
        await asyncio.sleep(0.01)
        futures += [b.submit([group([4])])]
        model.gate.set()
        answers = await asyncio.gather(*futures)
        assert [listed(a) for a in answers] == [[[[1.0]]], [[[2.0]]], [[[3.0]]], [[[4.0]]]]

    asyncio.run(main())
    assert model.batches == [[[[1]]], [[[2]], [[3]], [[4]]]]


def test_an_idle_model_may_wait_for_more():
    model = Model()

    async def main():
        b = batcher(model, batch_wait_ms=30)
        first = b.submit([group([1])])
        await asyncio.sleep(0.001)
        second = b.submit([group([2])])
        await asyncio.gather(first, second)

    asyncio.run(main())
    assert model.batches == [[[[1]], [[2]]]]


def test_a_large_request_goes_in_pieces_and_takes_turns():
    model = Model()
    large, small = group(*[[i] for i in range(10)]), group([100])

    async def main():
        b = batcher(model, batch_instances=4)
        answers = await asyncio.gather(b.submit([large]), b.submit([small]))
        assert [listed(a) for a in answers] == [sums(large), sums(small)]

    asyncio.run(main())
    assert [[len(rows) for rows in batch] for batch in model.batches] == [[4], [1], [4], [2]]


def test_pieces_are_cut_by_tokens_too_but_never_inside_an_instance():
    model = Model()
    rows = group([1] * 3, [2] * 3, [3] * 9, [4], [])

    async def main():
        b = batcher(model, batch_tokens=5)
        assert listed(await b.submit([rows])) == sums(rows)

    asyncio.run(main())
    assert [batch[0] for batch in model.batches] == [[[1] * 3], [[2] * 3], [[3] * 9], [[4], []]]


ROWS = st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=12)


@given(st.lists(st.lists(ROWS, max_size=3), max_size=6), st.integers(1, 7), st.integers(1, 9))
def test_any_requests_get_their_own_answers_in_order(requests, instances, tokens):
    model = Model()

    async def main():
        b = batcher(model, batch_instances=instances, batch_tokens=tokens)
        groups = [[group(*rows) for rows in request] for request in requests]
        answers = await asyncio.gather(*(b.submit(g) for g in groups))
        assert [listed(a) for a in answers] == [sums(*g) for g in groups]
        assert b.waiting_units == 0

    asyncio.run(main())
    for batch in model.batches:
        rows = [row for piece in batch for row in piece]
        assert len(rows) <= instances
        assert sum(map(len, rows)) <= tokens or len(rows) == 1 or len(batch) == 1


def test_a_full_queue_refuses_but_one_request_always_fits():
    model = Model()

    async def main():
        b = batcher(model, quick=False, queue_units=10)
        model.gate.clear()
        running = b.submit([group([1])])
        await asyncio.sleep(0.01)
        large = b.submit([group([1] * 50)])  # into an empty queue
        message = r"^the server: must have room in its queue; got '51 instances and tokens waiting'"
        with pytest.raises(Overloaded, match=message) as got:
            b.submit([group([1])])
        assert (got.value.status, got.value.retry_after_s) == (429, 1)
        model.gate.set()
        await asyncio.gather(running, large)
        assert listed(await b.submit([group([2])])) == [[[2.0]]]
        assert b.waiting_units == 0

    asyncio.run(main())


def test_a_queue_that_would_take_too_long_refuses():
    model = Model()

    async def main():
        b = batcher(model, quick=False, timeout_s=0.02)
        model.gate.clear()
        futures = [b.submit([group([1])])]
        await asyncio.sleep(0.05)
        model.gate.set()
        await futures[0]  # two units in 50 ms: the model is slow
        model.gate.clear()
        futures = [b.submit([group([1])])]
        await asyncio.sleep(0.01)
        futures += [b.submit([group([1])])]
        with pytest.raises(Overloaded, match=r"waiting'\. Send the request again after 1 s"):
            b.submit([group([1])])
        assert b.wait_s() > 0.01
        model.gate.set()
        await asyncio.gather(*futures)

    asyncio.run(main())


def test_who_does_not_wait_any_longer_is_forgotten():
    model = Model()

    async def main():
        b = batcher(model, quick=False, batch_instances=1)
        model.gate.clear()
        running = b.submit([group([1], [2], [3])])
        waiting = [b.submit([group([i])]) for i in (4, 5)]
        await asyncio.sleep(0.01)
        running.cancel()
        waiting[0].cancel()
        model.gate.set()
        assert listed(await waiting[1]) == [[[5.0]]]
        with suppress(asyncio.CancelledError):
            await running
        assert b.waiting_units == 0

    asyncio.run(main())
    assert model.batches == [[[[1]]], [[[5]]]]


@pytest.mark.parametrize("quick", [True, False])
def test_a_failure_spoils_no_neighbour_and_tells_nothing(quick, caplog):
    model = Model(bad=13)

    async def main():
        b = batcher(model, quick=quick)
        requests = [[group([1])], [group([13]), group([2])], [group([3])]]
        futures = [b.submit(request) for request in requests]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        assert [listed(answers[0]), listed(answers[2])] == [[[[1.0]]], [[[3.0]]]]
        assert isinstance(answers[1], RequestError)
        assert answers[1].status == 500
        assert str(answers[1]).startswith("the model: failed at this request.")
        assert "inside" not in str(answers[1])
        assert listed(await b.submit([group([4])])) == [[[4.0]]]
        assert b.waiting_units == 0

    asyncio.run(main())
    assert "an inside" in caplog.text
