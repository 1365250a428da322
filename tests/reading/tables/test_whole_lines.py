"""Lines that are values as they are: nothing in them is quoted, and none is lost."""

from functools import partial

import pyarrow as pa
import pytest

from object2vec.errors import DataError
from object2vec.files.contents import read_blocks
from object2vec.files.sources import list_sources
from object2vec.reading.tables import whole_lines
from object2vec.reading.tables.whole_lines import Lines, lines_of


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"\n\n", ["", ""]),
        (b'"a,\tb\r\nc\r\r\n\rd', ['"a,\tb', "c\r", "\rd"]),
        ("Zoë\n".encode(), ["Zoë"]),
    ],
)
def test_a_text_is_its_lines(data, lines):
    assert lines_of(data).to_pylist() == lines


def table(tmp_path, monkeypatch, *files):
    monkeypatch.setattr(whole_lines, "read_blocks", partial(read_blocks, block_bytes=6))
    for number, content in enumerate(files):
        (tmp_path / f"{number}.txt").write_bytes(content)
    return Lines(list_sources([str(tmp_path / f"{n}.txt") for n in range(len(files))]), "word")


def test_a_table_of_lines_has_one_column_and_the_rows_of_all_files(tmp_path, monkeypatch):
    lines = table(tmp_path, monkeypatch, b"ann\nbob\ncid\ndan\n", b"eve\n")
    assert lines.schema == pa.schema([("word", pa.string())])
    assert lines.first(2).to_pydict() == {"word": ["ann", "bob"]}
    blocks = list(lines.blocks())
    assert [v for block in blocks for v in block.columns["word"].to_pylist()] == [
        "ann",
        "bob",
        "cid",
        "dan",
        "eve",
    ]
    assert table(tmp_path, monkeypatch, b"").first(3).num_rows == 0


def test_a_line_that_is_no_utf_8_is_named(tmp_path, monkeypatch):
    lines = table(tmp_path, monkeypatch, b"ann\nbob\nb\xffefghijklmn\n")
    message = r"0\.txt:3: must be UTF-8; got b'\\xffefghijk'\. Convert the file to UTF-8\."
    with pytest.raises(DataError, match=message):
        list(lines.blocks())
