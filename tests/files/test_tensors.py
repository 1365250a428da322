"""Tensors in files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from object2vec import Object2Vec
from object2vec.files.tensors import map_arrays, read_tensors, write_arrays, write_tensors

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
        enc0_network="pooled_embedding", enc0_max_seq_len=2, enc0_vocab_size=4, enc_dim=4,
        mlp_layers=0, epochs=1, threads=1,
    ).fit(RECORDS, save_to=folder / "model", checkpoints=folder / "run")  # fmt: skip
    model.save(folder / "model", overwrite=True)
    loaded = Object2Vec.load(folder / "model")
    assert (loaded.encode(in0=[[1]]) == model.encode(in0=[[1]])).all()
