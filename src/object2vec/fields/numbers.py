"""Numbers of a column, and their quantiles in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from object2vec.fields.base import ValueMistakes
from object2vec.fields.values import (
    is_text,
    mistakes_of,
    readable,
    trimmed,
    without_dictionary,
    wrong_type,
)

if TYPE_CHECKING:
    import pyarrow as pa

DECIMAL = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
"""What a number looks like in a text."""

_MOST_VALUES = 1 << 20  # that differ, and are kept as they are
_COMMA = r"^[+-]?\d[\d. ]*,\d+$"


def numbers_of(values: pa.Array) -> pa.Array:
    """Return values as float64, null where they are missing.

    Parameters
    ----------
    values : pyarrow array (n,)
        Numbers, booleans, or text that holds numbers; dictionary-encoded or not. Missing are null,
        an empty text, and what is not a number (NaN).

    Raises
    ------
    ValueMistakes
        If some are no finite numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = without_dictionary(readable(values))
    kind, types = values.type, pa.types
    if is_text(kind):
        numbers = _read(values)
    elif types.is_null(kind) or types.is_boolean(kind):
        numbers = values.cast(pa.int8()).cast(pa.float64())
    elif types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        numbers = values.cast(pa.float64(), safe=False)
    else:
        raise wrong_type(values, "a number")
    numbers = pc.if_else(pc.is_nan(numbers), None, numbers)
    wrong = pc.is_inf(numbers).fill_null(False)
    if pc.any(wrong).as_py():
        cure = "Fix it, or leave it empty."
        raise ValueMistakes(mistakes_of(values, wrong, "must be a finite number", cure))
    return numbers


def _read(values: pa.Array) -> pa.Array:
    """Return texts as float64."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = trimmed(values)
    text = pc.if_else(pc.equal(pc.ascii_lower(text), "nan"), None, text)
    wrong = pc.invert(pc.match_substring_regex(text, DECIMAL)).fill_null(False)
    if pc.any(wrong).as_py():
        first = text.filter(wrong)[0].as_py()
        cure = "Fix it, or read the column as a token."
        if pc.match_substring_regex(pa.array([first]), _COMMA)[0].as_py():
            cure = "Write a point instead of the decimal comma, and nothing between thousands."
        raise ValueMistakes(mistakes_of(values, wrong, "must be a number such as 3.5", cure))
    return pc.replace_substring_regex(text, r"^\+", "").cast(pa.float64())


class Quantiles:
    """Numbers that were seen, with their counts: exact up to 1,048,576 different ones.

    Beyond that neighbours are taken together, two and two, again and again: a quantile is then off
    by about a millionth of the numbers.
    """

    def __init__(self) -> None:
        self.missing = 0
        self._values = np.zeros(0, np.float64)
        self._counts = np.zeros(0, np.int64)
        self._waiting: list[NDArray[np.float64]] = []
        self._n_waiting = 0

    def add(self, numbers: pa.Array) -> None:
        """See numbers; null is missing."""
        self.missing += numbers.null_count
        self._waiting.append(numbers.drop_null().to_numpy())
        self._n_waiting += len(self._waiting[-1])
        if self._n_waiting >= _MOST_VALUES:
            self._merge()

    def values(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the different numbers, ascending, and how often each was seen; both (m,)."""
        self._merge()
        return self._values, self._counts

    def edges(self, bins: int) -> NDArray[np.float64]:
        """Return the least number of each bin but the first, ascending, (at most bins - 1,).

        Bins hold about as many numbers each. If there are no more different ones than bins, each
        has a bin.
        """
        values, counts = self.values()
        if len(values) <= bins:
            return values[1:]
        wanted = np.arange(1, bins) * (counts.sum() / bins)
        at = np.searchsorted(np.cumsum(counts), wanted, side="right")
        edges: NDArray[np.float64] = values[np.unique(at[at > 0])]
        return edges

    def _merge(self) -> None:
        new, counts = np.unique(np.concatenate([[], *self._waiting]), return_counts=True)
        self._waiting, self._n_waiting = [], 0
        values, at = np.unique(np.concatenate([self._values, new]), return_inverse=True)
        both = np.concatenate([self._counts, counts])
        total = np.bincount(at, both, len(values)).astype(np.int64)
        while len(values) > _MOST_VALUES:
            total = np.add.reduceat(total, np.arange(0, len(total), 2))
            values = values[::2]
        self._values, self._counts = values, total
