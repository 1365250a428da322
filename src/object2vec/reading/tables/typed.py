"""Tables whose columns have types of their own and come as batches of Arrow's."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from functools import partial

import pyarrow as pa

from object2vec.errors import DataError
from object2vec.reading.ahead import prefetch
from object2vec.reading.tables.base import BLOCK_ROWS, Table, TableBlock
from object2vec.reading.tables.types import check_names, first_rows, plain_schema, take

_CURE = "Check that it is whole: write or copy it again."


class TypedTable(Table):
    """Batches of Arrow's, made anew for each reading.

    Parameters
    ----------
    name : str
    schema : pyarrow.Schema
        As the batches have it.
    kind : str
        What it is, for messages: ``"a Parquet file"``.
    """

    has_dictionaries = True

    def __init__(self, name: str, schema: pa.Schema, kind: str) -> None:
        self.name = name
        self._kind = kind
        self._schema = plain_schema(schema)
        check_names(name, self.names)

    @property
    def schema(self) -> pa.Schema:
        """Its columns and their types."""
        return self._schema

    @abstractmethod
    def batches(
        self, columns: Sequence[str], dictionary: Collection[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield batches of about so many rows that have at least these columns."""

    def first(self, rows: int, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """Return the first rows."""
        wanted = self.check(columns)
        return first_rows(self._blocks(wanted, (), rows), rows, self.schema, wanted)

    def blocks(
        self,
        columns: Sequence[str] | None = None,
        dictionary: Collection[str] = (),
    ) -> Iterator[TableBlock]:
        """Yield all rows of some columns."""
        return prefetch(self._blocks(self.check(columns), dictionary, BLOCK_ROWS))

    def _blocks(
        self, columns: Sequence[str], dictionary: Collection[str], rows: int
    ) -> Iterator[TableBlock]:
        row = 0
        batches = self.batches(columns, dictionary, rows)
        while True:
            with reading(self.name, self._kind):
                batch = next(batches, None)
            if batch is None:
                return
            for start in range(0, len(batch), BLOCK_ROWS):
                part = batch.slice(start, BLOCK_ROWS)
                arrays = take(part, columns, dictionary, f"{self.name} row {row}")
                yield TableBlock(arrays, len(part), self.name, row, partial(self._where, row))
                row += len(part)

    def _where(self, first_row: int, row: int) -> str:
        return f"{self.name} row {first_row + row}"


@contextlib.contextmanager
def reading(name: str, kind: str) -> Iterator[None]:
    """Turn what Arrow raises for damaged files into `DataError`."""
    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, EOFError, ValueError) as err:
        got = str(err).strip().split("\n")[0] or type(err).__name__
        raise DataError.at(name, f"must be {kind} that is whole", got, _CURE) from err
