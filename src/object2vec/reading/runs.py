"""Runs of bytes of a file, read in compiled code: a call of the system for each, none of Python."""

from __future__ import annotations

from typing import Any

from numba import njit, types

# ssize_t pread(int fd, void *buffer, size_t count, off_t offset); the buffer is given as a number.
_pread: Any = types.ExternalFunction(
    "pread", types.intp(types.intc, types.uintp, types.uintp, types.int64)
)


@njit(nogil=True, cache=True)
def read_runs(descriptor, starts, sizes, content):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Fill `content` with runs of bytes, one after another; return whether all could be read.

    Parameters
    ----------
    descriptor : int
        Of an open file.
    starts, sizes : int64 array (m,)
        Place and number of bytes of each run.
    content : array
        As large as all runs together.
    """
    address = content.ctypes.data
    for start, size in zip(starts, sizes):  # noqa: B905 - Numba knows no strict
        done = 0
        while done < size:
            got = _pread(descriptor, address + done, size - done, start + done)
            if got <= 0:
                return False
            done += got
        address += size
    return True
