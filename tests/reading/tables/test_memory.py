"""Tables in memory, of whatever holds columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import object2vec.reading.tables as tables
from object2vec.errors import DataError
from object2vec.reading.tables import open_table
from object2vec.reading.tables.types import plain

COLUMNS = {"a": ["x", None], "b": [1, 2]}
ROWS = [{"a": "x", "b": 1}, {"a": None, "b": 2}]


class Stream:
    """What has Arrow's stream protocol, and nothing else."""

    def __init__(self, content):
        self.content = content

    def __arrow_c_stream__(self, requested_schema=None):
        return self.content.__arrow_c_stream__(requested_schema)


class Sized(Stream):
    def __len__(self):
        return len(self.content)


@pytest.mark.parametrize(
    "content",
    [
        COLUMNS,
        ROWS,
        tuple(ROWS),
        pa.table(COLUMNS),
        pa.record_batch(COLUMNS),
        pd.DataFrame(COLUMNS),
        Stream(pa.table(COLUMNS)),
        Sized(pa.table(COLUMNS)),
        {"a": pd.Series(["x", None]), "b": np.array([1, 2])},
        {"a": pa.chunked_array([["x"], pa.array([None], pa.string())]), "b": (1, 2)},
    ],
    ids=lambda content: type(content).__name__,
)
def test_rows_of_what_holds_columns(content):
    table = open_table(content)
    assert table.names == ["a", "b"]
    assert table.first(9).to_pylist() == ROWS
    assert table.first(1).to_pylist() == ROWS[:1]
    blocks = list(table.blocks())
    found = [row for block in blocks for row in pa.table(block.columns).to_pylist()]
    assert found == ROWS
    assert blocks[-1].where(len(blocks[-1]) - 1) == "table row 1"


def test_an_array_of_two_axes_is_a_column_of_lists():
    table = open_table({"a": np.array([[1, 2], [3, 4]])})
    assert table.first(9).to_pylist() == [{"a": [1, 2]}, {"a": [3, 4]}]


@pytest.mark.parametrize("values", [[1.5, float("nan")], np.array([1.5, np.nan]), [1.5, None]])
def test_what_is_not_a_number_is_missing(values):
    table = open_table({"a": values})
    assert table.first(9).to_pylist() == [{"a": 1.5}, {"a": None}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pd.DataFrame({1: ["x"]}), "table: must have columns named by text; got 1. Rename it: fr"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "table: must name every column once; got 'a"),
        ({1: ["x"]}, "table: must have columns named by text; got 1. Rename it."),
        ({"a": [1], "b": [1, 2]}, r"table: must have columns of one length; got {'a': 1, 'b': 2}"),
        ([{"a": 1}, [2]], r"table row 1: must be a dict like the others; got \[2\]. Pass one"),
        ({"a": "xyz"}, "table column \"a\": must be a sequence of values; got 'xyz'. Pass a list"),
        ({"a": b"xyz"}, 'table column "a": must be a sequence of values'),
        ({"a": 7}, 'table column "a": must be a sequence of values; got 7'),
        ({"a": ["x", 7]}, 'table row 1: must have a value in column "a" like those before; got 7.'),
        ({"a": [1, 2, "x"]}, 'table row 2: must have a value in column "a" like those before'),
        ({"a": [object()]}, 'table row 0: must have a value in column "a" of a kind that columns'),
        (
            {"a": np.array([1, "x"], object)},
            "table row 1: must have a value in column \"a\" like those before; got 'x'. Give all",
        ),
        ({"a": (1, 2, "x")}, 'table row 2: must have a value in column "a" like those before'),
        (pa.table({"a": pa.array([], "str")}), "table: must have at least one row; got 'none'"),
        ({}, "table: must have at least one row"),
        (Sized(pa.chunked_array([["x"]])), "table: must have named columns; got .*Pass it in a"),
        (Stream(pa.chunked_array([["x"]])), "table: must have named columns; got .*Pass it in a"),
        ([], "table: must be something with columns"),
        (7, "table: must be something with columns; got 7. Pass a path"),
        (iter([7]), "table: must be an iterator of tables; got 7. Pass a path"),
        (iter([]), "table: must hold at least one row; got 'none'. Check what you pass."),
    ],
)
def test_what_is_no_table(content, message):
    with pytest.raises(DataError, match="^" + message):
        open_table(content)


def test_tables_of_an_iterator_have_the_columns_of_the_first():
    found = open_table(iter([COLUMNS, {"b": [3.0], "a": ["y"]}, pa.table({"a": ["z"], "b": [4]})]))
    assert found.first(9).to_pylist() == [*ROWS, {"a": "y", "b": 3}, {"a": "z", "b": 4}]
    for second in ({"a": ["y"]}, {"a": ["y"], "b": [0.5]}, {"a": ["y"], "b": [1], "c": [1]}):
        with pytest.raises(
            DataError, match=r"^batch 1: must have the columns a, b and types of the"
        ):
            open_table(iter([COLUMNS, second]))


def test_tables_are_opened_when_they_are_needed():
    assert tables.open_table is open_table
    with pytest.raises(
        AttributeError, match=r"module 'object2vec.reading.tables' has no attribute"
    ):
        tables.open_tabel  # noqa: B018


class Degrees(pa.ExtensionType):
    """A type of somebody's own."""

    def __init__(self, storage=None):
        super().__init__(storage or pa.int16(), "tests.degrees")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls(storage_type)


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        (pa.array([7, None], pa.int16()), [7, None]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        (pa.array([[1], []], pa.list_(pa.int32())), [[1], []]),
    ],
    ids=["numbers", "dictionary", "lists"],
)
def test_a_type_of_somebodys_own_is_read_as_what_it_is_stored_as(storage, expected, is_chunked):
    column = pa.ExtensionArray.from_storage(Degrees(storage.type), storage)
    given = pa.chunked_array([column[:1], column[1:]]) if is_chunked else column
    columns = [block.columns["a"] for block in open_table(pa.table({"a": given})).blocks()]
    assert [value for column in columns for value in column.to_pylist()] == expected
    assert not any(isinstance(column.type, pa.BaseExtensionType) for column in columns)


def test_a_dictionary_of_numbers_is_read_as_numbers():
    column = pa.array([5, 6, 5], pa.int32()).dictionary_encode()
    (block,) = open_table(pa.table({"a": column})).blocks()
    assert block.columns["a"].type == pa.int32()
    assert block.columns["a"].to_pylist() == [5, 6, 5]


def test_a_column_without_a_chunk_has_no_row():
    found = plain(pa.chunked_array([], pa.string()))
    assert (found.type, len(found)) == (pa.string(), 0)
