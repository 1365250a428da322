"""Rows of numbers in every format, in a file and on standard output."""

from __future__ import annotations

import contextlib
import io
import json
import os
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from object2vec.cli import output
from object2vec.cli.output import Piece, format_of, json_lines, write_rows
from object2vec.errors import StorageError

ROWS = np.array([[0.1, 2, -3], [1e-8, -0.0, 1e20], [5, 6, 7.5], [0, 0, 0]], np.float32)
FORMATS = ["jsonl", "npy", "arrow"]


def pieces(*lengths):
    ends = np.cumsum((0, *lengths))
    return [Piece(ROWS[a:b]) for a, b in pairwise(ends)]


def rows_of(content, row_format, key):
    """What a reader gets, (n, width)."""
    if row_format == "npy":
        return np.load(io.BytesIO(content))
    if row_format == "jsonl":
        read = [json.loads(line)[key] for line in content.splitlines()]
        return np.array(read, np.float32).reshape(-1, 3)
    table = pa.ipc.open_stream(content).read_all()
    assert table.schema == pa.schema([pa.field(key, pa.list_(pa.float32(), 3), nullable=False)])
    return np.array(table[key].to_pylist(), np.float32).reshape(-1, 3)


@pytest.mark.parametrize("row_format", FORMATS)
@pytest.mark.parametrize("lengths", [(), (0,), (4,), (1, 3), (2, 0, 2), (1, 1, 1, 1)])
def test_pieces_are_rows_of_one_output(row_format, lengths, tmp_path):
    write_rows(pieces(*lengths), "scores", 3, row_format, str(tmp_path / "out"))
    content = (tmp_path / "out").read_bytes()
    found = rows_of(content, row_format, "scores")
    assert found.dtype == np.float32
    assert found.tobytes() == ROWS[: sum(lengths)].tobytes()
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("row_format", FORMATS)
@pytest.mark.parametrize("out", [None, "-", "/dev/stdout"])
def test_standard_output_gets_what_a_file_gets(row_format, out, tmp_path, capfdbinary):
    write_rows(pieces(1, 3), "scores", 3, row_format, str(tmp_path / "out"))
    write_rows(pieces(1, 3), "scores", 3, row_format, out)
    assert capfdbinary.readouterr().out == (tmp_path / "out").read_bytes()


def test_room_is_asked_for_up_to_the_end_of_each_piece(tmp_path, monkeypatch):
    """The disk is flushed whenever more room had to be set aside, and only then."""
    asked, flushed = [], []

    @contextlib.contextmanager
    def space_ahead(stream):
        yield lambda offset: asked.append(offset) or len(asked) == 2

    monkeypatch.setattr(output, "space_ahead", space_ahead)
    monkeypatch.setattr(os, "fdatasync", flushed.append)
    write_rows(pieces(1, 2, 1), "scores", 3, "npy", str(tmp_path / "out"))
    header = (tmp_path / "out").stat().st_size - ROWS.nbytes
    assert asked == [header + rows * 3 * 4 for rows in (1, 3, 4)]
    assert len(flushed) == 1


@pytest.mark.parametrize("row_format", FORMATS)
def test_what_fails_midway_leaves_what_stood_there(row_format, tmp_path):
    def failing():
        yield from pieces(2)
        raise ZeroDivisionError

    (tmp_path / "out").write_text("as before")
    with pytest.raises(ZeroDivisionError):
        write_rows(failing(), "scores", 3, row_format, str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "as before"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_piece_that_is_not_written_is_an_error(at, tmp_path, monkeypatch):
    """It is written by another thread, while the next one is computed."""
    write, calls = output._write_piece, []

    def failing(*given):
        calls.append(given)
        if len(calls) == at + 1:
            raise OSError(28, "No space left on device")
        write(*given)

    monkeypatch.setattr(output, "_write_piece", failing)
    with pytest.raises(StorageError, match=rf"{tmp_path}/out: must be .*; got 'No space left"):
        write_rows(pieces(1, 1, 1, 1), "scores", 3, "npy", str(tmp_path / "out"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("out", [None, "-"])
def test_standard_output_is_called_so_in_an_error(out):
    def failing():
        yield from ()
        raise OSError(5, "Input/output error")

    with pytest.raises(StorageError, match=r"^standard output: .*; got 'Input/output error'"):
        write_rows(failing(), "scores", 3, "jsonl", out)


def test_a_link_stays_one_to_what_is_written(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_rows(pieces(1), "scores", 3, "jsonl", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "real").read_text()) == {"scores": [0.1, 2.0, -3.0]}


def test_json_says_what_is_remarked_of_each_row():
    remarks = pa.array([', "label": "good"', ""])
    assert json_lines(ROWS[2:], "scores", remarks) == (
        b'{"scores": [5.0, 6.0, 7.5], "label": "good"}\n{"scores": [0.0, 0.0, 0.0]}\n'
    )
    assert json_lines(ROWS[3:], "scores") == b'{"scores": [0.0, 0.0, 0.0]}\n'
    assert json_lines(ROWS[:0], "scores") == b""
    assert json_lines(ROWS[:0], "scores", pa.array([], pa.string())) == b""


@pytest.mark.parametrize(
    ("out", "row_format"),
    [
        ("a.npy", "npy"),
        ("A.NPY", "npy"),
        ("a.arrow", "arrow"),
        ("b.c/a.arrows", "arrow"),
        ("a.jsonl", "jsonl"),
        ("a", "jsonl"),
        (".npy", "jsonl"),
        ("a.npy/b", "jsonl"),
        ("s3://bucket/a.npy", "npy"),
        ("-", "jsonl"),
        (None, "jsonl"),
        ("", "jsonl"),
    ],
)
def test_the_format_is_that_of_the_name(out, row_format):
    assert format_of(out) == row_format
