"""JSON Lines as a table: columns that only later records have, and what is wrong where."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from object2vec.errors import DataError
from object2vec.reading.tables import open_table
from object2vec.reading.tables.formats import jsonl

MANY = 1000  # records whose keys and types are looked at first


def table_of(tmp_path, *records):
    path = tmp_path / "t.jsonl"
    lines = (each if isinstance(each, str) else json.dumps(each) for each in records)
    path.write_text("".join(f"{line}\n" for line in lines))
    return open_table(path)


def values(table, column):
    return [x for block in table.blocks([column]) for x in block.columns[column].to_pylist()]


def test_a_column_without_values_is_null(tmp_path):
    table = table_of(tmp_path, {"a": 1, "b": None, "c": []}, {"a": 2, "b": None})
    assert table.names == ["a", "b", "c"]
    assert values(table, "b") == [None, None]
    assert values(table, "c") == [[], None]
    assert values(table, "a") == [1, 2]


def test_a_column_that_only_late_records_have(tmp_path):
    late = [{"a": 1}] * MANY + [{"a": 2, "b": {"c": "x"}}]
    table = table_of(tmp_path, *late)
    assert table.names == ["a"]
    assert table.has("b.c")
    assert values(table, "b.c") == [None] * MANY + ["x"]
    assert values(table, "a") == [1] * MANY + [2]


def test_a_key_is_looked_for_as_it_may_be_written(tmp_path):
    table = table_of(tmp_path, *[{"a": "b c"}] * MANY, r'{"a": "x", "\u0062": 7}')
    assert table.has("b")
    assert values(table, "b") == [None] * MANY + [7]
    assert not table.has("c")  # which is a word of the text alone
    with pytest.raises(DataError, match=r"t.jsonl: must have every column that is named; got 'c'"):
        list(table.blocks(["c"]))


def test_whole_numbers_may_have_fractions_later(tmp_path):
    table = table_of(tmp_path, *[{"a": 1}] * MANY, {"a": 1.5})
    assert table.schema.field("a").type == pa.int64()
    assert values(table, "a")[-1] == 1.5


@pytest.mark.parametrize(
    ("late", "column", "message"),
    [
        ({"user": 7}, "user.id", '"user.id" must have values of one type (int64); got 7'),
        ({"user": {"id": "x"}}, "user.id", '"user.id" must have values of one type (int64)'),
        ({"user": [1]}, "user.id", '"user.id" must have values of one type (int64); got [1]'),
        ({"n": "x"}, "n", '"n" must have values of one type (string); got [1]'),
    ],
)
def test_a_value_of_another_type_is_named_with_its_line(tmp_path, late, column, message):
    first = {"user": {"id": 1}, "n": "a"} if column != "n" else {"n": "a"}
    also = {"n": [1]} if column == "n" else {}
    table = table_of(tmp_path, *[first] * MANY, late | also)
    with pytest.raises(DataError) as caught:
        values(table, column)
    assert str(caught.value).partition("t.jsonl:")[2].startswith(f"{MANY + 1}: {message}")


@pytest.mark.parametrize("before", [0, MANY])
def test_twenty_lines_are_named(tmp_path, before):
    with pytest.raises(DataError) as caught:
        values(table_of(tmp_path, *[{"a": 1}] * before, *['{"a"'] * 30), "a")
    head, *lines = str(caught.value).splitlines()
    assert head == "the first 20 problems:"
    numbers = [line.rpartition("t.jsonl:")[2].partition(":")[0] for line in lines]
    assert numbers == [str(before + n) for n in range(1, 21)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"a": 1,', '"b": 2}'], "t.jsonl: must hold one record per line; got 'a record on sev"),
        (["[", '{"a": 1}]'], "t.jsonl: must hold one record per line; got 'one list of records'"),
        (['{"a": 1}', "7"], "t.jsonl:2: must be one JSON object; got 7"),
        (['{"a": 1}', '{"a": 1, "a": 2}'], 't.jsonl:2: must have the key "a" once; got \'it twice'),
        (['{"a": 1}', '{"b": 1e999}'], "t.jsonl:2: must be JSON, which has finite numbers only"),
        (['{"a": 1}', '{"b": NaN}'], "t.jsonl:2: must be JSON, which has finite numbers only"),
        (['{"a": 1}', "", "  ", '{"a": x}'], "t.jsonl:4: must be one JSON object .Expecting value"),
    ],
)
def test_what_is_no_record_is_named(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        table_of(tmp_path, *lines)


def test_rows_are_counted_without_blank_lines(tmp_path):
    table = table_of(tmp_path, {"a": 1}, "", "   ", {"a": 2}, "", {"a": 3})
    (block,) = table.blocks()
    assert [block.where(row).rpartition(":")[2] for row in range(3)] == ["1", "4", "6"]


@pytest.mark.parametrize(
    ("given", "wanted", "found"),
    [
        ([1, None, 2], pa.int64(), [1, None, 2]),
        ([1, 2.5], pa.int64(), [1, 2.5]),
        (["a", 1], pa.string(), 1),
        ([1, "a", 2], pa.int64(), 1),
        (["a", "b"], pa.int64(), 0),
        ([None, None, "a"], pa.int64(), 2),
        ([[1], ["a"]], pa.list_(pa.int64()), 1),
        ([], pa.string(), []),
        ([2**70], pa.int64(), 0),
    ],
)
def test_values_fit_a_type_or_the_first_that_does_not_is_known(given, wanted, found):
    array = jsonl.typed(given, wanted)
    assert (array if isinstance(array, int) else array.to_pylist()) == found
