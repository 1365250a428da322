"""Parsed records on the disk: every input is read once, then its columns are memory-mapped.

A cached set is a folder of plain .npy files and a ``meta.json``, named by a hash of what it was
made from. It is written under another name and renamed, so it is there whole or not at all, and
flushed while its records are used already; it is never changed, so any number of processes may use
it.
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
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError, StorageError
from object2vec.files.sources import Source, read_raw, unreadable
from object2vec.files.user_cache import user_cache
from object2vec.files.whole import TEMPORARY_PREFIX, storage_problem, whole_folder
from object2vec.objects.ragged import Rows
from object2vec.objects.schema import RECORDS, Schema
from object2vec.reading.columns import ColumnFile
from object2vec.reading.flushing import boot_id, flush_later, has_survived, note_boot
from object2vec.reading.jsonl import Chunk, line_of, read_columns

CACHE_VERSION = 2

_META, _BLANK_LINES = "meta.json", ".blank_lines"  # no column is called so
_FOLDER_NAME = "[0-9a-f]{32}"
_TELLS_OF_CHANGES = os.name == "posix"  # st_ctime; elsewhere that is the time of creation
_TICK_S, _COARSE_TICK_S = 0.02, 2.0  # of the clocks of file systems; FAT and the like know no less
_STALE_S = 24 * 3600
_MAPPED_BYTES = 64 << 20  # of columns that may end up in memory as a whole, and are faster so

_log = logging.getLogger("object2vec.reading")

_T = TypeVar("_T")


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
    statistics: dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Cached:
    """A set of records whose columns are views of files.

    Parameters
    ----------
    schema : Schema
    columns : mapping of str to column, n rows each
    statistics : mapping of str to statistics
        Facts about each column.
    sources : list of SourceFacts
        Where the records came from, in order.
    blank_lines : int64 array
        Numbers of the lines without a record, source by source.
    files : dict of str to dict of str to ColumnFile
        The files of each column, if they are too large to be mapped at random.
    locate : callable, optional
        Says where a record stands in what is no text of one record a line.
    """

    schema: Schema
    columns: Mapping[str, Any]
    statistics: Mapping[str, Any]
    sources: list[SourceFacts]
    blank_lines: NDArray[np.int64]
    files: Mapping[str, Mapping[str, ColumnFile]]
    locate: Callable[[int], str] | None = None

    def take(self, rows: Rows) -> dict[str, Any]:
        """Return the columns of these records, in this order."""
        return {column.name: self.gather(column.name, rows) for column in self.schema}

    def gather(self, name: str, rows: Rows) -> Any:
        """Return these rows of a column, in this order."""
        layout = next(column.layout for column in self.schema if column.name == name)
        if self.files:
            return layout.read(self.files[name], rows)
        return layout.take(self.columns[name], rows)

    def where(self, row: int) -> str:
        """Return ``file:line`` of a record."""
        if self.locate is not None:
            return self.locate(row)
        ends = np.cumsum([source.rows for source in self.sources])  # (sources,)
        index = int(np.searchsorted(ends, row, side="right"))
        source = self.sources[index]
        before = sum(earlier.blank_lines for earlier in self.sources[:index])
        blank = self.blank_lines[before : before + source.blank_lines]
        return f"{source.name}:{line_of(row - int(ends[index]) + source.rows, 1, blank)}"


def open_or_build(
    sources: Sequence[Source],
    *,
    schema: Schema = RECORDS,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Cached:
    """Return the records of `sources`, from the cache if they were read before.

    Parameters
    ----------
    sources : sequence of Source
    schema : Schema
        All its columns must be required.
    cache_dir : path, optional
        Where cached sets are kept; ``$OBJECT2VEC_CACHE`` or the user's cache folder by default.

    Raises
    ------
    DataError
        If the records are wrong, there are none, or a file changes while it is read.
    StorageError
        If the disk is full.
    """

    def make(folder: Path, files: Sequence[Source]) -> None:
        _build(folder, files, schema)

    return open_or_make(
        sources,
        schema.identity(),
        lambda folder: open_cached(folder, schema),
        make,
        cache_dir=cache_dir,
    )


def open_or_make(
    sources: Sequence[Source],
    identity: Sequence[Any],
    open_: Callable[[Path], _T | None],
    make: Callable[[Path, Sequence[Source]], None],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
) -> _T:
    """Return what is made of some sources, from the cache if it was made before.

    Parameters
    ----------
    sources : sequence of Source
    identity : sequence of plain values
        What tells it from anything else that is made of the same sources.
    open_ : callable
        Returns what is in a folder, None if that is not there or not whole.
    make : callable
        Makes it of sources that can be read more than once, in a folder that is not there.
    cache_dir : path, optional

    Raises
    ------
    StorageError
        If the disk is full.
    """
    root = _writable_root(cache_dir)
    with contextlib.ExitStack() as spools:
        files = [_identified(source, root, spools) for source in sources]
        identities = [CACHE_VERSION, identity, *(identity for _, identity in files)]
        whole = json.dumps(identities).encode()
        folder = root / hashlib.blake2b(whole, digest_size=16).hexdigest()
        if has_survived(folder) and (found := open_(folder)):
            flush_later(folder)
            return found
        if folder.exists():
            _log.info("The cached records in %s are damaged; reading the source again.", folder)
            remove_cached(folder)
            if folder.exists():
                must = "must be removable, since the cached records in it are damaged"
                cure = "Remove it, or name another folder for caches by OBJECT2VEC_CACHE."
                raise StorageError.at(str(folder), must, "a folder that stays", cure)
        _sweep(root)
        lost: StorageError | None = None
        try:
            make(folder, [file for file, _ in files])
        except StorageError as err:
            lost = err  # perhaps to another process that has read the same source meanwhile
        if found := open_(folder):
            flush_later(folder)
            return found
        raise lost or StorageError(storage_problem(folder, OSError("it vanished again")))


def _build(folder: Path, sources: Sequence[Source], schema: Schema) -> None:
    """Read the sources into a new cached set."""
    with new_set(folder, sources) as work, writing(work, schema) as writer:
        for chunk in read_columns(sources, schema):
            writer.append(chunk)
        if not writer.rows:
            cure = "Check that this is the right input."
            raise DataError.at(names_of(sources), "must hold at least one record", "none", cure)


def names_of(sources: Sequence[Source]) -> str:
    """Return what messages call some sources together."""
    return ", ".join(source.name for source in sources[:3]) + (", ..." if sources[3:] else "")


@contextlib.contextmanager
def new_set(folder: Path, sources: Sequence[Source]) -> Iterator[Path]:
    """Give a folder to write to that becomes `folder`, if no source changes meanwhile.

    Raises
    ------
    DataError
        If a file changes while it is read.
    StorageError
        If the disk is full.
    """
    start = time.perf_counter()
    paths = [source.path for source in sources if source.path is not None]
    stamps = [_stamp(path) for path in paths]
    _log.info("Reading %s into %s", names_of(sources), folder)
    with whole_folder(folder, is_flushed=not boot_id()) as work:
        yield work
        note_boot(work)
        for path, stamp in zip(paths, stamps, strict=True):
            if _stamp(path) != stamp:
                must, cure = "must not change while it is read", "Wait until it is written."
                raise DataError.at(str(path), must, "a new size or time", cure)
    _log.info("Read it in %.1f s", time.perf_counter() - start)


@contextlib.contextmanager
def writing(folder: Path, schema: Schema) -> Iterator[Writer]:
    """Give what writes records to the files of a cached set in a folder that exists."""
    with contextlib.ExitStack() as files:
        dtypes = _dtypes(schema)
        arrays = {name: files.enter_context(_Array(folder, name, dtypes[name])) for name in dtypes}
        writer = Writer(schema, arrays)
        yield writer
    (folder / _META).write_text(json.dumps(asdict(writer.meta())), encoding="ascii")


class Writer:
    """Writes chunks to the files of a cached set."""

    def __init__(self, schema: Schema, arrays: dict[str, _Array]) -> None:
        self._schema, self._arrays = schema, arrays
        self._statistics = {column.name: column.layout.statistics() for column in schema}
        self._sources: list[SourceFacts] = []

    @property
    def rows(self) -> int:
        """Records so far."""
        return sum(source.rows for source in self._sources)

    def append(self, chunk: Chunk, statistics: Mapping[str, Any] | None = None) -> None:
        """Write the columns of a chunk, whose statistics may be known."""
        if chunk.first_line == 1:
            self._sources.append(SourceFacts(chunk.source, 0, 0))
        source = self._sources[-1]
        blank_lines = source.blank_lines + len(chunk.blank_lines)
        self._sources[-1] = replace(source, rows=source.rows + len(chunk), blank_lines=blank_lines)
        self._arrays[_BLANK_LINES].append(chunk.blank_lines)
        for name, layout in ((column.name, column.layout) for column in self._schema if chunk.rows):
            column, before = chunk.columns[name], self._statistics[name]
            for part, values in layout.continued(column, before).items():
                self._arrays[_file_name(name, part)].append(values)
            found = layout.statistics.of(column) if statistics is None else statistics[name]
            self._statistics[name] = before + found

    def meta(self) -> Meta:
        """Return what belongs to the files, once they are closed."""
        sizes = {name: array.path.stat().st_size for name, array in self._arrays.items()}
        facts = {name: asdict(statistics) for name, statistics in self._statistics.items()}
        return Meta(CACHE_VERSION, self._sources, sizes, facts)


class _Array:
    """A one-dimensional .npy file that grows until it is closed."""

    def __init__(self, folder: Path, name: str, dtype: np.dtype[Any]) -> None:
        self.path = _path(folder, name)
        self._dtype = dtype
        self._file = self.path.open("xb")
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

    def __enter__(self) -> _Array:
        return self

    def __exit__(self, *error: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()


def open_cached(folder: Path, schema: Schema) -> Cached | None:
    """Return a cached set, or None if it is not there or not whole."""
    dtypes = _dtypes(schema)
    try:
        meta = msgspec.convert(json.loads((folder / _META).read_bytes()), Meta)
        if meta.version != CACHE_VERSION or meta.size_bytes.keys() != dtypes.keys():
            return None
        array = {n: _map(_path(folder, n), dtypes[n], meta.size_bytes[n]) for n in dtypes}
        statistics = {
            c.name: msgspec.convert(meta.statistics[c.name], c.layout.statistics) for c in schema
        }
    except (OSError, ValueError, EOFError, KeyError, RecursionError, msgspec.MsgspecError):
        return None
    columns = {}
    for name, layout in ((column.name, column.layout) for column in schema):
        arrays = {part: array[_file_name(name, part)] for part in layout.dtypes}
        columns[name] = layout.from_arrays(arrays, statistics[name])
    rows = sum(source.rows for source in meta.sources)
    if any(column is None or len(column) != rows for column in columns.values()):
        return None
    files = _files(folder, schema, array) if sum(meta.size_bytes.values()) > _MAPPED_BYTES else {}
    return Cached(schema, columns, statistics, meta.sources, array[_BLANK_LINES], files)


def _files(
    folder: Path, schema: Schema, array: Mapping[str, NDArray[Any]]
) -> dict[str, dict[str, ColumnFile]]:
    """Return the files of large columns; none where they cannot be read row by row."""
    if not hasattr(os, "pread") or not find_spec("numba"):  # Windows; no Numba for this Python
        return {}

    def file(name: str) -> ColumnFile:
        return ColumnFile(_path(folder, name), array[name])

    return {
        c.name: {part: file(_file_name(c.name, part)) for part in c.layout.dtypes} for c in schema
    }


def _dtypes(schema: Schema) -> dict[str, np.dtype[Any]]:
    """Return the type of each array of a cached set."""
    columns = {
        _file_name(column.name, part): dtype
        for column in schema
        for part, dtype in column.layout.dtypes.items()
    }
    return {**columns, _BLANK_LINES: np.dtype(np.int64)}


def _file_name(column: str, part: str) -> str:
    """Return the name of an array of a column, whatever characters the column's has."""
    plain = quote(column, safe="").replace(".", "%2E")
    return f"{plain}.{part}" if part else plain


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _map(path: Path, dtype: np.dtype[Any], size_bytes: int) -> NDArray[Any]:
    """Return a file of a cached set as an array that is read when it is used."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if path.stat().st_size != size_bytes or array.dtype != dtype or array.ndim != 1:
        raise ValueError(f"{path} is not what was written")
    return np.asarray(array)  # the same pages, without the overhead of numpy.memmap at each slice


def _identified(
    source: Source, root: Path, spools: contextlib.ExitStack
) -> tuple[Source, list[object]]:
    """Return a source that can be read again, and what tells its content from any other.

    Of a file these are its `_stamp`, so that the cost is the same for any size; what can be read
    only once is copied to a file first.
    """
    if source.path is not None:
        return source, [source.name, *_stamp(source.path)]
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


def _stamp(path: Path) -> list[int | str]:
    """Return what changes whenever the content of a file does.

    Whoever writes to a file may set its time back, but not the time of that: it is kept by the
    system (st_ctime). It moves in ticks, so a file that was changed within the last one is waited
    for: what happens to it from now on has another time. Windows keeps no such time; there the
    whole content is read.
    """
    try:
        found = path.stat()
        if _TELLS_OF_CHANGES:
            tick = _TICK_S if found.st_ctime_ns % 1_000_000_000 else _COARSE_TICK_S
            age = time.time() - found.st_ctime_ns / 1e9
            if age < tick:
                time.sleep(min(tick, tick - age))
                found = path.stat()
            return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
        with path.open("rb") as file:
            content = hashlib.blake2b(digest_size=16)
            while part := file.read(1 << 20):
                content.update(part)
    except OSError as err:
        raise unreadable(str(path), err) from err
    return [found.st_size, found.st_mtime_ns, content.hexdigest()]


def _writable_root(cache_dir: str | os.PathLike[str] | None) -> Path:
    """Return the folder of all cached sets, a temporary one if the right one is not writable."""
    root = Path(cache_dir) if cache_dir else cache_root()
    reason = "this user has no home: set OBJECT2VEC_CACHE"
    try:
        if root is not None:
            root.mkdir(parents=True, exist_ok=True)
            if os.access(root, os.W_OK | os.X_OK):
                return root
            reason = "no permission"
    except OSError as err:
        reason = err.strerror or str(err)
    temporary = _temporary_root()
    _log.warning(
        "%s cannot hold cached records (%s); they go to %s and are gone when this process ends.",
        root or "The user's cache",
        reason,
        temporary,
    )
    return temporary


def cache_root() -> Path | None:
    """Return the folder of all cached sets: ``$OBJECT2VEC_CACHE`` or the user's cache, if any."""
    given = os.environ.get("OBJECT2VEC_CACHE")
    return Path(given) if given else user_cache()


def cached_folders(root: Path) -> list[Path]:
    """Return the cached sets in a folder, and what killed processes have left there."""
    if not root.is_dir():
        return []
    names = (_FOLDER_NAME, re.escape(TEMPORARY_PREFIX) + ".*")
    return sorted(p for p in root.iterdir() if any(re.fullmatch(n, p.name) for n in names))


def remove_cached(path: Path) -> None:
    """Remove a set of records, or what is left of one, as far as the system lets it be removed.

    It loses its name first: whoever flushes it meanwhile finds nothing there to add to.
    """
    aside = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):
        path = path.rename(aside)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@functools.cache
def _temporary_root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="object2vec-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def temporary_folder() -> Path:
    """Return where a folder can be made that is gone when this process ends."""
    return _temporary_root() / uuid.uuid4().hex


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
