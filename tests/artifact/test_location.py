"""The files of a model are one table, and every surface takes a model wherever it is."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tarfile
from pathlib import Path
from unittest.mock import Mock

import fsspec
import pytest
import torch
from safetensors.torch import save

import object2vec.artifact
from object2vec.artifact import MARK, MODEL_FILES, check_target, open_model
from object2vec.cli import main
from object2vec.errors import ArtifactError, StorageError
from object2vec.files.remote import join, names_in, read_bytes
from object2vec.inference.encoder import open_encoder
from object2vec.inference.transform import transform
from object2vec.model import Object2Vec

RECORDS = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1, 1], "label": i % 2} for i in range(16)]
SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 1,
    "enc0_vocab_size": 9,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 2,
    "enc1_vocab_size": 7,
    "enc_dim": 4,
    "mlp_dim": 4,
    "epochs": 1,
    "seed": 1,
    "threads": 1,
}
SCHEMA_FILES = ("schema.json", "vocabularies.safetensors")
KINDS = ("folder", "archive", "url", "url of an archive")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of ids with every file that one can have."""
    folder = tmp_path_factory.mktemp("auxiliary")
    for side in (0, 1):
        (folder / f"v{side}.json").write_text(json.dumps({f"token{side}": side + 1}))
    files = {f"enc{side}_vocab_file": f"v{side}.json" for side in (0, 1)}
    return Object2Vec(**SETTINGS, **files).fit(RECORDS, auxiliary=folder)


@pytest.fixture(scope="module")
def model_of_a_table():
    """A model with the files that one of ids lacks."""
    table = {"user": ["ann", "bob"] * 4, "film": ["Up", "Up", "Big", "Jaws"] * 2}
    return Object2Vec(in0="user", in1="film", enc_dim=4, epochs=1, threads=1).fit(table)


@pytest.fixture(params=KINDS)
def location(request, model, tmp_path):
    """A saved model of ids, named in each of the ways."""
    yield from saved_as(request.param, model, tmp_path)


@pytest.fixture(params=KINDS)
def location_of_a_table(request, model_of_a_table, tmp_path):
    """A saved model of a table, named in each of the ways."""
    yield from saved_as(request.param, model_of_a_table, tmp_path)


def saved_as(kind, model, tmp_path):
    folder = tmp_path / "saved" / "model"
    model.save(folder)
    if "archive" in kind:
        with tarfile.open(tmp_path / "saved" / "model.tar.gz", "w:gz") as archive:
            archive.add(folder, ".")
        folder = tmp_path / "saved" / "model.tar.gz"
    if "url" not in kind:
        yield str(folder)
        return
    store = fsspec.filesystem("memory")
    store.put(str(folder), f"/bucket/{folder.name}", recursive=True)
    yield f"memory://bucket/{folder.name}"
    store.store.clear()
    store.pseudo_dirs[:] = [""]


def test_the_table_names_the_files_and_one_of_them_marks_a_whole_model(
    model, model_of_a_table, tmp_path
):
    names = {file.name for file in MODEL_FILES}
    assert [file.name for file in MODEL_FILES if file.marks_whole] == [MARK]
    assert all(f"``{name}``" in object2vec.artifact.__doc__ for name in names)
    model.save(tmp_path / "ids")
    model_of_a_table.save(tmp_path / "table")
    found = [{path.name for path in (tmp_path / name).iterdir()} for name in ("ids", "table")]
    assert found == [names - {*SCHEMA_FILES}, names - {"vocab0.json", "vocab1.json"}]


@pytest.mark.parametrize("file", MODEL_FILES, ids=lambda file: file.name)
def test_a_model_is_there_without_what_is_not_required(file, model, model_of_a_table, tmp_path):
    has_schema = file.name in SCHEMA_FILES
    (model_of_a_table if has_schema else model).save(tmp_path / "model")
    (tmp_path / "model" / file.name).unlink()
    if file.is_required or has_schema:  # nobody can say what its rows mean without both
        with pytest.raises(ArtifactError, match=file.name):
            Object2Vec.load(tmp_path / "model")
    else:
        Object2Vec.load(tmp_path / "model")


def test_no_file_is_lost_on_the_way(model, location):
    names = {file.name for file in MODEL_FILES}
    with open_model(location) as folder:
        assert {path.name for path in folder.iterdir()} == names - {*SCHEMA_FILES}
        assert Object2Vec.load(folder).vocabularies == model.vocabularies
    assert folder.exists() == (str(folder) == location)


def test_no_file_of_a_schema_is_lost_on_the_way(model_of_a_table, location_of_a_table):
    with open_model(location_of_a_table) as folder:
        assert {*SCHEMA_FILES} < {path.name for path in folder.iterdir()}
        vectors = Object2Vec.load(folder).encode(in0=["ann", "nobody"])
    assert (vectors == model_of_a_table.encode(in0=["ann", "nobody"])).all()


def test_every_surface_takes_a_model_wherever_it_is(model, location, tmp_path, capsys):
    expected = model.encode(in0=[[1]])
    assert (Object2Vec.load(location).encode(in0=[[1]]) == expected).all()
    assert open_encoder(location, 0).config == model.config
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


# ---- what may be replaced


def names(location: str | Path) -> set[str]:
    return set(names_in(location))


@pytest.fixture(params=["folder", "url"])
def target(request, tmp_path):
    """Where models are saved, and a function that puts a file there."""
    if request.param == "folder":
        target = tmp_path / "model"

        def put(name: str, content: bytes) -> None:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(content)

        yield target, put
        return
    store = fsspec.filesystem("memory")
    yield (
        "memory://bucket/model",
        lambda name, content: store.pipe(f"/bucket/model/{name}", content),
    )
    store.store.clear()
    store.pseudo_dirs[:] = [""]


OTHERS = save({"a": torch.zeros(2)}, metadata={"format": "pt"})
FOREIGN = {
    "notes": {"notes.txt": b"mine"},
    "data": {"train.jsonl": b"{}", "README.md": b"# Project"},
    "a folder": {"sub/notes.txt": b"mine"},
    "a page": {"README.md": b"# Project"},
    "a model of another library": {"config.json": b'{"format": "x"}', "model.safetensors": OTHERS},
    "a damaged model of another one": {"config.json": b"[", "model.safetensors": b"\xff" * 20},
    "settings": {"config.json": b"[1]"},
}


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_nothing_but_a_model_is_replaced(files, model, target, tmp_path, capsys, monkeypatch):
    location, put = target
    for name, content in files.items():
        put(name, content)
    before = names(location)
    text = "must hold an object2vec model and nothing else to be replaced"
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    config = tmp_path / "hyperparameters.json"
    config.write_text(json.dumps(SETTINGS))
    with pytest.raises(StorageError, match=text):
        model.save(location, overwrite=True)
    with pytest.raises(StorageError, match=text):
        Object2Vec(**SETTINGS).fit("not/read/before", save_to=location, overwrite=True)
    monkeypatch.chdir(tmp_path)
    assert (
        main(
            [
                "train",
                "--train",
                str(data),
                "--config",
                str(config),
                "--out",
                str(location),
                "--overwrite",
            ]
        )
        == 1
    )
    assert text in capsys.readouterr().err
    assert names(location) == before
    for name, content in files.items():
        assert read_bytes(join(location, name)) == content


def test_what_lies_beside_a_model_keeps_it_from_being_replaced(model, target):
    location, put = target
    model.save(location)
    put("notes.txt", b"mine")
    with pytest.raises(StorageError, match=r"nothing else to be replaced; got \['notes\.txt'\]"):
        model.save(location, overwrite=True)
    assert read_bytes(join(location, "notes.txt")) == b"mine"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_model_without_its_mark_or_with_damage_can_be_replaced(name, model, target):
    location, put = target
    model.save(location)
    put(name, b"{")
    check_target(location, replace=True)
    model.save(location, overwrite=True)
    Object2Vec.load(location)


def test_an_empty_folder_can_be_replaced(model, tmp_path):
    (tmp_path / "model").mkdir(mode=0o750)
    with pytest.raises(StorageError, match="must not exist yet; got 'a folder'"):
        model.save(tmp_path / "model")
    model.save(tmp_path / "model", overwrite=True)
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o750


def test_a_file_is_never_replaced_by_a_model(model, tmp_path):
    (tmp_path / "model").write_text("mine")
    with pytest.raises(StorageError, match=r"to be replaced; got \['model'\]"):
        model.save(tmp_path / "model", overwrite=True)
    assert (tmp_path / "model").read_text() == "mine"


# ---- before and after failures


def test_a_target_that_cannot_be_written_is_seen_before_anything_is_read(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    model = Object2Vec(**SETTINGS)
    with pytest.raises(StorageError, match=r"file/model: must be writable, .*Not a directory"):
        model.fit("not/read/before", save_to=tmp_path / "file" / "model")
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", Mock(side_effect=OSError))
    with pytest.raises(StorageError, match="memory://bucket/model: must be reachable"):
        model.fit("not/read/before", save_to="memory://bucket/model")


def test_to_try_a_target_leaves_nothing_there(target, model):
    location, _ = target
    check_target(location)
    assert names(location) == set()
    model.save(location)
    before = names(location)
    check_target(location, replace=True)
    assert names(location) == before


@pytest.mark.parametrize("is_there", [True, False])
def test_an_upload_that_fails_after_any_step_leaves_no_mixture(is_there, model, monkeypatch):
    store = fsspec.filesystem("memory")
    old = Object2Vec(**SETTINGS | {"seed": 2}).fit(RECORDS)
    location, expected = "memory://bucket/model", [each.encode(in0=[[1]]) for each in (old, model)]
    for steps in itertools.count():
        store.store.clear()
        if is_there:
            old.save(location)
        with monkeypatch.context() as patch:
            calls = fail_after(patch, type(store), ("rm_file", "put_file"), steps)
            with contextlib.suppress(StorageError):
                model.save(location, overwrite=is_there)
                break
        try:
            found = Object2Vec.load(location).encode(in0=[[1]])
        except ArtifactError:
            found = None
        assert found is None or (steps == 0 and is_there and (found == expected[0]).all())
        model.save(location, overwrite=steps == 0 and is_there)  # what is left is no model
        assert (Object2Vec.load(location).encode(in0=[[1]]) == expected[1]).all()
    assert len(calls) == steps == (10 if is_there else 6)
    store.store.clear()


def fail_after(
    patch: pytest.MonkeyPatch, owner: type, methods: tuple[str, ...], steps: int
) -> list:
    """Let calls of these methods fail once so many have been made; return the calls."""
    calls: list[str] = []

    def failing(name: str):
        method = getattr(owner, name)

        def call(self, *args, **kwargs):
            if len(calls) == steps:
                raise ConnectionError("gone")
            calls.append(name)
            return method(self, *args, **kwargs)

        return call

    for name in methods:
        patch.setattr(owner, name, failing(name))
    return calls


def test_a_vocabulary_with_half_a_surrogate_pair_is_saved(tmp_path):
    (tmp_path / "v.json").write_text('{"a": 1, "\\ud83d": 2, "é": 3}')
    model = Object2Vec(**SETTINGS, enc0_vocab_file="v.json")
    model.fit(RECORDS, auxiliary=tmp_path, save_to=tmp_path / "model")
    assert Object2Vec.load(tmp_path / "model").vocabularies[0] == {"a": 1, "\ud83d": 2, "é": 3}
    assert "é" in (tmp_path / "model" / "vocab0.json").read_text(encoding="utf-8")


def test_the_mode_of_a_model_is_what_the_umask_allows(model, tmp_path):
    before = os.umask(0o077)
    try:
        model.save(tmp_path / "model")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()} == {0o600}
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o700
    (tmp_path / "model").chmod(0o750)
    model.save(tmp_path / "model", overwrite=True)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()} == {0o600}
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o750
