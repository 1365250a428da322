"""Values of a table's columns to what an encoder takes in: the one way there on every surface.

Python, the command line, the server and batch transform differ in where values come from and in
what they call a row that is wrong; what a value means, the schema of the model says.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.compiled import load
from object2vec.config import Config
from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.fields.base import ValueMistakes
from object2vec.inference.inputs import UNREMARKABLE, Account, Intake, Tally, intakes
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import SIDES

if TYPE_CHECKING:
    import pyarrow as pa

    from object2vec.fields.schema import ObjectSchema
    from object2vec.files.sources import Source
    from object2vec.reading.tables import Table, TableBlock

Namer = Callable[[int], str]  # of an object in messages, by its row

_FEW_BYTES = 1 << 18  # of values; more are worth loading what is compiled for them
_ALIKE = 0.75  # difflib's ratio; that of "film" and "time" is 0.5
_CURE = "Add it, empty where it is not known."
_log = logging.getLogger("object2vec.inference")


@dataclass(frozen=True, eq=False, slots=True)
class Taken:
    """Objects of one side as they are encoded, and what became of their values.

    Parameters
    ----------
    sequences : Ragged of length n
    is_known : bool array (n,)
        Which of them have a token that training knew.
    account : Account
    """

    sequences: Ragged
    is_known: NDArray[np.bool_]
    account: Account

    def slice(self, start: int, stop: int) -> Taken:
        """Return the objects from `start` to before `stop`; the first ones have the account."""
        account, known = UNREMARKABLE if start else self.account, self.is_known[start:stop]
        return Taken(self.sequences.slice(start, stop), known, account)

    @classmethod
    def joined(cls, parts: Sequence[Taken]) -> Taken:
        """Return the objects of all `parts`, one part after another."""
        return cls(
            Ragged.concatenate([part.sequences for part in parts]),
            np.concatenate([part.is_known for part in parts]),
            reduce(add, (part.account for part in parts), UNREMARKABLE),
        )


@dataclass(frozen=True)
class ValueIntake:
    """What one encoder of a model with a schema takes in.

    Parameters
    ----------
    schema : ObjectSchema
    intake : Intake
        Of the same side.
    """

    schema: ObjectSchema
    intake: Intake

    @property
    def side(self) -> int:
        """0 or 1."""
        return self.intake.side

    @property
    def columns(self) -> list[str]:
        """The columns that make an object."""
        return self.schema.columns(self.side)

    def accept(
        self,
        columns: Mapping[str, pa.Array],
        where: Namer,
        limit: int | None = None,
    ) -> Taken:
        """Return the objects that values describe, as they are encoded.

        Parameters
        ----------
        columns : mapping of str to pyarrow array, each of length n
            Some of `columns`, at least one; the others are missing in every object.
        where : callable
            Names an object in messages, by its row.
        limit : int, optional
            Tokens to read of an object; those of training by default.

        Raises
        ------
        DataError
            If values are not of the kind of their field. The first 20 are listed.
        """
        try:
            rows, coverage = self.schema.encode(self.side, columns, partial=True)
        except ValueMistakes as err:
            problems = [
                problem(where(each.row), each.must, each.got, each.cure)
                for each in err.mistakes[:MAX_PROBLEMS]
            ]
            raise DataError(join_problems(problems)) from None
        sequences, omissions = self.intake.accept(rows, str, limit)
        is_known = self._has_known(sequences)
        unknown = len(is_known) - int(np.count_nonzero(is_known))
        return Taken(sequences, is_known, Account(omissions, coverage, unknown))

    def _has_known(self, sequences: Ragged) -> NDArray[np.bool_]:
        """Return which objects have a token that training knew, (n,)."""
        starts, is_known = sequences.offsets[:-1], np.zeros(len(sequences), np.bool_)
        filled = np.flatnonzero(sequences.lengths)
        is_known[filled] = self._is_known[sequences.values[starts[filled]]]
        rest = filled[~is_known[filled]]  # whose first token is not known
        if len(rest):
            some = sequences.take(rest)
            known_before = np.zeros(len(some.values) + 1, np.int64)
            np.cumsum(self._is_known[some.values], out=known_before[1:])
            is_known[rest] = known_before[some.offsets[1:]] > known_before[some.offsets[:-1]]
        return is_known

    @cached_property
    def _is_known(self) -> NDArray[np.bool_]:
        """Which rows of the token table are those of known tokens, (V,)."""
        return self.schema.known_rows(self.side)


def value_intakes(schema: ObjectSchema, config: Config) -> tuple[ValueIntake, ValueIntake]:
    """Return what the two encoders of a model take in."""
    first, second = (ValueIntake(schema, intake) for intake in intakes(config))
    return first, second


def read_values(
    table: Table,
    intakes: Sequence[ValueIntake],
    tally: Tally,
    limits: Sequence[int | None] = (None, None),
) -> Iterator[dict[int, Taken]]:
    """Yield the objects that a table describes, block by block, by side.

    Parameters
    ----------
    table : Table
    intakes : sequence of ValueIntake
        Of the sides that are wanted.
    tally : Tally
        Counts what became of them.
    limits : pair of int or None
        Tokens of in0 and in1 to read; those of training by default.

    Raises
    ------
    DataError
        If columns are missing, or values are not of the kind of their field.
    """
    size = 0
    for block in table.blocks(find_columns(table, intakes)):
        size += sum(values.nbytes for values in block.columns.values())
        if size > _FEW_BYTES:
            load()
        objects = {}
        for each in intakes:
            taken = each.accept(block.columns, in_file(block, each.side), limits[each.side])
            tally.count(each.side, taken.account)
            objects[each.side] = taken
        yield objects


def take_values(
    intakes: Sequence[ValueIntake],
    sides: Mapping[int, Any],
    table: Any = None,
    limits: Sequence[int | None] = (None, None),
) -> dict[int, Ragged]:
    """Return the objects that values in memory or a table describe, by side.

    Parameters
    ----------
    intakes : sequence of ValueIntake
        Of both sides.
    sides : mapping of {0, 1} to anything that `as_table` takes
    table : anything that `object2vec.reading.tables.open_table` reads, optional
        In place of `sides`: both in one table.
    limits : pair of int or None
        As in `read_values`.

    Raises
    ------
    DataError
        If columns or values are wrong.
    """
    from object2vec.reading.tables import open_table

    tally = Tally()
    if table is not None:
        wanted = [(open_table(table), list(intakes))]
    else:
        wanted = [
            (as_table(given, intakes[side].columns, SIDES[side]), [intakes[side]])
            for side, given in sides.items()
            if not _is_empty(given)
        ]
    parts: dict[int, list[Ragged]] = {0: [], 1: []}
    for source, some in wanted:
        for objects in read_values(source, some, tally, limits):
            for side, taken in objects.items():
                parts[side].append(taken.sequences)
    tally.say()
    return {side: Ragged.concatenate(rows) for side, rows in parts.items()}


def _is_empty(values: Any) -> bool:
    """Return whether there are no objects; what has no columns is wrong, not empty."""
    return hasattr(values, "__len__") and not len(values) and not isinstance(values, Mapping | str)


def in_file(block: TableBlock, side: int) -> Namer:
    """Return what names the objects of a block by their line or row."""
    return block.where


def find_columns(table: Table, intakes: Sequence[ValueIntake]) -> list[str]:
    """Return those columns of a table that objects are made of.

    Raises
    ------
    DataError
        If a side has none of its columns, or one is not there and another is called nearly so.
    """
    wanted = list(dict.fromkeys(column for each in intakes for column in each.columns))
    found = [column for column in wanted if table.has(column)]
    for each in intakes:
        missing = [column for column in each.columns if column not in found]
        if len(missing) == len(each.columns):
            raise DataError(f"{table.lacks(missing[0])} {_CURE}")
        _check_spelling(table, missing, wanted)
        if missing:
            text = "%s: has no column %s; it is missing in every object of %s."
            _log.warning(text, table.name, ", ".join(missing), SIDES[each.side])
    return found


def _check_spelling(table: Table, missing: Sequence[str], wanted: Collection[str]) -> None:
    """Reject a table in which a missing column seems to be there by a name that is hardly other."""
    others = {name.casefold(): name for name in table.names if name not in wanted}
    for column in missing:
        if difflib.get_close_matches(column.casefold(), others, 1, _ALIKE):
            raise DataError(f"{table.lacks(column)} {_CURE}")


def as_table(values: Any, columns: Sequence[str], name: str) -> Table:
    """Return what was given for the objects of a side as a table.

    Parameters
    ----------
    values : sequence, array, series, or anything that `object2vec.reading.tables.open_table` reads
        A column of values where objects have one field; else a table.
    columns : sequence of str
        Those that make an object.
    name : str
        What messages call it.

    Raises
    ------
    DataError
        If it is a column and objects have several fields, or a single text.
    """
    from object2vec.reading.tables import open_table

    if isinstance(values, str):
        cure = "Write it in a list, or a path as pathlib.Path."
        raise DataError.at(name, "must be a column of values or a table", values, cure)
    if isinstance(values, Iterator):
        values = list(values)
    if is_table(values):
        return open_table(values)
    if len(columns) > 1:
        must = f"must have the columns {', '.join(columns)}"
        cure = f"Pass a frame, or a dict such as {{{columns[0]!r}: [...]}}."
        raise DataError.at(name, must, f"one column ({type(values).__name__})", cure)
    return open_table({columns[0]: values})


def is_table(values: Any) -> bool:
    """Return whether `values` have named columns, as frames, dicts and records do."""
    if isinstance(values, (list, tuple)):
        return bool(values) and isinstance(values[0], Mapping)
    is_frame = hasattr(values, "columns") or hasattr(values, "column_names")
    return is_frame or isinstance(values, (Mapping, os.PathLike))


def headed(source: Source, intakes: Sequence[ValueIntake], header: str | None = None) -> Table:
    """Return a CSV as a table, whether its first line names the columns or not.

    Parameters
    ----------
    source : Source
    intakes : sequence of ValueIntake
        Of the sides that may be in it.
    header : {"present", "absent"}, optional
        Whether the first line holds names. By default it does if all columns of a side are there.

    Raises
    ------
    DataError
        If it has no header and not as many columns as objects of both sides, or of one, have.
    """
    from object2vec.reading.tables import TableOptions
    from object2vec.reading.tables.formats.csv import CsvTable

    def opened(*columns: str) -> CsvTable:
        return CsvTable(source, TableOptions("csv", columns or None, ","))

    first = opened("unknown yet").first_fields()
    sides = [each.columns for each in intakes]
    if header == "present" or (
        header is None and any(set(columns) <= set(first) for columns in sides)
    ):
        return opened()
    both = list(dict.fromkeys(column for columns in sides for column in columns))
    fitting = [columns for columns in (both, *sides) if len(columns) == len(first)]
    if not fitting:
        must = f"must have the columns {', '.join(both)}, those of in0 and then of in1"
        cure = "Add a first line that names the columns, or the missing ones, empty."
        raise DataError.at(source.name, must, first, cure)
    return opened(*fitting[0])


def sides_of(table: Table, intakes: Sequence[ValueIntake]) -> tuple[list[ValueIntake], list[str]]:
    """Return the sides that a table has columns of, and these columns.

    Raises
    ------
    DataError
        If it has none of either side, or one is not there and another is called nearly so.
    """
    there = [each for each in intakes if not set(each.columns).isdisjoint(table.names)]
    wanted = [column for each in intakes for column in each.columns]
    for each in intakes:
        if there and each not in there:
            _check_spelling(table, each.columns, wanted)
    return there or list(intakes), find_columns(table, there or intakes)
