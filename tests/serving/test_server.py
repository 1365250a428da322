"""The serving process without a process: addresses, log, signals, workers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from types import SimpleNamespace

import pytest
import uvicorn

from object2vec.errors import ArtifactError, ConfigError
from object2vec.serving import server
from object2vec.serving.app import create_app
from object2vec.serving.metrics import SHARED_FOLDER
from object2vec.serving.settings import Settings
from support.servers import fitted

NOBODY = Settings(token="t")


@pytest.fixture
def folder(tmp_path):
    fitted("pooled").save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def served(monkeypatch):
    """What would be served, instead of serving it; the log levels are restored."""
    calls = []

    def serve(folder, listener, settings, log_level):
        calls.append(
            SimpleNamespace(
                folder=folder, address=listener.getsockname(), settings=settings, level=log_level
            )
        )
        return 5

    def supervise(*given):
        serve(*given)
        return 6

    monkeypatch.setattr(server, "_serve", serve)
    monkeypatch.setattr(server, "_supervise", supervise)
    loggers = [logging.getLogger(name) for name in ("object2vec", "uvicorn", None)]
    before = [(logger.level, [*logger.handlers]) for logger in loggers]
    yield calls
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "[::]"),
    ],
)
@pytest.mark.parametrize("token", [None, "t"])
def test_the_log_names_an_address_that_can_be_opened(folder, served, caplog, host, shown, token):
    if ":" in host and not has_ipv6():
        pytest.skip("no IPv6 here")
    assert server.run(folder, host=host, port=0, settings=Settings(token=token)) == 5
    (call,) = served
    port = call.address[1]
    first, *rest = [record.getMessage() for record in caplog.records]
    assert first == f"Serving {folder} at http://{shown}:{port}"
    is_open = host in ("0.0.0.0", "::") and token is None
    warning = f"No token is required, and others may reach {shown}:{port}."
    assert rest == ([warning] if is_open else [])


def test_a_name_is_an_address(folder, served):
    assert server.run(folder, host="localhost", port=0, settings=NOBODY) == 5
    assert served[0].address[0] in ("127.0.0.1", "::1")


@pytest.mark.parametrize("port", [-1, 65536, 70000, 1 << 70])
def test_a_port_that_does_not_exist_is_rejected(folder, served, port):
    message = rf"^port: must be in \[0, 65535\]; got {port}\. Choose another one, or 0 for any"
    with pytest.raises(ConfigError, match=message):
        server.run(folder, port=port, settings=NOBODY)
    assert served == []


def test_the_highest_port_exists(monkeypatch):
    asked = []
    monkeypatch.setattr(
        socket,
        "create_server",
        lambda *given, **options: asked.append((*given, options)) or socket.socket(),
    )
    with server._listening("127.0.0.1", 65535):
        options = {"family": socket.AF_INET, "backlog": 2048}
        assert asked == [(("127.0.0.1", 65535), options)]


@pytest.mark.parametrize(
    "host",
    [
        "/run/o2v.sock",
        "unix:/run/o2v.sock",
        "http://localhost",
        "127.0.0.1:80",
        "",
        "a..b",
        "x" * 70,
        "256.1.1.1",
        "[::1",
        "\0",
    ],
)
def test_a_host_that_is_no_name_or_address_is_rejected(folder, served, host):
    message = r"^host: must be a name or address of this machine; got .*\. Give a name or an IP "
    with pytest.raises(ConfigError, match=message):
        server.run(folder, host=host, port=0, settings=NOBODY)
    assert served == []


def test_an_address_of_another_machine_is_rejected(folder, served):
    message = r"^192\.0\.2\.1:0: must be a free address of this machine; got [\'\"]Cannot assign"
    with pytest.raises(ConfigError, match=message):
        server.run(folder, host="192.0.2.1", port=0, settings=NOBODY)


def test_a_listener_is_closed_afterwards_and_keeps_connections_meanwhile():
    with server._listening("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address, 1):
            pass
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(address, 1).close()


def test_settings_come_from_the_environment_and_the_caller(folder, served, monkeypatch):
    monkeypatch.setenv("OBJECT2VEC_TOKEN", "of the environment".replace(" ", "-"))
    monkeypatch.setenv("OBJECT2VEC_QUEUE_UNITS", "77")
    server.run(folder, port=0)
    server.run(folder, port=0, token="given")
    server.run(folder, port=0, settings=Settings(queue_units=5, token="x"))
    server.run(folder, port=0, settings=Settings(queue_units=5, token="x"), token="given")
    assert [(c.settings.token, c.settings.queue_units) for c in served] == [
        ("of-the-environment", 77),
        ("given", 77),
        ("x", 5),
        ("given", 5),
    ]


@pytest.mark.parametrize(("workers", "code"), [(1, 5), (2, 6), (64, 6)])
def test_one_worker_is_this_process(folder, served, workers, code):
    assert server.run(folder, port=0, settings=Settings(workers=workers, token="t")) == code
    assert served[0].folder == folder


@pytest.mark.parametrize(
    ("level", "ours", "uvicorns"),
    [
        ("debug", logging.DEBUG, logging.INFO),
        ("info", logging.INFO, logging.ERROR),
        ("warning", logging.WARNING, logging.ERROR),
        ("critical", logging.CRITICAL, logging.ERROR),
    ],
)
def test_the_log_has_our_lines_and_uvicorns_errors(folder, served, level, ours, uvicorns):
    server.run(folder, port=0, settings=NOBODY, log_level=level)
    assert logging.getLogger("object2vec").level == ours
    assert logging.getLogger("uvicorn").level == uvicorns
    assert served[0].level == level


def test_lines_of_the_log_begin_with_their_level(monkeypatch, served):
    given = []
    monkeypatch.setattr(logging, "basicConfig", lambda **options: given.append(options))
    server._log("info")
    line = logging.Formatter(given[0]["format"]).format(
        logging.makeLogRecord({"msg": "a", "levelname": "ERROR"})
    )
    assert line == "ERROR: a"


# ---- the process


@pytest.fixture
def configured(monkeypatch, folder):
    """Run `_serve` to its end at once; return uvicorn's configuration and the application."""
    seen, intervals = [], []
    monkeypatch.setattr(server._Process, "run", lambda self, sockets: seen.append((self, sockets)))
    frozen, usual_s = [], sys.getswitchinterval()
    monkeypatch.setattr(server.gc, "collect", lambda: frozen.append("collected"))
    monkeypatch.setattr(server.gc, "freeze", lambda: frozen.append("frozen"))
    monkeypatch.setattr(server.gc, "set_threshold", frozen.append)
    monkeypatch.setattr(server.sys, "setswitchinterval", intervals.append)

    def serve(level="info"):
        assert server._serve(folder, "a socket", NOBODY, level) == 0
        assert 0 < intervals[0] < usual_s  # the event loop has its turn sooner
        ((process, sockets),) = seen
        assert sockets == ["a socket"]
        return process, frozen

    return serve


@pytest.mark.parametrize("level", ["info", "debug"])
def test_uvicorn_is_told_what_a_server_of_ours_needs(configured, level):
    process, _ = configured(level)
    config = process.config
    assert config.access_log == (level == "debug")
    assert (config.ws, config.lifespan, config.log_config) == ("none", "on", None)
    assert (config.server_header, config.proxy_headers) == (False, False)
    assert (config.timeout_keep_alive, config.backlog) == (75, 2048)
    assert config.timeout_graceful_shutdown == server.GRACE_S == 20


def test_a_loaded_model_is_frozen_and_a_failed_one_ends_the_process(configured):
    in_flight = 1000 * 30  # requests, each with so many objects: no reason to look for garbage
    process, frozen = configured()
    endpoint = process._app.state.endpoint
    assert endpoint.settings is NOBODY
    endpoint._on_loaded(None)
    assert (frozen[:2], process.should_exit) == (["collected", "frozen"], False)
    assert frozen[2] > in_flight
    endpoint._on_loaded(ConfigError("x"))
    assert process.should_exit


def make_process():
    app = create_app(fitted("pooled"))
    return server._Process(uvicorn.Config(app, log_config=None), app), app.state.endpoint


def test_the_first_signal_asks_and_the_second_one_ends(python_takes_signals):
    process, _ = make_process()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for number in (signal.SIGINT, signal.SIGTERM):
        process.should_exit = False
        with process.capture_signals():
            signal.raise_signal(number)
            assert process.should_exit
            for other in (signal.SIGINT, signal.SIGTERM):
                assert signal.getsignal(other) == signal.SIG_DFL
        after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        assert after == before


def test_a_signal_that_the_caller_ignores_ends_no_server(python_takes_signals):
    """Ctrl-C in a script goes to what runs in its background, too."""
    process, _ = make_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with process.capture_signals():
        signal.raise_signal(signal.SIGINT)
        assert not process.should_exit
        signal.raise_signal(signal.SIGTERM)
        assert process.should_exit
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_signals_are_left_alone_in_other_threads():
    process, seen = make_process()[0], []

    def run():
        with process.capture_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("connections", [0, 1])
def test_open_connections_get_a_moment_of_rejections(monkeypatch, connections):
    process, endpoint = make_process()
    events = []

    async def sleep(seconds):
        events.append((seconds, endpoint.is_draining))

    async def shutdown(self, sockets=None):
        events.append((sockets, endpoint.is_draining))

    monkeypatch.setattr(server.asyncio, "sleep", sleep)
    monkeypatch.setattr(uvicorn.Server, "shutdown", shutdown)
    process.server_state.connections |= {*range(connections)}
    asyncio.run(process.shutdown(["sockets"]))
    assert events == [(1.0, True)] * connections + [(["sockets"], True)]


class Worker:
    """A process that ends when it is asked to, or not."""

    def __init__(self, obeys: bool) -> None:
        self.obeys, self.exitcode, self.log = obeys, None, []

    def terminate(self):
        self.log.append("terminate")

    def join(self, timeout=None):
        self.log.append(timeout)
        if self.obeys or "kill" in self.log:
            self.exitcode = 0

    def kill(self):
        self.log.append("kill")


def test_workers_are_asked_to_end_and_then_made_to(monkeypatch):
    clock = iter([100.0, 100.0, 110.0, 130.0])
    monkeypatch.setattr(server.time, "monotonic", lambda: next(clock))
    workers = [Worker(True), Worker(False), Worker(True)]
    server._end(workers)
    assert [worker.log for worker in workers] == [
        ["terminate", 23.0],
        ["terminate", 13.0, "kill", None],
        ["terminate", 0.1],
    ]


@pytest.fixture
def workers(monkeypatch):
    """Processes that `_supervise` starts, none of which is one."""
    made = []

    def process(target, args):
        worker = Worker(True)
        worker.start = lambda: worker.log.append(os.environ.get(SHARED_FOLDER))
        worker.sentinel, worker.target, worker.args = len(made), target, args
        made.append(worker)
        return worker

    def get_context(method):
        assert method == "spawn"  # a fork of a process with threads is unsafe
        return SimpleNamespace(Process=process)

    monkeypatch.setattr(server.multiprocessing, "get_context", get_context)
    return made


@pytest.mark.parametrize("ends_by", ["a signal", "a worker"])
def test_workers_end_together(monkeypatch, workers, caplog, ends_by):
    waits, handler = [], signal.getsignal(signal.SIGTERM)

    def wait(sentinels, timeout):
        waits.append((sentinels, timeout))
        assert len(waits) < 9
        if len(waits) == 3 and ends_by == "a signal":
            signal.raise_signal(signal.SIGTERM)
        return [1] if len(waits) == 3 and ends_by == "a worker" else []

    monkeypatch.setattr(server.connection, "wait", wait)
    given = ("folder", "listener", Settings(workers=3), "info")
    code = server._supervise(*given)
    has_failed = ends_by == "a worker"
    assert code == has_failed
    assert ("A worker process has ended; ending the others." in caplog.text) == has_failed
    assert waits == [([0, 1, 2], 0.2)] * 3
    for worker in workers:
        folder, *rest = worker.log
        assert os.path.basename(folder).startswith("object2vec-metrics-")
        assert not os.path.exists(folder)
        assert rest[0] == "terminate"
        assert (worker.target, worker.args) == (server._worker, given)
    assert SHARED_FOLDER not in os.environ
    assert signal.getsignal(signal.SIGTERM) == handler


@pytest.mark.parametrize("fails", [True, False])
def test_a_worker_leaves_with_the_code_of_its_server(monkeypatch, served, caplog, fails):
    def serve(*given):
        assert given == ("folder", "listener", NOBODY, "info")
        if fails:
            raise ArtifactError("config.json: wrong")
        return 0

    monkeypatch.setattr(server, "_serve", serve)
    with pytest.raises(SystemExit) as caught:
        server._worker("folder", "listener", NOBODY, "info")
    assert caught.value.code == (1 if fails else 0)
    assert ("config.json: wrong" in caplog.text) == fails
    assert logging.getLogger("uvicorn").level == logging.ERROR


def test_a_model_that_cannot_be_loaded_is_raised_at_the_end(monkeypatch, tmp_path):
    def run(process, sockets):
        endpoint = process._app.state.endpoint
        endpoint.start()
        endpoint._loading.join(10)
        assert process.should_exit

    monkeypatch.setattr(server._Process, "run", run)
    with pytest.raises(ArtifactError, match=r"config\.json: must be a JSON object"):
        server._serve(tmp_path, None, NOBODY, "info")
