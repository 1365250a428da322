"""The page for people: its states, its facts, its policy."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re

import pytest

from object2vec.serving.app import create_app
from object2vec.serving.endpoint import Endpoint
from object2vec.serving.page import page
from object2vec.serving.settings import Settings
from object2vec.version import VERSION
from support.servers import ask, fitted
from support.values import value_model


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


# ----------------------------------------------------------------------------- values


@pytest.fixture(scope="module")
def plays():
    return create_app(value_model("plays"))


def inputs(html) -> list[dict[str, str]]:
    """The attributes of each input of an object."""
    tags = re.findall(r"<(?:input|textarea) ([^>]*data-side[^>]*)>", html)
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in tags]


def test_a_model_of_ids_has_an_input_for_each_side(endpoint):
    html, _ = page(endpoint, True)
    assert [(each["id"], each["data-kind"]) for each in inputs(html)] == [
        ("in0", "ids"),
        ("in1", "ids"),
    ]
    assert "{&quot;in0&quot;: [1], &quot;in1&quot;: [1]}" in html


def test_each_field_has_an_input_of_its_kind(plays):
    html, policy = page(plays.state.endpoint, True)
    facts = ("data-side", "data-field", "data-kind", "list")
    found = {each["id"]: tuple(each[name] for name in facts) for each in inputs(html)}
    assert found == {
        "in0-0": ("in0", "user", "token", "in0-0-list"),
        "in0-1": ("in0", "history", "tokens", "in0-1-list"),
        "in1-0": ("in1", "film", "token", "in1-0-list"),
        "in1-1": ("in1", "genres", "tokens", "in1-1-list"),
    }
    assert [each["data-separator"] for each in inputs(html)] == ["", " ", "", "|"]
    for each in inputs(html):
        assert f'<datalist id="{each["list"]}">' in html
        assert f'<label for="{each["id"]}">' in html
    assert 'data-classes="[&quot;bad&quot;, &quot;fine&quot;, &quot;good&quot;]"' in html
    assert "<dt>in0</dt><dd>user:token(unseen=skip), history:tokens(unseen=skip)</dd>" in html
    assert policy == page(create_app(fitted("pooled")).state.endpoint, True)[1]


def test_nothing_of_a_model_is_shown_to_who_may_not_see_it(plays):
    html, _ = page(plays.state.endpoint, False)
    assert [each["data-kind"] for each in inputs(html)] == ["ids", "ids"]
    assert not any(word in html for word in ("history", "genres", "data-classes=", "film"))


def test_names_of_fields_and_classes_are_escaped():
    from object2vec.fields.specification import parse_field
    from object2vec.fields.table_schema import TableSchema
    from object2vec.serving.inputs import example, inputs

    class Schema:
        declared = TableSchema(
            ((parse_field('"<b>\\"":token'),), (parse_field('"<i>":text'), parse_field("n:number")))
        )

        def columns(self, side):
            return [each.column for each in self.declared.sides[side]]

    html = inputs(Schema(), ("</span>",))
    assert not any(name in html for name in ("<b>", "<i>", '"</span>"'))
    assert 'data-field="&lt;b&gt;&quot;"' in html
    assert '<textarea id="in1-0"' in html
    assert '<input id="in1-1"' in html
    assert html.count("<datalist") == 1  # numbers are not chosen
    assert json.loads(example(Schema()))["in1"] == {"<i>": "...", "n": "..."}


def test_the_example_has_the_names_of_columns_as_they_are_written():
    html, _ = page(create_app(value_model("letters")).state.endpoint, True)
    assert "&quot;作品 2&quot;: &quot;...&quot;" in html


def suggested(app, query) -> list[str]:
    status, _, body = ask(app, b"", method="GET", path=f"/suggestions?{query}")
    assert status == 200
    return json.loads(body)["tokens"]


def test_suggestions_begin_with_the_text_and_then_hold_it(plays):
    assert suggested(plays, "field=in1-0&text=t") == ["Titanic", "Heat"]
    assert suggested(plays, "field=in1-0&text=HE") == ["Heat"]
    assert suggested(plays, "field=in1-0&text=a") == ["Alien", "Titanic", "Heat"]
    assert suggested(plays, "field=in1-0&text=") == ["Titanic", "Up", "Alien", "Heat"]
    assert suggested(plays, "field=in1-1&text=dra") == ["drama"]
    for query in ("", "field=in0-9&text=a", "field=label&text=g", "text=a", "field=in1-0&text=zz"):
        assert suggested(plays, query) == []
    assert suggested(create_app(fitted("pooled")), "field=in0-0&text=a") == []


def test_texts_are_written_and_not_chosen():
    app = create_app(value_model("titles"))
    assert suggested(app, "field=in0-0&text=a") == ["ann"]
    for name in ("in1-0", "in1-1"):
        assert suggested(app, f"field={name}&text=") == []
    html, _ = page(app.state.endpoint, True)
    assert [each["data-kind"] for each in inputs(html)] == ["token", "text", "characters"]
    assert re.findall(r'<textarea id="([\w-]+)"', html) == ["in1-0", "in1-1"]


def test_at_most_twenty_tokens_are_suggested():
    app = create_app(value_model("many", num_classes=2))
    assert len(set(suggested(app, "field=in0-0&text="))) == 20
    assert len(suggested(app, "field=in0-0&text=2")) == 12  # 2, 12, 20 to 29
    assert suggested(app, "field=in0-0&text=user 29") == ["user 29"]


@pytest.mark.parametrize(("longest", "is_shown"), [(7, True), (6, False)])
def test_a_token_that_is_too_long_is_no_suggestion(monkeypatch, longest, is_shown):
    monkeypatch.setattr("object2vec.serving.inputs._LONGEST", longest)
    assert (
        "Titanic" in suggested(create_app(value_model("pairs")), "field=in1-0&text=")
    ) == is_shown


def test_suggestions_are_few(plays, monkeypatch):
    monkeypatch.setattr("object2vec.serving.inputs._SHOWN", 2)
    assert suggested(plays, "field=in1-0&text=") == ["Titanic", "Up"]
    monkeypatch.setattr("object2vec.serving.inputs._SUGGESTED", 1)
    assert suggested(create_app(value_model("plays")), "field=in1-0&text=") == ["Titanic"]


def test_suggestions_need_the_token_of_the_server():
    app = create_app(value_model("plays"), Settings(token="secret"))
    query = "/suggestions?field=in1-0&text=t"
    assert ask(app, b"", method="GET", path=query)[0] == 401
    headers = {"authorization": "Bearer secret"}
    assert ask(app, b"", headers, method="GET", path=query)[0] == 200
