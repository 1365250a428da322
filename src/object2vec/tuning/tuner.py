"""The tuner: tries values, several at once, and goes on where it was killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Protocol

from object2vec.errors import ConfigError, TrainingError
from object2vec.tuning.parents import WarmStart, knowledge
from object2vec.tuning.search import Search
from object2vec.tuning.trials import State, Study, Trial

_POLL_S = 0.5


class Watch(Protocol):
    """What a training reports to the tuner while it goes on."""

    def epoch(self, value: float) -> bool:
        """Take the objective after one more epoch; return whether to go on."""

    @property
    def is_stopping(self) -> bool:
        """Whether the study was asked to end."""


@dataclass(frozen=True)
class Trained:
    """How a training ended.

    Parameters
    ----------
    value : float or None
        The objective of its model; None if it has none.
    error : str
        Why it failed; "" if it did not.
    is_rejected : bool
        Whether it failed because what it was given is wrong.
    is_interrupted : bool
        Whether it can go on later from a checkpoint.
    """

    value: float | None = None
    error: str = ""
    is_rejected: bool = False
    is_interrupted: bool = False


Train = Callable[[Trial, Watch], Trained]


class Tuner:
    """Runs the trials of a study.

    Parameters
    ----------
    study : Study
    search : Search
    train : callable
        Trains with the values of a trial, and returns how that ended.
    trials : int
        How many the study has in the end.
    parallel : int
        How many run at once.
    parents : sequence of Study
        What earlier studies know, in the way of `warm_start`.
    warm_start : str, optional
    report : callable, optional
        Takes each trial when it is over.
    """

    def __init__(
        self,
        study: Study,
        search: Search,
        train: Train,
        *,
        trials: int,
        parallel: int = 1,
        parents: Sequence[Study] = (),
        warm_start: WarmStart | None = None,
        report: Callable[[Trial], object] = lambda trial: None,
    ) -> None:
        self.study, self.search = study, search
        self._train, self._count, self._parallel = train, trials, parallel
        self._parents, self._warm_start, self._report = parents, warm_start, report
        self._lock = threading.RLock()
        self._trials = {trial.number: trial for trial in study.trials()}
        self._stopping = threading.Event()
        self._rejected: set[int] = set()  # trials that were given something wrong

    def stop(self) -> None:
        """Ask the trials that run to end; they go on when the study does."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether the study was asked to end."""
        return self._stopping.is_set()

    def run(self) -> Trial | None:
        """Try until all trials are over, and return the best one; None if the study was stopped.

        Raises
        ------
        ConfigError, TrainingError
            If no trial has a model: what is wrong with the first one is wrong with all.
        """
        for trial in list(self._trials.values()):
            if trial.state == "running":  # of a study that was killed
                self._trials[trial.number] = self.study.reset(trial)
        with ThreadPoolExecutor(self._parallel, "object2vec-trial") as pool:
            running: set[Future[None]] = set()
            while not self.is_stopping:
                while len(running) < self._parallel and (coming := self._next()) is not None:
                    running.add(pool.submit(self._try, coming))
                if not running:
                    break
                done, running = wait(running, _POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                self._check_any_success()
        if self.is_stopping:
            return None
        best = self.study.best()
        if best is None:
            self._raise_failed()
        return best

    def _next(self) -> Trial | None:
        """Return the trial to run next, noted as running; None if there is none."""
        with self._lock:
            waiting = [trial for trial in self._trials.values() if trial.state == "waiting"]
            if waiting:
                trial = min(waiting, key=lambda each: each.number)
            elif len(self._trials) >= self._count:
                return None
            else:
                trials = [self._trials[number] for number in sorted(self._trials)]
                known, first = knowledge(self.search, self._parents, self._warm_start, trials)
                values = self.search.next_values(trials, known, first)
                if values is None:
                    return None
                trial = Trial(len(trials) + 1, values)
            return self._note(replace(trial, state="running"))

    def _try(self, trial: Trial) -> None:
        """Run one trial and note how it ended."""
        started = time.monotonic()
        watch = _Watch(self, trial.number)
        try:
            outcome = self._train(trial, watch)
        except Exception as err:  # a trial that fails does not end the study
            outcome = Trained(error=f"{type(err).__name__}: {err}")
        with self._lock:
            trial = self._trials[trial.number]
            seconds = trial.seconds + time.monotonic() - started
            if outcome.is_interrupted and self.is_stopping:
                self._note(replace(trial, state="waiting", seconds=seconds))
                return
            if outcome.value is None and not (outcome.error or watch.is_hopeless):
                outcome = Trained(error=f"no value of {self.study.objective.name}")
            if outcome.is_rejected:
                self._rejected.add(trial.number)
            state: State = "completed"
            if outcome.error or watch.is_hopeless:
                state = "failed" if outcome.error else "stopped"
            value = None if outcome.error else outcome.value
            over = replace(trial, state=state, value=value, seconds=seconds, error=outcome.error)
            self._note(over)
            self.study.keep_best()
        self._report(over)

    def epoch(self, number: int, value: float) -> bool:
        """Note one more epoch of a trial, and say whether it should go on."""
        with self._lock:
            trial = self._trials[number]
            trial = self._note(replace(trial, course=(*trial.course, value)))
            others = [each for each in self._trials.values() if each.number != number]
            return self.search.has_prospects(trial, others)

    def _note(self, trial: Trial) -> Trial:
        self._trials[trial.number] = trial
        self.study.save(trial)
        return trial

    def _check_any_success(self) -> None:
        """End the study if the first trials all fail alike: then it is not their values."""
        failed = [trial for trial in self._trials.values() if trial.state == "failed"]
        is_hopeless = len({trial.error for trial in failed}) == 1 and len(failed) >= 3
        if is_hopeless and not any(t.course or t.value is not None for t in self._trials.values()):
            self._raise_failed()

    def _raise_failed(self) -> None:
        failed = [trial for trial in self._trials.values() if trial.error]
        is_rejected = self._rejected.issuperset(trial.number for trial in failed) and failed
        kind = ConfigError if is_rejected else TrainingError
        cure = "Mend this, then go on with --resume."
        got = failed[0].error if failed else "no trial"
        raise kind.at(str(self.study.path), "must have a trial that trains", got, cure)


class _Watch:
    """What one training reports to the tuner."""

    def __init__(self, tuner: Tuner, number: int) -> None:
        self._tuner, self._number = tuner, number
        self.is_hopeless = False

    @property
    def is_stopping(self) -> bool:
        """Whether the study was asked to end."""
        return self._tuner.is_stopping

    def epoch(self, value: float) -> bool:
        """Take the objective after one more epoch; return whether to go on."""
        self.is_hopeless = not self._tuner.epoch(self._number, value)
        return not self.is_hopeless
