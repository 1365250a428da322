"""What is passed through to hosts that are none of AWS's, and what a client must not pass by."""

import contextlib
import socket
import threading

import pytest

from object2vec.sagemaker.local import tunnels
from object2vec.sagemaker.local.service import Service
from object2vec.sagemaker.local.tunnels import without_aws


@contextlib.contextmanager
def listening(serve):
    """The port of a server that does this with its first connection, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take():
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    serve(connection)

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def head_of(connection):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    return head.decode()


def echo(connection):
    connection.sendall(connection.recv(100).upper())


def tunnel(service, host):
    """A connection with the service that has asked for a host, and the head of its response."""
    port = int(service.url.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return connection, head_of(connection)


@pytest.fixture
def service(tmp_path, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Service(tmp_path / "local").running(grace_s=5) as running:
        yield running


def test_another_host_is_reached_directly_also_if_the_service_itself_is_named_as_proxy(
    service, monkeypatch
):
    for proxy in (None, service.url):
        if proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
        with listening(echo) as port:
            connection, head = tunnel(service, f"127.0.0.1:{port}")
            with connection:
                assert head.startswith("HTTP/1.1 200 ")
                connection.sendall(b"untouched")
                assert connection.recv(100) == b"UNTOUCHED"


def test_another_host_is_reached_by_the_proxy_that_the_service_was_started_with(
    service, monkeypatch
):
    asked = []

    def serve(connection):
        asked.append(head_of(connection))
        connection.sendall(b"HTTP/1.1 200 Here you are\r\nVia: corporate\r\n\r\n")
        echo(connection)

    with listening(serve) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{port}")
        connection, head = tunnel(service, "pypi.example:443")
        with connection:
            assert head.startswith("HTTP/1.1 200 ")
            connection.sendall(b"untouched")
            assert connection.recv(100) == b"UNTOUCHED"
    assert asked[0].splitlines()[0] == "CONNECT pypi.example:443 HTTP/1.1"
    assert "Proxy-Authorization: Basic bWU6cEBzcw==" in asked[0]


def test_a_proxy_that_rejects_a_host_is_quoted(service, monkeypatch):
    def serve(connection):
        head_of(connection)
        connection.sendall(b"HTTP/1.1 403 Not for you\r\n\r\n")

    with listening(serve) as port:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{port}")
        connection, head = tunnel(service, "pypi.example:443")
        connection.close()
    assert head.startswith("HTTP/1.1 502 ")
    assert "403 Not for you" in head


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"x" * 70_000])
def test_a_proxy_that_does_not_end_its_response_is_no_proxy(service, monkeypatch, said):
    def serve(connection):
        head_of(connection)
        connection.sendall(said)
        if len(said) > 65_536:  # it goes on, and nobody reads it
            connection.recv(1)

    with listening(serve) as port:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{port}")
        connection, head = tunnel(service, "pypi.example:443")
        connection.close()
    assert head.startswith("HTTP/1.1 502 pypi.example cannot be reached: the proxy ended ")


def test_a_host_that_does_not_listen_is_said(service):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    connection, head = tunnel(service, f"127.0.0.1:{port}")
    connection.close()
    assert head.startswith("HTTP/1.1 502 127.0.0.1 cannot be reached: ")


def test_hosts_that_need_no_proxy_are_reached_without_it(service, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    with listening(echo) as port:
        connection, head = tunnel(service, f"127.0.0.1:{port}")
        with connection:
            assert head.startswith("HTTP/1.1 200 ")
            connection.sendall(b"untouched")
            assert connection.recv(100) == b"UNTOUCHED"


@pytest.mark.parametrize(
    ("port", "expected"), [("80x", 443), ("", 443), ("8443", 8443), ("080", 80)]
)
def test_the_port_of_a_tunnel_is_that_of_https_if_it_says_none(
    service, monkeypatch, port, expected
):
    reached = []

    def reach(host, number, own):
        reached.append((host, number))
        raise OSError("not today")

    monkeypatch.setattr("object2vec.sagemaker.local.service.reach", reach)
    connection, head = tunnel(service, f"pypi.example:{port}")
    connection.close()
    assert reached == [("pypi.example", expected)]
    assert "not today" in head


@pytest.mark.parametrize(("proxy", "port"), [("http://proxy.example", 80), ("proxy.example:9", 9)])
def test_the_port_of_a_proxy_is_that_of_http_if_it_says_none(proxy, port, monkeypatch):
    reached = []

    def create_connection(address, timeout):
        reached.append(address)
        raise ConnectionRefusedError

    for name in ("https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(ConnectionRefusedError):
        tunnels.reach("host.example", 443, ("127.0.0.1", 1))
    assert reached == [("proxy.example", port)]


def test_credentials_are_sent_if_the_proxy_has_any():
    def asked(proxy):
        parts = tunnels.urllib.parse.urlsplit(proxy)
        return tunnels._request("a.org", 443, parts).decode().split("\r\n")

    assert asked("http://p:1") == ["CONNECT a.org:443 HTTP/1.1", "Host: a.org:443", "", ""]
    assert asked("http://me@p:1")[2] == "Proxy-Authorization: Basic bWU6"  # me:
    assert asked("http://@p:1")[2] == "Proxy-Authorization: Basic Og=="  # :


def test_bytes_pass_both_ways_until_one_end_closes():
    (client, ours), (theirs, server) = socket.socketpair(), socket.socketpair()
    with client, ours, theirs, server:
        thread = threading.Thread(target=tunnels.relay, args=(ours, theirs))
        thread.start()
        large = bytes(range(256)) * 1000
        sender = threading.Thread(target=client.sendall, args=(large,))
        sender.start()
        received = b""
        while len(received) < len(large):
            received += server.recv(1 << 16)
        assert received == large
        server.sendall(b"and back")
        assert client.recv(100) == b"and back"
        server.shutdown(socket.SHUT_WR)
        for each in (sender, thread):
            each.join(10)
            assert not each.is_alive()


def test_a_tunnel_without_a_word_is_closed(monkeypatch):
    monkeypatch.setattr(tunnels, "_IDLE_S", 0.01)
    (client, ours), (theirs, server) = socket.socketpair(), socket.socketpair()
    with client, ours, theirs, server:
        tunnels.relay(ours, theirs)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("*", ""),
        ("amazonaws.com, .amazonaws.com,*.amazonaws.com", ""),
        ("s3.us-east-1.amazonaws.com,amazonaws.com.cn,com", ""),
        ("169.254.169.254,a.org, .amazonaws.co", ",169.254.169.254,a.org,.amazonaws.co"),
        ("localhost,::1", ""),
    ],
)
def test_no_client_is_told_to_pass_the_service_by(given, kept, service, monkeypatch):
    assert without_aws(given) == "localhost,127.0.0.1,::1" + kept
    monkeypatch.setenv("NO_PROXY", given)
    said = service.environment()
    assert said["NO_PROXY"] == said["no_proxy"] == without_aws(given)
