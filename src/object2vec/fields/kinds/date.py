"""A date or a time: its parts are tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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
from object2vec.fields.options import Words
from object2vec.fields.times import seconds_of
from object2vec.objects.ragged import Ragged

if TYPE_CHECKING:
    import pyarrow as pa

_DAY = 86_400  # seconds
_PARTS = {"year": (0, 0), "month": (1, 12), "weekday": (1, 7), "day": (1, 31), "hour": (0, 23)}
"""The least and the largest number of each part; a year has a row if training has seen it."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class DateKind(Kind):
    """A date or a time: its year, month, weekday, day and hour are tokens; so is missing.

    A time counts as it is written, whatever its zone. Weekday 1 is Monday. A year that training has
    not seen is read as the nearest one.
    """

    name = "date"
    parts: str | None = option(
        None,
        Words(tuple(_PARTS)),
        "which of them; all by default, hours only if some are not midnight",
        by_name=False,
    )

    def learner(self, start: Fitted | None = None) -> Learner:
        """Return what learns which years there are; those of `start` keep their rows."""
        return _DateLearner(self, start if isinstance(start, DateField) else None)


class _DateLearner(Learner):
    def __init__(self, kind: DateKind, start: DateField | None) -> None:
        self._kind = kind
        self._start = start
        self._seen = _Seen()

    def observe(self, values: pa.Array) -> pa.Array:
        """Return seconds, null where they are missing."""
        seconds = seconds_of(values)
        self._seen.add(seconds)
        return seconds

    def finish(self, kept: Iterable[pa.Array] | None = None) -> DateField:
        """Return the field."""
        seen, start = self._seen, self._start
        if kept is not None:
            seen = _Seen()
            for each in kept:
                seen.add(each)
        if start is None:
            named = self._kind.parts
            parts = tuple(named.split(",")) if named else tuple(_PARTS)
            if not named and not seen.has_hours:
                parts = parts[:-1]
            start = DateField(parts, (), np.zeros(1 + sum(map(_rows_of, parts)), np.int64))
        new = sorted(seen.years.keys() - set(start.years)) if "year" in start.parts else []
        if "year" in start.parts and not start.years and not new:
            new = [1970]  # a part has a row at the least, though nobody reads it
        field = DateField(start.parts, (*start.years, *new), start.counts)
        return DateField(field.parts, field.years, seen.counts(field, start.counts))


class _Seen:
    """What was seen of each part."""

    def __init__(self) -> None:
        self.missing = 0
        self.has_hours = False
        self.years: dict[int, int] = {}
        self._of_part = {part: np.zeros(high + 1, np.int64) for part, (_, high) in _PARTS.items()}

    def add(self, seconds: pa.Array) -> None:
        """See times; null is missing."""
        self.missing += seconds.null_count
        for part, numbers in _parts_of(seconds.drop_null().to_numpy(), tuple(_PARTS)):
            if part == "year":
                found, counts = np.unique(numbers, return_counts=True)
                for year, count in zip(found.tolist(), counts.tolist(), strict=True):
                    self.years[year] = self.years.get(year, 0) + count
                continue
            of_part = self._of_part[part]
            of_part += np.bincount(numbers, minlength=len(of_part))
        self.has_hours |= bool((seconds.drop_null().to_numpy() % _DAY).any())

    def counts(self, field: DateField, before: Numbers) -> Numbers:
        """Return how often what has each row of a field was seen, now and before."""
        of_row = np.zeros(field.size, np.int64)
        of_row[: len(before)] += before
        of_row[MISSING_ROW] += self.missing
        for part, first in field.firsts().items():
            if part == "year":
                of_row[first : field.size] += [self.years.get(year, 0) for year in field.years]
            else:
                low, high = _PARTS[part]
                of_row[first : first + high - low + 1] += self._of_part[part][low:]
        return of_row


@dataclass(frozen=True, eq=False)
class DateField(CountedField):
    """A field of dates. Its rows are that of missing ones, those of the parts, then the years.

    Parameters
    ----------
    parts : tuple of str
        Which parts are tokens, in this order.
    years : tuple of int
        In the order of their rows.
    counts : int64 array (size,) or shorter
        How often training saw what has each row.
    """

    parts: tuple[str, ...]
    years: tuple[int, ...]
    counts: Numbers

    @property
    def size(self) -> int:
        """Rows of the token table that it needs."""
        return 1 + sum(map(_rows_of, self.parts)) + len(self.years)

    def firsts(self) -> dict[str, int]:
        """Return the first row of each part; that of years is behind all others."""
        firsts, row = {}, 1
        for part in sorted(self.parts, key=lambda part: part == "year"):
            firsts[part] = row
            row += _rows_of(part)
        return firsts

    def rows(self, values: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the rows of the parts of dates."""
        return self.rows_of_kept(seconds_of(values))

    def rows_of_kept(self, kept: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the same for seconds that the learner has kept."""
        seconds = kept.fill_null(0).to_numpy()  # (n,)
        firsts, unknown = self.firsts(), 0
        is_there = kept.is_valid().to_numpy(zero_copy_only=False)  # (n,)
        table = np.empty((len(seconds), len(self.parts)), np.int32)  # (n, parts)
        for column, (part, numbers) in enumerate(_parts_of(seconds, self.parts)):
            if part == "year":
                numbers, is_known = self._nearest(numbers)
                unknown += int(np.count_nonzero(is_there & ~is_known))
            table[:, column] = firsts[part] + numbers - _PARTS[part][0]
        lengths = np.where(is_there, len(self.parts), 1)  # (n,)
        taken = np.ones(table.shape, np.bool_)
        taken[~is_there, 1:] = False
        table[~is_there, 0] = MISSING_ROW
        column_of_rows = Ragged(table[taken], np.concatenate([[0], np.cumsum(lengths)]))
        tokens = len(self.parts) * int(np.count_nonzero(is_there))
        known = tokens - unknown
        return column_of_rows, Coverage(len(kept), kept.null_count, tokens, known, unknown=unknown)

    def _nearest(self, years: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
        """Return the numbers of the rows of years or of the nearest ones, and which are known."""
        order = np.argsort(self.years)
        known = np.array(self.years)[order]  # ascending
        above = np.minimum(np.searchsorted(known, years), len(known) - 1)
        below = np.maximum(above - 1, 0)
        is_below = np.abs(years - known[below]) <= np.abs(known[above] - years)
        at = np.where(is_below, below, above)
        return order[at], known[at] == years

    def tokens(self) -> Iterator[str]:
        """Yield the parts with their numbers."""
        for part in sorted(self.parts, key=lambda part: part == "year"):
            low, high = _PARTS[part]
            numbers = self.years if part == "year" else range(low, high + 1)
            yield from (f"{part} {number}" for number in numbers)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return parts and years, and the counts."""
        return {"parts": list(self.parts), "years": list(self.years)}, {"counts": self.counts}

    @classmethod
    def from_state(cls, kind: Kind, state: Mapping[str, Any], arrays: Arrays) -> DateField:
        """Return the field with this state."""
        parts, years = state.get("parts"), state.get("years")
        counts = arrays.get("counts", np.zeros(0, np.int64))
        if isinstance(parts, list) and isinstance(years, list) and counts.dtype == np.int64:
            field = cls(tuple(parts), tuple(years), counts)
            if field.is_possible and counts.shape == (field.size,):
                return field
        raise damaged("must hold the parts of dates", state)

    @property
    def is_possible(self) -> bool:
        """Whether parts and years can be those of a field."""
        has_years = bool(self.years) and all(type(y) is int and 0 < y < 10_000 for y in self.years)
        return (
            bool(self.parts)
            and all(part in _PARTS for part in self.parts)
            and len({*self.parts}) == len(self.parts)
            and len({*self.years}) == len(self.years)
            and has_years == ("year" in self.parts)
        )


def _rows_of(part: str) -> int:
    """Return the rows of a part; years have theirs behind all others."""
    low, high = _PARTS[part]
    return 0 if part == "year" else high - low + 1


def _parts_of(seconds: Numbers, parts: tuple[str, ...]) -> Iterator[tuple[str, Numbers]]:
    """Yield each part of times with its numbers, (n,)."""
    days = seconds // _DAY
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    for part in parts:
        if part == "year":
            yield part, dates.astype("datetime64[Y]").astype(np.int64) + 1970
        elif part == "month":
            yield part, months.astype(np.int64) % 12 + 1
        elif part == "weekday":
            yield part, (days + 3) % 7 + 1  # the first day was a Thursday
        elif part == "day":
            yield part, (dates - months).astype(np.int64) + 1
        else:
            yield part, seconds % _DAY // 3600


DateKind.fitted = DateField
