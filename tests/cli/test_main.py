"""What the program does around every command: signals, log lines, threads, arguments."""

from __future__ import annotations

import logging
import signal
import sys
import threading

import pytest

from object2vec.cli import main

ENDING = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def during(monkeypatch):
    """Run a command and return what a function finds while it runs."""

    def run(find):
        found = []
        monkeypatch.setattr("object2vec.cli.reference.presets", lambda **_: found.append(find()))
        assert main(["presets"]) == 0
        return found[0]

    return run


@pytest.fixture
def default_signals():
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers():
    return [signal.getsignal(number) for number in ENDING]


@pytest.mark.usefixtures("default_signals")
def test_signals_that_end_a_process_end_it_by_an_exception_while_a_command_runs(during):
    def end():
        codes = []
        for number in ENDING:
            with pytest.raises(SystemExit) as ended:
                signal.getsignal(number)(number, None)
            codes.append(ended.value.code)
        return codes, handlers()  # who asks twice does not want to wait

    codes, afterwards = during(end)
    assert codes == [128 + number for number in ENDING]
    assert afterwards == handlers() == [signal.SIG_DFL] * 2


@pytest.mark.usefixtures("default_signals")
def test_signals_are_given_back_also_by_what_fails(monkeypatch):
    def fail(**_):
        raise KeyError

    monkeypatch.setattr("object2vec.cli.reference.presets", fail)
    assert main(["presets"]) == 1
    assert handlers() == [signal.SIG_DFL] * 2


def test_signals_that_somebody_takes_stay_his(during, default_signals):
    mine = [signal.SIG_IGN, lambda number, frame: None]
    for number, handler in zip(ENDING, mine, strict=True):
        signal.signal(number, handler)
    assert during(handlers) == mine
    assert handlers() == mine


def test_a_command_runs_in_any_thread(capsys):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["presets"])))
    thread.start()
    thread.join()
    assert codes == [0]
    assert "ratings\n" in capsys.readouterr().out


def test_log_lines_are_written_once_whatever_the_root_logger_does(during, capsys, monkeypatch):
    logger = logging.getLogger("object2vec")
    root, heard = logging.getLogger(), []
    listener = logging.Handler()
    listener.emit = heard.append
    monkeypatch.setattr(root, "handlers", [listener])

    def tell():
        logger.debug("nobody hears it")
        logger.info("for all")
        logger.error("%s", "wrong")

    before = [*logger.handlers]
    during(tell)
    assert logger.handlers == before
    assert capsys.readouterr().err == "for all\nerror: wrong\n"
    assert not heard
    logger.error("afterwards")
    assert len(heard) == 1


@pytest.mark.parametrize("is_ours", [True, False])
def test_only_a_process_of_its_own_is_set_up(is_ours, monkeypatch):
    called = []
    monkeypatch.setattr("object2vec.cli.limit_waiting", lambda: called.append(1))
    monkeypatch.setattr(sys, "argv", ["object2vec", "presets"])
    assert main(None if is_ours else ["presets"]) == 0
    assert len(called) == is_ours


def test_an_unknown_error_names_its_kind_and_a_known_one_its_text(monkeypatch, capsys):
    for err, text in (
        (TypeError("odd"), "TypeError: odd. OBJECT2VEC_DEBUG=1 shows where this comes from."),
        (FileNotFoundError(2, "No such file", "x"), "[Errno 2] No such file: 'x'"),
    ):

        def fail(*, err=err, **_):
            raise err

        monkeypatch.setattr("object2vec.cli.reference.presets", fail)
        assert main(["presets"]) == 1
        assert capsys.readouterr().err == f"Error: {text}\n"
