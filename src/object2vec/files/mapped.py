"""Columns on the disk that are larger than memory should be: let go of the pages that were read.

The system counts every page of a memory-mapped file that was touched as memory of the process until
it needs it for something else. A pass over a column touches them all, so a process would seem to
need as much memory as the data have. Pages that are let go of stay in the system's cache of files
while there is room, and are mapped again when they are read. Single rows are read otherwise, see
`object2vec.reading.columns`.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT_BYTES = 4 << 20  # of files that may stay mapped between two releases
_mapped_after_release: int | None = None


def release_pages(*columns: NDArray[Any] | None) -> None:
    """Unmap what was read of memory-mapped columns, if much of files was mapped since last time.

    Parameters
    ----------
    *columns : array or None
        Those that are not memory-mapped files are left alone.
    """
    global _mapped_after_release
    mappings = [file for file in map(_mapping, columns) if file is not None]
    if not mappings or not hasattr(mmap, "MADV_DONTNEED"):
        return
    if (files := _mapped_bytes()) is None:
        return
    if _mapped_after_release is None:
        _mapped_after_release = files
    if files - _mapped_after_release < _KEPT_BYTES:
        return
    for file in mappings:
        file.madvise(mmap.MADV_DONTNEED)
    _mapped_after_release = _mapped_bytes()


def _mapped_bytes() -> int | None:
    """Return how much of files is mapped into this process and present; None if nobody says."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as statm:
            return int(statm.read().split()[2]) * mmap.PAGESIZE
    except OSError:
        return None


def _mapping(column: Any) -> mmap.mmap | None:
    """Return the file that an array is a view of, or None."""
    while isinstance(column, np.ndarray):
        column = column.base
    return column if isinstance(column, mmap.mmap) else None
