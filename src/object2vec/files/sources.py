"""What a user names, as streams of bytes: files, folders, standard input, compressed or remote."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from object2vec.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK_BYTES = 4 << 20  # measured: larger blocks parse slower on two cores, smaller ones too

_STDIN = "-"
_UTF8_MARK = b"\xef\xbb\xbf"
_CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # RFC 1952, RFC 8878

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Source:
    """One stream of bytes.

    Parameters
    ----------
    name : str
        What messages call it: the path or URL as the user wrote it, or ``<stdin>``.
    open : callable
        Gives the raw stream as a context manager.
    path : Path or None
        The regular file behind it, which can be read again; None for a pipe or a remote object.
    """

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]] = field(repr=False, compare=False)
    path: Path | None = None


@dataclass(frozen=True)
class Block:
    """Whole lines of a source, and the number of the first one, counted from 1."""

    data: bytes
    first_line: int


def list_sources(named: PathLike | Sequence[PathLike]) -> list[Source]:
    """Return the streams that `named` stands for, in a fixed order.

    Parameters
    ----------
    named : path, URL, "-" for standard input, or a sequence of these
        A folder stands for every regular file beneath it, sorted, without hidden ones. A URL is
        whatever fsspec can open (``s3://bucket/prefix``).

    Raises
    ------
    DataError
        If something does not exist or a folder has no file.
    MissingExtraError
        If no installed package can open a URL.
    """
    if isinstance(named, (str, os.PathLike)):
        return _one(os.fspath(named))
    if not named:
        cure = "Name a file, a folder or - for standard input."
        raise DataError.at("input", "must name at least one file", named, cure)
    return [source for each in named for source in _one(os.fspath(each))]


def read_blocks(source: Source, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the content of `source`, decompressed, in blocks of whole lines.

    Parameters
    ----------
    source : Source
    block_bytes : int, default 4 MiB
        Size of a block; only a line that is longer makes a larger one.

    Raises
    ------
    DataError
        If the source cannot be read, or is a damaged or truncated archive.

    Notes
    -----
    gzip and zstd are known by their first bytes, whatever the name says. A byte order mark is
    skipped, and the last line need not end.
    """
    line = 1
    parts: list[bytes] = []  # of a line that has not ended yet
    for chunk in _read_chunks(source, block_bytes):
        end = chunk.rfind(b"\n") + 1
        if end:
            data = b"".join([*parts, chunk[:end]])
            yield Block(data, line)
            line += data.count(b"\n")
            parts = []
        parts.append(chunk[end:])
    if any(parts):
        yield Block(b"".join(parts), line)


def line_bounds(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the lines of a text begin and end, without carriage returns at their ends.

    Parameters
    ----------
    data : bytes
        At least one.

    Returns
    -------
    starts, ends : int64 array (lines,)
    """
    import numpy as np

    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw == ord("\n"))  # (lines,)
    if raw[-1] != ord("\n"):
        ends = np.append(ends, len(raw))
    starts = np.concatenate([[0], ends[:-1] + 1])
    return starts, ends - ((ends > starts) & (raw[ends - 1] == ord("\r")))


def read_raw(source: Source) -> Iterator[bytes]:
    """Yield the bytes of `source` as they are.

    Raises
    ------
    DataError
        If the source cannot be read.
    """
    try:
        with source.open() as raw:
            while part := raw.read(1 << 20):
                yield part
    except OSError as err:
        raise unreadable(source.name, err) from err


def unreadable(name: str, err: Exception) -> DataError:
    """Return the error for a source that cannot be read."""
    got = (err.strerror if isinstance(err, OSError) else None) or str(err) or type(err).__name__
    cure = "Check the name, your permissions and whether the file is whole."
    return DataError.at(name, "must be readable", got, cure)


def _one(name: str) -> list[Source]:
    """Return the streams behind one name."""
    if name == _STDIN:
        return [Source("<stdin>", lambda: contextlib.nullcontext(sys.stdin.buffer))]
    if "://" in name:
        return _remote(name)
    path = Path(name)
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        cure = "Check the name and the folder you are in."
        raise DataError.at(name, "must be a file or folder", "nothing there", cure)
    return [_local(path)]


def _local(path: Path) -> Source:
    return Source(str(path), lambda: path.open("rb"), path if path.is_file() else None)


def _folder(folder: Path) -> list[Source]:
    """Return the regular files beneath `folder`, as SageMaker reads a channel."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    files = [path for path in files if not _is_hidden(path.relative_to(folder).parts)]
    if not files:
        cure = "Put the records there or name another folder."
        raise DataError.at(str(folder), "must hold at least one file", "none", cure)
    return [_local(path) for path in sorted(files)]


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def _remote(url: str) -> list[Source]:
    """Return the objects behind a URL; fsspec is imported only here, as it is slow to load."""
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(url)
        if not system.isdir(path):
            system.info(path)  # raises if nothing is there
            return [Source(url, lambda: system.open(path, "rb"))]
        beneath = path.rstrip("/") + "/"
        found = sorted(system.find(path))
    except ImportError as err:
        cure = "Install the package that it names."
        raise MissingExtraError.at(url, "needs another package", str(err), cure) from err
    except (OSError, ValueError) as err:
        raise unreadable(url, err) from err
    files = [file for file in found if not _is_hidden(file.removeprefix(beneath).split("/"))]
    if not files:
        cure = "Put the records there or name another prefix."
        raise DataError.at(url, "must hold at least one object", "none", cure)
    return [Source(system.unstrip_protocol(file), _opener(system, file)) for file in files]


def _opener(system: Any, file: str) -> Callable[[], AbstractContextManager[BinaryIO]]:
    return lambda: cast(AbstractContextManager[BinaryIO], system.open(file, "rb"))


def _read_chunks(source: Source, size: int) -> Iterator[bytes]:
    """Yield `size` decompressed bytes at a time, without the byte order mark."""
    try:
        with source.open() as raw:
            stream = _decompressed(raw)
            chunk = stream.read(max(size, 4)).removeprefix(_UTF8_MARK)
            while chunk:
                yield chunk
                chunk = stream.read(size)
    except OSError as err:
        raise unreadable(source.name, err) from err


def _decompressed(raw: BinaryIO) -> BinaryIO:
    """Return a stream of what `raw` holds, unpacked if it begins like an archive."""
    stream = (
        raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, raw))
    )
    head = stream.peek(4)
    for magic, codec in _CODECS.items():
        if head.startswith(magic):
            import pyarrow as pa

            # Unlike gzip and zstandard of Python it sees a truncated archive of either kind.
            return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), codec))
    return stream
