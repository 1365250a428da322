"""A row for each member of the values of a column."""

from __future__ import annotations

import pyarrow as pa
import pytest

from object2vec.errors import DataError
from object2vec.reading.tables import open_table
from object2vec.reading.tables.members import ROW, Members, members_column

DOCUMENTS = pa.table(
    {
        "sentences": ["a\tb", None, "", "c\t\td", "e"],
        "label": ["x", "y", "z", "x", None],
    }
)
EXPECTED = [("a", 0, "x"), ("b", 0, "x"), ("c", 3, "x"), ("d", 3, "x"), ("e", 4, None)]


def rows(table, columns, **options):
    blocks = [(block, block.columns) for block in table.blocks(columns, **options)]
    return [
        tuple(found[name][row].as_py() for name in columns)
        for block, found in blocks
        for row in range(len(block))
    ]


@pytest.mark.parametrize("kind", ["text", "dictionary", "list", "large list"])
def test_members_are_rows_with_what_else_their_row_has(kind):
    values = DOCUMENTS.column(0).combine_chunks()
    if kind == "dictionary":
        values = values.dictionary_encode()
    if "list" in kind:
        lists = [["a", "b"], None, [], ["c", "", None, "d"], ["e"]]
        values = pa.array(lists, pa.large_list(pa.string()) if "large" in kind else None)
    table = Members(open_table(DOCUMENTS.set_column(0, "sentences", values)), "sentences", "\t")
    assert table.names == ["sentences", ROW, "label"]
    assert table.schema.types[:2] == [pa.string(), pa.int64()]
    columns = ["sentences", ROW, "label"]
    assert rows(table, columns) == EXPECTED
    assert rows(table, columns, dictionary={"label", "sentences", ROW}) == EXPECTED
    assert rows(table, [ROW]) == [(row,) for _, row, _ in EXPECTED]
    assert rows(table, ["label"]) == [(label,) for *_, label in EXPECTED]
    assert [tuple(row.values()) for row in table.first(3, columns).to_pylist()] == EXPECTED[:3]
    assert table.first(9).num_rows == 5


def test_numbers_are_members_too():
    table = Members(open_table({"labels": [[3, 1], [2]]}), "labels", " ")
    assert rows(table, ["labels", ROW]) == [("3", 0), ("1", 0), ("2", 1)]


def test_a_column_without_values_has_no_members():
    table = Members(open_table({"text": pa.nulls(2), "x": [1, 2]}), "text", " ")
    assert rows(table, ["text", "x"]) == []


def test_a_member_is_named_by_its_row():
    table = Members(open_table(DOCUMENTS), "sentences", "\t")
    (block,) = table.blocks()
    assert [block.where(row) for row in range(5)] == [f"table row {row}" for row in (0, 0, 3, 3, 4)]


def test_rows_of_all_blocks_are_counted_on(tmp_path):
    (tmp_path / "a.csv").write_text("doc,label\nb|c,1\nd,2\n")
    (tmp_path / "b.csv").write_text("doc,label\ne,3\nf|g,4\n")
    table = Members(open_table(tmp_path), "doc", "|")
    assert rows(table, ["doc", ROW, "label"]) == [
        *(("b", 0, "1"), ("c", 0, "1"), ("d", 1, "2")),
        *(("e", 2, "3"), ("f", 3, "4"), ("g", 3, "4")),
    ]
    blocks = list(table.blocks(["doc"]))
    assert [block.first_row for block in blocks] == [0, 3]
    assert [block.where(1).rpartition("/")[2] for block in blocks] == ["a.csv:2", "b.csv:3"]


@pytest.mark.parametrize("name", ["sentences", "documents", "labels", "text"])
def test_formats_of_lines_have_their_own_name_for_members(name):
    table = open_table({name: ["a b"], "other": ["c"]})
    assert members_column(table, "doc") == name
    assert members_column(table, "other") == "other"
    members = Members(table, "doc", " ")
    assert rows(members, ["doc"]) == [("a",), ("b",)]
    assert [members.has(each) for each in ("doc", ROW, "other", "else")] == [True] * 3 + [False]


def test_a_table_without_members_is_an_error():
    with pytest.raises(DataError, match=r"^table: must have every column that is named; got 'doc'"):
        Members(open_table({"x": ["a"]}), "doc", " ")
    table = Members(open_table({"doc": [1.5]}), "doc", " ")
    must = r"^table row 0: must hold members: lists, or texts that hold them; got 1.5. Name another"
    with pytest.raises(DataError, match=must):
        list(table.blocks())
