"""A number: the bin that it falls into is a token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.config.kinds import Integer
from object2vec.fields.base import (
    MISSING_ROW,
    Arrays,
    Coverage,
    Fitted,
    Kind,
    Learner,
    damaged,
    option,
)
from object2vec.fields.counted import CountedField
from object2vec.fields.numbers import Quantiles, numbers_of
from object2vec.objects.ragged import Ragged

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_BINS = 10_000


@dataclass(frozen=True)
class NumberKind(Kind):
    """A number: bins that hold about as many values of training each are tokens; so is missing.

    A number of few different values has a bin for each.
    """

    name = "number"
    bins: int = option(16, Integer(2, _MOST_BINS), "how many", by_name=False)

    def learner(self, start: Fitted | None = None) -> Learner:
        """Return what learns the bins; those of `start` stay as they are."""
        return _NumberLearner(self, start if isinstance(start, NumberField) else None)


class _NumberLearner(Learner):
    def __init__(self, kind: NumberKind, start: NumberField | None) -> None:
        self._kind = kind
        self._start = start
        self._seen = Quantiles()

    def observe(self, values: pa.Array) -> pa.Array:
        """Return the numbers, null where they are missing."""
        numbers = numbers_of(values)
        self._seen.add(numbers)
        return numbers

    def finish(self, kept: Iterable[pa.Array] | None = None) -> NumberField:
        """Return the field."""
        seen = self._seen
        if kept is not None:
            seen = Quantiles()
            for each in kept:
                seen.add(each)
        start = self._start
        edges = seen.edges(self._kind.bins) if start is None else start.edges
        values, counts = seen.values()
        of_row = np.zeros(len(edges) + 2, np.int64)
        np.add.at(of_row, _rows(values, edges), counts)
        of_row[MISSING_ROW] = seen.missing
        return NumberField(edges, of_row if start is None else of_row + start.counts)


@dataclass(frozen=True, eq=False)
class NumberField(CountedField):
    """A field of numbers. Its rows are that of missing ones, then the bins from below.

    Parameters
    ----------
    edges : float64 array (bins - 1,)
        The least number of each bin but the first.
    counts : int64 array (bins + 1,)
        How often training saw what has each row.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Rows of the token table that it needs."""
        return len(self.counts)

    def rows(self, values: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the bins of numbers."""
        return self.rows_of_kept(numbers_of(values))

    def rows_of_kept(self, kept: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the same for numbers that the learner has kept."""
        rows = _rows(kept.fill_null(0.0).to_numpy(), self.edges)  # (n,)
        missing = kept.null_count
        if missing:
            rows[kept.is_null().to_numpy(zero_copy_only=False)] = MISSING_ROW
        known = len(rows) - missing
        column = Ragged(rows, np.arange(len(rows) + 1))
        return column, Coverage(len(rows), missing, known, known)

    def tokens(self) -> Iterator[str]:
        """Yield the range of each bin."""
        edges = [f"{edge:.6g}" for edge in self.edges.tolist()]
        for row in range(1, self.size):
            low = f"from {edges[row - 2]}" if row > 1 else ""
            high = f"below {edges[row - 1]}" if row <= len(edges) else ""
            yield " ".join(filter(None, (low, high))) or "any number"

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return the edges and counts."""
        return {}, {"edges": self.edges, "counts": self.counts}

    @classmethod
    def from_state(cls, kind: Kind, state: Mapping[str, Any], arrays: Arrays) -> NumberField:
        """Return the field with these edges."""
        edges, counts = arrays.get("edges"), arrays.get("counts")
        is_whole = (
            edges is not None
            and counts is not None
            and (edges.dtype, counts.dtype) == (np.dtype(np.float64), np.dtype(np.int64))
            and edges.ndim == counts.ndim == 1
            and len(counts) == len(edges) + 2
            and bool(np.isfinite(edges).all() and (np.diff(edges) > 0).all())
        )
        if not is_whole:
            raise damaged("must hold ascending edges of bins", edges)
        return cls(arrays["edges"], arrays["counts"])


def _rows(numbers: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the row of each number, (n,)."""
    return (np.searchsorted(edges, numbers, side="right") + 1).astype(np.int32)


NumberKind.fitted = NumberField
