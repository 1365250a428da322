"""A compiled scanner for the plain form of JSON Lines: one record per line, nothing unusual.

It knows the keys in0, in1 and label, in any order and with any blanks, lists of plain integers and
labels of at most 15 digits, and it gives up at everything else: other keys, escapes, exponents,
doubled keys, mistakes. It never judges; what it does not know is left to the other readers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from object2vec.objects.ragged import MAX_ID, Ragged

_IN0, _IN1, _LABEL = 1, 2, 4
_DIGITS = 15  # a double holds every integer of so many digits, and their quotient by 10**15


@dataclass(frozen=True, eq=False)
class Scanned:
    """What a block of lines holds.

    Parameters
    ----------
    in0, in1 : Ragged, n rows each
        Empty where a record has no such key.
    label : float64 array (n,)
        NaN where a record has none.
    counts : dict of str to int
        Records that have each key.
    blank : int64 array
        Indices of the lines without a record.
    """

    in0: Ragged
    in1: Ragged
    label: NDArray[np.float64]
    counts: dict[str, int]
    blank: NDArray[np.int64]


def scan(data: bytes) -> Scanned | None:
    """Return the records of a block of whole lines, or None where something is unusual."""
    data = data if data.endswith(b"\n") else data + b"\n"
    raw = np.frombuffer(data, np.uint8)
    n_lines = int(np.count_nonzero(raw == ord("\n")))
    most = len(raw) // 2 + 1  # an id and what divides it from the next take two bytes
    values0, values1 = np.empty(most, np.int32), np.empty(most, np.int32)
    offsets0, offsets1 = np.zeros(n_lines + 1, np.int64), np.zeros(n_lines + 1, np.int64)
    label = np.full(n_lines, np.nan)
    blank = np.empty(n_lines, np.int64)
    counts = np.zeros(3, np.int64)
    rows, n_blank = _scan(raw, values0, offsets0, values1, offsets1, label, blank, counts)
    if rows < 0:
        return None
    return Scanned(
        Ragged(values0[: offsets0[rows]].copy(), offsets0[: rows + 1]),
        Ragged(values1[: offsets1[rows]].copy(), offsets1[: rows + 1]),
        label[:rows],
        dict(zip(("in0", "in1", "label"), counts.tolist(), strict=True)),
        blank[:n_blank],
    )


# Every function below takes the place of the next byte and returns the place behind what it has
# read, or -1. The data end with a newline, which nothing inside a record accepts: none runs over.


@njit(nogil=True, cache=True)
def _blanks(data, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    while data[i] == 32 or data[i] == 9 or data[i] == 13:  # space, tab, carriage return
        i += 1
    return i


@njit(nogil=True, cache=True)
def _key(data, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Read `"in0"`, `"in1"` or `"label"` and the colon; return its bit, too."""
    bit = 0
    if data[i] != 34:  # "
        return -1, bit
    if data[i + 1] == 105 and data[i + 2] == 110:  # in
        bit = _IN0 if data[i + 3] == 48 else (_IN1 if data[i + 3] == 49 else 0)
        i += 4
    elif (
        data[i + 1] == 108
        and data[i + 2] == 97
        and data[i + 3] == 98
        and data[i + 4] == 101
        and data[i + 5] == 108
    ):  # label
        bit = _LABEL
        i += 6
    if bit == 0 or data[i] != 34:
        return -1, bit
    i = _blanks(data, i + 1)
    return (_blanks(data, i + 1), bit) if data[i] == 58 else (-1, bit)  # :


@njit(nogil=True, cache=True)
def _ids(data, i, values, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Read a list of ids into `values` from place `n` on; return the new `n`, too."""
    if data[i] != 91:  # [
        return -1, n
    i = _blanks(data, i + 1)
    if data[i] == 93:  # ]
        return i + 1, n
    while True:
        number, first = np.int64(0), i
        while 48 <= data[i] <= 57 and i - first < 10:
            number = number * 10 + (data[i] - 48)
            i += 1
        if i == first or number > MAX_ID or (data[first] == 48 and i - first > 1):
            return -1, n
        values[n] = number
        n += 1
        i = _blanks(data, i)
        if data[i] == 93:  # ]
            return i + 1, n
        if data[i] != 44:  # ,
            return -1, n
        i = _blanks(data, i + 1)


@njit(nogil=True, cache=True)
def _number(data, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Read a number without exponent."""
    is_negative = data[i] == 45  # -
    i += is_negative
    digits, first, point, scale = np.int64(0), i, -1, 1.0
    while 48 <= data[i] <= 57 or (data[i] == 46 and point < 0 and i > first):
        if data[i] == 46:  # .
            point = i
        else:
            digits = digits * 10 + (data[i] - 48)
            scale = scale * 10.0 if point >= 0 else scale
        i += 1
        if i - first > _DIGITS:
            return -1, 0.0
    whole = (point if point >= 0 else i) - first
    if whole == 0 or i - 1 == point or (data[first] == 48 and whole > 1):
        return -1, 0.0
    return i, -(digits / scale) if is_negative else digits / scale


@njit(nogil=True, cache=True)
def _label(data, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Read a number, true or false."""
    if data[i] == 116:  # t
        is_word = data[i + 1] == 114 and data[i + 2] == 117 and data[i + 3] == 101
        return (i + 4, 1.0) if is_word else (-1, 0.0)
    if data[i] == 102:  # f
        is_word = data[i + 1] == 97 and data[i + 2] == 108 and data[i + 3] == 115
        return (i + 5, 0.0) if is_word and data[i + 4] == 101 else (-1, 0.0)
    return _number(data, i)


@njit(nogil=True, cache=True)
def _record(data, i, values0, n0, values1, n1, label, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Read an object; return where its ids end and the bits of its keys, too."""
    keys = 0
    while True:
        i, bit = _key(data, _blanks(data, i + 1))
        if i < 0 or keys & bit:
            return -1, n0, n1, keys
        keys |= bit
        if bit == _IN0:
            i, n0 = _ids(data, i, values0, n0)
        elif bit == _IN1:
            i, n1 = _ids(data, i, values1, n1)
        else:
            i, label[row] = _label(data, i)
        if i < 0:
            return -1, n0, n1, keys
        i = _blanks(data, i)
        if data[i] == 125:  # }
            return _blanks(data, i + 1), n0, n1, keys
        if data[i] != 44:  # ,
            return -1, n0, n1, keys


@njit(nogil=True, cache=True)
def _scan(data, values0, offsets0, values1, offsets1, label, blank, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Read all lines; return the numbers of records, -1 to give up, and of blank lines."""
    i, line, row, n_blank, n0, n1 = 0, 0, 0, 0, np.int64(0), np.int64(0)
    while i < len(data):
        i = _blanks(data, i)
        if data[i] == 123:  # {
            i, n0, n1, keys = _record(data, i, values0, n0, values1, n1, label, row)
            if i < 0 or data[i] != 10:
                return -1, 0
            row += 1
            offsets0[row], offsets1[row] = n0, n1
            for k in range(3):
                counts[k] += (keys >> k) & 1
        elif data[i] == 10:
            blank[n_blank] = line
            n_blank += 1
        else:
            return -1, 0
        i += 1
        line += 1
    return row, n_blank
