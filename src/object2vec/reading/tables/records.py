"""Texts of separated fields, cut into blocks of whole records, and what is wrong with them.

A record ends at a line end that stands in no quotes (RFC 4180). Where quotes begin and end is found
by arithmetic on their offsets; only a text in which some are not around a field is walked through.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError

MAX_RECORD_BYTES = 256 << 20  # a longer one is a quote that is never closed

_LINE_END = b"\n"
_LF, _CR = ord("\n"), ord("\r")
_NONE = np.zeros(0, np.int64)


class BadQuote(Exception):
    """A quote is opened and not closed as it must be; the argument is its offset."""


@dataclass(frozen=True)
class Dialect:
    """How fields are written.

    Parameters
    ----------
    separator : str
        One ASCII character.
    quote : str
        Another one, or empty.
    """

    separator: str
    quote: str


@dataclass(frozen=True, eq=False)
class Text:
    """Whole records.

    Parameters
    ----------
    data : bytes
    first_line : int
        Line of its first one, counted from 1.
    offset : int
        Bytes of the text before it.
    quotes : int64 array (2 q,)
        Offsets of the quotes that open and close fields, in turn.
    """

    data: bytes
    first_line: int
    offset: int
    quotes: NDArray[np.int64]

    @functools.cached_property
    def raw(self) -> NDArray[np.uint8]:
        """Its bytes as an array."""
        return np.frombuffer(self.data, np.uint8)

    @functools.cached_property
    def lines(self) -> int:
        """How many lines end in it."""
        return int(np.count_nonzero(self.raw == _LF))

    @property
    def records(self) -> int:
        """How many records it has, blank lines among them."""
        if len(self.quotes):
            return len(self.bounds[0])
        return self.lines + (not self.data.endswith(b"\n") if self.data else 0)

    def outside(self, character: int) -> NDArray[np.int64]:
        """Return the offsets of a character that stands in no quotes, (m,)."""
        at = np.flatnonzero(self.raw == character)
        return at[np.searchsorted(self.quotes, at) % 2 == 0] if len(self.quotes) else at

    @functools.cached_property
    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where its records begin and end, without their line ends; blank lines are among them."""
        if not self.data:
            return _NONE, _NONE
        ends = self.outside(_LF)  # (records,)
        if not self.data.endswith(b"\n"):
            ends = np.append(ends, len(self.data))
        starts = np.concatenate([[0], ends[:-1] + 1])
        return starts, ends - ((ends > starts) & (self.raw[ends - 1] == _CR))

    @functools.cached_property
    def is_row(self) -> NDArray[np.bool_]:
        """Which records are not blank lines, (records,)."""
        starts, ends = self.bounds
        return ends > starts

    @property
    def record_lines(self) -> NDArray[np.int64]:
        """The lines on which its records begin, (records,)."""
        starts, _ = self.bounds
        return self.first_line + np.searchsorted(np.flatnonzero(self.raw == _LF), starts)

    @property
    def rows(self) -> int:
        """How many records are not blank lines."""
        return int(np.count_nonzero(self.is_row))

    def field_counts(self, separator: str) -> NDArray[np.int64]:
        """Return how many fields each record has, (records,)."""
        starts, ends = self.bounds
        at = self.outside(ord(separator))  # (m,)
        return np.searchsorted(at, ends) - np.searchsorted(at, starts) + 1

    def line_at(self, offset: int) -> int:
        """Return the line that a byte stands on."""
        return self.first_line + self.data.count(b"\n", 0, int(offset))

    def line_of(self, row: int) -> int:
        """Return the line on which a row begins."""
        return self.line_at(self.bounds[0][np.flatnonzero(self.is_row)[row]])

    def lone_returns(self) -> NDArray[np.int64]:
        """Return the offsets of carriage returns that neither quotes nor line feeds follow."""
        if b"\r" not in self.data or self.data.count(b"\r") == self.data.count(b"\r\n"):
            return _NONE
        at = self.outside(_CR)
        behind = np.append(self.raw, _LF)[at + 1]  # (m,)
        return at[np.flatnonzero(behind != _LF)]

    def after(self, record: int) -> Text:
        """Return the text behind a record."""
        starts, _ = self.bounds
        if record + 1 == len(starts):
            return Text(b"", self.first_line + self.lines, self.offset + len(self.data), _NONE)
        start = int(starts[record + 1])
        quotes = self.quotes[np.searchsorted(self.quotes, start) :] - start
        return Text(self.data[start:], self.line_at(start), self.offset + start, quotes)


def split_records(name: str, chunks: Iterable[bytes], dialect: Dialect) -> Iterator[Text]:
    """Yield a text in blocks of whole records.

    Raises
    ------
    DataError
        If a quote is not closed before the next separator or line end, or never.
    """
    line, offset = 1, 0
    parts: list[bytes] = []
    size = wanted = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size < wanted:  # twice what was not enough, so that no record is searched often
            continue
        data = b"".join(parts)
        quotes = _quotes_in(name, data, line, dialect, is_end=False)
        end = _last_end(data, quotes)
        if not end and size > MAX_RECORD_BYTES:
            _raise_long(name, data, line, quotes)
        wanted = 0 if end else 2 * size
        if end:
            text = Text(data[:end], line, offset, quotes[: np.searchsorted(quotes, end)])
            yield text
            line, offset = line + text.lines, offset + end
        parts = [data[end:]]
        size = len(parts[0])
    if data := b"".join(parts):
        yield Text(data, line, offset, _quotes_in(name, data, line, dialect, is_end=True))


def find_quotes(data: bytes, dialect: Dialect) -> NDArray[np.int64]:
    """Return the offsets of the quotes that open and close fields, in turn.

    Raises
    ------
    BadQuote
        If a field goes on behind its closing quote.

    Notes
    -----
    A quote inside a field that does not begin with one is text, as in ``a 5" disk``; two of them in
    quotes stand for one. The last one may still be open.
    """
    if not dialect.quote or dialect.quote.encode() not in data:
        return _NONE
    raw = np.frombuffer(data, np.uint8)
    quote = ord(dialect.quote)
    quotes = np.flatnonzero(raw == quote)
    stops = np.zeros(256, np.bool_)  # what may stand before and behind a field
    stops[[ord(dialect.separator), _LF, _CR]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    # Two quotes for one look like a field that ends and another that begins at once.
    before = raw[np.maximum(opening - 1, 0)]
    behind = raw[np.minimum(closing + 1, len(raw) - 1)]
    doubled = np.zeros(len(opening), np.bool_)
    doubled[1:] = opening[1:] == closing[: len(opening) - 1] + 1
    begins = stops[before] | (opening == 0) | doubled
    goes_on = (closing + 1 < len(raw)) & ~stops[behind]
    goes_on[: len(opening) - 1] &= ~doubled[1:][: len(closing)]
    if begins.all() and not goes_on.any():
        return quotes
    return _walk(data, dialect)


def _walk(data: bytes, dialect: Dialect) -> NDArray[np.int64]:
    """Return the same as `find_quotes` for a text with quotes inside of fields."""
    quote = dialect.quote.encode()
    stops = b"\r\n" + dialect.separator.encode()
    opens = re.compile(b"(?<![^" + re.escape(stops) + b"])" + re.escape(quote))
    marks: list[int] = []
    at = 0
    while found := opens.search(data, at):
        marks.append(found.start())
        at = found.end()
        while (end := data.find(quote, at)) >= 0 and data[end + 1 : end + 2] == quote:
            at = end + 2
        if end < 0:
            break
        if data[end + 1 : end + 2] not in stops:
            raise BadQuote(marks[-1])
        marks.append(end)
        at = end + 1
    return np.array(marks, np.int64)


def _quotes_in(
    name: str, data: bytes, line: int, dialect: Dialect, *, is_end: bool
) -> NDArray[np.int64]:
    """Return the quotes of a text, or raise `DataError` with the line of a bad one."""
    try:
        quotes = find_quotes(data, dialect)
        if is_end and len(quotes) % 2:
            raise BadQuote(int(quotes[-1]))
    except BadQuote as err:
        raise _bad_quote(name, data, line, err.args[0]) from None
    return quotes


def _bad_quote(name: str, data: bytes, line: int, offset: int) -> DataError:
    where = f"{name}:{line + data.count(_LINE_END, 0, offset)}"
    got = data[offset : offset + 60].decode("utf-8", "replace")
    must = "must close a quote that opens a field at the end of the field"
    cure = 'Write "" for a quote inside quotes, or say that quotes are text: quote="".'
    return DataError.at(where, must, got, cure)


def _last_end(data: bytes, quotes: NDArray[np.int64]) -> int:
    """Return how many bytes of a text are whole records for sure."""
    end = data.rfind(b"\n") + 1
    while end and (inside := int(np.searchsorted(quotes, end))) % 2:
        end = data.rfind(b"\n", 0, int(quotes[inside - 1])) + 1
    return end


def _raise_long(name: str, data: bytes, line: int, quotes: NDArray[np.int64]) -> None:
    if len(quotes) % 2:
        raise _bad_quote(name, data, line, int(quotes[-1]))
    must = f"must have records of at most {MAX_RECORD_BYTES >> 20} MiB"
    raise DataError.at(f"{name}:{line}", must, "a longer one", "Check that its lines end.")
