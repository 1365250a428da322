"""Tables in memory: of pandas, polars or Arrow, a dict of columns, or a list of dicts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from object2vec.errors import DataError, problem
from object2vec.reading.tables.typed import TypedTable
from object2vec.reading.tables.types import check_names

_NAME = "table"  # what messages call it


class MemoryTable(TypedTable):
    """A table of Arrow's.

    Parameters
    ----------
    content : pyarrow.Table
    """

    def __init__(self, content: pa.Table) -> None:
        super().__init__(_NAME, content.schema, "a table")
        self._content = content
        if not content.num_rows:
            raise DataError.at(_NAME, "must have at least one row", "none", "Check what you pass.")

    def batches(
        self, columns: Sequence[str], dictionary: Collection[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield slices of it."""
        yield from self._content.to_batches(max_chunksize=max(1, rows))


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
        return stream_of(content).read_all()
    if isinstance(content, Mapping):
        return _from_columns(content)
    if isinstance(content, Sequence) and content and isinstance(content[0], Mapping):
        return _from_rows(content)
    return None


def stream_of(content: Any) -> pa.RecordBatchReader:
    """Return the batches of an object with Arrow's stream protocol.

    Raises
    ------
    DataError
        If it has no columns, such as a series.
    """
    try:
        return pa.RecordBatchReader.from_stream(content)
    except pa.ArrowInvalid as err:
        cure = 'Pass it in a dict: {"name": values}.'
        raise DataError.at(_NAME, "must have named columns", content, cure) from err


def _is_pandas(content: Any) -> bool:
    return type(content).__module__.split(".")[0] == "pandas" and hasattr(content, "columns")


def _pandas_names(frame: Any) -> list[str]:
    """Return the columns of a data frame; its index is no column."""
    names = list(frame.columns)
    for name in names:
        if not isinstance(name, str):
            cure = "Rename it: frame.columns = [...]."
            raise DataError.at(_NAME, "must have columns named by text", name, cure)
    check_names(_NAME, names)
    return names


def _from_columns(columns: Mapping[Any, Any]) -> pa.Table:
    """Return columns of any kind as a table."""
    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        if not isinstance(name, str):
            raise DataError.at(_NAME, "must have columns named by text", name, "Rename it.")
        arrays[name] = to_arrow(name, values)
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError.at(_NAME, "must have columns of one length", lengths, "Check them.")
    return pa.table(arrays)


def _from_rows(rows: Sequence[Mapping[Any, Any]]) -> pa.Table:
    """Return a list of dicts as a table; a key that one lacks is null there."""
    for row, content in enumerate(rows):
        if not isinstance(content, Mapping):
            cure = "Pass one dict a row."
            raise DataError.at(
                f"{_NAME} row {row}", "must be a dict like the others", content, cure
            )
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
            like = "like those before" if row > 1 else "of a kind that columns have"
            must = f'must have a value in column "{name}" {like}'
            return problem(f"table row {row - 1}", must, value, "Give all its values one type.")
    return problem(f'table column "{name}"', "must have values of one type", str(err), "Check it.")
