"""Arrow's own format: files (Feather is the same) and streams."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import ipc

from object2vec.files.sources import Source
from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.spool import at_any_offset
from object2vec.reading.tables.typed import TypedTable, reading

_FILE = b"ARROW1\0\0"
_STREAM = b"\xff\xff\xff\xff"


class ArrowTable(TypedTable):
    """Record batches of one stream.

    Parameters
    ----------
    source : Source
        Not packed, with a stream that can be read at any offset.
    name : str
        What messages call it.
    sources : list of Source, optional
        What the user named; None if that is something in memory.
    """

    def __init__(self, source: Source, name: str, sources: list[Source] | None = None) -> None:
        self._source = source
        self.sources = sources
        with reading(name, "an Arrow file"), source.open() as stream:
            super().__init__(name, _reader(stream).schema, "an Arrow file")

    def batches(
        self, columns: Sequence[str], dictionary: Collection[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches as they were written."""
        with self._source.open() as stream:
            reader = _reader(stream)
            if isinstance(reader, ipc.RecordBatchStreamReader):
                yield from reader
            else:
                yield from (reader.get_batch(at) for at in range(reader.num_record_batches))


def _reader(stream: Any) -> ipc.RecordBatchStreamReader | ipc.RecordBatchFileReader:
    head = stream.read(len(_FILE))
    stream.seek(0)
    return ipc.open_file(stream) if head == _FILE else ipc.open_stream(stream)


ARROW_FORMAT = Format(
    "arrow",
    "Arrow IPC files and streams, and Feather, with the types they have",
    lambda source, options: ArrowTable(at_any_offset(source), source.name, [source]),
    (".arrow", ".feather", ".ipc", ".arrows"),
    shows=lambda head: head.startswith((_FILE, _STREAM)),
    options=frozenset(),
)
