"""The thread for slow work: order, end, and a start where there is none."""

from __future__ import annotations

import threading

from object2vec.serving.thread import WorkThread


def run(thread, work=lambda: None):
    """Do work in a thread and wait for it; return the thread that did it."""
    done, seen = threading.Event(), []
    thread.run(work)
    thread.run(lambda: (seen.append(threading.current_thread()), done.set()))
    assert done.wait(10)
    return seen[0]


def test_work_is_done_in_order_in_one_daemon_thread():
    thread, seen = WorkThread(), []
    gate = threading.Event()
    thread.run(lambda: gate.wait(10))
    for i in range(5):
        thread.run(lambda i=i: seen.append((i, threading.current_thread())))
    assert seen == []
    gate.set()
    runner = run(thread)
    assert seen == [(i, runner) for i in range(5)]
    assert runner is not threading.current_thread()
    assert (runner.daemon, runner.name) == (True, "model")


def test_a_closed_thread_ends_after_its_work_and_another_one_may_start():
    thread, seen, gate = WorkThread(), [], threading.Event()
    thread.close()  # nothing has started
    first = run(thread)
    thread.run(lambda: gate.wait(10))
    thread.run(lambda: seen.append(1))
    thread.close()
    thread.close()
    assert first.is_alive()
    second = run(thread)  # does not wait for the first one
    assert second is not first
    assert seen == []
    gate.set()
    first.join(10)
    assert not first.is_alive()
    assert seen == [1]
    assert second.is_alive()
    thread.close()


def test_a_thread_that_is_gone_is_replaced():  # as after a fork
    thread = WorkThread()
    first = run(thread)
    thread._queue.put(None)
    first.join(10)
    assert run(thread) is not first
