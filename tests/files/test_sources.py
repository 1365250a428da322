from __future__ import annotations

import gzip
import io
import os
import sys

import fsspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from object2vec.errors import DataError, MissingExtraError
from object2vec.files.sources import Source, list_sources, read_blocks

TEXT = b"one\ntwo\nthree\n"


def content(named, block_bytes=1 << 20):
    return b"".join(
        block.data for source in list_sources(named) for block in read_blocks(source, block_bytes)
    )


def names(named):
    return [source.name for source in list_sources(named)]


@given(st.binary(max_size=60).map(lambda raw: raw.replace(b"x", b"\n")), st.integers(1, 20))
def test_blocks_are_whole_lines_and_lose_nothing(data, block_bytes):
    source = Source("memory", lambda: io.BytesIO(data))
    if data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xef\xbb\xbf")):
        return
    blocks = list(read_blocks(source, block_bytes))
    assert b"".join(block.data for block in blocks) == data
    assert all(block.data.endswith(b"\n") for block in blocks[:-1])
    before = 0
    for block in blocks:
        assert block.first_line == 1 + before
        before += block.data.count(b"\n")


def test_a_line_longer_than_a_block_makes_a_larger_one(tmp_path):
    (tmp_path / "f").write_bytes(b"a" * 100 + b"\nb\n")
    blocks = list(read_blocks(list_sources(tmp_path / "f")[0], 10))
    assert [block.data for block in blocks] == [b"a" * 100 + b"\nb\n"]


@pytest.mark.parametrize("block_bytes", [3, 1 << 20])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_archives_are_known_by_their_first_bytes(tmp_path, pack, block_bytes):
    (tmp_path / "train.jsonl").write_bytes(pack(b"\xef\xbb\xbf" + TEXT))
    assert content(tmp_path / "train.jsonl", block_bytes) == TEXT


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_truncated_archive_is_an_error(tmp_path, pack):
    path = tmp_path / "train.jsonl.z"
    path.write_bytes(pack(os.urandom(1000))[:-20])
    with pytest.raises(DataError, match=r"train.jsonl.z: must be readable; got 'Truncated"):
        content(path)


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
        ("odd://x", "^odd://x: must be readable; got 'Protocol not known: odd"),
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
