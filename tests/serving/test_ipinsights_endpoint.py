"""The endpoint of IP Insights: AWS's documented requests and responses, body for body."""

from __future__ import annotations

import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from object2vec.inference.transform import TransformSettings, transform
from object2vec.model import Object2Vec
from object2vec.serving.app import create_app

ROWS = [(f"user_{i % 9}", f"10.{i % 9}.0.{i % 50}") for i in range(300)]
PAIRS = [("user_3", "10.3.0.7"), ("user_4", "203.0.113.9"), ("nobody", "10.3.0.7")]
COLUMNS = {"entity": [e for e, _ in ROWS], "address": [a for _, a in ROWS]}
JSON, LINES, CSV = "application/json", "application/jsonlines", "text/csv"


@pytest.fixture(scope="module")
def model():
    made = Object2Vec(
        in0="entity:token(max_size=0, buckets=50)",
        in1="address:ipv4",
        preset="aws",
        enc0_network="pooled_embedding",
        enc1_network="pooled_embedding",
        enc_dim=4,
        output_layer="dot_product",
        negative_sampling_rate=1,
        random_negative_sampling_rate=1,
        mini_batch_size=90,
        learning_rate=0.05,
        epochs=4,
        threads=1,
        device="cpu",
    )
    made.fit(COLUMNS)
    return made


@pytest.fixture(scope="module")
def ask(model):
    with TestClient(create_app(model)) as client:

        def ask(body, content_type, accept=None):
            headers = {"Content-Type": content_type} | ({"Accept": accept} if accept else {})
            return client.post("/invocations", content=body, headers=headers)

        yield ask


def as_csv(pairs):
    return "".join(f"{entity}, {address}\n" for entity, address in pairs)


BODIES = {
    "csv": (as_csv(PAIRS), CSV),
    "csv without a last line end": (as_csv(PAIRS).rstrip(), "text/csv;label_size=0"),
    "features": (json.dumps({"instances": [{"features": list(p)} for p in PAIRS]}), JSON),
    "data": (
        json.dumps({"instances": [{"data": {"features": {"values": list(p)}}} for p in PAIRS]}),
        JSON,
    ),
    "lines": ("".join(json.dumps({"features": list(p)}) + "\n" for p in PAIRS), LINES),
    "lines of data": (
        "\n".join(json.dumps({"data": {"features": {"values": list(p)}}}) for p in PAIRS),
        LINES,
    ),
    "sides": (json.dumps({"instances": [{"in0": e, "in1": a} for e, a in PAIRS]}), JSON),
}


@pytest.mark.parametrize("name", BODIES)
def test_each_form_of_a_request_gets_the_dot_products(name, ask, model):
    expected = model.predict(in0=[e for e, _ in PAIRS], in1=[a for _, a in PAIRS])[:, 0]
    response = ask(*BODIES[name], JSON)
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON
    (predictions,) = response.json().values()
    assert [list(each) for each in predictions] == [["dot_product"]] * 3
    found = [each["dot_product"] for each in predictions]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert predictions[0]["dot_product"] > predictions[1]["dot_product"]


def test_responses_are_awss_to_the_byte(ask):
    body, content_type = BODIES["csv"]
    for accept in (None, JSON, "application/json; verbose=False"):
        text = ask(body, content_type, accept).text
        numbers = [each["dot_product"] for each in json.loads(text)["predictions"]]
        items = ",".join(f'{{"dot_product":{json.dumps(number)}}}' for number in numbers)
        assert text == f'{{"predictions":[{items}]}}'
    lines = ask(body, content_type, LINES).text
    assert lines == "".join(f'{{"dot_product":{json.dumps(number)}}}\n' for number in numbers)


@pytest.mark.parametrize("accept", [f"{JSON};verbose=True", f"{LINES}; verbose=True"])
def test_verbose_responses_have_the_embeddings(accept, ask, model):
    response = ask(*BODIES["features"], accept)
    if accept.startswith(LINES):
        predictions = [json.loads(line) for line in response.text.splitlines()]
    else:
        (predictions,) = response.json().values()
    names = ["dot_product", "entity_embedding", "ip_embedding"]
    assert [list(each) for each in predictions] == [names] * 3
    entity, address = (np.array([p[name] for p in predictions]) for name in names[1:])
    np.testing.assert_allclose(entity, model.encode(in0=[e for e, _ in PAIRS]), rtol=1e-5)
    np.testing.assert_allclose(address, model.encode(in1=[a for _, a in PAIRS]), rtol=1e-5)
    dots = [p["dot_product"] for p in predictions]
    np.testing.assert_allclose(dots, (entity * address).sum(axis=1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("user_1, 10.0.0.1\nuser_2, 10.0.0.999\n", CSV, "instances[1].in1"),
        (
            '{"instances": [{"features": ["user_1", "10.0.0.1"]}, {"features": ["user_1"]}]}',
            JSON,
            'instances[1]: must have a list of entity, address as "features"',
        ),
        ('{"features": ["user_1", "somewhere"]}\n', LINES, "must be an IPv4 address"),
        (
            '{"features": ["user_1", "10.0.0.1"], "in0": "user_2"}\n',
            LINES,
            "instances[0]: must have",
        ),
    ],
)
def test_what_is_wrong_is_named(body, content_type, text, ask):
    response = ask(body, content_type)
    assert response.status_code == 400
    assert text in response.text.replace('\\"', '"')


def test_one_side_alone_is_embedded_as_by_any_model(ask):
    response = ask('{"in0": "user_3"}\n{"in0": "user_3", "in1": "10.3.0.7"}\n', LINES)
    first, second = map(json.loads, response.text.splitlines())
    assert list(first) == ["embeddings"]
    assert list(second) == ["dot_product"]


def test_batch_transform_responds_alike(model, ask, tmp_path):
    model.save(tmp_path / "model")
    (tmp_path / "logins.csv").write_text(as_csv(PAIRS))
    settings = TransformSettings(
        content_type=CSV, accept=f"{LINES}; verbose=True", split_type="Line"
    )
    report = transform(tmp_path / "model", [tmp_path / "logins.csv"], tmp_path / "out", settings)
    assert [*report.done.values()] == [3]
    expected = ask(*BODIES["csv"], f"{LINES}; verbose=True").text
    found = (tmp_path / "out" / "logins.csv.out").read_text()
    names = [list(json.loads(line)) for line in found.splitlines()]
    assert names == [["dot_product", "entity_embedding", "ip_embedding"]] * 3
    assert [json.loads(line)["dot_product"] for line in found.splitlines()] == pytest.approx(
        [json.loads(line)["dot_product"] for line in expected.splitlines()], rel=1e-5
    )
