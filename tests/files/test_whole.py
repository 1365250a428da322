"""Files appear whole or not at all, whatever fails and whenever it does."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import resource
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from object2vec import ArtifactError, Object2Vec, StorageError
from object2vec.files.tensors import read_tensors, write_tensors
from object2vec.files.whole import TEMPORARY_PREFIX, flush, whole_folder

# Everything that touches the disk while a folder is written.
CALLS = [
    (Path, "mkdir"),
    (Path, "write_text"),
    (Path, "chmod"),
    (safetensors.torch, "save_file"),
    (os, "fsync"),
    (os, "rename"),
]
ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two fitted models with different weights."""
    records = [{"in0": [1, 2], "in1": [3], "label": 1}, {"in0": [4], "in1": [5], "label": 0}]
    return [
        Object2Vec(enc0_network="pooled_embedding", enc0_max_seq_len=2, enc0_vocab_size=6,
                   enc_dim=4, mlp_layers=0, epochs=1, threads=1, seed=seed).fit(records)
        for seed in (1, 2)
    ]  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def fail(patch: pytest.MonkeyPatch, owner, name: str, at: int, number: int) -> list[int]:
    """Let call number `at` of a function raise; return the list of the calls to come."""
    original, calls = getattr(owner, name), []

    def call(*args, **kwargs):
        calls.append(len(calls) + 1)
        if calls[-1] == at:
            raise OSError(number, os.strerror(number))
        return original(*args, **kwargs)

    patch.setattr(owner, name, call)
    return calls


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("is_there", [True, False], ids=["replacing", "new"])
def test_a_save_that_fails_at_any_call_leaves_what_stood_there(models, is_there, number, tmp_path):
    old, new = models
    target = tmp_path / "model"
    if is_there:
        old.save(target)
    before = content(tmp_path)
    failures = dict.fromkeys(CALLS, 0)
    for owner, name in CALLS:
        for at in itertools.count(1):
            with pytest.MonkeyPatch.context() as patch:
                calls = fail(patch, owner, name, at, number)
                with contextlib.suppress(StorageError):
                    new.save(target, overwrite=True)
                    break
            failures[owner, name] += 1
            assert content(tmp_path) == before, f"{name}, call {at}"
        assert len(calls) < at  # it went well only where nothing failed
        saved = content(target)
        assert saved.keys() >= {"config.json", "model.safetensors"}
        assert content(tmp_path).keys() == {"model", *(f"model/{name}" for name in saved)}
        shutil.rmtree(target)
        if is_there:
            old.save(target)
    assert failures[os, "fsync"] >= 6
    assert failures[os, "rename"] == (2 if is_there else 1)
    assert min(failures.values()) >= 1


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize(("owner", "name"), CALLS)
def test_a_save_that_fails_says_why_and_what_to_do(models, owner, name, number, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        fail(patch, owner, name, 1, number)
        text = (
            rf"must be writable, with space left; got '{os.strerror(number)}'\. Free space or "
            r"choose another place; what stood there before is unchanged\."
        )
        with pytest.raises(StorageError, match=text):
            models[0].save(tmp_path / "model")


def test_a_disk_that_is_full_at_any_byte_leaves_what_stood_there(models, tmp_path):
    """The kernel itself refuses, in Python's writes as in those of safetensors."""
    old, new = models
    target = tmp_path / "model"
    old.save(target)
    before = content(tmp_path)
    largest = max(len(data) for data in before.values())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in [*range(0, 40), *range(40, largest, 97)]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(StorageError, match="File too large"):
                new.save(target, overwrite=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert content(tmp_path) == before


def test_an_existing_folder_is_replaced_only_if_told(models, tmp_path):
    old, new = models
    target = tmp_path / "model"
    old.save(target)
    before = content(tmp_path)
    with pytest.raises(StorageError, match=r"model: must not exist yet; .*--overwrite"):
        new.save(target)
    assert content(tmp_path) == before
    new.save(target, overwrite=True)
    assert content(tmp_path).keys() == before.keys()
    assert content(tmp_path) != before


def test_a_file_stands_in_the_way_of_a_folder(models, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="must not exist yet"):
        models[0].save(tmp_path / "file")
    with pytest.raises(StorageError, match=r"must be writable.*(Not a directory|File exists)"):
        models[0].save(tmp_path / "file" / "model")
    assert content(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()], ids=repr)
def test_an_error_in_the_block_is_not_turned_into_another_one(error, tmp_path):
    def write():
        with whole_folder(tmp_path / "a" / "b") as folder:
            (folder / "half").write_text("written")
            assert folder.name.startswith(TEMPORARY_PREFIX)
            raise error

    with pytest.raises(type(error)):
        write()
    assert not (tmp_path / "a" / "b").exists()
    assert list((tmp_path / "a").iterdir()) == []


def test_a_folder_appears_with_all_that_was_written(tmp_path):
    with whole_folder(tmp_path / "new") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("text")
        assert not (tmp_path / "new").exists()
    assert content(tmp_path) == {"new": b"", "new/sub": b"", "new/sub/file": b"text"}


def test_every_file_and_folder_is_flushed_before_the_rename(monkeypatch, tmp_path):
    done = []
    monkeypatch.setattr("object2vec.files.whole.flush", lambda path: done.append(Path(path)))
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda a, b: (done.append("rename"), rename(a, b)))
    with whole_folder(tmp_path / "new") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("text")
    at = done.index("rename")
    assert set(done[:at]) == {folder, folder / "sub", folder / "sub" / "file"}
    assert done[at + 1 :] == [tmp_path]


def test_flush_takes_files_and_folders(tmp_path):
    (tmp_path / "file").write_text("x")
    flush(tmp_path / "file")
    flush(tmp_path)
    with pytest.raises(FileNotFoundError):
        flush(tmp_path / "none")


TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1.5])}


def empty() -> dict[str, torch.Tensor]:
    return {name: torch.zeros_like(tensor) for name, tensor in TENSORS.items()}


def test_tensors_come_back_into_tensors_that_are_there(tmp_path):
    write_tensors(tmp_path / "x", TENSORS)
    into = empty()
    places = {name: tensor.data_ptr() for name, tensor in into.items()}
    read_tensors(tmp_path / "x", into)
    for name, tensor in into.items():
        assert torch.equal(tensor, TENSORS[name])
        assert tensor.data_ptr() == places[name]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"a": TENSORS["a"]}, r"must hold b of shape \(1,\); got 'none'"),
        (TENSORS | {"c": torch.zeros(1)}, r"must hold c of shape none; got \(1,\)"),
        (TENSORS | {"a": torch.zeros(3, 2)}, r"must hold a of shape \(2, 3\); got \(3, 2\)"),
        (TENSORS | {"a": torch.zeros(6)}, r"must hold a of shape \(2, 3\); got \(6,\)"),
        (TENSORS | {"b": torch.zeros(1, dtype=torch.float64)}, "got 'b of type torch.float64'"),
        (TENSORS | {"b": torch.zeros(1, dtype=torch.bfloat16)}, "got 'b of type torch.bfloat16'"),
        (TENSORS | {"b": torch.zeros(1, dtype=torch.int32)}, "got 'b of type torch.int32'"),
        ({}, "must hold a of shape"),
    ],
)
def test_tensors_that_are_not_the_wanted_ones_are_refused(written, message, tmp_path):
    write_tensors(tmp_path / "x", written)
    with pytest.raises(ArtifactError, match=message):
        read_tensors(tmp_path / "x", empty())


def test_a_file_of_tensors_cut_anywhere_is_refused(tmp_path):
    write_tensors(tmp_path / "x", TENSORS)
    whole = (tmp_path / "x").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "x").write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
            read_tensors(tmp_path / "x", empty())
    with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
        read_tensors(tmp_path / "none", empty())
    with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
        read_tensors(tmp_path, empty())


def test_tensors_that_cannot_be_written_say_so(tmp_path):
    with pytest.raises(StorageError, match=r"must be writable, with space left; got .*No such"):
        write_tensors(tmp_path / "none" / "x", TENSORS)
