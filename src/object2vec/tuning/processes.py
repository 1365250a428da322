"""A trial as a process of ``object2vec train``, whose log says how it goes."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from object2vec.compiled import processes
from object2vec.tuning.objective import Goal
from object2vec.tuning.trials import Study, Trial
from object2vec.tuning.tuner import Trained, Watch

_LINES = 5  # of a failed process that are remembered
_GRACE_S = 60.0
_LOG = "log.txt"
_REJECTED = 2  # the exit code for wrong options and records


class ProcessTrainer:
    """Trains each trial in a process of its own.

    Parameters
    ----------
    study : Study
    arguments : sequence of str
        Of ``object2vec train``, without its hyperparameters that are tuned and without ``--out``.
    threads : int
        That each process computes with.
    """

    def __init__(self, study: Study, arguments: Sequence[str], threads: int) -> None:
        self._study, self._arguments, self._threads = study, list(arguments), threads

    def __call__(self, trial: Trial, watch: Watch) -> Trained:
        """Train with the values of a trial, and return how that ended."""
        folder = self._study.folder(trial.number)
        process = processes.start(  # a session of its own: Ctrl-C is for us, and is passed on
            ["train", *self._command(trial, folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        course = _Course(self._study.objective)
        with contextlib.suppress(FileNotFoundError), (folder / _LOG).open(encoding="utf-8") as log:
            for line in log:  # of a process before, whose epochs this one may go on from
                course.read(line)
        ending = _Ending(process)
        with process, ending.when(lambda: watch.is_stopping):
            assert process.stderr is not None
            with (folder / _LOG).open("a", encoding="utf-8") as kept:
                for line in process.stderr:
                    kept.write(line)
                    for value in course.read(line):
                        if not watch.epoch(value) and not course.is_over:
                            ending.end()
        code = process.returncode
        is_interrupted = code != 0 and ending.has_ended and watch.is_stopping
        if not is_interrupted:
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        if code == 0 or ending.has_ended:
            return Trained(value=course.final, is_interrupted=is_interrupted)
        error = course.error or f"exit code {code}"
        return Trained(error=error, is_rejected=code == _REJECTED)

    def _command(self, trial: Trial, folder: Path) -> list[str]:
        settings = [f"--set={name}={text}" for name, text in trial.texts().items()]
        own = {
            "--out": folder / "model",
            "--checkpoints": folder / "checkpoints",
            "--log-format": "json",
        }
        named = [f"{name}={value}" for name, value in own.items()]
        return [
            *self._arguments,
            *settings,
            f"--set=threads={self._threads}",
            *named,
            "--resume",
        ]


class _Course:
    """What the log of a training says of the objective."""

    def __init__(self, objective: Goal) -> None:
        self._objective = objective
        self._values: list[float] = []
        self._before: list[float] = []
        self._tested: float | None = None
        self._lines: list[str] = []
        self.is_over = False

    @property
    def final(self) -> float | None:
        """The objective of the model: of the best epoch, or of the test."""
        if self._objective.channel == "test":
            return self._tested
        return self._objective.best(self._values) if self._values else None

    @property
    def error(self) -> str:
        """What the process said last: its error, if that is one."""
        begins = [i for i, line in enumerate(self._lines) if line.startswith("Error: ")]
        lines = self._lines[begins[-1] :][:_LINES] if begins else self._lines[-_LINES:]
        return " ".join(lines).removeprefix("Error: ")

    def read(self, line: str) -> list[float]:
        """Take a line of the log; return the objective after the epochs of which it speaks.

        Those are one, or all that a process has behind it that goes on from a checkpoint.
        """
        try:
            event = json.loads(line)
        except ValueError:
            self._lines.append(line.strip())
            return []
        kind = event.get("event") if isinstance(event, dict) else None
        if kind == "run":
            self._before, self._values, self._lines = self._values, [], []
        elif kind == "resumed":
            self._values = self._before[: event["epoch"]]
            return list(self._values)
        self.is_over = kind in ("finished", "best") or (self.is_over and kind != "run")
        if kind == "test" and self._objective.channel == "test":
            self._tested = self._objective.of(event["metrics"])
        if kind != "epoch" or self._objective.channel == "test":
            return []
        value = self._objective.of(event.get(self._objective.channel))
        found = [] if value is None else [value]
        self._values += found
        return found


class _Ending:
    """Ends a process, politely first."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.has_ended = False

    def end(self) -> None:
        """Ask the process to end, and end it if it does not."""
        self.has_ended = self.has_ended or processes.end(self._process, _GRACE_S)

    @contextlib.contextmanager
    def when(self, condition: Callable[[], bool]) -> Iterator[None]:
        """End the process as soon as a condition holds, while the block runs."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.2):
                if condition():
                    self.end()
                    return

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
