"""Folders of cached records: what is made, kept, found damaged, and swept away."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest

from object2vec.errors import ArtifactError, DataError, StorageError
from object2vec.files.sources import Source, list_sources
from object2vec.files.whole import (
    TEMPORARY_PREFIX,
    remove_abandoned,
    temporary_file,
    whole_folder,
)
from object2vec.objects.schema import records as schema_of
from object2vec.reading import cache, cached_set
from object2vec.reading.cache import cached_folders, open_or_build, remove_cached
from object2vec.reading.table_records import made_from
from object2vec.reading.tables import open_table

LINES = '{"in0": [1], "in1": [2], "label": 1}\n\n{"in0": [3, 4], "in1": [5], "label": 0}\n'


@pytest.fixture
def root(tmp_path):
    return tmp_path / "caches" / "of the user"


@pytest.fixture
def records(tmp_path, root):
    """Reads the records of a file."""
    path = tmp_path / "train.jsonl"
    path.write_text(LINES)
    return lambda: open_or_build(list_sources(path), cache_dir=root)


def test_what_was_read_once_is_opened_again(records, root, caplog):
    with caplog.at_level(logging.INFO, "object2vec.reading"):
        first = records()
        assert "Reading" in caplog.text
        caplog.clear()
        again = records()
        assert caplog.messages == []
    (folder,) = cached_folders(root)
    assert again.columns["in0"].values.tolist() == first.columns["in0"].values.tolist() == [1, 3, 4]
    assert again.columns["label"].tolist() == [1, 0]
    assert len(folder.name) == 32


def test_damaged_records_are_read_again(records, root, caplog):
    records()
    (folder,) = cached_folders(root)
    (folder / "label.npy").write_bytes(b"")
    with caplog.at_level(logging.INFO, "object2vec.reading"):
        assert records().columns["label"].tolist() == [1, 0]
    assert f"The cached records in {folder} are damaged; reading the source again." in caplog.text


def changed(content, name):
    """What meta.json says, otherwise."""
    if name == "version":
        content["version"] += 1
    elif name == "another file":
        content["size_bytes"]["other"] = 1
    elif name == "size":
        content["size_bytes"]["label"] += 1
    elif name == "no statistics":
        del content["statistics"]["label"]
    elif name == "rows":
        content["sources"][0]["rows"] += 1
    elif name == "tokens":
        content["statistics"]["in0"]["tokens"] += 1
    elif name == "rows of a column":
        content["statistics"]["label"]["rows"] += 1
    return content


@pytest.mark.parametrize(
    "name",
    [
        *("version", "another file", "size", "no statistics", "rows", "tokens", "rows of a column"),
        *("type", "axes", "no file", "no JSON"),
    ],
)
def test_records_that_are_not_what_was_written_are_read_again(records, root, name, caplog):
    records()
    (folder,) = cached_folders(root)
    said = json.loads((folder / "meta.json").read_text())
    if name == "no JSON":
        (folder / "meta.json").write_text("{")
    elif name == "no file":
        (folder / "in1.values.npy").unlink()
    elif name in ("type", "axes"):
        labels = np.load(folder / "label.npy")
        np.save(folder / "label.npy", labels.view(np.int32) if name == "type" else labels[None])
        said["size_bytes"]["label"] = (folder / "label.npy").stat().st_size
        (folder / "meta.json").write_text(json.dumps(said))
    else:
        (folder / "meta.json").write_text(json.dumps(changed(said, name)))
    with caplog.at_level(logging.INFO, "object2vec.reading"):
        assert records().columns["label"].tolist() == [1, 0]
    assert "are damaged; reading the source again." in caplog.text


def test_damaged_records_that_cannot_be_removed_are_an_error(records, root, monkeypatch):
    records()
    (folder,) = cached_folders(root)
    (folder / "label.npy").write_bytes(b"")
    monkeypatch.setattr(cache, "remove_cached", lambda folder: None)
    with pytest.raises(StorageError) as caught:
        records()
    assert str(caught.value) == (
        f"{folder}: must be removable, since the cached records in it are damaged; got 'a folder "
        "that stays'. Remove it, or name another folder for caches by OBJECT2VEC_CACHE."
    )


@pytest.mark.parametrize("tells", [True, False])
def test_a_file_that_is_gone_is_named(tmp_path, root, tells, monkeypatch):
    monkeypatch.setattr(cache, "_TELLS_OF_CHANGES", tells)
    path = tmp_path / "gone.jsonl"
    with pytest.raises(DataError, match=r"gone.jsonl: must be readable; got 'No such file"):
        open_or_build([Source(str(path), lambda: path.open("rb"), path)], cache_dir=root)


@pytest.mark.parametrize("tells", [True, False])
def test_a_file_that_was_changed_is_read_again(tmp_path, records, root, tells, monkeypatch):
    monkeypatch.setattr(cache, "_TELLS_OF_CHANGES", tells)
    path = tmp_path / "train.jsonl"
    before = path.stat()
    records()
    path.write_text(LINES.replace("3", "7"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert records().columns["in0"].values.tolist() == [1, 7, 4]
    assert len(cached_folders(root)) == 2


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path, records, root, monkeypatch):
    read = cache.read_columns

    def changing(sources, schema):
        (tmp_path / "train.jsonl").write_text(LINES * 2)
        return read(sources, schema)

    monkeypatch.setattr(cache, "read_columns", changing)
    with pytest.raises(DataError, match=r"train.jsonl: must not change while it is read; got 'a n"):
        records()
    assert cached_folders(root) == []


def test_sets_and_what_is_left_of_some_are_known_by_their_names(root):
    assert cached_folders(root) == []
    whole, left = "0123456789abcdef" * 2, f"{TEMPORARY_PREFIX}x"
    for name in (whole, left, whole[1:], whole + "0", "x" * 32, "notes", f"x{TEMPORARY_PREFIX}"):
        (root / name).mkdir(parents=True)
    assert cached_folders(root) == sorted([root / whole, root / left])


def test_files_and_folders_are_removed_with_all_that_is_in_them(root):
    (root / "folder" / "below").mkdir(parents=True)
    (root / "file").touch()
    for name in ("folder", "file", "nothing"):
        remove_cached(root / name)
    assert list(root.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_what_another_process_writes_is_neither_swept_nor_cleared(records, root, tmp_path):
    root.mkdir(parents=True)
    with whole_folder(root / "another") as folder, temporary_file(root) as copy:
        for path in (folder, copy):
            os.utime(path, (0, 0))  # it has been at it for days
        records()
        for path in cached_folders(root):
            remove_cached(path)
        assert sorted(root.iterdir()) == sorted([folder, copy])


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_a_copy_of_a_stream_is_locked_as_long_as_it_is_read(root, monkeypatch):
    read, copies = cache.read_columns, []

    def clearing(sources, schema):
        copies.extend(source.path for source in sources)
        remove_abandoned(root)
        return read(sources, schema)

    monkeypatch.setattr(cache, "read_columns", clearing)
    fsspec.filesystem("memory").pipe("/stream.jsonl", LINES.encode())
    cached = open_or_build(list_sources("memory://stream.jsonl"), cache_dir=root)
    assert cached.columns["label"].tolist() == [1, 0]
    (copy,) = copies
    assert copy.parent == root
    assert not copy.exists()


def test_only_what_a_day_old_process_has_left_is_swept_away(records, root):
    root.mkdir(parents=True)
    now = time.time()
    for name, hours in (("old", 24.5), ("new", 23.5), ("old_file", 24.5), ("other", 99)):
        path = root / (f"{TEMPORARY_PREFIX}{name}" if name != "other" else name)
        path.touch() if name == "old_file" else path.mkdir()
        os.utime(path, (now - 3600 * hours, now - 3600 * hours))
    records()
    left = {path.name for path in root.iterdir() if len(path.name) != 32}
    assert left == {f"{TEMPORARY_PREFIX}new", "other"}


def test_where_nothing_can_be_kept_records_are_read_for_once(tmp_path, records, root, caplog):
    root.parent.mkdir()
    root.write_text("no folder")
    with caplog.at_level(logging.WARNING, "object2vec.reading"):
        assert len(records().columns["in0"]) == 2
    assert f"{root} cannot hold cached records (File exists); they go to" in caplog.text


@pytest.mark.parametrize("lacks", ["pread", "numba"])
def test_large_columns_are_mapped_where_their_files_cannot_be_read_by_row(
    records, lacks, monkeypatch
):
    monkeypatch.setattr(cached_set, "_MAPPED_BYTES", 0)
    assert records().files.keys() == {"in0", "in1", "label"}
    if lacks == "pread":
        monkeypatch.delattr(os, "pread")
    else:
        monkeypatch.setattr(cached_set, "find_spec", lambda name: None)
    found = records()
    assert found.files == {}
    assert found.columns["in1"].take(np.array([1, 0])).values.tolist() == [5, 2]


def test_a_record_of_several_files_is_named_by_its_line(tmp_path, root):
    line = '{"in0": [1], "in1": [2], "label": 1}\n'
    (tmp_path / "a.jsonl").write_text(f"\n{line}\n\n{line}")
    (tmp_path / "b.jsonl").write_text(f"{line}\n{line}")
    (tmp_path / "c.jsonl").write_text("\n")
    (tmp_path / "d.jsonl").write_text(f"\n\n{line}{line}")
    sources = [each for name in "abcd" for each in list_sources(tmp_path / f"{name}.jsonl")]
    for _ in ("read", "opened again"):
        cached = open_or_build(sources, cache_dir=root)
        assert [cached.where(row).rpartition("/")[2] for row in range(6)] == [
            *("a.jsonl:2", "a.jsonl:5", "b.jsonl:1", "b.jsonl:3", "d.jsonl:3", "d.jsonl:4")
        ]
        assert [source.rows for source in cached.sources] == [2, 2, 0, 2]


def test_whole_numbers_are_read_from_lines(tmp_path, root):
    path = tmp_path / "t.jsonl"
    for group in (7, 2**53 + 1, -1):
        path.write_text(LINES.replace('"label"', f'"group": {group}, "weight": 0.5, "label"'))
        schema = schema_of(has_weight=True, has_group=True)
        cached = open_or_build(list_sources(path), schema=schema, cache_dir=root)
        assert cached.columns["group"].tolist() == [group, group]
        assert cached.columns["weight"].tolist() == [0.5, 0.5]
    path.write_text(LINES.replace('"label"', '"group": 0.5, "label"'))
    with pytest.raises(DataError, match=r't.jsonl:1: "group" must be a whole number; got 0.5'):
        open_or_build(list_sources(path), schema=schema_of(has_group=True), cache_dir=root)


def test_small_columns_are_read_at_once(records):
    assert records().files == {}


def test_temporary_folders_are_gone_with_the_process():
    code = (
        "from object2vec.reading.cache import temporary_folder as f;"
        "one, two = f(), f(); one.mkdir(); (one / 'file').touch();"
        "assert one != two and one.parent == two.parent; print(one.parent)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not Path(said.stdout.strip()).exists()


def test_what_is_made_in_vain_is_an_error():
    table = open_table({"a": [1]})
    made: list[Path] = []
    with pytest.raises(ArtifactError, match=r": must stay until it is read; got 'nothing'. Try ag"):
        made_from(table, [], lambda folder: None, made.append)
    assert not made[0].exists()
