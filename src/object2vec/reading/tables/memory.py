"""Tables in memory: of pandas, polars or Arrow, a dict of columns, or a list of dicts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from object2vec.errors import DataError, problem
from object2vec.reading.tables.base import BLOCK_ROWS, Table, TableBlock
from object2vec.reading.tables.types import leaves, take


class MemoryTable(Table):
    """A table of Arrow's.

    Parameters
    ----------
    content : pyarrow.Table
    name : str, default "table"
        What messages call it.
    """

    def __init__(self, content: pa.Table, name: str = "table") -> None:
        self.name = name
        self._content = content
        self._names = [name for name, _ in leaves(content.schema)]
        check_names(name, self._names)
        if not content.num_rows:
            raise DataError.at(name, "must have at least one row", "none", "Check what you pass.")

    @property
    def names(self) -> list[str]:
        """Its columns."""
        return self._names

    def first(self, rows: int) -> pa.RecordBatch:
        """Return all columns of the first rows."""
        batch = self._content.slice(0, rows).combine_chunks().to_batches()[0]
        return pa.record_batch(self._take(batch, self._names, (), 0))

    def blocks(
        self, columns: Sequence[str] | None = None, dictionary: Collection[str] = ()
    ) -> Iterator[TableBlock]:
        """Yield all rows of some columns."""
        wanted = self.check(columns)
        row = 0
        for batch in self._content.to_batches(max_chunksize=BLOCK_ROWS):
            arrays = self._take(batch, wanted, dictionary, row)
            yield TableBlock(arrays, len(batch), self.name, row, partial(self._where, row))
            row += len(batch)

    def _take(
        self,
        batch: pa.RecordBatch,
        columns: Sequence[str],
        dictionary: Collection[str],
        row: int,
    ) -> dict[str, pa.Array]:
        return take(batch, columns, dictionary, f"{self.name} row {row}")

    def _where(self, first_row: int, row: int) -> str:
        return f"{self.name} row {first_row + row}"


def from_memory(content: Any) -> pa.Table | None:
    """Return what a value in memory holds as a table of Arrow's; None if it is nothing of the kind.

    Raises
    ------
    DataError
        If the values of a column have no common type, or columns are not equally long.
    """
    if isinstance(content, pa.Table):
        return content
    if isinstance(content, pa.RecordBatch):
        return pa.Table.from_batches([content])
    if _is_pandas(content):
        return _from_columns({name: content[name] for name in _pandas_names(content)})
    if hasattr(content, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(content).read_all()
    if isinstance(content, Mapping):
        return _from_columns(content)
    if isinstance(content, Sequence) and content and isinstance(content[0], Mapping):
        return _from_rows(content)
    return None


def check_names(table: str, names: Sequence[str]) -> None:
    """Raise `DataError` if two columns have the same name."""
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise DataError.at(table, "must name every column once", ", ".join(twice), "Rename one.")


def _is_pandas(content: Any) -> bool:
    return type(content).__module__.split(".")[0] == "pandas" and hasattr(content, "columns")


def _pandas_names(frame: Any) -> list[str]:
    """Return the columns of a data frame; its index is none."""
    names = list(frame.columns)
    for name in names:
        if not isinstance(name, str):
            cure = "Rename it: frame.columns = [...]."
            raise DataError.at("table", "must have columns named by text", name, cure)
    check_names("table", names)
    return names


def _from_columns(columns: Mapping[Any, Any]) -> pa.Table:
    """Return columns of any kind as a table."""
    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        if not isinstance(name, str):
            raise DataError.at("table", "must have columns named by text", name, "Rename it.")
        arrays[name] = to_arrow(name, values)
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError.at("table", "must have columns of one length", lengths, "Check them.")
    return pa.table(arrays)


def _from_rows(rows: Sequence[Mapping[Any, Any]]) -> pa.Table:
    """Return a list of dicts as a table; a key that one lacks is null there."""
    for row, content in enumerate(rows):
        if not isinstance(content, Mapping):
            cure = "Pass one dict a row."
            raise DataError.at(f"table row {row}", "must be a dict like the others", content, cure)
    names = dict.fromkeys(name for row in rows for name in row)
    return _from_columns({name: [row.get(name) for row in rows] for name in names})


def to_arrow(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    """Return a column as an Arrow array.

    Raises
    ------
    DataError
        If its values have no common type.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        cure = "Pass a list, an array or a series."
        raise DataError.at(f'table column "{name}"', "must be a sequence of values", values, cure)
    if isinstance(values, np.ndarray) and values.ndim > 1:
        values = list(values)
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as err:
        raise DataError(_mixed(name, values, err)) from err


def _mixed(name: str, values: Any, err: Exception) -> str:
    """Return the problem of a column without a common type: its first row that does not fit."""
    for row in range(1, len(values) + 1):
        try:
            pa.array(values[:row], from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            value = values[row - 1] if isinstance(values, list) else list(values)[row - 1]
            must = f'must have a value in column "{name}" like those before'
            return problem(f"table row {row - 1}", must, value, "Give all its values one type.")
    return problem(f'table column "{name}"', "must have values of one type", str(err), "Check it.")
