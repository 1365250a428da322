"""The serving process: its start, its end under load, overload, workers and its exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest

from support.servers import fitted, running

BODY = json.dumps({"instances": [{"in0": [1, 2]}, {"in0": [3]}]}).encode()
SLOW = json.dumps({"instances": [{"in0": [1] * 5, "in1": [2] * 4}] * 3}).encode()
HEAVY = json.dumps({"instances": [{"in0": [1] * 5, "in1": [2] * 4}] * 500}).encode()


def has_scores(body: bytes) -> bool:
    return body.count(b"scores") == 3


def right_answer() -> bytes:
    rows = fitted("pooled").encode(in0=[[1, 2], [3]])
    return json.dumps([row.tolist() for row in rows]).encode()


def is_right(body: bytes) -> bool:
    rows = [np.float32(p["embeddings"]).tolist() for p in json.loads(body)["predictions"]]
    return json.dumps(rows).encode() == right_answer()


async def hammer(server, counts: dict[str, int], body: bytes, is_good) -> None:
    """Ask on one connection until the server leaves; count what came of every request."""
    async with server.connect() as connection:
        while True:
            counts["sent"] += 1
            try:
                status, headers, text = await connection.request(body)
            except (asyncio.IncompleteReadError, ConnectionError):
                counts["lost"] += 1
                return
            counts[str(status)] = counts.get(str(status), 0) + 1
            counts["wrong"] += status == 200 and not is_good(text)
            if headers.get("connection") == "close":
                counts["told"] += 1
                return


async def end_under_load(server, body: bytes, is_good, seconds: float) -> dict[str, int]:
    """Send SIGTERM in the middle of requests on many connections; return what came of them."""
    await server.ready()
    counts = {"sent": 0, "lost": 0, "wrong": 0, "told": 0}
    tasks = [asyncio.create_task(hammer(server, counts, body, is_good)) for _ in range(16)]
    await asyncio.sleep(seconds)
    deadline = time.monotonic() + 60
    while counts.get("200", 0) <= len(tasks) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)  # on a busy machine
    server.terminate()
    await asyncio.gather(*tasks)
    return counts


def check_end(server, counts: dict[str, int], start: float) -> None:
    assert server.wait() == 0
    assert time.monotonic() - start < 25
    assert counts.pop("lost") == 0
    assert counts.pop("wrong") == 0
    assert counts.pop("told") == 16
    assert counts.pop("200") > 16
    refused = counts.pop("503", 0)
    assert refused <= 16
    assert counts.keys() <= {"sent", "429"}


@pytest.mark.parametrize("seed", range(3))
def test_sigterm_under_load_loses_no_accepted_request(folder, slow_folder, seed):
    with running(slow_folder if seed == 2 else folder) as server:
        body, is_good = (SLOW, has_scores) if seed == 2 else (BODY, is_right)
        seconds = 0.2 + random.Random(seed).random() / 2
        counts = asyncio.run(end_under_load(server, body, is_good, seconds))
        check_end(server, counts, time.monotonic())


def test_overload_is_answered_with_429_only(folder):
    with running(folder, OBJECT2VEC_QUEUE_UNITS="3000") as server:

        async def one(statuses, deadline):
            async with server.connect() as connection:
                while time.monotonic() < deadline:
                    status, headers, text = await connection.request(HEAVY)
                    statuses.append(status)
                    if status == 429:
                        assert int(headers["retry-after"]) >= 1
                        assert b"must have room in its queue" in text
                    else:
                        assert text.count(b"scores") == 500

        async def main():
            await server.ready()
            statuses: list[int] = []
            deadline = time.monotonic() + 1.5
            await asyncio.gather(*(one(statuses, deadline) for _ in range(24)))
            assert set(statuses) == {200, 429}
            async with server.connect() as connection:
                status, _, text = await connection.request(BODY)
                assert status == 200
                assert is_right(text)

        asyncio.run(main())


def test_an_archive_and_a_token(folder, tmp_path):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, ".")
    with running(archive, OBJECT2VEC_TOKEN="s3cret") as server:

        async def main():
            async with server.connect() as connection:  # it listens before the model is loaded
                status, _, body = await connection.request(b"", path="/ping", method="GET")
                assert (status, body) == (503, b"")
                await server.ready()
                assert (await connection.request(BODY))[0] == 401
                answer = await connection.request(BODY, headers="authorization: Bearer s3cret\r\n")
                assert answer[0] == 200
                assert is_right(answer[2])
                connection.writer.write(b"NONSENSE\r\n\r\n")
                assert (await connection.answer())[0] == 400

        asyncio.run(main())
        server.terminate()
        assert server.wait() == 0
        assert "Model loaded in" in server.log
        assert "Traceback" not in server.log
        assert "s3cret" not in server.log


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "object2vec", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_port_in_use_and_a_folder_without_a_model_are_errors(folder, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve(str(folder), "--port", str(port))
    assert done.returncode == 2
    assert f"127.0.0.1:{port}: must be a free address of this machine; got" in done.stderr
    done = serve(str(tmp_path), "--port", "0")
    assert done.returncode in (1, 2)
    assert "config.json: must be a JSON object; got 'nothing'" in done.stderr
    assert "Traceback" not in done.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_without_standard_streams_serves_and_ends_well(folder, workers):
    port = free_port()
    command = [sys.executable, "-m", "object2vec", "serve", str(folder), "--port", str(port)]
    closed = 'exec "$@" <&- >&- 2>&-'
    environ = os.environ | {"SAGEMAKER_MODEL_SERVER_WORKERS": workers}
    with subprocess.Popen(["bash", "-c", closed, "bash", *command], env=environ) as process:
        deadline = time.monotonic() + 60
        ready = f"object2vec_ready_workers {workers}.0"  # in the metrics of all workers together
        while ready not in get(port, "/metrics"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.terminate()
        assert process.wait(30) == 0


def get(port: int, path: str) -> str:
    """Body of the response to a GET; empty if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    return ""
