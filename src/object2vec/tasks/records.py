"""A user's file as a model sees it: the objects of both sides, and labels where there are some."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.config import Config
from object2vec.errors import MAX_PROBLEMS, ConfigError, DataError, join_problems, problem
from object2vec.fields.base import ValueMistakes
from object2vec.fields.label import numbers_of
from object2vec.inference.inputs import Tally, take_ids
from object2vec.inference.values import (
    find_columns,
    in_file,
    read_values,
    take_values,
    value_intakes,
)
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import SIDES, by_side, one_side
from object2vec.pairs.dataset import Pairs
from object2vec.reading.tables import TableOptions
from object2vec.reading.tables.members import members_column
from object2vec.training.tables import made_pairs

if TYPE_CHECKING:
    import pyarrow as pa

    from object2vec.fields.schema import ObjectSchema
    from object2vec.fields.table_schema import TableSchema
    from object2vec.reading.tables import Table, TableBlock


@dataclass(frozen=True, eq=False)
class Records:
    """Pairs as they are encoded.

    Parameters
    ----------
    in0, in1 : Ragged of length n
    label : float32 array (n,), optional
    origin : str, optional
        How they were made, where the file has no such pairs.
    """

    in0: Ragged
    in1: Ragged
    label: NDArray[np.float32] | None = None
    origin: str = ""

    def __len__(self) -> int:
        return len(self.in0)

    def where(self, is_kept: NDArray[np.bool_]) -> Records:
        """Return those records of a mask (n,)."""
        rows = np.flatnonzero(is_kept)
        label = None if self.label is None else self.label[rows]
        return Records(self.in0.take(rows), self.in1.take(rows), label, self.origin)


@dataclass(frozen=True)
class TaskSource:
    """What a user gave, read for one model.

    Parameters
    ----------
    config : Config
    schema : ObjectSchema or None
        What makes ids of values.
    given : path, sequence of paths, table, columns or records
    label : str, optional
        Column of the labels; by default that of training.
    options : TableOptions
        How tables are read.
    seed : int, optional
        Of pairs that are made of rows as in training; without one the rows are the pairs.
    """

    config: Config
    schema: ObjectSchema | None
    given: Any
    label: str | None = None
    options: TableOptions = field(default_factory=TableOptions)
    seed: int | None = None

    def of(self, given: Any) -> TaskSource:
        """Return something else that was given, read in the same way."""
        return replace(self, given=given, seed=None)

    def records(self, *, need_labels: bool = False) -> Records:
        """Return pairs, with labels if they are there; a record of ids without one has label 1.

        Of rows that training would make pairs of, such as documents, one is made of each.

        Raises
        ------
        DataError
            If something is missing or wrong.
        """
        if self.schema is None:
            if self.label is not None:
                must = "must be left out: this model was trained on ids"
                cure = "Their labels stand under the key label."
                raise ConfigError.at("label", must, self.label, cure)
            found = self._from_ids(None if need_labels else 1.0)
        elif self.seed is not None and self._are_unmade(self.schema.declared):
            found = self._made(self.schema, self.seed)
        else:
            found = self._from_table(self.schema)
        if not len(found):
            raise DataError.at("records", "must hold at least one", "none", "Check the input.")
        return found

    def objects(self, side: int) -> Ragged:
        """Return objects of one side.

        Raises
        ------
        DataError
            If something is missing or wrong.
        """
        if self.schema is None:
            return self._ids_of(side)
        both = value_intakes(self.schema, self.config)
        if not (isinstance(self.given, str | os.PathLike) or hasattr(self.given, "blocks")):
            return take_values(both, {side: self.given})[side]
        tally = Tally()
        parts = [part[side].sequences for part in read_values(self._table(), [both[side]], tally)]
        tally.say()
        return Ragged.concatenate(parts)

    def _table(self) -> Table:
        from object2vec.reading.tables import open_table

        return open_table(self.given, self.options)

    def _are_unmade(self, declared: TableSchema) -> bool:
        """Return whether the table is one that pairs are made of, and has not both sides."""
        if (making := declared.making) is None:
            return False
        table, sides = self._table(), [[each.column for each in side] for side in declared.sides]
        are_given = all(any(map(table.has, columns)) for columns in sides)
        if making.members is None:
            return not are_given and any(map(table.has, sides[0]))
        return not are_given and members_column(table, making.members) is not None

    def _made(self, schema: ObjectSchema, seed: int) -> Records:
        pairs = made_pairs(self.given, schema, self.options, "evaluate", seed)
        first = pairs.first[:-1][np.diff(pairs.first) > 0]  # one of each collection
        columns = pairs.take(first).columns
        taken = take_ids(self.config, by_side(columns))
        origin = f"made by {pairs.maker.specification()}, one of each line or group, seed {seed}"
        return Records(taken[0], taken[1], origin=origin)

    def _from_table(self, schema: ObjectSchema) -> Records:
        table, both, tally = self._table(), value_intakes(schema, self.config), Tally()
        label, columns = self.label, find_columns(table, both)
        if label is None and schema.label.column and table.has(schema.label.column):
            label = schema.label.column
        sides: tuple[list[Ragged], list[Ragged]] = [], []
        labels: list[NDArray[np.float32]] = []
        for block in table.blocks(columns + ([label] if label else [])):
            for each in both:
                taken = each.accept(block.columns, in_file(block, each.side))
                tally.count(each.side, taken.account)
                sides[each.side].append(taken.sequences)
            if label:
                labels.append(_labels(schema, label, block))
        tally.say()
        in0, in1 = map(Ragged.concatenate, sides)
        return Records(in0, in1, np.concatenate(labels) if label else None)

    def _from_ids(self, default_label: float | None) -> Records:
        pairs = Pairs.read(self.given, default_label=default_label, name="evaluate")
        taken = take_ids(self.config, by_side(pairs.columns))
        return Records(taken[0], taken[1], pairs.columns["label"])

    def _ids_of(self, side: int) -> Ragged:
        from object2vec.files.sources import are_paths, list_sources
        from object2vec.reading.jsonl import read_columns

        given = self.given
        if not (isinstance(given, str | os.PathLike) or (given and are_paths(given))):
            ids = Ragged.build(given, SIDES[side])
            return take_ids(self.config, {side: ids})[side]
        chunks = read_columns(list_sources(given), one_side(side))
        ids = Ragged.concatenate([chunk.columns[SIDES[side]] for chunk in chunks])
        return take_ids(self.config, {side: ids})[side]


def _labels(schema: ObjectSchema, column: str, block: TableBlock) -> NDArray[np.float32]:
    """Return the labels of a block, (n,)."""
    values: pa.Array = block.columns[column]
    try:
        if column == schema.label.column:
            return schema.label.numbers(values)
        return numbers_of(values, "label").astype(np.float32)
    except ValueMistakes as err:
        problems = [
            problem(block.where(each.row), each.must, each.got, each.cure)
            for each in err.mistakes[:MAX_PROBLEMS]
        ]
        raise DataError(join_problems(problems)) from None


class Distinct:
    """Different sequences among some, in the order of their hashes.

    Parameters
    ----------
    sequences : Ragged

    Attributes
    ----------
    sequences : Ragged of length m
    numbers : int64 array (n,)
        Which of them each given row is.
    """

    def __init__(self, sequences: Ragged) -> None:
        found = np.unique(sequences.hashes(), return_index=True, return_inverse=True)
        self._hashes, first, self.numbers = found
        self.sequences = sequences.take(first)

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, sequences: Ragged) -> NDArray[np.int64]:
        """Return which of them each sequence is, (n,); -1 for none."""
        hashes = sequences.hashes()
        rows = np.minimum(np.searchsorted(self._hashes, hashes), len(self) - 1)
        return np.where(self._hashes[rows] == hashes, rows, -1)
