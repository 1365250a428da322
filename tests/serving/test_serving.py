"""The HTTP surface, in memory: routes, forms, statuses, headers, parity with the library, fuzz."""

from __future__ import annotations

import asyncio
import functools
import importlib
import importlib.util
import io
import json
import tarfile
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import object2vec.serving
from object2vec import Object2Vec
from object2vec.artifact import open_model
from object2vec.errors import ArtifactError, ConfigError, MissingExtraError
from object2vec.inference.payload import JSON, JSON_LINES
from object2vec.serving.app import create_app
from object2vec.serving.settings import Settings
from support.servers import POOLED, ask, call, expected, fitted, instances

LINES = {"content-type": JSON_LINES}
STATUSES = {200, 204, 400, 406, 413, 415}


@pytest.fixture(scope="module")
def model():
    return fitted("pooled")


@pytest.fixture(scope="module")
def app(model):
    return create_app(model)


def predictions(body: bytes) -> list[dict[str, list[float]]]:
    return json.loads(body)["predictions"]


# ---- answers


@pytest.mark.parametrize("kind", ["pooled", "mixed", "value", "bfloat16"])
@pytest.mark.parametrize("kinds", ["p", "0", "1", "p01"])
def test_the_server_says_what_the_library_says(kind, kinds):
    model = fitted(kind)
    wanted = instances(20, kinds=kinds)
    status, headers, body = ask(create_app(model), {"instances": wanted})
    assert (status, headers["content-type"]) == (200, JSON)
    found = predictions(body)
    assert [[*answer] for answer in found] == [
        ["scores"] if len(instance) == 2 else ["embeddings"] for instance in wanted
    ]
    for answer, truth in zip(found, expected(model, wanted), strict=True):
        (numbers,) = answer.values()
        np.testing.assert_allclose(np.float32(numbers), truth, rtol=1e-5, atol=1e-6)


def test_embeddings_are_the_librarys_to_the_bit(app, model):
    wanted = instances(20, kinds="0")
    _, _, body = ask(app, {"instances": wanted})
    found = np.array([answer["embeddings"] for answer in predictions(body)], np.float32)
    assert found.tobytes() == model.encode(in0=[i["in0"] for i in wanted]).tobytes()
    assert np.abs(found).max() > 0


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("pooled", 0.0), ("value", 0.0), ("bfloat16", 0.0), ("mixed", 1e-6)]
)
def test_an_answer_does_not_depend_on_its_neighbours(kind, tolerance):
    app = create_app(fitted(kind))
    wanted = instances(150, kinds="p01")

    async def both():
        alone = [await call(app, json.dumps(i).encode()) for i in wanted]
        bodies = [
            json.dumps(wanted[start:stop]).encode()
            for start, stop in [(0, 1), (1, 40), (40, 41), (41, 150)]
        ]
        return alone, await asyncio.gather(*(call(app, body) for body in bodies))

    alone, together = asyncio.run(both())
    one_by_one = [predictions(body)[0] for _, _, body in alone]
    merged = [answer for _, _, body in together for answer in predictions(body)]
    assert len(merged) == 150
    for a, b in zip(one_by_one, merged, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=0, atol=tolerance)


def test_longer_sequences_than_in_training_are_read_when_asked(app, model):
    ids = [1, 2, 3, 4, 5, 6, 7, 8]
    table = model.artifact.network.table(0).weight.numpy()  # (V, E)
    for lens, read in (("8,8", 8), ("2", 2), (None, 5)):
        media = JSON + (f"; infer_max_seqlens={lens}" if lens else "")
        _, _, body = ask(app, {"in0": ids}, {"content-type": media})
        np.testing.assert_allclose(
            predictions(body)[0]["embeddings"], table[ids[:read]].mean(axis=0), rtol=1e-5
        )


# ---- forms


@pytest.mark.parametrize("path", ["/invocations", "/endpoints/movies-1/invocations"])
def test_both_paths_and_both_forms(app, path):
    wanted = instances(3, seed=5)
    lines = b"\n".join(json.dumps(i).encode() for i in wanted)
    _, _, as_json = ask(app, {"instances": wanted}, path=path)
    status, headers, as_lines = ask(app, lines, LINES, path=path)
    assert (status, headers["content-type"]) == (200, JSON_LINES)
    assert [json.loads(line) for line in as_lines.splitlines()] == predictions(as_json)
    assert as_lines.endswith(b"\n")
    _, headers, mirrored = ask(app, lines, LINES | {"accept": JSON}, path=path)
    assert (headers["content-type"], mirrored) == (JSON, as_json)


@pytest.mark.parametrize("headers", [{}, {"content-type": "*/*"}, {"content-type": JSON}])
def test_a_bare_list_and_a_bare_instance(app, headers):
    (pair,) = instances(1, seed=2)
    answers = [ask(app, d, headers) for d in ({"instances": [pair]}, [pair], pair)]
    assert {status for status, _, _ in answers} == {200}
    assert len({body for _, _, body in answers}) == 1


def test_settings_change_the_default_answer(model):
    app = create_app(model, Settings(default_accept=JSON_LINES))
    assert ask(app, [{"in0": [1]}])[1]["content-type"] == JSON_LINES
    assert ask(app, [{"in0": [1]}], {"accept": JSON})[1]["content-type"] == JSON


# ---- refusals


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"", {}, 204, None),
        ([{"in0": [1]}, {"in0": [40]}], {}, 400, "instances[1].in0[0]: must be an integer in"),
        (b"{", {}, 400, "body: must be well-formed JSON; "),
        ([{"in2": [1]}], {}, 400, "instances[0]: must be an object with a list of ids"),
        ([], {"content-type": "text/csv"}, 415, "Content-Type: must be application/json or"),
        ([], {"content-encoding": "gzip"}, 415, "Content-Encoding: must be identity; got 'gzip'"),
        ([], {"accept": "text/csv"}, 406, "Accept: must allow application/json or"),
        ([], {"content-type": f"{JSON};infer_max_seqlens=0"}, 400, "infer_max_seqlens: must be"),
    ],
)
def test_refusals_say_what_must_hold(app, body, headers, status, message):
    found, sent, text = ask(app, body, headers)
    assert found == status
    if message is None:
        assert text == b""
        return
    assert sent["content-type"] == JSON
    assert json.loads(text)["error"].startswith(message)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [([{"in0": [40]}], {}, 400), ([], {"accept": "text/csv"}, 406), ([], LINES, 400)],
)
def test_the_runtimes_path_refuses_as_the_runtime_does(app, body, headers, status):
    found, _, text = ask(app, body, headers)
    message = json.loads(text)["error"]
    assert found == status
    found, sent, body = ask(app, body, headers, path="/endpoints/movies/invocations")
    assert (found, sent["x-amzn-errortype"], sent["content-type"]) == (424, "ModelError", JSON)
    assert json.loads(body) == {
        "Message": f'Received client error ({status}) from primary with message "{message}"',
        "OriginalStatusCode": status,
        "OriginalMessage": text.decode(),
    }


def test_the_runtimes_path_names_what_its_clients_send_again(model):
    path = "/endpoints/movies/invocations"
    app = create_app(model, Settings(max_payload_bytes=100, max_held_bytes=120))

    async def two():
        headers = {"content-length": "100"}
        body = b'{"in0": [1]}'.ljust(100)
        return await asyncio.gather(*(call(app, body, headers, path=path) for _ in range(2)))

    (status, _, _), (busy, sent, text) = asyncio.run(two())
    assert (status, busy, sent["retry-after"]) == (200, 429, "1")
    assert sent["x-amzn-errortype"] == "ThrottlingException"
    assert json.loads(text)["Message"].startswith("the server: must have memory")
    app.state.endpoint.is_draining = True
    status, sent, text = ask(app, b"", path=path)
    assert (status, sent["x-amzn-errortype"]) == (503, "ServiceUnavailable")
    assert json.loads(text)["Message"].startswith("the server: is shutting down.")
    assert ask(create_app(model), b"", path=path)[0] == 204


def test_one_byte_more_than_the_limit_is_refused(model):
    app = create_app(model, Settings(max_payload_bytes=30))
    body = json.dumps({"in0": [1, 2]}).encode()
    assert ask(app, body.ljust(30))[0] == 200
    status, headers, text = ask(app, body.ljust(31))
    assert (status, headers["connection"]) == (413, "close")
    assert json.loads(text)["error"].startswith("body: must have at most 30 bytes; got 31. Split")
    assert ask(app, body.ljust(30))[0] == 200


def test_a_body_is_counted_while_it_arrives(model):
    app = create_app(model, Settings(max_payload_bytes=1000))

    assert ask(app, (b" " * 100,) * 10)[0] == 204
    assert ask(app, (b" " * 100,) * 11)[0] == 413
    assert ask(app, (b'{"in0"', b": [1", b"]}"))[0] == 200


def test_a_client_that_waits_for_100_continue_sends_nothing_too_large(model):
    app = create_app(model, Settings(max_payload_bytes=10))
    headers = {"expect": "100-continue", "content-length": "1000"}
    assert ask(app, b"unread", headers)[0] == 413


def test_a_request_for_too_many_numbers_is_refused(model):
    app = create_app(model, Settings(max_response_numbers=16 * 3))
    assert ask(app, instances(3))[0] == 200
    status, _, text = ask(app, instances(4))
    assert status == 413
    assert "instances: must be at most 3 for this model; got 4. Split" in json.loads(text)["error"]


def test_what_does_not_fit_into_memory_is_refused(model):
    app = create_app(model, Settings(max_payload_bytes=100, max_held_bytes=120))

    async def two():
        headers = {"content-length": "100"}
        body = b'{"in0": [1]}'.ljust(100)
        return await asyncio.gather(*(call(app, body, headers) for _ in range(2)))

    found = asyncio.run(two())
    assert [status for status, _, _ in found] == [200, 429]
    assert found[1][1]["retry-after"] == "1"
    assert b"the server: must have memory" in found[1][2]
    assert ask(app, {"in0": [1]})[0] == 200


def test_what_never_arrives_is_answered_in_time(model):
    app = create_app(model, Settings(timeout_s=0.05))
    sent = []

    async def one():
        async def receive():
            await asyncio.sleep(60)

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": []}
        await app(scope, receive, send)

    asyncio.run(one())
    assert sent[0]["status"] == 504
    assert b"the request: must be completed in time; got '0.05 s'" in sent[1]["body"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_never_sent(bad):
    records = [i | {"label": 1.0} for i in instances(8)]
    model = Object2Vec(**POOLED, output_layer="mean_squared_error", epochs=1, seed=0)
    model.fit(records, validation=records)
    model.artifact.network.table(0).weight[7] = bad
    app = create_app(model)

    async def three():
        bodies = (b'{"in0": [3]}', b'[{"in0": [3]}, {"in0": [7], "in1": [1]}]', b'{"in1": [3]}')
        return await asyncio.gather(*(call(app, body) for body in bodies))

    first, second, third = asyncio.run(three())  # one batch: only the request itself is refused
    assert [first[0], second[0], third[0]] == [200, 500, 200]
    message = json.loads(second[2])["error"]
    assert message.startswith("embeddings: must be finite numbers; got 'nan or inf'. The model has")


def test_a_failing_model_tells_nothing_of_its_insides(model, caplog):
    app = create_app(model)
    app.state.endpoint.model.engine.network = None
    status, _, text = ask(app, {"in0": [1]})
    assert status == 500
    assert json.loads(text) == {
        "error": "the model: failed at this request. Send it again, or report it to whoever runs "
        "the server."
    }
    assert "NoneType" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/invocations", 405), ("POST", "/ping", 405), ("GET", "/nothing", 404)],
)
def test_other_routes_answer_json(app, method, path, status):
    found, headers, text = ask(app, b"", method=method, path=path)
    assert (found, headers["content-type"]) == (status, JSON)
    assert json.loads(text)["error"] in ("Method Not Allowed", "Not Found")


# ---- health, metrics, page, token


def test_ping_and_execution_parameters(app):
    assert ask(app, b"", method="GET", path="/ping")[::2] == (200, b"")
    _, _, text = ask(app, b"", method="GET", path="/execution-parameters")
    found = json.loads(text)
    assert found["BatchStrategy"] == "MULTI_RECORD"
    assert found["MaxPayloadInMB"] == 6
    assert 1 <= found["MaxConcurrentTransforms"] <= 100 // 6


def test_metrics_count_what_was_asked(model):
    app = create_app(model)
    ask(app, instances(3, kinds="p0"))
    ask(app, b"{")
    _, headers, text = ask(app, b"", method="GET", path="/metrics")
    assert headers["content-type"].startswith("text/plain")
    lines = text.decode().splitlines()
    for line in (
        'object2vec_requests_total{status="200"} 1.0',
        'object2vec_requests_total{status="400"} 1.0',
        'object2vec_instances_total{kind="scores"} 2.0',
        "object2vec_ready_workers 1.0",
        'object2vec_instances_total{kind="embeddings"} 1.0',
        "object2vec_waiting_units 0.0",
        "object2vec_batch_instances_sum 3.0",
        "object2vec_request_seconds_count 2.0",
    ):
        assert line in lines


def test_the_page_is_whole_and_allows_nothing_from_elsewhere(app):
    _, headers, text = ask(app, b"", method="GET", path="/")
    html = text.decode()
    for fact in (
        "pooled_embedding, 40 ids, at most 5 in a sequence",
        "<dd>16 numbers</dd>",
        "hadamard, concat, abs_diff",
        "probabilities of 2 classes",
    ):
        assert fact in html
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_a_token_guards_everything_but_ping_and_the_bare_page(model):
    app = create_app(model, Settings(token="s3cret"))
    right = {"authorization": "Bearer s3cret"}
    for path, method in (
        ("/invocations", "POST"),
        ("/metrics", "GET"),
        ("/nothing", "GET"),
        ("/endpoints/x/invocations", "POST"),
    ):
        for wrong in (
            {},
            {"authorization": "Bearer s3cre"},
            {"authorization": "s3cret"},
            {"authorization": "Basic s3cret"},
        ):
            status, headers, text = ask(app, {"in0": [1]}, wrong, path=path, method=method)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert json.loads(text)["error"].startswith("Authorization: must be Bearer")
    assert ask(app, {"in0": [1]}, right)[0] == 200
    assert ask(app, {"in0": [1]}, {"authorization": "bearer s3cret"})[0] == 200
    assert ask(app, b"", {}, method="GET", path="/ping")[0] == 200
    bare, whole = (ask(app, b"", h, method="GET", path="/")[2] for h in ({}, right))
    assert b"asks for a token" in bare
    assert b"40 ids" not in bare
    assert b"40 ids" in whole


# ---- loading


def get(app, path):
    return call(app, method="GET", path=path)


def test_a_folder_is_loaded_in_the_background(model, tmp_path):
    model.save(tmp_path / "model")
    app = create_app(tmp_path / "model")

    async def main():
        async with app.router.lifespan_context(app):
            assert (await get(app, "/ping"))[0] == 503
            status, headers, text = await call(app, b"{}")
            assert (status, headers["retry-after"]) == (503, "1")
            assert json.loads(text)["error"].startswith("the server: is loading its model.")
            assert b"being loaded" in (await get(app, "/"))[2]
            deadline = time.monotonic() + 30
            while (await get(app, "/ping"))[0] != 200:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            return await call(app, b'{"in0": [1, 2]}')

    answer = predictions(asyncio.run(main())[2])[0]["embeddings"]
    assert np.float32(answer).tobytes() == model.encode(in0=[[1, 2]])[0].tobytes()


def test_a_folder_without_a_model_fails(tmp_path):
    ended = []
    app = create_app(tmp_path, on_loaded=ended.append)

    async def main():
        async with app.router.lifespan_context(app):
            deadline = time.monotonic() + 30
            while not ended:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            assert (await get(app, "/ping"))[0] == 503

    asyncio.run(main())
    assert [*map(type, ended)] == [ArtifactError]
    assert app.state.endpoint.failure is ended[0]


def pack(path, model_path, mode="w:gz", **names):
    with tarfile.open(path, mode) as archive:
        archive.add(model_path, names.get("name", "."))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("name", [".", "model"])
def test_an_archive_is_unpacked_and_removed(model, tmp_path, mode, name):
    model.save(tmp_path / "model")
    with open_model(pack(tmp_path / "m.tar", tmp_path / "model", mode, name=name)) as folder:
        loaded = Object2Vec.load(folder)
        assert folder != tmp_path / "model"
    assert not folder.exists()
    assert np.array_equal(loaded.encode(in0=[[1]]), model.encode(in0=[[1]]))
    with open_model(tmp_path / "model") as folder:
        assert folder == tmp_path / "model"


def entry(name="x", size=0, kind=tarfile.REGTYPE, link="", **more):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    info.pax_headers = more
    return info


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry("/etc/x")], "^/etc/x: must be .*; got 'a name that is absolute or leads outside'"),
        ([entry("a/../../x")], r"^a/\.\./\.\./x: .* leads outside"),
        ([entry("a\\x")], r"^a\\x: .* leads outside"),
        ([entry("x", kind=tarfile.SYMTYPE, link="/etc/passwd")], "^x: .*; got 'a link, device or"),
        ([entry("x", kind=tarfile.LNKTYPE, link="y")], "^x: .*; got 'a link, device or"),
        ([entry("x", kind=tarfile.CHRTYPE)], "^x: .*; got 'a link, device or"),
        ([entry("x", kind=tarfile.FIFOTYPE)], "^x: .*; got 'a link, device or"),
        ([entry(f"{i}") for i in range(1001)], "^1000: .*; got 'more than 1000 entries'"),
        ([entry("x", 2000)], "^x: .*; got 'more than 1999 bytes, or than the disk has free'"),
        ([entry("x", 1500), entry("y", 500)], "^y: .*; got 'more than 1999 bytes"),
        ([entry("x"), entry("x")], "must be a whole tar archive; got .*exists"),
        ([entry("x", comment="y" * 70_000)], "^an entry: .*; got 'a header of 7"),
        ([entry("x", 9, **{"GNU.sparse.map": "0,9", "GNU.sparse.size": "9"})], "^x: must be a pl"),
        ([entry("x")], "must hold one file config.json; got '0 of them'"),
        ([entry("a/config.json"), entry("b/config.json")], "got '2 of them'"),
    ],
)
def test_an_archive_that_is_not_plain_is_refused(tmp_path, entries, message):
    path = tmp_path / "m.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for info in entries:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(ArtifactError, match=message), open_model(path, max_bytes=1999):
        pytest.fail("was unpacked")
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("damage", ["truncated", "not a tar"])
def test_a_damaged_archive_is_refused(model, tmp_path, damage):
    model.save(tmp_path / "model")
    path = pack(tmp_path / "m.tar.gz", tmp_path / "model")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"x" * 1000)
    with pytest.raises(ArtifactError, match="must be a whole tar archive"), open_model(path):
        pytest.fail("was unpacked")


# ---- settings


def test_sagemakers_variables_are_read():
    assert Settings.from_environ({}) == Settings()
    assert Settings.from_environ(
        {
            "MAX_CONTENT_LENGTH": "1000",
            "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": JSON_LINES,
            "INFERENCE_PREFERRED_MODE": "Embedding",
            "SAGEMAKER_MODEL_SERVER_WORKERS": "3",
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": "7.5",
            "OBJECT2VEC_TOKEN": "abc",
            "OBJECT2VEC_BATCH_INSTANCES": "9",
            "OBJECT2VEC_BATCH_WAIT_MS": "2",
            "OBJECT2VEC_QUEUE_UNITS": "99",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20",
        }
    ) == Settings(
        max_payload_bytes=1000,
        default_accept=JSON_LINES,
        preferred_mode="embedding",
        workers=3,
        timeout_s=7.5,
        token="abc",
        batch_instances=9,
        batch_wait_ms=2.0,
        queue_units=99,
    )
    batch = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20"}
    assert Settings.from_environ(batch).max_payload_bytes == 20 << 20


def test_wrong_variables_are_reported_together():
    message = (
        r"^3 problems:\n  MAX_CONTENT_LENGTH: must be bytes in .*; got '-1'\. Correct or unset "
    )
    with pytest.raises(ConfigError, match=message) as caught:
        Settings.from_environ(
            {
                "MAX_CONTENT_LENGTH": "-1",
                "INFERENCE_PREFERRED_MODE": "fast",
                "OBJECT2VEC_TOKEN": "a b",
            }
        )
    assert "a b" not in str(caught.value)


def test_without_the_extra_its_name_is_told(monkeypatch):
    real = importlib.util.find_spec
    with monkeypatch.context() as patch:
        patch.setattr(
            importlib.util, "find_spec", lambda name: None if name == "uvicorn" else real(name)
        )
        message = r"no uvicorn'\. Run: pip install 'object2vec\[serve\]'"
        with pytest.raises(MissingExtraError, match=message):
            importlib.reload(object2vec.serving)
    importlib.reload(object2vec.serving)


# ---- any request at all

ID = st.one_of(
    st.integers(-1, 45), st.integers(), st.floats(), st.none(), st.text(max_size=3), st.booleans()
)
SEQUENCE = st.one_of(st.lists(st.integers(0, 29), max_size=6), st.lists(ID, max_size=3), ID)
INSTANCE = st.one_of(
    st.dictionaries(st.sampled_from(["in0", "in1", "label", "in2"]), SEQUENCE, max_size=3),
    st.fixed_dictionaries({"in0": st.lists(st.integers(0, 39), max_size=6)}),
    SEQUENCE,
)
DOCUMENT = st.one_of(
    st.builds(lambda i: {"instances": i}, st.lists(INSTANCE, max_size=5)),
    st.lists(INSTANCE, max_size=5),
    INSTANCE,
)
HEADER = st.one_of(
    st.sampled_from(
        [
            "",
            JSON,
            JSON_LINES,
            "*/*",
            "text/csv",
            f"{JSON};infer_max_seqlens=2,9",
            f"{JSON}; infer_max_seqlens=x",
            f"{JSON}, */*;q=0.1",
        ]
    ),
    st.text(st.characters(max_codepoint=255), max_size=20),
)


@st.composite
def bodies(draw):
    """JSON, JSON Lines, or either with some bytes changed, cut or added."""
    documents = draw(st.lists(DOCUMENT, min_size=1, max_size=3))
    body = b"\n".join(json.dumps(document).encode() for document in documents)
    if draw(st.booleans()):
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.binary(max_size=4)) + body[place + draw(st.integers(0, 3)) :]
    return body


PROBE = [[1, 2]]


@functools.cache
def probed(model):
    return model.encode(in0=PROBE)[0].tobytes()


def check_any(app, model, body, content_type, accept):
    """Send one request; only documented statuses may come, and right answers with 200.

    Another one follows, whose answer is known.
    """
    headers = {"content-type": content_type, "accept": accept}
    probe = json.dumps({"in0": PROBE[0]}).encode()

    async def both():
        any_one = await call(app, body, {k: v for k, v in headers.items() if v})
        return any_one, await call(app, probe, {"content-type": JSON})

    (status, sent, text), (_, _, known) = asyncio.run(both())
    assert status in STATUSES
    if status == 200:
        assert b"NaN" not in text
        rows = text.splitlines() if sent["content-type"] == JSON_LINES else [text]
        assert all(isinstance(json.loads(row), dict) for row in rows)
    elif status == 204:
        assert text == b""
    else:
        message = json.loads(text)["error"]
        assert "Traceback" not in message
        assert "object at 0x" not in message
        assert len(message) < 500
    assert np.float32(predictions(known)[0]["embeddings"]).tobytes() == probed(model)


@settings(max_examples=3000)
@given(body=st.one_of(bodies(), st.binary(max_size=50)), content_type=HEADER, accept=HEADER)
def test_any_request_gets_a_documented_answer(app, model, body, content_type, accept):
    check_any(app, model, body, content_type, accept)
