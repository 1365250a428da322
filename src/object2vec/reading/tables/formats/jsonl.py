"""JSON Lines: one object a line, with text, numbers, lists and objects in objects.

The types of the columns are those of the first records; a block of a column may come as ``double``
where those had whole numbers only. Arrow parses blocks of lines with these types. What it does not
accept beyond doubt is read line by line: that has the last word, and says what is wrong.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import islice
from json import JSONDecodeError
from typing import Any

import pyarrow as pa

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.files.sources import Source
from object2vec.reading.jsonl import Rejected, check_layout, parse_objects
from object2vec.reading.tables.base import Forms, TableOptions
from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.lines import LinesTable, Parsed, wrong_bytes
from object2vec.reading.tables.records import RecordText
from object2vec.reading.tables.types import (
    check_names,
    has_null,
    keys_of,
    merged_type,
    plain,
    plain_schema,
    plain_type,
    take,
)

Records = list[tuple[int, dict[str, Any]]]  # lines and what stands there

_HEAD_RECORDS = 1000
_CURE = "Write one object a line."
_ARROW_RAISES = (pa.ArrowException, TypeError, ValueError, OverflowError)


class JsonTable(LinesTable):
    """The objects of one stream.

    Parameters
    ----------
    source : Source
        Can be opened more than once.
    options : TableOptions
    """

    is_open_ended = True

    def __init__(self, source: Source, options: TableOptions) -> None:
        super().__init__(source, options)
        text = self.first_text()
        if wrong := [mistake for _, mistake in wrong_bytes(self.name, text)]:
            raise DataError(join_problems(wrong))
        check_layout(self.name, text.data.lstrip().splitlines()[0])
        records, problems = read_records(self.name, text, _HEAD_RECORDS)
        if problems:
            raise DataError(join_problems(problems))
        self._objects = _type_of(records)
        self._schema = plain_schema(self._objects)
        check_names(self.name, self.names)
        self._late: dict[str, pa.DataType | None] = {}  # of columns that the first records lack

    @property
    def schema(self) -> pa.Schema:
        """The columns of the first records and their types."""
        return self._schema

    def has(self, column: str) -> bool:
        """Return whether any record has a column, which may take a look at all of them."""
        return column in self.names or self._late_type(column) is not None

    def parser(self, columns: Sequence[str], forms: Forms) -> Callable[[RecordText], Parsed]:
        """Return what reads these columns of a text."""
        types = {column: self._type(column) for column in columns}
        return partial(self._parse, types=types, dictionary=forms.dictionary)

    def _keys(self, column: str) -> tuple[str, ...]:
        """Return the keys that lead to a column."""
        return keys_of(self._objects, column) or tuple(column.split("."))

    def _type(self, column: str) -> pa.DataType:
        """Return the type of a column, from later records if the first ones do not show it."""
        found = self.schema.field(column).type if column in self.names else pa.null()
        return (self._late_type(column) or found) if has_null(found) else found

    def _late_type(self, column: str) -> pa.DataType | None:
        """Return the type of the first values of a column, wherever they stand."""
        if column not in self._late:
            self._late[column] = None
            keys = self._keys(column)
            word = keys[-1].encode()
            for text in self.texts():
                if word not in text.data and b"\\" not in text.data:  # which may spell a key
                    continue
                records, _ = read_records(self.name, text)
                values = [_value(record, keys) for _, record in records]
                if (found := _first_type(values)) is not None:
                    self._late[column] = found
                    break
        return self._late[column]

    def _parse(
        self, text: RecordText, types: dict[str, pa.DataType], dictionary: Collection[str]
    ) -> Parsed:
        """Return the columns of a text, or what is wrong with it."""
        batch = self._parse_fast(text, types)
        if batch is not None:
            return Parsed(take(batch, types, dictionary, self.name))
        wrong = [mistake for _, mistake in wrong_bytes(self.name, text)]
        records, problems = ([], wrong) if wrong else read_records(self.name, text)
        columns: dict[str, pa.Array] = {}
        for column, wanted in types.items():
            values = [_value(record, self._keys(column)) for _, record in records]
            found = typed(values, wanted)
            if isinstance(found, int):
                problems.append(self._misfit(column, wanted, values[found], records[found][0]))
            else:
                types[column] = merged_type(wanted, plain_type(found.type))  # for what follows
                columns[column] = plain(found, dictionary=column in dictionary)
        return Parsed({} if problems else columns, problems)

    def _parse_fast(
        self, text: RecordText, types: Mapping[str, pa.DataType]
    ) -> pa.RecordBatch | None:
        """Return the objects of a text; None where Arrow cannot tell for sure."""
        if any(has_null(each) for each in types.values()):
            return None
        try:
            if not text.data.isascii():
                text.data.decode()
        except UnicodeDecodeError:
            return None
        schema = _schema_of({self._keys(column): each for column, each in types.items()})
        parsed = parse_objects(text.data, schema)
        return None if parsed is None else parsed[0].combine_chunks().to_batches()[0]

    def _misfit(self, column: str, wanted: pa.DataType, value: Any, line: int) -> str:
        must = f'"{column}" must have values of one type'
        must += "" if pa.types.is_null(wanted) else f" ({wanted})"
        got = value.value if isinstance(value, _Other) else value
        return problem(f"{self.name}:{line}", must, got, "Give all its values one type, or null.")

    def _where(self, text: RecordText, row: int) -> str:
        starts, ends = text.bounds
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        records = (start for start, end in bounds if text.data[start:end].strip())
        return f"{self.name}:{text.line_at(next(islice(records, row, None)))}"


class _Other:
    """A value that is no object where a key should lead on."""

    def __init__(self, value: Any) -> None:
        self.value = value


def read_records(
    name: str, text: RecordText, at_most: int | None = None
) -> tuple[Records, list[str]]:
    """Return the records of a text with their lines, and the problems of all other lines."""
    records: Records = []
    problems: list[str] = []
    starts, ends = text.bounds
    lines = zip(text.record_lines.tolist(), starts.tolist(), ends.tolist(), strict=True)
    for number, start, end in islice(lines, at_most):
        line = text.data[start:end]
        if not line.strip():
            continue
        try:
            records.append((number, _load(line)))
        except Rejected as rejected:
            problems.append(problem(f"{name}:{number}", *rejected.args))
            if len(problems) >= MAX_PROBLEMS:
                break
    return records, problems


def _load(line: bytes) -> dict[str, Any]:
    """Return the record on a line."""
    try:
        record = json.loads(
            line, object_pairs_hook=_once, parse_constant=_finite, parse_float=_finite
        )
    except (ValueError, RecursionError) as err:
        reason = f" ({err.msg} at column {err.colno})" if isinstance(err, JSONDecodeError) else ""
        got = line[:100].decode("utf-8", "replace").strip()
        raise Rejected(f"must be one JSON object{reason}", got, _CURE) from err
    if not isinstance(record, dict):
        raise Rejected("must be one JSON object", record, _CURE)
    return record


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; reject it if a key is there twice."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Rejected(f'must have the key "{twice}" once', "it twice", "Remove one of them.")
    return entries


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        must, cure = "must be JSON, which has finite numbers only", "Write null in its stead."
        raise Rejected(must, value, cure)
    return value


def _value(record: dict[str, Any], keys: Sequence[str]) -> Any:
    """Return what stands at some keys; None if it is missing."""
    found: Any = record
    for key in keys:
        if found is None:
            return None
        if not isinstance(found, dict):
            return _Other(found)
        found = found.get(key)
    return found


def typed(values: Sequence[Any], wanted: pa.DataType) -> pa.Array | int:
    """Return values as an array of a type like `wanted`, or the first row that has none such."""
    found = _array(values, wanted)
    if found is not None:
        return found
    rows = range(len(values))
    return bisect_left(rows, True, key=lambda row: _array(values[: row + 1], wanted) is None)


def _array(values: Sequence[Any], wanted: pa.DataType) -> pa.Array | None:
    try:
        found = pa.array(values)
    except _ARROW_RAISES:
        return None
    return None if merged_type(wanted, plain_type(found.type)) is None else found


def _first_type(values: Sequence[Any]) -> pa.DataType | None:
    """Return the type of values, of the first one if they have none in common."""
    for some in (values, *([value] for value in values)):
        found = _array(some, pa.null())
        if found is not None and not has_null(found.type):
            return plain_type(found.type)
    return None


def _type_of(records: Records) -> pa.DataType:
    """Return the type of some records, a struct; null for a key without values of one type."""
    objects = [record for _, record in records]
    whole = _array(objects, pa.null())
    if whole is not None:
        return whole.type
    types = {}
    for key in dict.fromkeys(key for record in objects for key in record):
        values = _array([record.get(key) for record in objects], pa.null())
        types[key] = pa.null() if values is None else values.type
    return pa.struct(list(types.items()))


def _schema_of(types: Mapping[tuple[str, ...], pa.DataType]) -> pa.Schema:
    """Return the schema of objects with values at some keys."""
    inner: dict[str, dict[tuple[str, ...], pa.DataType]] = {}
    for (key, *rest), found in types.items():
        inner.setdefault(key, {})[tuple(rest)] = found
    return pa.schema(
        [
            (key, below[()] if () in below else pa.struct(list(_schema_of(below))))
            for key, below in inner.items()
        ]
    )


JSON_LINES_FORMAT = Format(
    "jsonl",
    "one JSON object a line; keys of objects in objects by their paths, `user.id`",
    JsonTable,
    (".jsonl", ".ndjson", ".json"),
    shows=lambda head: re.match(rb"\s*(\[\s*)?\{", head) is not None,
)
