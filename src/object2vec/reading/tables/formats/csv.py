"""CSV and TSV: every field is text as it is written, and an empty one is null.

Blocks of whole records are parsed, a few at once. Where no quotes stand, compiled code finds the
fields; all else is parsed by Arrow. It names no line and is lax in places, so what it cannot read,
or reads as another number of rows than there are, is looked at again: that says what is wrong, and
has the last word.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as pyarrow_csv

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.fields.spans import TextSpans
from object2vec.files.contents import UTF8_MARK, read_text
from object2vec.files.sources import Source
from object2vec.reading.compiled import compiled_programs
from object2vec.reading.tables.base import Forms, TableOptions
from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.lines import (
    FIRST_BYTES,
    PARSED_BYTES,
    LinesTable,
    Parsed,
    wrong_bytes,
)
from object2vec.reading.tables.records import (
    BadQuote,
    Delimiters,
    RecordText,
    find_inside,
    split_records,
)
from object2vec.reading.tables.types import TEXT_DICTIONARY

_log = logging.getLogger("object2vec.reading")

SEPARATORS = ",\t;|"
SUBSTITUTE = "\x1f"  # stands for a separator of several characters; ASCII made it for that

_SNIFFED_ROWS = 100
_CONVERT = "Convert it: tr '\\r' '\\n' < FILE."


_OPTIONS = frozenset({"columns", "separator", "quote", "encoding"})


class CsvTable(LinesTable):
    """The records of one stream.

    Parameters
    ----------
    source : Source
        Can be opened more than once.
    options : TableOptions
    """

    hint = " If no line holds their names, give them by --columns."

    def __init__(self, source: Source, options: TableOptions) -> None:
        head = head_of(source, options)
        separator = options.separator or sniff_separator(_with_line_feeds(head, options), options)
        self._longer = separator if separator[1:] else None
        self._has_returns = _with_line_feeds(head, options) is not head
        single = SUBSTITUTE if self._longer else separator
        super().__init__(source, options, Delimiters(single, options.quote))
        text = self.first_text()
        self._header: int | None = None  # where its line begins
        if options.columns:
            names = list(options.columns)
            self.hint = ""
        else:
            row = int(np.flatnonzero(text.is_row)[0])
            self._header = text.offset + int(text.bounds[0][row])
            names = self._header_names(text, row)
        self._width = len(names)
        self._position = {name: at for at, name in enumerate(names) if name}
        self._schema = pa.schema([(name, pa.string()) for name in self._position])

    @property
    def schema(self) -> pa.Schema:
        """Its columns, all of them text."""
        return self._schema

    def texts(self, size: int = PARSED_BYTES) -> Iterator[RecordText]:
        """Yield the stream in blocks of whole records."""
        chunks = read_text(self._source, size, self._encoding)
        if self._has_returns:
            chunks = (self._with_ends(chunk) for chunk in chunks)
        if self._longer:
            chunks = self._with_substitutes(chunks, self._longer.encode())
        return split_records(self.name, chunks, self._delimiters)

    def _with_ends(self, chunk: bytes) -> bytes:
        """Return a part of a text whose lines end in carriage returns with line feeds there."""
        if self._delimiters.quote and self._delimiters.quote.encode() in chunk:
            must, cure = "must end its lines with a line feed where it has quotes", _CONVERT
            raise DataError.at(self.name, must, "carriage returns alone", cure)
        return chunk.replace(b"\r", b"\n")

    def _with_substitutes(self, chunks: Iterator[bytes], separator: bytes) -> Iterator[bytes]:
        """Yield a text with one character for each separator, in whole lines but for the last."""
        rest = b""
        for chunk in chunks:
            if SUBSTITUTE.encode() in chunk:
                must = f"must not hold U+001F beside the separator {self._longer}"
                cure = "Replace one of them in the file."
                raise DataError.at(self.name, must, "one", cure)
            data = rest + chunk
            end = data.rfind(b"\n") + 1
            yield data[:end].replace(separator, SUBSTITUTE.encode())
            rest = data[end:]
        yield rest.replace(separator, SUBSTITUTE.encode())

    def parser(self, columns: Sequence[str], forms: Forms) -> Callable[[RecordText], Parsed]:
        """Return what reads these columns of a text."""
        types = {
            str(self._position[name]): TEXT_DICTIONARY if name in forms.dictionary else pa.string()
            for name in columns
        }
        convert = pyarrow_csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=[""],
            strings_can_be_null=True,
        )
        return partial(self._parse, columns=columns, forms=forms, convert=convert)

    def rows_of(self, texts: Iterator[RecordText]) -> Iterator[RecordText]:
        """Yield of these texts what is behind the header line."""
        for text in texts:
            start = -1 if self._header is None else self._header - text.offset
            if start < 0:
                yield text
            elif start < len(text.data):
                yield text.after(int(np.searchsorted(text.bounds[0], start)))

    def first_fields(self) -> list[str]:
        """Return the fields of the first record, be they names or values."""
        text = self.first_text()
        return self._fields_of(text, int(np.flatnonzero(text.is_row)[0]))

    def _fields_of(self, text: RecordText, record: int) -> list[str]:
        """Return the fields of one record."""
        start, end = (int(bound[record]) for bound in text.bounds)
        wrong = sorted(chain(wrong_bytes(self.name, text), self._lone_returns(text)))
        if problems := [mistake for at, mistake in wrong if at < end]:
            raise DataError(join_problems(problems))
        fields = read_fields(text.data[start:end], self._delimiters)
        return [self._shown(field) for field in fields]

    def _shown(self, text: str) -> str:
        """Return a text as it stands in the file."""
        return text.replace(SUBSTITUTE, self._longer) if self._longer else text

    def _header_names(self, text: RecordText, record: int) -> list[str]:
        """Return what the header line names."""
        names = self._fields_of(text, record)
        where = f"{self.name}:{text.record_lines[record]}"
        if twice := sorted({name for name in names if name and names.count(name) > 1}):
            cure = "Rename one of them; if that line is a row already, name columns by --columns."
            raise DataError.at(where, "must name every column once", ", ".join(twice), cure)
        if not any(name.strip() for name in names):
            cure = "Write their names into the first line, or give them by --columns."
            raise DataError.at(where, "must name its columns", names, cure)
        if nameless := names.count(""):
            _log.info("%s: %d columns without a name are not read", where, nameless)
        return names

    def _parse(
        self, text: RecordText, columns: Sequence[str], forms: Forms, convert: Any
    ) -> Parsed:
        """Return the columns of a text, or what is wrong with it."""
        if b"\0" in text.data or len(text.lone_returns()):
            return self._mistakes(text, "characters that no text has")
        if text.inside is None:
            found = self._found(text, columns, forms)
            if found is not None:
                return Parsed(found)
        read = pyarrow_csv.ReadOptions(
            use_threads=False,
            block_size=len(text.data) + len(UTF8_MARK) + 1,
            column_names=[str(at) for at in range(self._width)],
        )
        # Arrow skips a byte order mark, which inside a text is a character like others.
        is_marked = text.data.startswith(UTF8_MARK)
        data = pa.BufferReader(UTF8_MARK + text.data if is_marked else text.data)
        try:
            table = pyarrow_csv.read_csv(data, read, _parse_options(self._delimiters), convert)
        except pa.ArrowInvalid as err:
            return self._mistakes(text, str(err)) if text.rows else Parsed()
        if table.num_rows != text.records and table.num_rows != text.rows:
            return self._mistakes(text, f"{table.num_rows} rows on {text.rows} lines")
        arrays = [column.combine_chunks() for column in table.columns]
        if self._longer:  # inside quotes it is text
            arrays = [_replaced(each, SUBSTITUTE, self._longer) for each in arrays]
        return Parsed(dict(zip(columns, arrays, strict=True)))

    def _found(
        self, text: RecordText, columns: Sequence[str], forms: Forms
    ) -> dict[str, Any] | None:
        """Return the columns of a text without quotes; None if compiled code cannot find them."""
        if (programs := compiled_programs()) is None:
            return None
        ordered = sorted(columns, key=self._position.__getitem__)
        wanted = np.array([*map(self._position.__getitem__, ordered), -1])
        starts, ends = _scratch(len(ordered), text.lines + 1)  # (columns, lines)
        separator = ord(self._delimiters.separator)
        rows = programs.find_fields(text.raw, separator, self._width, wanted, starts, ends)
        if rows < 0:
            return None
        found: dict[str, Any] = {}
        for name, *bounds in zip(ordered, starts[:, :rows], ends[:, :rows], strict=True):
            found[name] = TextSpans(text.raw, *bounds)
            if name in forms.dictionary:
                found[name] = found[name].array().dictionary_encode()
            elif name not in forms.spans:
                found[name] = found[name].array()
        if not text.data.isascii():
            arrays = [each for each in found.values() if not isinstance(each, TextSpans)]
            if len(arrays) < len(found):  # what is in them nobody will look at again
                arrays.append(pa.array([text.data], pa.binary()).view(pa.string()))
            try:
                for each in arrays:
                    each.validate(full=True)
            except pa.ArrowInvalid:
                return None
        return {name: found[name] for name in columns}

    def _mistakes(self, text: RecordText, reason: str) -> Parsed:
        """Return what is wrong with a text, line by line."""
        wrong = (wrong_bytes(self.name, text), self._lone_returns(text), self._wrong_counts(text))
        found = [mistake for _, mistake in sorted(chain.from_iterable(wrong))]
        if not found:
            where = f"{self.name}:{text.first_line}"
            must, cure = "must be CSV from here on", "Check how it was written."
            found = [problem(where, must, reason, cure)]
        return Parsed(problems=found)

    def _lone_returns(self, text: RecordText) -> Iterator[tuple[int, str]]:
        """Yield offsets and problems of carriage returns that end no line."""
        for at in islice(text.lone_returns().tolist(), MAX_PROBLEMS):
            where = f"{self.name}:{text.line_at(at)}"
            must, got = "must end its lines with a line feed", "a carriage return alone"
            yield at, problem(where, must, got, _CONVERT)

    def _wrong_counts(self, text: RecordText) -> Iterator[tuple[int, str]]:
        """Yield offsets and problems of records with too many or too few fields."""
        counts = text.field_counts(self._delimiters.separator)  # (records,)
        wrong = np.flatnonzero((counts != self._width) & text.is_row)
        starts, ends = text.bounds
        for record in islice(wrong, MAX_PROBLEMS):
            start, end = int(starts[record]), int(ends[record])
            where = f"{self.name}:{text.line_at(start)}"
            model = "the columns that are named" if self._header is None else "the header"
            must = f"must have {_fields(self._width)} like {model}"
            shown = text.data[start : min(end, start + 60)].decode("utf-8", "replace")
            got = f"{counts[record]}: {self._shown(shown)}"
            cure = "Quote a field that holds the separator, or give another one by --separator."
            yield start, problem(where, must, got, cure)


class _Scratch(threading.local):
    """Memory of a thread for the offsets of a block: what is new each time costs a third of it."""

    offsets = np.empty(0, np.int64)


_held = _Scratch()


def _scratch(columns: int, lines: int) -> NDArray[np.int64]:
    """Return room for the starts and ends of fields until the thread's next block, (2, c, l)."""
    size = 2 * columns * lines
    if size > len(_held.offsets):
        _held.offsets = np.empty(size, np.int64)
    return _held.offsets[:size].reshape(2, columns, lines)


def _with_line_feeds(head: bytes, options: TableOptions) -> bytes:
    """Return a text's beginning with its lines ended as ours; itself if they are."""
    has_returns = b"\r" in head and b"\n" not in head
    is_plain = not options.quote or options.quote.encode() not in head
    return head.replace(b"\r", b"\n") if has_returns and is_plain else head


def _replaced(values: pa.Array, old: str, new: str) -> pa.Array:
    """Return strings, dictionary-encoded or not, with one text for another."""
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(values.type):
        return pc.replace_substring(values, old, new)
    different = pc.replace_substring(values.dictionary, old, new)
    return pa.DictionaryArray.from_arrays(values.indices, different)


def head_of(source: Source, options: TableOptions) -> bytes:
    """Return the beginning of a text, whole lines if there are several."""
    chunk = next(read_text(source, FIRST_BYTES, options.encoding), b"")
    return chunk[: chunk.rfind(b"\n") + 1] or chunk


def sniff_separator(head: bytes, options: TableOptions) -> str:
    """Return the character that divides the fields of a text's first lines; a comma if none does.

    Of those that occur in the first line the best is one that divides all lines alike, then the one
    that divides them into most fields.
    """
    best = (False, 1, SEPARATORS[0])
    for separator in SEPARATORS:
        counts = sniffed_counts(head, Delimiters(separator, options.quote))
        if len(counts) and counts[0] > 1:
            alike = bool((counts == counts[0]).all())
            alike &= not options.columns or counts[0] == len(options.columns)
            if (alike, counts[0]) > best[:2]:
                best = (alike, int(counts[0]), separator)
    return best[2]


def sniffed_counts(head: bytes, delimiters: Delimiters) -> NDArray[np.int64]:
    """Return how many fields the first lines of a text have; none if its quotes are wrong."""
    try:
        text = RecordText(head, 1, 0, find_inside(head, delimiters))
    except BadQuote:
        return np.zeros(0, np.int64)
    return text.field_counts(delimiters.separator)[text.is_row][:_SNIFFED_ROWS]


def read_fields(record: bytes, delimiters: Delimiters) -> list[str]:
    """Return the fields of one record."""
    text = RecordText(record, 1, 0, find_inside(record, delimiters))
    at = [-1, *text.outside(ord(delimiters.separator)).tolist(), len(record)]
    fields = [record[a + 1 : b].decode() for a, b in pairwise(at)]
    quote = delimiters.quote
    return [
        field[1:-1].replace(quote * 2, quote) if quote and field.startswith(quote) else field
        for field in fields
    ]


def _parse_options(delimiters: Delimiters) -> Any:
    return pyarrow_csv.ParseOptions(
        delimiter=delimiters.separator,
        quote_char=delimiters.quote or False,
        newlines_in_values=True,
    )


def _fields(count: int) -> str:
    return f"{count} field{'s' * (count != 1)}"


CSV_FORMAT = Format(
    "csv",
    "fields between separators, a header line unless columns are named; all columns text",
    CsvTable,
    (".csv",),
    options=_OPTIONS,
)
TSV_FORMAT = Format(
    "tsv",
    "the same with tabs between the fields",
    lambda source, options: CsvTable(source, replace(options, separator=options.separator or "\t")),
    (".tsv", ".tab"),
    options=_OPTIONS,
)
