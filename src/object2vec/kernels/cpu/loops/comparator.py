"""Comparing embeddings that negatives share, and back."""

import numpy as np

from object2vec.compiled.functions import compiled, parallel
from object2vec.config.kinds import COMPARATORS

CODES = {name: code for code, name in enumerate(COMPARATORS)}
_HADAMARD, _CONCAT = CODES["hadamard"], CODES["concat"]  # the other one is abs_diff


@parallel
def compare(first, last, a, b, parts, rows0, rows1, compared):
    """Write what the comparator makes of each pair; units are records."""
    width = a.shape[1]
    for record in range(first, last):
        i, j, start = rows0[record], rows1[record], 0
        for part in parts:
            if part == _HADAMARD:
                for e in range(width):
                    compared[record, start + e] = a[i, e] * b[j, e]
            elif part == _CONCAT:
                for e in range(width):
                    compared[record, start + e] = a[i, e]
                start += width
                for e in range(width):
                    compared[record, start + e] = b[j, e]
            else:
                for e in range(width):
                    compared[record, start + e] = abs(a[i, e] - b[j, e])
            start += width


@compiled
def records_of(rows, starts, following, records):
    """List the records of each row, in their order: ``records[starts[i]:starts[i + 1]]``.

    Parameters
    ----------
    rows : int64 array (B,)
        The row of each record.
    starts, following : int64 array (P + 1,)
        Zeros; the first one is filled, the other one is scratch.
    records : int64 array (B,)
    """
    for row in rows:
        starts[row + 1] += 1
    for i in range(len(starts) - 1):
        starts[i + 1] += starts[i]
        following[i + 1] = starts[i + 1]
    for record in range(len(rows)):
        row = rows[record]
        records[following[row]] = record
        following[row] += 1


@parallel
def share(first, last, parts, side, own, other, gradient, starts, records, partners, shares):
    """Sum what each row of one side gets from its records; units are rows."""
    width = own.shape[1]
    for i in range(first, last):
        for e in range(width):
            shares[i, e] = 0.0
        for k in range(starts[i], starts[i + 1]):
            record = records[k]
            j, start = partners[record], 0
            for part in parts:
                if part == _HADAMARD:
                    for e in range(width):
                        shares[i, e] += gradient[record, start + e] * other[j, e]
                elif part == _CONCAT:
                    here = start + side * width
                    for e in range(width):
                        shares[i, e] += gradient[record, here + e]
                    start += width
                else:
                    for e in range(width):
                        difference = own[i, e] - other[j, e]
                        sign = np.float32(difference > 0.0) - np.float32(difference < 0.0)
                        shares[i, e] += gradient[record, start + e] * sign
                start += width
