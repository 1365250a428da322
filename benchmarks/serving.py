"""Serving: how many requests are answered, how fast, and what happens at twice the capacity.

A pooled model of width 300 and requests of two instances: embeddings of ten ids each, and scores of
pairs of ten and three ids. Each server is one process with one worker; the client, in this process,
keeps one request in flight on each of its connections. The servers take turns, five times:

- echo: a bare starlette application that returns the body of the request
- object2vec: this server
- fastapi: FastAPI with the same model, called once for each request, in the event loop
- before: the server of another checkout, where `--before` names one that has its environment; a
  model of its own

Then twice as many requests as it can answer are sent for a while, whether answers come or not:
every answer must be 200 or 429, and the memory of the server must not grow.

Needs fastapi beside the extra ``serve``. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import ROOT, save, table

WIDTH, VOCABULARY = 300, 20_000
MODEL = "OBJECT2VEC_BENCHMARK_MODEL"
TARGET = 0.70  # of the echo's rate, from the issue that asks for this benchmark


def echo():
    """Return a bare starlette application that answers with the request's body."""
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    async def answer(request):
        return Response(await request.body(), media_type="application/json")

    return Starlette(routes=[Route("/invocations", answer, methods=["POST"])])


def fastapi():
    """Return the usual way to serve a model: typed bodies, one call of the model a request."""
    import torch
    from fastapi import FastAPI
    from pydantic import BaseModel, create_model

    from object2vec import Object2Vec
    from object2vec.devices import set_threads

    model = Object2Vec.load(os.environ[MODEL])
    set_threads(1)  # as our server does; with two it is slower
    torch.set_num_threads(1)
    app = FastAPI()
    ids = (list[int] | None, None)
    instance: type[BaseModel] = create_model("Instance", in0=ids, in1=ids)
    body: type[BaseModel] = create_model("Body", instances=(list[instance], ...))

    async def answer(body):
        in0 = [instance.in0 for instance in body.instances]
        in1 = [instance.in1 for instance in body.instances]
        if in1[0] is None:
            return {"predictions": [{"embeddings": v} for v in model.encode(in0=in0).tolist()]}
        scores = model.predict(in0=in0, in1=in1).tolist()
        return {"predictions": [{"scores": row} for row in scores]}

    answer.__annotations__ = {"body": body}
    app.post("/invocations")(answer)
    return app


def make_model(path: Path) -> None:
    """Train a model for a moment; what it has learned does not matter here."""
    from object2vec import Object2Vec

    generator = np.random.default_rng(0)
    rows = generator.integers(1, VOCABULARY, (512, 2, 10)).tolist()
    records = [{"in0": a, "in1": b, "label": i % 2} for i, (a, b) in enumerate(rows)]
    model = Object2Vec(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=50,
        enc0_vocab_size=VOCABULARY,
        enc_dim=WIDTH,
        epochs=1,
        threads=1,
        seed=0,
    )
    model.fit(records, validation=records).save(path)


def bodies() -> dict[str, bytes]:
    """Return the bodies of the requests, by kind of answer."""
    generator = np.random.default_rng(1)
    in0, in1 = generator.integers(1, VOCABULARY, (2, 2, 10)).tolist()
    embeddings = [{"in0": ids} for ids in in0]
    scores = [{"in0": a, "in1": b[:3]} for a, b in zip(in0, in1, strict=True)]
    return {
        name: json.dumps({"instances": instances}).encode()
        for name, instances in (("embeddings", embeddings), ("scores", scores))
    }


def model_of(checkout: Path, path: Path) -> Path:
    """Make a model as `make_model` does, by the code of another checkout."""
    program = (
        "import sys, pathlib, benchmarks.serving as s; s.make_model(pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([python_of(checkout), "-c", program, str(path)], cwd=checkout, check=True)
    return path


def python_of(checkout: Path) -> str:
    """Return the interpreter of a checkout's environment."""
    return sys.executable if checkout == ROOT else str(checkout / ".venv/bin/python")


@contextlib.contextmanager
def running(name: str, model: Path, checkout: Path = ROOT) -> Iterator[tuple[int, int]]:
    """Give process id and port of a running server."""
    uvicorn = ["uvicorn", f"benchmarks.serving:{name}", "--factory", "--no-access-log"]
    command = (
        ["object2vec", "serve", str(model), "--port", "0"]
        if name in ("object2vec", "before")
        else [*uvicorn, "--port", "0", "--log-level", "info"]
    )
    process = subprocess.Popen(
        [python_of(checkout), "-m", *command],
        cwd=checkout,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {MODEL: str(model)},
    )
    try:
        assert process.stderr is not None
        log = ""
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", log)):
            line = process.stderr.readline()
            assert line, log
            log += line
        yield process.pid, int(found[1])
    finally:
        process.terminate()
        process.communicate()


class Connection(asyncio.Protocol):
    """One HTTP connection with one request in flight; `done` is called with each answer."""

    def __init__(self, request: bytes, done) -> None:
        self.request, self.done = request, done
        self.buffer, self.size = b"", 0

    def connection_made(self, transport) -> None:
        """Keep the transport."""
        self.transport = transport

    def ask(self) -> None:
        """Send the request."""
        self.start = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self.buffer += data
        if not self.size:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            found = re.search(rb"content-length: (\d+)", self.buffer[:end])
            assert found is not None
            self.size = end + 4 + int(found[1])
        if len(self.buffer) >= self.size:
            status, latency = int(self.buffer[9:12]), time.perf_counter() - self.start
            self.buffer, self.size = b"", 0
            self.done(self, status, latency)


def request_of(body: bytes) -> bytes:
    """Return the bytes of an HTTP request."""
    head = "POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def closed_loop(
    pid: int, port: int, body: bytes, connections: int, seconds: float
) -> dict[str, float]:
    """Return rate, latencies and the server's work, a request in flight on each connection."""
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    measuring = False

    def done(connection: Connection, status: int, latency: float) -> None:
        if measuring:
            latencies.append(latency)
            statuses[status] += 1
        connection.ask()

    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(request_of(body), done), "127.0.0.1", port)
        for _ in range(connections)
    ]
    for _, connection in opened:
        connection.ask()
    await asyncio.sleep(0.5)
    measuring, start, used = True, time.perf_counter(), cpu_s(pid)
    await asyncio.sleep(seconds)
    measuring, elapsed, used = False, time.perf_counter() - start, cpu_s(pid) - used
    for transport, _ in opened:
        transport.abort()
    assert set(statuses) == {200}, statuses
    p50, p99 = (np.percentile(latencies, [50, 99]) * 1e3).tolist()
    return {
        "requests_per_s": len(latencies) / elapsed,
        "p50_ms": p50,
        "p99_ms": p99,
        "cpu_us": used / len(latencies) * 1e6,
    }


async def open_loop(pid: int, port: int, body: bytes, rate: float, seconds: float) -> dict:
    """Send `rate` requests a second, whether answers come or not; return what came of them."""
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    free: deque[Connection] = deque()
    memory = [resident_mib(pid)]
    opened, unsent, asked = 0, 0, 0

    def done(connection: Connection, status: int, latency: float) -> None:
        statuses[status] += 1
        if status == 200:
            latencies.append(latency)
        free.append(connection)

    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    while (now := time.perf_counter() - start) < seconds:
        due = int(now * rate) - asked
        asked += due
        for _ in range(due):
            if not free and opened < 2000:
                made = loop.create_connection(
                    lambda: Connection(request_of(body), done), "127.0.0.1", port
                )
                opened += 1
                free.append((await made)[1])
            if free:
                free.popleft().ask()
            else:
                unsent += 1
        if now > len(memory) * seconds / 20:
            memory.append(resident_mib(pid))
        await asyncio.sleep(0.001)
    p50, p99 = (np.percentile(latencies, [50, 99]) * 1e3).tolist()
    return {
        "offered_per_s": rate,
        "seconds": seconds,
        "connections": opened,
        "unsent": unsent,
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "accepted_p50_ms": p50,
        "accepted_p99_ms": p99,
        "memory_mib": memory,
    }


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def cpu_s(pid: int) -> float:
    """Return the seconds of processor time that a process has used; 0 where nobody tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def ready(port: int, body: bytes) -> None:
    """Wait until a server answers."""
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request_of(body))
            answer = await reader.readuntil(b"\r\n")
            writer.close()
            if b" 200 " in answer:
                return
        await asyncio.sleep(0.2)


def compare(model: Path, options: argparse.Namespace, run) -> dict:
    """Return the medians of each server for each kind of request, and ratios of the same turn."""
    given = {name: (name, model) for name in ("echo", "object2vec", "fastapi")}
    if (checkout := options.before) is not None:
        given["before"] = "before", model_of(checkout, model.parent / "before"), checkout
    names = tuple(given)
    rounds: list[dict] = []
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(running(*how)) for name, how in given.items()}
        for _, port in servers.values():
            run(ready(port, bodies()["embeddings"]))
        for turn in range(options.repeats):
            first = turn % len(names)  # so that each has others before it
            order = names[first:] + names[:first]
            if turn % 2:
                order = order[::-1]
            rounds.append(
                {
                    kind: {
                        name: run(
                            closed_loop(*servers[name], body, options.connections, options.seconds)
                        )
                        for name in order
                    }
                    for kind, body in bodies().items()
                }
            )
    return {
        kind: {name: middle([turn[kind] for turn in rounds], name) for name in names}
        for kind in bodies()
    }


def middle(turns: list[dict], name: str) -> dict:
    """Return the medians of one server, its spread, and its rate as a share of the echo's."""
    result = {
        figure: statistics.median(turn[name][figure] for turn in turns)
        for figure in ("requests_per_s", "p50_ms", "p99_ms", "cpu_us")
    }
    rates = [turn[name]["requests_per_s"] for turn in turns]
    shares = [turn[name]["requests_per_s"] / turn["echo"]["requests_per_s"] for turn in turns]
    return result | {"rates": rates, "share_of_echo": statistics.median(shares)}


def overload(model: Path, options: argparse.Namespace, run) -> dict:
    """Return what happens at twice the capacity with requests of a hundred pairs."""
    pair = json.loads(bodies()["scores"])["instances"]
    body = json.dumps({"instances": pair * 50}).encode()
    with running("object2vec", model) as (pid, port):
        run(ready(port, body))
        capacity = run(closed_loop(pid, port, body, options.connections, options.seconds))
        rate = 2 * capacity["requests_per_s"]
        result = run(open_loop(pid, port, body, rate, options.overload_s))
    result["capacity_per_s"] = capacity["requests_per_s"]
    warm = result["memory_mib"][len(result["memory_mib"]) // 4 :]
    result["memory_growth_mib"] = warm[-1] - warm[0]
    return result


def main() -> None:
    """Run the benchmark."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--results", type=Path, default=ROOT / "benchmarks/results")
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--overload-s", type=float, default=30.0, help="600 for ten minutes")
    options.add_argument("--before", type=Path, help="another checkout, its server beside ours")
    options.set_defaults(threads=1)
    chosen = options.parse_args()

    import uvloop

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        make_model(model)
        measured = compare(model, chosen, uvloop.run)
        at_twice = overload(model, chosen, uvloop.run)
    table(
        ("answers", "server", "requests/s", "p50 ms", "p99 ms", "cpu us", "of echo"),
        [
            (
                kind,
                name,
                round(f["requests_per_s"]),
                f["p50_ms"],
                f["p99_ms"],
                f["cpu_us"],
                f["share_of_echo"],
            )
            for kind, servers in measured.items()
            for name, f in servers.items()
        ],
    )
    print({name: at_twice[name] for name in ("statuses", "accepted_p99_ms", "memory_growth_mib")})
    save(
        "serving",
        {
            "target_share_of_echo": TARGET,
            "connections": chosen.connections,
            "measured": measured,
            "overload": at_twice,
        },
        chosen,
    )


if __name__ == "__main__":
    main()
