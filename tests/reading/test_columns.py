"""Runs of numbers from files of columns, by compiled code and without."""

from __future__ import annotations

import errno
import gc
import os

import numpy as np
import pytest

from object2vec.errors import StorageError
from object2vec.reading import columns
from object2vec.reading.columns import ColumnFile


@pytest.fixture(params=["compiled", "plain"])
def each_way(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(columns, "compiled_programs", lambda: None)


@pytest.fixture(params=[np.int32, np.int64, np.float32])
def column(request, tmp_path):
    path = tmp_path / "column.npy"
    np.save(path, np.arange(100, dtype=request.param))
    return path, np.load(path, mmap_mode="r")


@pytest.mark.parametrize(
    ("starts", "lengths"),
    [([0], [100]), ([99, 0, 50], [1, 3, 0]), ([7, 7], [2, 4]), ([], []), ([5], [0])],
)
def test_runs_are_read_in_their_order(each_way, column, starts, lengths):
    path, held = column
    found = ColumnFile(path, held).read(np.array(starts, np.int32), np.array(lengths, np.int64))
    runs = [held[a : a + n] for a, n in zip(starts, lengths, strict=True)]
    assert found.dtype == held.dtype
    assert found.tolist() == [x for run in runs for x in run.tolist()]


def test_a_file_that_ends_too_early_is_an_error(each_way, column):
    path, held = column
    file = ColumnFile(path, held)
    os.truncate(path, path.stat().st_size - 1)
    assert file.read(np.array([98]), np.array([1])).tolist() == [98]
    must = r"column.npy: must stay readable; got 'an error or its end'. Check the disk, then start"
    with pytest.raises(StorageError, match=must):
        file.read(np.array([98]), np.array([2]))


def test_the_file_is_closed_with_what_reads_it(column):
    file = ColumnFile(*column)
    descriptor = file._descriptor
    os.fstat(descriptor)
    del file
    gc.collect()
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(descriptor)
