"""Endpoints as server processes on this machine, on a port of the loopback address."""

from __future__ import annotations

import atexit
import http.client
import signal
import socket
import time
import urllib.error
import urllib.request

from object2vec.errors import ConfigError, RequestError, problem
from object2vec.sagemaker import jobs
from object2vec.sagemaker.exceptions import UnexpectedStatusException

_HOST = "127.0.0.1"
_START_S = 240.0  # SageMaker gives a container four minutes to answer its first ping
_STOP_S = 30.0  # and kills it so long after SIGTERM
_REQUEST_S = 60.0
_LOG_LINES = 20
_ours: set[str] = set()  # endpoints that end with this process


def start_endpoint(name: str, model: str, environment: dict[str, str]) -> None:
    """Serve a model under a name, and return when it answers.

    Parameters
    ----------
    name : str
    model : path or URL
        A model's folder or archive.
    environment : dict
        Variables for the server.

    Raises
    ------
    ConfigError
        If the name is taken or none that AWS would take.
    UnexpectedStatusException
        If the server does not come up; the message ends with its log.
    """
    folder = jobs.new_folder(name)
    port = _free_port()
    arguments = ["serve", model, "--host", _HOST, "--port", str(port)]
    jobs.start_process(folder, arguments, environment, {"port": port, "model_data": model})
    if not _ours:
        atexit.register(_delete_ours)
    _ours.add(name)
    deadline = time.monotonic() + _START_S
    while not _answers(port):
        if not jobs.is_alive(folder) or time.monotonic() > deadline:
            log = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
            delete_endpoint(name)
            text = "\n".join([f"Endpoint {name} did not start:", *log[-_LOG_LINES:]])
            raise UnexpectedStatusException(text, ["InService"], "Failed")
        time.sleep(0.1)


def invoke(name: str, body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
    """Return the answer of an endpoint to a request, and its content type.

    Raises
    ------
    RequestError
        With the server's status and message if it is none of success, 503 if nobody answers.
    """
    request = urllib.request.Request(
        f"http://{_HOST}:{_port(name)}/invocations",
        data=body,
        headers={"Content-Type": content_type, "Accept": accept},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=_REQUEST_S) as answer:
            return answer.read(), answer.headers.get("Content-Type", "")
    except urllib.error.HTTPError as err:
        text = err.read().decode("utf-8", "replace")
        raise RequestError(f"Endpoint {name} answered {err.code}: {text}", err.code) from err
    except (OSError, http.client.HTTPException) as err:
        cure = "Is it still running?"
        text = problem(f"endpoint {name}", "must answer", str(err), cure)
        raise RequestError(text, 503) from err


def delete_endpoint(name: str) -> None:
    """Stop an endpoint's server; what was accepted is answered first."""
    folder = jobs.jobs_root() / name
    jobs.send_signal(folder, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while jobs.is_alive(folder):
        if time.monotonic() > deadline:
            jobs.send_signal(folder, signal.SIGKILL)
        time.sleep(0.05)
    _ours.discard(name)


def _delete_ours() -> None:
    for name in list(_ours):
        delete_endpoint(name)


def _port(name: str) -> int:
    facts = jobs.read_job(jobs.jobs_root() / name)
    if "port" not in facts:
        cure = "Use the name that deploy gave."
        raise ConfigError.at("endpoint name", "must be an endpoint", name, cure)
    return int(facts["port"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{_HOST}:{port}/ping", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False
