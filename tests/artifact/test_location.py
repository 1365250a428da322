"""The files of a model are one table, and every surface takes a model wherever it is."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import fsspec
import pytest

import object2vec.artifact
from object2vec.artifact import MARK, MODEL_FILES, open_model
from object2vec.cli import main
from object2vec.errors import ArtifactError
from object2vec.inference.pooled import open_pooled
from object2vec.inference.transform import transform
from object2vec.model import Object2Vec

RECORDS = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1, 1], "label": i % 2} for i in range(16)]
SETTINGS = {
    "enc0_network": "pooled_embedding", "enc0_max_seq_len": 1, "enc0_vocab_size": 9,
    "enc1_network": "pooled_embedding", "enc1_max_seq_len": 2, "enc1_vocab_size": 7,
    "enc_dim": 4, "mlp_dim": 4, "epochs": 1, "seed": 1, "threads": 1,
}  # fmt: skip
KINDS = ("folder", "archive", "url", "url of an archive")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with every file that one can have."""
    folder = tmp_path_factory.mktemp("auxiliary")
    for side in (0, 1):
        (folder / f"v{side}.json").write_text(json.dumps({f"token{side}": side + 1}))
    files = {f"enc{side}_vocab_file": f"v{side}.json" for side in (0, 1)}
    return Object2Vec(**SETTINGS, **files).fit(RECORDS, auxiliary=folder)


@pytest.fixture(params=KINDS)
def location(request, model, tmp_path):
    """A saved model, named in each of the ways."""
    folder = tmp_path / "saved" / "model"
    model.save(folder)
    if "archive" in request.param:
        with tarfile.open(tmp_path / "saved" / "model.tar.gz", "w:gz") as archive:
            archive.add(folder, ".")
        folder = tmp_path / "saved" / "model.tar.gz"
    if "url" not in request.param:
        yield str(folder)
        return
    store = fsspec.filesystem("memory")
    store.put(str(folder), f"/bucket/{folder.name}", recursive=True)
    yield f"memory://bucket/{folder.name}"
    store.store.clear()
    store.pseudo_dirs[:] = [""]


def test_the_table_names_the_files_and_one_of_them_marks_a_whole_model(model, tmp_path):
    names = {file.name for file in MODEL_FILES}
    assert [file.name for file in MODEL_FILES if file.marks_whole] == [MARK]
    assert all(f"``{name}``" in object2vec.artifact.__doc__ for name in names)
    model.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == names


@pytest.mark.parametrize("file", MODEL_FILES, ids=lambda file: file.name)
def test_a_model_is_there_without_what_is_not_required(file, model, tmp_path):
    model.save(tmp_path / "model")
    (tmp_path / "model" / file.name).unlink()
    if file.is_required:
        with pytest.raises(ArtifactError, match=file.name):
            Object2Vec.load(tmp_path / "model")
    else:
        Object2Vec.load(tmp_path / "model")


def test_no_file_is_lost_on_the_way(model, location):
    with open_model(location) as folder:
        assert {path.name for path in folder.iterdir()} == {file.name for file in MODEL_FILES}
        assert Object2Vec.load(folder).vocabularies == model.vocabularies
    assert folder.exists() == (str(folder) == location)


def test_every_surface_takes_a_model_wherever_it_is(model, location, tmp_path, capsys):
    expected = model.encode(in0=[[1]])
    assert (Object2Vec.load(location).encode(in0=[[1]]) == expected).all()
    pooled = open_pooled(location, 0)
    assert pooled is None or pooled.config == model.config
    data = tmp_path / "records.jsonl"
    data.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    assert list(transform(location, [data], tmp_path / "out").done.values()) == [16]
    for command in (["encode", "--side", "in0"], ["predict"], ["evaluate"]):
        assert main([command[0], location, str(data), *command[1:]]) == 0
    assert main(["info", location]) == 0
    assert f"path: {location}" in capsys.readouterr().out


@pytest.mark.parametrize("where", ["memory://bucket/none", "none"])
def test_what_is_not_there_is_said_once_for_all(where, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("records.jsonl").write_text('{"in0": [1]}')
    with pytest.raises(ArtifactError, match=rf"^{where}: must be a model folder; got"):
        Object2Vec.load(where)
    for command in (["info"], ["serve"], ["encode", "records.jsonl", "--side", "in0"]):
        assert main([command[0], where, *command[1:]]) == 1
        assert f"Error: {where}: must be a model folder; got" in capsys.readouterr().err
