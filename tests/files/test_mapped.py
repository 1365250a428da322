"""Columns in files: a shuffled epoch and a pass read them right, and leave nothing in memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from object2vec import Object2Vec, StorageError
from object2vec.files import mapped
from object2vec.pairs import batches
from object2vec.pairs.dataset import Pairs
from object2vec.reading import cached_set

ROWS, LENGTH = 40_000, 50  # 8 MB of ids a side

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
with_pread = pytest.mark.skipif(not hasattr(os, "pread"), reason="this system has no pread")


def resident_of_files() -> int:
    """Bytes of files that are mapped into this process and present."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("RssFile"))
    return int(line.split()[1]) << 10


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A file of pairs, its ids and the folder of its cached columns."""
    folder = tmp_path_factory.mktemp("mapped")
    draw = np.random.default_rng(0)
    ids = draw.integers(1, 1000, (ROWS, LENGTH)).astype(np.int32)
    rows = ids.tolist()
    with (folder / "pairs.jsonl").open("w", encoding="ascii") as file:
        for i, row in enumerate(rows):
            record = {"in0": row, "in1": row[: i % LENGTH], "label": i}
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
    return folder / "pairs.jsonl", ids, folder / "cache"


@pytest.fixture
def read(source, monkeypatch):
    """Reads the pairs: mapped as a whole, or row by row."""

    def read(mapped_bytes: int) -> Pairs:
        monkeypatch.setattr(cached_set, "_MAPPED_BYTES", mapped_bytes)
        monkeypatch.setattr(mapped, "_KEPT_BYTES", -1)
        pairs = Pairs.read(source[0], cache_dir=source[2])
        mapped.release_pages(pairs.in0.values, pairs.in1.values)
        return pairs

    return read


@with_pread
@linux
@pytest.mark.parametrize("is_row_by_row", [True, False])
def test_a_shuffled_epoch_does_not_keep_the_files_in_memory(source, read, is_row_by_row):
    _, ids, _ = source
    column = read(0 if is_row_by_row else sys.maxsize)
    assert column.are_on_disk == is_row_by_row
    column.take(np.array([0]))  # what is compiled for it is mapped, too
    before = resident_of_files()
    order = np.random.default_rng(1).permutation(ROWS)
    peak = 0
    for rows in np.split(order, 100):
        taken = column.take(rows)
        assert (taken.in0.values.reshape(-1, LENGTH) == ids[rows]).all()
        assert taken.in1.lengths.tolist() == (rows % LENGTH).tolist()
        assert (taken.in1.values == ids[rows][np.arange(LENGTH) < rows[:, None] % LENGTH]).all()
        assert (taken.label == rows).all()
        peak = max(peak, resident_of_files() - before)
    if is_row_by_row:
        assert peak < 1 << 20  # code that runs for the first time is mapped as well
    else:
        assert peak > ids.nbytes * 0.9  # else the test would show nothing


@with_pread
@pytest.mark.parametrize("rows", [[], [0], [ROWS - 1], [5, 5, 4, ROWS - 1, 0]])
def test_rows_from_the_disk_are_those_of_the_mapped_file(read, rows):
    rows = np.array(rows, np.int32)
    found, expected = read(0).take(rows), read(sys.maxsize).take(rows)
    for side in ("in0", "in1"):
        for part in ("values", "offsets"):
            ours, theirs = (getattr(getattr(p, side), part) for p in (found, expected))
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.label, expected.label)


@with_pread
def test_a_file_that_shrinks_is_an_error_not_wrong_ids(tmp_path, monkeypatch):
    (tmp_path / "pairs.jsonl").write_text('{"in0": [1, 2], "in1": [3], "label": 1}\n' * 9)
    monkeypatch.setattr(cached_set, "_MAPPED_BYTES", 0)
    pairs = Pairs.read(tmp_path / "pairs.jsonl", cache_dir=tmp_path / "cache")
    (values,) = (tmp_path / "cache").glob("*/in0.values.npy")
    os.truncate(values, values.stat().st_size - 4)
    assert pairs.take(np.arange(8)).in0.values.tolist() == [1, 2] * 8
    with pytest.raises(StorageError, match=r"in0\.values\.npy: must stay readable; got"):
        pairs.take(np.array([8]))


@with_pread
@pytest.mark.parametrize("rate", [0, 2])
def test_training_on_rows_from_the_disk_learns_the_same_bytes(source, monkeypatch, rate):
    monkeypatch.setattr(batches, "_LISTED", 1000)  # the order is computed, too
    learned = []
    for mapped_bytes in (0, sys.maxsize):
        monkeypatch.setattr(cached_set, "_MAPPED_BYTES", mapped_bytes)
        model = Object2Vec(
            enc0_network="pooled_embedding",
            enc0_max_seq_len=LENGTH,
            enc0_vocab_size=1000,
            enc_dim=4,
            output_layer="mean_squared_error",
            mini_batch_size=1024,
            epochs=2,
            negative_sampling_rate=rate,
            mlp_dim=8,
            threads=1,
            seed=0,
        )
        monkeypatch.setenv("OBJECT2VEC_CACHE", str(source[2]))
        model.fit(source[0])
        learned.append(model.encode(in0=np.arange(1, 1000)))
    assert np.array_equal(*learned)


@with_pread
def test_opening_a_large_set_does_not_wait_for_the_compiler(source, read):
    read(0)  # the set is there
    program = (
        "import sys; from object2vec.reading import cached_set; from object2vec import Pairs; "
        "cached_set._MAPPED_BYTES = 0; pairs = Pairs.read(sys.argv[1], cache_dir=sys.argv[2]); "
        "assert pairs.are_on_disk; print({'numba', 'torch'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program, str(source[0]), str(source[2])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@linux
def test_a_pass_over_a_column_does_not_keep_the_file_in_memory(source, read, monkeypatch):
    _, ids, _ = source
    column = read(sys.maxsize)
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


@pytest.mark.parametrize("lack", ["advice", "statistics"])
def test_systems_that_lack_what_it_takes_keep_the_pages(lack, tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.arange(5))
    column = np.load(tmp_path / "a.npy", mmap_mode="r")
    monkeypatch.setattr(mapped, "_KEPT_BYTES", -1)
    if lack == "advice":
        monkeypatch.delattr("mmap.MADV_DONTNEED", raising=False)
        monkeypatch.setattr(mapped, "_mapped_bytes", None)  # is not even asked
    else:

        def missing(*args, **options):
            raise FileNotFoundError

        monkeypatch.setattr("builtins.open", missing)
    mapped.release_pages(None, column)
    monkeypatch.undo()
    assert column.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("mapped_now", "is_released"), [(99, False), (100, True)])
def test_pages_are_let_go_of_when_enough_are_mapped(mapped_now, is_released, monkeypatch):
    released = []

    class Mapping:
        def madvise(self, advice):
            released.append(advice)

    monkeypatch.setattr(mapped, "_mapping", lambda column: column)
    monkeypatch.setattr(mapped, "_KEPT_BYTES", 100)
    monkeypatch.setattr(mapped, "_mapped_after_release", None)
    sizes = iter([1_000, 1_000 + mapped_now, 500, 599, 600, 0])
    monkeypatch.setattr(mapped, "_mapped_bytes", lambda: next(sizes))
    mapped.release_pages(Mapping(), None)  # the first time says what is usual
    assert not released
    mapped.release_pages(Mapping(), Mapping())
    assert len(released) == 2 * is_released
    if is_released:  # from what was mapped after that
        mapped.release_pages(Mapping())
        assert len(released) == 2
        mapped.release_pages(Mapping())
        assert len(released) == 3
