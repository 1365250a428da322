"""Pairs: the records of a channel as two ragged columns and a label."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.files.mapped import release_pages
from object2vec.files.sources import list_sources
from object2vec.objects.ragged import Ragged, Rows
from object2vec.objects.statistics import LabelStatistics, SideStatistics, Statistics

if TYPE_CHECKING:
    from object2vec.reading.cache import Cached

_WINDOWS, _WINDOW = 256, 4096  # parts of a column that its fingerprint is made of, ids in each
_RECORD_CURE = 'Pass {"in0": [10], "in1": [3, 7], "label": 1} for each record.'


@dataclass(frozen=True, eq=False)
class Pairs:
    """Records of two sequences and a label.

    Parameters
    ----------
    in0, in1 : Ragged, n rows each, or None
        Sequences of each side; None where only the other side is at hand.
    label : float32 array (n,) or None
    source : str, default "pairs"
        What messages call the records.
    """

    in0: Ragged | None
    in1: Ragged | None
    label: NDArray[np.float32] | None
    source: str = "pairs"
    _cached: Cached | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return next((len(c) for c in (self.in0, self.in1, self.label) if c is not None), 0)

    def take(self, rows: Rows) -> Pairs:
        """Return these records, in this order.

        Parameters
        ----------
        rows : int array (m,)
        """
        if self._cached is not None:
            return Pairs(*self._cached.take(rows), self.source)
        return Pairs(
            None if self.in0 is None else self.in0.take(rows),
            None if self.in1 is None else self.in1.take(rows),
            None if self.label is None else self.label[rows],
            self.source,
        )

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
    def statistics(self) -> Statistics:
        """Facts about each column; known already of records that were read from files."""
        if self._cached:
            return self._cached.statistics
        label = None if self.label is None else LabelStatistics.of(self.label)
        return Statistics(_statistics_of(self.in0), _statistics_of(self.in1), label)

    @cached_property
    def fingerprint(self) -> str:
        """A hash that tells these records from others, or from the same in another order.

        All labels and a million ids of each side, spread evenly, make it.
        """
        content = hashlib.blake2b(digest_size=16)
        for side in (self.in0, self.in1):
            for part in () if side is None else (side.values, side.offsets):
                last = max(0, len(part) - _WINDOW)
                for start in np.unique(np.linspace(0, last, _WINDOWS, dtype=np.int64)):
                    content.update(np.ascontiguousarray(part[start : start + _WINDOW]).data)
        if self.label is not None:
            content.update(np.ascontiguousarray(self.label).data)
            release_pages(self.label)
        return content.hexdigest()

    @classmethod
    def read(
        cls,
        source: Any,
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        default_label: float | None = None,
        name: str = "pairs",
    ) -> Pairs:
        """Return the pairs that `source` names or holds.

        Parameters
        ----------
        source : Pairs, path, URL, "-", list of these names, list of dicts, or mapping of columns
            JSON Lines files, alone or all in a folder, packed with gzip or zstd or not; or records
            in memory, as ``[{"in0": [10], "in1": [3, 7], "label": 1}, ...]`` or as
            ``{"in0": [[10], ...], "in1": [[3, 7], ...], "label": [1, ...]}``.
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
        if isinstance(source, (str, os.PathLike)) or _are_paths(source):
            from object2vec.reading.cache import open_or_build

            cached = open_or_build(
                list_sources(source), cache_dir=cache_dir, default_label=default_label
            )
            return cls(cached.in0, cached.in1, cached.label, name, cached)
        columns = source if hasattr(source, "keys") else _to_columns(source, default_label, name)
        names = set(columns.keys()) | ({"label"} if default_label is not None else set())
        if missing := {"in0", "in1", "label"} - names:
            must = f'must have the column "{min(missing)}"'
            raise DataError.at(name, must, list(columns.keys()), "Add it.")
        in0 = Ragged.build(columns["in0"], "in0")
        if not len(in0):
            raise DataError.at(name, "must hold at least one record", "none", _RECORD_CURE)
        has_label = "label" in set(columns.keys())
        label = columns["label"] if has_label else np.full(len(in0), default_label)
        return cls.build(in0=in0, in1=columns["in1"], label=label, source=name)

    @classmethod
    def build(
        cls, *, in0: Any = None, in1: Any = None, label: Any = None, source: str = "pairs"
    ) -> Pairs:
        """Return pairs made of columns in memory.

        Parameters
        ----------
        in0, in1 : anything that `Ragged.build` reads, optional
        label : sequence of n finite numbers or bools, optional
        source : str, default "pairs"
            What messages call the records.

        Raises
        ------
        DataError
            If a column cannot be read, or the columns differ in length.
        """
        columns = {
            "in0": None if in0 is None else Ragged.build(in0, "in0"),
            "in1": None if in1 is None else Ragged.build(in1, "in1"),
            "label": None if label is None else _labels(label),
        }
        lengths = {name: len(column) for name, column in columns.items() if column is not None}
        if len(set(lengths.values())) > 1:
            raise DataError.at(
                source, "must have columns of one length", lengths, "Check the columns."
            )
        return cls(**columns, source=source)  # type: ignore[arg-type]


def _statistics_of(column: Ragged | None) -> SideStatistics | None:
    if column is None:
        return None
    return sum((SideStatistics.of(piece) for _, piece in column.pieces()), SideStatistics())


def _are_paths(source: Any) -> bool:
    """Say whether `source` is a list of paths; an empty one is, as it holds no record either."""
    return isinstance(source, (list, tuple)) and all(
        isinstance(each, (str, os.PathLike)) for each in source
    )


def _to_columns(records: Any, default_label: float | None, name: str) -> dict[str, list[Any]]:
    """Return the columns of a list of dicts."""
    if not isinstance(records, Sequence):
        raise DataError.at(name, "must be a path, records or columns", records, _RECORD_CURE)
    default = {} if default_label is None else {"label": default_label}
    columns: dict[str, list[Any]] = {"in0": [], "in1": [], "label": []}
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


def _labels(label: Any) -> NDArray[np.float32]:
    """Return labels as float32 (n,) if each is a finite number."""
    array = np.asarray(label)
    if array.dtype.kind not in "biuf" or array.ndim != 1:
        got = f"{array.dtype.name} of shape {array.shape}"
        cure = "Pass one number per record."
        raise DataError.at("label", "must be a one-dimensional array of numbers", got, cure)
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32, copy=False)  # (n,)
    bad = np.flatnonzero(~np.isfinite(numbers))[:MAX_PROBLEMS]
    if len(bad):
        raise DataError(
            join_problems(
                [
                    problem(
                        f"label[{i}]", "must be a finite number", array[i].item(), "Fix the label."
                    )
                    for i in bad
                ]
            )
        )
    return numbers
