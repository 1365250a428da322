"""Settings of a server: each environment variable, its range and what stays unset."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from object2vec.errors import ConfigError
from object2vec.inference.payload import JSON, JSON_LINES
from object2vec.serving.settings import Settings

BATCH = {"SAGEMAKER_BATCH": "true"}


@pytest.mark.parametrize(
    ("variable", "text", "changed"),
    [
        ("MAX_CONTENT_LENGTH", "1", {"max_payload_bytes": 1}),
        ("MAX_CONTENT_LENGTH", " 1073741824 ", {"max_payload_bytes": 1 << 30}),
        ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON, {"default_accept": JSON}),
        (
            "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT",
            JSON_LINES.upper(),
            {"default_accept": JSON_LINES},
        ),
        ("INFERENCE_PREFERRED_MODE", "classification", {"preferred_mode": "classification"}),
        ("INFERENCE_PREFERRED_MODE", "EMBEDDING", {"preferred_mode": "embedding"}),
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "1", {"workers": 1}),
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "64", {"workers": 64}),
        ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "0.001", {"timeout_s": 0.001}),
        ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "3600", {"timeout_s": 3600.0}),
        ("OBJECT2VEC_TOKEN", "!~'x", {"token": "!~'x"}),
        ("OBJECT2VEC_BATCH_INSTANCES", "1", {"batch_instances": 1}),
        ("OBJECT2VEC_BATCH_INSTANCES", "65536", {"batch_instances": 65536}),
        ("OBJECT2VEC_BATCH_WAIT_MS", "0", {"batch_wait_ms": 0.0}),
        ("OBJECT2VEC_BATCH_WAIT_MS", "1000", {"batch_wait_ms": 1000.0}),
        ("OBJECT2VEC_QUEUE_UNITS", "1", {"queue_units": 1}),
        ("OBJECT2VEC_QUEUE_UNITS", str(1 << 30), {"queue_units": 1 << 30}),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "1", {}),
        ("SAGEMAKER_BIND_TO_PORT", "9000", {}),
        ("OBJECT2VEC_TOKEN", "  ", {}),
    ],
)
def test_a_variable_sets_one_setting(variable, text, changed):
    assert Settings.from_environ({variable: text}) == replace(Settings(), **changed)
    assert Settings.from_environ({variable: ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "rule", "texts"),
    [
        ("MAX_CONTENT_LENGTH", "bytes in [1, 2**30]", ["0", "1073741825", "1e6", "9" * 5000]),
        ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", f"{JSON} or {JSON_LINES}", ["text/csv", "json"]),
        ("INFERENCE_PREFERRED_MODE", "classification or embedding", ["fast"]),
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "in [1, 64]", ["0", "65", "two", "-1", "1.0"]),
        (
            "SAGEMAKER_MODEL_SERVER_TIMEOUT",
            "seconds in [0.001, 3600]",
            ["0", "0.0009", "3600.1", "nan", "inf", "-1", "1 s"],
        ),
        ("OBJECT2VEC_BATCH_INSTANCES", "in [1, 65536]", ["0", "65537"]),
        ("OBJECT2VEC_BATCH_WAIT_MS", "in [0, 1000]", ["-0.1", "1000.1", "nan"]),
        ("OBJECT2VEC_QUEUE_UNITS", "in [1, 2**30]", ["0", str((1 << 30) + 1)]),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "an integer in [1, 100]", ["0", "101", "6MB"]),
    ],
)
def test_what_is_out_of_range_is_rejected(variable, rule, texts):
    for text in texts:
        message = rf"^{variable}: must be {re.escape(rule)}; got .*\. Correct or unset the variable"
        with pytest.raises(ConfigError, match=message):
            Settings.from_environ({variable: text})


@pytest.mark.parametrize("token", ["a b", "ä", "a\tb", "a\nb"])
def test_a_token_is_never_shown(token):
    message = r"^OBJECT2VEC_TOKEN: must be printable ASCII without spaces; got ''\. Correct"
    with pytest.raises(ConfigError, match=message):
        Settings.from_environ({"OBJECT2VEC_TOKEN": token})


@pytest.mark.parametrize(
    ("environ", "limit_bytes"),
    [
        (BATCH | {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "1"}, 1 << 20),
        (BATCH | {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "100"}, 100 << 20),
        (BATCH | {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "20", "MAX_CONTENT_LENGTH": "5"}, 20 << 20),
        (BATCH | {"MAX_CONTENT_LENGTH": "5"}, 5),
        (BATCH, 6 << 20),
        ({"SAGEMAKER_BATCH": " TRUE ", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20"}, 20 << 20),
        ({"SAGEMAKER_BATCH": "false", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20"}, 6 << 20),
        ({"SAGEMAKER_BATCH": "1", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20"}, 6 << 20),
    ],
)
def test_a_transform_job_sets_the_limit_of_its_bodies(environ, limit_bytes):
    assert Settings.from_environ(environ) == Settings(max_payload_bytes=limit_bytes)


def test_the_defaults_are_those_of_the_documentation():
    found = Settings()
    assert (found.max_payload_bytes, found.workers, found.timeout_s) == (6291456, 1, 60)
    assert (found.batch_instances, found.batch_wait_ms, found.queue_units) == (512, 0, 262144)
    assert (found.max_response_numbers, found.max_held_bytes) == (1 << 25, 512 << 20)
    assert found.batch_tokens == 1 << 15
    assert (found.token, found.default_accept, found.preferred_mode) == (
        None,
        None,
        "classification",
    )
