"""Whatever text a table is in, and wherever its blocks end: a row is known by its line."""

from functools import partial

import pytest

from object2vec.errors import DataError
from object2vec.files.contents import read_blocks
from object2vec.files.sources import list_sources
from object2vec.reading.tables import TableOptions, open_table, whole_lines
from object2vec.reading.tables.whole_lines import Lines

TEXTS = {  # what stands before the rows, and a row
    "csv": (b"a,b\n", b"1,2\n"),
    "tsv": (b"a\tb\n", b"1\t2\n"),
    "jsonl": (b"", b'{"a": 1, "b": "2"}\n'),
    "fasttext": (b"", b"__label__a one\n"),
    "labeldoc": (b"", b"one\ttwo\n"),
    "text": (b"", b"one two\n"),
    "lines": (b"", b"one\n"),
}
WRONG = [
    *(
        (name, b"\xff".join(row[:-1].rsplit(row[-2:-1], 1)) + b"\n", "must be UTF-8")
        for name, (_, row) in TEXTS.items()
        if name != "jsonl"
    ),
    ("jsonl", b'{"a": 1, "b": "\xff"}\n', "must be UTF-8"),
    ("jsonl", b'{"a": 1, "b": }\n', "must be .*JSON"),
    ("csv", b"1,2,3\n", "must have 2 fields"),
    ("tsv", b"1\n", "must have 2 fields"),
    ("csv", b'1,"2"3\n', "must close a quote"),
    ("csv", b"1,\0\n", "must hold no NUL"),
    ("fasttext", b"one two\n", "must have one __label__"),
]


def table_of(path, name):
    if name == "lines":
        return Lines(list_sources([str(path)]), "word")
    return open_table(path, TableOptions(format=name))


@pytest.fixture(params=[1, 25, 1 << 20])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr("object2vec.reading.tables.lines.PARSED_BYTES", request.param)
    monkeypatch.setattr(whole_lines, "read_blocks", partial(read_blocks, block_bytes=request.param))


@pytest.mark.parametrize("name", TEXTS)
def test_a_row_is_known_by_its_line(tmp_path, name, block_bytes):
    before, row = TEXTS[name]
    path = tmp_path / "t"  # whose blank line is a row where every line is one
    path.write_bytes(before + row * 2 + b"\n" + row * 3)
    numbers = [n + before.count(b"\n") for n in (1, 2, *([3] if name == "lines" else []), 4, 5, 6)]
    where = [b.where(n) for b in table_of(path, name).blocks() for n in range(b.rows)]
    assert where == [f"{path}:{n}" for n in numbers]


@pytest.mark.parametrize("at", [1, 2, 5])
@pytest.mark.parametrize(("name", "wrong", "message"), WRONG)
def test_what_is_wrong_is_named_by_its_line(tmp_path, name, wrong, message, at, block_bytes):
    before, row = TEXTS[name]
    path = tmp_path / "t"
    path.write_bytes(before + row * (at - 1) + wrong + row * 3)
    line = at + before.count(b"\n")
    with pytest.raises(DataError, match=rf"(^|\n *)\S*/t:{line}: {message}"):
        list(table_of(path, name).blocks())


@pytest.mark.parametrize("rows", [1, 5000])  # the beginning says what all are, and what follows
def test_json_lines_are_text_whichever_columns_are_read(tmp_path, rows):
    path = tmp_path / "t"
    path.write_bytes(TEXTS["jsonl"][1] * rows + b'{"a": 1, "c": "\xff"}\n')
    with pytest.raises(DataError, match=rf"/t:{rows + 1}: must be UTF-8"):
        list(table_of(path, "jsonl").blocks(["a"]))
