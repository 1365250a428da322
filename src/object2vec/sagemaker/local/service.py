"""The server: a proxy for clients that think that they talk to AWS, and an endpoint for others.

A client that has it as HTTPS proxy asks it for a tunnel to a host. To a host of AWS there is none:
the service responds itself, with a certificate of its own. All other hosts are passed through
untouched. A client that has it as endpoint URL names no host; then its signature says which
service it wants.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import sys
import threading
import traceback
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from object2vec.errors import ConfigError, StorageError, join_problems, problem
from object2vec.files.whole import make_folder, remove_abandoned, storing
from object2vec.sagemaker.local.api import SageMaker
from object2vec.sagemaker.local.aws import Aws
from object2vec.sagemaker.local.certificates import Authority
from object2vec.sagemaker.local.protocol import Response, ServiceError
from object2vec.sagemaker.local.tunnels import AWS_HOST, reach, relay, without_aws

MAX_BODY_BYTES = 5 << 30  # of one upload, as S3 has it
_MAX_REQUEST_BYTES = 64 << 20  # of anything else
_SERVICES = (  # that are handled here, by their host
    (re.compile(r"api\.sagemaker\.([\w-]+)\."), "control"),
    (re.compile(r"runtime\.sagemaker\.([\w-]+)\."), "runtime"),
    (re.compile(r"logs\.([\w-]+)\."), "logs"),
    (re.compile(r"sm-pysdk-t-"), "telemetry"),
)
_SIGNED = re.compile(r"Credential=([^/,\s]+)/\d+/([\w-]+)/([\w-]+)/aws4_request")
_INVOKED = re.compile(r"/endpoints/([^/]+)/invocations")
_MOST = "A body must have at most {} bytes."
_MAX_LINE = 1 << 16  # of a body in chunks
_MAX_PORT = (1 << 16) - 1
_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # a part of a host's name
_IDLE_S = 120.0
_POLL_S = 0.05  # for the end of the service


class Service:
    """The local service at work.

    Parameters
    ----------
    folder : Path
        Where everything lies. Another service at work in it is an error.
    host, port : str, int
        Address to listen on; port 0 for any free one.
    region : str
        That jobs are in, whatever region a client asks.
    slots : int
        Jobs that run at once, each with its share of the cores. By default a job that is alone
        uses all of them, and jobs that start together share them.
    key : str, optional
        Access key that requests must be signed with; any by default.
    has_remote_storage : bool, default False
        Whether jobs read and write the user's own S3.

    Raises
    ------
    ConfigError
        If the address is taken.
    StorageError
        If the folder cannot be written, or another service is at work in it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        region: str = "us-east-1",
        slots: int = 0,
        key: str | None = None,
        has_remote_storage: bool = False,
    ) -> None:
        _check(port, region, slots)
        self.folder, self.region, self.key = folder, region, key
        with storing(folder):
            make_folder(folder)
        self._lock = FileLock(folder / "object2vec.lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout as err:
            must, got = "must belong to one service", "another one that is at work in it"
            cure = "End that one, or choose another folder."
            raise StorageError.at(str(folder), must, got, cure) from err
        remove_abandoned(folder)
        self.authority = Authority(folder)
        self.aws = Aws(folder)
        self.sagemaker = SageMaker(
            folder,
            self.aws,
            region,
            slots,
            has_remote_storage=has_remote_storage,
        )
        try:
            self._server = _Server((host, port), self)
        except OSError as err:
            self._lock.release()
            must, cure = "must be a free address of this machine", "Choose another --port."
            raise ConfigError.at(f"{host}:{port}", must, err.strerror, cure) from err

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def environment(self) -> dict[str, str]:
        """Return the variables by which a client comes here instead of to AWS."""
        bundle = str(self.authority.bundle)
        no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        direct = without_aws(no_proxy)
        keys = {
            "AWS_ACCESS_KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID") or self.key or "local",
            "AWS_SECRET_ACCESS_KEY": os.environ.get("AWS_SECRET_ACCESS_KEY") or "local",
        }
        return {
            "HTTPS_PROXY": self.url,
            "https_proxy": self.url,
            "NO_PROXY": direct,
            "no_proxy": direct,
            "AWS_CA_BUNDLE": bundle,
            "REQUESTS_CA_BUNDLE": bundle,
            "SSL_CERT_FILE": bundle,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAGEMAKER_PYTHON_SDK_TELEMETRY_OPT_OUT": "true",
            "NLTK_ALLOW_PROXIED_URLOPEN": "1",  # or it downloads nothing; the proxy is this machine
            **keys,
        }

    @contextlib.contextmanager
    def running(self, grace_s: float = 120.0) -> Iterator[Service]:
        """Serve while the block runs, then end all jobs and endpoints."""
        thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), daemon=True)
        thread.start()
        try:
            self.sagemaker.recover()
            yield self
        finally:
            self._server.shutdown()
            self._server.close_connections()
            self._server.server_close()
            self.sagemaker.close(grace_s)
            self._lock.release()

    def respond(self, method: str, host: str, path: str, headers: Any, body: bytes) -> Response:
        """Return the response to a request for a host of AWS."""
        signed = _SIGNED.search(headers.get("Authorization", ""))
        if self.key is not None and (signed is None or signed[1] != self.key):
            code = "UnrecognizedClientException"
            return ServiceError(code, "Wrong access key.", 403).response()
        name = next((name for pattern, name in _SERVICES if pattern.match(host)), "")
        if name == "control":
            return self.sagemaker.control(_target(headers), body)
        if name == "logs":
            return self.sagemaker.logs(_target(headers), body)
        if name == "telemetry":
            return Response(200)
        if name == "runtime":
            match = _INVOKED.fullmatch(path.split("?")[0])
            if match is None:
                return Response(404, {}, b"Only invocations are offered here.")
            endpoint = urllib.parse.unquote(match[1])
            return self.sagemaker.endpoints.invoke(endpoint, headers, body)
        return self.aws(method, f"https://{host}", path, headers, body)

    def host_of(self, headers: Any, path: str) -> str:
        """Return the host at AWS that a request without one means, by its signature."""
        signed = _SIGNED.search(headers.get("Authorization", ""))
        region, service = (signed[2], signed[3]) if signed else (self.region, "s3")
        if service == "sagemaker":
            kind = "runtime" if _INVOKED.match(path) else "api"
            return f"{kind}.sagemaker.{region}.amazonaws.com"
        return f"{service}.{region}.amazonaws.com"


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # waited for at the end, when their connections are shut
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        self.connections: set[socket.socket] = set()  # to be closed when the service ends
        super().__init__(address, _Connection)

    def close_connections(self) -> None:
        """End what clients have left open."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away; say what else went wrong."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError, ssl.SSLError)):
            traceback.print_exc()


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "object2vec"
    timeout = _IDLE_S
    disable_nagle_algorithm = True
    server: _Server
    _tunnel = ""  # the host that this connection is a tunnel to

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: jobs have their own logs."""

    def setup(self) -> None:
        """Note the connection."""
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        """Close the connection."""
        super().finish()
        self.connection.close()
        self.server.connections.discard(self.connection)
        self.server.service.sagemaker.endpoints.calls.release()

    def do_CONNECT(self) -> None:
        """Respond for a host of AWS, or pass the connection through to another."""
        host, _, port = self.path.rpartition(":")
        if not AWS_HOST.fullmatch(host):
            self._pass_through(host, int(port) if port.isdecimal() else 443)
            return
        self.send_response_only(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        context = self.server.service.authority.context(host)
        self.server.connections.discard(self.connection)
        self.request = context.wrap_socket(self.connection, server_side=True)
        self.setup()
        self._tunnel = host
        self.close_connection = False

    def _respond(self) -> None:
        service, path = self.server.service, self.path
        host = self._tunnel
        if not host and "://" in path:  # a plain proxy request
            parts = urllib.parse.urlsplit(path)
            host, path = parts.hostname or "", path.partition("://")[2].partition("/")[2]
            path = f"/{path}"
            if not AWS_HOST.fullmatch(host):
                self._send(Response(502, {}, b"Only HTTPS is passed through."))
                return
        host = host or service.host_of(self.headers, path)
        try:
            body = self._body(MAX_BODY_BYTES if ".s3" in f".{host}" else _MAX_REQUEST_BYTES)
        except ServiceError as err:
            self.close_connection = True
            self._send(err.response())
            return
        try:
            response = service.respond(self.command, host, path, self.headers, body)
        except Exception:
            traceback.print_exc()
            response = Response(500, {"x-amzn-ErrorType": "InternalFailure"}, b"{}")
        self._send(response)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _respond

    def _body(self, limit: int) -> bytes:
        """Return the body of the request; raise `ServiceError` if it is too large, or not whole."""
        too_large = ServiceError("RequestEntityTooLargeException", _MOST.format(limit), 413)
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            size = _size(self.headers.get("Content-Length") or "0", 10)
            if size > limit:
                raise too_large
            body = self.rfile.read(size)
            if len(body) < size:  # its client has gone: half an upload is none
                text = f"A body must have all of its {size} bytes; got {len(body)}."
                raise ServiceError("IncompleteBody", text)
            return body
        content = bytearray()
        while size := _size(self.rfile.readline(_MAX_LINE).split(b";")[0].decode("latin-1"), 16):
            if len(content) + size > limit:
                raise too_large
            content += self.rfile.read(size)
            self.rfile.readline(_MAX_LINE)
        while self.rfile.readline(_MAX_LINE).strip():
            pass  # trailers
        return bytes(content)

    def _send(self, response: Response) -> None:
        """Send a response in one piece: two would be two packets."""
        phrase = self.responses.get(response.status, ("",))[0]
        lines = [f"{self.protocol_version} {response.status} {phrase}"]
        names = {name.lower() for name in response.headers}
        for name, value in response.headers.items():
            if name.lower() not in ("connection", "transfer-encoding"):
                lines.append(f"{name}: {value}")
        if "content-length" not in names:
            lines.append(f"Content-Length: {len(response.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        self.wfile.write(head if self.command == "HEAD" else head + response.body)

    def _pass_through(self, host: str, port: int) -> None:
        """Connect a client with a host that is none of ours."""
        self.close_connection = True
        try:
            address, own_port = self.server.server_address[:2]
            other = reach(host, port, (str(address), own_port))
        except OSError as err:
            self.send_error(502, f"{host} cannot be reached: {err}")
            return
        with other:
            self.send_response_only(200, "Connection established")
            self.end_headers()
            self.wfile.flush()
            relay(self.connection, other)


def _check(port: int, region: str, slots: int) -> None:
    """Raise `ConfigError` for settings that cannot be."""
    cure = "Choose another one, or 0 for any free port."
    problems = []
    if not 0 <= port <= _MAX_PORT:
        problems.append(problem("--port", f"must be in [0, {_MAX_PORT}]", port, cure))
    if not _REGION.fullmatch(region):
        cure = "Write for example us-east-1."
        problems.append(problem("--region", "must be a region of AWS", region, cure))
    if slots < 0:
        cure = "Use 0 for as many as share the cores well."
        problems.append(problem("--slots", "must not be negative", slots, cure))
    if problems:
        raise ConfigError(join_problems(problems))


def _size(text: str, base: int) -> int:
    """Return the number of bytes that a client announces."""
    if not re.fullmatch(r"[0-9A-Fa-f]{1,15}", text.strip()):
        raise ServiceError("IncompleteBody", f"A body must have a size; got {text[:80]!r}.")
    try:
        return int(text, base)
    except ValueError as err:
        raise ServiceError("IncompleteBody", str(err)) from err


def _target(headers: Any) -> str:
    """Return the operation that a request names."""
    return str(headers.get("X-Amz-Target", "")).rpartition(".")[2]
