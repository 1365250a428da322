"""CSV and TSV: every field is text as it is written, and an empty one is null.

Arrow parses blocks of whole records, a few at once. It names no line and is lax in places, so what
it cannot read, or reads as another number of rows than there are, is looked at again: that says
what is wrong, and has the last word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as pyarrow_csv

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.files.sources import BLOCK_BYTES, Source, read_text
from object2vec.reading.tables.ahead import read_ahead
from object2vec.reading.tables.base import Table, TableBlock, TableOptions
from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.records import BadQuote, Dialect, Text, find_quotes, split_records
from object2vec.reading.tables.types import TEXT_DICTIONARY

SEPARATORS = ",\t;|"

_SNIFFED_BYTES = 64 << 10
_SNIFFED_ROWS = 100

_EMPTY_CURE = "Check that this is the right file."


class Csv(Format):
    """Fields between separators, quoted where they hold one."""

    name = "csv"
    suffixes = (".csv",)
    about = "fields between separators, a header line unless columns are named; all columns text"

    @classmethod
    def open(cls, source: Source, options: TableOptions) -> Table:
        """Return the table in a stream."""
        return CsvTable(source, options)


class Tsv(Format):
    """The same with tabs."""

    name = "tsv"
    suffixes = (".tsv", ".tab")
    about = "the same with tabs between the fields"

    @classmethod
    def open(cls, source: Source, options: TableOptions) -> Table:
        """Return the table in a stream."""
        return CsvTable(source, replace(options, separator=options.separator or "\t"))


class CsvTable(Table):
    """The records of one stream.

    Parameters
    ----------
    source : Source
        Can be opened more than once.
    options : TableOptions
    """

    def __init__(self, source: Source, options: TableOptions) -> None:
        self.name = source.name
        self.sources = [source]
        self._source, self._options = source, options
        self.options = options
        self._header: int | None = None  # where its line begins
        separator = options.separator or sniff_separator(self._head(), options)
        self._dialect = Dialect(separator, options.quote)
        text = next((text for text in self._texts(_SNIFFED_BYTES) if text.rows), None)
        if text is None:
            raise DataError.at(self.name, "must hold at least one record", "none", _EMPTY_CURE)
        if options.columns:
            self._names = list(options.columns)
        else:
            row = int(np.flatnonzero(text.is_row)[0])
            self._header = text.offset + int(text.bounds[0][row])
            self._names = self._header_names(text, row)

    @property
    def names(self) -> list[str]:
        """Its columns."""
        return self._names

    def first(self, rows: int) -> pa.RecordBatch:
        """Return all columns of the first rows."""
        taken = []
        missing = rows
        for block in self._blocks(self._names, (), threaded=False):
            taken.append(pa.record_batch(block.columns).slice(0, missing))
            missing -= len(taken[-1])
            if missing <= 0:
                break
        return pa.Table.from_batches(taken).combine_chunks().to_batches()[0]

    def blocks(
        self, columns: Sequence[str] | None = None, dictionary: Collection[str] = ()
    ) -> Iterator[TableBlock]:
        """Yield all rows of some columns."""
        return self._blocks(self.check(columns), dictionary, threaded=True)

    def _blocks(
        self, columns: Sequence[str], dictionary: Collection[str], *, threaded: bool
    ) -> Iterator[TableBlock]:
        parse = partial(self._parse, columns=columns, dictionary=dictionary)
        texts = self._texts(BLOCK_BYTES if threaded else _SNIFFED_BYTES, skip_header=True)
        problems: list[str] = []
        rows = 0
        try:
            for text, found in read_ahead(texts, parse) if threaded else _each(texts, parse):
                if isinstance(found, str):
                    problems += islice(self._mistakes(text, found), MAX_PROBLEMS - len(problems))
                    if len(problems) >= MAX_PROBLEMS:
                        break
                elif not problems and found.num_rows:
                    arrays = dict(zip(columns, found.columns, strict=True))
                    where = partial(self._where, text)
                    yield TableBlock(arrays, found.num_rows, self.name, rows, where)
                    rows += found.num_rows
        except DataError as err:  # of bytes or quotes; nothing is sure behind it
            problems.append(str(err))
        if not rows and not problems:
            must = "must hold records behind its header line"
            problems = [problem(self.name, must, "none", _EMPTY_CURE)]
        if problems:
            raise DataError(join_problems(problems))

    def _texts(self, size: int, *, skip_header: bool = False) -> Iterator[Text]:
        """Yield the stream in blocks of whole records."""
        chunks = read_text(self._source, size, self._options.encoding)
        texts = split_records(self.name, chunks, self._dialect)
        for text in texts:
            start = -1 if self._header is None else self._header - text.offset
            if not skip_header or start < 0:
                yield text
            elif start < len(text.data):
                yield text.after(int(np.searchsorted(text.bounds[0], start)))

    def _head(self) -> bytes:
        """Return the beginning of the stream, whole lines if there are several."""
        chunk = next(read_text(self._source, _SNIFFED_BYTES, self._options.encoding), b"")
        return chunk[: chunk.rfind(b"\n") + 1] or chunk

    def _header_names(self, text: Text, row: int) -> list[str]:
        """Return what the header line names."""
        start, end = (int(bound[row]) for bound in text.bounds)
        line = text.data[start:end]
        where = f"{self.name}:{text.line_at(start)}"
        try:
            names = read_fields(line, self._dialect)
        except UnicodeDecodeError as err:
            raise DataError(undecodable(where, line, err.start, text.offset + start)) from None
        if twice := sorted({name for name in names if name and names.count(name) > 1}):
            cure = "Rename one, or name all columns yourself and remove the header line."
            raise DataError.at(where, "must name every column once", ", ".join(twice), cure)
        return names

    def _parse(
        self, text: Text, columns: Sequence[str], dictionary: Collection[str]
    ) -> pa.RecordBatch | str:
        """Return the columns of a text, or why that is not possible."""
        wanted = [str(self._names.index(column)) for column in columns]
        types = {
            at: TEXT_DICTIONARY if column in dictionary else pa.string()
            for at, column in zip(wanted, columns, strict=True)
        }
        empty = pa.RecordBatch.from_pylist([], pa.schema(list(types.items())))
        if b"\0" in text.data or len(text.lone_returns()):
            return "characters that no text has"
        if not text.data:
            return empty
        try:
            table = pyarrow_csv.read_csv(
                pa.BufferReader(text.data),
                pyarrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=len(text.data) + 1,
                    column_names=[str(index) for index in range(len(self._names))],
                ),
                _parse_options(self._dialect),
                pyarrow_csv.ConvertOptions(
                    column_types=types,
                    include_columns=wanted,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid as err:
            return str(err) if text.rows else empty
        is_plain = not len(text.quotes) and table.num_rows == text.lines
        if not is_plain and table.num_rows != text.rows:
            return f"{table.num_rows} rows on {text.rows} lines"
        return table.combine_chunks().to_batches()[0]

    def _mistakes(self, text: Text, reason: str) -> Iterator[str]:
        """Yield what is wrong with a text, line by line."""
        found = [*self._wrong_characters(text), *self._wrong_counts(text)]
        for _, mistake in sorted(found):
            yield mistake
        if not found:
            where = f"{self.name}:{text.first_line}"
            yield problem(where, "must be CSV from here on", reason, "Check how it was written.")

    def _wrong_characters(self, text: Text) -> Iterator[tuple[int, str]]:
        """Yield offsets and problems of what no text may hold."""
        for at in islice(np.flatnonzero(text.raw == 0), MAX_PROBLEMS):
            where = f"{self.name}:{text.line_at(int(at))}"
            must, cure = "must hold no NUL byte", "Check its encoding, or remove it."
            yield int(at), problem(where, must, f"one at byte {text.offset + int(at)}", cure)
        for at in islice(text.lone_returns(), MAX_PROBLEMS):
            where = f"{self.name}:{text.line_at(at)}"
            must, got = "must end its lines with a line feed", "a carriage return alone"
            yield int(at), problem(where, must, got, "Convert it: tr '\\r' '\\n' < FILE.")
        start = 0
        for _ in range(MAX_PROBLEMS):
            try:
                text.data[start:].decode()
                break
            except UnicodeDecodeError as err:
                bad = start + err.start
                where = f"{self.name}:{text.line_at(bad)}"
                yield bad, undecodable(where, text.data, bad, text.offset)
                start = text.data.find(b"\n", bad) + 1 or len(text.data)

    def _wrong_counts(self, text: Text) -> Iterator[tuple[int, str]]:
        """Yield offsets and problems of records with too many or too few fields."""
        counts = text.field_counts(self._dialect.separator)  # (records,)
        wrong = np.flatnonzero((counts != len(self._names)) & text.is_row)
        starts, ends = text.bounds
        for record in islice(wrong, MAX_PROBLEMS):
            start, end = int(starts[record]), int(ends[record])
            where = f"{self.name}:{text.line_at(start)}"
            must = f"must have {_fields(len(self._names))} like the header"
            shown = text.data[start : min(end, start + 60)].decode("utf-8", "replace")
            got = f"{counts[record]}: {shown}"
            cure = "Put quotes around a field that holds the separator, or name the separator."
            yield start, problem(where, must, got, cure)

    def _where(self, text: Text, row: int) -> str:
        return f"{self.name}:{text.line_of(row)}"


def sniff_separator(head: bytes, options: TableOptions) -> str:
    """Return the character that divides the fields of a text's first lines; a comma if none does.

    Of those that occur in the first line the best is one that divides all lines alike, then the one
    that divides them into most fields.
    """
    best = (False, 1, SEPARATORS[0])
    for separator in SEPARATORS:
        counts = sniffed_counts(head, Dialect(separator, options.quote))
        if len(counts) and counts[0] > 1:
            alike = bool((counts == counts[0]).all())
            alike &= not options.columns or counts[0] == len(options.columns)
            if (alike, counts[0]) > best[:2]:
                best = (alike, int(counts[0]), separator)
    return best[2]


def sniffed_counts(head: bytes, dialect: Dialect) -> NDArray[np.int64]:
    """Return how many fields the first lines of a text have; none if its quotes are wrong."""
    try:
        text = Text(head, 1, 0, find_quotes(head, dialect))
    except BadQuote:
        return np.zeros(0, np.int64)
    return text.field_counts(dialect.separator)[text.is_row][:_SNIFFED_ROWS]


def read_fields(record: bytes, dialect: Dialect) -> list[str]:
    """Return the fields of one record.

    Raises
    ------
    UnicodeDecodeError
        If it is not UTF-8.
    """
    text = Text(record, 1, 0, find_quotes(record, dialect))
    at = [-1, *text.outside(ord(dialect.separator)).tolist(), len(record)]
    fields = [record[a + 1 : b].decode() for a, b in pairwise(at)]
    quote = dialect.quote
    return [
        field[1:-1].replace(quote * 2, quote) if quote and field.startswith(quote) else field
        for field in fields
    ]


def undecodable(where: str, data: bytes, at: int, offset: int) -> str:
    """Return the problem of a byte that is not UTF-8, with an encoding that would fit."""
    start, end = max(at - 20, data.rfind(b"\n", 0, at) + 1), at + 20
    around = data[start:end].split(b"\n")[0]
    for encoding in ("cp1252", "latin-1"):
        with contextlib.suppress(UnicodeDecodeError):
            seen = around.decode(encoding)
            break
    cure = f"In the encoding {encoding} it would be {seen!r}: name it, or convert the file."
    return problem(where, "must be UTF-8", f"0x{data[at]:02x} at byte {offset + at}", cure)


def _each(
    texts: Iterable[Text], parse: Callable[[Text], pa.RecordBatch | str]
) -> Iterator[tuple[Text, pa.RecordBatch | str]]:
    return ((text, parse(text)) for text in texts)


def _parse_options(dialect: Dialect) -> Any:
    return pyarrow_csv.ParseOptions(
        delimiter=dialect.separator, quote_char=dialect.quote or False, newlines_in_values=True
    )


def _fields(count: int) -> str:
    return f"{count} field{'s' * (count != 1)}"
