"""Rows of column files that are larger than memory should be, read one by one.

The system counts every page of a memory-mapped file that was touched as memory of the process, and
maps 64 KiB around each row of a shuffled batch. Large columns are therefore read row by row with
`pread`, in compiled code: nothing is mapped, and a batch costs the memory of its rows.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import StorageError
from object2vec.reading.compiled import compiled_programs


class ColumnFile:
    """A one-dimensional .npy file of which runs of numbers are read.

    Parameters
    ----------
    path : Path
    column : array (n,)
        The file's numbers, memory-mapped; tells their type and where they begin.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """

    def __init__(self, path: Path, column: NDArray[Any]) -> None:
        self._path, self._dtype = path, column.dtype
        self._first = path.stat().st_size - column.nbytes
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, starts: NDArray[np.integer[Any]], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Return runs of numbers, one after another.

        Parameters
        ----------
        starts, lengths : int array (m,)
            Index of the first number of each run, and how many there are.

        Raises
        ------
        StorageError
            If the file cannot be read, or ends too early.
        """
        programs = compiled_programs()
        read_runs = _read_runs if programs is None else programs.read_runs
        size = self._dtype.itemsize
        offsets = self._first + size * starts.astype(np.int64)  # (m,) bytes
        content = np.empty(int(lengths.sum()), self._dtype)
        if not read_runs(self._descriptor, offsets, size * lengths, content):
            must = "must stay readable"
            cure = "Check the disk, then start again: it is made anew if it is gone."
            raise StorageError.at(str(self._path), must, "an error or its end", cure)
        return content


def _read_runs(
    descriptor: int, starts: NDArray[np.int64], sizes: NDArray[np.int64], content: NDArray[Any]
) -> bool:
    """Do the same as the compiled function of this name, run by run."""
    rest = content.view(np.uint8)
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        run = os.pread(descriptor, size, start)
        if len(run) < size:
            return False
        rest[:size] = np.frombuffer(run, np.uint8)
        rest = rest[size:]
    return True
