"""A user's file as a model sees it: the objects of both sides, and labels where there are some."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.config import Config
from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.fields.base import ValueMistakes
from object2vec.fields.label import numbers_of
from object2vec.inference.inputs import Tally, intakes
from object2vec.inference.values import (
    find_columns,
    in_file,
    read_values,
    take_values,
    value_intakes,
)
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import SIDES
from object2vec.pairs.dataset import Pairs
from object2vec.reading.tables import TableOptions

if TYPE_CHECKING:
    import pyarrow as pa

    from object2vec.fields.schema import ObjectSchema
    from object2vec.reading.tables import Table, TableBlock


@dataclass(frozen=True, eq=False)
class Records:
    """Pairs as they are encoded.

    Parameters
    ----------
    in0, in1 : Ragged of length n
    label : float32 array (n,), optional
    """

    in0: Ragged
    in1: Ragged
    label: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.in0)

    def where(self, is_kept: NDArray[np.bool_]) -> Records:
        """Return those records of a mask (n,)."""
        rows = np.flatnonzero(is_kept)
        label = None if self.label is None else self.label[rows]
        return Records(self.in0.take(rows), self.in1.take(rows), label)


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
    """

    config: Config
    schema: ObjectSchema | None
    given: Any
    label: str | None = None
    options: TableOptions = field(default_factory=TableOptions)

    def of(self, given: Any) -> TaskSource:
        """Return something else that was given, read in the same way."""
        return TaskSource(self.config, self.schema, given, self.label, self.options)

    def records(self, *, need_labels: bool = False) -> Records:
        """Return pairs, with labels if they are there; a record of ids without one has label 1.

        Raises
        ------
        DataError
            If something is missing or wrong.
        """
        if self.schema is None:
            found = self._from_ids(None if need_labels else 1.0)
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
                tally.count(each.side, taken.omissions, taken.coverage, taken.unknown)
                sides[each.side].append(taken.sequences)
            if label:
                labels.append(_labels(schema, label, block))
        tally.say()
        in0, in1 = map(Ragged.concatenate, sides)
        return Records(in0, in1, np.concatenate(labels) if label else None)

    def _from_ids(self, default_label: float | None) -> Records:
        pairs = Pairs.read(self.given, default_label=default_label, name="evaluate")
        in0, in1 = (self._accept(side, pairs.columns[name]) for side, name in enumerate(SIDES))
        return Records(in0, in1, pairs.columns["label"])

    def _ids_of(self, side: int) -> Ragged:
        from object2vec.files.sources import list_sources
        from object2vec.objects.schema import IGNORED, RECORDS
        from object2vec.reading.jsonl import read_columns

        if not _are_paths(self.given):
            return self._accept(side, Ragged.build(self.given, SIDES[side]))
        schema = RECORDS.but(**{SIDES[1 - side]: IGNORED, "label": IGNORED})
        chunks = read_columns(list_sources(self.given), schema)
        return self._accept(side, Ragged.concatenate([c.columns[SIDES[side]] for c in chunks]))

    def _accept(self, side: int, ids: Ragged) -> Ragged:
        """Return sequences of ids as they are encoded."""
        tally, name = Tally(), SIDES[side]
        sequences, omitted = intakes(self.config)[side].accept(ids, f"{name} row {{}}".format)
        tally.count(side, omitted)
        tally.say()
        return sequences


def _are_paths(given: Any) -> bool:
    each = given if isinstance(given, list | tuple) else [given]
    return bool(each) and all(isinstance(name, str | os.PathLike) for name in each)


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
