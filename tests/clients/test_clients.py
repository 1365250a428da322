"""The real SageMaker clients, each in an environment of its own, against a server on this machine.

`make test-clients` makes the environments and runs this file. The library's answers are the truth.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from object2vec.inference.payload import JSON, JSON_LINES
from object2vec.model import Object2Vec
from support.servers import expected, fitted, instances, running

pytestmark = pytest.mark.clients

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".venv-clients"
CLIENTS = ["boto3", "sdk2", "sdk3"]
TYPES = [
    (JSON, None),
    (JSON, JSON),
    (JSON, JSON_LINES),
    (JSON_LINES, None),
    (JSON_LINES, JSON_LINES),
    (JSON_LINES, JSON),
    (None, None),
]
KINDS = ["p", "0", "1", "p01"]
CUT = "; infer_max_seqlens=2,1"
REFUSED = [
    (
        JSON,
        JSON,
        [{"in0": [1], "in1": [2]}, {"in0": [1, 99]}],
        400,
        "instances[1].in0[1]: must be an integer in [0, 40); got 99. Use the ids of training.",
    ),
    (
        JSON_LINES,
        JSON_LINES,
        [{"label": 1}],
        400,
        'instances[0]: must be an object with a list of ids "in0", "in1" or both; got '
        "'neither key'. Give both for scores, one for its embedding.",
    ),
    (
        "text/csv",
        JSON,
        [{"in0": [1]}],
        415,
        "Content-Type: must be application/json or application/jsonlines in UTF-8; got 'text/csv'. "
        "Convert the body.",
    ),
    (
        JSON,
        "text/csv",
        [{"in0": [1]}],
        406,
        "Accept: must allow application/json or application/jsonlines; got 'text/csv'. "
        "Accept one of them.",
    ),
]
OPT_OUT = """\
SchemaVersion: "1.0"
SageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}
"""


def put(content_type, accept, wanted):
    return {"content_type": content_type, "accept": accept, "instances": wanted}


def questions():
    """What is asked, and instances whose answers by the library are the right ones."""
    asked = [
        (put(*types, wanted := instances(6, seed=seed, kinds=kinds)), wanted)
        for seed, types in enumerate(TYPES)
        for kinds in KINDS
    ]
    long = [{"in0": [1, 2, 3], "in1": [4, 5]}, {"in0": [6, 7, 8]}, {"in1": [9, 10]}]
    cut = [{"in0": [1, 2], "in1": [4]}, {"in0": [6, 7]}, {"in1": [9]}]
    return asked + [(put(form + CUT, form, long), cut) for form in (JSON, JSON_LINES)]


def environment(folder: Path) -> dict[str, str]:
    """Credentials of nobody, no configuration of the user's, no telemetry."""
    (folder / "sagemaker.yaml").write_text(OPT_OUT)
    config = str(folder / "sagemaker.yaml")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": config,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": config,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def ask(client: str, address: str, asked: list[dict], folder: Path) -> dict:
    """What a client was told, by a process of its own."""
    python = ENVIRONMENTS / client / "bin/python"
    assert python.exists(), f"{python}: must exist; got nothing. Run: make test-clients"
    (folder / "questions.json").write_text(json.dumps(asked))
    command = [python, HERE / "asking.py", client, address, "questions.json", "answers.json"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "answers.json").read_text())


@pytest.fixture(scope="module", params=["pooled", "value"])
def served(request, tmp_path_factory):
    """The kind of a model and the address that it is served at: classification and regression."""
    path = tmp_path_factory.mktemp("served") / "model"
    fitted(request.param).save(path)
    with running(path) as server:
        asyncio.run(server.ready())
        yield request.param, f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module", params=CLIENTS)
def said(request, served, tmp_path_factory):
    """What a client was told to every question."""
    asked = [q for q, _ in questions()] + [put(*types) for *types, _, _ in REFUSED]
    return ask(request.param, served[1], asked, tmp_path_factory.mktemp(request.param))


def test_it_says_what_the_library_says(served, said):
    model, asked = fitted(served[0]), questions()
    for (question, wanted), told in zip(asked, said["answers"][: len(asked)], strict=True):
        assert told.keys() == {"answer"}, (question, told)
        for instance, found, truth in zip(
            wanted, told["answer"], expected(model, wanted), strict=True
        ):
            assert [*found] == ["scores" if len(instance) == 2 else "embeddings"]
            (numbers,) = found.values()
            np.testing.assert_allclose(numbers, truth, rtol=1e-5, atol=1e-6)


def test_a_refusal_is_a_model_error_with_our_message(said):
    for (*_, status, message), told in zip(REFUSED, said["answers"][-len(REFUSED) :], strict=True):
        assert told["kind"] == "ModelError", told
        assert message in told["text"]
        response = told["response"]
        assert response["OriginalStatusCode"] == status
        assert json.loads(response["OriginalMessage"]) == {"error": message}


def test_it_reached_for_nothing_but_this_machine(said):
    assert said["reached"] == ["127.0.0.1"]


def test_ip_insights_answers_its_clients_in_its_own_words(tmp_path):
    """boto3 as the notebook of IP Insights uses it: CSV in, JSON out."""
    numbers = [i % 9 for i in range(90)]
    rows = {"entity": [f"user_{i}" for i in numbers], "address": [f"10.{i}.0.1" for i in numbers]}
    model = Object2Vec(
        in0="entity:token(max_size=0, buckets=50)",
        in1="address:ipv4",
        output_layer="dot_product",
        enc_dim=4,
        epochs=1,
        threads=1,
        device="cpu",
    )
    model.fit(rows).save(tmp_path / "model")
    pairs = [["user_3", "10.3.0.1"], ["user_4", "203.0.113.9"]]
    verbose = f"{JSON};verbose=True"
    asked = [
        put("text/csv", JSON, pairs),
        put("text/csv", JSON_LINES, pairs),
        put(JSON, verbose, [{"features": pair} for pair in pairs]),
    ]
    with running(tmp_path / "model") as server:
        asyncio.run(server.ready())
        answers = ask("boto3", f"http://127.0.0.1:{server.port}", asked, tmp_path)["answers"]
    expected = model.predict(in0=[e for e, _ in pairs], in1=[a for _, a in pairs])[:, 0]
    for told in answers:
        dots = [each["dot_product"] for each in told["answer"]]
        np.testing.assert_allclose(dots, expected, rtol=1e-5, atol=1e-6)
    assert [*answers[2]["answer"][0]] == ["dot_product", "entity_embedding", "ip_embedding"]
