"""Which records are for training and which for validation: by row, by group or by time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.fields.base import ValueMistakes
from object2vec.fields.label import is_textual, numbers_of
from object2vec.fields.strings import hash_strings
from object2vec.fields.values import bytes_of, mistakes_of, without_dictionary
from object2vec.objects.ragged import mixed

if TYPE_CHECKING:
    import pyarrow as pa

Mask = NDArray[np.bool_]  # of the records for validation


def chosen(keys: NDArray[np.int64], share: float, seed: int) -> Mask:
    """Return which keys a hash of seed and key chooses, (n,); equal keys share their fate.

    Parameters
    ----------
    keys : int64 array (n,)
        Numbers of rows, or what tells groups apart.
    share : float
        Of all possible keys, those that are chosen.
    seed : int

    Notes
    -----
    The hash is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
    pseudorandom number generators").
    """
    drawn = mixed(keys.view(np.uint64) + mixed(np.array([seed % 2**64], np.uint64)))  # (n,)
    return drawn < np.uint64(min(int(share * 2.0**64), 2**64 - 1))


def latest(times: NDArray[Any], share: float) -> Mask:
    """Return which records are the latest, (n,); of those at one time, the later ones in order.

    Parameters
    ----------
    times : array (n,)
    share : float
        Of the records, those that are chosen.
    """
    mask = np.zeros(len(times), bool)
    mask[np.argsort(times, kind="stable")[len(times) - round(share * len(times)) :]] = True
    return mask


class Clock:
    """Reads a column of times, all of which must be of one form: numbers, or dates."""

    def __init__(self) -> None:
        self._are_numbers: bool | None = None

    def read(self, values: pa.Array) -> NDArray[Any]:
        """Return times as numbers that grow, (n,): int64 microseconds of dates, float64 of others.

        Raises
        ------
        ValueMistakes
            If some are missing, or neither numbers nor dates as ISO 8601 writes them.
        """
        import pyarrow as pa
        from pyarrow import compute, types

        if types.is_timestamp(values.type) or types.is_date(values.type):
            values = compute.cast(values, pa.timestamp("us"), safe=False)
            return self._dates(values, compute.is_null(values))
        if not is_textual(values) or self._are_numbers:
            return numbers_of(values, "time")
        values = without_dictionary(values)
        if self._are_numbers is None:
            self._are_numbers = self._is_number(values)
            return self.read(values)
        try:
            dates = compute.cast(values, pa.timestamp("us"))
        except pa.ArrowInvalid:
            dates = pa.array([_date(text) for text in values.to_pylist()], pa.timestamp("us"))
        return self._dates(dates, compute.is_null(dates), values)

    @staticmethod
    def _is_number(values: pa.Array) -> bool:
        """Return whether the first value that is there spells a number."""
        first = next((text for text in values.to_pylist() if text), "")
        try:
            float(first)
        except ValueError:
            return False
        return True

    @staticmethod
    def _dates(dates: pa.Array, is_bad: pa.Array, said: pa.Array | None = None) -> NDArray[Any]:
        cure = "Write it as 2024-05-31, 2024-05-31 17:30:00 or as a number."
        said = dates if said is None else said
        if mistakes := mistakes_of(said, is_bad, "must have a time", cure):
            raise ValueMistakes(mistakes)
        return np.asarray(dates.cast("int64").to_numpy())


def _date(text: str | None) -> Any:
    """Return the date that a text spells, or None."""
    import pyarrow as pa
    from pyarrow import compute

    try:
        return compute.cast(pa.scalar(text, pa.string()), pa.timestamp("us")).as_py()
    except pa.ArrowInvalid:
        return None


def group_numbers(values: pa.Array) -> NDArray[np.int64]:
    """Return a whole number for each value, (n,): the same for the same, by a hash of its text.

    Raises
    ------
    ValueMistakes
        If some are missing.
    """
    import pyarrow as pa
    from pyarrow import compute, types

    must, cure = "must have a group", "Fill it in or remove the row."
    if mistakes := mistakes_of(values, compute.is_null(values), must, cure):
        raise ValueMistakes(mistakes)
    if types.is_dictionary(values.type):
        of_each = group_numbers(values.dictionary)
        return np.asarray(of_each[values.indices.to_numpy()])
    texts = compute.utf8_normalize(compute.cast(values, pa.string()), "NFC")
    content, bounds = bytes_of(texts)  # (bytes,), (n + 1,)
    return hash_strings(content, bounds[:-1], bounds[1:]).view(np.int64)
