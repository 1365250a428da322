"""The serving process: its socket, its signals and its workers.

SIGTERM (or Ctrl-C) ends it politely. Requests that were accepted are finished; others are rejected
with 503 and ``Connection: close``, for long enough that every open connection gets it; then the
process ends, at the latest 25 s after the signal. A second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from object2vec.artifact import open_model
from object2vec.errors import ConfigError, Object2VecError
from object2vec.files.remote import PathLike
from object2vec.serving.app import create_app
from object2vec.serving.metrics import SHARED_FOLDER
from object2vec.serving.settings import Settings
from object2vec.signals import on_signals
from object2vec.training.stop import StopRequest

GRACE_S = 20  # then what still runs is ended; SageMaker kills 30 s after SIGTERM
_REJECTING_S = 1.0  # how long requests on open connections are rejected before they are closed
_MAX_PORT = (1 << 16) - 1
# New objects after which the garbage collector looks for cycles. Requests leave none, connections a
# few; at Python's 700 it would go through some 30 requests in flight with every batch, for nothing.
_COLLECTED = 100_000
_logger = logging.getLogger(__name__)


def run(
    model: PathLike,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    log_level: str = "info",
    settings: Settings | None = None,
) -> int:
    """Serve a model until a signal ends the process.

    Parameters
    ----------
    model : path or URL
        Of a model folder or a ``model.tar.gz``.
    host : str, default "127.0.0.1"
        Name or IP address to listen on. On any but a loopback address everybody who reaches it can
        use the model, unless there is a token.
    port : int, default 8080
        0 for any free one, which the log names.
    token : str, optional
        Bearer token that requests must carry; that of `settings` by default.
    log_level : str, default "info"
        ``critical``, ``error``, ``warning``, ``info`` or ``debug``; ``debug`` logs every request.
    settings : Settings, optional
        `Settings.from_environ` of this process's environment by default.

    Returns
    -------
    int
        Exit code: 0 after SIGINT or SIGTERM, with a response to whatever was accepted; 1 if a
        worker process failed.

    Raises
    ------
    ArtifactError
        If the model cannot be unpacked or loaded.
    ConfigError
        If an environment variable or the port is wrong, or the address is taken or not of this
        machine.
    """
    settings = settings or Settings.from_environ(os.environ)
    if token is not None:
        settings = replace(settings, token=token)
    _log(log_level)
    with open_model(model) as folder, _listening(host, port) as listener:
        address, number, *_ = listener.getsockname()
        shown = f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
        _logger.info("Serving %s at http://%s", model, shown)
        if settings.token is None and not ipaddress.ip_address(address).is_loopback:
            _logger.warning("No token is required, and others may reach %s.", shown)
        if settings.workers == 1:
            return _serve(folder, listener, settings, log_level)
        return _supervise(folder, listener, settings, log_level)


def _log(level: str) -> None:
    """Log to stderr, our lines from `level` up and uvicorn's errors."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    logging.getLogger("object2vec").setLevel(level.upper())
    # uvicorn warns of every malformed request, and so anybody could fill the log.
    logging.getLogger("uvicorn").setLevel("INFO" if level == "debug" else "ERROR")


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Give a listening socket; connections wait in it from now on."""
    if not 0 <= port <= _MAX_PORT:
        cure = "Choose another one, or 0 for any free port."
        raise ConfigError.at("port", f"must be in [0, {_MAX_PORT}]", port, cure)
    try:
        name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as err:  # ValueError: what is no name in any language
        cure = "Give a name or an IP address alone: no URL, port, or path of a Unix socket."
        raise ConfigError.at(
            "host", "must be a name or address of this machine", host, cure
        ) from err
    try:
        family, _, _, _, address = found[0]
        listener = socket.create_server(address, family=family, backlog=2048)
    except OSError as err:
        must, cure = "must be a free address of this machine", "Choose another --port or --host."
        raise ConfigError.at(f"{host}:{port}", must, err.strerror, cure) from err
    with listener:
        yield listener


class _Process(uvicorn.Server):
    """uvicorn, but with a polite end and our exit code instead of the signal's."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let the first signal ask for an end, and the second one be the end."""

        def ask(number: int) -> None:
            self.should_exit = True
            for other in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(other) is not signal.SIG_IGN:
                    signal.signal(other, signal.SIG_DFL)

        with on_signals(ask, "SIGINT", "SIGTERM"):
            yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Reject requests for a moment, so that no connection is closed under one, then end."""
        self._app.state.endpoint.is_draining = True
        if self.server_state.connections:
            await asyncio.sleep(_REJECTING_S)
        await super().shutdown(sockets)


def _serve(folder: Path, listener: socket.socket, settings: Settings, log_level: str) -> int:
    """Serve in this process until it is asked to end."""
    sys.setswitchinterval(1e-3)  # the event loop gets its turn sooner while the model's thread runs

    def on_loaded(failure: Object2VecError | None) -> None:
        gc.collect()
        gc.freeze()  # the model stays: the collector need not look at it again and again
        gc.set_threshold(_COLLECTED)
        process.should_exit |= failure is not None

    app = create_app(folder, settings, on_loaded)
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=log_level == "debug",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        backlog=2048,
        timeout_graceful_shutdown=GRACE_S,
    )
    process = _Process(config, app)
    process.run(sockets=[listener])
    if app.state.endpoint.failure is not None:
        raise app.state.endpoint.failure
    return 0


def _worker(folder: Path, listener: socket.socket, settings: Settings, log_level: str) -> None:
    """Be one of several processes that share a socket."""
    _log(log_level)
    try:
        sys.exit(_serve(folder, listener, settings, log_level))
    except Object2VecError as err:
        _logger.error("%s", err)
        sys.exit(1)


def _supervise(folder: Path, listener: socket.socket, settings: Settings, log_level: str) -> int:
    """Run workers until a signal asks them to end; if one fails, end them all."""
    context = multiprocessing.get_context("spawn")
    asked = StopRequest()
    with tempfile.TemporaryDirectory(prefix="object2vec-metrics-") as shared, asked.on_signals():
        os.environ[SHARED_FOLDER] = shared
        arguments = (folder, listener, settings, log_level)
        workers = [context.Process(target=_worker, args=arguments) for _ in range(settings.workers)]
        for worker in workers:
            worker.start()
        sentinels = [worker.sentinel for worker in workers]
        while asked.signal_number is None and not connection.wait(sentinels, timeout=0.2):
            pass
        has_failed = asked.signal_number is None
        if has_failed:
            _logger.error("A worker process has ended; ending the others.")
        _end(workers)
        del os.environ[SHARED_FOLDER]
    return int(has_failed)


def _end(workers: Sequence[BaseProcess]) -> None:
    """Ask processes to end, and end those that do not."""
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + _REJECTING_S + GRACE_S + 2
    for worker in workers:
        worker.join(max(deadline - time.monotonic(), 0.1))
        if worker.exitcode is None:
            worker.kill()
            worker.join()
