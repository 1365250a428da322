"""A model with a schema behind HTTP: values in three forms, errors by field, counts."""

from __future__ import annotations

import json

import pytest

from object2vec.inference.value_reader import ValueReader
from object2vec.serving.app import create_app
from object2vec.serving.settings import Settings
from support.servers import ask, fitted
from support.values import value_model

LINES = {"content-type": "application/jsonlines"}.items()
CSV = {"content-type": "text/csv"}.items()


@pytest.fixture(scope="module")
def plays():
    return create_app(value_model("plays"))


@pytest.fixture(scope="module")
def pairs():
    return create_app(value_model("pairs"))


def predictions(app, body, *headers):
    status, _, response = ask(app, body, *headers)
    assert status == 200, response
    return json.loads(response)["predictions"]


def error(app, body, *headers) -> str:
    status, _, response = ask(app, body, *headers)
    assert status == 400, response
    return json.loads(response)["error"]


# ----------------------------------------------------------------------------- forms


def test_a_side_with_one_field_takes_its_value_and_also_an_object(pairs):
    plain = {"instances": [{"in0": "ann", "in1": "Up"}, {"in1": "Titanic"}, {"in0": None}]}
    fields = {
        "instances": [
            {"in0": {"user": "ann"}, "in1": {"film": "Up"}},
            {"in1": {"film": "Titanic"}},
            {"in0": {}},
        ]
    }
    assert predictions(pairs, plain) == predictions(pairs, fields)


def test_bare_instances_lists_and_lines_are_taken(pairs):
    wanted = predictions(pairs, {"instances": [{"in0": "ann"}, {"in0": "bob"}]})
    assert predictions(pairs, [{"in0": "ann"}, {"in0": "bob"}]) == wanted
    assert predictions(pairs, {"in0": "ann"}) == wanted[:1]
    status, _, body = ask(pairs, b'{"in0": "ann"}\n\n{"in0": "bob"}\n', LINES)
    assert (status, [json.loads(line) for line in body.splitlines()]) == (200, wanted)


def test_texts_and_numbers_of_a_field_may_be_mixed(pairs):
    mixed = [7, "ann", True, 2.0, 0.1, None, 10**30]
    same = ["7", "ann", "true", "2", "0.1", None, str(10**30)]
    bodies = ([{"in0": {"user": value}} for value in values] for values in (mixed, same))
    found, wanted = (predictions(pairs, body) for body in bodies)
    assert found == wanted


def test_kinds_of_instances_may_be_mixed_and_keep_their_order(plays):
    body = [
        {"in1": {"film": "Up"}},
        {"in0": {"user": "ann"}, "in1": {"film": "Up"}},
        {"in0": {"history": ["Heat"]}},
        {"in1": {"genres": "drama|horror"}},
    ]
    found = predictions(plays, body)
    assert [next(iter(each)) for each in found] == ["embeddings", "scores"] + ["embeddings"] * 2
    for instance, prediction in zip(body, found, strict=True):
        assert predictions(plays, [instance]) == [prediction]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (b"ann,Up\nbob,Heat\n", ""),
        (b"user,film\nann,Up\nbob,Heat\n", ""),
        (b"film,mark,user\nUp,good,ann\nHeat,,bob\n", ""),
        (b"film,mark,user\nUp,good,ann\nHeat,,bob\n", "; header=present"),
        (b"ann,Up\nbob,Heat", "; header=absent"),
        (b'"ann","Up"\r\n"bob","Heat"\r\n', "; charset=utf-8"),
    ],
)
def test_a_csv_may_name_its_columns_or_have_them_in_order(text, header, pairs):
    wanted = predictions(pairs, [{"in0": "ann", "in1": "Up"}, {"in0": "bob", "in1": "Heat"}])
    assert predictions(pairs, text, {"content-type": f"text/csv{header}"}.items()) == wanted


def test_a_record_that_looks_like_a_header_is_one_where_the_client_says_so(pairs):
    absent = {"content-type": "text/csv; header=absent"}.items()
    assert len(predictions(pairs, b"user,film\nann,Up\n", absent)) == 2
    assert "must be present or absent; got 'maybe'" in error(
        pairs, b"ann,Up\n", {"content-type": "text/csv; header=maybe"}.items()
    )


def test_a_csv_of_one_side_is_embedded(plays):
    wanted = predictions(plays, [{"in1": {"film": "Up", "genres": ["drama", "horror"]}}])
    assert predictions(plays, b"film,genres\nUp,drama|horror\n", CSV) == wanted


def test_columns_that_could_be_of_either_side_need_names(plays):
    wanted = predictions(plays, [{"in0": {"user": "ann", "history": "Up"}}])
    assert predictions(plays, b"ann,Up\n", CSV) == wanted  # the first side that fits
    assert "must have the columns user, history, film, genres" in error(plays, b"a,b,c\n", CSV)


def test_a_response_has_the_form_that_is_accepted(pairs):
    headers = {"content-type": "text/csv", "accept": "application/jsonlines"}.items()
    status, found, body = ask(pairs, b"ann,Up\nbob,Up\n", headers)
    assert (status, found["content-type"]) == (200, "application/jsonlines")
    assert len(body.splitlines()) == 2
    headers = {"content-type": "text/csv", "accept": "text/csv"}.items()
    assert ask(pairs, b"ann,Up\n", headers)[0] == 406


def test_a_model_of_ids_takes_no_csv_and_no_values():
    app = create_app(fitted("pooled"))
    status, _, body = ask(app, b"1,2\n", CSV)
    assert status == 415
    assert b"must be application/json or application/jsonlines in UTF-8" in body
    assert "must be a list of ids" in error(app, {"in0": "ann"})


def test_fewer_tokens_may_be_read(plays):
    object_of = {"history": ["Heat", "Up", "Alien"]}
    short = predictions(
        plays,
        [{"in0": object_of}],
        {"content-type": "application/json; infer_max_seqlens=2,1"}.items(),
    )
    assert short == predictions(plays, [{"in0": {"history": ["Heat"]}}])  # behind the missing user


def test_long_bodies_are_read_in_a_thread_and_alike(pairs):
    many = [{"in0": "ann", "in1": "Up"}] * 3000
    assert len(json.dumps(many)) > 1 << 16
    found = predictions(pairs, many)
    assert found == predictions(pairs, many[:1]) * 3000


def test_limits_hold_for_values_too():
    app = create_app(value_model("pairs"), Settings(max_payload_bytes=30))
    assert ask(app, {"in0": "ann " * 10})[0] == 413


# ----------------------------------------------------------------------------- what is said


def test_objects_without_a_known_token_are_marked(plays):
    found = predictions(
        plays,
        [
            {"in1": {"film": "Nope"}},
            {"in1": {"genres": ["war"]}},
            {"in1": {"film": "Up"}},
            {"in0": {"user": "new"}, "in1": {"film": "Up"}},
        ],
    )
    assert [each.get("unknown") for each in found] == [["in1"], ["in1"], None, ["in0"]]
    assert not any(found[0]["embeddings"])
    assert any(found[1]["embeddings"])  # its genre shares a bucket


def test_scores_have_the_order_of_the_classes_and_name_the_likeliest(pairs):
    (found,) = predictions(pairs, {"in0": "ann", "in1": "Up"})
    assert [*found] == ["scores", "label"]
    assert found["label"] == ("bad", "fine", "good")[found["scores"].index(max(found["scores"]))]


def test_what_became_of_values_is_counted(plays):
    app = create_app(value_model("plays"))
    predictions(app, [{"in1": {"film": "Nope", "genres": ["drama", "war"]}}, {"in1": {}}])
    text = ask(app, b"", method="GET", path="/metrics")[2].decode()
    counted = {line.partition(" ")[0]: line.partition(" ")[2] for line in text.splitlines()}
    assert counted['object2vec_omissions_total{kind="unknown",side="in1"}'] == "1.0"
    film = 'field="film:token(unseen=skip)"'
    for kind, count in (("values", 2), ("missing", 1), ("skipped", 1), ("known", 0)):
        name = f'object2vec_values_total{{{film},kind="{kind}",side="in1"}}'
        assert counted[name] == f"{count}.0"


# ----------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            [{"in0": {"user": "a"}}, {"in0": {"usr": "a"}}],
            "instances[1].in0: must have fields of training; got 'usr'. Did you mean user? "
            "Fields: user, history.",
        ),
        ([{"in0": "ann"}], "instances[0].in0: must be an object with user, history; got 'ann'."),
        ([{"in0": ["ann"]}], "instances[0].in0: must be an object with user, history; got ['ann']"),
        (
            [{"in0": {"user": {"id": 1}}}],
            "instances[0].in0: \"user\" must be a text, a number or a list of them; got {'id': 1}.",
        ),
        (
            [{"in0": {"user": "a"}}, {"in0": {"user": ["a"]}}],
            "instances[1].in0: \"user\" must be of one type with the other instances; got ['a'].",
        ),
        ([{"in0": {"user": ["a"]}}], 'instances[0].in0: "user" must be text, a number'),
        ([{"in0": {"user": 10**30}}, {"in0": {"user": 1}}], 'instances[0].in0: "user" must be of'),
        ([{"x": 1}], 'instances[0]: must be an object with "in0", "in1" or both; got'),
        ([7], 'instances[0]: must be an object with "in0", "in1" or both; got 7.'),
        ({"instances": 7}, 'body: must be {"instances": [...]}'),
        ({"x": 7}, 'body: must be {"instances": [...]}'),
        ({"instances": [], "in0": {}}, 'body: must be {"instances": [...]}'),
        (b"[", "body: must be well-formed JSON; "),
        (b'{"in0": {"user": "\xff"}}', "body: must be well-formed JSON; "),
        (b"[" * 5000, "body: must not nest so deep."),
        (
            b'[{"in0": {"user": "a", "user": "b"}}]',
            'instances[0].in0: must have the key "user" once; got',
        ),
        (
            b'[{"in0": {"user": "a"}, "in\\u0030": {"user": "b"}}]',
            'instances[0]: must have the key "in0" once; got',
        ),
        (b'{"instances": [], "instances": []}', 'body: must have the key "instances" once; got'),
    ],
)
def test_an_error_names_the_instance_and_the_field(body, text, plays):
    assert text in error(plays, body)


def test_quotes_and_colons_in_values_are_no_keys(pairs):
    texts = ['"in0": "x"', '{"in0": 1}', 'a":b', "in0", "instances"]
    assert len(predictions(pairs, [{"in0": text, "in1": text} for text in texts])) == len(texts)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"ann,Up\nbob\n", "body:2: "),
        (b'ann,"Up\n', "body:1: "),
        (b"ann,\xff\n", "body:1: must be UTF-8"),
        (b"user,films\nann,Up\n", "Did you mean films?"),
    ],
)
def test_an_error_of_a_csv_names_its_line(body, text, pairs):
    assert text in error(
        pairs,
        body,
        {"content-type": "text/csv; header=present"}.items() if b"user" in body else CSV,
    )


def test_no_bytes_are_no_instances(pairs):
    assert ask(pairs, b"", CSV)[0] == 204
    assert ask(pairs, b" \n", LINES)[0] == 204
    assert predictions(pairs, {"instances": []}) == []


@pytest.mark.parametrize("name", ["plays", "pairs"])
def test_the_reader_is_warm_when_the_server_is_ready(name, monkeypatch):
    read = []
    real = ValueReader.read

    def spy(reader, body, form):
        read.append(json.loads(body))
        return real(reader, body, form)

    monkeypatch.setattr(ValueReader, "read", spy)
    assert create_app(value_model(name)).state.endpoint.is_ready
    assert read == [{"in0": {}, "in1": {}}]


def test_fields_that_lie_deeper_are_found_there():
    app = create_app(value_model("deep", num_classes=2))
    flat = [
        {"film.title": "Up", "film.by.name": "Mann"},
        {"film.title": "Heat"},
        {"film.by.name": "Mann"},
        {},
    ]
    deep = [
        {"film": {"title": "Up", "by": {"name": "Mann"}}},
        {"film": {"title": "Heat"}},
        {"film": {"by": {"name": "Mann"}, "title": None}},
        {"film": {"by": "nobody"}},
    ]
    found, wanted = (predictions(app, [{"in1": each} for each in body]) for body in (deep, flat))
    assert found == wanted
    assert len({str(each) for each in wanted}) == 4
    mixed = {"film": {"title": "Heat"}, "film.title": "Up", "film.by.name": "Mann"}
    assert predictions(app, [{"in1": mixed}]) == wanted[:1]
    assert "must have fields of training; got 'by'" in error(app, [{"in1": {"by": {}}}])
