"""A block handles signals itself, and gives them back."""

from __future__ import annotations

import contextlib
import signal
import threading

import pytest

from object2vec.signals import ENDING, on_signals

pytestmark = pytest.mark.usefixtures("python_takes_signals")


def handlers():
    return [signal.getsignal(getattr(signal, name)) for name in ENDING]


@pytest.mark.parametrize("name", ENDING)
@pytest.mark.parametrize("divisor", [0, 1])
def test_a_signal_is_handled_while_the_block_runs_however_that_ends(name, divisor):
    number, seen, before = getattr(signal, name), [], handlers()
    with contextlib.suppress(ZeroDivisionError), on_signals(seen.append, *ENDING):
        signal.raise_signal(number)
        signal.raise_signal(number)
        _ = 1 / divisor
    assert seen == [number, number]
    assert handlers() == before


def test_signals_can_be_given_back_before_the_end():
    before = handlers()
    with on_signals(lambda number: None, *ENDING) as give_back:
        assert all(own != earlier for own, earlier in zip(handlers(), before, strict=True))
        give_back()
        assert handlers() == before


def test_only_those_that_are_named_and_known_are_taken():
    before = handlers()
    with on_signals(lambda number: None, "SIGTERM", "SIGNOTHING"):
        after = handlers()
    changed = [own != earlier for own, earlier in zip(after, before, strict=True)]
    assert changed == [name == "SIGTERM" for name in ENDING]


@pytest.mark.parametrize("name", ENDING)
def test_what_the_caller_ignores_stays_ignored(name):
    number, seen = getattr(signal, name), []
    signal.signal(number, signal.SIG_IGN)
    with on_signals(seen.append, *ENDING):
        signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN
    assert seen == []
    assert signal.getsignal(number) is signal.SIG_IGN


def test_what_python_code_handles_can_be_left_to_it():
    ours, theirs = [], []
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda number, frame: theirs.append(number))
    with on_signals(ours.append, *ENDING, only_default=True):
        for name in ENDING:
            signal.raise_signal(getattr(signal, name))
    assert (ours, theirs) == ([signal.SIGHUP], [signal.SIGINT, signal.SIGTERM])


def test_nothing_changes_in_another_thread():
    seen, before = [], handlers()

    def run():
        with on_signals(lambda number: None, *ENDING) as give_back:
            seen.append(handlers())
            give_back()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]
    assert handlers() == before
