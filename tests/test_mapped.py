"""Columns in files: what was read is let go of, and read again just as well."""

import sys
from pathlib import Path

import numpy as np
import pytest

from object2vec.pairs import mapped
from object2vec.pairs.dataset import Pairs

ROWS, LENGTH = 40_000, 100  # 16 MB of ids a side


def resident_of_files() -> int:
    """Bytes of files that are mapped into this process and present."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("RssFile"))
    return int(line.split()[1]) << 10


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    ids = draw.integers(1, 1000, (ROWS, LENGTH)).astype(np.int32)
    columns = {}
    for side in ("in0", "in1"):
        np.save(tmp_path / f"{side}.npy", ids.ravel())
        values = np.asarray(np.load(tmp_path / f"{side}.npy", mmap_mode="r"))
        columns[side] = (values, np.arange(0, ROWS * LENGTH + 1, LENGTH))
    pairs = Pairs.build(**columns)  # reads everything once
    monkeypatch.setattr(mapped, "_KEPT_BYTES", -1)
    mapped.release_pages(pairs.in0.values, pairs.in1.values)
    return ids, pairs


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("is_released", [True, False])
def test_a_shuffled_epoch_does_not_keep_the_files_in_memory(pairs, monkeypatch, is_released):
    ids, column = pairs
    monkeypatch.setattr(mapped, "_KEPT_BYTES", 1 << 20 if is_released else sys.maxsize)
    before = resident_of_files()
    order = np.random.default_rng(1).permutation(ROWS)
    peak = 0
    for rows in np.split(order, 100):
        taken = column.take(rows)
        assert (taken.in0.values.reshape(-1, LENGTH) == ids[rows]).all()
        assert (taken.in1.values.reshape(-1, LENGTH) == ids[rows]).all()
        peak = max(peak, resident_of_files() - before)
    assert (peak > 2 * ids.nbytes * 0.9) != is_released  # else the test would show nothing


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_pass_over_a_column_does_not_keep_the_file_in_memory(pairs, monkeypatch):
    ids, column = pairs
    monkeypatch.setattr(mapped, "_KEPT_BYTES", 1 << 20)
    before = resident_of_files()
    peak = total = 0
    for _, piece in column.in0.pieces(tokens=1 << 17):
        total += int(piece.values.sum())
        peak = max(peak, resident_of_files() - before)
    assert total == ids.sum()
    assert peak < ids.nbytes / 2  # the system may map two megabytes at a time


def test_columns_in_memory_are_left_alone(monkeypatch):
    monkeypatch.setattr(mapped, "_KEPT_BYTES", -1)
    mapped.release_pages(np.arange(5), None)
