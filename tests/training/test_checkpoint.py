"""The folder of checkpoints: one owner, whole steps only, damaged ones refused."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from object2vec import ArtifactError, ConfigError, DataError, Object2Vec, StorageError
from object2vec.files.tensors import write_arrays
from object2vec.files.whole import TEMPORARY_PREFIX
from object2vec.training.checkpoint import SCHEMA_VERSION, CheckpointFolder, Interval

TENSORS = {"a": torch.arange(6.0).reshape(2, 3)}
STATE = {"progress": {"epoch": 2}, "text": "é"}


def save(folder: CheckpointFolder, step: int, best: bool = False) -> Path:
    def write(path: Path) -> None:
        write_arrays(path, {"a": (TENSORS["a"] + step).numpy()})

    return folder.save(step, STATE, write, write if best else None)


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(path / "tensors.safetensors")


@pytest.fixture
def folder(tmp_path):
    made = CheckpointFolder(tmp_path / "run")
    made.path.mkdir()
    return made


def test_a_checkpoint_comes_back_as_it_was(folder):
    path = save(folder, 12, best=True)
    assert path == folder.path / "step-000000012" == folder.latest()
    assert sorted(p.name for p in path.iterdir()) == [
        "best.safetensors",
        "state.json",
        "tensors.safetensors",
    ]
    assert folder.state(path) == {"schema_version": SCHEMA_VERSION, **STATE}
    assert torch.equal(tensors_of(path)["a"], TENSORS["a"] + 12)
    assert [p.name for p in save(folder, 13).iterdir() if p.name.startswith("best")] == []


def test_a_new_checkpoint_removes_the_older_ones(folder):
    for step in (5, 6, 900):
        save(folder, step)
    assert [path.name for path in folder.path.iterdir()] == ["step-000000900"]


def test_the_newest_counts_by_number_and_half_written_ones_do_not(folder):
    for name in (
        "step-000000009",
        "step-999999999",
        "step-1000000000",
        "step-12",
        "step-x",
        f"{TEMPORARY_PREFIX}step-2000000000-ab",
        "other",
    ):
        (folder.path / name).mkdir()
    assert folder.latest().name == "step-1000000000"
    assert CheckpointFolder(folder.path / "none").latest() is None


CALLS = [
    (os, "fsync"),
    (os, "rename"),
    (Path, "mkdir"),
    (Path, "write_text"),
    (Path, "open"),
]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize(("owner", "name"), CALLS)
def test_a_checkpoint_that_fails_at_any_call_leaves_the_one_before(owner, name, number, folder):
    first = save(folder, 1)
    original, failed, second = getattr(owner, name), 0, None
    while second is None:
        calls = []

        def call(*args, at=failed + 1, calls=calls, **kwargs):
            calls.append(args)
            if len(calls) == at:
                raise OSError(number, os.strerror(number))
            return original(*args, **kwargs)

        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(StorageError):
            patch.setattr(owner, name, call)
            second = save(folder, 2)
            continue
        failed += 1
        assert list(folder.path.iterdir()) == [first]
        assert torch.equal(tensors_of(first)["a"], TENSORS["a"] + 1)
    assert failed >= 1
    assert failed == len(calls)
    assert list(folder.path.iterdir()) == [second]


def damage_state(path: Path, text: str | bytes) -> None:
    (path / "state.json").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be readable JSON"),
        ("{", "must be readable JSON"),
        (b"\xff\xfe", "must be readable JSON"),
        ("[" * 100_000, "must be readable JSON"),
        ("[]", "must have schema version 3; got None"),
        ("{}", "must have schema version 3; got None"),
        ('{"schema_version": 4}', "must have schema version 3; got 4.*that wrote it"),
        ('{"schema_version": 2}', "must have schema version 3; got 2.*that wrote it"),
    ],
    ids=["empty", "cut", "no text", "deep", "list", "none", "later", "older"],
)
def test_a_damaged_state_is_refused(text, message, folder):
    path = save(folder, 1)
    damage_state(path, text)
    with pytest.raises(ArtifactError, match=message):
        folder.state(path)
    (path / "state.json").unlink()
    with pytest.raises(ArtifactError, match=r"state\.json: must be readable JSON; got .*No such"):
        folder.state(path)


RECORDS = [{"in0": [1, 2], "in1": [3], "label": 1}, {"in0": [4], "in1": [5], "label": 0}]
SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc0_vocab_size": 6,
    "enc_dim": 4,
    "mlp_layers": 0,
    "epochs": 2,
    "threads": 1,
    "device": "cpu",
}


def fit(path: Path, **given) -> Object2Vec:
    return Object2Vec(**SETTINGS).fit(RECORDS, checkpoints=path, **given)


@pytest.fixture
def run(tmp_path):
    """Folder of a run with a checkpoint in its second epoch."""
    fit(tmp_path / "run", checkpoint_every=1)
    return tmp_path / "run"


@pytest.mark.parametrize(
    "key", ["progress", "steps", "optimizer", "metrics", "early_stopping", "history"]
)
@pytest.mark.parametrize("value", [None, "missing", "x", [3], {"epoch": "x"}, -1.5], ids=repr)
def test_a_state_with_wrong_parts_is_refused(key, value, run):
    path = CheckpointFolder(run).latest()
    state = json.loads((path / "state.json").read_text())
    state[key] = value
    if value == "missing":
        del state[key]
    damage_state(path, json.dumps(state))
    with pytest.raises(ArtifactError, match=r"state\.json: must be a whole state; got .*afresh"):
        fit(run, resume=True)


@pytest.mark.parametrize("name", ["tensors.safetensors", "best.safetensors"])
def test_damaged_weights_are_refused(name, run):
    path = CheckpointFolder(run).latest()
    data = (path / name).read_bytes()
    (path / name).write_bytes(data[:-1])
    with pytest.raises(ArtifactError, match=rf"{name}: must be a whole safetensors file"):
        fit(run, resume=True)
    (path / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: must be a whole safetensors file"):
        fit(run, resume=True)
    (path / name).write_bytes(data)
    fit(run, resume=True)


def test_nobody_else_may_have_the_folder_while_a_process_owns_it(run):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from object2vec.training.checkpoint import CheckpointFolder\n"
        "with CheckpointFolder(Path(sys.argv[1])).locked():\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    before = sorted(path.name for path in run.iterdir())
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout.readline() == b"locked\n"
        with pytest.raises(StorageError, match=r"must belong to one process; got 'another one"):
            fit(run, resume=True)
        assert sorted(path.name for path in run.iterdir()) == before
        owner.kill()
        owner.wait()
    fit(run, resume=True)  # a lock dies with its process


def test_the_folder_is_locked_once_in_a_process_too(folder):
    with (
        folder.locked(),
        pytest.raises(StorageError, match="must belong to one process"),
        CheckpointFolder(folder.path).locked(),
    ):
        pass
    with folder.locked():
        pass


def test_leftovers_of_a_killed_process_are_removed(folder):
    save(folder, 3)
    leftover = folder.path / f"{TEMPORARY_PREFIX}step-000000004-abcd"
    leftover.mkdir()
    (leftover / "tensors.safetensors").write_bytes(b"half")
    with folder.locked():
        assert not leftover.exists()
        assert folder.latest().name == "step-000000003"


def test_what_cannot_be_removed_stays_and_stops_nothing(folder, folders_stay):
    (folder.path / f"{TEMPORARY_PREFIX}step-000000004-abcd").mkdir()
    save(folder, 5)
    with folder.locked():
        assert len(folders_stay) == 1
        assert save(folder, 6) == folder.latest()
        assert len(folders_stay) == 2
        folder.discard()
        assert len(folders_stay) == 4


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), TimeoutError("late")])
def test_an_error_of_the_run_is_not_said_to_be_the_folders(error, folder):
    def fail():
        with folder.locked():
            raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=r"file/run: must be writable.*; got 'Not a directory'"):
        fit(tmp_path / "file" / "run")


def test_a_folder_that_was_not_needed_goes_and_others_files_stay(tmp_path):
    fit(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    fit(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


FOREIGN = [
    "metrics.jsonl",
    "step-000000123/weights.bin",
    "step-000000002",
    "step-000000002/sub/state.json",
]
BESIDE = ["lock", ".incomplete-mine", ".incomplete-step-3", "notes.txt", "step-12", "metrics/1"]


def put(folder: Path, name: str) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("mine")
    return folder / name


@pytest.mark.parametrize("given", [{}, {"overwrite": True}, {"resume": True}], ids=str)
@pytest.mark.parametrize("name", FOREIGN)
def test_what_another_program_has_written_keeps_a_run_out_of_a_folder(name, given, tmp_path):
    mine = put(tmp_path / "mine", name)
    text = rf"mine: must hold nothing of another program .*; got \['{Path(name).parts[0]}'\]"
    with pytest.raises(StorageError, match=text):
        fit(tmp_path / "mine", checkpoint_every=1, **given)
    assert mine.read_text() == "mine"
    assert [path.name for path in mine.parent.iterdir()] == [mine.name]


def test_what_lies_beside_checkpoints_stays(tmp_path):
    mine = [put(tmp_path, name) for name in BESIDE]
    before = sorted(tmp_path.rglob("*"))
    fit(tmp_path, checkpoint_every=1)
    assert CheckpointFolder(tmp_path).latest() is not None
    fit(tmp_path, checkpoint_every=1, overwrite=True)
    CheckpointFolder(tmp_path).clear()
    assert sorted(tmp_path.rglob("*")) == before
    assert {path.read_text() for path in mine} == {"mine"}


def test_checkpoints_that_were_copied_without_the_rest_are_gone_on_from(run, tmp_path):
    shutil.copytree(CheckpointFolder(run).latest(), tmp_path / "new" / "step-000000002")
    (tmp_path / "new" / "metrics.jsonl").write_text("")
    fit(tmp_path / "new", resume=True)


def test_checkpoints_are_replaced_only_when_the_new_run_begins(run):
    before = sorted(run.rglob("*"))
    with pytest.raises(DataError):
        Object2Vec(**SETTINGS).fit([{"in0": [99]}], checkpoints=run, overwrite=True)
    assert sorted(run.rglob("*")) == before
    fit(run, overwrite=True)
    assert not run.exists()


@pytest.mark.parametrize("name", ["model", "model/run", "model/a/../run", "link/run"])
def test_checkpoints_do_not_lie_in_the_folder_of_the_model(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("model")
    with pytest.raises(ConfigError, match="checkpoints: must not lie in the folder of the model"):
        fit(Path(name), save_to="model")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_disk_that_fills_up_ends_the_run_and_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    count, fsync = [], os.fsync

    def fill(descriptor):
        count.append(descriptor)
        if len(count) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    model = Object2Vec(**SETTINGS)
    with pytest.raises(StorageError, match="No space left on device"):
        model.fit(RECORDS, checkpoints=tmp_path / "run", checkpoint_every=1)
    monkeypatch.undo()
    assert len(list((tmp_path / "run").glob("step-*"))) == 1
    assert list((tmp_path / "run").glob(f"{TEMPORARY_PREFIX}*")) == []
    assert model.encode(in0=[[1]]).shape == (1, 4)  # what was learned can still be saved
    resumed = fit(tmp_path / "run", resume=True)
    resumed.save(tmp_path / "a")
    Object2Vec(**SETTINGS).fit(RECORDS).save(tmp_path / "b")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        (500, Interval(steps=500)),
        ("500", Interval(steps=500)),
        (" 30s ", Interval(seconds=30.0)),
        ("10m", Interval(seconds=600.0)),
        ("2h", Interval(seconds=7200.0)),
    ],
)
def test_intervals_are_steps_or_times(text, interval):
    assert Interval.parse(text) == interval


@pytest.mark.parametrize("text", ["", "0", 0, "-3", "1.5", "10 m", "1d", "m", None, "١٢x"])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(ConfigError, match=r"must be a number of steps or a time; got .*500, 30s"):
        Interval.parse(text)


def test_an_interval_is_due_by_steps_or_seconds():
    assert Interval(steps=3).is_due(3, 0.0)
    assert not Interval(steps=3).is_due(2, 1e9)
    assert Interval(seconds=3.0).is_due(0, 3.0)
    assert not Interval(seconds=3.0).is_due(10**9, 2.9)
    assert not Interval().is_due(10**9, 1e9)
