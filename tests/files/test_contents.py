from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import random
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather
from pyarrow import parquet as pq

from object2vec.errors import DataError
from object2vec.files import contents
from object2vec.files.contents import read_blocks
from object2vec.files.sources import Source, list_sources

TEXT = b"one\ntwo\nthree\n"


def content(path, block_bytes=1 << 20):
    (source,) = list_sources(path)
    return b"".join(block.data for block in read_blocks(source, block_bytes))


@given(st.binary(max_size=60).map(lambda raw: raw.replace(b"x", b"\n")), st.integers(1, 20))
def test_blocks_are_whole_lines_and_lose_nothing(data, block_bytes):
    source = Source("memory", lambda: io.BytesIO(data))
    kinds = {**contents._PACKED, **contents._FOREIGN, **contents._ENCODINGS}
    if data.startswith(b"\xef\xbb\xbf") or contents._kind_of(data, kinds):
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


SKIPPED = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"  # a frame of zstd that holds nothing, as pzstd has it
NOISE = random.Random(0).randbytes(1000)  # of others, one in some thousand begins like UTF-16
PACKS = pytest.mark.parametrize(
    "pack",
    [gzip.compress, zstandard.compress, bz2.compress, lzma.compress],
    ids=["gzip", "zstd", "bz2", "xz"],
)


@pytest.mark.parametrize("block_bytes", [3, 1 << 20])
@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        zstandard.compress,
        bz2.compress,
        lzma.compress,
        lambda data: zstandard.compress(gzip.compress(data)),
        lambda data: SKIPPED + zstandard.compress(data),
        lambda data: b"\x5f" + SKIPPED[1:] + SKIPPED + zstandard.compress(data) + SKIPPED,
    ],
    ids=["plain", "gzip", "zstd", "bz2", "xz", "twice", "pzstd", "skipped frames"],
)
def test_archives_are_known_by_their_first_bytes(tmp_path, pack, block_bytes):
    (tmp_path / "train.jsonl").write_bytes(pack(b"\xef\xbb\xbf" + TEXT))
    assert content(tmp_path / "train.jsonl", block_bytes) == TEXT


@PACKS
def test_all_members_of_an_archive_are_read(tmp_path, pack, monkeypatch):
    monkeypatch.setattr(contents, "_PIECE_BYTES", 7)
    parts = [NOISE, b"", bytes(5000), TEXT]
    (tmp_path / "f").write_bytes(b"".join(map(pack, parts)))
    assert content(tmp_path / "f") == b"".join(parts)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_zeros_behind_a_member_are_padding(tmp_path, pack, monkeypatch):
    monkeypatch.setattr(contents, "_PIECE_BYTES", 64)
    (tmp_path / "f").write_bytes(pack(TEXT) + bytes(512) + pack(TEXT) + bytes(1000))
    assert content(tmp_path / "f") == TEXT * 2


@PACKS
def test_a_truncated_archive_is_an_error(tmp_path, pack):
    path = tmp_path / "train.jsonl.z"
    path.write_bytes(pack(NOISE)[:-20])
    with pytest.raises(DataError, match=r"train.jsonl.z: must be readable; got 'Truncated"):
        content(path)
    whole = pack(NOISE)
    for size in (len(whole) - 1, len(whole) + 3, len(whole) + 30, 2 * len(whole) - 1):
        path.write_bytes((whole * 2)[:size])
        with pytest.raises(DataError, match=r"train.jsonl.z: must be readable; got '"):
            content(path)


@PACKS
def test_what_follows_an_archive_is_not_ignored(tmp_path, pack):
    (tmp_path / "f").write_bytes(pack(TEXT) + b"more text than a header has, and no archive")
    with pytest.raises(DataError, match=r"f: must be readable; got '"):
        content(tmp_path / "f")


def test_a_member_that_unpacks_to_much_is_unpacked_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "_PIECE_BYTES", 1 << 10)
    sizes = []
    for codec, pack in {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}.items():
        packed = io.BytesIO(pack(bytes(1 << 20)))
        sizes += map(len, contents._members(packed, codec))
    assert sum(sizes) == 3 << 20
    assert max(sizes) <= 1 << 10


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("block_bytes", [3, 1 << 20])
@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_other_encodings_of_unicode_become_utf_8(tmp_path, encoding, pack, block_bytes):
    text = '{"in0": "größe 🐘"}\n' * 60
    (tmp_path / "f").write_bytes(pack(text.encode(encoding)))
    assert content(tmp_path / "f", block_bytes) == text.encode()
    for mark, order in (("\ufeff", "-be"), ("\ufeff", "-le")):
        (tmp_path / "f").write_bytes(pack((mark + text).encode(encoding[:6] + order)))
        assert content(tmp_path / "f", block_bytes) == text.encode()
    (tmp_path / "f").write_bytes(pack(text.encode(encoding)[:-1]))
    with pytest.raises(DataError, match=rf"f: must be {encoding.upper()} text, as it begins; got "):
        content(tmp_path / "f")


def archive_of(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train.jsonl", TEXT)


def tarred(file):
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("train.jsonl"))


def streamed(file):
    batch = pa.record_batch({"in0": [1]})
    with pa.ipc.new_stream(file, batch.schema) as stream:
        stream.write(batch)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("a zip archive", archive_of(zipped)),
        ("a tar archive", archive_of(tarred)),
        ("a Parquet file", archive_of(lambda f: pq.write_table(pa.table({"in0": [1]}), f))),
        ("an Arrow file", archive_of(lambda f: feather.write_feather(pa.table({"in0": [1]}), f))),
        ("an Arrow file", archive_of(streamed)),
        ("an lz4 archive", pa.compress(TEXT, "lz4", asbytes=True)),
        ("a numpy array", archive_of(lambda f: np.save(f, np.zeros(3)))),
        ("a pickle", pickle.dumps({"in0": [1]})),
        ("an SQLite database", b"SQLite format 3\0"),
        ("a RecordIO file", bytes.fromhex("0a23d7ce")),
        ("an HDF5 file", b"\x89HDF\r\n\x1a\n"),
        ("a PDF", b"%PDF-1.7\n"),
    ],
)
def test_a_file_that_is_no_text_is_called_what_it_is(tmp_path, what, data, pack):
    (tmp_path / "train.jsonl").write_bytes(pack(data))
    message = (
        rf"train.jsonl: must be text, plain or packed .*; got '{what}'. Unpack or convert it.$"
    )
    with pytest.raises(DataError, match=message):
        content(tmp_path / "train.jsonl")


def test_words_that_begin_like_a_kind_of_file_are_text(tmp_path):
    for word in ("PKW 1", "BZh9 2", "Obj 3", "PAR1 4", "7z 5", "Rar! 6", "ARROW1 7", "%PDF 8"):
        (tmp_path / "f").write_text(word)
        assert content(tmp_path / "f") == word.encode()
