"""What ``object2vec train`` is asked for, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from object2vec.cli import main
from object2vec.cli.training import Job
from object2vec.errors import ConfigError


@pytest.mark.parametrize(
    ("model", "given", "folder"),
    [
        ("m", None, "m.checkpoint"),
        ("a/m/", None, "a/m.checkpoint"),
        ("s3://bucket/models/m", None, "m.checkpoint"),
        ("s3://bucket/models/m/", None, "m.checkpoint"),
        ("m", "run", "run"),
        ("s3://bucket/m", "a/run", "a/run"),
    ],
)
def test_checkpoints_stand_beside_the_model_or_where_they_are_asked_for(model, given, folder):
    job = Job({"out": model, "checkpoints": given}, {})
    assert job.checkpoints.path == Path(folder)


def test_checkpoints_stay_on_this_machine():
    with pytest.raises(ConfigError, match="--checkpoints: must be a folder of this machine"):
        Job({"out": "m", "checkpoints": "s3://bucket/run"}, {}).checkpoints  # noqa: B018


@pytest.fixture
def error(tmp_path, monkeypatch, capsys):
    """Return a function that runs train, which must not begin, and returns its error."""
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("user,film\nann,Up\n")
    monkeypatch.setattr("object2vec.model.Object2Vec.fit", None)

    def run(words):
        command = f"train --train a.csv --in0 user --in1 film --out m {words}"
        assert main(command.split()) == 2
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize("split", ["0", "1", "1.5", "-0.1", "nan"])
def test_a_split_leaves_something_on_both_sides(split, error):
    assert f"--split: must be between 0 and 1; got {float(split)}." in error(f"--split={split}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--split 0.5 --validation a.csv", "--split: excludes --validation; got 0.5."),
        ("--test b.csv", "b.csv: must be a file or folder"),
        ("--validation a.csv b.csv", "b.csv: must be a file or folder"),
        ("--in0 user:texts", "user: must be of a known kind"),
        ("--checkpoint-every 0", "checkpoint interval: must be a number of steps or a time"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(words, said, error):
    assert said in error(words)
    assert not Path("m").exists()


def test_hyperparameters_of_ids_are_checked_before_anything_is_read(error, monkeypatch):
    monkeypatch.setattr("object2vec.cli.training._is_finished", None)
    assert main(["train", "--train", "a.csv", "--out", "m", "--set", "enc_dim=2"]) == 2
