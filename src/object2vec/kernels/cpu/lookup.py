"""Looking up token vectors on a CPU; the one kernel that needs no PyTorch."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from object2vec.kernels.cpu import lock
from object2vec.kernels.cpu.prefetch import prefetch_row

_AHEAD = 8  # rows that a lookup fetches before their turn


def mean_rows(
    weight: NDArray[np.float32],
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """Write the mean row of each sequence, zeros for an empty one.

    Parameters
    ----------
    weight : float32 array (V, E)
    ids : int32 array (n,)
        Rows of `weight`, of all sequences, one after another.
    offsets : int64 array (B + 1,)
        Sequence i is ``ids[offsets[i]:offsets[i + 1]]``.
    out : float32 array (B, E)
    """
    with lock.compiled:
        _mean_rows(weight, ids, offsets, out)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _mean_rows(weight, ids, offsets, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    width = weight.shape[1]
    for i in prange(len(out)):
        row = out[i]
        row[:] = 0.0
        for j in range(offsets[i], offsets[i + 1]):
            if j + _AHEAD < len(ids):
                prefetch_row(weight, ids[j + _AHEAD])
            vector = weight[ids[j]]
            for e in range(width):
                row[e] += vector[e]
        if offsets[i + 1] > offsets[i]:
            row *= np.float32(1.0) / np.float32(offsets[i + 1] - offsets[i])
