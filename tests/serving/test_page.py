"""The page for people: its states, its facts, its policy."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re

import pytest

from object2vec.serving.app import create_app
from object2vec.serving.endpoint import Endpoint
from object2vec.serving.page import page
from object2vec.serving.settings import Settings
from object2vec.version import VERSION
from support.servers import ask, fitted


def shown(endpoint, is_authorized=True) -> str:
    """The section of facts."""
    (section,) = re.findall(
        r'<section id="facts">(.*?)</section>', page(endpoint, is_authorized)[0], re.DOTALL
    )
    return section


@pytest.fixture(scope="module")
def endpoint():
    return create_app(fitted("pooled")).state.endpoint


def test_a_page_says_what_state_the_server_is_in(endpoint):
    other = Endpoint(lambda: None, Settings())
    assert shown(other) == "<p>The model is being loaded. Reload the page in a moment.</p>"
    other.failure = ValueError("an inside")
    assert shown(other) == "<p>The model could not be loaded. The server's log names the cause.</p>"
    locked = '<p class="locked">This server asks for a token. Enter it below to see the model.</p>'
    assert shown(other, False) == shown(endpoint, False) == locked


def test_the_facts_of_a_model_are_listed(endpoint):
    rows = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", shown(endpoint)))
    metrics = {name: value for name, value in rows.items() if name.startswith(("train", "valid"))}
    assert [*rows.items()][: len(rows) - len(metrics)] == [
        ("Encoder 0", "pooled_embedding, 40 ids, at most 5 in a sequence"),
        ("Encoder 1", "pooled_embedding, 30 ids, at most 4 in a sequence"),
        ("Embedding", "16 numbers"),
        ("Comparator", "hadamard, concat, abs_diff"),
        ("Score", "probabilities of 2 classes"),
    ]
    accuracy = fitted("pooled").facts.metrics["validation"]["accuracy"]
    assert metrics["validation accuracy"] == f"{accuracy:.6g}"
    assert {"train accuracy", "train cross entropy", "validation cross entropy"} <= {*metrics}


def test_a_regression_gives_one_number():
    endpoint = create_app(fitted("value")).state.endpoint
    assert "<dt>Score</dt><dd>one number</dd>" in shown(endpoint)


def test_what_a_model_says_of_itself_is_escaped(endpoint):
    engine = endpoint.model.engine
    metrics = {"<b>": {"a_b": "<i>", "n": 3, "f": 1 / 3}, "best": 0.5, "none": None}
    other = create_app(fitted("pooled")).state.endpoint
    other.model.engine.facts = dataclasses.replace(engine.facts, metrics=metrics)
    section = shown(other)
    assert "<dt>&lt;b&gt; a b</dt><dd>&lt;i&gt;</dd>" in section
    assert "<dd>3</dd>" in section
    assert "<dd>0.333333</dd>" in section
    assert "best" not in section


def test_the_policy_allows_the_pages_own_style_and_script_alone(endpoint):
    html, policy = page(endpoint, True)
    hashes = {
        tag: base64.b64encode(
            hashlib.sha256(re.search(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)[1].encode()).digest()
        ).decode()
        for tag in ("style", "script")
    }
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; "
        f"script-src 'sha256-{hashes['script']}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert f"Version {VERSION}." in html


def test_the_page_is_neither_kept_nor_guessed_at(endpoint):
    _, headers, _ = ask(create_app(fitted("pooled")), b"", method="GET", path="/")
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert headers["referrer-policy"] == "no-referrer"


def test_the_script_finds_what_it_looks_for(endpoint):
    html, _ = page(endpoint, True)
    wanted = set(re.findall(r'get\("(\w+)"\)', html))
    assert wanted == {"token", "result", "inputs", "try", "embed0", "embed1", "ask"}
    assert wanted | {"in0", "in1"} <= set(re.findall(r' id="([\w-]+)"', html))
