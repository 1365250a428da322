"""Parquet: columns with types, in row groups."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
from pyarrow import parquet

from object2vec.files.sources import Source
from object2vec.reading.tables.base import TableOptions
from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.spool import at_any_offset
from object2vec.reading.tables.typed import TypedTable, reading


class ParquetTable(TypedTable):
    """One file.

    Parameters
    ----------
    source : Source
        What the user named.
    options : TableOptions
    """

    def __init__(self, source: Source, options: TableOptions) -> None:
        self._file = at_any_offset(source)
        self.sources = [source]
        with reading(source.name, "a Parquet file"), self._file.open() as stream:
            schema = parquet.ParquetFile(stream).schema_arrow
            self._texts = [each.name for each in schema if each.type == pa.string()]
            super().__init__(source.name, schema, "a Parquet file")

    def batches(
        self, columns: Sequence[str], dictionary: Collection[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield batches of some columns."""
        # What is a dictionary in the file is not written out to make one again.
        texts = [name for name in columns if name in dictionary and name in self._texts]
        with self._file.open() as stream:
            file = parquet.ParquetFile(
                stream, read_dictionary=texts, pre_buffer=True, page_checksum_verification=True
            )
            yield from file.iter_batches(batch_size=max(1, rows), columns=list(columns))


PARQUET_FORMAT = Format(
    "parquet",
    "Parquet with the types it has; fields of structs by their paths, `user.id`",
    ParquetTable,
    (".parquet", ".pq"),
    shows=lambda head: head.startswith(b"PAR1"),
    options=frozenset(),
)
