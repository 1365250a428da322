"""A trial as a process, with a process that is a list of lines: what it is told, how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import types

import pytest

from object2vec.tuning import processes
from object2vec.tuning.processes import ProcessTrainer
from object2vec.tuning.trials import Study, Trial
from object2vec.tuning.tuner import Trained

METRIC = "validation:accuracy"


def epoch(value):
    return json.dumps({"event": "epoch", "validation": {"accuracy": value}}) + "\n"


RUN = json.dumps({"event": "run"}) + "\n"
FINISHED = json.dumps({"event": "finished"}) + "\n"


class Process:
    """Prints its lines; a callable among them is called. Ends with `code`, or by a signal."""

    def __init__(self, lines, code):
        self.lines, self.code, self.signals, self.pid = lines, code, [], 0
        self.stderr, self.returncode, self.asked = self._printed(), None, threading.Event()

    def _printed(self):
        for line in self.lines:
            if callable(line):
                line(self)
            else:
                yield line

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.returncode = -self.signals[0] if self.signals else self.code

    def poll(self):
        return self.returncode

    def send_signal(self, number):
        self.signals.append(number)
        self.asked.set()


@pytest.fixture
def trial_of(tmp_path, monkeypatch):
    """Returns what trains a trial by a process that prints lines, and how it was started."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    started = types.SimpleNamespace(epochs=[], goes_on=lambda value: True, is_stopping=False)
    started.epoch = lambda value: started.epochs.append(value) or started.goes_on(value)

    def train(*lines, code=0, metric=METRIC, values=None):
        study = Study.create(tmp_path / str(len(list(tmp_path.iterdir()))), {"objective": metric})
        trial = Trial(7, values or {"dropout": 0.1, "enc_dim": 5})
        study.save(trial)
        (study.folder(7) / "checkpoints").mkdir()
        started.process, started.study = Process(lines, code), study

        def start(arguments, **streams):
            started.arguments, started.streams = arguments, streams
            return started.process

        monkeypatch.setattr(processes.processes, "start", start)
        return ProcessTrainer(study, ["--train", "x"], 3)(trial, started)

    def kept():
        return (started.study.folder(7) / "checkpoints").exists()

    started.train, started.kept = train, kept
    return started


def test_a_trial_is_a_command_with_its_values_and_folders(trial_of):
    assert trial_of.train(RUN, epoch(0.5), epoch(0.75), epoch(0.6), FINISHED) == Trained(0.75)
    folder = trial_of.study.folder(7)
    assert trial_of.arguments == [
        *("train", "--train", "x", "--set=dropout=0.1", "--set=enc_dim=5", "--set=threads=3"),
        *(f"--out={folder / 'model'}", f"--checkpoints={folder / 'checkpoints'}"),
        *("--log-format=json", "--resume"),
    ]
    assert trial_of.streams == {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    assert trial_of.epochs == [0.5, 0.75, 0.6]
    assert (folder / "log.txt").read_text() == "".join(
        [RUN, epoch(0.5), epoch(0.75), epoch(0.6), FINISHED]
    )
    assert not trial_of.process.signals
    assert not trial_of.kept()


@pytest.mark.parametrize(
    ("lines", "code", "error"),
    [
        ([], 3, "exit code 3"),
        (["a\n", "b\n"], 1, "a b"),
        ([f"{letter}\n" for letter in "abcdefghi"], 1, "e f g h i"),
        (
            ["x\n", "Error: first\n", "y\n", "Error: why\n", "so\n", *("a\n", "b\n", "c\n", "d\n")],
            2,
            "why so a b c",
        ),
    ],
)
def test_a_process_that_fails_says_why(trial_of, lines, code, error):
    said = trial_of.train(*lines, code=code)
    assert (said.value, said.error, said.is_interrupted) == (None, error, False)
    assert said.is_rejected == (code == 2)
    assert not trial_of.kept()


def test_a_trial_without_prospects_is_ended_and_has_what_it_found(trial_of):
    trial_of.goes_on = lambda value: value > 0.3
    said = trial_of.train(RUN, epoch(0.5), epoch(0.2), epoch(0.1), code=1)
    assert said == Trained(0.5)
    assert trial_of.process.signals == [signal.SIGTERM]  # once
    assert not trial_of.kept()


def test_a_trial_that_is_over_is_not_ended_any_more(trial_of):
    trial_of.goes_on = lambda value: False
    assert trial_of.train(RUN, FINISHED, epoch(0.5)) == Trained(0.5)
    assert not trial_of.process.signals


def test_a_study_that_is_asked_to_end_ends_its_trials_which_go_on_later(trial_of):
    def asked(process):
        trial_of.is_stopping = True
        assert process.asked.wait(20)

    said = trial_of.train(RUN, epoch(0.5), asked)
    assert said == Trained(0.5, is_interrupted=True)
    assert trial_of.process.signals == [signal.SIGTERM]
    assert trial_of.kept()


def test_a_trial_that_was_done_when_it_was_asked_to_end_has_its_model(trial_of):
    def asked(process):
        trial_of.is_stopping = True
        assert process.asked.wait(20)
        process.signals.clear()  # it had saved its model, and ends with code 0

    assert trial_of.train(RUN, epoch(0.5), asked) == Trained(0.5)
    assert not trial_of.kept()


def test_a_process_that_does_not_end_is_killed(trial_of, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE_S", 0.01)
    killed = threading.Event()
    monkeypatch.setattr(processes.processes, "kill", lambda process: killed.set())
    trial_of.goes_on = lambda value: False
    trial_of.train(RUN, epoch(0.5), lambda process: killed.wait(20))
    assert killed.is_set()


def test_epochs_before_a_checkpoint_count(trial_of, monkeypatch):
    trial_of.train(RUN, epoch(0.9), epoch(0.4), code=1)
    log = (trial_of.study.folder(7) / "log.txt").read_text()
    resumed = json.dumps({"event": "resumed", "epoch": 1}) + "\n"
    before = Study.create

    def create(path, settings):
        study = before(path, settings)
        study.folder(7).mkdir(parents=True)
        (study.folder(7) / "log.txt").write_text(log)
        return study

    monkeypatch.setattr(Study, "create", create)
    trial_of.epochs.clear()
    assert trial_of.train(RUN, resumed, epoch(0.5)) == Trained(0.9)
    assert trial_of.epochs == [0.9, 0.5]


def test_the_objective_of_a_test_is_that_of_the_model(trial_of):
    tested = json.dumps({"event": "test", "metrics": {"accuracy": 0.625}}) + "\n"
    assert trial_of.train(RUN, epoch(0.9), tested, metric="test:accuracy") == Trained(0.625)
    assert trial_of.epochs == []
