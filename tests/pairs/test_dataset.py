from __future__ import annotations

import functools
import gzip
import io
import json
import logging
import mmap
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from object2vec.config import Config
from object2vec.errors import DataError, StorageError
from object2vec.files.user_cache import user_cache
from object2vec.objects.ragged import Ragged
from object2vec.objects.statistics import IdStatistics, NumberStatistics
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.report import check_channel
from object2vec.reading import cache, cached_set

IN0, IN1, LABEL = [[1, 2], [], [3, 0, 5]], [[7], [8, 8], [9]], [1.0, 0.0, 2.5]
RECORDS = [{"in0": a, "in1": b, "label": c} for a, b, c in zip(IN0, IN1, LABEL, strict=True)]
LIMITS = {"vocab_sizes": (10, 10), "max_seq_lens": (5, 5), "num_classes": None}


def check(pairs, *, vocab_sizes, max_seq_lens, num_classes, channel="train", **settings):
    """The report of a model with these limits; any label is right without a number of classes."""
    learns = {"output_layer": "mean_squared_error"}
    if num_classes:
        learns = {"output_layer": "softmax", "num_classes": num_classes}
    sides = {
        f"enc{side}_{name}": value
        for side in (0, 1)
        for name, value in {
            "network": "pooled_embedding",
            "vocab_size": vocab_sizes[side],
            "max_seq_len": max_seq_lens[side],
        }.items()
    }
    return check_channel(pairs, Config.build({**sides, **learns, **settings}), channel)


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def parsed(monkeypatch):
    """Names of the sources that were parsed, not taken from the cache."""
    names = []
    read_columns = cache.read_columns

    def recording(found, *schema, **options):
        names.extend(source.name for source in found)
        return read_columns(found, *schema, **options)

    monkeypatch.setattr(cache, "read_columns", recording)
    return names


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def to_records(pairs):
    assert pairs.label.dtype == np.float32
    return [
        {
            "in0": pairs.in0.row(i).tolist(),
            "in1": pairs.in1.row(i).tolist(),
            "label": float(pairs.label[i]),
        }
        for i in range(len(pairs))
    ]


# --- what is in memory


@pytest.mark.parametrize(
    "source",
    [
        RECORDS,
        tuple(RECORDS),
        [{**record, "note": "ignored"} for record in RECORDS],
        {"in0": IN0, "in1": IN1, "label": LABEL},
        {"in0": Ragged.build(IN0), "in1": np.array(IN1, dtype=object), "label": np.array(LABEL)},
        Pairs.build(in0=IN0, in1=IN1, label=LABEL),
    ],
)
def test_read_takes_what_is_in_memory(source):
    pairs = Pairs.read(source)
    assert len(pairs) == 3
    assert to_records(pairs) == RECORDS
    assert pairs.blank_lines == 0


def test_boolean_labels_are_one_and_zero():
    assert Pairs.build(label=[True, False]).label.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "label",
    [
        np.array([1, 0.5], object),
        np.array([1, 0.5], np.float16),
        [np.float64(1), Fraction(1, 2)],
        [Decimal(1), Decimal("0.5")],
        [torch.tensor(1), torch.tensor(0.5)],
        torch.tensor([1, 0.5]),
        (x for x in (1, 0.5)),
        pa.array([1, 0.5]),
        pa.chunked_array([pa.array([1.0]), pa.array([0.5])]),
        pd.Series([1, 0.5], dtype="Float32"),
        pd.Series(pd.arrays.SparseArray([1, 0.5])),
        np.ma.array([1, 0.5], mask=[0, 0]),
    ],
)
def test_labels_are_read_as_people_hold_them(label):
    assert Pairs.build(label=label).label.tolist() == [1.0, 0.5]
    assert Pairs.build(label=range(2)).label.tolist() == [0.0, 1.0]


NO_NUMBERS = "^label: must be a one-dimensional array of numbers; got '"


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.ma.array([1.0, 99.0], mask=[0, 1]), "^label: must hold no masked value; got '1 of the"),
        ([1.0, np.ma.masked], "^label: must hold no masked value; got '1 of them'. Fill or drop"),
        (pd.Series([1, None], dtype="Int64"), r"^label\[1\]: must be a finite number; got nan."),
        (pd.array([True, None], dtype="boolean"), NO_NUMBERS + r"object of shape \(2,\)'. Pass"),
        (pa.array([1.0, None]), r"^label\[1\]: must be a finite number; got nan."),
        (pa.array(["1"]), NO_NUMBERS),
        (
            [[1], [2, 3]],
            r"^label: must be an array of numbers \(.*inhomogeneous.*; got 'list'.",
        ),
        (torch.tensor([1.0], requires_grad=True), "^label: must be an array of numbers .*detach"),
        (torch.tensor([1.0, 0.0]).to_sparse(), "^label: must be an array of numbers "),
        ({1.0}, NO_NUMBERS + r"object of shape \(\)'."),
        ({"a": 1.0}, NO_NUMBERS + r"object of shape \(\)'."),
        (1.0, NO_NUMBERS + r"float64 of shape \(\)'."),
        (np.array([1 + 2j]), NO_NUMBERS + r"complex128 of shape"),
        (np.array([1 + 2j, 1], object), NO_NUMBERS + r"object of shape"),
        (pd.Series(pd.to_datetime(["2026-01-01"])), NO_NUMBERS + "datetime64"),
    ],
)
def test_what_is_no_label_is_named(label, message):
    with pytest.raises(DataError, match=message):
        Pairs.build(label=label)


def test_records_may_come_from_an_iterator():
    assert to_records(Pairs.read(record for record in RECORDS)) == RECORDS
    with pytest.raises(DataError, match=r"^pairs: must hold at least one record; got 'none'."):
        Pairs.read(iter([]))
    with pytest.raises(DataError, match=r"^pairs: must be a path, records or columns; got b'x'."):
        Pairs.read(b"x")


def test_take_gathers_records():
    pairs = Pairs.read(RECORDS, name="train")
    assert to_records(pairs.take(np.array([2, 0, 2]))) == [RECORDS[2], RECORDS[0], RECORDS[2]]
    side = Pairs.build(in1=IN1).take(np.array([1]))
    assert (side.in0, side.label, len(side)) == (None, None, 1)
    assert side.in1.row(0).tolist() == [8, 8]
    assert len(Pairs.build()) == 0


def test_a_missing_label_gets_the_default():
    records = [{"in0": [1], "in1": [2]}, {"in0": [1], "in1": [2], "label": 0}]
    assert Pairs.read(records, default_label=1.0).label.tolist() == [1.0, 0.0]
    columns = {"in0": (np.array([4, 5]), np.array([0, 1, 1, 2])), "in1": [1, 2, 3]}
    assert Pairs.read(columns, default_label=1.0).label.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], r"^input: must name at least one file; got \[\]."),
        ({"in0": [], "in1": [], "label": []}, "^train: must hold at least one record; got 'none'."),
        (7, r"^train: must be a path, records or columns; got 7. Pass {\"in0\": \[10\],"),
        ([RECORDS[0], 7], '^train row 1: must be a dict; got 7. Pass {"in0"'),
        (
            [RECORDS[0], {"in0": [1], "label": 1}],
            r"""^train row 1: must have the key "in1"; got \['in0', 'label'\]. Pass""",
        ),
        ([{"in0": [1], "in1": [1]}], '^train row 0: must have the key "label"; got'),
        ([{}] * 30, '^the first 20 problems:\n  train row 0: must have the key "in0"'),
        (
            {"in0": IN0, "label": LABEL},
            r"""^train: must have the column "in1"; got \['in0', 'label'\]. Add it.""",
        ),
        ({"in0": IN0, "in1": IN1}, '^train: must have the column "label"; got'),
        (
            {"in0": IN0, "in1": IN1[:2], "label": LABEL},
            "^train: must have columns of one length; got {'in0': 3, 'in1': 2, 'label': 3}. Check",
        ),
        ({"in0": [[-1]], "in1": [[1]], "label": [1]}, r"^in0\[0\]: must be a list of integers in"),
        (
            {"in0": [1], "in1": [2], "label": [float("nan")]},
            r"^label\[0\]: must be a finite number; got nan. Fix the label.$",
        ),
        ({"in0": [1], "in1": [2], "label": [1e39]}, r"^label\[0\]: must be a finite number; got"),
        (
            {"in0": [1], "in1": [2], "label": ["1"]},
            "^label: must be a one-dimensional array of numbers; got '.*shape .1,.'. Pass one",
        ),
        ({"in0": [1], "in1": [2], "label": [[1]]}, r"^label: must be .* 'int64 of shape \(1, 1"),
        ({"in0": [1], "in1": [2], "label": [None]}, "^label: must be .* got 'object of shape"),
    ],
)
def test_what_is_wrong_in_memory_is_named(source, message):
    with pytest.raises(DataError, match=message):
        Pairs.read(source, name="train")


# --- files and their cache


def test_a_file_is_parsed_once(tmp_path, cache_dir, parsed):
    path = write(tmp_path / "train.jsonl", RECORDS)
    first, second = Pairs.read(path), Pairs.read(str(path))
    assert parsed == [str(path)]
    assert to_records(first) == to_records(second) == RECORDS
    assert first.statistics == second.statistics
    (folder,) = cache_dir.iterdir()
    stored = np.load(folder / "in0.values.npy", allow_pickle=False)
    assert stored.tolist() == [1, 2, 3, 0, 5]
    assert second.in0.values.base is not None
    with pytest.raises(ValueError, match="read-only"):
        second.in0.values[0] = 9


def test_a_file_of_several_blocks_is_whole(tmp_path, monkeypatch):
    in_small_blocks = functools.partial(cache.read_columns, block_bytes=100)
    monkeypatch.setattr(cache, "read_columns", in_small_blocks)
    records = [{"in0": [i] * (i % 4), "in1": [i], "label": i / 4} for i in range(300)]
    assert to_records(Pairs.read(write(tmp_path / "f", records))) == records


def test_every_way_to_name_files_gives_the_same(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    a = write(tmp_path / "data" / "a.jsonl", RECORDS[:2])
    b = tmp_path / "data" / "b.jsonl.gz"
    b.write_bytes(gzip.compress(json.dumps(RECORDS[2]).encode()))
    everything = a.read_bytes() + json.dumps(RECORDS[2]).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(everything)))
    fsspec.filesystem("memory").pipe("/pairs/all.jsonl", everything)
    for source in ([a, b], [str(a), b], tmp_path / "data", "-", "memory://pairs/all.jsonl"):
        assert to_records(Pairs.read(source)) == RECORDS


def test_what_can_be_read_once_is_known_by_its_content(cache_dir, parsed):
    memory = fsspec.filesystem("memory")
    for records in (RECORDS, RECORDS, RECORDS[:1]):
        memory.pipe("/once.jsonl", "\n".join(map(json.dumps, records)).encode())
        assert to_records(Pairs.read("memory://once.jsonl")) == records
    assert parsed == ["memory://once.jsonl"] * 2
    assert len(list(cache_dir.iterdir())) == 2  # and no copy of the source is left


@pytest.mark.parametrize("tells", [True, False], ids=["st_ctime", "content"])
@pytest.mark.parametrize("change", ["content", "time", "default_label", "name"])
def test_another_input_is_parsed_again(tmp_path, parsed, monkeypatch, change, tells):
    monkeypatch.setattr(cache, "_TELLS_OF_CHANGES", tells and cache._TELLS_OF_CHANGES)
    path = write(tmp_path / "f", RECORDS)
    Pairs.read(path)
    stat, options = path.stat(), {}
    if change == "content":
        path.write_text(path.read_text().replace("7", "6"))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert path.stat().st_mtime_ns == stat.st_mtime_ns
    elif change == "time":
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    elif change == "default_label":
        options = {"default_label": 1.0}
    else:
        path = path.rename(tmp_path / "g")
    assert Pairs.read(path, **options).in1.row(0).tolist() == [6 if change == "content" else 7]
    assert len(parsed) == 2


def edit(path, at, byte):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(byte)


def edit_mapped(path, at, byte):
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        content[at : at + 1] = byte


def replace(path, at, byte):
    content = bytearray(path.read_bytes())
    content[at : at + 1] = byte
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)


def link(path, at, byte):
    replace(path, at, byte)
    target = path.rename(path.with_name("target"))
    path.symlink_to(target)


@pytest.mark.parametrize("tells", [True, False], ids=["st_ctime", "content"])
@pytest.mark.parametrize("change", [edit, edit_mapped, replace, link])
@pytest.mark.parametrize("where", [0.4, 0.8])
def test_a_change_anywhere_is_seen_though_size_and_time_are_kept(
    tmp_path, monkeypatch, change, where, tells
):
    monkeypatch.setattr(cache, "_TELLS_OF_CHANGES", tells and cache._TELLS_OF_CHANGES)
    line = b'{"in0": [1], "in1": [2], "label": 1}\n'
    path = tmp_path / "f"
    path.write_bytes(line * 12_000)  # several hundred KiB
    os.utime(path, ns=(10**18, 10**18))
    assert Pairs.read(tmp_path / "f").label.sum() == 12_000
    row = int(12_000 * where)
    change(path, row * len(line) + line.index(b"1}"), b"0")
    os.utime(path, ns=(10**18, 10**18))
    found = Pairs.read(tmp_path / "f").label
    assert np.flatnonzero(found == 0).tolist() == [row]


def test_a_file_that_is_changed_at_once_again_is_seen(tmp_path):
    path = tmp_path / "f"
    for label in range(10):
        write(path, [{"in0": [1], "in1": [2], "label": label}])
        os.utime(path, ns=(10**18, 10**18))
        assert Pairs.read(path).label.tolist() == [label]


def test_a_clock_of_seconds_is_waited_for_and_an_old_file_is_not(tmp_path, monkeypatch):
    path = write(tmp_path / "f", RECORDS)
    waited = []
    monkeypatch.setattr(cache.time, "sleep", waited.append)
    now = path.stat().st_ctime_ns / 1e9
    for age, expected in ((0.005, 0.015), (0.019, 0.001), (0.02, 0), (-5, 0.02)):
        waited.clear()
        monkeypatch.setattr(cache.time, "time", lambda age=age: now + age)
        cache._stamp(path)
        assert sum(waited) == pytest.approx(expected, abs=1e-4)
    waited.clear()
    monkeypatch.setattr(cache.time, "time", lambda: 1000.5)
    in_seconds = SimpleNamespace(st_size=1, st_mtime_ns=1, st_ctime_ns=1000 * 10**9, st_ino=1)
    monkeypatch.setattr(type(path), "stat", lambda self: in_seconds)
    cache._stamp(path)
    assert waited == [1.5]


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: cut(folder / "in0.values.npy"),
        lambda folder: (folder / "label.npy").write_bytes(b""),
        lambda folder: (folder / "label.npy").write_bytes(b"\x00" * 140),
        lambda folder: (folder / "in1.offsets.npy").unlink(),
        lambda folder: np.save(folder / "label.npy", np.zeros(3, np.int32)),
        lambda folder: np.save(folder / "in0.offsets.npy", np.array([0, 2, 2, 4])),
        lambda folder: np.save(folder / "in0.offsets.npy", np.array([1, 2, 2, 5])),
        lambda folder: cut(folder / "meta.json"),
        lambda folder: (folder / "meta.json").write_text("[]"),
        lambda folder: (folder / "meta.json").write_bytes(b"\xff"),
        lambda folder: (folder / "meta.json").write_text(
            (folder / "meta.json").read_text().replace('"version": ', '"version": 9')
        ),
        lambda folder: (folder / "meta.json").write_text(
            (folder / "meta.json").read_text().replace('"rows": 3', '"rows": 4')
        ),
        lambda folder: (folder / "meta.json").unlink(),
    ],
)
def test_a_damaged_cache_is_built_again(tmp_path, cache_dir, parsed, caplog, damage):
    path = write(tmp_path / "f", RECORDS)
    Pairs.read(path)
    (folder,) = cache_dir.iterdir()
    damage(folder)
    with caplog.at_level(logging.INFO, "object2vec.reading"):
        assert to_records(Pairs.read(path)) == RECORDS
    assert len(parsed) == 2
    assert "are damaged; reading the source again." in caplog.text
    assert to_records(Pairs.read(path)) == RECORDS
    assert len(parsed) == 2


def test_an_unwritable_cache_falls_back_to_a_temporary_folder(tmp_path, caplog, monkeypatch):
    path = write(tmp_path / "f", RECORDS)
    monkeypatch.setattr(cache, "_temporary_root", lambda: tmp_path)
    assert to_records(Pairs.read(path, cache_dir=path / "under" / "a" / "file")) == RECORDS
    (line,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "cannot hold cached records (Not a directory); they go to" in line
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert to_records(Pairs.read(path)) == RECORDS
    assert "(no permission); they go to" in caplog.text


def test_the_temporary_folder_is_gone_when_the_process_ends(tmp_path):
    path = write(tmp_path / "f", RECORDS)
    code = (
        "from object2vec.reading import cache; from object2vec.pairs.dataset import Pairs;"
        f"pairs = Pairs.read({str(path)!r}, cache_dir={str(path / 'x')!r});"
        "assert len(pairs) == 3; print(cache._temporary_root())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert os.path.basename(done.stdout.strip()).startswith("object2vec-")
    assert not os.path.exists(done.stdout.strip())


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/object2vec"),
        ("linux", {}, "/home/me/.cache/object2vec"),
        ("darwin", {"XDG_CACHE_HOME": "/xdg"}, "/home/me/Library/Caches/object2vec"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/object2vec"),
        ("linux", {"XDG_CACHE_HOME": "not/absolute"}, "None"),
    ],
)
def test_the_cache_lies_where_the_platform_has_it(monkeypatch, platform, variables, expected):
    monkeypatch.setenv("HOME", "/home/me")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert str(user_cache()) == expected


def test_processes_that_build_the_same_cache_share_the_first(tmp_path, cache_dir, monkeypatch):
    path = write(tmp_path / "f", RECORDS)
    read_columns, both = cache.read_columns, threading.Barrier(2)

    def together(found, *schema):
        both.wait(timeout=60)
        return read_columns(found, *schema)

    monkeypatch.setattr(cache, "read_columns", together)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(Pairs.read, [path, path]))
    assert [to_records(pairs) for pairs in results] == [RECORDS] * 2
    assert len(list(cache_dir.iterdir())) == 1


def test_what_another_process_caches_right_now_is_not_taken_for_damaged(tmp_path, cache_dir):
    """It finishes between the look for a whole set and what is done where there is none."""
    path, answered = write(tmp_path / "f", RECORDS), []
    with pytest.MonkeyPatch.context() as patch:

        def nothing_yet(folder):
            patch.undo()
            Pairs.read(path)
            (folder / "of another process").touch()
            answered.append(folder)
            return False

        patch.setattr(cache, "has_survived", nothing_yet)
        assert to_records(Pairs.read(path)) == RECORDS
    (folder,) = answered
    assert (folder / "of another process").exists()


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, cache_dir, monkeypatch):
    path = write(tmp_path / "f", RECORDS)
    read_columns = cache.read_columns

    def changing(found, *schema):
        yield from read_columns(found, *schema)
        path.write_text(path.read_text() * 2)

    monkeypatch.setattr(cache, "read_columns", changing)
    with pytest.raises(DataError, match="f: must not change while it is read; got 'a new size or"):
        Pairs.read(path)
    assert list(cache_dir.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(tmp_path, cache_dir, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cached_set._Array, "append", no_space)
    with pytest.raises(StorageError, match="must be writable, with space left; got 'No space left"):
        Pairs.read(write(tmp_path / "f", RECORDS))
    assert list(cache_dir.iterdir()) == []


def test_a_full_disk_is_named_when_a_stream_is_copied(cache_dir, monkeypatch):
    fsspec.filesystem("memory").pipe("/full.jsonl", b"x" * 10)

    def no_space(source):
        yield b"x"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "read_raw", no_space)
    with pytest.raises(StorageError, match="must be writable, with space left; got 'No space left"):
        Pairs.read("memory://full.jsonl")
    assert list(cache_dir.iterdir()) == []


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path, cache_dir):
    cache_dir.mkdir()
    for name in (".incomplete-old", ".incomplete-new"):
        (cache_dir / name).mkdir()
    (cache_dir / ".incomplete-old-file").write_text("x")
    for name in (".incomplete-old", ".incomplete-old-file"):
        os.utime(cache_dir / name, (0, 0))
    Pairs.read(write(tmp_path / "f", RECORDS))
    assert [p.name for p in cache_dir.glob(".incomplete-*")] == [".incomplete-new"]


def test_opening_a_cached_set_does_not_load_a_parser(tmp_path):
    path = write(tmp_path / "f", RECORDS)
    Pairs.read(path)
    code = (
        "import sys; from object2vec.pairs.dataset import Pairs;"
        f"assert len(Pairs.read({str(path)!r})) == 3;"
        "assert not {'pyarrow', 'torch', 'fsspec'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_input_without_records_is_an_error(tmp_path, text, cache_dir):
    (tmp_path / "f").write_text(text)
    with pytest.raises(DataError, match=r"f: must hold at least one record; got 'none'. Check"):
        Pairs.read(tmp_path / "f")
    assert list(cache_dir.iterdir()) == []


def test_wrong_records_leave_no_cache(tmp_path, cache_dir):
    (tmp_path / "f").write_text(json.dumps(RECORDS[0]) + "\nx\n")
    with pytest.raises(DataError, match="f:2: must be one JSON object"):
        Pairs.read(tmp_path / "f")
    assert list(cache_dir.iterdir()) == []


def test_records_know_their_file_and_line(tmp_path):
    record = json.dumps(RECORDS[0]) + "\n"
    for name, text in {"a": "\n" + record, "b": "", "c": record + " \n\n" + record * 2}.items():
        (tmp_path / name).write_text(text)
    pairs = Pairs.read(tmp_path)
    expected = ["a:2", "c:1", "c:4", "c:5"]
    assert [pairs.where(row) for row in range(4)] == [f"{tmp_path}/{line}" for line in expected]
    assert pairs.blank_lines == 3
    assert Pairs.read(RECORDS, name="test").where(2) == "test row 2"


# --- statistics


rows = st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=8)


@given(rows, st.integers(1, 7))
def test_statistics_are_those_of_the_rows_and_add_up(lists, tokens):
    column = Ragged.build(lists)
    expected = IdStatistics()
    if lists:
        lengths, ids = [*map(len, lists)], [token for row in lists for token in row]
        expected = IdStatistics(
            len(lists),
            len(ids),
            max(ids, default=-1),
            ids.count(0),
            max(lengths),
            min(lengths),
            lengths.count(0),
        )
    pieces = [IdStatistics.of(piece) for _, piece in column.pieces(tokens)]
    assert IdStatistics.of(column) == expected == sum(pieces, IdStatistics())
    assert Pairs.build(in0=lists).statistics["in0"] == expected


def test_statistics_of_labels():
    label = np.array([1, -2, 0.5], np.float32)
    expected = NumberStatistics(3, -2.0, 1.0, -0.5, False)
    assert NumberStatistics.of(label) == expected
    assert NumberStatistics.of(label[:2]) + NumberStatistics.of(label[2:]) == expected
    assert NumberStatistics() + expected == expected == expected + NumberStatistics()
    assert NumberStatistics.of(label[:2]).is_integral


def test_statistics_are_the_same_from_file_and_memory(tmp_path):
    from_file = Pairs.read(write(tmp_path / "f", RECORDS)).statistics
    assert from_file == Pairs.read(RECORDS).statistics
    assert from_file["in0"] == IdStatistics(3, 5, 5, 1, 3, 0, 1)
    assert Pairs.build(in1=IN1).statistics.keys() == {"in1"}


# --- check


def test_check_reports_what_a_model_sees(tmp_path):
    path = write(tmp_path / "f", [*RECORDS, *RECORDS])
    path.write_text("\n" + path.read_text())
    for pairs, blank in ((Pairs.read(path), 1), (Pairs.read(RECORDS * 2), 0)):
        report = check(pairs, **LIMITS | {"max_seq_lens": (2, 1)})
        assert report.to_dict() == {
            "channel": "train",
            "rows": 6,
            "blank_lines": blank,
            "in0": {"tokens": 8, "truncated_rows": 2, "empty_rows": 2, "padding_rows": 2},
            "in1": {"tokens": 6, "truncated_rows": 2, "empty_rows": 0, "padding_rows": 0},
            "label_counts": None,
            "label_low": 0.0,
            "label_mean": 7 / 6,
            "label_high": 2.5,
            "mask_padding": True,
            "negative_sampling_rate": 0,
        }
        assert report.lines() == [
            "train: 6 pairs, 8 tokens in in0, 6 in in1",
            "train: labels 0 to 2.5, mean 1.16667",
            "One or more sequences have been truncated because they exceeded max_seq_len"
            " (train: 2 in in0, 2 in in1)",
            "train: sequences without tokens: 2 in in0, 0 in in1",
            *["train: 1 blank lines skipped"] * blank,
        ]
        assert report.warnings() == [
            "train: 2 sequences of in0 and 0 of in1 hold the id 0, which stands for padding and is"
            " ignored. Number tokens from 1, or set mask_padding=false."
        ]


def test_check_is_quiet_where_all_is_well():
    pairs = Pairs.build(in0=[[1]], in1=[[2]], label=[1])
    report = check(pairs, **LIMITS | {"num_classes": 3}, negative_sampling_rate=2, channel="test")
    assert report.label_counts == {0: 0, 1: 1, 2: 0}
    assert report.lines() == [
        "test: 1 pairs, 1 tokens in in0, 1 in in1",
        "test: labels 0: 0, 1: 1, 2: 0",
    ]
    assert report.warnings() == []


def test_check_warns_only_of_the_id_0_that_is_masked():
    pairs = Pairs.build(in0=[[1, 0], [0]], in1=[[2], [2]], label=[1, 1])
    assert "1 sequences of in0" in check(pairs, **LIMITS | {"max_seq_lens": (1, 1)}).warnings()[0]
    assert check(pairs, **LIMITS, mask_padding=False).warnings() == []


def test_check_warns_of_negatives_beside_negative_sampling():
    pairs = Pairs.build(in0=[[1], [1]], in1=[[2], [2]], label=[1, 0])
    (warning,) = check(pairs, **LIMITS, negative_sampling_rate=3).warnings()
    assert warning.startswith("train: some given pairs have label 0 or less, though negative_samp")
    assert check(pairs, **LIMITS).warnings() == []


INCONSISTENT = 'Inconsistent vocab for in1 found. Vocab id "2" is not less than vocab_size=2. '


def test_an_id_beyond_the_vocabulary_is_named_in_the_words_of_aws(tmp_path):
    records = [{"in0": [9], "in1": [1], "label": 1}] * 3 + [{"in0": [9], "in1": [1, 2], "label": 1}]
    path = write(tmp_path / "train.jsonl", records)
    path.write_text("\n\n" + path.read_text())
    limits = LIMITS | {"vocab_sizes": (10, 2)}
    text = INCONSISTENT + "Raise enc1_vocab_size to at least 3 or fix the id."
    with pytest.raises(DataError) as caught:
        check(Pairs.read(path), **limits)
    assert str(caught.value) == f"{path}:6: {text}"
    with pytest.raises(DataError) as caught:
        check(Pairs.read(records), **limits, channel="validation")
    assert str(caught.value) == f"validation row 3: {text}"


@pytest.mark.parametrize(
    ("hyperparameters", "is_trained", "token", "cure"),
    [
        ({}, False, 9, "Raise enc0_vocab_size to at least 10 or fix the id."),
        (
            {"enc1_network": "hcnn", "enc1_max_seq_len": 3, "enc1_vocab_size": 5},
            False,
            9,
            "Raise enc1_vocab_size to at least 10 or fix the id.",
        ),
        ({}, False, 3_000_000, "Fix the id."),
        ({}, True, 9, "Use the ids of training."),
    ],
    ids=["inherited", "its own", "too large for any", "trained"],
)
def test_what_is_to_be_done_about_an_id_helps(hyperparameters, is_trained, token, cure):
    config = Config.build({"enc0_max_seq_len": 3, "enc0_vocab_size": 5} | hyperparameters)
    pairs = Pairs.build(in0=[[1]], in1=[[token]], label=[1])
    with pytest.raises(DataError, match=rf"vocab_size=5\. {cure}$"):
        check_channel(pairs, config, "train", is_trained=is_trained)


def test_an_id_that_is_cut_off_may_be_any():
    pairs = Pairs.build(in0=[[1, 99]], in1=[[1]], label=[1])
    assert check(pairs, **LIMITS | {"max_seq_lens": (1, 1)}).in0.tokens == 1
    with pytest.raises(DataError, match=r'in0 found. Vocab id "99" .* at least 100 or fix'):
        check(pairs, **LIMITS)


def test_check_lists_the_first_twenty_problems_in_order_of_the_records():
    pairs = Pairs.build(in0=[[50]] * 30, in1=[[60]] * 30, label=[1] * 30)
    with pytest.raises(DataError, match=r"^the first 20 problems:") as caught:
        check(pairs, **LIMITS)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        f"train row {row // 2}" for row in range(20)
    ]
    assert 'in0 found. Vocab id "50"' in lines[0]
    assert 'in1 found. Vocab id "60"' in lines[1]


def test_check_looks_at_labels_piece_by_piece(monkeypatch):
    monkeypatch.setattr("object2vec.pairs.report._PIECE", 3)
    label = [row % 2 for row in range(50)]
    pairs = Pairs.build(in0=[[1]] * 50, in1=[[1]] * 50, label=label)
    assert check(pairs, **LIMITS | {"num_classes": 3}).label_counts == {0: 25, 1: 25, 2: 0}
    wrong = [row for row in range(50) if row % 7 in (1, 2, 3)]
    label = [9 if row in wrong else 0 for row in range(50)]
    pairs = Pairs.build(in0=[[1]] * 50, in1=[[1]] * 50, label=label)
    with pytest.raises(DataError) as caught:
        check(pairs, **LIMITS | {"num_classes": 3})
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [f"train row {n}" for n in wrong[:20]]


def test_check_looks_at_ids_piece_by_piece(monkeypatch):
    pieces = functools.partialmethod(Ragged.pieces, 4)
    monkeypatch.setattr(Ragged, "pieces", pieces)
    rows = [[1, 0, 1][: n % 4] for n in range(60)]
    pairs = Pairs.build(in0=rows, in1=[[1]] * 60, label=[1] * 60)
    report = check(pairs, **LIMITS | {"max_seq_lens": (2, 1)})
    assert (report.in0.tokens, report.in0.truncated_rows) == (15 * 5, 15)
    assert (report.in0.empty_rows, report.in0.padding_rows) == (15, 30)
    wrong = [n for n in range(60) if n % 5 in (1, 2)]
    rows = [[70 + n % 3, 90] if n in wrong else [1] for n in range(60)]
    pairs = Pairs.build(in0=rows, in1=[[1]] * 60, label=[1] * 60)
    with pytest.raises(DataError) as caught:
        check(pairs, **LIMITS)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [f"train row {n}" for n in wrong[:20]]
    ids = [line.split('Vocab id "')[1].split('"')[0] for line in lines]
    assert ids == [f"{70 + n % 3}" for n in wrong[:20]]
    assert "at least 91 or fix" in lines[0]


@pytest.mark.parametrize(("windows", "window"), [(4, 10), (1, 10), (200, 10)])
def test_a_fingerprint_is_of_parts_of_objects_and_of_all_labels(windows, window, monkeypatch):
    """The first ids and the last ones among them, so that what is appended shows."""
    monkeypatch.setattr("object2vec.pairs.dataset._WINDOWS", windows)
    monkeypatch.setattr("object2vec.pairs.dataset._WINDOW", window)
    ids, label = np.arange(1, 1001), np.zeros(1000)

    def fingerprint(ids, label):
        in0 = ids.reshape(-1, 1).tolist()
        return Pairs.build(in0=in0, in1=[[1]] * len(in0), label=label).fingerprint

    whole = fingerprint(ids, label)
    assert fingerprint(ids.copy(), label.copy()) == whole
    starts = np.linspace(0, 990, windows).astype(int)
    for at in (0, 9, 10, 329, 330, 339, 340, 500, 989, 990, 999):
        other, label_of = ids.copy(), label.copy()
        other[at] = 5000
        label_of[at] = 1
        is_seen = ((starts <= at) & (at < starts + window)).any()
        assert (fingerprint(other, label) != whole) == is_seen
        assert fingerprint(ids, label_of) != whole
    assert fingerprint(ids[:-1], label[:-1]) != whole


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (2, "got 2. Raise num_classes or fix the label."),
        (-1, "got -1. Fix the label."),
        (0.5, "got 0.5. Fix the label."),
        (3.5, "got 3.5. Fix the label."),
    ],
)
def test_a_label_that_is_no_class_is_named(label, message):
    pairs = Pairs.build(in0=[1, 1], in1=[1, 1], label=[0, label])
    text = r"^train row 1: label must be an integer class in \[0, 2\); " + message + "$"
    with pytest.raises(DataError, match=text):
        check(pairs, **LIMITS | {"num_classes": 2})
    assert check(pairs, **LIMITS).rows == 2


@pytest.mark.parametrize(
    "pairs", [Pairs.build(in0=[1]), Pairs.build(in0=[], in1=[], label=[]), Pairs.build(label=[1])]
)
def test_check_needs_whole_records(pairs):
    with pytest.raises(DataError, match=r"^train: must hold records with both sides and labels"):
        check(pairs, **LIMITS)


def test_a_user_without_a_home_reads_all_the_same(monkeypatch, tmp_path, caplog):
    """As in a container that runs under a number which no list of users knows."""
    monkeypatch.delenv("OBJECT2VEC_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    path = tmp_path / "train.jsonl"
    path.write_text('{"in0": [1], "in1": [2], "label": 1}\n', encoding="utf-8")
    with caplog.at_level(logging.WARNING, "object2vec.reading"):
        assert len(Pairs.read(path)) == 1
    assert "The user's cache cannot hold cached records (this user has no home: set" in caplog.text
