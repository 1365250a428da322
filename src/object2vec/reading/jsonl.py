"""JSON Lines to columns.

Records are read in blocks of lines, a few blocks at once. The plain form goes through a compiled
scanner; what it does not know, such as other keys, goes through Arrow's parser with a fixed schema.
Neither names a line, and Arrow is lax in places, so a block that both refuse, or whose result is
not beyond doubt, is read again line by line. That way has the last word on what is right, and says
what is wrong.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal, TypedDict, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.files.sources import BLOCK_BYTES, Block, Source, read_blocks
from object2vec.objects.ragged import ID_LIST_RULE, MAX_ID, Ragged, offsets_of

Presence = Literal["required", "optional", "ignored"]

LABEL_LIMIT = (2 - 2**-24) * 2.0**127  # from here on a number rounds to an infinite float32

Id = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]

_WORKERS = max(2, min(4, os.cpu_count() or 2))
_LINE_CURE = 'Write one {"in0": [10], "in1": [3, 7], "label": 1} per line.'


class Record(TypedDict, total=False):
    """One line, whatever else it holds."""

    in0: list[Id]
    in1: list[Id]
    label: float | bool


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive records of one source.

    Parameters
    ----------
    in0, in1 : Ragged or None
        None where the key is ignored, or optional and not there.
    label : float32 array (n,) or None
    source : str
        Name of the source.
    first_line : int
        Line on which the chunk begins, counted from 1.
    blank_lines : int64 array
        Numbers of its lines that hold no record, ascending.
    """

    in0: Ragged | None
    in1: Ragged | None
    label: NDArray[np.float32] | None
    source: str
    first_line: int
    blank_lines: NDArray[np.int64]

    def __len__(self) -> int:
        return next((len(c) for c in (self.in0, self.in1, self.label) if c is not None), 0)

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
    sources: Sequence[Source],
    *,
    in0: Presence = "required",
    in1: Presence = "required",
    label: Presence = "required",
    default_label: float | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Chunk]:
    """Yield the records of all sources in order, as columns, in flat memory.

    Parameters
    ----------
    sources : sequence of Source
    in0, in1, label : {"required", "optional", "ignored"}
        What to do with each key. An optional key is in every record or in none.
    default_label : float, optional
        Label of a record that has none, where labels are required.
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
    presence: dict[str, Presence] = {"in0": in0, "in1": in1, "label": label}
    reader = _Reader({k: v for k, v in presence.items() if v != "ignored"}, default_label)
    for source, block, fast in _read_ahead(sources, reader.read_block, block_bytes):
        found = fast if fast and reader.continues(fast) else reader.read_lines(source.name, block)
        if len(reader.problems) >= MAX_PROBLEMS:
            break
        if not reader.problems:
            columns = {name: found.columns.get(name) for name in presence}
            yield Chunk(
                **columns,
                source=source.name,
                first_line=block.first_line,
                blank_lines=found.blank_lines,
            )
    if reader.problems:
        raise DataError(join_problems(reader.problems))


@dataclass(frozen=True)
class _Found:
    """What a block holds; a key that none of its records has is not among the columns."""

    columns: Mapping[str, Any]
    blank_lines: NDArray[np.int64]
    rows: int


def _read_ahead(
    sources: Sequence[Source], read: Callable[[Block], _Found | None], block_bytes: int
) -> Iterator[tuple[Source, Block, _Found | None]]:
    """Yield each block with what `read` makes of it, while threads read the next ones."""
    waiting: deque[tuple[Source, Block, Future[_Found | None]]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for source in sources:
            for block in read_blocks(source, block_bytes):
                waiting.append((source, block, pool.submit(read, block)))
                if len(waiting) > _WORKERS:
                    source_done, block_done, future = waiting.popleft()
                    yield source_done, block_done, future.result()
        for source, block, future in waiting:
            yield source, block, future.result()


class _Refused(Exception):
    """A line is not a record; the arguments are the rule, the value and the cure."""


class _Reader:
    """The two ways to read a block, and what all blocks of an input share.

    `optional` says of each optional key whether the records so far have it.
    """

    def __init__(self, wanted: Mapping[str, Presence], default_label: float | None) -> None:
        self.wanted = wanted
        self.default_label = default_label
        self.problems: list[str] = []
        self.optional: dict[str, bool] = {}
        self._decoder = msgspec.json.Decoder(Record)

    def read_block(self, block: Block) -> _Found | None:
        """Return what a block holds, or None where the fast ways cannot tell for sure."""
        return self._scan(block) or self._parse(block)

    def _scan(self, block: Block) -> _Found | None:
        """Read a block of the plain form."""
        try:
            from object2vec.reading.scanner import scan
        except ImportError:  # no numba for this Python
            return None
        scanned = scan(block.data)
        if scanned is None or not len(scanned.label):
            return None
        rows, columns = len(scanned.label), {}
        for name, presence in self.wanted.items():
            count, column = scanned.counts[name], getattr(scanned, name)
            if name == "label":
                if self.default_label is not None:
                    column = np.where(np.isnan(column), self.default_label, column)
                    count = rows
                if count and not (np.abs(column) < LABEL_LIMIT).all():
                    return None
                column = column.astype(np.float32)
            if count == rows:
                columns[name] = column
            elif count or presence == "required":
                return None
        return _Found(columns, scanned.blank + block.first_line, rows)

    def _parse(self, block: Block) -> _Found | None:
        """Read a block of any JSON objects with Arrow."""
        import pyarrow as pa
        from pyarrow import json as pyarrow_json

        lines = _find_lines(block.data)
        if lines is None or not lines[0]:
            return None
        rows, blank = lines
        options = pyarrow_json.ReadOptions(use_threads=False, block_size=len(block.data) + 1)
        schema = _parse_options(tuple(self.wanted))
        try:
            table = pyarrow_json.read_json(pa.BufferReader(block.data), options, schema)
        except pa.ArrowException:
            return None
        columns = self._take_columns(table, block.data) if table.num_rows == rows else None
        return None if columns is None else _Found(columns, blank + block.first_line, rows)

    def _take_columns(self, table: Any, data: bytes) -> dict[str, Any] | None:
        """Return the columns of an Arrow table; None if one of them is in doubt."""
        columns = {}
        for name, presence in self.wanted.items():
            column = table[name].combine_chunks()
            if column.null_count and b"null" in data:
                return None  # a missing key and a null look the same here, but null is an error
            if presence == "optional" and column.null_count == table.num_rows:
                continue
            if name == "label" and self.default_label is not None:
                column = column.fill_null(self.default_label)
            values = None if column.null_count else _from_arrow(column)
            if values is None:
                return None
            columns[name] = values
        return columns

    def continues(self, found: _Found) -> bool:
        """Say whether the optional keys are there or not as before, and take note of them."""
        optional = {k: k in found.columns for k, need in self.wanted.items() if need == "optional"}
        self.optional = self.optional or optional
        return optional == self.optional and self._has_object(found.columns)

    def read_lines(self, name: str, block: Block) -> _Found:
        """Return what a block holds, reading line by line and noting every problem."""
        records: list[Record] = []
        blank: list[int] = []
        lines = block.data.removesuffix(b"\n").split(b"\n")
        for number, line in enumerate(lines, block.first_line):
            if not line.strip():
                blank.append(number)
                continue
            try:
                records.append(self._read_line(line))
            except _Refused as refused:
                self.problems.append(problem(f"{name}:{number}", *refused.args))
                if len(self.problems) >= MAX_PROBLEMS:
                    break
        return _Found(self._to_columns(records), np.array(blank, np.int64), len(records))

    def _read_line(self, line: bytes) -> Record:
        """Return the record on a line, its label filled in."""
        record = None
        # An escape may hide a key, and of a key given twice msgspec tells only the last.
        if b"\\" not in line and all(line.count(b'"%b"' % k.encode()) < 2 for k in self.wanted):
            with contextlib.suppress(msgspec.MsgspecError):
                record = self._decoder.decode(line)
        if record is None or not abs(record.get("label", 0)) < LABEL_LIMIT:
            record = _explain(line, self.wanted)
        if self.default_label is not None:
            record.setdefault("label", self.default_label)
        self._check_keys(line, record)
        return record

    def _check_keys(self, line: bytes, record: Record) -> None:
        """Refuse a record without a key that it must have, or with one that the others lack."""
        for name, presence in self.wanted.items():
            if presence == "required" and name not in record:
                raise _Refused(f'must have the key "{name}"', _keys(line), "Add it to the record.")
        if not self._has_object(record):
            raise _Refused('must have the key "in0" or "in1"', _keys(line), "Add one of them.")
        for name, presence in self.wanted.items():
            has = name in record
            if presence == "optional" and self.optional.setdefault(name, has) != has:
                must = f'must {"lack" if has else "have"} the key "{name}" like the records before'
                raise _Refused(must, _keys(line), "Give all records the same keys.")

    def _has_object(self, keys: Container[str]) -> bool:
        """Say whether something to encode is there, if something is wanted."""
        objects = [name for name in ("in0", "in1") if name in self.wanted]
        return not objects or any(name in keys for name in objects)

    def _to_columns(self, records: Sequence[Record]) -> dict[str, Any]:
        """Return records as columns."""
        columns: dict[str, Any] = {}
        for name in self.wanted:
            if not self.optional.get(name, True):
                continue
            values = [record[name] for record in records]  # type: ignore[literal-required]
            if name == "label":
                columns[name] = np.array(values, np.float32)
            else:
                offsets = offsets_of(np.fromiter(map(len, values), np.int64, len(values)))
                tokens = np.fromiter(chain.from_iterable(values), np.int32, offsets[-1])
                columns[name] = Ragged(tokens, offsets)
        return columns


@functools.cache
def _parse_options(names: tuple[str, ...]) -> Any:
    """Return Arrow's options for records with these keys."""
    import pyarrow as pa
    from pyarrow import json as pyarrow_json

    kinds = {"in0": pa.list_(pa.int32()), "in1": pa.list_(pa.int32()), "label": pa.float64()}
    schema = pa.schema([(name, kinds[name]) for name in names])
    return pyarrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")


def _find_lines(data: bytes) -> tuple[int, NDArray[np.int64]] | None:
    """Return the number of records and the indices of the empty lines, or None if unsure.

    Arrow reads objects, not lines. But where every line begins with { and ends with }, no object
    that it accepts spans two lines, so as many objects as lines means one on each.
    """
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw == ord("\n"))  # (lines,)
    if raw[-1] != ord("\n"):
        ends = np.append(ends, len(raw))
    starts = np.concatenate([[0], ends[:-1] + 1])
    last = ends - 1
    last -= (last >= starts) & (raw[last] == ord("\r"))
    is_record = last >= starts
    starts, last = starts[is_record], last[is_record]  # (records,)
    if not ((raw[starts] == ord("{")) & (raw[last] == ord("}"))).all():
        return None
    return len(starts), np.flatnonzero(~is_record)


def _from_arrow(column: Any) -> Any:
    """Return an Arrow column without nulls as ours; None if it holds what is no id or label."""
    import pyarrow as pa

    if not pa.types.is_list(column.type):
        label = column.to_numpy()  # (n,)
        return label.astype(np.float32) if (np.abs(label) < LABEL_LIMIT).all() else None
    tokens = column.flatten()
    if tokens.null_count or (values := tokens.to_numpy()).min(initial=0) < 0:
        return None
    return Ragged(values, offsets_of(column.value_lengths().to_numpy()))


class _Object(list[tuple[str, Any]]):
    """A JSON object as it stands there: keys in order, also those given twice."""


def _explain(line: bytes, names: Container[str]) -> Record:
    """Return the record on a line that is right after all, or refuse it for its first mistake."""
    content = _load(line)
    if not isinstance(content, _Object):
        raise _Refused("must be a JSON object", content, _LINE_CURE)
    record: dict[str, Any] = {}
    for name, value in content:
        if name in record:
            raise _Refused(f'must have the key "{name}" once', "it twice", "Remove one of them.")
        if name in names:
            (_check_label if name == "label" else _check_ids)(name, value)
            record[name] = value
    return cast(Record, record)


def _load(line: bytes) -> Any:
    """Return the JSON on a line, objects as `_Object`."""
    try:
        return json.loads(line.decode("utf-8", "replace"), object_pairs_hook=_Object)
    except (ValueError, RecursionError) as err:
        reason = "a number is too long or the nesting too deep"
        if isinstance(err, json.JSONDecodeError):
            reason = f"{err.msg} at column {err.colno}"
        got = line[:100].decode("utf-8", "replace").strip()
        raise _Refused(f"must be one JSON object ({reason})", got, _LINE_CURE) from err


def _keys(line: bytes) -> list[str]:
    return [name for name, _ in _load(line)]


def _check_ids(name: str, value: Any) -> None:
    """Refuse what is not a list of ids."""
    must = f'"{name}" {ID_LIST_RULE}'
    if isinstance(value, _Object) or not isinstance(value, list):
        is_token = isinstance(value, int) and not isinstance(value, bool)
        raise _Refused(must, _plain(value), f"Write [{value}]." if is_token else "Write a list.")
    for position, token in enumerate(value):
        if type(token) is not int or not 0 <= token <= MAX_ID:
            raise _Refused(must, _plain(token), f"Fix the id at position {position}.")


def _check_label(name: str, value: Any) -> None:
    """Refuse what is not a number that a float32 can hold."""
    if not isinstance(value, (int, float)) or not abs(value) < LABEL_LIMIT:
        raise _Refused(f'"{name}" must be a finite number', _plain(value), "Fix the label.")


def _plain(value: Any) -> Any:
    """Return a value for a message, objects as dict."""
    return dict(value) if isinstance(value, _Object) else value
