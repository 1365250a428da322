"""What formats of lines share: their blocks, read ahead, and what no line may hold."""

from __future__ import annotations

import contextlib
import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.files.contents import read_text
from object2vec.files.sources import Source
from object2vec.reading.ahead import read_ahead
from object2vec.reading.tables.base import (
    EMPTY_CURE,
    STRINGS,
    EmptyTableError,
    Forms,
    Result,
    Table,
    TableBlock,
    TableOptions,
    Work,
)
from object2vec.reading.tables.records import Delimiters, RecordText, split_records
from object2vec.reading.tables.types import first_rows, plain
from object2vec.reading.tables.whole_lines import lines_of

FIRST_BYTES = 64 << 10  # that names and types are found in
# Measured: larger blocks cost a quarter more, smaller ones have larger dictionaries.
PARSED_BYTES = 1 << 20

_NUL_SHARE = 0.4  # of every other byte of a text that is mostly ASCII, in UTF-16

_log = logging.getLogger("object2vec.reading")

LINES = Delimiters(",", "")  # of formats without quotes: a record is a line


@dataclass(frozen=True, eq=False)
class Parsed:
    """What a text holds: the columns, or problems in the order of their lines."""

    columns: dict[str, Any] = field(default_factory=dict)
    problems: Sequence[str] = ()

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return len(next(iter(self.columns.values()), ()))


class LinesTable(Table):
    """The records of one stream of text.

    Parameters
    ----------
    source : Source
        Can be opened more than once.
    options : TableOptions
    delimiters : Delimiters
        Says where a record ends.
    """

    def __init__(
        self, source: Source, options: TableOptions, delimiters: Delimiters = LINES
    ) -> None:
        self.name = source.name
        self.sources = [source]
        self._source, self._encoding, self._delimiters = source, options.encoding, delimiters

    @abstractmethod
    def parser(self, columns: Sequence[str], forms: Forms) -> Callable[[RecordText], Parsed]:
        """Return what reads these columns of a text; threads call it, for several texts at once."""

    def texts(self, size: int = PARSED_BYTES) -> Iterator[RecordText]:
        """Yield the stream in blocks of whole records."""
        chunks = read_text(self._source, size, self._encoding)
        return split_records(self.name, chunks, self._delimiters)

    def rows_of(self, texts: Iterator[RecordText]) -> Iterator[RecordText]:
        """Yield of these texts what holds rows: all of it, or what is behind a header."""
        return texts

    def first_text(self) -> RecordText:
        """Return the first block that has records.

        Raises
        ------
        EmptyTableError
            If there is none.
        """
        for text in self.texts(FIRST_BYTES):
            if text.rows:
                return text
        raise EmptyTableError.at(self.name, "must hold at least one record", "none", EMPTY_CURE)

    def first(self, rows: int, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """Return the first rows."""
        wanted = self.check(columns)
        read = partial(_worked, self.parser(wanted, STRINGS), dict)
        blocks = self._blocks((text, read(text)) for text in self._rows(FIRST_BYTES))
        return first_rows(_with_columns(blocks), rows, self.schema, wanted)

    def blocks(
        self, columns: Sequence[str] | None = None, dictionary: Collection[str] = ()
    ) -> Iterator[TableBlock]:
        """Yield all rows of some columns."""
        return _with_columns(self.map_blocks(dict, columns, Forms(dictionary)))

    def map_blocks(
        self, work: Work[Result], columns: Sequence[str] | None = None, forms: Forms = STRINGS
    ) -> Iterator[tuple[TableBlock, Result]]:
        """Yield the blocks, and what threads have made of their columns."""
        parse = self.parser(self.check(columns), forms)
        return self._blocks(read_ahead(self._rows(PARSED_BYTES), partial(_worked, parse, work)))

    def _rows(self, size: int) -> Iterator[RecordText]:
        return (text for text in self.rows_of(self.texts(size)) if text.data)

    def _blocks(
        self, parsed: Iterable[tuple[RecordText, tuple[Parsed, Result]]]
    ) -> Iterator[tuple[TableBlock, Result]]:
        """Yield what was made of blocks; raise `DataError` at the end if there are problems."""
        problems: list[str] = []
        row = blank = 0
        try:
            for text, (found, made) in parsed:
                problems += islice(found.problems, MAX_PROBLEMS - len(problems))
                if len(problems) >= MAX_PROBLEMS:
                    break
                if found.rows and not problems:
                    where = partial(self._where, text)
                    yield TableBlock({}, found.rows, self.name, row, where), made
                row += found.rows
                blank += text.records - found.rows
        except DataError as err:  # of bytes or quotes; nothing is sure behind it
            problems.append(str(err))
        if problems:
            raise DataError(join_problems(problems))
        if blank:
            _log.info("%s: %d blank lines hold no row", self.name, blank)

    def _where(self, text: RecordText, row: int) -> str:
        return f"{self.name}:{text.line_of(row)}"


def _worked(
    parse: Callable[[RecordText], Parsed],
    work: Work[Result],
    text: RecordText,
) -> tuple[Parsed, Any]:
    """Return what a text holds, and what is made of that; None if it has no row."""
    found = parse(text)
    return found, work(found.columns) if found.rows else None


def _with_columns(blocks: Iterable[tuple[TableBlock, dict[str, Any]]]) -> Iterator[TableBlock]:
    return (replace(block, columns=columns) for block, columns in blocks)


def wrong_bytes(name: str, text: RecordText) -> Iterator[tuple[int, str]]:
    """Yield offsets in a text and problems of what none may hold."""
    starts = text.bounds[0]
    nul = np.flatnonzero(text.raw == 0)
    _, first = np.unique(np.searchsorted(starts, nul, "right"), return_index=True)
    for at in islice(nul[first].tolist(), MAX_PROBLEMS):
        where = f"{name}:{text.line_at(at)}"
        must, got = "must hold no NUL byte", f"one at byte {text.offset + at}"
        yield at, problem(where, must, got, _nul_cure(text))
    start = 0
    for _ in range(MAX_PROBLEMS):
        try:
            text.data[start:].decode()
            break
        except UnicodeDecodeError as err:
            bad = start + err.start
            yield bad, undecodable(f"{name}:{text.line_at(bad)}", text.data, bad, text.offset)
            start = text.data.find(b"\n", bad) + 1 or len(text.data)


def _nul_cure(text: RecordText) -> str:
    """Return what to do about NUL bytes: they are every other byte of an encoding."""
    for encoding, parity in (("utf-16-le", 1), ("utf-16-be", 0)):
        half = text.raw[(parity + text.offset) % 2 :: 2]
        if len(half) and np.count_nonzero(half == 0) > _NUL_SHARE * len(half):
            return f"It looks like the encoding {encoding}: name it, or convert the file."
    return "Check that it is a text, or remove it."


def undecodable(where: str, data: bytes, at: int, offset: int) -> str:
    """Return the problem of a byte that is not UTF-8, with an encoding that would fit."""
    start, end = max(at - 20, data.rfind(b"\n", 0, at) + 1), at + 20
    around = data[start:end].split(b"\n")[0]
    for encoding in ("cp1252", "latin-1"):
        with contextlib.suppress(UnicodeDecodeError):
            seen = around.decode(encoding)
            break
    cure = f"--encoding {encoding} would read {seen!r}, if that is right."
    if not all(character.isprintable() or character.isspace() for character in seen):
        cure = "It looks like no text: check that this is the right file."
    return problem(where, "must be UTF-8", f"0x{data[at]:02x} at byte {offset + at}", cure)


class WrongRows(Exception):
    """Some rows lack what a column must have; the arguments are the rows, the rule and the cure."""


class WholeLines(LinesTable):
    """Lines of text that are rows as a whole.

    Attributes
    ----------
    types : dict of str to pyarrow type
        The columns.
    """

    types: ClassVar[dict[str, pa.DataType]]

    def __init__(self, source: Source, options: TableOptions) -> None:
        super().__init__(source, options)
        self.first_text()

    @property
    def schema(self) -> pa.Schema:
        """The columns, which every stream of the format has."""
        return pa.schema(list(self.types.items()))

    @abstractmethod
    def column(self, name: str, lines: pa.StringArray) -> pa.Array:
        """Return a column of some lines; raise `WrongRows` if it cannot be."""

    def parser(self, columns: Sequence[str], forms: Forms) -> Callable[[RecordText], Parsed]:
        """Return what reads these columns of a text."""
        return partial(self._parse, columns=columns, dictionary=forms.dictionary)

    def _parse(
        self, text: RecordText, columns: Sequence[str], dictionary: Collection[str]
    ) -> Parsed:
        try:
            if b"\0" in text.data:
                raise ValueError
            lines = lines_of(text.data)
        except ValueError:
            return Parsed(problems=[mistake for _, mistake in wrong_bytes(self.name, text)])
        lines = lines.filter(pc.not_equal(lines, ""))
        found, problems = {}, []
        for name in columns:
            try:
                found[name] = plain(self.column(name, lines), dictionary=name in dictionary)
            except WrongRows as wrong:
                rows, must, cure = wrong.args
                for row in rows[:MAX_PROBLEMS]:
                    where = self._where(text, row)
                    problems.append(problem(where, must, lines[row].as_py(), cure))
        return Parsed({} if problems else found, problems)
