"""What divides the fields of a text, and fields as they are read without a table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from object2vec.errors import DataError
from object2vec.reading.tables import TableOptions, open_table
from object2vec.reading.tables.formats import csv
from object2vec.reading.tables.records import Delimiters
from object2vec.reading.tables.types import TEXT_DICTIONARY, merged_type

LONG = "a,b;c\n" * 99


@pytest.mark.parametrize(
    ("head", "options", "separator"),
    [
        ("a,b\n1,2\n", {}, ","),
        ("a;b\n1;2", {}, ";"),
        ("a|b\n", {}, "|"),
        ("a\tb,c\n1\t2\n", {}, "\t"),  # a comma does not divide all lines alike
        ("a,b;c\n1,2;3\n", {}, ","),  # both do: the first in order
        ("a,b;c;d\n1,2;3;4\n", {}, ";"),  # into more fields
        ("a,b;c;d\n1,2;3;4\n", {"columns": ("x", "y")}, ","),
        ("a,b;c;d\n1,2;3;4\n", {"columns": ("x", "y", "z")}, ";"),
        ('"a;b;c",d\n"e;f;g",h\n', {}, ","),
        ("'a,b,c';d\n'e,f,g';h\n", {"quote": "'"}, ";"),
        ('"a,b,c;d\n', {"quote": ""}, ","),
        ("a\n1,2\n", {}, ","),
        ("a b\n", {}, ","),
        ("\na;b\n\n1;2\n", {}, ";"),
        ('a;"b"x\n', {}, ","),  # bad quotes divide nothing
        (LONG + "a,b;c\na,b,d;c\n", {}, ","),  # behind the first hundred rows nobody looks
        (LONG + "a,b,d;c\n", {}, ";"),
        ("a,b;c;d\n1,2\n1,2\n", {}, ","),
        ("a;b\n1;2;3\n", {}, ";"),  # the only one, though not alike
        ("a,b\n1;2;3\n", {}, ","),
    ],
)
def test_a_separator_is_known_by_the_first_lines(head, options, separator):
    assert csv.sniff_separator(head.encode(), TableOptions(**options)) == separator


@pytest.mark.parametrize(
    ("record", "quote", "fields"),
    [
        ('a,"b,""c""",', '"', ["a", 'b,"c"', ""]),
        ("a", '"', ["a"]),
        ('"a,b"', "", ['"a', 'b"']),
        ('a "b" c,d', '"', ['a "b" c', "d"]),
        ("'a,''b',c", "'", ["a,'b", "c"]),
    ],
)
def test_fields_of_a_record(record, quote, fields):
    assert csv.read_fields(record.encode(), Delimiters(",", quote)) == fields


def test_quotes_behind_the_beginning_of_lines_that_end_in_carriage_returns(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "FIRST_BYTES", 8)
    (tmp_path / "old.csv").write_bytes(b'u,f\rann,Up\rbob,"x"\r')
    must = "must end its lines with a line feed where it has quotes; got 'carriage returns alone'"
    with pytest.raises(DataError, match=must):
        list(open_table(tmp_path / "old.csv", TableOptions(format="csv")).blocks())
    (tmp_path / "old.csv").write_bytes(b'u,f\rann,Up\rbob,"x\r')
    options = TableOptions(format="csv", quote="")
    (block,) = open_table(tmp_path / "old.csv", options).blocks()
    assert block.columns["f"].to_pylist() == ["Up", '"x']


@pytest.mark.parametrize("lines", [3, 40_000])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_an_encoding_with_nul_bytes_is_named(tmp_path, encoding, lines):
    (tmp_path / "t.csv").write_bytes(("a,b\n" * lines).encode(encoding))
    must = rf"t.csv:1: must hold no NUL byte; got .*It looks like the encoding {encoding}: name it"
    with pytest.raises(DataError, match=must):
        list(open_table(tmp_path / "t.csv").blocks())
    options = TableOptions(encoding=encoding)
    blocks = open_table(tmp_path / "t.csv", options).blocks()
    assert sum(map(len, blocks)) == lines - 1


def test_other_nul_bytes_are_of_no_encoding(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n" + b"x\0y,z\n" * 30)
    with pytest.raises(DataError) as caught:
        list(open_table(tmp_path / "t.csv").blocks())
    head, *lines = str(caught.value).splitlines()
    assert head == "the first 20 problems:"
    assert lines[0].endswith(
        ":2: must hold no NUL byte; got 'one at byte 5'. Check that it is a text, or remove it."
    )
    assert ":21: must hold no NUL byte; got 'one at byte 119'." in lines[-1]


@pytest.mark.parametrize("lines", [1, 40_000])
@pytest.mark.parametrize("name", ["t.txt", "t.csv"])
def test_a_nul_byte_is_named_with_its_line(tmp_path, name, lines):
    row = "a b\n" if name == "t.txt" else "a,b\n"
    (tmp_path / name).write_text(row * lines + row.replace("b", "\0") + row)
    table = open_table(tmp_path / name) if lines > 1 else None
    with pytest.raises(DataError, match=rf"{name}:{lines + 1}: must hold no NUL byte"):
        list((table or open_table(tmp_path / name)).blocks())


def test_files_must_agree_in_what_their_paths_hold(tmp_path):
    for name in ("year=2023/a.parquet", "b.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"a": [1]}), tmp_path / name)
    must = "must lie in a folder that names the same columns as those of other files; got 'none for"
    with pytest.raises(DataError, match=rf"b.parquet: {must} year'. Move it"):
        open_table(tmp_path)


def test_files_must_agree_in_the_types_of_their_columns(tmp_path):
    for name, values in (("a", [1]), ("b", [2.5]), ("c", ["x"])):
        pq.write_table(pa.table({"n": values}), tmp_path / f"{name}.parquet")
    table = open_table([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert table.schema.field("n").type == pa.float64()
    assert table.first(5).to_pylist() == [{"n": 1.0}, {"n": 2.5}]
    with pytest.raises(DataError) as caught:
        open_table(tmp_path)
    where, _, what = str(caught.value).partition(": ")
    assert where.endswith("c.parquet")
    like = f'must have double in column "n" like {tmp_path / "a.parquet"}; got '
    assert what == f"{like}'string'. Convert one of them."


TEXT, WHOLE, REAL = pa.string(), pa.int64(), pa.float64()


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (TEXT, TEXT, TEXT),
        (TEXT, TEXT_DICTIONARY, TEXT),
        (pa.null(), TEXT, TEXT),
        (pa.null(), pa.null(), pa.null()),
        (pa.int8(), pa.int8(), pa.int8()),
        (pa.int8(), pa.uint16(), WHOLE),
        (pa.int8(), pa.float32(), REAL),
        (pa.float32(), REAL, REAL),
        (pa.list_(pa.int8()), pa.list_(REAL), pa.list_(REAL)),
        (pa.list_(pa.null()), pa.list_(TEXT), pa.list_(TEXT)),
        (pa.list_(TEXT), pa.list_(WHOLE), None),
        (pa.list_(TEXT), TEXT, None),
        (TEXT, WHOLE, None),
        (TEXT_DICTIONARY, WHOLE, None),
        (pa.bool_(), WHOLE, None),
        (pa.date32(), pa.timestamp("us"), None),
        (pa.decimal128(5), REAL, None),
    ],
)
def test_types_have_one_for_the_values_of_both(first, second, both):
    assert merged_type(first, second) == both
    assert merged_type(second, first) == both


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.timestamp("us"), pa.timestamp("ns")),
        (pa.date32(), pa.date64()),
        (pa.decimal128(5), pa.decimal128(7, 2)),
    ],
)
def test_types_of_one_sort_are_that_of_the_first(first, second):
    assert merged_type(first, second) == first


def test_no_row_is_counted_in_what_has_bad_quotes():
    assert len(csv.sniffed_counts(b'a,"b"x\n', Delimiters(",", '"'))) == 0
    counts = csv.sniffed_counts(b"a,b\n\nc\n" * 60, Delimiters(",", '"'))
    assert counts.tolist() == [2, 1] * 50
    assert np.issubdtype(counts.dtype, np.integer)


@pytest.mark.parametrize("text", ['a,b\n"1",2\n3,4\n5,6\n', "a,b\n'1',2\n3,4\n5,6\n"])
def test_a_parser_that_finds_other_records_than_there_are_is_not_trusted(
    text, tmp_path, monkeypatch
):
    """Whatever it takes differently from the rules here: nothing is lost in silence."""
    (tmp_path / "x.csv").write_text(text)
    table = open_table(tmp_path / "x.csv", TableOptions(quote=text[4]))
    read_csv = csv.pyarrow_csv.read_csv
    monkeypatch.setattr(csv.pyarrow_csv, "read_csv", lambda *given: read_csv(*given).slice(1))
    expected = r"x\.csv:2: must be CSV from here on; got '2 rows on 3 lines'\. Check how it was"
    with pytest.raises(DataError, match=expected):
        list(table.map_blocks(dict))
