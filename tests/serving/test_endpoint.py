"""One request after another: held bytes, time limits, numbers that are none, loading, settings."""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from object2vec import Object2Vec
from object2vec.errors import ArtifactError, DataError, NotFittedError, RequestError
from object2vec.inference.engine import Engine
from object2vec.inference.payload import JSON, JSON_LINES
from object2vec.serving import endpoint as endpoints
from object2vec.serving.app import create_app
from object2vec.serving.endpoint import CHUNK_BYTES, Endpoint, LoadedModel
from object2vec.serving.settings import Settings
from support.servers import POOLED, VALUE, ask, call, fitted, instances

PAIR = b'{"in0": [1], "in1": [2]}'
RUNTIME = "/endpoints/movies/invocations"


@pytest.fixture(scope="module")
def model():
    return fitted("pooled")


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    model.save(path)
    return path


def held(app) -> int:
    return app.state.endpoint.held.total


def requests_counted(app) -> dict[str, float]:
    text = ask(app, b"", method="GET", path="/metrics")[2].decode()
    rows = [line.split(" ") for line in text.splitlines() if line.startswith("object2vec_req")]
    counted = {name.split('"')[1]: float(value) for name, value in rows if "_total{" in name}
    assert sum(counted.values()) == float(dict(rows)["object2vec_request_seconds_count"])
    return counted


# ---- held bytes

LARGE = json.dumps([{"in0": [1]}] * 5000).encode()  # its response has more than CHUNK_BYTES


@pytest.mark.parametrize("path", ["/invocations", RUNTIME])
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (PAIR, {}, 200),
        (PAIR, {"content-length": "24"}, 200),
        ((PAIR[:5], PAIR[5:]), {}, 200),
        (b"", {}, 204),
        ([], {}, 400),  # gone before it has sent anything
        ((b"x" * 50, b"", b"y"), {}, 400),
        (b"{}", {"content-type": JSON_LINES}, 400),
        (b"", {"accept": "text/csv"}, 406),
        (b"", {"content-encoding": "br"}, 415),
        (b"x" * 300_001, {"content-length": "300001"}, 413),
        ((b"x" * 200_000, b"x" * 200_000), {}, 413),
        (b"", {"content-length": "300001", "expect": "100-continue"}, 413),
        (json.dumps([{"in1": [1]}] * 6001).encode(), {}, 413),
        (LARGE, {}, 200),
        (LARGE, {"content-type": JSON, "accept": JSON_LINES}, 200),
    ],
)
def test_nothing_is_held_after_any_response(model, path, body, headers, status):
    app = create_app(model, Settings(max_payload_bytes=300_000, max_response_numbers=16 * 6000))
    found = asyncio.run(call(app, body, headers, path=path))[0]
    assert found == (424 if path == RUNTIME and status >= 400 else status)
    assert held(app) == 0
    assert requests_counted(app) == {str(status): 1.0}


@pytest.mark.parametrize(
    ("headers", "counted"),
    [
        ({}, 1000),
        ({"content-length": "24"}, 24),
        ({"content-length": "9999"}, 1000),
        ({"content-length": "0"}, 1000),
        ({"content-length": "-5"}, 1000),
        ({"content-length": "x"}, 1000),
        ({"content-length": "1" * 20}, 1000),
    ],
)
def test_a_body_is_held_by_its_length_or_by_the_limit(model, headers, counted):
    app, seen = create_app(model, Settings(max_payload_bytes=1000)), []
    asyncio.run(call(app, (PAIR[:9], PAIR[9:]), headers, on_receive=lambda: seen.append(held(app))))
    assert seen == [counted] * 2
    assert held(app) == 0


@pytest.mark.parametrize("length", [{}, {"content-length": "100"}])
def test_requests_together_get_no_more_than_the_limit(model, length):
    body = PAIR.ljust(100)

    def together(limit):
        app = create_app(model, Settings(max_payload_bytes=100, max_held_bytes=limit))

        async def two():
            return await asyncio.gather(*(call(app, body, length) for _ in range(2)))

        found = [status for status, _, _ in asyncio.run(two())]
        assert held(app) == 0
        assert asyncio.run(call(app, body, length))[0] == 200
        return found

    assert together(200) == [200, 200]
    assert together(199) == [200, 429]
    assert together(1) == [200, 429]  # one alone always fits


@pytest.mark.parametrize("accept", [JSON, JSON_LINES])
def test_a_large_response_is_held_until_it_is_read(model, accept):
    app, seen = create_app(model), []

    async def on_send(message):
        seen.append((len(message.get("body", b"")), message.get("more_body"), held(app)))

    _, headers, text = asyncio.run(call(app, LARGE, {"accept": accept}, on_send=on_send))
    size = int(headers["content-length"])
    assert size == len(text) > CHUNK_BYTES
    assert len(seen) > 3
    assert seen[0] == (0, None, 0)
    assert {(more, total) for _, more, total in seen[1:-1]} == {(True, size)}
    assert seen[-1] == (0, None, size)
    assert held(app) == 0


def test_a_small_response_is_one_message_and_is_not_held(model):
    app, seen = create_app(model), []

    async def on_send(message):
        seen.append((message["type"], message.get("more_body", False), held(app)))

    assert asyncio.run(call(app, PAIR, on_send=on_send))[0] == 200
    assert seen == [("http.response.start", False, 0), ("http.response.body", False, 0)]


@pytest.mark.parametrize("body", [PAIR, LARGE])
@pytest.mark.parametrize("failing", [0, 1, 2, 4])
@pytest.mark.parametrize("error", [OSError, asyncio.CancelledError])
def test_nothing_is_held_after_a_client_that_is_gone(model, body, failing, error):
    app, count = create_app(model), 0

    async def on_send(message):
        nonlocal count
        count += 1
        if count == failing + 1:
            raise error

    try:
        asyncio.run(call(app, body, on_send=on_send))
    except error:
        assert count == failing + 1
    else:
        assert failing >= 2 > len(body) // len(LARGE)  # a small response has two messages
    assert held(app) == 0
    assert requests_counted(app) == {"200": 1.0}


def test_others_have_their_turn_between_large_parts_of_a_response(model, monkeypatch):
    turns, sleep = [], asyncio.sleep

    def turn(seconds):
        turns.append(seconds)
        return sleep(seconds)

    monkeypatch.setattr(endpoints.asyncio, "sleep", turn)
    app = create_app(model)
    assert asyncio.run(call(app, LARGE))[0] == 200
    assert {*turns} == {0}
    turns.clear()
    assert asyncio.run(call(app, PAIR))[0] == 200
    assert turns == []


def test_a_body_that_is_too_large_is_read_on_for_a_while_only(model, monkeypatch):
    monkeypatch.setattr(endpoints, "_MAX_DRAINED_BYTES", 1000)
    app, count = create_app(model, Settings(max_payload_bytes=100)), 0

    def on_receive():
        nonlocal count
        count += 1

    chunks = (b" " * 50,) * 100
    status, headers, text = asyncio.run(call(app, chunks, on_receive=on_receive))
    assert (status, headers["connection"]) == (413, "close")
    assert count == 23  # 1150 bytes are the first ones above 1100
    assert b"got 1150." in text
    chunks = (b" " * 50,) * 10
    assert json.loads(asyncio.run(call(app, chunks))[2]) == {
        "error": "body: must have at most 100 bytes; got 500. Split the request."
    }


class Chunk(bytearray):
    """Bytes that one can see go."""


def test_a_body_that_is_too_large_is_not_kept(monkeypatch):
    monkeypatch.setattr(endpoints, "_MAX_DRAINED_BYTES", 1000)
    seen, held = [], []

    async def receive():
        held.append(sum(chunk() is not None for chunk in seen))
        chunk = Chunk(50)
        seen.append(weakref.ref(chunk))
        return {"type": "http.request", "body": chunk, "more_body": True}

    with pytest.raises(RequestError, match=r"at most 100 bytes; got 1150\."):
        asyncio.run(endpoints._read_body(receive, 100))
    assert held[:3] == [0, 1, 2]
    assert max(held[3:]) <= 1  # the one that was read last


# ---- time limits


def stuck(app) -> None:
    """Let the model never come to an end."""
    app.state.endpoint.model.submit = lambda groups: asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("path", ["/invocations", RUNTIME])
def test_a_request_that_takes_too_long_gets_504(model, path):
    app = create_app(model, Settings(timeout_s=0.02))
    stuck(app)

    async def main():
        found = await call(app, PAIR, path=path)
        assert sys.version_info < (3, 11) or asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0.05)  # no timer is left that would cancel it
        return found

    status, headers, text = asyncio.run(main())
    assert (status, headers["connection"]) == (504 if path != RUNTIME else 424, "close")
    assert "retry-after" not in headers
    assert b"the request: must be completed in time; got '0.02 s'. Send fewer" in text
    assert held(app) == 0
    assert requests_counted(app) == {"504": 1.0}


def test_a_request_that_is_cancelled_from_outside_is_no_504(model):
    app = create_app(model, Settings(timeout_s=5))
    stuck(app)

    async def main():
        task = asyncio.create_task(call(app, PAIR))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert held(app) == 0


def test_a_slow_reader_gets_its_whole_response(model):
    app = create_app(model, Settings(timeout_s=0.4))

    async def on_send(message):
        await asyncio.sleep(0.3)

    status, headers, text = asyncio.run(call(app, PAIR, on_send=on_send))
    assert (status, int(headers["content-length"])) == (200, len(text))


# ---- headers


def test_connections_stay_open_unless_something_is_left_unread(model):
    app = create_app(model, Settings(max_payload_bytes=300))
    for body, status in ((PAIR, 200), (b"", 204), (b"{", 400)):
        found, headers, _ = asyncio.run(call(app, body))
        assert (found, "connection" in headers) == (status, False)
        assert headers.get("content-type") == (None if status == 204 else JSON)
        assert "retry-after" not in headers
    found, headers, _ = asyncio.run(call(app, b" " * 301))
    assert (found, headers["connection"]) == (413, "close")


@pytest.mark.parametrize("path", ["/invocations", RUNTIME])
def test_a_draining_server_rejects_and_closes(model, path):
    app = create_app(model)
    app.state.endpoint.is_draining = True
    status, headers, text = asyncio.run(call(app, PAIR, path=path))
    assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "1")
    assert b"the server: is shutting down. Send the request again soon." in text
    assert ask(app, b"", method="GET", path="/ping")[0] == 503
    app.state.endpoint.is_draining = False
    assert ask(app, b"", method="GET", path="/ping")[0] == 200


def test_a_request_that_is_accepted_is_finished_by_a_draining_server(model):
    app = create_app(model)

    def drain():
        app.state.endpoint.is_draining = True

    status, headers, _ = asyncio.run(call(app, PAIR, on_receive=drain))
    assert (status, headers["connection"]) == (200, "close")


# ---- error documents


def test_our_own_failure_has_its_document_on_both_paths(model, caplog):
    app = create_app(model)

    def broken(groups):
        raise KeyError("an inside")

    app.state.endpoint.model.submit = broken
    status, headers, text = asyncio.run(call(app, PAIR))
    message = "the server: failed at this request. Report it to whoever runs the server."
    assert (status, json.loads(text), headers["content-type"]) == (500, {"error": message}, JSON)
    status, headers, text = asyncio.run(call(app, PAIR, path=RUNTIME))
    assert (status, headers["x-amzn-errortype"]) == (424, "ModelError")
    assert json.loads(text) == {
        "Message": f'Received server error (500) from primary with message "{message}"',
        "OriginalStatusCode": 500,
        "OriginalMessage": json.dumps({"error": message}, separators=(",", ":")),
    }
    assert requests_counted(app) == {"500": 2.0}
    assert "an inside" in caplog.text
    assert held(app) == 0


def test_a_failing_route_has_a_document_too(model, monkeypatch):
    app = create_app(model)
    monkeypatch.setattr(app.state.endpoint.metrics, "render", lambda: 1 / 0)
    sent = []

    async def on_send(message):
        sent.append(message)

    with pytest.raises(ZeroDivisionError):  # starlette raises it again, for the log
        asyncio.run(call(app, method="GET", path="/metrics", on_send=on_send))
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"])["error"].startswith("the server: failed at this request.")


def test_a_method_that_is_not_allowed_names_those_that_are(model):
    _, headers, _ = ask(create_app(model), b"", method="GET", path="/invocations")
    assert headers["allow"] == "POST"


# ---- numbers that are none


@pytest.fixture(scope="module")
def broken():
    """A model whose embeddings of id 7 and 8 are no numbers, and those of id 9 too large."""
    records = [i | {"label": 1.0} for i in instances(8)]
    model = Object2Vec(**VALUE, epochs=1, seed=0).fit(records, validation=records)
    for side in (0, 1):
        for id_, value in ((7, math.nan), (8, math.inf), (9, 1e30)):
            model.artifact.network.table(side).weight[id_] = value
    return create_app(model)


@pytest.mark.parametrize("bad", [7, 8])
@pytest.mark.parametrize(
    ("document", "is_good"),
    [
        ([{"in0": [3]}, {"in1": [3]}, {"in0": [3], "in1": [3]}], True),
        ([{"in0": [3]}, {"in0": ["bad"]}], False),
        ([{"in1": ["bad"]}], False),
        ([{"in0": ["bad"], "in1": [3]}], False),
        ([{"in0": [3], "in1": [3, "bad"]}], False),
        ([{"in0": [3], "in1": [3]}, {"in1": ["bad"]}], False),
        ([{"in0": [3], "in1": ["bad"]}, {"in1": [3]}], False),
    ],
)
@pytest.mark.parametrize("form", [JSON, JSON_LINES])
def test_embeddings_that_are_not_finite_are_never_sent(broken, document, is_good, bad, form):
    lines = [json.dumps(i).replace('"bad"', str(bad)) for i in document]
    body = "\n".join(lines) if form == JSON_LINES else f"[{', '.join(lines)}]"
    status, _, text = ask(broken, body.encode(), {"content-type": form})
    assert status == (200 if is_good else 500)
    assert (b"embeddings: must be finite numbers" in text) == (not is_good)
    assert b"null" not in text


def test_scores_that_are_not_finite_are_never_sent(broken):
    large, other, pair = {"in0": [9]}, {"in1": [9]}, {"in0": [9], "in1": [9]}
    assert ask(broken, [large, other, {"in0": [3], "in1": [3]}])[0] == 200
    for document in ([pair], [large, pair], [other, pair], [{"in0": [3], "in1": [3]}, pair]):
        status, _, text = ask(broken, document)
        assert status == 500
        assert b"scores: must be finite numbers; got 'nan or inf'. The model has diverged" in text


# ---- loading


def mounted(app):
    """An application that mounts another one, whose lifespan nobody runs."""
    return Starlette(routes=[Mount("/movies", app)])


async def until_ready(app, path="/ping"):
    """Wait for 200 at `path`; return the statuses before it."""
    statuses = []
    while (status := (await call(app, method="GET", path=path))[0]) != 200:
        statuses.append(status)
        await asyncio.sleep(0.01)
        assert len(statuses) < 3000
    return statuses


@pytest.mark.parametrize("first", ["ping", "invocations", "metrics", "", "nothing", RUNTIME[1:]])
def test_a_mounted_application_loads_at_its_first_request(saved, model, first):
    app = mounted(create_app(saved))

    async def main():
        method = "POST" if first.endswith("invocations") else "GET"
        await call(app, PAIR, method=method, path=f"/movies/{first}")
        deadline = time.monotonic() + 30
        while (await call(app, b'{"in0": [1]}', path="/movies/invocations"))[0] != 200:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert await until_ready(app, "/movies/ping") == []
        assert (await call(app, b'{"in0": [1]}', path=f"/movies{RUNTIME}"))[0] == 200
        assert b"40 ids" in (await call(app, method="GET", path="/movies/"))[2]
        return await call(app, b'{"in0": [1, 2]}', path="/movies/invocations")

    status, _, text = asyncio.run(main())
    assert status == 200
    embedding = np.float32(json.loads(text)["predictions"][0]["embeddings"])
    assert embedding.tobytes() == model.encode(in0=[[1, 2]])[0].tobytes()


def test_a_model_is_loaded_once(saved, monkeypatch):
    loaded, gate = [], threading.Event()
    artifact = Object2Vec.load(saved).artifact

    def load():
        loaded.append(1)
        gate.wait(10)
        return artifact

    endpoint = Endpoint(load, Settings())
    assert not endpoint.is_ready
    for _ in range(5):
        endpoint.start()
    gate.set()
    endpoint._loading.join(10)
    assert endpoint.is_ready
    endpoint.start()
    assert loaded == [1]


def test_every_request_may_have_an_event_loop_of_its_own(saved, monkeypatch):
    """As with a test client that runs no lifespan."""
    app = create_app(saved)
    asyncio.run(until_ready(app))  # each call of `run` below is a new loop
    large = json.dumps([{"in0": [1] * 5, "in1": [2] * 4}] * 2000).encode()
    monkeypatch.setattr(Engine, "is_quick", lambda engine, instances, tokens: instances < 2000)
    for body in (PAIR, large, PAIR, large):
        assert asyncio.run(call(app, body))[0] == 200
    app.state.endpoint.settings.__dict__["timeout_s"] = 0.0001  # leaves work behind in its loop
    assert asyncio.run(call(app, large))[0] == 504
    app.state.endpoint.settings.__dict__["timeout_s"] = 60
    for body in (PAIR, large):
        assert asyncio.run(call(app, body))[0] == 200
    assert held(app) == 0


@pytest.mark.parametrize("most", [0, 30, 900])
def test_event_loops_in_several_threads_are_served_side_by_side(model, most, monkeypatch):
    monkeypatch.setattr(Engine, "is_quick", lambda engine, instances, tokens: instances <= most)
    app, statuses = create_app(model), []
    bodies = [json.dumps(instances(n, kinds="p01")).encode() for n in (1, 30, 900)]

    def client(i):
        for j in range(6):
            statuses.append(asyncio.run(call(app, bodies[(i + j) % 3]))[0])

    threads = [threading.Thread(target=client, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [200] * 24
    assert held(app) == 0


@pytest.mark.parametrize("by_location", [True, False])
def test_a_lifespan_may_be_run_again(model, saved, by_location, monkeypatch):
    app = create_app(saved if by_location else model)
    before = {*threading.enumerate()}
    monkeypatch.setattr(Engine, "is_quick", lambda *figures: False)  # all in the model's thread
    body, used = json.dumps([{"in0": [1]}]).encode(), []

    async def main():
        for _ in range(2):
            async with app.router.lifespan_context(app):
                await until_ready(app)
                assert (await call(app, body))[0] == 200
                used.append({each.name for each in {*threading.enumerate()} - before})

    asyncio.run(main())
    assert all("model" in names for names in used)
    for thread in {*threading.enumerate()} - before:
        thread.join(10)
        assert not thread.is_alive()


def test_the_lifespan_loads_without_any_request(saved, caplog):
    caplog.set_level("INFO", "object2vec")
    events = []
    app = create_app(saved, on_loaded=events.append)

    async def main():
        async with app.router.lifespan_context(app):
            deadline = time.monotonic() + 30
            while not events:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            assert (await call(app, method="GET", path="/ping"))[0] == 200

    asyncio.run(main())
    assert events == [None]
    assert re.search(r"Model loaded in \d+\.\d s\.", caplog.text)


@pytest.mark.parametrize("path", ["/movies/invocations", f"/movies{RUNTIME}"])
def test_a_model_that_cannot_be_loaded_is_named_as_the_cause(tmp_path, path):
    app = mounted(create_app(tmp_path))

    async def main():
        deadline = time.monotonic() + 30
        while b"is loading" in (found := await call(app, PAIR, path=path))[2]:
            assert time.monotonic() < deadline
            assert found[0] == 503
            await asyncio.sleep(0.01)
        assert b"could not be loaded" in (await call(app, method="GET", path="/movies/"))[2]
        assert (await call(app, method="GET", path="/movies/ping"))[0] == 503
        return found

    status, headers, text = asyncio.run(main())
    assert status == (424 if "endpoints" in path else 500)
    assert "retry-after" not in headers
    assert b"the server: has no model, because loading it failed. Its log names the cause." in text
    assert str(tmp_path).encode() not in text


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DataError("vocab0.json: wrong"), "^vocab0.json: wrong$"),
        (ZeroDivisionError("an inside"), "^the model: must be loaded; got 'ZeroDivisionError'"),
    ],
)
def test_whatever_fails_while_loading_is_told_to_the_listener(error, message, caplog):
    def load():
        raise error

    seen = []
    endpoint = Endpoint(load, Settings(), seen.append)
    endpoint.start()
    endpoint._loading.join(10)
    assert seen == [endpoint.failure]
    assert type(seen[0]) is (DataError if isinstance(error, DataError) else ArtifactError)
    with pytest.raises(type(seen[0]), match=message):
        raise seen[0]
    assert not endpoint.is_ready
    assert ("an inside" in caplog.text) == isinstance(error, ZeroDivisionError)
    loading = endpoint._loading
    endpoint.start()
    assert endpoint._loading is loading  # it is not tried again
    endpoint.close()


def test_the_thread_of_a_closed_model_ends():
    model = LoadedModel(Engine(fitted("pooled").artifact), Settings(), lambda *figures: None)
    done = threading.Event()
    model._thread.run(done.set)
    assert done.wait(10)
    thread = model._thread._thread
    assert thread.is_alive()
    model.close()
    thread.join(10)
    assert not thread.is_alive()


def test_a_model_that_is_not_fitted_is_rejected_at_once():
    with pytest.raises(NotFittedError):
        create_app(Object2Vec(**POOLED))


# ---- token, wherever the application is


@pytest.mark.parametrize(
    ("prefix", "root_path"), [("", ""), ("/movies", ""), ("/api", "/api"), ("/ping", "/ping")]
)
def test_the_token_guards_a_mounted_application_too(model, prefix, root_path):
    app = create_app(model, Settings(token="s3cret"))
    if prefix == "/movies":
        app = mounted(app)
    right = {"authorization": "Bearer s3cret"}

    def status(path, headers=(), method="GET"):
        return ask(app, PAIR, headers, path=prefix + path, method=method, root_path=root_path)[0]

    assert status("/ping") == status("/") == 200
    for path in ("/invocations", RUNTIME):
        assert status(path, method="POST") == 401
        assert status(path, right, method="POST") == 200
    assert status("/metrics") == status("/nothing") == status("/ping/x") == 401
    assert status("/metrics", right) == 200
    assert status("/nothing", right) == 404


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ([("authorization", "Bearer s3cret")], 200),
        ([("authorization", "BEARER  s3cret ")], 200),
        ([("authorization", "Bearer s3cret")] * 2, 401),
        ([("authorization", "Bearer s3cret"), ("authorization", "Basic x")], 401),
        ([("authorization", "Bearer s3cret"), ("x", "y")], 200),
        ([("authorization", "Bearer")], 401),
        ([("authorization", "Bearer s3cretx")], 401),
        ([("authorization", "Bearers s3cret")], 401),
        ([("authorization", "")], 401),
        ([("x-authorization", "Bearer s3cret")], 401),
    ],
)
def test_one_authorization_header_must_carry_the_token(model, given, status):
    app = create_app(model, Settings(token="s3cret"))
    found, headers, text = ask(app, PAIR, given)
    assert found == status
    if status == 401:
        assert headers["www-authenticate"] == "Bearer"
        message = "Authorization: must be Bearer and the server's token. Ask for it."
        assert json.loads(text) == {"error": message}


def test_a_prefix_is_a_whole_part_of_the_path(model):
    app = create_app(model)
    assert ask(app, PAIR, path="/api/invocations", root_path="/api")[0] == 200
    assert ask(app, PAIR, path="/invocations", root_path="/api")[0] == 200  # a proxy cut it off
    assert ask(app, PAIR, path="/apinvocations", root_path="/ap")[0] == 404
    _, headers, _ = ask(app, b"", path="/api", root_path="/api", method="GET")
    assert headers["location"].endswith("/api/")


# ---- settings that the engine feels


@pytest.mark.parametrize(
    ("cores", "workers", "threads", "used"),
    [(8, 1, 0, 8), (8, 2, 0, 4), (8, 3, 0, 2), (2, 8, 0, 1), (1, 1, 0, 1), (8, 2, 3, 3)],
)
@pytest.mark.parametrize("mode", ["classification", "embedding"])
def test_workers_share_the_cores(model, monkeypatch, cores, workers, threads, used, mode):
    calls = []
    monkeypatch.setattr("object2vec.serving.endpoint.available_cores", lambda: cores)
    monkeypatch.setattr(Engine, "warm_up", lambda self, *given: calls.append(given))
    artifact = model.artifact
    monkeypatch.setitem(artifact.config.__dict__, "threads", threads)
    create_app(model, Settings(workers=workers, preferred_mode=mode))
    assert calls == [(mode, used)]


@pytest.mark.parametrize(
    ("payload", "cores", "found"),
    [
        (6 << 20, 2, (2, 6)),
        (6 << 20, 64, (16, 6)),
        (1 << 30, 4, (1, 100)),
        (1000, 4, (4, 1)),
        ((7 << 20) - 1, 1, (1, 6)),
    ],
)
def test_execution_parameters_stay_within_sagemakers_product(
    model, monkeypatch, payload, cores, found
):
    app = create_app(model, Settings(max_payload_bytes=payload))
    monkeypatch.setattr("object2vec.serving.app.available_cores", lambda: cores)
    text = ask(app, b"", method="GET", path="/execution-parameters")[2]
    assert json.loads(text) == {
        "MaxConcurrentTransforms": found[0],
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": found[1],
    }


def test_the_limits_of_a_response_count_the_wider_of_its_kinds(model):
    app = create_app(model, Settings(max_response_numbers=47))  # 2 embeddings of 16, or scores
    assert ask(app, instances(2))[0] == 200
    assert b"must be at most 2 for this model; got 3." in ask(app, instances(3))[2]
    app = create_app(model, Settings(max_response_numbers=1))  # one is always possible
    assert ask(app, instances(1))[0] == 200
    assert b"must be at most 1 for this model; got 2." in ask(app, instances(2))[2]


# ---- metrics


def test_metrics_name_what_they_count(model):
    app = create_app(model)
    lines = ask(app, b"", method="GET", path="/metrics")[2].decode().splitlines()
    helps = [line.removeprefix("# HELP object2vec_") for line in lines if "# HELP" in line]
    assert [text for text in helps if "_created" not in text] == [
        "requests_total Requests for inference by status.",
        "instances_total Instances by kind of result.",
        "omissions_total Sequences that were truncated, hold the padding id 0 or are empty.",
        "values_total Values, and their tokens that are known, hashed, unknown or skipped.",
        "request_seconds Time from the headers of a request to the end of its response.",
        "batch_instances Instances computed together.",
        "waiting_units Instances plus tokens in the queue.",
        "ready_workers Workers whose model is loaded.",
    ]
    bounds = {
        kind: [float(b) for b in re.findall(rf'{kind}_bucket{{le="(.*?)"}}', "\n".join(lines))]
        for kind in ("object2vec_request_seconds", "object2vec_batch_instances")
    }
    seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    assert bounds["object2vec_request_seconds"] == [*seconds, math.inf]
    assert bounds["object2vec_batch_instances"] == [*(2**i for i in range(11)), math.inf]


def test_a_server_is_not_ready_before_its_model_is_loaded():
    endpoint = Endpoint(lambda: None, Settings())
    assert b"object2vec_ready_workers 0.0" in endpoint.metrics.render()
    endpoint.put(fitted("pooled").artifact)
    assert b"object2vec_ready_workers 1.0" in endpoint.metrics.render()


def test_metrics_measure_time_and_instances(model):
    app = create_app(model)

    async def on_send(message):
        await asyncio.sleep(0.05)

    asyncio.run(call(app, json.dumps(instances(7, kinds="p01")).encode(), on_send=on_send))
    lines = ask(app, b"", method="GET", path="/metrics")[2].decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert 0.1 <= float(values["object2vec_request_seconds_sum"]) < 10  # to the last byte
    assert float(values['object2vec_instances_total{kind="scores"}']) == 3
    assert float(values['object2vec_instances_total{kind="embeddings"}']) == 4
    assert float(values["object2vec_batch_instances_sum"]) == 7
    assert float(values["object2vec_batch_instances_count"]) == 1


def test_the_queue_is_measured_while_there_is_one(model):
    app = create_app(model, Settings(batch_instances=10))
    metrics, seen = app.state.endpoint.metrics, []
    real = metrics.waiting.set
    metrics.waiting.set = lambda value: (seen.append(value), real(value))
    asyncio.run(call(app, json.dumps([{"in0": [1, 2]}] * 25).encode()))
    assert seen == [45, 15, 0]  # instances plus tokens


def test_what_is_left_out_of_sequences_is_counted(model):
    app = create_app(model)
    document = [{"in0": [1] * 6}, {"in0": [1] * 7, "in1": []}, {"in1": [0, 1]}, {"in1": [1]}]
    assert ask(app, document)[0] == 200
    lines = ask(app, b"", method="GET", path="/metrics")[2].decode().splitlines()
    found = [line for line in lines if line.startswith("object2vec_omissions_total{")]
    assert found == [
        'object2vec_omissions_total{kind="truncated",side="in0"} 2.0',
        'object2vec_omissions_total{kind="padded",side="in0"} 0.0',
        'object2vec_omissions_total{kind="empty",side="in0"} 0.0',
        'object2vec_omissions_total{kind="truncated",side="in1"} 0.0',
        'object2vec_omissions_total{kind="padded",side="in1"} 1.0',
        'object2vec_omissions_total{kind="empty",side="in1"} 1.0',
    ]
