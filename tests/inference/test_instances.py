"""Bodies to instances and answers to bytes, held to a plain reading of the same JSON."""

from __future__ import annotations

import contextlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from object2vec.config import Config
from object2vec.errors import RequestError
from object2vec.inference.forms import Form, negotiate
from object2vec.inference.id_reader import IdReader
from object2vec.inference.inputs import Omissions
from object2vec.inference.instances import Group, Request
from object2vec.inference.payload import JSON, JSON_LINES
from object2vec.inference.responses import render

V0, V1, T0, T1 = 10, 20, 4, 3
AS_JSON, AS_LINES = Form(JSON, JSON), Form(JSON_LINES, JSON_LINES)


READER_CONFIG = Config.build(
    {
        "enc0_network": "pooled_embedding",
        "enc0_vocab_size": V0,
        "enc0_max_seq_len": T0,
        "enc1_network": "pooled_embedding",
        "enc1_vocab_size": V1,
        "enc1_max_seq_len": T1,
        "enc_dim": 4,
    }
)
READER = IdReader(READER_CONFIG)


def read(body, form=AS_JSON):
    return READER.read(body if isinstance(body, bytes) else json.dumps(body).encode(), form)


def rows(body, form=AS_JSON):
    """The sequences of each group of a body, in0 and in1."""
    return [(g.in0, g.in1) for g in read(body, form).groups]


def omitted(body):
    return tuple(account.omissions for account in read(body).accounts)


def text(request, answers, writes=JSON) -> bytes:
    return b"".join(render(request, [np.array(a, np.float32) for a in answers], writes))


PAIR = {"in0": [1, 2], "in1": [3]}


@pytest.mark.parametrize(
    "body", [{"instances": [PAIR]}, [PAIR], PAIR, {"instances": [PAIR | {"label": 1, "x": None}]}]
)
def test_one_pair_in_every_form(body):
    assert rows(body) == [([[1, 2]], [[3]])]
    assert read(body).positions is None


@pytest.mark.parametrize("form", [AS_JSON, AS_LINES])
def test_ids_that_are_written_as_whole_numbers(form):
    body = b'{"in0": [1.0, 2], "in1": [3e0]}'
    assert rows(body, form) == [([[1, 2]], [[3]])]


def test_lines_with_and_without_a_last_newline():
    pair, other = json.dumps(PAIR).encode(), b'{"in0": [4], "in1": []}'
    for body in (pair + b"\n" + other, pair + b"\r\n\n" + other + b"\n"):
        assert rows(body, AS_LINES) == [([[1, 2], [4]], [[3], []])]


def test_kinds_are_grouped_and_their_positions_kept():
    body = [{"in1": [5]}, PAIR, {"in0": [6]}, {"in1": [7, 8]}, PAIR]
    request = read(body)
    assert rows(body) == [([[6]], None), (None, [[5], [7, 8]]), ([[1, 2], [1, 2]], [[3], [3]])]
    assert request.positions == [[2], [0, 3], [1, 4]]
    assert len(request) == 5
    assert [group.key for group in request.groups] == ["embeddings", "embeddings", "scores"]


def test_sequences_are_cut_to_training_or_to_what_is_asked():
    body = {"in0": [1] * 6, "in1": [2] * 6}
    assert rows(body) == [([[1] * T0], [[2] * T1])]
    assert read(body).groups[0].lengths() == [T0 + T1]
    assert read(body).groups[0].tokens == T0 + T1
    wide = rows(body, negotiate("application/json; infer_max_seqlens=5,6", ""))
    assert wide == [([[1] * 5], [[2] * 6])]
    narrow = rows(body, negotiate("application/json; infer_max_seqlens=1", ""))
    assert narrow == [([[1]], [[2]])]


@pytest.mark.parametrize("body", [b"", b" \n\t\r\n"])
@pytest.mark.parametrize("form", [AS_JSON, AS_LINES])
def test_an_empty_body_holds_nothing(body, form):
    assert read(body, form) is None


def test_an_empty_list_holds_no_instance():
    assert read({"instances": []}) == Request([])
    assert text(Request([]), []) == b'{"predictions":[]}'
    assert text(Request([]), [], JSON_LINES) == b""


OF_IN0 = r"must be an integer in \[0, 10\); got "
OF_INSTANCE = 'must be an object with a list of ids "in0", "in1" or both; got '


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([PAIR, {"in0": [1, 10]}], rf"^instances\[1\]\.in0\[1\]: {OF_IN0}10\. Use the ids of"),
        ({"instances": [{"in0": [-1]}]}, rf"^instances\[0\]\.in0\[0\]: {OF_IN0}-1\."),
        ({"in1": [20]}, r"^in1\[0\]: must be an integer in \[0, 20\); got 20\."),
        ({"in0": [1.5]}, rf"^in0\[0\]: {OF_IN0}1\.5\."),
        ([PAIR, {"in0": [1, 1e-9]}], rf"^instances\[1\]\.in0\[1\]: {OF_IN0}1e-09\."),
        ({"in0": [10.0]}, rf"^in0\[0\]: {OF_IN0}10\."),
        ({"in0": [-1.0]}, rf"^in0\[0\]: {OF_IN0}-1\.0\."),
        ({"in0": [True]}, rf"^in0\[0\]: {OF_IN0}True\."),
        ({"in0": ["1"]}, rf"^in0\[0\]: {OF_IN0}'1'\."),
        ({"in0": [10**400]}, rf"^in0\[0\]: {OF_IN0}|^body: must be well-formed JSON"),
        ({"in0": [[1]]}, rf"^in0\[0\]: {OF_IN0}\[1\]\."),
        ([{"in0": None}], r"^instances\[0\]\.in0: must be a list of ids; got None\. Write \[1, 2"),
        ([{"in0": 5}], r"^instances\[0\]\.in0: must be a list of ids; got 5\."),
        ([PAIR, {"label": 1}], rf"^instances\[1\]: {OF_INSTANCE}'neither key'\. Give both for"),
        ([3], rf"^instances\[0\]: {OF_INSTANCE}3\."),
        ([[1]], rf"^instances\[0\]: {OF_INSTANCE}\[1\]\."),
        ({"instances": PAIR}, r"^instances: must be a list of instances; got {'in0'"),
        ({"instances": None}, r"^instances: must be a list of instances; got None\."),
        ({"data": [1]}, r'^body: must be {"instances": \[\.\.\.\]}, a list of instances or one'),
        (5, r'^body: must be {"instances": \[\.\.\.\]}, .*; got 5\.'),
        (None, r"^body: must be .*; got None\."),
        (b'{"in0": [1]', r"^body: must be well-formed JSON; Input data was truncated\. Check how"),
        (b'{"in0": [1]}  x', r"^body: must be well-formed JSON; .*trailing characters"),
        (b"\xff\xfe", r"^body: must be well-formed JSON; "),
        (b'{"in0": [NaN]}', r"^body: must be well-formed JSON; "),
        (b'{"x": ' + b"[" * 100_000, r"^body: must not nest so deep\. "),
        (b'{"in0": [1, 99], "in0": [1]}', r'^body: must have the key "in0" once; got'),
        ([{"in0": ["x" * 1000]}], r"'x{76}\.\.\.\. Use the ids"),
        ({"in0": [0.0, -0.5]}, rf"^in0\[1\]: {OF_IN0}-0\.5\."),
        (b'{"in0": ["x"], "in0": 5}', rf"^in0\[0\]: {OF_IN0}'a key given twice'\."),
        (b'{"in0": [1, "x"], "in0": [1]}', rf"^in0\[1\]: {OF_IN0}'a key given twice'\."),
        (
            b'{"in0": ["x"], "y": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
            rf"^in0\[0\]: {OF_IN0}'deep nesting'\.",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(body, message):
    with pytest.raises(RequestError, match=message) as caught:
        read(body)
    assert caught.value.status == 400
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("body", "where", "key"),
    [
        ([PAIR, '{"in0": [1], "in0": [2]}'], r"instances\[1\]", "in0"),
        ([PAIR, '{"in1": [1], "in0": [2], "in1": [1]}'], r"instances\[1\]", "in1"),
        ([PAIR, '{"in0": [1], "in\\u0030": [2]}'], r"instances\[1\]", "in0"),
        (['{"x": "\\"in0\\"", "in0": [1], "in0": [1]}'], r"instances\[0\]", "in0"),
    ],
)
def test_a_key_given_twice_is_an_error(body, where, key):
    texts = [each if isinstance(each, str) else json.dumps(each) for each in body]
    listed = f"[{','.join(texts)}]"
    forms = (
        ("\n".join(texts), AS_LINES),
        (listed, AS_JSON),
        (f'{{"instances": {listed}}}', AS_JSON),
    )
    for text, form in forms:
        with pytest.raises(RequestError, match=f'^{where}: must have the key "{key}" once; got'):
            read(text.encode(), form)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"instances": [], "instances": []}', 'body: must have the key "instances" once'),
        (b'{"instances": [{"in0": [1]}], "in0": [1]}', "body: must be .*; got 'instances and ids'"),
        (b'{"in0": [1], "instances": [{"in0": [1]}]}', "body: must be .*; got 'instances and ids'"),
        (b'{"x": "\\n", "in0": [1], "y": ' + b"[" * 200 + b"]" * 200 + b"}", None),
    ],
)
def test_no_instance_is_passed_over(body, message):
    if message is None:  # deep, but right
        assert rows(body) == [([[1]], None)]
        return
    with pytest.raises(RequestError, match=message):
        read(body)


@pytest.mark.parametrize("depth", range(20, 1100, 9))
def test_however_deep_a_body_nests_it_has_its_instances_or_an_error(depth):
    """There are three parsers, none of which goes as deep as another one."""
    deep = b'"y": ' + b"[" * depth + b"]" * depth
    body = b'{"in0": [1], ' + deep + b', "x": "\\n"}'
    if depth < 200:
        assert rows(body) == [([[1]], None)]
    else:
        with contextlib.suppress(RequestError):
            assert rows(body) == [([[1]], None)]
    with pytest.raises(RequestError, match=r"^body: must (not nest so deep|have the key \"in0\")"):
        read(b'{"in0": [1], "in0": [1], ' + deep + b"}")


def test_the_same_key_elsewhere_is_no_key_of_an_instance():
    body = b'[{"in0": [1], "x": {"in0": 1, "in0": 2}, "y": "\\"in1\\""}, {"x": "in0", "in1": [2]}]'
    assert rows(body) == [([[1]], None), (None, [[2]])]


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [PAIR, {"in1": [4]}]},
        [PAIR, {"in0": []}],
        PAIR,
        {"in0": [0, V0 - 1], "in1": [V1 - 1, 0]},
    ],
)
@pytest.mark.parametrize("form", [AS_JSON, AS_LINES])
def test_what_is_right_is_looked_at_once(body, form, monkeypatch):
    monkeypatch.delattr("object2vec.inference.id_reader._check_keys")
    monkeypatch.delattr(IdReader, "_decode")
    monkeypatch.delattr(IdReader, "_check_ids")
    if form is AS_LINES:
        body = "\n".join([json.dumps(PAIR), '{"in1": [4]}']).encode()
    assert len(read(body, form)) > 0


@pytest.mark.parametrize("form", [AS_JSON, AS_LINES])
def test_what_else_an_instance_has_is_not_parsed_again(form, monkeypatch):
    """Labels and weights are usual; a second parser would take several times as long."""
    monkeypatch.delattr("object2vec.inference.id_reader._loads")
    instances = [PAIR | {"label": 1}, {"weight": 0.5, "in1": [4]}, {"in0": []}, PAIR]
    bodies = ["\n".join(map(json.dumps, instances))]
    if form is AS_JSON:
        bodies = [json.dumps(instances), json.dumps({"instances": instances, "more": {}})]
    for body in bodies:
        assert len(read(body.encode(), form)) == 4


@pytest.mark.parametrize("digits", [1, 5000, 100_000])
def test_what_is_not_read_of_an_instance_may_be_any_number(digits):
    body = b'{"in0": [1], "x": ' + b"1" * digits + b', "y": "\\n", "z": 1e999}'
    assert rows(body) == [([[1]], None)]
    assert rows(body, AS_LINES) == [([[1]], None)]


def test_ids_of_the_vocabulary_that_have_no_row_are_padding():
    """AWS's notebook of genres gives its unknown word such an id."""
    known = IdReader(READER_CONFIG, ({"a": 1, "<unk>": V0, "far": 500}, None))
    body = json.dumps([{"in0": [1, V0, 500.0, 2], "in1": [3]}, {"in0": [4]}]).encode()
    request = known.read(body, AS_JSON)
    assert [(g.in0, g.in1) for g in request.groups] == [([[4]], None), ([[1, 0, 0, 2]], [[3]])]
    assert request.accounts[0].omissions == Omissions(padded=1)
    for wrong, where in (([{"in0": [1, V0 + 1]}], "in0"), ([{"in1": [V1]}], "in1")):
        with pytest.raises(
            RequestError, match=rf"^instances\[0\]\.{where}\[\d\]: must be an integer"
        ):
            known.read(json.dumps(wrong).encode(), AS_JSON)


@pytest.mark.parametrize("text", [b'{"in0": [1]} {"in0": [2]}', b'{"in0": [1]}\n{"in1":\n[2]}'])
def test_a_line_is_one_record(text):
    with pytest.raises(RequestError, match=r"^instances\[\d\]: must be well-formed JSON; "):
        read(text, AS_LINES)


def test_an_id_beyond_the_length_may_be_any():
    body = {"in0": [1] * T0 + [V0], "in1": [1] * T1 + [2**31 - 1]}
    assert rows(body) == [([[1] * T0], [[1] * T1])]
    assert omitted(body) == (Omissions(truncated=1), Omissions(truncated=1))
    with pytest.raises(RequestError, match=rf"^in0\[4\]: {OF_IN0}10\."):
        read(body, negotiate("application/json; infer_max_seqlens=5,3", ""))
    with pytest.raises(
        RequestError, match=r"^in1\[3\]: must be an integer in \[0, 20\); got 2147483648"
    ):
        read({"in1": [1] * T1 + [2**31]})


def test_a_wrong_id_of_a_mixed_request_is_named_by_its_index():
    body = [{"in1": [5]}, PAIR, {"in0": [6]}, {"in1": [7, 20]}, {"in0": [1, 2, 10]}]
    with pytest.raises(RequestError, match=rf"^instances\[4\]\.in0\[2\]: {OF_IN0}10\."):
        read(body)
    with pytest.raises(
        RequestError, match=r"^instances\[3\]\.in1\[1\]: must be an integer in \[0, 20\)"
    ):
        read(body[:4])


def test_what_is_left_out_is_counted_by_side():
    body = [{"in0": [0, 1]}, {"in0": [1] * 9, "in1": []}, {"in1": [0]}, {"in1": [1, 2]}, PAIR]
    assert omitted(body) == (Omissions(1, 1, 0), Omissions(0, 1, 2))
    assert omitted([PAIR]) == (Omissions(), Omissions())


def test_a_wrong_line_is_named_by_its_index():
    with pytest.raises(RequestError, match=rf"^instances\[1\]\.in0\[0\]: {OF_IN0}99\."):
        read(b'{"in0": [1]}\n{"in0": [99]}\n', AS_LINES)


@pytest.mark.parametrize(
    ("content_type", "accept", "default", "reads", "writes"),
    [
        ("application/json", "", None, JSON, JSON),
        ("application/jsonlines", "", None, JSON_LINES, JSON_LINES),
        ("application/jsonlines", "*/*", None, JSON_LINES, JSON_LINES),
        ("application/jsonlines", "application/json", None, JSON_LINES, JSON),
        ("application/json", "application/jsonlines", None, JSON, JSON_LINES),
        ("application/json; charset=UTF-8", "application/*", None, JSON, JSON),
        ("", "", None, JSON, JSON),
        ("*/*", "", None, JSON, JSON),
        ("application/octet-stream", "*/*", None, JSON, JSON),
        ("APPLICATION/JSON", "text/html, */*;q=0.8", None, JSON, JSON),
        (
            "application/json",
            "application/json;q=0.5, application/jsonlines",
            None,
            JSON,
            JSON_LINES,
        ),
        ("application/json", "application/jsonlines;q=0, */*", None, JSON, JSON),
        ("application/json", "application/jsonlines, */*", None, JSON, JSON),
        ("application/json", "application/jsonlines, application/json;q=1", None, JSON, JSON),
        ("application/json", "*/*;q=0.4, application/jsonlines;q=0.4", None, JSON, JSON),
        ("application/json", "", JSON_LINES, JSON, JSON_LINES),
        ("application/json", "*/*", JSON_LINES, JSON, JSON_LINES),
        ("application/json", "application/json", JSON_LINES, JSON, JSON),
    ],
)
def test_headers_decide_the_forms(content_type, accept, default, reads, writes):
    assert negotiate(content_type, accept, default) == Form(reads, writes)


@pytest.mark.parametrize(
    ("content_type", "lens"),
    [
        ("application/json;infer_max_seqlens=50,100", (50, 100)),
        ('application/jsonlines; Infer_Max_Seqlens="1, 5000"', (1, 5000)),
        ("application/json; infer_max_seqlens=7", (7, 7)),
        ("application/json", None),
    ],
)
def test_infer_max_seqlens(content_type, lens):
    assert negotiate(content_type, "").max_seq_lens == lens


@pytest.mark.parametrize(
    "value", ["0,1", "1,5001", "1,2,3", "", "a", "1.5", "-1", "٣", "1,", "1e2"]
)
def test_wrong_infer_max_seqlens(value):
    message = r"^infer_max_seqlens: must be one or two integers in \[1, 5000\]; got "
    with pytest.raises(RequestError, match=message) as caught:
        negotiate(f"application/json; infer_max_seqlens={value}", "")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "content_type", ["text/csv", "application/x-recordio-protobuf", "application/json; charset=ebc"]
)
def test_other_content_types_are_refused(content_type):
    message = "^Content-Type: must be application/json or application/jsonlines in UTF-8; got "
    with pytest.raises(RequestError, match=message) as caught:
        negotiate(content_type, "")
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "accept", ["text/csv", "application/json;q=0", "application/json;q=x", ","]
)
def test_other_answers_are_refused(accept):
    message = "^Accept: must allow application/json or application/jsonlines; got "
    with pytest.raises(RequestError, match=message) as caught:
        negotiate("application/json", accept)
    assert caught.value.status == 406


def test_answers_have_aws_form():
    pairs = Request([Group([[1], [2]], [[1], [2]])])
    answers = [[[0.25, 0.75], [1.0, 0.0]]]
    assert text(pairs, answers) == (
        b'{"predictions":[{"scores":[0.25,0.75]},{"scores":[1.0,0.0]}]}'
    )
    assert text(pairs, answers, JSON_LINES) == (b'{"scores":[0.25,0.75]}\n{"scores":[1.0,0.0]}\n')
    one = Request([Group(None, [[1]])])
    assert text(one, [[[3.5]]]) == b'{"predictions":[{"embeddings":[3.5]}]}'


def test_mixed_answers_keep_the_order():
    request = read([{"in1": [5]}, PAIR, {"in0": [6]}, {"in1": [7]}])
    answers = [[[6.0, 6.5]], [[5.0, 5.5], [7.0, 7.5]], [[0.5]]]
    expected = [
        {"embeddings": [5.0, 5.5]},
        {"scores": [0.5]},
        {"embeddings": [6.0, 6.5]},
        {"embeddings": [7.0, 7.5]},
    ]
    assert json.loads(text(request, answers)) == {"predictions": expected}
    lines = text(request, answers, JSON_LINES)
    assert [json.loads(line) for line in lines.splitlines()] == expected
    assert lines.endswith(b"}\n")


def test_a_large_answer_comes_in_parts():
    request = Request([Group([[1]] * 300, None)])
    answers = np.arange(300_000, dtype=np.float32).reshape(300, 1000)  # (n, D)
    parts = [*render(request, [answers], JSON)]
    assert len(parts) > 3
    predictions = json.loads(b"".join(parts))["predictions"]
    assert np.array_equal([row["embeddings"] for row in predictions], answers)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_every_number_reads_back_as_the_same_float32(numbers):
    request = Request([Group([[1]], None)])
    sent = np.array([numbers], np.float32)
    (answer,) = json.loads(text(request, [sent]))["predictions"]
    assert np.array(answer["embeddings"], np.float32).tobytes() == sent[0].tobytes()
    assert struct.pack("<f", answer["embeddings"][0]) == sent[0, :1].tobytes()


IDS0, IDS1 = (st.lists(st.integers(0, size - 1), max_size=8) for size in (V0, V1))
INSTANCES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"in0": IDS0, "in1": IDS1}),
        st.fixed_dictionaries({"in0": IDS0}, optional={"label": st.integers()}),
        st.fixed_dictionaries({"in1": IDS1}, optional={"x": st.text()}),
    ),
    max_size=6,
)


@given(INSTANCES, st.booleans())
def test_reading_agrees_with_a_plain_reading(instances, lines):
    if lines:
        request = read("\n".join(map(json.dumps, instances)).encode(), AS_LINES)
    else:
        request = read({"instances": instances})
    if request is None:
        assert instances == []
        return
    found = [None] * len(instances)
    positions = request.positions or [range(len(request))]
    for group, indices in zip(request.groups, positions, strict=False):
        for row, index in enumerate(indices):
            sides = {"in0": group.in0, "in1": group.in1}
            found[index] = {key: ids[row] for key, ids in sides.items() if ids is not None}
    cut = {"in0": T0, "in1": T1}
    assert found == [{k: i[k][: cut[k]] for k in cut if k in i} for i in instances]


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_read_or_refused(body, lines):
    try:
        request = read(body, AS_LINES if lines else AS_JSON)
    except RequestError as err:
        refused = err
        assert refused.status == 400
    else:
        assert request is None or [*map(len, request.groups)].count(0) == 0
