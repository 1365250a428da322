"""Every format of files gives the same table, however it is packed and wherever it lies."""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import zstandard
from pyarrow import feather, ipc

from object2vec.errors import ConfigError, DataError
from object2vec.reading.tables import Forms, TableOptions, open_table
from object2vec.reading.tables.formats import FORMATS, describe_formats

ROWS = [
    {"user": "ann", "film": "007", "score": "4"},
    {"user": "bob", "film": None, "score": "3.5"},
    {"user": "ärger", "film": 'a "b", c', "score": "1"},
]
TABLE = pa.Table.from_pylist(ROWS)
STREAM = (io.BytesIO,)


def rows(table, columns=None, dictionary=()):
    found = [pa.table(b.columns) for b in table.blocks(columns, dictionary)]
    return pa.concat_tables(found, promote_options="permissive").to_pylist()


def arrow_bytes(write):
    sink = pa.BufferOutputStream()
    write(sink)
    return sink.getvalue().to_pybytes()


def stream(sink):
    with ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)


def delimited(separator):
    options = pyarrow.csv.WriteOptions(delimiter=separator)
    return arrow_bytes(lambda sink: pyarrow.csv.write_csv(TABLE, sink, options))


CONTENTS = {
    "t.csv": delimited(","),
    "t.tsv": delimited("\t"),
    "semicolons.csv": delimited(";"),
    "pipes.csv": delimited("|"),
    "unnamed": delimited(","),
    "mark.csv": b"\xef\xbb\xbf" + delimited(","),
    "utf16.csv": delimited(",").decode().encode("utf-16"),
    "t.parquet": arrow_bytes(lambda sink: pq.write_table(TABLE, sink)),
    "t.feather": arrow_bytes(lambda sink: feather.write_feather(TABLE, sink)),
    "t.arrows": arrow_bytes(stream),
    "t.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "t.misnamed.txt": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode(),
}
PACKERS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_of_any_format(tmp_path, name, packed):
    path = tmp_path / (name + packed)
    path.write_bytes(PACKERS[packed](CONTENTS[name]))
    table = open_table(path)
    assert table.names == ["user", "film", "score"]
    assert rows(table) == rows(table) == table.first(9).to_pylist() == ROWS
    assert rows(table, ["film"], {"film"}) == [{"film": row["film"]} for row in ROWS]
    assert [source.name for source in table.sources] == [str(path)]
    assert table.first(2).to_pylist() == ROWS[:2]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.arrows", "t.jsonl"])
def test_standard_input(monkeypatch, name):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CONTENTS[name])))
    table = open_table("-")
    assert rows(table) == rows(table) == ROWS


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_a_url(name):
    import fsspec

    with fsspec.open(f"memory://tables/{name}", "wb") as file:
        file.write(CONTENTS[name])
    table = open_table(f"memory://tables/{name}")
    assert rows(table) == ROWS


def test_text(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("One here.\tAnd two.\r\n\nThree.\n")
    table = open_table(path)
    expected = [["One here.", "And two."], ["Three."]]
    assert rows(table, ["sentences"]) == [{"sentences": each} for each in expected]
    assert rows(table, ["text"]) == [{"text": "\t".join(each)} for each in expected]
    (block,) = table.blocks()
    assert [block.where(row) for row in range(2)] == [f"{path}:1", f"{path}:3"]


def test_fasttext(tmp_path):
    path = tmp_path / "t.train"
    path.write_text("__label__a  two words\nfree __label__b\tmore\n__label__c __label__d x\n")
    table = open_table(path)
    assert rows(table, ["text"], {"text"}) == [
        {"text": text} for text in ("two words", "free\tmore", "x")
    ]
    assert rows(table, ["labels"]) == [{"labels": each} for each in (["a"], ["b"], ["c", "d"])]
    with pytest.raises(DataError, match=r":3: must have one __label__ .* Use the column labels"):
        rows(table, ["label"])
    path.write_text("__label__a x\n")
    assert rows(table, ["label"]) == [{"label": "a"}]


def test_weights_of_starspace(tmp_path):
    path = tmp_path / "t.train"
    path.write_text(
        "__label__a __weight__:0.5 two words\n__label__b x\n__label__c y __weight__:2\n"
    )
    table = open_table(path)
    assert rows(table, ["weight"]) == [{"weight": each} for each in ("0.5", None, "2")]
    assert rows(table, ["text"]) == [{"text": each} for each in ("two words", "x", "y")]
    assert rows(table, ["label"]) == [{"label": each} for each in "abc"]


def test_a_csv_of_one_column_is_known_by_the_name_that_is_looked_for(tmp_path):
    path = tmp_path / "stdin"
    path.write_text('overview\na film about a ship\n"two\nlines"\n')
    for options in (None, TableOptions(expected=("film",))):
        assert open_table(path, options).names[0] == "text"
    table = open_table(path, TableOptions(expected=("film", "overview")))
    assert rows(table) == [{"overview": "a film about a ship"}, {"overview": "two\nlines"}]
    path.write_text('"overview"\r\nx\r\n')
    assert rows(open_table(path, TableOptions(expected=("overview",)))) == [{"overview": "x"}]


def test_labeldoc(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("a b\tc d\te\nf\n")
    table = open_table(path, TableOptions(format="labeldoc"))
    assert rows(table) == [
        {"documents": ["a b", "c d", "e"], "text": "a b", "labels": ["c d", "e"]},
        {"documents": ["f"], "text": "f", "labels": []},
    ]


def test_json_lines(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"user": {"id": "007", "age": 3}, "tags": ["a"], "n": 1}\n'
        "  \n"
        '{"user": {"id": null}, "tags": [], "n": 2}\n\n{"user": null, "n": 2.5}\n{"rare": true}\n'
    )
    table = open_table(path)
    assert table.names == ["user.id", "user.age", "tags", "n", "rare"]
    assert rows(table, ["user.id", "n", "tags"]) == [
        {"user.id": "007", "n": 1.0, "tags": ["a"]},
        {"user.id": None, "n": 2.0, "tags": []},
        {"user.id": None, "n": 2.5, "tags": None},
        {"user.id": None, "n": None, "tags": None},
    ]
    (block,) = table.blocks()
    assert [block.where(row)[-2:] for row in range(4)] == [":1", ":3", ":5", ":6"]
    path.write_text('{"a": 1}\n' * 5000 + '{"a": 1.5, "late": {"x": "y"}}\n{"a": "x"}\n')
    table = open_table(path)
    assert table.names == ["a"]
    assert rows(table, ["late.x"])[-2:] == [{"late.x": "y"}, {"late.x": None}]
    with pytest.raises(DataError, match=r':5002: "a" must have values of one type .* got .x.'):
        rows(table, ["a"])
    with pytest.raises(DataError, match="must have every column that is named; got 'b'"):
        rows(table, ["b"])


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ('{"a": 1, "a": 2}', ':2: must have the key "a" once'),
        ('{"a": NaN}', ":2: .* finite numbers"),
        ('{"a": 1e999}', ":2: .* finite numbers"),
        ("[1]", ":2: must be one JSON object; got"),
        ('{"a": 1} {"a": 2}', ":2: must be one JSON object .Extra data at column 10."),
        ('{"a": {"b": 1}}', ':2: "a" must have values of one type'),
        ('{"a": [1]}', ':2: "a" must have values of one type'),
        ('{"a": true}', ':2: "a" must have values of one type'),
        ('{"a": 99999999999999999999999}', ':2: "a" must have values of one type'),
        ('{"a": 1', ":2: must be one JSON object"),
    ],
)
@pytest.mark.parametrize("late", [0, 2000])
def test_wrong_json_lines(tmp_path, line, match, late):
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n' * (late + 1) + line + "\n")
    match = match.replace(":2:", f":{late + 2}:")
    with pytest.raises(DataError, match=match):
        rows(open_table(path))


def test_a_list_of_records(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('[{"a": 1},\n{"a": 2}]')
    with pytest.raises(DataError, match=r"one record per line.*jq -c '.\[\]' FILE"):
        open_table(path)


def test_types_of_parquet(tmp_path):
    content = pa.table(
        {
            "large": pa.array(["a", None], pa.large_string()),
            "view": pa.array(["a", None], pa.string_view()),
            "bytes": pa.array([b"a", None]),
            "dictionary": pa.array(["a", None]).dictionary_encode(),
            "list": pa.array([["a"], None], pa.large_list(pa.large_string())),
            "struct": pa.array([{"id": 1}, None]),
            "n": pa.array([1, None], pa.int8()),
        }
    )
    pq.write_table(content, tmp_path / "t.parquet")
    for table in (open_table(tmp_path / "t.parquet"), open_table(content)):
        names = [n for n in content.column_names if n != "struct"]
        assert table.names == [*names[:5], "struct.id", "n"]
        assert rows(table, ["struct.id", *names]) == [
            {"struct.id": None if row["struct"] is None else 1, **{n: row[n] for n in names}}
            | ({"bytes": "a"} if row["bytes"] else {})
            for row in content.to_pylist()
        ]
        (block,) = table.blocks(None, {"large", "view"})
        types = [array.type for array in block.columns.values()]
        assert types[0] == types[1] == types[3] == pa.dictionary(pa.int32(), pa.string())
        assert types[2] == pa.string()
        assert types[4] == pa.list_(pa.string())


def test_a_folder_with_partitions(tmp_path):
    for year, country in (("2023", "de"), ("2024", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / f"year={year}" / f"country={country}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"a": [year]}), folder / "part-0.parquet")
    (tmp_path / "_SUCCESS").touch()
    table = open_table(tmp_path)
    assert table.names == ["a", "year", "country"]
    expected = [
        {"a": "2023", "year": "2023", "country": "de"},
        {"a": "2024", "year": "2024", "country": None},
    ]
    assert rows(table) == rows(table, None, {"year", "country"}) == expected
    assert table.first(5).to_pylist() == expected
    assert rows(table, ["year"]) == [{"year": "2023"}, {"year": "2024"}]


def test_several_files(tmp_path):
    (tmp_path / "a.csv").write_text("u,f\n1,2\n")
    (tmp_path / "b.csv").write_text("f,u\n3,4\n")
    (tmp_path / "empty.csv").touch()
    expected = [{"u": "1", "f": "2"}, {"u": "4", "f": "3"}]
    assert rows(open_table(tmp_path)) == rows(open_table([tmp_path / "a.csv", tmp_path / "b.csv"]))
    assert rows(open_table(tmp_path)) == expected
    (tmp_path / "c.csv").write_text("u,g\n3,4\n")
    with pytest.raises(DataError, match=r"c\.csv: must have the columns of .*no f, g besides"):
        open_table(tmp_path)


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_a_separator_may_have_several_characters(tmp_path, monkeypatch, size):
    monkeypatch.setattr("object2vec.files.contents.BLOCK_BYTES", size)
    path = tmp_path / "ratings.dat"
    path.write_text('1::a:b::"x::y"\r\n2::::z\n3:::c::"::"')
    options = TableOptions(columns=("user", "film", "note"), separator="::")
    expected = [("1", "a:b", "x::y"), ("2", None, "z"), ("3", ":c", "::")]
    for form in ({}, {"dictionary": {"film", "note"}}, {"spans": {"film", "note"}}):

        def rows_of(columns):
            arrays = [c if isinstance(c, pa.Array) else c.array() for c in columns.values()]
            return list(zip(*(each.to_pylist() for each in arrays), strict=True))

        blocks = open_table(path, options).map_blocks(rows_of, None, Forms(**form))
        assert [row for _, made in blocks for row in made] == expected
    path.write_text("user::film\n1::2::3\n")
    with pytest.raises(
        DataError, match=r":2: must have 2 fields like the header; got '3: 1::2::3'"
    ):
        rows(open_table(path, TableOptions(separator="::")))
    path.write_text("user::film\n1::\x1f\n")
    with pytest.raises(DataError, match=r"must not hold U\+001F beside the separator ::"):
        rows(open_table(path, TableOptions(separator="::")))


def test_lines_may_end_in_carriage_returns_alone(tmp_path):
    path = tmp_path / "old.csv"
    path.write_bytes(b"user,film\rann,Up\r\rbob,Jaws\r")
    assert rows(open_table(path)) == [
        {"user": "ann", "film": "Up"},
        {"user": "bob", "film": "Jaws"},
    ]
    path.write_bytes(b'user,film\rann,"Up"\r')
    with pytest.raises(DataError, match="must end its lines with a line feed"):
        rows(open_table(path, TableOptions(format="csv")))


def test_options(tmp_path):
    path = tmp_path / "u.data"
    path.write_text("1\t007\n2\t3\n")
    table = open_table(path, TableOptions(columns=("user", "film")))
    assert rows(table) == [{"user": "1", "film": "007"}, {"user": "2", "film": "3"}]
    path.write_bytes("a,b\ncaf\xe9,1\n".encode("latin-1"))
    assert rows(open_table(path, TableOptions(encoding="latin-1")))[0]["a"] == "café"
    path.write_text('a\tb\n"x\ty\n')
    assert rows(open_table(path, TableOptions(format="tsv", quote=""))) == [{"a": '"x', "b": "y"}]
    for options, match in [
        ({"format": "cvs"}, "format: .* Did you mean csv"),
        ({"separator": "é"}, "separator: must be ASCII characters"),
        ({"separator": ""}, "separator: must be ASCII characters"),
        ({"separator": '"'}, "separator: must hold neither the quote nor a character that"),
        ({"separator": "|\n"}, "separator: must hold neither the quote nor a character that"),
        ({"quote": "''"}, "quote: must be one ASCII character"),
        ({"quote": "é"}, "quote: must be one ASCII character"),
        ({"quote": "\n"}, "quote: must be one ASCII character"),
        ({"columns": ("a", "a")}, "columns: must be different"),
        ({"encoding": "utf-9"}, "encoding: must be of text"),
        ({"encoding": "rot13"}, "encoding: must be of text"),
    ]:
        with pytest.raises(ConfigError, match=match):
            open_table(path, TableOptions(**options))


def test_what_is_read_once_is_kept():
    def batches():
        yield {"a": ["x"]}
        yield pa.table({"a": ["y"]})
        yield [{"a": "z"}]

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches())
    table = open_table(reader)
    assert rows(table) == rows(table) == ROWS
    assert table.sources is None
    table = open_table(batches())
    assert rows(table) == rows(table) == [{"a": "x"}, {"a": "y"}, {"a": "z"}]
    (*_, last) = table.blocks()
    assert last.where(0) == "table row 2"
    with pytest.raises(DataError, match="batch 1: must have the columns a"):
        open_table(iter([{"a": [1]}, {"b": [1]}]))


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.arrows"])
@pytest.mark.parametrize("end", [20, 150, -9])
def test_damaged_files(tmp_path, name, end):
    path = tmp_path / name
    path.write_bytes(CONTENTS[name][:end])
    with pytest.raises(DataError, match=r"t\.\w+: must be an? \w+ file that is whole"):
        rows(open_table(path))


def test_foreign_files(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(DataError, match="got 'a zip archive'"):
        open_table(path)


@pytest.mark.parametrize("content", [{"a": ["x", 1]}, [{"a": "x"}, {"a": 1}]])
def test_mixed_types_in_memory(content):
    with pytest.raises(DataError, match='table row 1: must have a value in column "a" like'):
        open_table(content)


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.arrows"])
def test_text_that_is_not_utf_8(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(CONTENTS[name].replace("ärger".encode(), b"\xe4rger!"))
    if name == "t.parquet":
        offsets = pa.py_buffer(b"\0\0\0\0\1\0\0\0")
        bad = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xe4"))
        pq.write_table(pa.table({"user": bad}), path)
    with pytest.raises(DataError, match=r"row 0: must have whole values and text in UTF-8 in col"):
        rows(open_table(path), ["user"])


def test_what_is_wrong_in_other_columns_does_not_matter(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": "x", "b": 1, "c": {"d": 1}}\n{"a": "y", "b": "z", "c": {"d": "z"}}\n')
    table = open_table(path)
    assert rows(table, ["a"]) == table.first(5, ["a"]).to_pylist() == [{"a": "x"}, {"a": "y"}]
    for column in ("b", "c.d"):
        with pytest.raises(DataError, match=rf':2: "{column}" must have values of one type'):
            rows(table, [column])
    path.write_bytes(b"a,b\nx,\xe9\n")
    table = open_table(path, TableOptions(format="csv"))
    assert rows(table, ["a"]) == table.first(5, ["a"]).to_pylist() == [{"a": "x"}]


def test_a_named_pipe(tmp_path):
    import os
    import threading

    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(CONTENTS["t.csv"]))
    writer.start()
    table = open_table(pipe)
    writer.join()
    assert rows(table) == rows(table) == ROWS


def test_columns_that_some_files_of_json_lines_lack(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": "x"}\n')
    (tmp_path / "b.jsonl").write_text('{"a": "y", "b": 2}\n')
    table = open_table(tmp_path)
    expected = [{"a": "x", "b": None}, {"a": "y", "b": 2}]
    assert table.names == ["a", "b"]
    assert rows(table) == rows(table, ["a", "b"]) == table.first(3).to_pylist() == expected


@pytest.mark.parametrize(
    ("encoding", "data", "match"),
    [
        ("ascii", "a,b\n1,é\n".encode(), "must be ASCII text; got '.* at byte 6'. Name its enc"),
        ("shift_jis", b"a,b\n1,\x81", "must be SHIFT_JIS text; got '.* at byte 6'"),
        ("utf-16", b"a,b\n1,2\n", "must be UTF-16 text; got '.*BOM"),
        (None, b"\xff\xfea", "must be UTF-16 text, as it begins; got 'truncated data at byte 2'"),
    ],
)
def test_text_in_another_encoding_than_it_should_be(tmp_path, encoding, data, match):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=match):
        rows(open_table(path, TableOptions(encoding=encoding)))


def test_all_formats_are_described():
    text = describe_formats()
    assert "| `csv` | `.csv` | fields between separators, a header line" in text
    assert text.count("\n") == len(FORMATS) + 2
    assert text in (Path(__file__).parents[3] / "docs/data.md").read_text()


@pytest.mark.parametrize(
    ("name", "option", "format_name"),
    [
        *(("t.parquet", option, "parquet") for option in ("columns", "separator", "quote")),
        ("t.arrows", "encoding", "arrow"),
        ("t.jsonl", "quote", "jsonl"),
        ("t.txt", "quote", "text"),
    ],
)
def test_an_option_that_a_format_has_no_use_for(name, option, format_name, tmp_path, caplog):
    contents = CONTENTS | {"t.txt": b"some words\nothers\n"}
    (tmp_path / name).write_bytes(contents[name])
    given = {option: {"columns": ("a",), "encoding": "latin-1"}.get(option, ";")}
    open_table(tmp_path, TableOptions(**given))
    said = f"{tmp_path / name}: {option} is not used, as the format is {format_name}"
    assert [record.getMessage() for record in caplog.records] == [said]
    with pytest.raises(ConfigError, match=f"{option}: must be left out with format {format_name}"):
        open_table(tmp_path, TableOptions(format_name, **given))
    caplog.clear()
    (tmp_path / "other.csv").write_bytes(b"user;film\n1;2\n")
    with contextlib.suppress(DataError):  # the columns differ
        open_table(tmp_path, TableOptions(**given))
    assert not caplog.records
