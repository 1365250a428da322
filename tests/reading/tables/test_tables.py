import pyarrow as pa
import pytest

from object2vec.errors import DataError
from object2vec.reading.tables import open_table


def rows(table, columns=None, dictionary=()):
    found = [pa.table(b.columns) for b in table.blocks(columns, dictionary)]
    return pa.concat_tables(found, promote_options="permissive").to_pylist()


def write(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv(tmp_path):
    t = open_table(write(tmp_path, 'user,film\nann,007\n\n,"a\n""b"""\nbob,5" x\n'))
    assert t.names == ["user", "film"]
    expected = [
        {"user": "ann", "film": "007"},
        {"user": None, "film": 'a\n"b"'},
        {"user": "bob", "film": '5" x'},
    ]
    assert rows(t) == rows(t, dictionary={"user"}) == expected
    assert t.first(2).to_pylist() == expected[:2]
    (block,) = t.blocks(["film"], {"film"})
    assert block.columns["film"].type == pa.dictionary(pa.int32(), pa.string())
    assert [block.where(i).rpartition(":")[2] for i in range(3)] == ["2", "4", "6"]


@pytest.mark.parametrize("make", [dict, pa.table, lambda c: __import__("pandas").DataFrame(c)])
def test_memory(make):
    t = open_table(make({"a": ["x", None], "b": [1, 2]}))
    assert t.names == ["a", "b"]
    assert rows(t) == [{"a": "x", "b": 1}, {"a": None, "b": 2}]
    assert open_table([{"a": 1}, {"b": "x"}]).first(9).to_pylist() == [
        {"a": 1, "b": None},
        {"a": None, "b": "x"},
    ]


def test_wrong(tmp_path):
    t = open_table(write(tmp_path, "user,film\na,b\n"))
    with pytest.raises(DataError, match="Did you mean user"):
        list(t.blocks(["usr"]))
    for text, match in [
        ("a,b\n1\n1,2\n1,2,3\n", r":2: must have 2 fields like the header; got '1: 1'"),
        ('a,b\n1,2\n3,"x\n', ":3: must close a quote"),
        ('a,b\n1,2\n3,"x"y\n', ":3: must close a quote"),
        (
            b"a,b\n1,2\n3,caf\xe9\n",
            ":3: must be UTF-8; got '0xe9 at byte 13'. In the encoding cp1252",
        ),
        ("a,b\n1,\0\n", ":2: must hold no NUL byte"),
        ("a,b\n1,2\r3,4\n", "carriage return alone"),
        ("a,a\n1,2\n", ":1: must name every column once"),
        ("a,b\n", "at least one row"),
        ("", "at least one record"),
    ]:
        with pytest.raises(DataError, match=match):
            rows(open_table(write(tmp_path, text)))
