"""Requests to the servers of endpoints, over connections that stay open."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Mapping

_RESPONSE_S = 70.0  # of a server, ten more than a model has on AWS


class Calls(threading.local):
    """Connections to servers of this machine, each thread's own."""

    def __init__(self) -> None:
        self._kept: dict[int, socket.socket] = {}  # by port

    def post(
        self, port: int, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return status, headers and body of a server's response to an invocation.

        Raises
        ------
        ConnectionError
            If the server does not respond.
        """
        fixed = {"Host": "127.0.0.1", "Content-Length": str(len(body))}
        lines = [
            f"{name}: {' '.join(value.split())}" for name, value in (fixed | dict(headers)).items()
        ]
        head = "\r\n".join(["POST /invocations HTTP/1.1", *lines, "", ""])
        request = head.encode("latin-1", "replace") + body  # one packet where it fits
        kept = self._kept
        for is_last in (port not in kept, True):
            if port not in kept:
                kept[port] = _connected(port)
            try:
                kept[port].sendall(request)
                with http.client.HTTPResponse(kept[port], method="POST") as response:
                    response.begin()
                    content = response.read()
            except (http.client.HTTPException, OSError) as err:
                kept.pop(port).close()
                if is_last or isinstance(err, TimeoutError):
                    raise ConnectionError(f"{str(err) or 'its server has gone'}") from err
                continue  # closed by the server while it was idle
            if response.will_close:
                kept.pop(port).close()
            return response.status, response.getheaders(), content
        raise AssertionError("our bug")

    def release(self) -> None:
        """Close this thread's connections to servers."""
        while self._kept:
            self._kept.popitem()[1].close()


def is_ready(port: int | None) -> bool:
    """Say whether a server is ready."""
    if port is None:
        return False
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connected(port: int) -> socket.socket:
    """Return a connection to a server of this machine, which sends what it has at once."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=_RESPONSE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
