"""``object2vec tune``: trials as processes, the best model, and a study that goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from object2vec.cli import main, tuning
from object2vec.cli.tuning import _fingerprint
from object2vec.model import Object2Vec
from object2vec.tuning.trials import Study

FIXED = {
    "enc0_network": "pooled_embedding",
    "enc1_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc0_vocab_size": 9,
    "enc1_max_seq_len": 2,
    "enc1_vocab_size": 9,
    "mlp_dim": 4,
    "mini_batch_size": 8,
    "epochs": 3,
    "seed": 1,
}


@pytest.fixture
def command(tmp_path):
    """Returns a command of a study, with other options."""
    records = [{"in0": [i % 8 + 1], "in1": [i % 7 + 1], "label": i % 2} for i in range(64)]
    for name in ("train", "validation"):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    (tmp_path / "hp.json").write_text(json.dumps(FIXED))
    space = {"learning_rate": {"min": 0.0001, "max": 0.1}, "enc_dim": {"min": 4, "max": 16}}
    (tmp_path / "space.json").write_text(json.dumps(space))

    def made(*rest, out="study", trials=3, objective="validation:cross_entropy"):
        return [
            "tune",
            "--train",
            str(tmp_path / "train.jsonl"),
            "--validation",
            str(tmp_path / "validation.jsonl"),
            "--config",
            str(tmp_path / "hp.json"),
            "--space",
            str(tmp_path / "space.json"),
            "--objective",
            objective,
            "--trials",
            str(trials),
            "--parallel",
            "2",
            "--out",
            str(tmp_path / out),
            *rest,
        ]

    return made


def test_a_study_keeps_the_best_model_and_goes_on(command, tmp_path, capsys):
    assert main(command()) == 0
    said = capsys.readouterr()
    study = Study.open(tmp_path / "study")
    trials = study.trials()
    assert [trial.state for trial in trials] == ["completed"] * 3
    best = min(trials, key=lambda trial: trial.value)
    model = Object2Vec.load(tmp_path / "study" / "best")
    assert model.config.enc_dim == best.values["enc_dim"]
    assert model.facts.metrics["validation"]["cross_entropy"] == pytest.approx(best.value)
    assert said.out.splitlines()[0].split()[:2] == ["trial", "validation:cross_entropy"]
    assert said.out.splitlines()[1].split()[0] == str(best.number)
    page = (tmp_path / "study" / "report.html").read_text()
    assert page.count("<polyline") == 3
    assert main(command("--resume", trials=4)) == 0
    again = study.trials()
    assert again[:3] == trials
    assert len(again) == 4


def test_what_is_wrong_is_said_before_anything_is_trained(command, tmp_path, capsys):
    assert main(command("--overwrite")) == 2
    assert "must not be given to tune" in capsys.readouterr().err
    assert main(command(objective="validation:acuracy")) == 2
    assert "Did you mean accuracy" in capsys.readouterr().err
    assert main(command("--strategy", "annealing")) == 2
    assert "must be one of bayesian, random, grid, hyperband" in capsys.readouterr().err
    assert main(command(trials=0)) == 2
    assert "--trials: must be at least 1; got 0" in capsys.readouterr().err
    for name in ("--parallel", "--search-seed"):
        assert main(command(name, "-1")) == 2
        assert f"{name}: must be at least 0; got -1" in capsys.readouterr().err
    assert main(command(objective="test:cross_entropy")) == 2
    assert "--objective: must be of a channel that there is" in capsys.readouterr().err
    assert main(command("--set", "mlp_dimm=4")) == 2
    assert "Did you mean mlp_dim" in capsys.readouterr().err
    assert main(command("--set", "mlp_dim=0")) == 2
    assert "--set or --config: mlp_dim: must be an integer" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--bogus", "1"], "No such option: --bogus"),
        (
            ["--trails", "3"],
            "No such option: --trails (Possible options: --pairs, --train, --trials)",
        ),
        (["-x"], "No such option: -x"),
        (["more.jsonl"], "Got unexpected extra argument(s) (more.jsonl)"),
        (["--split"], "Option '--split' requires an argument."),
        (["--split", "much"], "Invalid value for '--split'"),
        (["--split", "2"], "--split: must be between 0 and 1; got 2.0."),
        (["--split", "0.1"], "--split: excludes --validation"),
        (["--label", "rating"], "--label: goes with --in0 and --in1"),
        (["--in0", "user:texts", "--in1", "film"], "user: must be of a known kind; got 'texts'"),
        (["--in0", "user", "--in1", "film", "--preset", "top"], "preset: must be one of"),
        (["--test", "no.jsonl"], "no.jsonl: must be a file or folder"),
        (["--trials", "x"], "Invalid value for '--trials'"),
        (["--warm-start", "WARM"], "Invalid value for '--warm-start'"),
        (["--parent"], "Option '--parent' requires an argument."),
    ],
)
def test_a_wrong_option_is_a_usage_error(given, said, command, tmp_path, capsys):
    assert main(command(*given)) == 2
    written = capsys.readouterr().err
    assert said in written
    assert written.count("Error: ") == 1
    assert not (tmp_path / "study").exists()


def test_other_settings_are_another_study(command, capsys):
    assert main(command(trials=1)) == 0
    assert main(command("--resume", "--search-seed", "5", trials=2)) == 2
    assert "must be the same study; got ['seed']" in capsys.readouterr().err
    assert main(command(trials=2)) == 2
    assert "Go on with the study there by --resume" in capsys.readouterr().err


def test_other_content_of_any_file_is_other_data(tmp_path):
    """Of several files, in the middle, with its size kept; the same content elsewhere is not."""
    middle = 100_000
    for name in ("a", "b", "copy"):
        (tmp_path / name).write_bytes(b"x" * 2 * middle)

    def fingerprint(*names):
        files = [str(tmp_path / name) for name in names]
        return _fingerprint({"train": files, "validation": (), "test": ()})

    before = fingerprint("a", "b")
    assert fingerprint("a", "copy") == before
    assert fingerprint("a") != before
    (tmp_path / "b").write_bytes(b"x" * middle + b"y" + b"x" * (middle - 1))
    assert fingerprint("a", "b") != before


def test_what_fails_alike_in_every_trial_ends_the_study(command, capsys):
    assert main(command("--set", "enc0_vocab_size=3", trials=9)) == 2  # as of train
    said = capsys.readouterr().err
    assert "must have a trial that trains" in said
    assert "in0" in said


def test_a_finished_study_warms_up_another_one(command, tmp_path, capsys):
    assert main(command(trials=2)) == 0
    parent = str(tmp_path / "study")
    assert main(command("--parent", parent, out="second", trials=1)) == 0
    assert main(command("--parent", parent, "--set", "dropout=0.1", out="third")) == 2
    assert "must set and tune the same hyperparameters" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_and_resumed_no_finished_trial_is_lost(command, tmp_path):
    """Kill -9 at random moments; every trial that was over stays as it was."""
    arguments = [sys.executable, "-m", "object2vec", *command(trials=8)]
    finished = {}
    for attempt in range(12):
        rest = ["--resume"] if attempt else []
        process = subprocess.Popen([*arguments, *rest], start_new_session=True)
        time.sleep(4 + attempt % 3)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for trial in Study.open(tmp_path / "study").trials():
            if trial.number in finished:
                assert trial == finished[trial.number]
            elif trial.is_over:
                finished[trial.number] = trial
        if len(finished) == 8:
            break
    subprocess.run([*arguments, "--resume"], check=True)
    assert [trial.state for trial in Study.open(tmp_path / "study").trials()] == ["completed"] * 8


def test_what_is_not_said_is_a_bayesian_study_of_twenty_trials(monkeypatch):
    asked = []
    monkeypatch.setattr(tuning, "run", asked.append)
    assert main(["tune", "--train", "a", "--objective", "train:accuracy", "--out", "b"]) == 0
    assert main(["tune", "--objective", "o", "--out", "b", "--parent", "p", "--resume"]) == 0
    plain = tuning.Wish(
        out=Path("b"),
        objective="train:accuracy",
        space=None,
        trials=20,
        strategy="bayesian",
        parallel=0,
        early_stopping=False,
        parents=(),
        warm_start=None,
        seed=0,
        resume=False,
        arguments=("--train", "a"),
    )
    assert asked[0] == plain
    warm = {"parents": ("p",), "warm_start": "IDENTICAL_DATA_AND_ALGORITHM", "resume": True}
    assert asked[1] == replace(plain, objective="o", arguments=(), **warm)
