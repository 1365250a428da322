"""What the fields of both sides have learned: it is saved, and makes ids of any new values.

Learning turns a `TableSchema` into an `ObjectSchema`, which knows the row of a token table that
each token has.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS, DataError, suggestion
from object2vec.fields.base import Arrays, Coverage, Entry, Fitted, ValueMistakes, WrongValue
from object2vec.fields.label import LabelField
from object2vec.fields.saved import damaged, read_schema, write_schema
from object2vec.fields.table_schema import TableSchema, kind_of
from object2vec.objects.ragged import MAX_ID, Ragged, offsets_of, run_indices

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Part:
    """A vocabulary, and where its rows lie in a token table.

    Parameters
    ----------
    fitted : Fitted
    segments : tuple of pairs of int
        First row of its own and first row in the table, of each piece that grew at once.
    """

    fitted: Fitted
    segments: tuple[tuple[int, int], ...]

    def in_table(self, rows: NDArray[Any]) -> NDArray[np.int32]:
        """Return the rows of the table that some of its own are, both (m,)."""
        own, table = np.array(self.segments, np.int64).T.reshape(2, -1)  # (segments,) each
        shifts = (table - own).astype(np.int32)
        if len(shifts) == 1:
            return np.asarray(rows + shifts[0], np.int32)
        return np.asarray(rows + shifts[np.searchsorted(own, rows, side="right") - 1], np.int32)

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """First row of the table and the one behind the last, of each piece."""
        stops = [own for own, _ in self.segments[1:]] + [self.fitted.size]
        return [
            (row, row + stop - own) for (own, row), stop in zip(self.segments, stops, strict=True)
        ]

    def grown(self, fitted: Fitted, end: int) -> Part:
        """Return it with more rows of its own, of which the new ones lie at the table's end."""
        if fitted.size == self.fitted.size:
            return Part(fitted, self.segments)
        return Part(fitted, (*self.segments, (self.fitted.size, end)))


@dataclass(frozen=True, eq=False)
class ObjectSchema:
    """Fields that have learned: they make ids of any values.

    Parameters
    ----------
    declared : TableSchema
        With the kind of each field.
    parts : tuple of Part
        The vocabularies, in the order of ``declared.parts``.
    label : LabelField
    decisions : mapping of str to object
        What was decided by the data and why, as plain values; only kept here.
    """

    declared: TableSchema
    parts: tuple[Part, ...]
    label: LabelField
    decisions: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        declared: TableSchema,
        fitted: Sequence[Fitted],
        label: LabelField,
        start: ObjectSchema | None = None,
    ) -> ObjectSchema:
        """Return the schema of these vocabularies.

        Parameters
        ----------
        declared : TableSchema
        fitted : sequence of Fitted
            In the order of ``declared.parts``.
        label : LabelField
        start : ObjectSchema, optional
            The one from which the vocabularies have grown: what it had keeps its rows.

        Raises
        ------
        DataError
            If a table has more rows than an id can say.
        """
        ends = [1, 1] if start is None else [start.table_size(side) for side in (0, 1)]
        parts = []
        for number, each in enumerate(fitted):
            table = 0 if declared.is_tied else declared.fields[declared.parts[number][0]][0]
            end = ends[table]
            if start is None:
                parts.append(Part(each, ((0, end),)))
                ends[table] += each.size
            else:
                parts.append(start.parts[number].grown(each, end))
                ends[table] += each.size - start.parts[number].fitted.size
        if max(ends) > MAX_ID:
            cure = "Set max_size or min_count of its largest field."
            raise DataError.at("vocabulary", f"must have at most {MAX_ID} rows", max(ends), cure)
        return cls(declared, tuple(parts), label, {} if start is None else start.decisions)

    def with_words(self, words: pa.Array) -> ObjectSchema:
        """Return the schema whose texts know more words; what it had keeps its rows."""
        fitted = [part.fitted.with_words(words) for part in self.parts]
        return ObjectSchema.fit(self.declared, fitted, self.label, self)

    @cached_property
    def sides(self) -> tuple[tuple[Fitted, ...], tuple[Fitted, ...]]:
        """The fitted fields of each side, in the order of ``declared.sides``."""
        first, second = (
            tuple(
                part.fitted.of(kind_of(each))
                for part, each in zip(self._parts(side), self.declared.sides[side], strict=True)
            )
            for side in (0, 1)
        )
        return first, second

    @cached_property
    def fingerprint(self) -> str:
        """A hash that tells this schema from any other."""
        content = hashlib.blake2b(digest_size=16)
        said: list[Any] = [self.declared.state(), self.label.state()]
        for part in self.parts:
            state, arrays = part.fitted.state()
            said.append({"segments": part.segments, "state": state})
            for _, array in sorted(arrays.items()):
                content.update(np.ascontiguousarray(array).data)
        content.update(json.dumps(said, sort_keys=True).encode())
        return content.hexdigest()

    @cached_property
    def fields(self) -> list[Fitted]:
        """The fitted field of each side, those of in0 first."""
        return [*self.sides[0], *self.sides[1]]

    @property
    def is_tied(self) -> bool:
        """Whether both sides have one token table."""
        return self.declared.is_tied

    def table_size(self, side: int) -> int:
        """Return the rows of a side's token table; row 0 is padding."""
        return 1 + sum(part.fitted.size for part in self.vocabularies(side))

    def columns(self, side: int) -> list[str]:
        """Return the columns that make an object of a side."""
        return list(dict.fromkeys(each.column for each in self.declared.sides[side]))

    def encode(
        self, side: int, columns: Mapping[str, pa.Array], *, partial: bool = False
    ) -> tuple[Ragged, dict[str, Coverage]]:
        """Return the objects that values describe, and how the values of each field became rows.

        Parameters
        ----------
        side : {0, 1}
        columns : mapping of str to pyarrow array, each of length n
            What is no column of the side is left alone.
        partial : bool, default False
            Whether a column that is not there stands for missing values: a user without a name, but
            with a history.

        Returns
        -------
        Ragged of n rows, and a dict of str to Coverage by the specification of each field

        Raises
        ------
        DataError
            If a column is missing, or all are.
        ValueMistakes
            If some values are of another kind than their field, or unseen where that is an error.
        """
        self._check_columns(side, list(columns), partial)
        count = len(next(columns[name] for name in self.columns(side) if name in columns))
        rows: list[Ragged] = []
        coverage: dict[str, Coverage] = {}
        mistakes: list[WrongValue] = []
        for each, fitted in zip(self.declared.sides[side], self.sides[side], strict=True):
            values = columns[each.column] if each.column in columns else _missing(count)
            try:
                found, coverage[each.specification()] = fitted.rows(values)
                rows.append(found)
            except ValueMistakes as err:
                mistakes += in_column(each.column, err.mistakes)
        if mistakes:
            raise ValueMistakes(sorted(mistakes)[:MAX_PROBLEMS])
        return self.joined(side, rows), coverage

    def drawing(self, side: int) -> Callable[[int, np.random.Generator], Ragged] | None:
        """Return what draws so many objects of a side from all that there could be.

        None if nobody knows what there could be of one of its fields. What is drawn is a function
        of the generator's state.
        """
        fields = self.sides[side]

        def rows(count: int, generator: np.random.Generator) -> list[Ragged]:
            drawn = (fitted.draw(count, generator) for fitted in fields)
            return [each for each in drawn if each is not None]

        if len(rows(1, np.random.default_rng(0))) < len(fields):
            return None
        return lambda count, generator: self.joined(side, rows(count, generator))

    def joined(self, side: int, rows: Sequence[Ragged]) -> Ragged:
        """Return objects made of the rows that each field of a side has for them."""
        found = [
            Ragged(part.in_table(own.values), own.offsets)
            for part, own in zip(self._parts(side), rows, strict=True)
        ]
        return side_by_side(found)

    def entries(self, side: int) -> Iterator[tuple[str, Entry]]:
        """Yield the rows of a side's table, each with the columns that it is of."""
        for number, part in enumerate(self.parts):
            if part not in self.vocabularies(side):
                continue
            names = [self.declared.fields[each][1].column for each in self.declared.parts[number]]
            name = ",".join(dict.fromkeys(names))
            entries = list(part.fitted.entries())
            rows = part.in_table(np.array([entry.row for entry in entries], np.int64))
            for entry, row in zip(entries, rows.tolist(), strict=True):
                yield name, replace(entry, row=row)

    def known_rows(self, side: int) -> NDArray[np.bool_]:
        """Return which rows of a side's table are those of known tokens, (V,)."""
        is_known = np.zeros(self.table_size(side), np.bool_)
        for part in self.vocabularies(side):
            is_known[part.in_table(np.arange(part.fitted.first_known, part.fitted.size))] = True
        return is_known

    def hashed_rows(self, side: int) -> NDArray[np.int32]:
        """Return the rows of a side's table that tokens are hashed into, (m,)."""
        parts = self.vocabularies(side)
        rows = [part.in_table(np.asarray(part.fitted.buckets, np.int64)) for part in parts]
        return np.concatenate(rows)

    def weights(self, side: int, size: int) -> NDArray[np.float64]:
        """Return what each of `size` rows of a side's table counts by its field, (size,)."""
        weights = np.ones(size)
        for part, numbers in zip(self.parts, self.declared.parts, strict=True):
            owner, each = self.declared.fields[numbers[0]]
            if self.is_tied or owner == side:
                weights[part.in_table(np.arange(part.fitted.size))] = kind_of(each).weight
        return weights

    def untrained_rows(self, side: int) -> NDArray[np.int32]:
        """Return the rows of a side's table that no record of training has read, (m,) ascending."""
        parts = self.vocabularies(side)
        rows = [part.in_table(part.fitted.untrained_rows()) for part in parts]
        return np.sort(np.concatenate(rows))

    def to_files(self, folder: Path) -> None:
        """Write the schema to a folder, as ``schema.json`` and ``vocabularies.safetensors``.

        Raises
        ------
        StorageError
            If a file cannot be written.
        """
        arrays: Arrays = {}
        parts = []
        for number, part in enumerate(self.parts):
            state, own = part.fitted.state()
            arrays |= {f"{number}.{name}": array for name, array in own.items()}
            parts.append({"segments": [*map(list, part.segments)], "state": state})
        content = {
            "declared": self.declared.state(),
            "label": self.label.state(),
            "vocabularies": parts,
            "decisions": dict(self.decisions),
        }
        write_schema(folder, content, arrays)

    @classmethod
    def from_files(cls, folder: Path) -> ObjectSchema:
        """Return the schema that `to_files` has written.

        Raises
        ------
        ArtifactError
            If a file is missing or damaged, or says what no schema can.
        """
        content, arrays = read_schema(folder)
        try:
            declared = TableSchema.from_state(content["declared"])
            label, decisions = LabelField.from_state(content["label"]), content["decisions"]
            parts = []
            for number, (said, fields) in enumerate(
                zip(content["vocabularies"], declared.parts, strict=True)
            ):
                kind = kind_of(declared.fields[fields[0]][1])
                first = f"{number}."
                own = {n.removeprefix(first): a for n, a in arrays.items() if n.startswith(first)}
                segments = tuple((int(own_row), int(row)) for own_row, row in said["segments"])
                fitted = type(kind).fitted.from_state(kind, said["state"], own)
                parts.append(Part(fitted, segments))
            schema = cls(declared, tuple(parts), label, dict(decisions))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as err:
            raise damaged(folder, str(err) or type(err).__name__) from err
        if not all(schema._is_whole(side) for side in (0, 1)):
            raise damaged(folder, "segments that do not fill a table")
        return schema

    def _is_whole(self, side: int) -> bool:
        """Return whether the vocabularies fill a side's table from row 1 on, each row once."""
        pieces = []
        for part in self.vocabularies(side):
            firsts = [own for own, _ in part.segments]
            stops = [*firsts[1:], part.fitted.size]
            if firsts[:1] != [0] or any(a > b for a, b in zip(firsts, stops, strict=True)):
                return False
            pieces += part.stretches
        ends = [1, *(end for _, end in sorted(pieces))]
        return all(start == end for (start, _), end in zip(sorted(pieces), ends, strict=False))

    def _parts(self, side: int) -> list[Part]:
        """Return the vocabulary of each field of a side."""
        of = {
            number: part
            for part, each in zip(self.parts, self.declared.parts, strict=True)
            for number in each
        }
        return [of[i] for i, (owner, _) in enumerate(self.declared.fields) if owner == side]

    def vocabularies(self, side: int) -> list[Part]:
        """Return the vocabularies whose rows lie in a side's table, in the order of `parts`."""
        return list(self.parts) if self.is_tied else list(dict.fromkeys(self._parts(side)))

    def _check_columns(self, side: int, given: list[str], partial: bool) -> None:
        """Raise `DataError` if columns lack that an object needs."""
        wanted = self.columns(side)
        missing = [name for name in wanted if name not in given]
        if not missing or (partial and len(missing) < len(wanted)):
            return
        others = [name for name in given if name not in wanted]
        cure = f"{suggestion(missing[0], others)}Give {', '.join(wanted)}."
        must = f'must have the column "{missing[0]}"'
        raise DataError.at(f"in{side}", must, given, cure)


def side_by_side(columns: Sequence[Ragged]) -> Ragged:
    """Return rows that hold what the same row of each column has, one column after another.

    Examples
    --------
    >>> users, films = Ragged.build([[1], [2]]), Ragged.build([[], [7, 8]])
    >>> side_by_side([users, films]).padded().tolist()
    [[1, 0, 0], [2, 7, 8]]
    """
    if len(columns) == 1:
        return columns[0]
    offsets = offsets_of(np.sum([each.lengths for each in columns], axis=0))  # (n + 1,)
    values = np.empty(offsets[-1], np.int32)
    starts = offsets[:-1]  # (n,)
    for each in columns:
        values[run_indices(starts, each.lengths)[0]] = each.values
        starts = starts + each.lengths
    return Ragged(values, offsets)


def in_column(column: str, mistakes: Sequence[WrongValue]) -> list[WrongValue]:
    """Return mistakes that name the column."""
    return [mistake._replace(must=f'"{column}" {mistake.must}') for mistake in mistakes]


def _missing(count: int) -> pa.Array:
    """Return as many missing values."""
    import pyarrow as pa

    return pa.nulls(count, pa.string())
