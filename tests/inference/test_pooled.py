"""Pooled encoders without PyTorch: the vectors of the whole model, and the same care with files."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from object2vec import ArtifactError, Object2Vec, Ragged
from object2vec.cli import main
from object2vec.inference import pooled
from object2vec.inference.encoder import open_encoder
from object2vec.inference.inputs import intakes
from object2vec.inference.pooled import open_pooled

RECORDS = [{"in0": [1, 2, 3], "in1": [3], "label": 1}, {"in0": [4], "in1": [5, 0], "label": 0}]
SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 3,
    "enc0_vocab_size": 6,
    "enc_dim": 5,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 2,
    "enc1_vocab_size": 6,
    "mlp_layers": 0,
    "epochs": 1,
    "threads": 1,
}
rows = st.lists(st.lists(st.integers(0, 5), max_size=5), max_size=6)


@pytest.fixture(scope="module", params=["apart", "tied", "0 is an id"])
def saved(request, tmp_path_factory):
    more = {
        "apart": {},
        "tied": {"tied_token_embedding_weight": True},
        "0 is an id": {"mask_padding": False},
    }[request.param]
    folder = tmp_path_factory.mktemp("models") / "model"
    Object2Vec(**SETTINGS, **more).fit(RECORDS).save(folder)
    return folder


@given(rows=rows)
@pytest.mark.parametrize("side", [0, 1])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_vectors_are_those_of_the_model(saved, side, rows):
    encoder, column = open_pooled(saved, side), Ragged.build(rows)
    assert encoder is not None
    accepted, _ = intakes(encoder.config)[side].accept(column, str)
    model = Object2Vec.load(saved)
    expected = model.encode(in1=column) if side else model.encode(in0=column)
    found = encoder.encode(side, accepted)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (len(rows), 5)
    assert found.tobytes() == expected.tobytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooled, "is_postponed", lambda: True)
        assert encoder.encode(side, accepted).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("change", "side", "device"),
    [
        ({"enc0_network": "hcnn", "enc0_token_embedding_dim": 3}, 0, None),
        ({"enc1_network": "bilstm", "enc_dim": 4, "enc1_token_embedding_dim": 3}, 1, None),
        ({"kernel": "reference"}, 0, None),
        ({}, 0, "cuda"),
        ({}, 1, "cuda:1"),
        ({}, 1, "no device"),
    ],
)
def test_what_needs_pytorch_is_left_to_it(change, side, device, tmp_path):
    Object2Vec(**SETTINGS | change).fit(RECORDS).save(tmp_path / "model")
    assert open_pooled(tmp_path / "model", side, device) is None
    is_left = device is not None or "kernel" in change  # or else the other side is pooled
    assert (open_pooled(tmp_path / "model", 1 - side, device) is None) == is_left


def test_without_numba_the_whole_model_answers(tmp_path, monkeypatch, capsysbinary):
    Object2Vec(**SETTINGS).fit(RECORDS).save(tmp_path / "model")
    (tmp_path / "in0.jsonl").write_text('{"in0": [1, 2]}\n[3]\n')
    command = ["encode", str(tmp_path / "model"), "--side", "in0", str(tmp_path / "in0.jsonl")]
    assert main(command) == 0
    expected = capsysbinary.readouterr().out
    monkeypatch.setattr("object2vec.inference.pooled.missing", lambda: "no numba")
    assert open_pooled(tmp_path / "model", 0) is None
    assert main(command) == 0
    assert capsysbinary.readouterr().out == expected


PROGRAM = """
import sys
from object2vec.cli import main
code = main(sys.argv[1:])
print(sorted({"torch", "fsspec"} & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def test_the_command_does_not_load_pytorch(tmp_path):
    model = Object2Vec(**SETTINGS).fit(RECORDS)
    model.save(tmp_path / "model")
    (tmp_path / "in1.jsonl").write_text('{"in1": [1, 2]}\n{"in1": []}\n')
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM,
            "encode",
            str(tmp_path / "model"),
            "--side",
            "in1",
            str(tmp_path / "in1.jsonl"),
            "--format",
            "npy",
            "--out",
            str(tmp_path / "out.npy"),
        ],
        capture_output=True,
        text=True,
    )
    told = "warning: in1: sequences read in part: 1 without tokens, embedded as zeros.\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, "", told + "[]\n")
    assert np.array_equal(np.load(tmp_path / "out.npy"), model.encode(in1=[[1, 2], []]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("tokens.0.weight"), r"must hold tokens.0.weight of shape \(6, 5\)"),
        (lambda t: t.update({"tokens.0.weight": torch.zeros(5, 6)}), r"got \(5, 6\)"),
        (lambda t: t.update({"tokens.0.weight": torch.zeros(6, 5).double()}), "of type float64"),
        (lambda t: t.update({"tokens.0.weight": torch.zeros(30)}), r"got \(30,\)"),
    ],
)
def test_wrong_tables_are_refused(change, message, tmp_path):
    Object2Vec(**SETTINGS).fit(RECORDS).save(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    tensors = load_file(weights)
    change(tensors)
    save_file(tensors, weights)
    with pytest.raises(ArtifactError, match=message):
        open_pooled(tmp_path / "model", 0)


def test_damaged_folders_are_refused(tmp_path):
    folder = tmp_path / "model"
    with pytest.raises(ArtifactError, match="must be a model folder; got 'nothing'"):
        open_encoder(folder, 0)
    Object2Vec(**SETTINGS).fit(RECORDS).save(folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    whole = weights.read_bytes()
    for length in range(len(whole)):
        weights.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
            open_encoder(folder, 0)
    weights.write_bytes(struct.pack("<Q", 2**62) + whole[8:])
    with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
        open_encoder(folder, 0)
    weights.unlink()
    with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
        open_encoder(folder, 0)
    document = json.loads(config.read_text())
    config.write_text(json.dumps(document | {"schema_version": 99}))
    with pytest.raises(ArtifactError, match="schema version 1; got 'object2vec 99'"):
        open_encoder(folder, 0)
    config.unlink()
    with pytest.raises(ArtifactError, match="must be a JSON object; got 'nothing'"):
        open_encoder(folder, 0)


def test_a_table_is_read_in_parts_and_whole(tmp_path, monkeypatch):
    model = Object2Vec(**SETTINGS).fit(RECORDS)
    model.save(tmp_path / "model")
    for part_bytes in (1, 20, 40, 60, 80, 119, 120, 121, 1 << 20):
        monkeypatch.setattr("object2vec.files.tensors._PART_BYTES", part_bytes)
        encoder = open_pooled(tmp_path / "model", 1)
        assert encoder is not None
        assert np.array_equal(encoder.encode(1, Ragged.build([[5]])), model.encode(in1=[[5]]))
