"""Several streams as one table: files of a folder, partitions, shards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

import pyarrow as pa

from object2vec.errors import DataError
from object2vec.reading.tables.base import (
    EMPTY_CURE,
    STRINGS,
    Forms,
    Result,
    Table,
    TableBlock,
    TableOptions,
    Work,
)
from object2vec.reading.tables.types import TEXT_DICTIONARY, as_batch, merged_type

Item = TypeVar("Item")
Columns = dict[str, Any]
_Whole = Callable[[Columns], Columns]


class FilesTable(Table):
    """The rows of several tables, one after another.

    Parameters
    ----------
    parts : sequence of Table
        At least one, each of one stream.
    partitions : sequence of dict of str to str or None
        Of each part the columns that its path holds: ``year=2024/part-0.parquet`` has ``year``.

    options : TableOptions, optional
        What the user said of them.

    Raises
    ------
    DataError
        If the parts do not agree in their columns.
    """

    def __init__(
        self,
        parts: Sequence[Table],
        partitions: Sequence[Mapping[str, str | None]],
        options: TableOptions | None = None,
    ) -> None:
        self.name = parts[0].name + (f" and {len(parts) - 1} more" if parts[1:] else "")
        self.sources = list(chain.from_iterable(part.sources or [] for part in parts)) or None
        self.hint = parts[0].hint
        self.has_dictionaries = parts[0].has_dictionaries
        self.options = options or TableOptions()
        self._parts = list(zip(parts, partitions, strict=True))
        self._schema = self._agreed()

    @property
    def schema(self) -> pa.Schema:
        """Its columns and their types."""
        return self._schema

    def first(self, rows: int, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """Return the first rows."""
        wanted = self.check(columns)
        taken: list[pa.Table] = []
        for part, partition in self._parts:
            own = [name for name in wanted if name not in partition and part.has(name)]
            found = pa.Table.from_batches([part.first(rows, own or part.names[:1])])
            for name, value in partition.items():
                found = found.append_column(name, pa.array([value] * len(found), pa.string()))
            taken.append(found)
            rows -= len(found)
            if rows <= 0:
                break
        return as_batch(taken, self.schema, wanted)

    def blocks(
        self, columns: Sequence[str] | None = None, dictionary: Collection[str] = ()
    ) -> Iterator[TableBlock]:
        """Yield all rows of some columns."""

        def read(part: Table, own: Sequence[str], whole: _Whole) -> Iterator[TableBlock]:
            for block in part.blocks(own, dictionary):
                yield replace(block, columns=whole(block.columns))

        return self._of_parts(read, self.check(columns), dictionary)

    def map_blocks(
        self, work: Work[Result], columns: Sequence[str] | None = None, forms: Forms = STRINGS
    ) -> Iterator[tuple[TableBlock, Result]]:
        """Yield the blocks, and what threads have made of their columns."""
        if self.has_dictionaries:  # nothing is parsed by threads: they may run ahead over all parts
            return super().map_blocks(work, columns, forms)

        def read(part: Table, own: Sequence[str], whole: _Whole) -> Iterator[Any]:
            return part.map_blocks(lambda found: work(whole(found)), own, forms)

        return self._of_parts(read, self.check(columns), forms.dictionary)

    def _of_parts(
        self,
        read: Callable[[Table, Sequence[str], _Whole], Iterator[Item]],
        columns: Sequence[str],
        dictionary: Collection[str],
    ) -> Iterator[Item]:
        """Yield what is read of each part, given what completes its columns."""
        is_empty = True
        for part, partition in self._parts:
            own = [name for name in columns if name not in partition and part.has(name)]

            def whole(
                found: Columns, own: list[str] = own, path: Mapping[str, str | None] = partition
            ) -> Columns:
                rows = len(next(iter(found.values()), ()))
                return {
                    name: found[name]
                    if name in own
                    else self._constant(name, path.get(name), rows, name in dictionary)
                    for name in columns
                }

            # A part is read even for columns of its path alone: they are as many as its rows.
            for item in read(part, own or part.names[:1], whole):
                is_empty = False
                yield item
        if is_empty:
            raise DataError.at(self.name, "must hold at least one row", "none", EMPTY_CURE)

    def has(self, column: str) -> bool:
        """Return whether any part has a column."""
        return any(column in path or part.has(column) for part, path in self._parts)

    def _agreed(self) -> pa.Schema:
        """Return the columns of all parts."""
        types: dict[str, pa.DataType] = {}
        paths = dict.fromkeys(name for _, partition in self._parts for name in partition)
        for part, partition in self._parts:
            if lacking := sorted(paths.keys() - partition.keys()):
                must = "must lie in a folder that names the same columns as those of other files"
                raise DataError.at(part.name, must, f"none for {', '.join(lacking)}", "Move it.")
            self._check_names(part)
            for name, found in zip(part.names, part.schema.types, strict=True):
                known = types.setdefault(name, found)
                if (both_types := merged_type(known, found)) is None:
                    must = f'must have {known} in column "{name}" like {self._parts[0][0].name}'
                    raise DataError.at(part.name, must, str(found), "Convert one of them.")
                types[name] = both_types
        return pa.schema([*types.items(), *((name, pa.string()) for name in paths)])

    def _constant(self, name: str, value: str | None, rows: int, dictionary: bool) -> pa.Array:
        """Return a column with one value."""
        if value is None:
            known = self.schema.field(name).type if name in self.names else pa.null()
            is_text = known == pa.string()
            return pa.nulls(rows, TEXT_DICTIONARY if dictionary and is_text else known)
        values = pa.repeat(pa.scalar(value, pa.string()), rows)
        return values.dictionary_encode() if dictionary else values

    def _check_names(self, part: Table) -> None:
        """Raise `DataError` if a part has other columns than the first one."""
        first = self._parts[0][0]
        if part.is_open_ended or set(part.names) == set(first.names):
            return
        must = f"must have the columns of {first.name}"
        more = [f"{name} besides" for name in part.names if name not in first.names]
        less = [f"no {name}" for name in first.names if name not in part.names]
        raise DataError.at(part.name, must, ", ".join([*less, *more]), "Read them one by one.")
