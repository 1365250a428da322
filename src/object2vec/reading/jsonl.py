"""JSON Lines to columns.

Records are read in blocks of lines, a few blocks at once. The plain form goes through a compiled
scanner; what it does not know, such as other keys, goes through Arrow's parser with a fixed schema.
Neither names a line, and Arrow is lax in places, so a block that both reject, or whose result is
not beyond doubt, is read again line by line. That way has the last word on what is right, and says
what is wrong.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, TypedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.files.contents import BLOCK_BYTES, UTF8_MARK, Block, line_bounds, read_blocks
from object2vec.files.json import JsonObject, load_json
from object2vec.files.sources import Source
from object2vec.objects.schema import RECORDS, Schema
from object2vec.reading.ahead import read_ahead
from object2vec.reading.scanner import scan

Record = dict[str, Any]  # the wanted keys of one line

_LAYOUTS = {  # how their first line looks, and what turns them into lines
    "one list of records": (re.compile(rb"\s*\[\s*(\{.*)?"), "jq -c '.[]' FILE"),
    "a record on several lines": (re.compile(rb"\s*\{(.*[,:{\[])?\s*"), "jq -c . FILE"),
}
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
# JSON has no NaN and no infinity, but Python reads them, and Arrow, where a key is ignored.
_NAN_OF_PYTHON = re.compile(rb"NaN|-?Infinity")
_NAN_OF_ARROW = [re.compile(word + rb"\s*[,\]}]") for word in (b"NaN", b"Inf(?:inity)?")]
_LINE_CURE = 'Write one {"in0": [10], "in1": [3, 7], "label": 1} per line.'


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive records of one source.

    Parameters
    ----------
    columns : mapping of str to column
        What the records hold; without those that are ignored, or optional and not there.
    rows : int
        Number of records.
    source : str
        Name of the source.
    first_line : int
        Line on which the chunk begins, counted from 1.
    blank_lines : int64 array
        Numbers of its lines that hold no record, ascending.
    """

    columns: Mapping[str, Any]
    rows: int
    source: str
    first_line: int
    blank_lines: NDArray[np.int64]

    def __len__(self) -> int:
        return self.rows

    def where(self, row: int) -> str:
        """Return ``file:line`` of a record, for messages."""
        return f"{self.source}:{line_of(row, self.first_line, self.blank_lines)}"


def line_of(row: int, first_line: int, blank_lines: NDArray[np.int64]) -> int:
    """Return the line of record `row`, counted from the one that may stand on `first_line`.

    Examples
    --------
    >>> [line_of(row, 1, np.array([2, 3])) for row in range(3)]
    [1, 4, 5]
    """
    rows_before = blank_lines - first_line - np.arange(len(blank_lines))  # (blank lines,)
    return first_line + row + int(np.searchsorted(rows_before, row, side="right"))


def read_columns(
    sources: Sequence[Source], schema: Schema = RECORDS, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[Chunk]:
    """Yield the records of all sources in order, as columns, in flat memory.

    Parameters
    ----------
    sources : sequence of Source
    schema : Schema
        The keys of a record, what they hold, and which of them it must have.
    block_bytes : int, default 4 MiB
        Size of the text that becomes one chunk.

    Yields
    ------
    Chunk
        A chunk has no records where a source has nothing but blank lines.

    Raises
    ------
    DataError
        At the end of the input, or when there are 20 problems, each with its file and line.
        Nothing is yielded after the first one.
    """
    reader = _Reader(schema)
    blocks = ((source, block) for source in sources for block in read_blocks(source, block_bytes))
    for (source, block), fast in read_ahead(blocks, lambda item: reader.read_block(item[1])):
        reader.at_start |= block.first_line == 1
        found = fast if fast and reader.continues(fast) else reader.read_lines(source.name, block)
        reader.at_start &= not found.rows
        if len(reader.problems) >= MAX_PROBLEMS:
            break
        if not reader.problems:
            yield Chunk(found.columns, found.rows, source.name, block.first_line, found.blank_lines)
    if reader.problems:
        raise DataError(join_problems(reader.problems))


@dataclass(frozen=True, eq=False)
class _Found:
    """What a block holds; a key that none of its records has is not among the columns."""

    columns: Mapping[str, Any]
    blank_lines: NDArray[np.int64]
    rows: int


class Rejected(Exception):
    """A line is not a record; the arguments are the rule, the value and the cure."""


class _Reader:
    """The ways to read a block, and what all blocks of an input share.

    `optional` says of each optional key whether the records so far have it, `at_start` whether none
    of the source has been read yet.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.wanted = {column.name: column for column in schema.wanted}
        self.problems: list[str] = []
        self.optional: dict[str, bool] = {}
        self.at_start = False
        self._decoder = _decoder(schema)

    def read_block(self, block: Block) -> _Found | None:
        """Return what a block holds, or None where the fast ways cannot tell for sure."""
        return self._scan(block) or self._parse(block)

    def _scan(self, block: Block) -> _Found | None:
        """Read a block of the plain form."""
        scanned = scan(block.data, self.schema)
        if scanned is None or not scanned.rows:
            return None
        columns = {}
        for name, wanted in self.wanted.items():
            count, column = scanned.counts[name], scanned.columns[name]
            if count < scanned.rows and wanted.default is not None:
                column = np.where(np.isnan(column), wanted.default, column)
            elif not count and wanted.need == "optional":
                continue
            elif count < scanned.rows:
                return None
            columns[name] = wanted.layout.from_scanned(column)
        return _Found(columns, scanned.blank + block.first_line, scanned.rows)

    def _parse(self, block: Block) -> _Found | None:
        """Read a block of any JSON objects with Arrow."""
        if (parsed := parse_objects(block.data, _arrow_schema(self.schema))) is None:
            return None
        table, blank = parsed
        columns = self._take_columns(table, block.data)
        return None if columns is None else _Found(columns, blank + block.first_line, len(table))

    def _take_columns(self, table: Any, data: bytes) -> dict[str, Any] | None:
        """Return the columns of an Arrow table; None if one of them is in doubt."""
        columns = {}
        for name, wanted in self.wanted.items():
            column = table[name].combine_chunks()
            if column.null_count and b"null" in data:
                return None  # a missing key and a null look the same here, but null is an error
            if wanted.need == "optional" and column.null_count == table.num_rows:
                continue
            if wanted.default is not None:
                column = column.fill_null(wanted.default)
            columns[name] = None if column.null_count else wanted.layout.from_arrow(column)
            if columns[name] is None:
                return None
        return columns

    def continues(self, found: _Found) -> bool:
        """Say whether the optional keys are there or not as before, and take note of them."""
        optional = {k: k in found.columns for k, c in self.wanted.items() if c.need == "optional"}
        self.optional = self.optional or optional
        return optional == self.optional and not self._lacks_object(found.columns)

    def read_lines(self, name: str, block: Block) -> _Found:
        """Return what a block holds, reading line by line and noting every problem.

        Raises `DataError` if the source does not consist of lines at all.
        """
        records: list[Record] = []
        blank: list[int] = []
        lines = block.data.removesuffix(b"\n").split(b"\n")
        for number, line in enumerate(lines, block.first_line):
            if not line.strip():
                blank.append(number)
                continue
            try:
                records.append(self._read_line(line.removeprefix(UTF8_MARK)))  # of a file inside
            except Rejected as rejected:
                if self.at_start and not records:
                    check_layout(name, line)
                self.problems.append(problem(f"{name}:{number}", *rejected.args))
                if len(self.problems) >= MAX_PROBLEMS:
                    break
        return _Found(self._to_columns(records), np.array(blank, np.int64), len(records))

    def _read_line(self, line: bytes) -> Record:
        """Return the record on a line, with defaults for what it lacks."""
        record = None
        # An escape may hide a key, and of a key given twice msgspec tells only the last.
        if b"\\" not in line and all(line.count(b'"%b"' % k.encode()) < 2 for k in self.wanted):
            with contextlib.suppress(msgspec.MsgspecError, RecursionError):
                record = self._decoder.decode(line)
        if record is None:
            record = self._explain(line)
        for name, wanted in self.wanted.items():
            if wanted.default is not None:
                record.setdefault(name, wanted.default)
        self._check_keys(line, record)
        return record

    def _explain(self, line: bytes) -> Record:
        """Return the record on a line that is right after all; reject it for its first mistake."""
        content = _load(line)
        if not isinstance(content, JsonObject):
            raise Rejected("must be a JSON object", content, _LINE_CURE)
        record: Record = {}
        for name, value in content:
            if name in record:
                must = f'must have the key "{name}" once'
                raise Rejected(must, "it twice", "Remove one of them.")
            if name not in self.wanted:
                continue
            if mistake := self.wanted[name].layout.mistake(value):
                must, got, cure = mistake
                raise Rejected(f'"{name}" {must}', _plain(got), cure)
            record[name] = value
        if found := _NAN_OF_PYTHON.search(_STRING.sub(b"", line)):
            must, cure = "must be JSON, which has finite numbers only", "Write null in its stead."
            raise Rejected(must, float(found[0]), cure)
        return record

    def _check_keys(self, line: bytes, record: Record) -> None:
        """Reject a record without a key that it must have, or with one that the others lack."""
        for name, wanted in self.wanted.items():
            if wanted.need == "required" and name not in record:
                must = f'must have the key "{name}"'
                raise Rejected(must, _keys(line), "Add it to the record.")
        if lacking := self._lacks_object(record):
            must = "must have the key " + " or ".join(f'"{name}"' for name in lacking)
            raise Rejected(must, _keys(line), "Add one of them.")
        for name, wanted in self.wanted.items():
            has = name in record
            if wanted.need == "optional" and self.optional.setdefault(name, has) != has:
                must = f'must {"lack" if has else "have"} the key "{name}" like the records before'
                raise Rejected(must, _keys(line), "Give all records the same keys.")

    def _lacks_object(self, keys: Container[str]) -> list[str]:
        """Return the objects that are wanted if none of them is there."""
        objects = [column.name for column in self.wanted.values() if column.side is not None]
        return [] if any(name in keys for name in objects) else objects

    def _to_columns(self, records: Sequence[Record]) -> dict[str, Any]:
        """Return records as columns."""
        return {
            name: wanted.layout.from_json([record[name] for record in records])
            for name, wanted in self.wanted.items()
            if self.optional.get(name, True)
        }


@functools.cache
def _decoder(schema: Schema) -> msgspec.json.Decoder[Record]:
    """Return what decodes a line to its wanted keys."""
    named: Any = TypedDict
    fields = {column.name: column.layout.json_type for column in schema.wanted}
    return msgspec.json.Decoder(named("Record", fields, total=False))


@functools.cache
def _arrow_schema(schema: Schema) -> Any:
    """Return the columns of records of this schema as Arrow has them."""
    import pyarrow as pa

    return pa.schema([(column.name, column.layout.arrow_type()) for column in schema.wanted])


def parse_objects(data: bytes, schema: Any) -> tuple[Any, NDArray[np.int64]] | None:
    """Return lines of JSON objects as Arrow parses them, or None if that is in doubt.

    Parameters
    ----------
    data : bytes
    schema : pyarrow.Schema
        The keys to read; others are ignored.

    Returns
    -------
    pyarrow.Table, at least a row, and the indices of the empty lines
    """
    import pyarrow as pa
    from pyarrow import json as pyarrow_json

    lines = _find_records(data)
    if lines is None or not lines[0] or any(each.search(data) for each in _NAN_OF_ARROW):
        return None
    rows, blank = lines
    read = pyarrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    options = pyarrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        table = pyarrow_json.read_json(pa.BufferReader(data), read, options)
    except pa.ArrowException:
        return None
    return (table, blank) if table.num_rows == rows else None


def _find_records(data: bytes) -> tuple[int, NDArray[np.int64]] | None:
    """Return the number of records and the indices of the empty lines, or None if unsure.

    Arrow reads objects, not lines. But where every line begins with { and ends with }, no object
    that it accepts spans two lines, so as many objects as lines means one on each.
    """
    raw = np.frombuffer(data, np.uint8)
    starts, ends = line_bounds(data)  # (lines,), (lines,)
    is_record = ends > starts
    starts, ends = starts[is_record], ends[is_record]  # (records,)
    if not ((raw[starts] == ord("{")) & (raw[ends - 1] == ord("}"))).all():
        return None
    return len(starts), np.flatnonzero(~is_record)


def check_layout(name: str, line: bytes) -> None:
    """Raise `DataError` if the first record of a source shows that they are not one per line."""
    for layout, (pattern, command) in _LAYOUTS.items():
        if pattern.fullmatch(line):
            must, cure = "must hold one record per line", f"Write them so with: {command}"
            raise DataError.at(name, must, layout, cure)


def _load(line: bytes) -> Any:
    """Return the JSON on a line."""
    try:
        return load_json(line.decode("utf-8", "replace"))
    except ValueError as err:
        reason = f"{err.msg} at column {err.colno}" if isinstance(err, JSONDecodeError) else err
        got = line[:100].decode("utf-8", "replace").strip()
        raise Rejected(f"must be one JSON object ({reason})", got, _LINE_CURE) from err


def _keys(line: bytes) -> list[str]:
    return [name for name, _ in _load(line)]


def _plain(value: Any) -> Any:
    """Return a value for a message, objects as dict."""
    return dict(value) if isinstance(value, JsonObject) else value
