"""The files of a cached set: plain .npy files and a ``meta.json``, mapped when they are read."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from object2vec.objects.ragged import Rows
from object2vec.objects.schema import Schema
from object2vec.reading.columns import ColumnFile
from object2vec.reading.jsonl import Chunk, line_of

CACHE_VERSION = 2
_META, _BLANK_LINES = "meta.json", ".blank_lines"  # no column is called so
_MAPPED_BYTES = 64 << 20  # of columns that may end up in memory as a whole, and are faster so


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
