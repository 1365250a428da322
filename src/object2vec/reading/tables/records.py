"""Texts of separated fields, divided into blocks of whole records, and what is wrong with them.

A record ends at a line end that stands in no quotes (RFC 4180). What stands in quotes is found for
all bytes at once; only a text whose quotes are not all around fields is walked through.
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
_PART = 1 << 16  # bytes that are compared at once: the result stays in a core's cache
_NONE = np.zeros(0, np.int64)
_TRUE = np.ones(1, np.bool_)

Mask = NDArray[np.bool_]


class BadQuote(Exception):
    """A quote is opened and not closed as it must be; the argument is its offset."""


@dataclass(frozen=True)
class Delimiters:
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
class RecordText:
    """Whole records.

    Parameters
    ----------
    data : bytes
    first_line : int
        Line of its first one, counted from 1.
    offset : int
        Bytes of the text before it.
    inside : bool array (bytes,) or None
        Which bytes stand in quotes, the opening ones among them; None if there are no quotes.
    """

    data: bytes
    first_line: int
    offset: int
    inside: Mask | None = None

    @functools.cached_property
    def raw(self) -> NDArray[np.uint8]:
        """Its bytes as an array."""
        return np.frombuffer(self.data, np.uint8)

    @functools.cached_property
    def lines(self) -> int:
        """How many lines end in it."""
        parts = (self.raw[at : at + _PART] for at in range(0, len(self.raw), _PART))
        return sum(int(np.count_nonzero(part == _LF)) for part in parts)

    @property
    def records(self) -> int:
        """How many records it has, blank lines among them."""
        ends = self.lines
        if self.inside is not None:
            ends = int(np.count_nonzero((self.raw == _LF) & ~self.inside))
        return ends + (not self.data.endswith(b"\n") if self.data else 0)

    def outside(self, character: int) -> NDArray[np.int64]:
        """Return the offsets of a character that stands in no quotes, (m,)."""
        found = self.raw == character
        return np.flatnonzero(found if self.inside is None else found & ~self.inside)

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

    def after(self, record: int) -> RecordText:
        """Return the text behind a record."""
        starts, _ = self.bounds
        start = int(np.append(starts, len(self.data))[record + 1])
        inside = None if self.inside is None else self.inside[start:]
        return RecordText(self.data[start:], self.line_at(start), self.offset + start, inside)


def split_records(
    name: str, chunks: Iterable[bytes], delimiters: Delimiters
) -> Iterator[RecordText]:
    """Yield a text in blocks of whole records.

    Raises
    ------
    DataError
        If a quote is not closed before the next separator or line end, or never.
    """
    line, offset = 1, 0
    parts: list[bytes | memoryview] = []
    size = wanted = 0
    for chunk in chunks:
        last = 0 if wanted else chunk.rfind(_LINE_END) + 1  # what is behind it is not copied twice
        rest = chunk[last:] if last else b""
        parts.append(memoryview(chunk)[: last or None])
        size += len(parts[-1])
        if size < wanted:  # twice what was not enough, so that no record is searched often
            continue
        data = b"".join(parts)
        inside = _inside(name, data, line, delimiters)
        end = _last_end(data, inside)
        if not end and size > MAX_RECORD_BYTES:
            _raise_long(name, data, line, inside)
        wanted = 0 if end else 2 * size
        if end:
            text = RecordText(data[:end], line, offset, None if inside is None else inside[:end])
            yield text
            line, offset = line + text.lines, offset + end
        parts = [data[end:], rest]
        size = len(data) - end + len(rest)
    if data := b"".join(parts):
        inside = _inside(name, data, line, delimiters)
        if inside is not None and inside[-1]:
            raise _bad_quote(name, data, line, _last_opening(inside))
        yield RecordText(data, line, offset, inside)


def find_inside(data: bytes, delimiters: Delimiters) -> Mask | None:
    """Return which bytes of a text stand in quotes, the opening ones among them, (bytes,).

    Raises
    ------
    BadQuote
        If a field goes on behind its closing quote.

    Notes
    -----
    A quote inside a field that does not begin with one is text, as in ``a 5" disk``; two of them in
    quotes stand for one. The last field may still be open.
    """
    if not delimiters.quote or delimiters.quote.encode() not in data:
        return None
    raw = np.frombuffer(data, np.uint8)
    marks = raw == ord(delimiters.quote)
    # What may stand before and behind a field; two quotes for one end a field and begin the next.
    edges = np.ones(len(raw) + 2, np.bool_)  # with the ends of the text
    inner, work = edges[1:-1], np.empty_like(marks)
    np.equal(raw, ord(delimiters.separator), out=inner)
    for character in (_LF, _CR) if b"\r" in data else (_LF,):
        inner |= np.equal(raw, character, out=work)
    inner |= marks
    before, behind = edges[:-2], edges[2:]
    # A greater truth is one without the other: these operations need no more memory.
    texts = np.greater(marks, np.logical_or(before, behind, out=work))
    np.greater(marks, texts, out=marks)
    inside: Mask = np.logical_xor.accumulate(marks)
    opens = np.logical_and(marks, inside, out=work)
    wrong = np.greater(opens, before, out=work).any()
    closes = np.greater(marks, inside, out=work)
    wrong |= np.greater(closes, behind, out=work).any()
    wrong |= np.logical_and(texts, inside, out=work).any()
    return _walk(data, delimiters) if wrong else inside


def _walk(data: bytes, delimiters: Delimiters) -> Mask:
    """Return the same as `find_inside` for any text."""
    quote = delimiters.quote.encode()
    stops = b"\r\n" + delimiters.separator.encode()
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
    changes = np.zeros(len(data), np.bool_)
    changes[marks] = True
    inside: Mask = np.logical_xor.accumulate(changes)
    return inside


def _inside(name: str, data: bytes, line: int, delimiters: Delimiters) -> Mask | None:
    """Return what stands in quotes, or raise `DataError` with the line of a bad one."""
    try:
        return find_inside(data, delimiters)
    except BadQuote as err:
        raise _bad_quote(name, data, line, err.args[0]) from None


def _bad_quote(name: str, data: bytes, line: int, offset: int) -> DataError:
    where = f"{name}:{line + data.count(_LINE_END, 0, offset)}"
    got = data[offset : offset + 60].decode("utf-8", "replace")
    must = "must close a quote that opens a field at the end of the field"
    cure = 'Write "" for a quote inside quotes; --quote "" takes quotes as text.'
    return DataError.at(where, must, got, cure)


def _last_end(data: bytes, inside: Mask | None) -> int:
    """Return how many bytes of a text are whole records for sure."""
    end = data.rfind(b"\n") + 1
    if inside is None or not end or not inside[end - 1]:
        return end
    ends = np.flatnonzero((np.frombuffer(data, np.uint8) == _LF) & ~inside)
    return int(ends[-1]) + 1 if len(ends) else 0


def _last_opening(inside: Mask) -> int:
    """Return the offset of the last quote that opens a field."""
    return int(np.flatnonzero(inside & ~np.concatenate([~_TRUE, inside[:-1]]))[-1])


def _raise_long(name: str, data: bytes, line: int, inside: Mask | None) -> None:
    if inside is not None and inside[-1]:
        raise _bad_quote(name, data, line, _last_opening(inside))
    must = f"must have records of at most {MAX_RECORD_BYTES >> 20} MiB"
    raise DataError.at(f"{name}:{line}", must, "a longer one", "Check that its lines end.")
