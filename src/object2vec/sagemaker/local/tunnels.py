"""Connections to hosts that this service does not stand for: passed through, byte for byte."""

from __future__ import annotations

import base64
import re
import select
import socket
import urllib.parse
import urllib.request

AWS_HOST = re.compile(r"(?:.+\.)?amazonaws\.com(?:\.cn)?")
_DOMAINS = ("amazonaws.com", "amazonaws.com.cn")
_CONNECT_S = 30
_IDLE_S = 120.0
_MAX_HEAD_BYTES = 1 << 16


def reach(host: str, port: int, own: tuple[str, int]) -> socket.socket:
    """Return a connection with a host, by the proxy that this process was started with, if any.

    Parameters
    ----------
    host, port : str, int
    own : tuple of str and int
        Address of the service, which is no proxy for itself, whatever the variables say.

    Raises
    ------
    OSError
        If the host or the proxy cannot be reached, or the proxy rejects it.
    """
    proxy = urllib.request.getproxies_environment().get("https", "")
    parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    address = (parts.hostname or "", parts.port or 80)
    if not parts.hostname or address == own or urllib.request.proxy_bypass(host):
        return socket.create_connection((host, port), timeout=_CONNECT_S)
    connection = socket.create_connection(address, timeout=_CONNECT_S)
    try:
        connection.sendall(_request(host, port, parts))
        status = _head(connection).split(b"\r\n")[0].decode("latin-1")
        if status.split()[1:2] != ["200"]:
            raise OSError(f"the proxy {address[0]}:{address[1]} said {status!r}")
    except BaseException:
        connection.close()
        raise
    return connection


def _request(host: str, port: int, proxy: urllib.parse.SplitResult) -> bytes:
    """Return what asks a proxy for a tunnel."""
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if proxy.username is not None:
        both = f"{proxy.username}:{proxy.password or ''}"
        secret = base64.b64encode(urllib.parse.unquote(both).encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {secret}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _head(connection: socket.socket) -> bytes:
    """Return the head of a response, and no byte of what follows."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if len(head) > _MAX_HEAD_BYTES or not (byte := connection.recv(1)):
            raise OSError("the proxy ended the connection")
        head += byte
    return head


def relay(left: socket.socket, right: socket.socket) -> None:
    """Pass bytes between two connections until one of them ends."""
    both = [left, right]
    while True:
        ready, _, failed = select.select(both, [], both, _IDLE_S)
        if failed or not ready:
            return
        for source in ready:
            data = source.recv(1 << 16)
            if not data:
                return
            (right if source is left else left).sendall(data)


def without_aws(no_proxy: str) -> str:
    """Return hosts that clients reach without a proxy, those of AWS and `*` left out.

    A client that followed the full list would pass the service by, and reach the real AWS.
    """
    kept = ["localhost", "127.0.0.1", "::1"]
    for name in (each.strip() for each in no_proxy.split(",")):
        host = name.lower().lstrip("*.").partition(":")[0]
        is_above = any(f".{domain}".endswith(f".{host}") for domain in _DOMAINS)
        if host and not is_above and not AWS_HOST.fullmatch(host) and name not in kept:
            kept.append(name)
    return ",".join(kept)
