"""Rows of numbers as JSON Lines, .npy or Arrow, on standard output or in a file."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from object2vec.cli.options import RowFormat
from object2vec.files.remote import is_url, write_object
from object2vec.files.whole import space_ahead, storing, whole_file

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float32]

# Opened by these names, a file that a shell appends to would be emptied or replaced.
_STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


class Piece(NamedTuple):
    """Some rows.

    Parameters
    ----------
    numbers : float32 array (n, width)
        Finite.
    remarks : pyarrow array of n strings, optional
        What JSON says of each row behind its numbers, such as ``, "label": "good"``.
    """

    numbers: Floats
    remarks: pa.Array | None = None


def format_of(out: str | None) -> RowFormat:
    """Return the format that the name of a file ends in; JSON Lines if in none.

    Examples
    --------
    >>> format_of("films.npy"), format_of("films.json"), format_of(None)
    ('npy', 'jsonl', 'jsonl')
    """
    suffixes: dict[str, RowFormat] = {".npy": "npy", ".arrow": "arrow", ".arrows": "arrow"}
    return suffixes.get(Path(out or "").suffix.lower(), "jsonl")


def write_rows(
    pieces: Iterable[Piece], key: str, width: int, row_format: RowFormat, out: str | None
) -> None:
    """Write rows of numbers, piece by piece.

    Parameters
    ----------
    pieces : iterable of Piece
        The next one may be asked for while the one before is written.
    key : str
        Name of the numbers: the key in JSON, the column in Arrow.
    width : int
        Numbers in a row, also if there is no row.
    row_format : {"jsonl", "npy", "arrow"}
    out : str or None
        A file or URL, which appears whole or not at all, or what is no regular file, such as a
        named pipe; standard output if None or "-".

    Raises
    ------
    StorageError
        If the output cannot be written.
    """
    write = {"jsonl": _write_jsonl, "npy": _write_npy, "arrow": _write_arrow}[row_format]
    with _open_output(out) as stream:
        write(pieces, key, width, stream)


def _write_jsonl(pieces: Iterable[Piece], key: str, width: int, stream: BinaryIO) -> None:
    for piece in pieces:
        stream.write(json_lines(piece.numbers, key, piece.remarks))


def json_lines(rows: Floats, key: str, remarks: pa.Array | None = None) -> bytes:
    r"""Return ``{"key": [0.1, 0.2]}`` for each row, on a line of its own.

    Parameters
    ----------
    rows : float32 array (n, width)
        Finite numbers.
    key : str
    remarks : pyarrow array of n strings, optional
        As in `Piece`.

    Notes
    -----
    Arrow writes the shortest decimal that reads back as the same float32, without work per row in
    Python.

    Examples
    --------
    >>> json_lines(np.array([[0.1, 2]], np.float32), "embeddings")
    b'{"embeddings": [0.1, 2.0]}\n'
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    count, width = rows.shape
    numbers = pc.cast(_arrow(rows.ravel(), pa.float32()), pa.string())  # (n * width,)
    if (rows == np.trunc(rows)).any():  # "1" and "-0" are other numbers to a reader than 1.0, -0.0
        numbers = pc.replace_substring_regex(numbers, pattern=r"^(-?\d+)$", replacement=r"\1.0")
    offsets = _arrow(np.arange(0, count * width + 1, width, dtype=np.int32), pa.int32())
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, numbers), _text(", "))  # (n,)
    ends = ["]}\n"] if remarks is None else ["]", remarks, "}\n"]
    parts = [f'{{"{key}": [', joined, *ends, ""]
    parts = [_text(each) if isinstance(each, str) else each for each in parts]
    lines = pc.binary_join_element_wise(*parts)
    return lines.buffers()[2].to_pybytes() if count else b""


def _arrow(numbers: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return numbers (n,) as an array of Arrow's; its own way to one imports pandas."""
    import pyarrow as pa

    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def _text(text: str) -> pa.Scalar:
    """Return a text as a value of Arrow's, which imports pandas to make one of its own."""
    import pyarrow as pa

    content = text.encode()
    bounds = np.array([0, len(content)], np.int32)
    return pa.StringArray.from_buffers(1, pa.py_buffer(bounds), pa.py_buffer(content))[0]


def _write_npy(pieces: Iterable[Piece], key: str, width: int, stream: BinaryIO) -> None:
    """Write an array whose header is known only at the end, by way of a file if need be."""
    if not _is_own_file(stream):
        with tempfile.TemporaryFile() as spool:
            _write_npy(pieces, key, width, spool)
            spool.seek(0)
            shutil.copyfileobj(spool, stream, 1 << 20)
        return
    count = 0
    _write_npy_header(stream, count, width)
    header = stream.tell()
    # One thread writes while the next rows are computed.
    with space_ahead(stream) as reserve, ThreadPoolExecutor(1, "object2vec-output") as writer:
        written: Future[None] | None = None
        for numbers, _ in pieces:
            if written is not None:
                written.result()
            count += len(numbers)
            is_due = reserve(header + 4 * count * width)
            written = writer.submit(_write_piece, numbers, stream, is_due)
        if written is not None:
            written.result()
    stream.seek(0)
    _write_npy_header(stream, count, width)


def _write_piece(numbers: Floats, stream: BinaryIO, is_flush_due: bool) -> None:
    """Write some rows, and now and then wait for the disk: there is less to wait for at the end."""
    stream.write(np.ascontiguousarray(numbers, "<f4").data)
    if is_flush_due:
        stream.flush()
        os.fdatasync(stream.fileno())


def _write_npy_header(stream: BinaryIO, count: int, width: int) -> None:
    # numpy leaves room in the header for any length, so that it can be written again.
    facts = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
    np.lib.format.write_array_header_1_0(stream, facts)


def _write_arrow(pieces: Iterable[Piece], key: str, width: int, stream: BinaryIO) -> None:
    import pyarrow as pa

    schema = pa.schema([pa.field(key, pa.list_(pa.float32(), width), nullable=False)])
    with pa.ipc.new_stream(stream, schema) as file:
        for numbers, _ in pieces:
            values = _arrow(numbers.ravel(), pa.float32())
            column = pa.FixedSizeListArray.from_arrays(values, width)
            file.write_batch(pa.record_batch([column], schema=schema))


@contextlib.contextmanager
def _open_output(out: str | None) -> Iterator[BinaryIO]:
    """Give standard output, or a file that replaces `out` when the block ends without an error."""
    name = "standard output" if out is None or out in _STANDARD_OUTPUT else os.path.realpath(out)
    with storing(name), _opened(out) as stream:
        yield stream


def _opened(out: str | None) -> contextlib.AbstractContextManager[BinaryIO]:
    if out is None or out in _STANDARD_OUTPUT:
        return _standard_output()
    if is_url(out):
        return write_object(out)
    if os.path.exists(out) and not os.path.isfile(out):  # a pipe or a device stays what it is
        return Path(out).open("wb")
    return whole_file(Path(os.path.realpath(out)))


@contextlib.contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def _is_own_file(stream: BinaryIO) -> bool:
    """Return whether a stream is a file that begins where it stands and can be gone back in."""
    is_ours = stream is not sys.stdout.buffer
    return is_ours and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
