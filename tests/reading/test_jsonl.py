from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from object2vec.errors import DataError, StorageError
from object2vec.files.contents import BLOCK_BYTES, Block
from object2vec.files.sources import Source, list_sources
from object2vec.objects.layouts import LAYOUTS
from object2vec.objects.ragged import MAX_ID
from object2vec.objects.schema import RECORDS, Column, Schema
from object2vec.objects.schema import records as records_of
from object2vec.pairs.dataset import Pairs
from object2vec.reading import cached_set
from object2vec.reading.compiled import compiled_programs
from object2vec.reading.jsonl import _Reader, line_of, read_columns
from object2vec.reading.scanner import scan


def schema_of(default_label=None, **needs):
    """A schema with other needs."""
    changes = {name: {"need": need} for name, need in needs.items()}
    label = {**changes.pop("label", {}), "default": default_label}
    return RECORDS.but(**changes, label=label)


def to_rows(columns):
    """Columns as what a comparison can see: rows, exact labels and dtypes."""
    rows = {}
    for name, column in columns.items():
        if name == "label":
            assert column.dtype == np.float32
            rows[name] = [label.tobytes() for label in column]
        else:
            assert column.values.dtype == np.int32
            assert column.offsets.dtype == np.int64
            rows[name] = [column.row(i).tolist() for i in range(len(column))]
    return rows


FAST_WAYS = ["_scan", "_parse"]  # the compiled scanner and Arrow


def both_ways(way, data, schema=RECORDS):
    """What a fast and the plain way make of a block, and the problems of the plain one."""
    fast_reader, plain_reader = _Reader(schema), _Reader(schema)
    block = Block(data, 7)
    fast = getattr(fast_reader, way)(block)
    if fast is not None and not fast_reader.continues(fast):
        fast = None
    return fast, plain_reader.read_lines("f", block), plain_reader.problems


def assert_equal(fast, plain):
    assert fast.rows == plain.rows
    assert fast.blank_lines.tolist() == plain.blank_lines.tolist()
    assert to_rows(fast.columns) == to_rows(plain.columns)


ids = st.lists(st.integers(0, MAX_ID), max_size=4)
labels = st.integers(-5, 5) | st.floats(width=32, allow_nan=False, allow_infinity=False)
records = st.fixed_dictionaries(
    {"in0": ids, "in1": ids, "label": labels | st.booleans()},
    optional={"note": st.text(max_size=5) | st.none() | ids},
)
lines = st.builds(
    lambda record, keys, separators, ascii_only, end: (
        json.dumps(
            {k: record[k] for k in keys if k in record},
            separators=separators,
            ensure_ascii=ascii_only,
        ).encode()
        + end
    ),
    records,
    st.permutations(["in0", "in1", "label", "note"]),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,", "\t: ")]),
    st.booleans(),
    st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"\n \t\n"]),
)
blocks = st.lists(lines, min_size=1, max_size=5).map(b"".join)


@pytest.mark.parametrize("way", FAST_WAYS)
def test_both_ways_read_the_same_from_what_is_right(way):
    ways = {"fast": 0, "plain": 0}

    @settings(max_examples=300, deadline=None)
    @given(blocks, st.booleans())
    def hold_equal(data, ends):
        fast, plain, problems = both_ways(way, data if ends else data.rstrip())
        assert not problems
        assert plain.rows > 0
        ways["fast" if fast else "plain"] += 1
        if fast:
            assert_equal(fast, plain)

    hold_equal()
    assert min(ways.values()) > 30


@pytest.mark.parametrize("way", FAST_WAYS)
def test_a_fast_way_never_accepts_what_the_plain_way_refuses(way):
    ways = {"fast": 0, "refused": 0}
    pieces = st.sampled_from(
        [
            b"",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b'"',
            b"-",
            b"0",
            b"1.5",
            b"1e2",
            b"e",
            b"null",
            b"true",
            b"\n",
            b"\r",
            b" ",
            b"\\",
            b"\x00",
            b"\xff",
            b'"in0":[1],',
            b'"in0"',
            b"NaN",
            b"{}",
            b"{}{}",
            b"}{",
            b"Infinity",
            b"9999999999",
            b"1e400",
            b"/**/",
        ]
    )

    @settings(max_examples=700, deadline=None, derandomize=True)
    @given(blocks, st.data())
    def hold_subset(data, draw):
        for _ in range(draw.draw(st.integers(1, 2))):
            at = draw.draw(st.integers(0, len(data)))
            data = data[:at] + draw.draw(pieces) + data[at + draw.draw(st.integers(0, 3)) :]
        if not data:
            return
        fast, plain, problems = both_ways(way, data)
        ways["refused"] += bool(problems)
        if fast:
            ways["fast"] += 1
            assert not problems
            assert_equal(fast, plain)

    hold_subset()
    assert min(ways.values()) > {"_scan": 25, "_parse": 50}[way]  # Arrow knows more forms


@pytest.mark.parametrize("way", FAST_WAYS)
@pytest.mark.parametrize("default_label", [None, 1.0])
@pytest.mark.parametrize("presence", ["required", "optional"])
@pytest.mark.parametrize(
    "line",
    [
        b'{"in0":[1],"in1":[2],"label":3}',
        b'{"in0":[1],"label":3}',
        b'{"in0":[1],"in1":[2]}',
        b'{"in0":[1],"in1":null,"label":3}',
        b'{"in0":[1],"in1":[2],"label":null}',
        b'{"label":3}',
        b"{}",
        b'{"in0":[null],"in1":[2],"label":3}',
        b'{"in0":[1],"in1":[2],"label":NaN}',
        b'{"in0":[1],"in1":[2],"label":1e39}',
        b'{"in0":[1],"in1":[2],"label":-3.4028235677973366e38}',
        b'{"in0":[1],"in1":[2],"label":3.4028235677973362e38}',
        b'{"in0":[1],"in1":[-2],"label":3}',
        b'{"in0":[-0],"in1":[2],"label":-0.0}',
        b'{"in0":[1],"in1":[2147483648],"label":3}',
        b'{"in0":[1],"in0":[1],"in1":[2],"label":3}',
        b'{"in0":[1],"in\\u0030":[1],"in1":[2],"label":3}',
        b'{"in0":[1],"in1":[2],"label":3,"label":3}',
        b'{"in\\u0030":[1],"in1":[2],"label":3}',
        b'{"in0":[1],"in1":[2],"label":3}{"in0":[1],"in1":[2],"label":3}',
        b'{"in0":[1],"in1":[2],"label":3,"x":{"in0":5}}',
        b'{"in0":[1],"in1":[2],"label":3,"x":"\xff"}',
        b'{"in0":[1],"in1":[2],"label":3,"x":NaN}',
        b'{"in0":[1],"in1":[2],"label":3,"x":[-Inf ]}',
        b'{"x":{"y":-Infinity},"in0":[1],"in1":[2],"label":3}',
        b'{"in0":[1],"in1":[2],"label":3,"x":"NaN, Infinity}"}',
        b'{"in0":[1],"in1":[2],"label":3,"x":1,"x":1}',
        b'{"in0":[1],"in1":[2],"label":3,"x":"\\ud800"}',
        b'{"in0":[[1]],"in1":[2],"label":3}',
    ],
)
def test_both_ways_agree_on_odd_lines(line, presence, default_label, way):
    schema = schema_of(default_label, in0=presence, in1=presence)
    for data in (line, line + b"\n" + line, b'{"in0":[1],"in1":[2],"label":1}\n' + line):
        fast, plain, problems = both_ways(way, data, schema)
        if fast:
            assert not problems
            assert_equal(fast, plain)


@pytest.mark.parametrize("way", FAST_WAYS)
@pytest.mark.parametrize("sides", [("in0", "in1"), ("in0",), ("in1",)])
def test_objects_that_may_be_missing_are_read_the_fast_ways_where_all_records_have_them(way, sides):
    line = b'{%b"label":3}' % b"".join(b'"%b":[1,2],' % side.encode() for side in sides)
    schema = schema_of(None, in0="optional", in1="optional")
    fast, plain, problems = both_ways(way, line + b"\n" + line, schema)
    assert not problems
    assert fast.columns.keys() == {*sides, "label"}
    assert_equal(fast, plain)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("-0", -0.0),
        ("7", 7.0),
        ("-2.50", -2.5),
        ("0.1", 0.1),
        ("3.14159", 3.14159),
        ("123456789012345", 123456789012345.0),
        ("0.0000000000001", 1e-13),
        ("true", 1.0),
        ("false", 0.0),
        ("1e2", None),
        ("1234567890123456", None),
        ("01", None),
        (".5", None),
        ("5.", None),
        ("-", None),
        ("tru", None),
        ("+1", None),
        ('"1"', None),
        ("--1", None),
        ("1.2.3", None),
    ],
)
def test_the_scanner_reads_a_label_exactly_or_not_at_all(text, value):
    scanned = scan(b'{"in0":[1],"in1":[2],"label":%b}' % text.encode(), RECORDS)
    assert (scanned is None) == (value is None)
    if scanned is not None:
        assert scanned.columns["label"].tolist() == [value]
        assert np.signbit(scanned.columns["label"][0]) == np.signbit(value)


def test_the_scanner_knows_the_plain_form_alone():
    plain = b'{"label":1, "in1":[] ,"in0":[ 3,0 ,2147483647]}\r\n\n'
    assert scan(plain, RECORDS).blank.tolist() == [1]
    for odd in (b'{"in0":[01]}', b'{"in0":[2147483648]}', b'{"in0":[1,]}', b'{"x":1}', b"{}", b"["):
        assert scan(odd, RECORDS) is None


@pytest.mark.parametrize("count", [1, 61, 62, 63])
def test_the_scanner_knows_up_to_62_keys(count):
    names = [f"n{n}" for n in range(count)]
    schema = Schema(tuple(Column(name, LAYOUTS["number"]) for name in names))
    line = json.dumps(dict(zip(names, range(count), strict=True))).encode()
    scanned = scan(line + b"\n" + line, schema)
    assert (scanned is None) == (count > 62)
    if scanned is not None:
        assert [column.tolist() for column in scanned.columns.values()] == [
            [float(n)] * 2 for n in range(count)
        ]
        assert set(scanned.counts.values()) == {2}


def test_the_scanner_knows_lists_of_ids_and_numbers_alone():
    line = b'{"in0":[1],"in1":[2],"label":1,"group":7}'
    assert scan(line, records_of(has_group=True)) is None
    line = b'{"weight":0.5,"in1":[2],"label":1,"in0":[1,3]}\n{"in0":[],"label":2}'
    scanned = scan(line, records_of(has_weight=True))
    assert scanned.rows == 2
    assert scanned.counts == {"in0": 2, "in1": 1, "label": 2, "weight": 1}
    assert to_rows({name: scanned.columns[name] for name in ("in0", "in1")}) == {
        "in0": [[1, 3], []],
        "in1": [[2], []],
    }
    np.testing.assert_array_equal(scanned.columns["weight"], [0.5, np.nan])


def test_a_block_of_blank_lines_says_nothing_about_the_keys(tmp_path):
    text = "\n" * 40 + '{"in0": [1]}\n' * 3
    chunks = read(tmp_path, text, in0="optional", in1="optional", label="ignored", block_bytes=16)
    assert sum(len(chunk) for chunk in chunks) == 3


def read(tmp_path, text, block_bytes=BLOCK_BYTES, **needs):
    (tmp_path / "train.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
    sources = list_sources(tmp_path / "train.jsonl")
    return list(read_columns(sources, schema_of(**needs), block_bytes=block_bytes))


def test_columns_arrive_in_order_across_blocks_and_files(tmp_path):
    for part in range(3):
        text = "".join(
            json.dumps({"label": i / 2, "in0": [i] * (i % 3), "in1": [part, i]}) + "\n"
            for i in range(200)
        )
        (tmp_path / f"{part}.jsonl").write_text(text)
    chunks = list(read_columns(list_sources(tmp_path), block_bytes=1000))
    assert len(chunks) > 20
    in0 = [row for c in chunks for row in to_rows({"in0": c.columns["in0"]})["in0"]]
    in1 = [row for c in chunks for row in to_rows({"in1": c.columns["in1"]})["in1"]]
    label = np.concatenate([c.columns["label"] for c in chunks])
    assert in0 == [[i] * (i % 3) for i in range(200)] * 3
    assert in1 == [[part, i] for part in range(3) for i in range(200)]
    assert label.tolist() == [i / 2 for i in range(200)] * 3
    first_of_part = [c for c in chunks if c.first_line == 1]
    assert [c.source for c in first_of_part] == [str(tmp_path / f"{p}.jsonl") for p in range(3)]
    for before, after in pairwise(chunks):
        assert after.first_line in (1, before.first_line + len(before))


def test_a_record_knows_its_line(tmp_path):
    record = '{"in0":[1],"in1":[2],"label":1}\n'
    (chunk,) = read(tmp_path, "\n" + record + "\r\n\n" + record * 2 + " \n" + record)
    assert chunk.blank_lines.tolist() == [1, 3, 4, 7]
    lines = [chunk.where(row).rpartition(":") for row in range(4)]
    assert [int(line) for _, _, line in lines] == [2, 5, 6, 8]
    assert lines[0][0] == str(tmp_path / "train.jsonl")


@given(st.lists(st.booleans(), max_size=12), st.integers(1, 5))
def test_line_of_is_the_line_of_the_record(is_blank, first):
    blank = np.array([first + i for i, b in enumerate(is_blank) if b], np.int64)
    expected = [first + i for i, b in enumerate(is_blank) if not b]
    assert [line_of(row, first, blank) for row in range(len(expected))] == expected


def test_boolean_labels_are_one_and_zero(tmp_path):
    text = '{"in0":[1],"in1":[2],"label":true}\n{"in0":[1],"in1":[2],"label":false}\n'
    (chunk,) = read(tmp_path, text)
    assert chunk.columns["label"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("text", ["", "\n", " \r\n\n"])
def test_an_input_without_records_gives_none(tmp_path, text):
    assert sum(map(len, read(tmp_path, text))) == 0


def test_a_missing_label_gets_the_default(tmp_path):
    text = '{"in0":[1],"in1":[2]}\n{"in0":[1],"in1":[2],"label":0}\n'
    (chunk,) = read(tmp_path, text, default_label=1.0)
    assert chunk.columns["label"].tolist() == [1.0, 0.0]
    (chunk,) = read(tmp_path, text + "\t" + text, default_label=1.0)
    assert chunk.columns["label"].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_ignored_keys_may_hold_anything(tmp_path):
    text = '{"in0":[1],"in1":"text","label":"a","label":"b"}\n{"in0":[2]}\n'
    (chunk,) = read(tmp_path, text, in1="ignored", label="ignored")
    assert to_rows(chunk.columns) == {"in0": [[1], [2]]}


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "[1, NaN ]", r'{"\"": Infinity}', "Inf"])
@pytest.mark.parametrize("escaped", [False, True])
def test_a_key_that_is_not_used_holds_json_too(tmp_path, value, escaped):
    key = r"in\u0030" if escaped else "in0"
    line = f'{{"{key}":[1],"in1":[2],"label":1,"x":%s}}\n'
    with pytest.raises(
        DataError, match=r":2: must be (JSON, which has finite numbers only|one JSON)"
    ):
        read(tmp_path, line % "null" + line % value)


def test_a_text_may_speak_of_nan(tmp_path):
    line = r'{"in0":[1],"in1":[2],"label":1,"x":"\"NaN, -Infinity]"}'
    (chunk,) = read(tmp_path, line)
    assert chunk.rows == 1


def test_optional_keys_are_there_or_not(tmp_path):
    options = {"in0": "optional", "in1": "optional", "label": "ignored", "block_bytes": 30}
    chunks = read(tmp_path, '{"in1":[2],"label":1}\n' * 9, **options)
    assert len(chunks) > 1
    assert all("in0" not in c.columns and c.columns["in1"].row(0).tolist() == [2] for c in chunks)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            '{"in0":[1],"in1":[2]}',
            r'must lack the key "in0" like the records before; got \[\'in0\'',
        ),
        ('{"in0":[1]}', 'must lack the key "in0" like the records before'),
        ('{"x":[1]}', r'must have the key "in0" or "in1"; got \[\'x\'\]. Add one of them.'),
    ],
)
@pytest.mark.parametrize("block_bytes", [10, 1000])
def test_optional_keys_are_the_same_in_all_records(tmp_path, second, message, block_bytes):
    text = '{"in1":[2]}\n' * 3 + second
    with pytest.raises(DataError, match="train.jsonl:4: " + message):
        read(
            tmp_path, text, in0="optional", in1="optional", label="ignored", block_bytes=block_bytes
        )


def test_an_optional_key_that_ends_is_an_error(tmp_path):
    text = '{"in0":[1],"in1":[2]}\n{"in1":[2]}\n'
    message = 'train.jsonl:2: must have the key "in0" like the records before; .* the same keys.'
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, in0="optional", label="ignored", block_bytes=10)


LIST = r'"in1" must be a list of integers in \[0, 2147483647\]; got '


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"in0":[1],"in1":[2],"label":1',
            r"must be one JSON object \(Expecting ',' delimiter at "
            r"column 31\); got '{\"in0\".*. Write one {\"in0\": \[10\]",
        ),
        ("hello", r"must be one JSON object \(Expecting value at column 1\); got 'hello'. Write"),
        ("{} {}", r"must be one JSON object \(Extra data at column 4\); got '{} {}'."),
        ("[" * 100_000, r"must be one JSON object \(.*nesting too deep\); got '\[\[\["),
        ("9" * 5000, r"must be one JSON object \(a number is too long"),
        ("[[1], [2], 1]", r"must be a JSON object; got \[\[1\], \[2\], 1\]. Write one {"),
        ("null", r"must be a JSON object; got None. Write one {"),
        ('{"in0":[1],"label":1}', r"""must have the key "in1"; got \['in0', 'label'\]. Add it"""),
        ('{"in0":[1],"in1":[1]}', r"""must have the key "label"; got \['in0', 'in1'\]. Add it"""),
        ("{}", r'must have the key "in0"; got \[\]. Add it to the record.'),
        ('{"in0":[1],"in0":[1],"in1":[2],"label":1}', 'must have the key "in0" once; got'),
        ('{"in0":[1],"in1":10,"label":1}', LIST + r"10. Write \[10\].$"),
        ('{"in0":[1],"in1":true,"label":1}', LIST + r"True. Write a list.$"),
        ('{"in0":[1],"in1":"3 4","label":1}', LIST + r"'3 4'. Write a list.$"),
        ('{"in0":[1],"in1":{"a":1},"label":1}', LIST + r"{'a': 1}. Write a list.$"),
        ('{"in0":[1],"in1":null,"label":1}', LIST + r"None. Write a list.$"),
        ('{"in0":[1],"in1":[3,-1],"label":1}', LIST + r"-1. Fix the id at position 1.$"),
        ('{"in0":[1],"in1":[1.5],"label":1}', LIST + r"1.5. Fix the id at position 0.$"),
        ('{"in0":[1],"in1":[3,-1.0],"label":1}', LIST + r"-1.0. Fix the id at position 1.$"),
        ('{"in0":[1],"in1":[2147483648.0],"label":1}', LIST + r"2147483648.0. Fix the id at"),
        ('{"in0":[1],"in1":[NaN],"label":1}', LIST + r"nan. Fix the id at position 0.$"),
        ('{"in0":[1],"in1":["1"],"label":1}', LIST + r"'1'. Fix the id at position 0.$"),
        ('{"in0":[1],"in1":[true],"label":1}', LIST + r"True. Fix the id at position 0.$"),
        ('{"in0":[1],"in1":[null],"label":1}', LIST + r"None. Fix the id at position 0.$"),
        ('{"in0":[1],"in1":[[1]],"label":1}', LIST + r"\[1\]. Fix the id at position 0.$"),
        ('{"in0":[1],"in1":[2147483648],"label":1}', LIST + "2147483648. Fix the id at"),
        ('{"in0":[1],"in1":[1],"label":"1"}', "\"label\" must be a finite number; got '1'. Fix"),
        ('{"in0":[1],"in1":[1],"label":NaN}', '"label" must be a finite number; got nan. Fix the'),
        ('{"in0":[1],"in1":[1],"label":-1e39}', '"label" must be a finite number; got -1e'),
        ('{"in0":[1],"in1":[1],"label":null}', '"label" must be a finite number; got None. Fix'),
        ('{"in0":[1],"in1":[1],"label":[1]}', r'"label" must be a finite number; got \[1\]. Fix'),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, line, message):
    text = '\n{"in0":[1],"in1":[2],"label":1}\n' + line + "\n"
    with pytest.raises(DataError, match="^.*/train.jsonl:3: " + message) as caught:
        read(tmp_path, text)
    assert len(str(caught.value)) < len(str(tmp_path)) + 300


def test_ids_may_be_written_as_pandas_does_in_a_column_with_gaps(tmp_path):
    lines = ('{"in0":[1],"in1":[2],"label":1}', '{"in0":[3.0,4],"in1":[2147483647.0],"label":0}')
    rows = [to_rows(chunk.columns) for chunk in read(tmp_path, "\n".join(lines))]
    assert [ids for each in rows for ids in each["in0"]] == [[1], [3, 4]]
    assert [ids for each in rows for ids in each["in1"]] == [[2], [2147483647]]


PRETTY = json.dumps({"in0": [1], "in1": [2], "label": 1}, indent=1)


@pytest.mark.parametrize("lead", ["", "\n \n", "\ufeff"])
@pytest.mark.parametrize(
    ("text", "what", "command"),
    [
        ('[{"in0":[1],"in1":[2],"label":1}]', "one list of records", r"jq -c '\.\[\]' FILE"),
        ('[{"in0":[1],"in1":[2],"label":1},\n {"in0":[1]}]', "one list of records", "jq"),
        ("[\n" + PRETTY + ",\n" + PRETTY + "]", "one list of records", "jq"),
        ("[\r\n]\r\n", "one list of records", "jq"),
        (PRETTY, "a record on several lines", r"jq -c \. FILE"),
        (PRETTY.replace("\n", "\r\n"), "a record on several lines", "jq"),
        ('{"in0": [1],\n "in1": [2], "label": 1}', "a record on several lines", "jq"),
    ],
)
def test_records_that_are_not_one_per_line_are_told_once(tmp_path, text, what, command, lead):
    message = f"^[^\n]*train.jsonl: must hold one record per line; got '{what}'. .* with: {command}"
    with pytest.raises(DataError, match=message):
        read(tmp_path, lead + text)
    assert sum(map(len, read(tmp_path, '{"in0":[1],"in1":[2],"label":1}'))) == 1


@pytest.mark.parametrize("way", ["scanner", "arrow", "lines"])
def test_a_byte_order_mark_inside_is_where_a_file_was_appended(tmp_path, way):
    line = {
        "scanner": '{"in0":[1],"in1":[2],"label":1}\n',
        "arrow": '{"in0":[1],"in1":[2],"label":1,"x":"y"}\n',
        "lines": '{"in\\u0030":[1],"in1":[2],"label":1,"x":"y"}\n',
    }[way]
    (chunk,) = read(tmp_path, ("\ufeff" + line) * 3)
    assert to_rows(chunk.columns)["in1"] == [[2]] * 3


@pytest.mark.parametrize("way", ["required", "optional"])
def test_what_is_deeply_nested_is_read_or_named_with_its_line(tmp_path, way):
    deep = '{"in0":[1],"in1":[2],"label":1,"x":' + "[" * 5000 + "]" * 5000 + "}\n"
    objects = deep.replace("[" * 5000, '{"a":' * 5000 + "1").replace("]" * 5000, "}" * 5000)
    for text in (deep, objects):
        with pytest.raises(DataError, match=r"train.jsonl:2: must be one JSON object .*'oops'"):
            read(tmp_path, text + "oops\n", label=way)
        (chunk,) = read(tmp_path, text, label=way)
        assert len(chunk) == 1
    wrong = deep.replace("[1]", "[" * 5000 + "]" * 5000)
    with pytest.raises(DataError, match=r"train.jsonl:1: .*nesting too deep"):
        read(tmp_path, wrong + "\n", label=way)


def test_problems_of_the_whole_input_are_listed(tmp_path):
    good, bad = '{"in0":[1],"in1":[2],"label":1}\n', '{"in0":[1],"in1":[-2],"label":1}\n'
    with pytest.raises(DataError, match=r"^3 problems:") as caught:
        read(tmp_path, (good + bad) * 3, block_bytes=40)
    assert [f"train.jsonl:{n}:" in str(caught.value) for n in range(1, 7)] == [False, True] * 3


def test_it_stops_at_twenty_problems(tmp_path):
    with pytest.raises(DataError, match=r"^the first 20 problems:") as caught:
        read(tmp_path, "x\n" * 50)
    assert "train.jsonl:20:" in str(caught.value)
    assert "train.jsonl:21:" not in str(caught.value)


def test_a_long_file_of_problems_is_not_read_to_its_end(tmp_path):
    read_bytes = 0

    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            nonlocal read_bytes
            assert read_bytes < 1 << 20, "it goes on and on"
            read_bytes += len(buffer)
            buffer[:] = b"x\n" * (len(buffer) // 2)
            return len(buffer)

    with pytest.raises(DataError, match=r"^the first 20 problems:"):
        list(read_columns([Source("endless", Endless)], block_bytes=16))


def test_nothing_is_yielded_after_a_problem(tmp_path):
    good = '{"in0":[1],"in1":[2],"label":1}\n'
    (tmp_path / "f").write_text(good * 3 + "x\n" + good * 3)
    chunks = read_columns(list_sources(tmp_path / "f"), block_bytes=10)
    lengths = map(len, chunks)
    assert next(lengths) == 1
    with pytest.raises(DataError, match="f:4: must be one JSON object"):
        assert sum(lengths) <= 2


def forget_compiled():
    vars(compiled_programs).pop("_module", None)


@pytest.fixture
def found_anew():
    """The compiled code is looked for once in the test, and again after it."""
    forget_compiled()
    yield
    forget_compiled()


def test_without_compiled_code_everything_is_read_too(tmp_path, monkeypatch, caplog, found_anew):
    path = tmp_path / "train.jsonl"
    path.write_text('{"in0":[1,2],"in1":[3],"label":1}\n{"in0":[],"in1":[4],"label":0}\n' * 9)
    rows = np.array([3, 0, 16, 0])
    expected = Pairs.read(path, cache_dir=tmp_path / "a").take(rows)

    def no_locator(*_, **__):
        raise RuntimeError("cannot cache function 'read_runs': no locator available for file")

    monkeypatch.delitem(sys.modules, "object2vec.reading.programs")
    monkeypatch.delattr("object2vec.reading.programs")
    monkeypatch.setattr("numba.njit", no_locator)
    monkeypatch.setattr(cached_set, "_MAPPED_BYTES", 0)
    forget_compiled()
    with caplog.at_level("INFO", "object2vec.reading"):
        found = Pairs.read(path, cache_dir=tmp_path / "b").take(rows)
    assert (
        "without compiled code, more slowly (cannot cache function 'read_runs': no" in caplog.text
    )
    assert scan(path.read_bytes(), RECORDS) is None
    assert to_rows(found.columns) == to_rows(expected.columns)
    pairs = Pairs.read(path, cache_dir=tmp_path / "b")
    (values,) = (tmp_path / "b").glob("*/in1.values.npy")
    os.truncate(values, values.stat().st_size - 4)
    with pytest.raises(StorageError, match="must stay readable"):
        pairs.take(np.array([17]))


def test_a_disabled_compiler_is_not_asked(tmp_path):
    (tmp_path / "f").write_text('{"in0":[1],"in1":[2],"label":1}\n')
    program = (
        "import sys; import numpy as np; from object2vec import Pairs;"
        "from object2vec.reading import cached_set, compiled;"
        "cached_set._MAPPED_BYTES = 0; pairs = Pairs.read(sys.argv[1], cache_dir=sys.argv[2]);"
        "assert compiled.compiled_programs() is None;"
        "print(pairs.take(np.array([0, 0])).in1.values.tolist())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "f"), str(tmp_path / "cache")]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[2, 2]"
