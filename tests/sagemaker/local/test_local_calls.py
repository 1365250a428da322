"""Requests to the servers of endpoints: what is sent again, and what is said of those that fail."""

import contextlib
import socket
import threading

import pytest

from object2vec.sagemaker.local.calls import Calls, is_ready

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Server:
    """Responds to each request with the next of what it is given; b"" ends its connection."""

    def __init__(self, *responses):
        self.responses, self.requests, self.connections = list(responses), [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                with connection:
                    self.talk(connection)

    def talk(self, connection):
        while head := self.head_of(connection):
            self.requests.append(head)
            response = self.responses.pop(0)
            if response is None:  # no response as long as the test goes on
                self.is_over.wait(20)
                return
            connection.sendall(response)
            if response in (b"", CLOSING):
                return

    def head_of(self, connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (byte := connection.recv(1)):
                return b""
            head += byte
        return head

    def close(self):
        self.is_over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def calls():
    made = Calls()
    yield made
    made.release()


@pytest.fixture
def serving(calls):
    """Returns what starts a server of these responses."""
    made = []

    def start(*responses):
        made.append(Server(*responses))
        return made[-1]

    yield start
    calls.release()
    for server in made:
        server.close()


def test_a_server_that_ends_a_new_connection_is_not_asked_again(calls, serving):
    server = serving(b"", OK)
    with pytest.raises(ConnectionError, match="Remote end closed connection"):
        calls.post(server.port, {}, b"")
    assert len(server.requests) == 1
    assert calls.post(server.port, {}, b"")[2] == b"ok"


def test_a_connection_that_was_idle_is_made_again_once(calls, serving):
    server = serving(OK, b"", OK, b"", b"")
    for _ in range(2):
        assert calls.post(server.port, {}, b"")[0] == 200
    assert (len(server.requests), server.connections) == (3, 2)
    with pytest.raises(ConnectionError):
        calls.post(server.port, {}, b"")
    assert (len(server.requests), server.connections) == (5, 3)


def test_a_server_that_closes_a_connection_is_believed(calls, serving):
    server = serving(CLOSING, OK)
    assert calls.post(server.port, {}, b"")[2] == b"ok"
    assert calls._kept == {}
    assert calls.post(server.port, {}, b"")[2] == b"ok"
    assert (len(server.requests), server.connections) == (2, 2)


def test_what_takes_too_long_is_not_sent_again(calls, serving):
    server = serving(OK, None)
    calls.post(server.port, {}, b"")
    for connection in calls._kept.values():
        assert connection.gettimeout() == 70  # ten more than a model has on AWS
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        connection.settimeout(0.05)
    with pytest.raises(ConnectionError, match="timed out"):
        calls.post(server.port, {}, b"")
    assert len(server.requests) == 2
    assert calls._kept == {}


def test_an_error_without_words_is_said_too(calls, serving, monkeypatch):
    server = serving(OK)
    calls.post(server.port, {}, b"")

    class Gone:
        close = staticmethod(lambda: None)

        def sendall(self, data):
            raise OSError

    monkeypatch.setattr("object2vec.sagemaker.local.calls._connected", lambda port: Gone())
    with pytest.raises(ConnectionError, match=r"^its server has gone$"):
        calls.post(0, {}, b"")


@pytest.mark.parametrize(
    ("response", "is_so"),
    [
        (OK, True),
        (b"HTTP/1.1 503 Not yet\r\nContent-Length: 0\r\n\r\n", False),
        (b"", False),
        (b"no HTTP\r\n\r\n", False),
    ],
)
def test_a_server_is_ready_when_it_says_so(serving, response, is_so):
    server = serving(response)
    assert is_ready(server.port) is is_so
    assert server.requests[0].startswith(b"GET /ping HTTP/1.1\r\n")


def test_who_has_no_port_or_does_not_listen_is_not_ready():
    assert not is_ready(None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not is_ready(port)
