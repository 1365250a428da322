"""Tensors in files."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from object2vec import ArtifactError, Object2Vec
from object2vec.files.tensors import (
    Streamed,
    is_written_here,
    map_arrays,
    map_matrix,
    read_tensors,
    write_arrays,
    write_tensors,
)

RECORDS = [{"in0": [1], "in1": [2], "label": 1}, {"in0": [2], "in1": [1], "label": 0}]


@pytest.fixture
def folder(tmp_path):
    """A folder whose name is not UTF-8."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/mod\xe8le"))
    try:
        path.mkdir()
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such name")
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
def test_tensors_are_kept_under_any_name(folder):
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1)}
    write_tensors(folder / "t.safetensors", tensors)
    found = {name: torch.empty_like(tensor) for name, tensor in tensors.items()}
    read_tensors(folder / "t.safetensors", found)
    assert all(torch.equal(tensors[name], found[name]) for name in tensors)


@pytest.mark.parametrize("length", range(1, 9))
def test_arrays_are_those_that_safetensors_reads_and_lie_where_processors_like_it(tmp_path, length):
    """Each begins at a multiple of its width, however long the names in the header are."""
    arrays = {"a" * length: np.arange(3, dtype=np.int8), "b": np.arange(5.0)}
    arrays |= {"c": np.ones((2, 3), np.float32), "d": np.zeros(0, np.int64)}
    write_arrays(tmp_path / "t", arrays)
    mapped, loaded = map_arrays(tmp_path / "t"), load_file(tmp_path / "t")
    for name, array in arrays.items():
        for found in (mapped[name], loaded[name]):
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            assert (found == array).all()
        assert mapped[name].ctypes.data % array.itemsize == 0


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
def test_a_model_is_kept_under_any_name(folder):
    model = Object2Vec(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=2,
        enc0_vocab_size=4,
        enc_dim=4,
        mlp_layers=0,
        epochs=1,
        threads=1,
    ).fit(RECORDS, save_to=folder / "model", checkpoints=folder / "run")
    model.save(folder / "model", overwrite=True)
    loaded = Object2Vec.load(folder / "model")
    assert (loaded.encode(in0=[[1]]) == model.encode(in0=[[1]])).all()


def test_a_tensor_without_axes_and_one_of_many_parts_come_back(tmp_path, monkeypatch):
    tensors = {"a": torch.tensor(2.5), "b": torch.arange(60.0).reshape(20, 3), "c": torch.ones(0)}
    write_tensors(tmp_path / "t", tensors)
    for part_bytes in (1, 12, 100, 1 << 20):
        monkeypatch.setattr("object2vec.files.tensors._PART_BYTES", part_bytes)
        found = {name: torch.empty_like(tensor) for name, tensor in tensors.items()}
        read_tensors(tmp_path / "t", found)
        assert all(torch.equal(tensors[name], found[name]) for name in tensors)


def packed(header: object, data: bytes = bytes(8), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ""),
        (b"1234567", "an end in its header"),
        (packed({"a": ENTRY}, length=1 << 40), f"a header of {1 << 40} bytes"),
        (packed({"a": ENTRY}, b"", length=100), "a header of 100 bytes"),
        (packed({"a": ENTRY}, bytes(7)), "offsets 0 to 8 in 7 bytes"),
        (packed({"a": ENTRY | {"data_offsets": [-1, 8]}}), "offsets -1 to 8 in 8 bytes"),
        (packed({"a": ENTRY | {"data_offsets": [8, 4]}}), "offsets 8 to 4 in 8 bytes"),
        (packed({"a": ENTRY | {"shape": [3]}}), "cannot reshape"),
        (packed({"a": ENTRY | {"dtype": "F99"}}), "F99"),
        (packed({"a": {"dtype": "F32"}}), "data_offsets"),
        (packed({"a": 3}), "int"),
        (packed([ENTRY]), "pop"),
        (packed(b"{"), "Expecting"),
        (packed(b"[" * 100_000), "recursion"),
    ],
)
def test_a_damaged_file_of_arrays_is_rejected(content, message, tmp_path):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"t: must be a whole safetensors file; .*{message}"):
        map_arrays(tmp_path / "t")


def test_a_header_may_be_as_long_as_is_allowed(tmp_path, monkeypatch):
    text = json.dumps({"a": ENTRY}).encode()
    (tmp_path / "t").write_bytes(packed(text))
    monkeypatch.setattr("object2vec.files.tensors._MAX_HEADER_BYTES", len(text))
    assert map_arrays(tmp_path / "t")["a"].shape == (2,)
    monkeypatch.setattr("object2vec.files.tensors._MAX_HEADER_BYTES", len(text) - 1)
    with pytest.raises(ArtifactError, match=f"a header of {len(text)} bytes"):
        map_arrays(tmp_path / "t")


def test_the_smallest_files_of_arrays_are_whole(tmp_path):
    (tmp_path / "t").write_bytes(packed({}, b""))
    assert map_arrays(tmp_path / "t") == {}
    (tmp_path / "t").write_bytes(packed({"a": ENTRY}, np.array([1.5, 2.5], "<f4").tobytes()))
    assert map_arrays(tmp_path / "t")["a"].tolist() == [1.5, 2.5]


def test_mapped_arrays_are_written_in_memory_alone_if_at_all(tmp_path):
    write_arrays(tmp_path / "t", {"a": np.arange(3.0)})
    before = (tmp_path / "t").read_bytes()
    with pytest.raises(ValueError, match="read-only"):
        map_arrays(tmp_path / "t")["a"][0] = 7
    copied = map_arrays(tmp_path / "t", "c")["a"]
    copied[0] = 7
    assert copied.tolist() == [7, 1, 2]
    assert (tmp_path / "t").read_bytes() == before


def test_an_array_may_come_in_pieces(tmp_path):
    rows = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    streamed = Streamed(np.dtype(np.float32), (4, 3), lambda: iter([rows[:1], rows[1:]]))
    assert streamed.nbytes == rows.nbytes
    write_arrays(tmp_path / "t", {"a": streamed, "b": np.ones(2, np.int64)})
    assert (load_file(tmp_path / "t")["a"] == rows).all()


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("b", (2, 3), r"must hold b of shape \(2, 3\); got 'none'"),
        ("a", (3, 2), r"must hold a of shape \(3, 2\); got \(2, 3\)"),
        ("a", (6,), r"must hold a of shape \(6,\); got \(2, 3\)"),
        ("wide", (2, 3), r"must be a whole safetensors file; got 'wide of type float64'"),
    ],
)
def test_a_matrix_is_the_wanted_one(tmp_path, name, shape, message):
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_arrays(tmp_path / "t", {"a": rows, "wide": rows.astype(float)})
    assert (map_matrix(tmp_path / "t", "a", (2, 3)) == rows).all()
    with pytest.raises(ArtifactError, match=message):
        map_matrix(tmp_path / "t", name, shape)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are those of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_who_may_read_tensors_is_what_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_tensors(tmp_path / "t", {"a": torch.ones(2)})
        write_arrays(tmp_path / "u", {"a": np.ones(2)})
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~umask}


def test_what_was_written_here_is_known(tmp_path):
    write_tensors(tmp_path / "t", {"a": torch.ones(2)})
    header = {"__metadata__": {"writer": "object2vec"}}
    for content, is_ours in (
        ((tmp_path / "t").read_bytes(), True),
        (packed(header), True),
        (packed({"__metadata__": {"writer": "another"}}), False),
        (packed({"a": ENTRY}), False),
        (packed([1]), False),
        (packed(b"{"), False),
        (b"", False),
    ):
        assert is_written_here(io.BytesIO(content)) is is_ours
