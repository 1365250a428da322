"""Cached sets are flushed while they are used: what a crash may have spoilt is made anew."""

from __future__ import annotations

import contextlib
import shutil
import threading

import pytest

from object2vec.files.sources import list_sources
from object2vec.reading import flushing
from object2vec.reading.cache import open_or_build, remove_cached


def wait():
    """Wait for what is being flushed."""
    for thread in threading.enumerate():
        if thread.name == "flush":
            thread.join()


@pytest.fixture
def boot(monkeypatch, tmp_path):
    """A file that says which boot of the system it is."""
    path = tmp_path / "boot_id"
    path.write_text("first")
    monkeypatch.setattr(flushing, "_BOOT_ID", path)
    return path


@pytest.fixture
def read(tmp_path):
    """Reads a file of one record, and returns the folder of the set and when it was made."""
    path = tmp_path / "train.jsonl"
    path.write_text('{"in0": [1], "in1": [2], "label": 3}\n')

    def read():
        assert (
            len(open_or_build(list_sources(path), cache_dir=tmp_path / "cache").columns["in0"]) == 1
        )
        (folder,) = (tmp_path / "cache").iterdir()
        return folder, folder.stat().st_ino

    return read


def test_what_an_earlier_boot_has_not_flushed_is_read_again(boot, read, monkeypatch):
    monkeypatch.setattr("object2vec.reading.cache.flush_later", lambda folder: None)
    folder, made = read()
    assert read() == (folder, made)
    boot.write_text("second")
    (folder / "label.npy").write_bytes(b"lost")
    assert read()[0] == folder
    assert (folder / "label.npy").read_bytes() != b"lost"


def test_what_was_flushed_outlives_its_boot(boot, read):
    folder, made = read()
    wait()
    boot.write_text("second")
    assert read() == (folder, made)


def test_everything_is_flushed_before_the_mark(boot, read, monkeypatch):
    done = []

    def flush(path):
        done.append(path.name)
        assert not [*path.parent.rglob(".flushed")]

    monkeypatch.setattr(flushing, "flush", flush)
    folder, _ = read()
    wait()
    assert {"label.npy", "meta.json", folder.name} <= {*done}
    assert (folder / ".flushed").exists()


def test_what_a_killed_process_has_left_is_flushed_by_the_next(boot, read, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr("object2vec.reading.cache.flush_later", lambda folder: None)
        folder, _ = read()
    assert not (folder / ".flushed").exists()
    read()
    wait()
    assert (folder / ".flushed").exists()


@pytest.mark.parametrize("is_known", [True, False])
def test_it_is_flushed_before_it_gets_its_name_where_no_boot_is_known(
    boot, read, monkeypatch, is_known
):
    before = []
    monkeypatch.setattr("object2vec.files.whole.flush", lambda path: before.append(path.name))
    if not is_known:
        boot.unlink()
    folder, made = read()
    wait()
    assert ("label.npy" in before) == (not is_known)
    assert read() == (folder, made)


def test_a_set_that_cannot_be_flushed_is_removed(boot, read, monkeypatch, caplog, tmp_path):
    def fail(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(flushing, "flush", fail)
    with contextlib.suppress(ValueError):  # it may be gone before we look
        read()
    wait()
    assert [*(tmp_path / "cache").iterdir()] == []
    assert "Input/output error" in caplog.text


def test_what_is_removed_has_no_name_that_a_flush_could_add_to(tmp_path, monkeypatch):
    folder = tmp_path / ("ab" * 16)
    folder.mkdir()
    (folder / "in0").write_bytes(b"records")
    remove = shutil.rmtree

    def remove_slowly(path, **given):
        with pytest.raises(FileNotFoundError):
            (folder / ".flushed").touch()
        remove(path, **given)

    monkeypatch.setattr(shutil, "rmtree", remove_slowly)
    remove_cached(folder)
    assert list(tmp_path.iterdir()) == []
