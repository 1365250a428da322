"""A measure: figures of a sample, and how far they would move with another sample of its kind.

Every figure is a function of how often each unit (a query, a pair, a text) counts. Once each gives
the figure itself; counts of units that are drawn with replacement give those of other samples that
could have been (the percentile bootstrap of Efron, 1979). So there is one computation for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError

Floats = NDArray[np.float64]

RESAMPLES, LEVEL = 1_000, 0.95
_DRAWS = 200_000_000  # units that are drawn at the most: ten seconds
_BLOCK = 1 << 22  # counts at once


@dataclass(frozen=True)
class Figure:
    """A figure and its confidence interval.

    Parameters
    ----------
    value : float
    low, high : float, optional
        Where the figures of other samples lie, at the level that was asked for.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Measure:
    """Figures of a sample of units.

    Parameters
    ----------
    units : int
        How many there are, n.
    of : callable
        Returns the figures by name, (R,) each, of R times n counts, (R, n).
    """

    units: int
    of: Callable[[Floats], dict[str, Floats]]

    def values(self) -> dict[str, float]:
        """Return the figures.

        Raises
        ------
        DataError
            If there is no unit.
        """
        if not self.units:
            raise DataError.at("records", "must hold at least one", "none", "Add records.")
        found = self.of(np.ones((1, self.units)))
        return {name: float(value[0]) for name, value in found.items()}

    def figures(
        self, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
    ) -> dict[str, Figure]:
        """Return the figures with their confidence intervals.

        Parameters
        ----------
        resamples : int
            Samples to draw, fewer where they would have more than 200 million units; 0 for figures
            without intervals.
        seed : int
        level : float
            Share of the samples that lie in an interval, such as 0.95.

        Raises
        ------
        DataError
            If there is no unit, or the level is no share between 0 and 1.
        """
        if not 0 < level < 1:
            raise DataError.at("level", "must lie between 0 and 1", level, "Use 0.95.")
        values = self.values()
        drawn: dict[str, list[Floats]] = {name: [] for name in values}
        for counts in self._samples(min(resamples, _DRAWS // self.units), seed):
            for name, found in self.of(counts).items():
                drawn[name].append(found)
        ends = 50 * (1 - level), 50 * (1 + level)
        return {
            name: _figure(values[name], parts, ends) if parts else Figure(values[name])
            for name, parts in drawn.items()
        }

    def _samples(self, resamples: int, seed: int) -> Iterator[Floats]:
        """Yield how often each unit is drawn, (r, n), some samples at a time."""
        generator, step = np.random.default_rng(seed), max(1, _BLOCK // self.units)
        for start in range(0, resamples, step):
            rows = min(step, resamples - start)
            drawn = generator.integers(0, self.units, (rows, self.units))  # (r, n)
            drawn += np.arange(rows)[:, None] * self.units
            counts = np.bincount(drawn.ravel(), minlength=rows * self.units)
            yield counts.reshape(rows, self.units).astype(np.float64)


def _figure(value: float, parts: list[Floats], ends: tuple[float, float]) -> Figure:
    """Return a figure with the percentiles of those of other samples, if all are numbers."""
    drawn = np.concatenate(parts)
    if math.isnan(value) or np.isnan(drawn).any():
        return Figure(value)
    low, high = np.percentile(drawn, ends).tolist()
    return Figure(value, low, high)


def means(counts: Floats, **each: NDArray[np.generic]) -> dict[str, Floats]:
    """Return the mean over units of what each unit has, (n,) each, as often as it counts."""
    stacked = np.stack([np.asarray(values, np.float64) for values in each.values()], axis=1)
    found = counts @ stacked / counts.sum(axis=1, keepdims=True)  # (R, figures)
    return dict(zip(each, found.T, strict=True))


def share(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def paired(name: str, numbers: Any, label: Any) -> tuple[Floats, Floats]:
    """Return numbers and their labels as float64, both (n,).

    Raises
    ------
    DataError
        If their lengths differ; `name` says what the numbers are.
    """
    found, wanted = np.asarray(numbers, np.float64), np.asarray(label, np.float64)
    if found.shape != wanted.shape or wanted.ndim != 1:
        must, got = "must be one for each label", [found.shape, wanted.shape]
        raise DataError.at(name, must, got, "Pass two columns of one length.")
    return found, wanted
