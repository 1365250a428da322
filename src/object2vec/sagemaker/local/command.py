"""What the command line does with the local service: run a command in it, or stay up."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from object2vec.errors import ConfigError, MissingExtraError
from object2vec.signals import on_signals
from object2vec.training.stop import StopRequest

if TYPE_CHECKING:
    from object2vec.sagemaker.local.service import Service

_NEEDED = ("moto", "botocore", "cryptography", "werkzeug", "uvicorn", "starlette")
_POLL_S = 0.2


def run_command(arguments: Sequence[str], **settings: Any) -> int:
    """Run a command whose requests to AWS come here, and return its exit code.

    Raises
    ------
    ConfigError
        If there is no such command, or a setting is wrong.
    MissingExtraError
        If a package is missing.
    StorageError
        If the folder is in use or cannot be written.
    """
    with _running(**settings) as service:
        sys.stderr.write(f"SageMaker on this machine: {service.folder}, {service.url}\n")
        sys.stderr.flush()
        try:
            process = subprocess.Popen(list(arguments), env={**os.environ, **service.environment()})
        except OSError as err:
            cure = "Write the command after --, as in: -- python my_job.py"
            raise ConfigError.at("command", "must be there", arguments[0], cure) from err
        with _signals_for(process):
            code = process.wait()
    return 128 - code if code < 0 else code


def stay(**settings: Any) -> int:
    """Serve until a signal ends the process, and return its exit code."""
    stop = StopRequest()
    with stop.on_signals(), _running(**settings) as service:
        lines = [
            f"export {name}={shlex.quote(value)}" for name, value in service.environment().items()
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        sys.stderr.write(
            f"SageMaker on this machine: {service.folder}, {service.url}. Set the variables above "
            "where your code runs; Ctrl-C ends the service.\n"
        )
        while stop.signal_number is None:
            time.sleep(_POLL_S)
    return 0


@contextlib.contextmanager
def _running(folder: str, **settings: Any) -> Iterator[Service]:
    """Serve while the block runs."""
    try:
        from object2vec.sagemaker.local.service import Service
    except ImportError as err:
        if err.name and err.name.partition(".")[0] in _NEEDED:
            cure = "Run: pip install 'object2vec[local]'"
            raise MissingExtraError.at(
                "sagemaker local", "needs a package", err.name, cure
            ) from err
        raise
    with Service(Path(folder).expanduser().absolute(), **settings).running() as service:
        yield service


@contextlib.contextmanager
def _signals_for(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave signals to a command while the block runs: when it ends, so does the service."""
    # The terminal sends Ctrl-C to both; a notebook server asks about it and goes on.
    with on_signals(process.send_signal, "SIGTERM"), on_signals(lambda number: None, "SIGINT"):
        yield
