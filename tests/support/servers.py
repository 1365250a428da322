"""What tests of the server share: small models, an app called without a socket, real servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np

from object2vec import Object2Vec

POOLED = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 5,
    "enc0_vocab_size": 40,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 4,
    "enc1_vocab_size": 30,
    "enc_dim": 16,
    "mlp_dim": 8,
    "mlp_activation": "tanh",
}
MIXED = POOLED | {
    "enc0_network": "hcnn",
    "enc0_layers": 2,
    "enc0_token_embedding_dim": 8,
    "enc1_network": "bilstm",
    "enc1_token_embedding_dim": 8,
}
VALUE = POOLED | {"output_layer": "mean_squared_error", "mlp_layers": 0}


@cache
def fitted(kind: str) -> Object2Vec:
    """A small trained model: pooled, mixed (hcnn and bilstm), value (regression) or bfloat16."""
    settings = {
        "pooled": POOLED,
        "mixed": MIXED,
        "value": VALUE,
        "bfloat16": POOLED | {"precision": "bfloat16"},
    }[kind]
    records = [instance | {"label": i % 2} for i, instance in enumerate(instances(32, seed=1))]
    model = Object2Vec(**settings, epochs=1, mini_batch_size=8, learning_rate=0.1, seed=0)
    return model.fit(records, validation=records)


def instances(count: int, *, seed: int = 0, kinds: str = "p") -> list[dict[str, list[int]]]:
    """Random instances: pairs (p), in0 alone (0), in1 alone (1), in turn."""
    generator = np.random.default_rng(seed)
    sides = {"p": ("in0", "in1"), "0": ("in0",), "1": ("in1",)}
    sizes = {"in0": 40, "in1": 30}
    return [
        {
            side: generator.integers(0, sizes[side], generator.integers(0, 7)).tolist()
            for side in sides[kinds[i % len(kinds)]]
        }
        for i in range(count)
    ]


async def call(
    app,
    body=b"",
    headers=(),
    method="POST",
    path="/invocations",
    root_path="",
    on_receive=lambda: None,
    on_send=None,
):
    """Status, headers and body of the app's response to a request, whose body may be in chunks.

    `on_receive` is called before each chunk, `on_send` awaited before each message is taken.
    """
    sent: list[dict] = []
    path, _, query = path.partition("?")
    pairs = headers.items() if isinstance(headers, dict) else headers
    given = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": root_path,
        "headers": given,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    chunks = [body] if isinstance(body, bytes) else [*body]

    async def receive():
        on_receive()
        if not chunks:
            return {"type": "http.disconnect"}
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message):
        if on_send is not None:
            await on_send(message)
        sent.append(message)

    await app(scope, receive, send)
    return (
        sent[0]["status"],
        {name.decode(): value.decode() for name, value in sent[0]["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


def ask(app, document, headers=(("content-type", "application/json"),), **options):
    """As `call`, outside of an event loop; `document` is made JSON unless it is bytes or chunks."""
    is_raw = isinstance(document, bytes | tuple)
    body = document if is_raw else json.dumps(document).encode()
    return asyncio.run(call(app, body, headers, **options))


def expected(model: Object2Vec, wanted: list[dict]) -> list[np.ndarray]:
    """What the library says of each instance."""
    answers = []
    for instance in wanted:
        sides = {side: [ids] for side, ids in instance.items()}
        answers.append((model.predict if len(sides) == 2 else model.encode)(**sides)[0])
    return answers


class RunningServer:
    """A server in a process of its own."""

    def __init__(self, model, *options: str, **environ: str) -> None:
        command = [sys.executable, "-m", "object2vec", "serve", str(model), "--port", "0", *options]
        self._log = tempfile.NamedTemporaryFile(
            "a"
        )  # a pipe that nobody reads would stop the server
        self.process = subprocess.Popen(
            command,
            stderr=self._log,
            env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"} | environ,
        )
        while not (found := re.search(r"at http://(\S+):(\d+)\n", self.log)):
            assert self.process.poll() is None, self.log
            time.sleep(0.02)
        self.host, self.port = found[1], int(found[2])

    @property
    def log(self) -> str:
        """What the server has written to stderr."""
        return Path(self._log.name).read_text(encoding="utf-8")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 30) -> int:
        return self.process.wait(timeout)

    def close(self) -> None:
        """Make sure that nothing is left."""
        self.process.kill()
        self.process.wait()
        self._log.close()

    @contextlib.asynccontextmanager
    async def connect(self):
        """A `Connection` that is closed afterwards."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def ready(self, timeout_s: float = 60) -> None:
        """Wait until the model is loaded."""
        deadline = time.monotonic() + timeout_s
        async with self.connect() as connection:
            while (await connection.request(b"", path="/ping", method="GET"))[0] != 200:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)


@contextlib.contextmanager
def running(model, *options: str, **environ: str):
    """A `RunningServer` that is gone afterwards, whatever happens."""
    server = RunningServer(model, *options, **environ)
    with contextlib.closing(server):
        yield server


class Connection:
    """One HTTP/1.1 connection that stays open, as plain as can be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def request(self, body: bytes, *, path="/invocations", method="POST", headers=""):
        """Status, headers and body of the answer."""
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        )
        self.writer.write(head.encode() + body)
        return await self.answer()

    async def answer(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await self.reader.readexactly(int(found.get("content-length", 0)))
        return int(status.split(" ")[1]), found, body
