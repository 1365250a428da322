"""Looking up rows of a table."""

import numpy as np

from object2vec.compiled.functions import parallel
from object2vec.compiled.prefetch import prefetch_row

_AHEAD = 8  # rows that a lookup fetches before their turn


@parallel
def mean_rows(first, last, weight, ids, offsets, out):
    """Write the mean row of each sequence, zeros for an empty one; units are sequences.

    Parameters
    ----------
    weight : float32 array (V, E)
    ids : int32 array (n,)
        Rows of `weight`, of all sequences, one after another.
    offsets : int64 array (B + 1,)
        Sequence i is ``ids[offsets[i]:offsets[i + 1]]``.
    out : float32 array (B, E)
    """
    width = weight.shape[1]
    for i in range(first, last):
        start, stop = offsets[i], offsets[i + 1]
        for e in range(width):
            out[i, e] = 0.0
        for j in range(start, stop):
            if j + _AHEAD < len(ids):
                prefetch_row(weight, ids[j + _AHEAD])
            token = ids[j]
            for e in range(width):
                out[i, e] += weight[token, e]
        scale = np.float32(1.0) / np.float32(max(stop - start, 1))
        for e in range(width):
            out[i, e] *= scale


@parallel
def weighted_rows(first, last, weight, ids, coefficients, offsets, out):
    """Write the sum of each sequence's rows times their coefficients, a float32 array (n,)."""
    width = weight.shape[1]
    for i in range(first, last):
        for e in range(width):
            out[i, e] = 0.0
        for j in range(offsets[i], offsets[i + 1]):
            if j + _AHEAD < len(ids):
                prefetch_row(weight, ids[j + _AHEAD])
            token, coefficient = ids[j], coefficients[j]
            for e in range(width):
                out[i, e] += weight[token, e] * coefficient
