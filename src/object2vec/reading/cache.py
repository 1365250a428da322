"""Parsed records on the disk: every input is read once, then its columns are memory-mapped.

A cached set is a folder of plain .npy files and a ``meta.json``, named by a hash of what it was
made from. It is written under another name, flushed and renamed, so it is there whole or not at
all; and it is never changed, so any number of processes may use it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError, StorageError
from object2vec.files.sources import Source, read_raw, unreadable
from object2vec.files.whole import TEMPORARY_PREFIX, storage_problem, whole_folder
from object2vec.objects.ragged import Ragged, Rows, offsets_of
from object2vec.objects.statistics import LabelStatistics, SideStatistics, Statistics
from object2vec.reading.columns import ColumnFile
from object2vec.reading.jsonl import Chunk, line_of, read_columns

VERSION = 1

_DTYPES: dict[str, np.dtype[Any]] = {
    "in0.values": np.dtype(np.int32),
    "in0.offsets": np.dtype(np.int64),
    "in1.values": np.dtype(np.int32),
    "in1.offsets": np.dtype(np.int64),
    "label": np.dtype(np.float32),
    "blank_lines": np.dtype(np.int64),
}
_META = "meta.json"
_FOLDER_NAME = "[0-9a-f]{32}"
_SAMPLE_BYTES = 64 << 10
_STALE_S = 24 * 3600
_MAPPED_BYTES = 64 << 20  # of columns that may end up in memory as a whole, and are faster so

_log = logging.getLogger("object2vec.reading")


@dataclass(frozen=True)
class SourceFacts:
    """What was read from one source."""

    name: str
    rows: int
    blank_lines: int


@dataclass(frozen=True)
class Meta:
    """What ``meta.json`` holds."""

    version: int
    sources: list[SourceFacts]
    size_bytes: dict[str, int]
    statistics: Statistics


@dataclass(frozen=True, eq=False)
class Cached:
    """A set of records whose columns are views of files.

    Parameters
    ----------
    in0, in1 : Ragged, n rows each
    label : float32 array (n,)
    statistics : Statistics
    sources : list of SourceFacts
        Where the records came from, in order.
    blank_lines : int64 array
        Numbers of the lines without a record, source by source.
    files : dict of str to ColumnFile
        The columns' files, if they are too large to be mapped at random.
    """

    in0: Ragged
    in1: Ragged
    label: NDArray[np.float32]
    statistics: Statistics
    sources: list[SourceFacts]
    blank_lines: NDArray[np.int64]
    files: Mapping[str, ColumnFile]

    def take(self, rows: Rows) -> tuple[Ragged, Ragged, NDArray[np.float32]]:
        """Return both sides and the labels of these records, in this order."""
        if not self.files:
            return self.in0.take(rows), self.in1.take(rows), self.label[rows]
        label = self.files["label"].read(rows, np.ones(len(rows), np.int64))  # (m,)
        return self._read("in0", rows), self._read("in1", rows), label

    def _read(self, side: str, rows: Rows) -> Ragged:
        """Return one side of these records, read row by row."""
        twos = np.full(len(rows), 2)  # (m,)
        bounds = self.files[f"{side}.offsets"].read(rows, twos).reshape(-1, 2)  # (m, 2)
        lengths = bounds[:, 1] - bounds[:, 0]  # (m,)
        values = self.files[f"{side}.values"].read(bounds[:, 0], lengths)
        return Ragged(values, offsets_of(lengths))

    def where(self, row: int) -> str:
        """Return ``file:line`` of a record."""
        ends = np.cumsum([source.rows for source in self.sources])  # (sources,)
        index = int(np.searchsorted(ends, row, side="right"))
        source = self.sources[index]
        before = sum(earlier.blank_lines for earlier in self.sources[:index])
        blank = self.blank_lines[before : before + source.blank_lines]
        return f"{source.name}:{line_of(row - int(ends[index]) + source.rows, 1, blank)}"


def open_or_build(
    sources: Sequence[Source],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    default_label: float | None = None,
) -> Cached:
    """Return the records of `sources`, from the cache if they were read before.

    Parameters
    ----------
    sources : sequence of Source
    cache_dir : path, optional
        Where cached sets are kept; ``$OBJECT2VEC_CACHE`` or the user's cache folder by default.
    default_label : float, optional
        Label of a record that has none.

    Raises
    ------
    DataError
        If the records are wrong, there are none, or a file changes while it is read.
    StorageError
        If the disk is full.
    """
    root = _writable_root(cache_dir)
    with contextlib.ExitStack() as spools:
        files = [_identified(source, root, spools) for source in sources]
        identities = [VERSION, default_label, *(identity for _, identity in files)]
        folder = root / _digest(json.dumps(identities).encode())
        if cached := _open(folder):
            return cached
        if folder.exists():
            _log.info("The cached records in %s are damaged; reading the source again.", folder)
            shutil.rmtree(folder, ignore_errors=True)
        _sweep(root)
        lost: StorageError | None = None
        try:
            _build(folder, [file for file, _ in files], default_label)
        except StorageError as err:
            lost = err  # perhaps to another process that has read the same source meanwhile
        if cached := _open(folder):
            return cached
        raise lost or StorageError(storage_problem(folder, OSError("it vanished again")))


def _build(folder: Path, sources: Sequence[Source], default_label: float | None) -> None:
    """Read the sources into a new cached set."""
    start = time.perf_counter()
    paths = [source.path for source in sources if source.path is not None]
    stamps = [_stamp(path) for path in paths]
    names = ", ".join(source.name for source in sources[:3]) + (", ..." if sources[3:] else "")
    _log.info("Reading %s into %s", names, folder)
    with whole_folder(folder) as work:
        with contextlib.ExitStack() as files:
            columns = {name: files.enter_context(_Column(work, name)) for name in _DTYPES}
            writer = _Writer(columns)
            for chunk in read_columns(sources, default_label=default_label):
                writer.append(chunk)
        if not writer.in0.rows:
            cure = "Check that this is the right input."
            raise DataError.at(names, "must hold at least one record", "none", cure)
        for path, stamp in zip(paths, stamps, strict=True):
            if _stamp(path) != stamp:
                must, cure = "must not change while it is read", "Wait until it is written."
                raise DataError.at(str(path), must, "a new size or time", cure)
        (work / _META).write_bytes(msgspec.json.encode(writer.meta()))
    _log.info("Read %d pairs in %.1f s", writer.in0.rows, time.perf_counter() - start)


class _Writer:
    """Writes chunks to the files of a cached set."""

    def __init__(self, columns: dict[str, _Column]) -> None:
        self._columns = columns
        self._columns["in0.offsets"].append(np.zeros(1, np.int64))
        self._columns["in1.offsets"].append(np.zeros(1, np.int64))
        self.in0, self.in1, self.label = SideStatistics(), SideStatistics(), LabelStatistics()
        self.sources: list[SourceFacts] = []

    def append(self, chunk: Chunk) -> None:
        """Write the columns of a chunk."""
        assert chunk.in0 is not None
        assert chunk.in1 is not None
        assert chunk.label is not None
        if chunk.first_line == 1:
            self.sources.append(SourceFacts(chunk.source, 0, 0))
        source = self.sources[-1]
        blank_lines = source.blank_lines + len(chunk.blank_lines)
        self.sources[-1] = replace(source, rows=source.rows + len(chunk), blank_lines=blank_lines)
        self._columns["in0.values"].append(chunk.in0.values)
        self._columns["in0.offsets"].append(chunk.in0.offsets[1:] + self.in0.tokens)
        self._columns["in1.values"].append(chunk.in1.values)
        self._columns["in1.offsets"].append(chunk.in1.offsets[1:] + self.in1.tokens)
        self._columns["label"].append(chunk.label)
        self._columns["blank_lines"].append(chunk.blank_lines)
        self.in0 += SideStatistics.of(chunk.in0)
        self.in1 += SideStatistics.of(chunk.in1)
        self.label += LabelStatistics.of(chunk.label)

    def meta(self) -> Meta:
        """Return what belongs to the files, once they are closed."""
        sizes = {name: column.path.stat().st_size for name, column in self._columns.items()}
        return Meta(VERSION, self.sources, sizes, Statistics(self.in0, self.in1, self.label))


class _Column:
    """A one-dimensional .npy file that grows until it is closed."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = _path(folder, name)
        self._dtype = _DTYPES[name]
        self._file = self.path.open("wb")
        self._length = 0
        self._write_header()

    def append(self, values: NDArray[Any]) -> None:
        """Write values (n,) at the end."""
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._length += len(values)

    def _write_header(self) -> None:
        # numpy leaves room in the header for any length, so that it can be written again.
        shape = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, shape)

    def __enter__(self) -> _Column:
        return self

    def __exit__(self, *error: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()


def _open(folder: Path) -> Cached | None:
    """Return a cached set, or None if it is not there or not whole."""
    try:
        meta = msgspec.json.decode((folder / _META).read_bytes(), type=Meta)
        if meta.version != VERSION or meta.size_bytes.keys() != _DTYPES.keys():
            return None
        column = {name: _map(folder, name, meta.size_bytes[name]) for name in _DTYPES}
    except (OSError, ValueError, EOFError, msgspec.MsgspecError):
        return None
    in0 = Ragged(column["in0.values"], column["in0.offsets"])
    in1 = Ragged(column["in1.values"], column["in1.offsets"])
    label, statistics = column["label"], meta.statistics
    if not (_fits(in0, statistics.in0, len(label)) and _fits(in1, statistics.in1, len(label))):
        return None
    files = _files(folder, column) if sum(meta.size_bytes.values()) > _MAPPED_BYTES else {}
    return Cached(in0, in1, label, statistics, meta.sources, column["blank_lines"], files)


def _files(folder: Path, column: Mapping[str, NDArray[Any]]) -> dict[str, ColumnFile]:
    """Return the files of large columns; none where they cannot be read row by row."""
    if not hasattr(os, "pread") or not find_spec("numba"):  # Windows; no Numba for this Python
        return {}
    names = column.keys() - {"blank_lines"}
    return {name: ColumnFile(_path(folder, name), column[name]) for name in names}


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _fits(column: Ragged, facts: SideStatistics | None, rows: int) -> bool:
    """Say whether a column is what its facts say, as far as its ends show."""
    if facts is None or not len(column) == facts.rows == rows:
        return False
    return bool(column.offsets[0] == 0 and column.offsets[-1] == facts.tokens == len(column.values))


def _map(folder: Path, name: str, size_bytes: int) -> NDArray[Any]:
    """Return a file of a cached set as an array that is read when it is used."""
    path = _path(folder, name)
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if path.stat().st_size != size_bytes or array.dtype != _DTYPES[name] or array.ndim != 1:
        raise ValueError(f"{path} is not what was written")
    return np.asarray(array)  # the same pages, without the overhead of numpy.memmap at each slice


def _identified(
    source: Source, root: Path, spools: contextlib.ExitStack
) -> tuple[Source, list[object]]:
    """Return a source that can be read again, and what tells its content from any other.

    Of a file these are its size, its time and three samples, so that the cost is the same for any
    size; what can be read only once is copied to a file first.
    """
    if source.path is not None:
        return source, [source.name, *_stamp(source.path), _digest(_samples(source.path))]
    spool = root / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    spools.callback(spool.unlink, missing_ok=True)
    content = hashlib.blake2b(digest_size=16)
    try:
        with spool.open("wb") as copy:
            for part in read_raw(source):
                content.update(part)
                copy.write(part)
    except OSError as err:
        raise StorageError(storage_problem(spool, err)) from err
    copied = Source(source.name, lambda: spool.open("rb"), spool)
    return copied, [source.name, content.hexdigest()]


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    """Return size and time of a file."""
    try:
        found = path.stat()
    except OSError as err:
        raise unreadable(str(path), err) from err
    return found.st_size, found.st_mtime_ns


def _samples(path: Path) -> bytes:
    """Return the head, the middle and the tail of a file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            parts = []
            for at in (0, size // 2, size - _SAMPLE_BYTES):
                file.seek(max(0, at))
                parts.append(file.read(_SAMPLE_BYTES))
            return b"".join(parts)
    except OSError as err:
        raise unreadable(str(path), err) from err


def _writable_root(cache_dir: str | os.PathLike[str] | None) -> Path:
    """Return the folder of all cached sets, a temporary one if the right one is not writable."""
    root = Path(cache_dir) if cache_dir else cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK | os.X_OK):
            return root
        reason = "no permission"
    except OSError as err:
        reason = err.strerror or str(err)
    temporary = _temporary_root()
    _log.warning(
        "%s cannot hold cached records (%s); they go to %s and are gone when this process ends.",
        root,
        reason,
        temporary,
    )
    return temporary


def cache_root() -> Path:
    """Return the folder of all cached sets: ``$OBJECT2VEC_CACHE`` or the user's cache."""
    return Path(os.environ.get("OBJECT2VEC_CACHE") or _user_cache())


def cached_folders(root: Path) -> list[Path]:
    """Return the cached sets in a folder, and what killed processes have left there."""
    if not root.is_dir():
        return []
    names = (_FOLDER_NAME, re.escape(TEMPORARY_PREFIX) + ".*")
    return sorted(p for p in root.iterdir() if any(re.fullmatch(n, p.name) for n in names))


def _user_cache() -> Path:
    """Return the folder in which this system keeps what can be made again."""
    home = Path.home()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "object2vec"


@functools.cache
def _temporary_root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="object2vec-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def _sweep(root: Path) -> None:
    """Remove what processes that were killed a day ago have left."""
    for left in root.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime < _STALE_S:
                continue
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
