"""Text of which each line is one value, whatever stands in it: a table of one column."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa

from object2vec.errors import DataError
from object2vec.files.contents import Block, read_blocks
from object2vec.files.sources import Source
from object2vec.reading.tables.base import Table, TableBlock

_LF = ord("\n")
_LARGE = 2**31  # bytes that offsets of 32 bits do not reach


class Lines(Table):
    """A column of lines.

    Parameters
    ----------
    sources : list of Source
    column : str
        What the column is called.
    """

    def __init__(self, sources: list[Source], column: str) -> None:
        self.sources, self._column = sources, column
        self.name = ", ".join(source.name for source in sources)

    @property
    def schema(self) -> pa.Schema:
        """Its one column, of text."""
        return pa.schema([(self._column, pa.string())])

    def first(self, rows: int, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """Return the first rows."""
        from object2vec.reading.tables.types import first_rows  # loads as `lines_of` says

        wanted = self.check(columns)
        return first_rows(self.blocks(), rows, self.schema, wanted)

    def blocks(
        self,
        columns: Sequence[str] | None = None,
        dictionary: Collection[str] = (),
    ) -> Iterator[TableBlock]:
        """Yield all rows."""
        self.check(columns)
        for source in self.sources or ():
            rows = 0
            for block in read_blocks(source):
                try:
                    values = lines_of(block.data)
                except pa.ArrowInvalid as err:
                    raise _undecodable(source, block) from err
                locate = _numbered(source, block)
                columns_of = {self._column: values}
                yield TableBlock(columns_of, len(values), source.name, rows, locate)
                rows += len(values)


def _numbered(source: Source, block: Block) -> Callable[[int], str]:
    return lambda row: f"{source.name}:{block.first_line + row}"


def lines_of(data: bytes) -> pa.Array:
    """Return the lines of a text without their ends; raise `ArrowInvalid` if it is no UTF-8."""
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw == _LF)  # (n,)
    if len(raw) and not data.endswith(b"\n"):
        ends = np.append(ends, len(raw))
    kind, width = (pa.string(), np.int32) if len(raw) < _LARGE else (pa.large_string(), np.int64)
    offsets = np.zeros(len(ends) + 1, width)
    offsets[1:] = ends - np.arange(len(ends))  # where the text is without its line feeds
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(raw[raw != _LF])]
    lines = pa.Array.from_buffers(kind, len(ends), buffers)
    lines.validate(full=True)
    if b"\r" not in data:
        return lines
    import pyarrow.compute as pc  # which takes as long to load as all the rest

    return pc.replace_substring_regex(lines, r"\r$", "")  # one: what else is there is text


def _undecodable(source: Source, block: Block) -> DataError:
    """Return the error that names the first line that is no UTF-8."""
    try:
        block.data.decode()
    except UnicodeDecodeError as err:
        line = block.first_line + block.data.count(b"\n", 0, err.start)
        got = block.data[err.start : err.start + 8]
        where = f"{source.name}:{line}"
        return DataError.at(where, "must be UTF-8", got, "Convert the file to UTF-8.")
    raise AssertionError("our bug: this is UTF-8")
