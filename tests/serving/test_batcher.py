"""The batcher with a model of plain arithmetic: merging, turns, limits, failures."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from object2vec.errors import RequestError
from object2vec.inference.instances import Group
from object2vec.serving import batcher as batchers
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
        b = batcher(model, batch_wait_ms=250)
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
        futures = b.submit([large]), b.submit([small])
        assert b.waiting_units == 2 * (10 + 1)
        answers = await asyncio.gather(*futures)
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
def test_without_anybody_who_waits_nothing_is_computed(quick):
    model, seen = Model(), []

    async def main():
        b = batcher(model, quick=quick, observe=lambda *figures: seen.append(figures))
        b.submit([group([1])]).cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert b.waiting_units == 0
        assert listed(await b.submit([group([2])])) == [[[2.0]]]

    asyncio.run(main())
    assert model.batches == [[[[2]]]]
    assert seen == [(1, 0)]


@pytest.mark.parametrize("bad", [0, 1])
def test_who_is_gone_when_the_result_comes_gets_none(bad):
    model = Model(bad=bad)

    async def main():
        b = batcher(model, quick=False)
        model.gate.clear()
        running = b.submit([group([1])])
        await asyncio.sleep(0.01)
        running.cancel()
        waiting = b.submit([group([4])])
        model.gate.set()
        assert listed(await waiting) == [[[4.0]]]
        assert running.cancelled()
        assert b.waiting_units == 0

    asyncio.run(main())
    assert model.batches[-1] == [[[4]]]


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
    assert "A batch failed, each request is tried alone: ValueError" in caplog.text
    assert "A group of 1 instances failed." in caplog.text


# ---- limits: time and room


def waiting(b, *sizes):
    """Submit requests of so many units each to a model that is held up, and let it begin."""
    return [b.submit([group([1] * (size - 1))]) for size in sizes]


@pytest.mark.parametrize(
    ("rate", "is_admitted"), [(2.1, True), (2.0, True), (1.9, False), (1.1, False), (0.5, False)]
)
def test_half_the_time_limit_may_be_waited(rate, is_admitted):
    """The other half is for the work itself: what waits longer would end as a 504."""
    model = Model()

    async def main():
        b = batcher(model, quick=False, timeout_s=10)
        model.gate.clear()
        futures = waiting(b, 2)
        await asyncio.sleep(0.01)
        futures += waiting(b, 10)
        b._units_per_s = rate
        assert b.wait_s() == 10 / rate
        if is_admitted:
            futures += waiting(b, 2)
        else:
            with pytest.raises(Overloaded):
                waiting(b, 2)
        model.gate.set()
        await asyncio.gather(*futures)
        assert b.waiting_units == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("rate", "retry_after_s"), [(0.001, 60), (0.1, 60), (0.2, 50), (3.9, 3), (1e9, 1)]
)
def test_the_time_to_come_back_is_that_of_the_queue_up_to_a_minute(rate, retry_after_s):
    model = Model()

    async def main():
        b = batcher(model, quick=False, queue_units=10)
        model.gate.clear()
        futures = waiting(b, 2)
        await asyncio.sleep(0.01)
        futures += waiting(b, 10)
        b._units_per_s = rate
        message = f"10 instances and tokens waiting'. Send the request again after {retry_after_s} "
        with pytest.raises(Overloaded, match=re.escape(message)) as caught:
            waiting(b, 2)
        assert (caught.value.status, caught.value.retry_after_s) == (429, retry_after_s)
        model.gate.set()
        await asyncio.gather(*futures)

    asyncio.run(main())


def test_the_queue_may_be_filled_to_its_last_unit():
    model = Model()

    async def main():
        b = batcher(model, quick=False, queue_units=10)
        model.gate.clear()
        futures = waiting(b, 2)
        await asyncio.sleep(0.01)
        futures += waiting(b, 4, 6)
        assert b.waiting_units == 10
        with pytest.raises(Overloaded):
            waiting(b, 1)
        model.gate.set()
        await asyncio.gather(*futures)

    asyncio.run(main())


def test_the_rate_is_a_mean_that_forgets(monkeypatch):
    clock = iter([0, 2, 10, 11, 20, 20])
    monkeypatch.setattr(batchers.time, "perf_counter", lambda: float(next(clock)))

    async def main():
        b = batcher(Model())
        assert b.wait_s() == 0
        await b.submit([group([1] * 9)])
        assert b._units_per_s == 5  # 10 units in 2 s
        await b.submit([group([1] * 14)])
        assert b._units_per_s == pytest.approx(0.9 * 5 + 0.1 * 15)
        await b.submit([group([1])])  # too quick for the clock
        assert b._units_per_s == pytest.approx(0.9 * 6 + 0.1 * 2e6)

    asyncio.run(main())


def test_a_request_without_instances_is_done_at_once():
    async def main():
        model = Model()
        b = batcher(model, queue_units=1)
        future = b.submit([])
        assert future.done()
        assert await future == []
        assert model.batches == []

    asyncio.run(main())


def test_a_batch_is_filled_to_its_last_instance_and_token():
    def batches(rows, **limits):
        model = Model()

        async def main():
            b = batcher(model, **limits)
            await asyncio.gather(*(b.submit([group(row)]) for row in rows))

        asyncio.run(main())
        return [len(batch) for batch in model.batches]

    assert batches([[1]] * 7, batch_instances=3) == [3, 3, 1]
    assert batches([[1] * 3] * 7, batch_tokens=9) == [3, 3, 1]
    assert batches([[1] * 3] * 7, batch_tokens=8) == [2, 2, 2, 1]


def test_waiting_for_company_ends_when_there_is_enough(monkeypatch):
    async def main():
        model = Model()
        b = batcher(model, batch_wait_ms=50, batch_instances=2)
        loop = asyncio.get_running_loop()
        later, soon = [], []
        monkeypatch.setattr(loop, "call_later", lambda *given: later.append(given))
        first = b.submit([group([1])])
        assert [given[0] for given in later] == [0.05]
        b._start()
        assert listed(await first) == [[[1.0]]]
        monkeypatch.setattr(loop, "call_soon", lambda f, *given, **k: soon.append(f))
        b._queue.extend([None])  # one waits already
        with suppress(AttributeError):
            b.submit([group([1])])
        assert soon == [b._start]
        assert len(later) == 1
        monkeypatch.undo()

    asyncio.run(main())


def test_one_batch_is_computed_at_a_time():
    model = Model()

    async def main():
        b = batcher(model, quick=False, batch_instances=2)
        model.gate.clear()
        futures = []
        for i in range(6):
            futures.append(b.submit([group([i])]))
            await asyncio.sleep(0.001)
        model.gate.set()
        await asyncio.gather(*futures)

    asyncio.run(main())
    assert [len(batch) for batch in model.batches] == [1, 2, 2, 1]


def test_what_is_quick_is_asked_of_the_whole_batch():
    asked = []

    async def main():
        b = Batcher(Model(), lambda *given: asked.append(given) or True, Settings(), WorkThread())
        await asyncio.gather(b.submit([group([1, 2], [3])]), b.submit([group([], [4])]))

    asyncio.run(main())
    assert asked == [(4, 4)]


def test_an_error_for_a_client_keeps_its_words_and_status():
    def compute(groups):
        raise RequestError("instances[0]: wrong", status=418)

    async def main():
        b = batcher(compute)
        with pytest.raises(RequestError, match=r"^instances\[0\]: wrong$") as caught:
            await b.submit([group([1])])
        assert caught.value.status == 418
        assert b.waiting_units == 0

    asyncio.run(main())


def test_a_request_that_failed_in_one_piece_is_not_computed_further():
    model = Model(bad=3)

    async def main():
        b = batcher(model, batch_instances=1)
        with pytest.raises(RequestError):
            await b.submit([group([3], [4], [5])])
        assert listed(await b.submit([group([6])])) == [[[6.0]]]
        assert b.waiting_units == 0

    asyncio.run(main())
    assert [[4]] not in [batch[0] for batch in model.batches]


def test_a_loop_that_has_ended_meanwhile_does_no_harm():
    model = Model()
    thread = WorkThread()
    b = Batcher(model, lambda *_: False, Settings(), thread)
    model.gate.clear()

    async def main():
        b.submit([group([1])])
        await asyncio.sleep(0.01)

    asyncio.run(main())
    model.gate.set()
    done = threading.Event()
    thread.run(done.set)
    assert done.wait(10)
    assert model.batches == [[[[1]]]]


def test_an_idle_model_starts_without_a_timer(monkeypatch):
    async def main():
        b = batcher(Model())
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", None)
        assert listed(await b.submit([group([1])])) == [[[1.0]]]
        monkeypatch.undo()

    asyncio.run(main())
