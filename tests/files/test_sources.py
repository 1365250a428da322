from __future__ import annotations

import gzip
import io
import logging
import os
import sys
import threading
from pathlib import Path

import fsspec
import pytest

from object2vec.errors import DataError, MissingExtraError
from object2vec.files.contents import read_blocks
from object2vec.files.sources import are_paths, list_sources, names_of, read_raw, unreadable

TEXT = b"one\ntwo\nthree\n"


def content(named):
    return b"".join(part for source in list_sources(named) for part in read_raw(source))


def names(named):
    return [source.name for source in list_sources(named)]


def test_a_fifo_is_read_like_a_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=(tmp_path / "fifo").write_bytes, args=[gzip.compress(TEXT)])
    writer.start()
    (source,) = list_sources(tmp_path / "fifo")
    assert source.path is None
    assert b"".join(block.data for block in read_blocks(source, 5)) == TEXT
    writer.join()


def test_what_a_folder_holds_and_is_not_read_is_logged(tmp_path, caplog):
    for name in (".DS_Store", "a.jsonl", "b/.git/config", "b/c/d.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(TEXT)
    os.mkfifo(tmp_path / "b" / "fifo")
    with caplog.at_level(logging.INFO, "object2vec.reading"):
        assert names(tmp_path) == [str(tmp_path / name) for name in ("a.jsonl", "b/c/d.jsonl")]
    text = f"{tmp_path}: 3 hidden or special files are not read: .DS_Store, b/.git, b/fifo"
    assert caplog.messages == [text]
    caplog.clear()
    with caplog.at_level(logging.INFO, "object2vec.reading"):
        assert names(tmp_path / "b" / "c") == [str(tmp_path / "b/c/d.jsonl")]
    assert caplog.messages == []


@pytest.mark.parametrize(("count", "more"), [(5, ""), (6, ", ...")])
def test_of_much_that_is_not_read_the_first_five_are_named(tmp_path, caplog, count, more):
    (tmp_path / "a.jsonl").write_bytes(TEXT)
    for number in range(count):
        (tmp_path / f".{number}").write_bytes(TEXT)
    with caplog.at_level(logging.INFO, "object2vec.reading"):
        list_sources(tmp_path)
    assert caplog.messages == [
        f"{tmp_path}: {count} hidden or special files are not read: .0, .1, .2, .3, .4{more}"
    ]


def test_many_sources_are_called_by_the_first_three(tmp_path):
    for name in "abcd":
        (tmp_path / name).write_bytes(TEXT)
    first = ", ".join(str(tmp_path / name) for name in "abc")
    assert names_of(list_sources(tmp_path)[:3]) == first
    assert names_of(list_sources(tmp_path)) == f"{first}, ..."


@pytest.mark.parametrize(
    ("given", "is_list"),
    [
        ([], True),
        (["a", Path("b")], True),
        (("a",), True),
        (["a", 1], False),
        ([{"in0": [1]}], False),
        ("a", False),
        ({"a": 1}, False),
    ],
)
def test_a_list_of_paths_holds_nothing_else(given, is_list):
    assert are_paths(given) is is_list


@pytest.mark.parametrize(
    ("error", "got"),
    [
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError("odd"), "odd"),
        (EOFError(), "Truncated archive"),
        (ValueError("wrong"), "wrong"),
        (ValueError(), "ValueError"),
    ],
)
def test_why_a_source_cannot_be_read_is_said(error, got):
    assert f"must be readable; got '{got}'. " in str(unreadable("a", error))


def test_links_in_a_folder_are_followed_once(tmp_path):
    (tmp_path / "channel").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for name in ("channel/a.jsonl", "elsewhere/b.jsonl"):
        (tmp_path / name).write_bytes(TEXT)
    (tmp_path / "channel" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "around").symlink_to(tmp_path / "channel")
    (tmp_path / "channel" / "c.jsonl").symlink_to(tmp_path / "elsewhere" / "b.jsonl")
    expected = ["a.jsonl", "c.jsonl", "linked/b.jsonl"]
    assert names(tmp_path / "channel") == [str(tmp_path / "channel" / name) for name in expected]


def test_a_broken_link_is_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"a.jsonl: must be readable; got 'No such file"):
        content(tmp_path)


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_bytes(TEXT)

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(DataError, match=r"must be readable; got 'Permission denied'. Check the"):
        list_sources(tmp_path)


def test_a_folder_is_every_file_that_is_not_hidden_sorted(tmp_path):
    for name in ("b.jsonl", "a/z.jsonl", "a/.tmp", ".git/config", "a/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() + b"\n")
    assert content(tmp_path) == b"a/y\na/z.jsonl\nb.jsonl\n"
    assert names([tmp_path / "b.jsonl", tmp_path / "a"]) == [
        str(tmp_path / name) for name in ("b.jsonl", "a/y", "a/z.jsonl")
    ]


def test_a_folder_below_a_hidden_one_is_not_hidden(tmp_path):
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "f").write_bytes(TEXT)
    assert content(tmp_path / ".cache") == TEXT


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT))))
    (source,) = list_sources("-")
    assert source.name == "<stdin>"
    assert source.path is None
    assert b"".join(block.data for block in read_blocks(source)) == TEXT


def test_a_pipe_is_read_but_has_no_path(tmp_path):
    read, write = os.pipe()
    os.write(write, TEXT)
    os.close(write)
    (source,) = list_sources(f"/dev/fd/{read}")
    assert source.path is None
    assert b"".join(block.data for block in read_blocks(source)) == TEXT
    os.close(read)


def test_urls_go_through_fsspec():
    memory = fsspec.filesystem("memory")
    memory.pipe({"/sources/b/2.jsonl": b"2\n", "/sources/b/.x": b"x\n", "/sources/a.jsonl": TEXT})
    assert content("memory://sources/a.jsonl") == TEXT
    assert content("memory://sources") == TEXT + b"2\n"
    assert names("memory://sources") == ["memory:///sources/a.jsonl", "memory:///sources/b/2.jsonl"]


def test_local_files_do_not_load_fsspec(tmp_path):
    (tmp_path / "f").write_bytes(TEXT)
    code = (
        "import sys; from object2vec.files.sources import list_sources;"
        f"list_sources({str(tmp_path)!r}); assert not {{'fsspec', 'pyarrow'}} & set(sys.modules)"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("nowhere.jsonl", r"^nowhere.jsonl: must be a file or folder; got 'nothing there'. Check"),
        ([], r"^input: must name at least one file; got \[\]. Name a file, a folder or -"),
        ("memory://nowhere/x", "^memory://nowhere/x: must be readable; got .*nowhere/x"),
        ("odd://x", "^odd://x: must be a known kind of URL; got 'Protocol not known: odd"),
    ],
)
def test_what_is_not_there_is_an_error(named, message):
    with pytest.raises(DataError, match=message):
        list_sources(named)


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / ".hidden").write_bytes(TEXT)
    with pytest.raises(DataError, match=r": must hold at least one file; got 'none'. Put the"):
        list_sources(tmp_path)
    fsspec.filesystem("memory").pipe("/empty/.hidden", TEXT)
    with pytest.raises(DataError, match=r"^memory://empty: must hold at least one object; got"):
        list_sources("memory://empty")


def test_a_source_that_vanished_is_an_error(tmp_path):
    (tmp_path / "f").write_bytes(TEXT)
    (source,) = list_sources(tmp_path / "f")
    (tmp_path / "f").unlink()
    with pytest.raises(DataError, match=r"f: must be readable; got 'No such file or directory'."):
        list(read_blocks(source))


def test_a_missing_package_is_named(monkeypatch):
    def no_package(url):
        raise ImportError("Please install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", no_package)
    message = "^s3://bucket/x: needs another package; got 'Please install s3fs to access S3'."
    with pytest.raises(MissingExtraError, match=message):
        list_sources("s3://bucket/x")
