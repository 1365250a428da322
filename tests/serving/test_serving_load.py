"""The server for longer: 200 ends under load, 100,000 fuzzed requests, raw bytes, workers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_serving import HEADER, bodies, check_any
from test_serving_process import BODY, SLOW, check_end, end_under_load, has_scores, is_right

from object2vec.serving.app import create_app
from support.servers import fitted, running

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(200))
def test_sigterm_under_load_loses_no_accepted_request(folder, slow_folder, seed):
    with running(folder if seed % 3 else slow_folder) as server:
        body, is_good = (BODY, is_right) if seed % 3 else (SLOW, has_scores)
        seconds = 0.2 + random.Random(seed).random()
        counts = asyncio.run(end_under_load(server, body, is_good, seconds))
        check_end(server, counts, time.monotonic())


def test_workers_share_a_socket_and_leave_together(folder):
    with running(folder, SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:

        async def metrics():
            async with server.connect() as connection:
                return (await connection.request(b"", path="/metrics", method="GET"))[2].decode()

        async def main():
            while "object2vec_ready_workers 2.0" not in await metrics():
                await asyncio.sleep(0.2)
            counts = await end_under_load(server, BODY, is_right, 1.0)
            return counts

        counts = asyncio.run(main())
        check_end(server, counts, time.monotonic())


def test_a_worker_that_cannot_load_ends_them_all(tmp_path):
    with running(tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:
        assert server.wait(60) == 1
        assert "config.json: must be a JSON object; got 'nothing'" in server.log
        assert "A worker process has ended; ending the others." in server.log


@pytest.fixture(scope="module")
def model():
    return fitted("pooled")


@pytest.fixture(scope="module")
def app(model):
    return create_app(model)


@settings(max_examples=100_000)
@given(body=st.one_of(bodies(), st.binary(max_size=50)), content_type=HEADER, accept=HEADER)
def test_any_of_100_000_requests_gets_a_documented_answer(app, model, body, content_type, accept):
    check_any(app, model, body, content_type, accept)


def damaged(generator: random.Random) -> bytes:
    """A request as bytes, some of them changed, cut, doubled or added."""
    head = f"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n\r\n"
    data = bytearray(head.encode() + BODY)
    for _ in range(generator.randint(1, 8)):
        place = generator.randrange(len(data))
        match generator.randrange(4):
            case 0:
                data[place] = generator.randrange(256)
            case 1:
                del data[place : place + generator.randint(1, 20)]
            case 2:
                data[place:place] = data[place : place + generator.randint(1, 40)]
            case 3:
                data[place:place] = generator.randbytes(generator.randint(1, 8))
        data = data or bytearray(b"\n")
    return bytes(data)


def test_any_bytes_on_the_wire_leave_the_server_whole(folder):
    generator = random.Random(0)

    async def one(server, data: bytes) -> bytes:
        async with server.connect() as connection:
            connection.writer.write(data)
            with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
                if answer := await asyncio.wait_for(connection.reader.read(1 << 16), 0.2):
                    return answer
            connection.writer.write_eof()  # the server waits for more: there is none
            with contextlib.suppress(ConnectionError):
                return await asyncio.wait_for(connection.reader.read(), 20)
            return b""

    async def main(server):
        await server.ready()
        statuses = set()
        for _ in range(500):
            answers = await asyncio.gather(*(one(server, damaged(generator)) for _ in range(20)))
            statuses |= {answer[9:12] for answer in answers if answer}
            async with server.connect() as connection:
                status, _, text = await connection.request(BODY)
                assert status == 200
                assert is_right(text)
        assert statuses <= {
            b"200",
            b"204",
            b"400",
            b"404",
            b"405",
            b"406",
            b"413",
            b"415",
            b"431",
            b"100",
        }
        assert {b"200", b"400"} <= statuses

    with running(folder) as server:
        asyncio.run(main(server))
        server.terminate()
        assert server.wait() == 0
        assert "Traceback" not in server.log
