import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from object2vec.errors import DataError
from object2vec.reading.tables import TableOptions, open_table
from object2vec.reading.tables.lines import undecodable
from object2vec.reading.tables.types import plain


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
            ":3: must be UTF-8; got '0xe9 at byte 13'. --encoding cp1252 would read '3,café'",
        ),
        (
            b"a,b\n\xff\x01\x02,2\n",
            ":2: must be UTF-8; got '0xff at byte 4'. It looks like no text",
        ),
        ("  \n1\n", ":1: must name its columns"),
        ("a,b\n1,\0\n", ":2: must hold no NUL byte"),
        ("a,b\n1,2\r3,4\n", "carriage return alone"),
        ("a,a\n1,2\n", ":1: must name every column once"),
        ("1,5,5\n2,4,5\n", "if that line is a row already, name columns by --columns."),
        ("a,b\n", "at least one row"),
        ("", "at least one record"),
    ]:
        with pytest.raises(DataError, match=match):
            rows(open_table(write(tmp_path, text)))


@pytest.mark.parametrize("before", [b"", b"\n", b"a\nb\n", b"\n" * 30])
def test_what_another_encoding_would_read_is_of_one_line(before):
    said = undecodable("a:1", before + b"caf\xe9\nc", len(before) + 3, offset=7)
    assert f"got '0xe9 at byte {len(before) + 10}'" in said
    assert "--encoding cp1252 would read 'café'" in said


def test_a_block_that_begins_with_a_byte_order_mark(tmp_path, monkeypatch):
    monkeypatch.setattr("object2vec.reading.tables.lines.PARSED_BYTES", 1)
    table = open_table(write(tmp_path, "\ufeffa,b\n1,2\n\ufeff,4\n"))
    assert rows(table) == [{"a": "1", "b": "2"}, {"a": "\ufeff", "b": "4"}]


def test_some_columns_of_a_wide_table_are_listed():
    few, many = (open_table({f"c{n}": [n] for n in range(count)}) for count in (20, 21))
    with pytest.raises(DataError, match=r"It has the columns c0, .*, c18, c19\.$"):
        few.check(["user"])
    with pytest.raises(DataError, match=r"It has the columns c0, .*, c18, c19, \.\.\.\.$"):
        many.check(["user"])
    assert many.check(["c3", "c1", "c3"]) == ["c3", "c1"]
    assert many.check(None) == many.names


@pytest.mark.parametrize("count", [1, 5, 6])
def test_files_without_records_are_logged(tmp_path, caplog, count):
    (tmp_path / "full.csv").write_text("a,b\n1,2\n")
    names = [f"{n}.csv" for n in range(count)]
    for name in names:
        (tmp_path / name).touch()
    with caplog.at_level("INFO", "object2vec.reading"):
        assert rows(open_table(tmp_path)) == [{"a": "1", "b": "2"}]
    shown = ", ".join(str(tmp_path / name) for name in names[:5]) + (", ..." if count > 5 else "")
    assert caplog.messages == [f"{count} files are empty: {shown}"]


@pytest.mark.parametrize(
    ("names", "named", "read", "skipped"),
    [
        (["_SUCCESS", "a.csv", "_b.csv", "c.csv"], "", ["a.csv", "c.csv"], 2),
        (["a.csv", "b_.csv"], "", ["a.csv", "b_.csv"], 0),
        (["_a.csv", "_b.csv"], "", ["_a.csv", "_b.csv"], 0),
        (["_a.csv", "b.csv"], "_a.csv", ["_a.csv"], 0),
        (["x/_a.csv", "_y/b.csv"], "", ["_y/b.csv"], 1),
    ],
)
def test_files_that_begin_with_an_underscore_are_marks(
    tmp_path, caplog, names, named, read, skipped
):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a,b\n1,2\n")
    with caplog.at_level("INFO", "object2vec.reading"):
        table = open_table(f"{tmp_path}/./{named}" if named else tmp_path)
    assert [source.name for source in table.sources] == [str(tmp_path / name) for name in read]
    said = [f"{tmp_path}: {skipped} files whose names begin with _ are not read"]
    assert caplog.messages == said * bool(skipped)


def test_columns_without_a_name_are_not_read(tmp_path, caplog):
    caplog.set_level("INFO", "object2vec.reading")
    table = open_table(write(tmp_path, ",a,,\n0,1,2,3\n"))
    assert rows(table) == [{"a": "1"}]
    assert "t.csv:1: 3 columns without a name are not read" in caplog.text
    with pytest.raises(DataError, match="must name its columns; got "):
        open_table(write(tmp_path, ",,\n0,1,2\n"))


def test_blank_lines_are_counted(tmp_path, caplog):
    caplog.set_level("INFO", "object2vec.reading")
    rows(open_table(write(tmp_path, 'a,b\n\n1,2\r\n\r\n3,"4\n\n"\n\n')))
    assert "t.csv: 3 blank lines hold no row" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_another_encoding_without_a_mark(tmp_path, encoding):
    path = write(tmp_path, "user,film\nann,Titanic\n".encode(encoding))
    with pytest.raises(DataError, match=f"no NUL byte.* looks like the encoding {encoding}: name"):
        rows(open_table(path))
    assert rows(open_table(path, TableOptions(encoding=encoding))) == [
        {"user": "ann", "film": "Titanic"}
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('5" x,"6"", y"\n', ['5" x', '6", y']),
        ('x"",""\n', ['x""', None]),
        ('"a\r\nb",c"\n', ["a\r\nb", 'c"']),
        ('""""," ""\n"\n', ['"', ' "\n']),
        ('a ""b"" c,"d,""e"""\n', ['a ""b"" c', 'd,"e"']),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 2, 3, 100])
def test_quotes(tmp_path, monkeypatch, text, expected, block_bytes):
    monkeypatch.setattr("object2vec.reading.tables.lines.PARSED_BYTES", block_bytes)
    table = open_table(write(tmp_path, "a,b\n" + text * 2))
    assert rows(table) == [dict(zip("ab", expected, strict=True))] * 2


@pytest.mark.parametrize(
    "record",
    ['1,"2" ', '1,"2"3', '1, "2,3"', '1,"2', '"1"",2', '1,"""', '1,"a "b" c"', '1,""a', '"1"a",2'],
)
def test_bad_quotes(tmp_path, record):
    with pytest.raises(DataError, match=r"t\.csv:3: must "):
        rows(open_table(write(tmp_path, f"a,b\n1,2\n{record}\n")))


def test_a_quote_that_is_never_closed_takes_no_memory_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("object2vec.reading.tables.lines.PARSED_BYTES", 8)
    monkeypatch.setattr("object2vec.reading.tables.records.MAX_RECORD_BYTES", 100)
    path = write(tmp_path, 'a,b\n1,2\n1,"' + "x\n" * 1000)
    with pytest.raises(DataError, match=r"t\.csv:3: must close a quote"):
        rows(open_table(path))
    with pytest.raises(DataError, match=r"t\.csv:2: must have records of at most"):
        rows(open_table(write(tmp_path, "a,b\n" + "x" * 1000)))


def test_up_to_20_problems_together(tmp_path, monkeypatch):
    monkeypatch.setattr("object2vec.reading.tables.lines.PARSED_BYTES", 8)
    path = write(tmp_path, "a,b\n" + "1,2\n1\n" * 9)
    with pytest.raises(DataError, match=r"^9 problems:\n  .*:3: .*\n  .*:5: .*(\n.*){6}\n.*:19: "):
        rows(open_table(path))
    path = write(tmp_path, "a,b\n" + "1,2\n1\n" * 50)
    with pytest.raises(DataError, match=r"^the first 20 problems:\n.*:3: "):
        rows(open_table(path))


def test_a_column_of_a_wrong_name_in_text(tmp_path):
    with pytest.raises(DataError, match="If it is a CSV, say so"):
        open_table(write(tmp_path, "a b\n", "t.txt")).check(["a"])
    with pytest.raises(DataError, match="no line holds their names, give them by --columns"):
        open_table(write(tmp_path, "1,2\n")).check(["a"])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"\r\r\n;", ":1: must end its lines with a line feed"),
        (b"a,\xe9\n1,2\n", ":1: must be UTF-8; got '0xe9 at byte 2'. --encoding cp1252 would"),
        (b"a,\0\n1,2\n", ":1: must hold no NUL byte"),
    ],
)
def test_a_header_that_is_no_text(tmp_path, text, match):
    with pytest.raises(DataError, match=match):
        open_table(write(tmp_path, text))


def test_the_first_record_may_hold_values(tmp_path):
    path = write(tmp_path, '5,5,,"a, b"\n')
    options = TableOptions(columns=("any",), separator=",")
    (part,) = [part for part, _ in open_table(path, options)._parts]
    assert part.first_fields() == ["5", "5", "", "a, b"]


@pytest.mark.parametrize("chunks", [[["a"], ["b", None]], [["a"]], []])
def test_chunks_of_a_column_are_one_array(chunks):
    column = pa.chunked_array(chunks, pa.large_string())
    found = plain(column)
    assert isinstance(found, pa.Array)
    assert found.to_pylist() == [value for chunk in chunks for value in chunk]
    assert isinstance(plain(column, dictionary=True), pa.DictionaryArray)


def test_texts_lie_in_dictionaries_where_their_types_are_known(tmp_path):
    """Where texts are parsed, a dictionary costs time, and files take turns."""
    content = pa.table({"a": ["x", "y"]})
    pq.write_table(content, tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("a\nx\n")
    (tmp_path / "a.jsonl").write_text('{"a": "x"}\n')
    found = {name: open_table(tmp_path / name).has_dictionaries for name in os.listdir(tmp_path)}
    assert found == {"a.parquet": True, "a.csv": False, "a.jsonl": False}
    assert not open_table([tmp_path / "a.csv"]).has_dictionaries
