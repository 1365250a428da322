"""What is in a column, in a few numbers that can be added up piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from object2vec.objects.ragged import Ragged


@dataclass(frozen=True)
class IdStatistics:
    """Facts about a column of sequences.

    Parameters
    ----------
    rows, tokens : int
        Sequences, and ids in all of them.
    max_id : int
        The largest id; -1 without any.
    padding_tokens : int
        Ids that are 0, which stands for padding.
    longest, shortest, empty_rows : int
        Lengths of the longest and the shortest sequence, and how many have none.
    """

    rows: int = 0
    tokens: int = 0
    max_id: int = -1
    padding_tokens: int = 0
    longest: int = 0
    shortest: int = 0
    empty_rows: int = 0

    @classmethod
    def of(cls, column: Ragged) -> IdStatistics:
        """Return the statistics of a column in memory."""
        values, lengths = column.values, column.lengths
        if not len(lengths):
            return cls()
        return cls(
            rows=len(column),
            tokens=len(values),
            max_id=int(values.max(initial=-1)),
            padding_tokens=len(values) - int(np.count_nonzero(values)),
            longest=int(lengths.max()),
            shortest=int(lengths.min()),
            empty_rows=len(lengths) - int(np.count_nonzero(lengths)),
        )

    def __add__(self, other: IdStatistics) -> IdStatistics:
        if not (self.rows and other.rows):
            return self if self.rows else other
        return IdStatistics(
            rows=self.rows + other.rows,
            tokens=self.tokens + other.tokens,
            max_id=max(self.max_id, other.max_id),
            padding_tokens=self.padding_tokens + other.padding_tokens,
            longest=max(self.longest, other.longest),
            shortest=min(self.shortest, other.shortest),
            empty_rows=self.empty_rows + other.empty_rows,
        )


@dataclass(frozen=True)
class NumberStatistics:
    """Smallest and largest number, their sum, and whether all are whole numbers."""

    rows: int = 0
    low: float = 0.0
    high: float = 0.0
    total: float = 0.0
    is_integral: bool = True

    @classmethod
    def of(cls, column: NDArray[np.float32]) -> NumberStatistics:
        """Return the statistics of numbers (n,)."""
        if not len(column):
            return cls()
        is_integral = bool((column == np.floor(column)).all())
        total = float(column.sum(dtype=np.float64))
        return cls(len(column), float(column.min()), float(column.max()), total, is_integral)

    def __add__(self, other: NumberStatistics) -> NumberStatistics:
        if not (self.rows and other.rows):
            return self if self.rows else other
        return NumberStatistics(
            rows=self.rows + other.rows,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            total=self.total + other.total,
            is_integral=self.is_integral and other.is_integral,
        )


@dataclass(frozen=True)
class WholeStatistics:
    """Smallest and largest of whole numbers."""

    rows: int = 0
    low: int = 0
    high: int = 0

    @classmethod
    def of(cls, column: NDArray[np.int64]) -> WholeStatistics:
        """Return the statistics of numbers (n,)."""
        return cls(len(column), int(column.min()), int(column.max())) if len(column) else cls()

    def __add__(self, other: WholeStatistics) -> WholeStatistics:
        if not (self.rows and other.rows):
            return self if self.rows else other
        low, high = min(self.low, other.low), max(self.high, other.high)
        return WholeStatistics(self.rows + other.rows, low, high)
