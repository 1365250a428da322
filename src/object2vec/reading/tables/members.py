"""Values that hold several members, such as documents of sentences, as a table of the members."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from object2vec.errors import DataError
from object2vec.fields.values import is_list, is_text, without_dictionary
from object2vec.reading.tables.base import Table, TableBlock
from object2vec.reading.tables.types import first_rows

ROW = "#row"  # the column that says which row of the table a member is of

_USUAL = ("sentences", "documents", "labels", "text")  # what formats of lines call them


class Members(Table):
    """A row for each member of the values of a column, with what else their row has.

    Parameters
    ----------
    table : Table
    column : str
        Lists, or texts with separators between the members. Where there is no column of this name
        it is that of a format of lines: ``sentences``, ``documents``, ``labels`` or ``text``.
    separator : str

    Raises
    ------
    DataError
        If there is no such column.
    """

    def __init__(self, table: Table, column: str, separator: str) -> None:
        self.name, self.sources, self.options = table.name, table.sources, table.options
        self._table, self._column, self._separator = table, column, separator
        found = members_column(table, column)
        if found is None:
            raise table.lacks(column)
        self._source = found

    @property
    def schema(self) -> pa.Schema:
        """Its columns and their types."""
        others = [field for field in self._table.schema if field.name != self._column]
        own = [pa.field(self._column, pa.string()), pa.field(ROW, pa.int64())]
        return pa.schema([*own, *others])

    def first(self, rows: int, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """Return the first rows."""
        return first_rows(self.blocks(columns), rows, self.schema, self.check(columns))

    def blocks(
        self,
        columns: Sequence[str] | None = None,
        dictionary: Collection[str] = (),
    ) -> Iterator[TableBlock]:
        """Yield all rows of some columns."""
        wanted = self.check(columns)
        others = [name for name in dictionary if name not in (self._source, ROW)]
        before = first = 0
        for block in self._table.blocks(self._wanted(wanted), others):
            members, parents = self._members(block.columns, wanted, before, block.where)
            where = partial(_where_of_parent, block, parents)
            yield TableBlock(members, len(parents), block.source, first, where)
            before += len(block)
            first += len(parents)

    def has(self, column: str) -> bool:
        """Return whether there is a column."""
        return column in (self._column, ROW) or self._table.has(column)

    def _wanted(self, columns: Sequence[str]) -> list[str]:
        """Return the columns of the table that some of these are made of."""
        others = [name for name in columns if name not in (self._column, ROW)]
        return list(dict.fromkeys([self._source, *others]))

    def _members(
        self,
        columns: dict[str, pa.Array],
        wanted: Sequence[str],
        before: int,
        where: Callable[[int], str],
    ) -> tuple[dict[str, pa.Array], NDArray[np.int64]]:
        """Return the columns of members, and the row that each is of, (members,)."""
        lists = _lists(columns[self._source], self._separator, where)
        parents = pc.list_parent_indices(lists).to_numpy()
        members = pc.list_flatten(lists)
        if not is_text(members.type):
            members = members.cast(pa.string())
        is_filled = pc.fill_null(pc.not_equal(members, ""), False)
        members, parents = members.filter(is_filled), parents[is_filled.to_numpy(False)]
        made = {self._column: members, ROW: pa.array(parents + before)}
        taken = pa.array(parents)
        return {n: made[n] if n in made else columns[n].take(taken) for n in wanted}, parents


def members_column(table: Table, column: str) -> str | None:
    """Return the column of a table that holds the members; None if there is none."""
    return next((name for name in (column, *_USUAL) if table.has(name)), None)


def _where_of_parent(block: TableBlock, parents: NDArray[np.int64], row: int) -> str:
    return block.where(int(parents[row]))


def _lists(values: pa.Array, separator: str, where: Callable[[int], str]) -> pa.Array:
    """Return values as lists of members."""
    values = without_dictionary(values)
    if is_list(values.type):
        return values
    if pa.types.is_null(values.type):
        return values.cast(pa.list_(pa.string()))
    if not is_text(values.type):
        must, cure = "must hold members: lists, or texts that hold them", "Name another column."
        raise DataError.at(where(0), must, values[0].as_py(), cure)
    return pc.split_pattern(values, separator)
