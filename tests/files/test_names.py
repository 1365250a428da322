"""Names that are not UTF-8, which Linux allows: of files, folders, models and the cache."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

from object2vec import DataError, Object2Vec, Pairs
from object2vec.files.tensors import map_matrix
from object2vec.inference.pooled import open_pooled

RECORD = '{"in0": [1], "in1": [2], "label": 1}\n'
ODD = os.fsdecode(b"donn\xe9es")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="file systems that know UTF-8 only")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / f"cache {ODD}"))
    (tmp_path / ODD).mkdir()
    return tmp_path / ODD


@pytest.mark.parametrize("name", [ODD, f"{ODD}/{ODD}.jsonl"], ids=["folder", "file"])
def test_records_are_read_cached_and_named(folder, name):
    path = folder / f"{ODD}.jsonl"
    path.write_text("\n" + RECORD * 3)
    for _ in range(2):
        pairs = Pairs.read(folder.parent / name)
        assert len(pairs) == 3
        assert pairs.where(0) == f"{path}:2"
    path.write_text("x\n")
    with pytest.raises(DataError) as caught:
        Pairs.read(folder.parent / name)
    assert str(caught.value).startswith(f"{path}:1: must be one JSON object")


def test_a_stream_is_kept_in_such_a_cache(folder, monkeypatch):
    os.mkfifo(folder / ODD)
    import threading

    writer = threading.Thread(target=(folder / ODD).write_text, args=[RECORD * 2])
    writer.start()
    assert len(Pairs.read(folder / ODD)) == 2
    writer.join()


def test_a_model_is_saved_loaded_and_read_without_pytorch(folder):
    (folder / "train.jsonl").write_text(RECORD * 8)
    model = Object2Vec(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=1,
        enc0_vocab_size=5,
        enc_dim=4,
        mlp_dim=8,
        epochs=1,
        threads=1,
    ).fit(folder / "train.jsonl", checkpoints=folder / f"checkpoints {ODD}")
    vectors = model.encode(in0=[[1], [3]])
    model.save(folder / f"model {ODD}")
    loaded = Object2Vec.load(folder / f"model {ODD}")
    np.testing.assert_array_equal(loaded.encode(in0=[[1], [3]]), vectors)
    (meta,) = (folder.parent / f"cache {ODD}").glob("*/meta.json")
    assert json.loads(meta.read_text())["sources"][0]["name"] == str(folder / "train.jsonl")
    assert open_pooled(folder / f"model {ODD}", 0, None) is not None


def test_a_damaged_file_of_such_a_name_is_an_error(folder):
    from object2vec import ArtifactError

    for content in (b"", b"x" * 100):
        (folder / ODD).write_bytes(content)
        with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
            map_matrix(folder / ODD, "table", (1, 1))
    with pytest.raises(ArtifactError, match="No such file"):
        map_matrix(folder / "gone" / ODD, "table", (1, 1))
