"""Pairs: the records of a channel as two ragged columns and a label."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.files.mapped import release_pages
from object2vec.files.sources import are_paths, list_sources
from object2vec.objects.ragged import Ragged, Rows
from object2vec.objects.schema import RECORDS, Column, Schema

if TYPE_CHECKING:
    from object2vec.config import Config
    from object2vec.pairs.batches import Batch
    from object2vec.reading.cached_set import Cached

_WINDOWS, _WINDOW = 256, 4096  # parts of a column that its fingerprint is made of, ids in each
Draw = Callable[[int, np.random.Generator], Ragged]
"""Returns so many sequences of in1 that are drawn from all that there could be."""

_RECORD_CURE = 'Pass {"in0": [10], "in1": [3, 7], "label": 1} for each record.'


class PairBlocks(Protocol):
    """Pairs in blocks that batches are made of.

    Attributes
    ----------
    mean_pairs : float
        How many pairs a block has.
    """

    mean_pairs: float

    def __len__(self) -> int: ...

    def batch(self, pairs: Pairs, blocks: Rows) -> Batch:
        """Return the batch of these blocks, int64 (G,), of what is made in an epoch."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Records of two sequences and a label, and of what else their schema has.

    Parameters
    ----------
    columns : mapping of str to column, n rows each
        The columns that are at hand: sequences as `Ragged`, numbers as float32 (n,).
    source : str, default "pairs"
        What messages call the records.
    schema : Schema
        What columns there may be.
    are_positives : bool, default False
        Whether they have no label of their own: each is a positive, and only negatives that are
        drawn tell how good a model is.
    draw : callable, optional
        Draws in1 for random negatives; without it they have that of other records.
    """

    columns: Mapping[str, Any]
    source: str = "pairs"
    schema: Schema = RECORDS
    _cached: Cached | None = field(default=None, repr=False)
    are_positives: bool = False
    draw: Draw | None = None

    @property
    def in0(self) -> Ragged | None:
        """Sequences of side 0; None where only the other side is at hand."""
        return self.columns.get("in0")

    @property
    def in1(self) -> Ragged | None:
        """Sequences of side 1; None where only the other side is at hand."""
        return self.columns.get("in1")

    @property
    def label(self) -> NDArray[np.float32] | None:
        """Labels, shape (n,); None where there are none."""
        return self.columns.get("label")

    def __len__(self) -> int:
        return next((len(column) for column in self.columns.values()), 0)

    def take(self, rows: Rows) -> Pairs:
        """Return these records, in this order.

        Parameters
        ----------
        rows : int array (m,)
        """
        taken = {column.name: self.gather(column.name, rows) for column in self._present}
        return Pairs(taken, self.source, self.schema)

    def gather(self, name: str, rows: Rows) -> Any:
        """Return these rows of a column, in this order."""
        if self._cached is not None:
            return self._cached.gather(name, rows)
        column = next(column for column in self.schema if column.name == name)
        return column.layout.take(self.columns[name], rows)

    def groups(self, rows: Rows) -> NDArray[np.int64] | None:
        """Return the group of each of these records; None where there are no groups."""
        return self.gather("group", rows) if "group" in self.columns else None

    def identity(self, side: int) -> Ragged | NDArray[np.uint64]:
        """Return what tells the objects of a side apart: their sequences, or a number for each."""
        column: Ragged = self.columns[f"in{side}"]
        return column

    def of_epoch(self, epoch: int) -> Pairs:
        """Return the records of an epoch: these, unless they are made afresh."""
        return self

    def makes_blocks(self, config: Config) -> bool:
        """Return whether batches are made of blocks, and not of single records."""
        return False

    def blocks(self, config: Config) -> PairBlocks | None:
        """Return what batches are made of, if not of single records."""
        return None

    @property
    def are_made(self) -> bool:
        """Whether each epoch has records of its own."""
        return False

    @property
    def sample(self) -> Pairs:
        """Records that stand for all: these, unless they are made afresh."""
        return self

    @property
    def _present(self) -> list[Column]:
        return [column for column in self.schema if column.name in self.columns]

    def where(self, row: int, name: str | None = None) -> str:
        """Return what messages call a record: its file and line, or its row in `name`."""
        return self._cached.where(row) if self._cached else f"{name or self.source} row {row}"

    @property
    def are_on_disk(self) -> bool:
        """Whether `take` reads them from files, since they are too many to be kept in memory."""
        return self._cached is not None and bool(self._cached.files)

    @property
    def blank_lines(self) -> int:
        """Number of lines that were skipped as blank when the records were read."""
        return len(self._cached.blank_lines) if self._cached else 0

    @cached_property
    def statistics(self) -> Mapping[str, Any]:
        """Facts about each column; known already of records that were read from files."""
        if self._cached:
            return self._cached.statistics
        return {c.name: c.layout.count(self.columns[c.name]) for c in self._present}

    @cached_property
    def fingerprint(self) -> str:
        """A hash that tells these records from others, or from the same in another order.

        A million numbers of each array of an object, spread evenly, make it, and all of the others.
        """
        content = hashlib.blake2b(digest_size=16)
        for column in self._present:
            for part in column.layout.arrays(self.columns[column.name]).values():
                last, window = max(0, len(part) - _WINDOW), _WINDOW
                if column.side is None:
                    last, window = 0, len(part)
                for start in np.unique(np.linspace(0, last, _WINDOWS, dtype=np.int64)):
                    content.update(np.ascontiguousarray(part[start : start + window]).data)
                release_pages(part)
        return content.hexdigest()

    @classmethod
    def read(
        cls,
        source: Any,
        *,
        schema: Schema = RECORDS,
        cache_dir: str | os.PathLike[str] | None = None,
        default_label: float | None = None,
        name: str = "pairs",
    ) -> Pairs:
        """Return the pairs that `source` names or holds.

        Parameters
        ----------
        source : Pairs, path, URL, "-", list of these, iterable of dicts, or mapping of columns
            JSON Lines files, alone or all in a folder, packed or not (`read_blocks`); or records
            in memory, as ``[{"in0": [10], "in1": [3, 7], "label": 1}, ...]`` or as
            ``{"in0": [[10], ...], "in1": [[3, 7], ...], "label": [1, ...]}``.
        schema : Schema
            The columns of a record.
        cache_dir : path, optional
            Where parsed files are kept; by default ``$OBJECT2VEC_CACHE`` or the user's cache.
        default_label : float, optional
            Label of a record that has none; without it each record must have one.
        name : str, default "pairs"
            What messages call records in memory.

        Raises
        ------
        DataError
            If there is no record, or some are wrong. Up to 20 problems are listed.
        StorageError
            If the disk is full.
        """
        if isinstance(source, Pairs):
            return source
        if default_label is not None:
            schema = schema.but(label={"default": default_label})
        if isinstance(source, (str, os.PathLike)) or are_paths(source):
            from object2vec.reading.cache import open_or_build

            cached = open_or_build(list_sources(source), schema=schema, cache_dir=cache_dir)
            return cls(cached.columns, name, schema, cached)
        given = source if hasattr(source, "keys") else _to_columns(source, schema, name)
        columns = {key: given[key] for key in given.keys() if key in schema.names}
        if missing := [c.name for c in schema if c.name not in columns and c.default is None]:
            must = f'must have the column "{min(missing)}"'
            raise DataError.at(name, must, list(given.keys()), "Add it.")
        pairs = cls.build(**columns, schema=schema, source=name)
        if not len(pairs):
            raise DataError.at(name, "must hold at least one record", "none", _RECORD_CURE)
        defaults = {c.name: np.full(len(pairs), c.default) for c in schema if c.name not in columns}
        return cls.build(**{**pairs.columns, **defaults}, schema=schema, source=name)

    @classmethod
    def build(cls, *, schema: Schema = RECORDS, source: str = "pairs", **columns: Any) -> Pairs:
        """Return pairs made of columns in memory.

        Parameters
        ----------
        schema : Schema
            What columns there may be.
        source : str, default "pairs"
            What messages call the records.
        **columns
            Those at hand, None for one that is not: ``in0`` and ``in1`` are anything that
            `Ragged.build` reads, ``label`` is a sequence of n finite numbers or bools.

        Raises
        ------
        DataError
            If a column is unknown or cannot be read, or the columns differ in length.
        """
        if unknown := [key for key in columns if key not in schema.names]:
            cure = f"Use {', '.join(schema.names)}."
            raise DataError.at(source, "must have columns of its schema", unknown[0], cure)
        built = {
            column.name: column.layout.build(columns[column.name], column.name)
            for column in schema
            if columns.get(column.name) is not None
        }
        lengths = {key: len(column) for key, column in built.items()}
        if len(set(lengths.values())) > 1:
            cure = "Check the columns."
            raise DataError.at(source, "must have columns of one length", lengths, cure)
        return cls(built, source, schema)


def _to_columns(records: Any, schema: Schema, name: str) -> dict[str, list[Any]]:
    """Return the columns of dicts."""
    if not isinstance(records, Iterable) or isinstance(records, bytes):
        raise DataError.at(name, "must be a path, records or columns", records, _RECORD_CURE)
    columns: dict[str, list[Any]] = {column.name: [] for column in schema}
    default = {column.name: column.default for column in schema if column.default is not None}
    problems = []
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            problems.append(problem(f"{name} row {row}", "must be a dict", record, _RECORD_CURE))
        elif missing := columns.keys() - record.keys() - default.keys():
            must = f'must have the key "{min(missing)}"'
            problems.append(problem(f"{name} row {row}", must, list(record), _RECORD_CURE))
        else:
            for key, column in columns.items():
                column.append(record[key] if key in record else default[key])
        if len(problems) == MAX_PROBLEMS:
            break
    if problems:
        raise DataError(join_problems(problems))
    return columns
