"""``object2vec tune`` without trainings: what is planned, who is asked, how it is ended."""

from __future__ import annotations

import json
import os
import signal
import sys
import types

import pytest

from object2vec.cli import main, tuning
from object2vec.cli.tuning import Wish
from object2vec.errors import ConfigError, Interrupted
from object2vec.tuning import tuner
from object2vec.tuning.search import Search
from object2vec.tuning.trials import Study
from object2vec.tuning.tuner import Trained


@pytest.fixture
def wish(tmp_path):
    """Returns what a command line asks for."""
    (tmp_path / "x.jsonl").write_text('{"in0": [1], "in1": [1], "label": 1}\n')
    (tmp_path / "space.json").write_text(json.dumps({"enc_dim": {"min": 4, "max": 9}}))
    (tmp_path / "hp.json").write_text(json.dumps({"epochs": 7, "mlp_dim": 4}))

    def made(*arguments, **choice):
        values = {
            "out": tmp_path / "study",
            "objective": "train:cross_entropy",
            "space": str(tmp_path / "space.json"),
            "trials": 3,
            "strategy": "random",
            "parallel": 1,
            "early_stopping": False,
            "parents": (),
            "warm_start": None,
            "seed": 0,
            "resume": False,
        }
        given = ("--train", str(tmp_path / "x.jsonl"), "--set", "enc0_vocab_size=9", *arguments)
        return Wish(**(values | choice), arguments=given)

    return made


@pytest.fixture
def trained(monkeypatch):
    """Trainings of a function instead of processes; returns who they were made for."""
    monkeypatch.setattr(Search, "importance", lambda self, trials: {})
    monkeypatch.setattr(tuner, "_POLL_S", 0.005)
    monkeypatch.setattr("os.fsync", lambda file: None)
    made = types.SimpleNamespace(calls=[], outcome=lambda trial: Trained(trial.values["enc_dim"]))

    def trainer(study, arguments, threads):
        made.calls.append((study.path, arguments, threads))
        return lambda trial, watch: made.outcome(trial)

    monkeypatch.setattr("object2vec.tuning.processes.ProcessTrainer", trainer)
    return made


def test_what_is_found_is_said_trial_by_trial_and_as_a_table(wish, trained, capsys):
    choice = wish()
    tuning.run(choice)
    ((path, arguments, _),) = trained.calls
    assert (path, arguments) == (choice.out, choice.arguments)
    trials = Study.open(choice.out).trials()
    best = min(trials, key=lambda trial: trial.value)
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        *(
            f"trial {t.number}: completed, train:cross_entropy {t.values['enc_dim']} after 0 s"
            for t in trials
        ),
        f"Trial {best.number} is the best: {choice.out / 'best'}. All: {choice.out}/report.html",
    ]
    assert len(said.out.splitlines()) >= 4
    assert (choice.out / "report.html").is_file()


def test_the_page_is_there_after_the_first_trial_and_grows(wish, trained):
    choice, pages = wish(), []

    def outcome(trial):
        page = choice.out / "report.html"
        pages.append(page.read_text().count("<tr>") if page.exists() else 0)
        return Trained(0.5)

    trained.outcome = outcome
    tuning.run(choice)
    assert len(pages) == 3
    assert pages[0] == 0
    assert 0 < pages[1] < pages[2]


def test_what_was_best_in_a_parent_is_tried_first(wish, trained, tmp_path):
    tuning.run(wish(trials=5))
    parent = Study.open(tmp_path / "study")
    warm = {"parents": (str(parent.path),), "warm_start": "TRANSFER_LEARNING", "seed": 7}
    tuning.run(wish(out=tmp_path / "second", trials=1, **warm))
    (first,) = Study.open(tmp_path / "second").trials()
    assert first.values == parent.best().values


def test_a_trial_that_fails_says_why(wish, trained, capsys):
    trained.outcome = lambda trial: Trained(error="because") if trial.number == 1 else Trained(0.5)
    tuning.run(wish(trials=2))
    assert "trial 1: failed, after 0 s: because\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("parallel", "cores", "at_once", "threads"),
    [(0, 8, 4, 2), (0, 1, 1, 1), (0, 5, 2, 2), (3, 8, 3, 2), (9, 2, 9, 1), (1, 6, 1, 6)],
)
def test_trainings_at_once_share_the_cores(
    wish, trained, monkeypatch, parallel, cores, at_once, threads
):
    monkeypatch.setattr("object2vec.compiled.cores.available_cores", lambda: cores)
    seen, made = [], tuner.Tuner.__init__

    def init(self, *arguments, parallel, **options):
        seen.append(parallel)
        made(self, *arguments, parallel=parallel, **options)

    monkeypatch.setattr(tuner.Tuner, "__init__", init)
    tuning.run(wish(parallel=parallel, trials=1))
    assert (seen, trained.calls[0][2]) == ([at_once], threads)


def test_what_a_study_remembers(wish, tmp_path):
    choice = wish("--config", str(tmp_path / "hp.json"), "--set", "enc_dim=5", seed=4)
    search, settings = tuning._planned(choice)
    assert (search.strategy, search.seed, search.epochs, search.early_stopping) == (
        *("random", 4, 7, False),
    )
    assert settings == {
        "objective": "train:cross_entropy",
        "space": search.space.state(),
        "fixed": {"epochs": "7", "mlp_dim": "4", "enc0_vocab_size": "9"},  # enc_dim is searched
        "strategy": "random",
        "seed": 4,
        "arguments": list(choice.arguments),
        "data": tuning._fingerprint(tuning._read_options(choice.arguments)),
    }
    assert tuning._planned(wish())[0].epochs == 30
    assert tuning._planned(wish(early_stopping=True))[0].early_stopping
    assert "learning_rate" in tuning._planned(wish(space=None))[1]["space"]


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"objective": "train:accuracy"}, ["objective"]),
        ({"strategy": "grid"}, ["strategy"]),
        ({"seed": 1}, ["seed"]),
        ({"space": None}, ["space"]),
        ({"arguments": ("--set", "mlp_dim=5")}, ["fixed"]),
        ({"arguments": ("--test", "MORE")}, ["data"]),
        ({"trials": 9, "parallel": 5, "early_stopping": True}, []),
    ],
)
def test_a_study_goes_on_with_the_same_settings_alone(wish, tmp_path, changed, names):
    (tmp_path / "more.jsonl").write_text("{}\n")
    given = [
        str(tmp_path / "more.jsonl") if a == "MORE" else a for a in changed.pop("arguments", ())
    ]
    first = wish()
    tuning._opened(first, tuning._planned(first)[1], [])
    again = wish(*given, resume=True, **changed)
    settings = tuning._planned(again)[1]
    if not names:
        assert tuning._opened(again, settings, []).path == first.out
        return
    with pytest.raises(ConfigError, match="--resume: must be the same study") as caught:
        tuning._opened(again, settings, [])
    assert str(names) in str(caught.value)


def test_a_study_that_is_not_there_yet_begins_with_resume_too(wish):
    choice = wish(resume=True)
    assert tuning._opened(choice, tuning._planned(choice)[1], []).path == choice.out


@pytest.mark.parametrize(
    ("objective", "arguments", "is_right"),
    [
        ("validation:accuracy", ("--validation", __file__), True),
        ("validation:accuracy", ("--test", __file__), False),
        ("test:accuracy", (f"--test={__file__}",), True),
        ("test:accuracy", (), False),
        ("train:accuracy", (), True),
    ],
)
def test_the_objective_is_of_a_channel_that_there_is(wish, objective, arguments, is_right):
    choice = wish(*arguments, objective=objective)
    options = tuning._read_options(choice.arguments)
    if is_right:
        assert tuning._checked(choice, options)[0].name == objective
        return
    with pytest.raises(ConfigError, match=f"Give --{objective.split(':')[0]}, or --split"):
        tuning._checked(choice, options)


def test_data_are_told_apart_by_channel_and_by_the_name_of_what_is_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("x")
    file = [str(tmp_path / "a")]
    none = {"train": None, "validation": None, "test": None}
    found = [
        tuning._fingerprint(none | given)
        for given in (
            {},
            {"train": file},
            {"validation": file},
            {"test": file},
            {"train": file, "test": file},
        )
    ]
    assert len(set(found)) == 5
    source = types.SimpleNamespace(path=None, name="")
    monkeypatch.setattr("object2vec.files.sources.list_sources", lambda value: [source])
    marks = set()
    for source.name in ("s3://a", "s3://b"):
        marks.add(tuning._fingerprint(none | {"train": ["s3://x"]}))
    assert len(marks) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("best", [None, "best"])
def test_a_signal_ends_the_study_and_says_which(number, best, python_takes_signals):
    stopped = []

    def run():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
        return best

    study = types.SimpleNamespace(run=run, stop=lambda: stopped.append(1))
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(Interrupted, match=f"Stopped by {number.name}. The same command") as caught:
        tuning._interruptible(study)
    after = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before
    assert caught.value.signal_number == number
    assert stopped == [1, 1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_the_caller_ignores_ends_no_study(number, python_takes_signals):
    """Ctrl-C in a script goes to what runs in its background, too."""
    signal.signal(number, signal.SIG_IGN)
    study = types.SimpleNamespace(run=lambda: signal.raise_signal(number) or "best", stop=None)
    assert tuning._interruptible(study) == "best"
    assert signal.getsignal(number) is signal.SIG_IGN


def test_a_study_that_ends_by_itself_has_its_best():
    study = types.SimpleNamespace(run=lambda: "best", stop=None)
    assert tuning._interruptible(study) == "best"
    study = types.SimpleNamespace(run=lambda: None, stop=None)
    with pytest.raises(Interrupted, match="Stopped by SIGTERM"):
        tuning._interruptible(study)


def test_without_optuna_it_is_said_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    out = str(tmp_path / "study")
    assert main(["tune", "--train", "a", "--objective", "train:accuracy", "--out", out]) == 1
    error = capsys.readouterr().err
    assert "tune: needs a package; got 'optuna'. Run: pip install 'object2vec[tune]'" in error
    assert not (tmp_path / "study").exists()
