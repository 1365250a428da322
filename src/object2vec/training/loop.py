"""The training loop: one for every encoder, objective, storage type and device.

A run is a function of the configuration, the data and its position (epoch, batches of that epoch):
the order of the records, the negatives and the dropout masks all derive from the seed and the
position. A checkpoint is therefore the weights, the optimizer's state, the position and the running
averages, and a resumed run reaches the same bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import torch

from object2vec.compiled.cores import available_cores
from object2vec.config.table import HYPERPARAMETERS
from object2vec.devices import release_freed_memory
from object2vec.errors import ArtifactError, Interrupted, TrainingError
from object2vec.objectives.metrics import Metrics
from object2vec.pairs.batches import Batch, TrainingBatches
from object2vec.pairs.dataset import Pairs
from object2vec.reading.ahead import prefetch
from object2vec.reporting import events
from object2vec.training.checkpoint import BEST, TENSORS, CheckpointFolder
from object2vec.training.early_stopping import EarlyStopping
from object2vec.training.kept import KeptTensors
from object2vec.training.measuring import AskedChannel, measured
from object2vec.training.optimizer import Position
from object2vec.training.options import Habits
from object2vec.training.schedule import runs_to_its_end
from object2vec.training.step import Step
from object2vec.training.stop import StopRequest

_REPORT_BATCHES = 100  # as often as AWS's log
_REPORT_S = 1.0
_DIVERGED_CURE = "Lower learning_rate or choose another optimizer."
_TRIM_STEPS = 128  # and after steps 1, 2, 4, ...; each time costs about a thousandth of them


class Settle(Protocol):
    """What makes rows that no record of training reads say what they stand for."""

    def __call__(self, *, is_over: bool) -> object:
        """Write the rows that validation may read or, when the run is over, all of them."""


@dataclass
class Progress:
    """How far a run has come."""

    epoch: int = 0
    batches: int = 0
    epoch_records: int = 0
    epoch_s: float = 0.0
    records: int = 0
    train_s: float = 0.0


class Loop:
    """Counts epochs: which one is the best, when to stop, what to report, what to save.

    Parameters
    ----------
    step : Step
        Makes the updates.
    train : TrainingBatches
    validation : Pairs or None
        Drives early stopping and the choice of the best epoch; without it the training metric does.
    habits : Habits
    stop : StopRequest
        Asked after every batch.
    workspace : Path
        Folder for what is kept of the best weights and does not fit into memory.
    emit : callable
        Takes every event.
    history : list of dict
        What has been reported so far; saved with each checkpoint and restored on `resume`.
    clock : callable, default time.monotonic
        Returns the seconds that an epoch's time is measured in.
    settle : callable, optional
        Called with whether the run is over: before weights are measured on validation records, and
        at the end.
    identity : str, optional
        What else tells the data of this run from others: the vocabularies that were learned.
    """

    def __init__(
        self,
        step: Step,
        train: TrainingBatches,
        validation: Pairs | None,
        habits: Habits,
        stop: StopRequest,
        *,
        workspace: Path,
        emit: Callable[[events.Event], None],
        history: list[dict[str, Any]],
        clock: Callable[[], float] = time.monotonic,
        settle: Settle = lambda *, is_over: None,
        identity: str | None = None,
    ) -> None:
        self.step, self.network, self.config = step, step.network, step.network.config
        self.train, self.validation = train, validation
        self.checkpoints, self.interval, self.stop = habits.checkpoints, habits.interval, stop
        self.emit, self.history, self._clock = emit, history, clock
        self._settle, self._identity = settle, identity
        self._search: AskedChannel | None = None
        objective = self.network.objective
        in_training = None if validation is not None else objective.in_training
        self.stopping = EarlyStopping(
            in_training or objective.watched,
            self.config.early_stopping_patience,
            self.config.early_stopping_tolerance,
            takes_last=validation is None and runs_to_its_end(self.config),
        )
        self.progress = Progress()
        self.metrics = Metrics(self.network.objective)
        self._is_finished = False
        has_checkpoints = self.checkpoints is not None
        self._kept = KeptTensors(self.network, step.optimizer, workspace, has_checkpoints)
        self._saved_step, self._saved_at = 0, time.monotonic()

    def close(self) -> None:
        """Remove what is kept of the best weights."""
        self._kept.close()

    @property
    def has_learned(self) -> bool:
        """Whether the network holds weights worth keeping: not those of a run that diverged."""
        return self.stopping.best_epoch is not None or math.isfinite(self.metrics.watched)

    def run(self) -> events.Outcome:
        """Train to the end and leave the best epoch's weights in the network.

        Raises
        ------
        Interrupted
            If a signal asked to stop; a checkpoint was written where there is a folder for it, and
            the network holds the best weights so far.
        TrainingError
            If no epoch ended with a finite value of the watched metric.
        """
        progress, stopping = self.progress, self.stopping
        while progress.epoch < self.config.epochs and not stopping.should_stop:
            self._train_epoch()
            self._finish_epoch()
        if stopping.best_epoch is None or stopping.best_value is None:
            must = f"must reach a finite {stopping.metric.name}"
            got = f"NaN or infinity in each of {progress.epoch} epochs"
            small = "Labels of a regression should be small numbers."
            cure = f"Nothing was saved. {_DIVERGED_CURE} {small}"
            raise TrainingError.at("training", must, got, cure)
        self._restore_best()
        self.network.eval()
        return events.Outcome(
            epochs=progress.epoch,
            best_epoch=stopping.best_epoch,
            best_value=stopping.best_value,
            stopped_early=stopping.should_stop,
            records=progress.records,
            pairs_per_s=events.rate(progress.records, progress.train_s),
        )

    def _train_epoch(self) -> None:
        """Train on what is left of the current epoch."""
        self.network.train()
        progress, total = self.progress, len(self.train)
        started, reported = self._clock() - progress.epoch_s, self._clock()
        for batch in self._batches():
            self.step(batch, self.metrics.update)
            if self.step.count.bit_count() == 1 or self.step.count % _TRIM_STEPS == 0:
                release_freed_memory()  # gaps too small for what a step asks for: 80 MB in time
            progress.batches += 1
            progress.epoch_records += len(batch)
            now = self._clock()
            progress.epoch_s = now - started
            is_round = progress.batches % _REPORT_BATCHES == 0 or progress.batches == total
            if is_round or now - reported > _REPORT_S:
                reported = now
                self.emit(
                    events.BatchesDone(
                        epoch=progress.epoch,
                        epochs=self.config.epochs,
                        batches=progress.batches,
                        batches_total=total,
                        records=progress.epoch_records,
                        epoch_s=progress.epoch_s,
                        metrics=self.metrics.values(),
                    )
                )
            self._obey_stop()
            if self._is_checkpoint_due():
                self.save_checkpoint()

    def _batches(self) -> Iterator[Batch]:
        """Return the batches that are left of the current epoch."""
        batches = self.train.epoch(self.progress.epoch, self.progress.batches)
        # Where all cores compute already, a thread that prepares batches takes time from them,
        # unless it waits for a disk.
        is_idle = (
            torch.get_num_threads() < available_cores() or self.network.table(0).weight.is_cuda
        )
        return prefetch(batches) if is_idle or self.train.pairs.are_on_disk else batches

    def _finish_epoch(self) -> None:
        """Validate, hear what early stopping says, report, and begin to count anew."""
        progress, train = self.progress, self.metrics.values()
        with self.step.optimizer.evaluated():
            self._measure_epoch(train)
        progress.records += progress.epoch_records
        progress.train_s += progress.epoch_s
        progress.epoch += 1
        progress.batches, progress.epoch_records, progress.epoch_s = 0, 0, 0.0
        self.metrics = Metrics(self.network.objective)

    def _search_of(self, validation: Pairs) -> AskedChannel | None:
        """Return what validation looks for, found once, where it is measured by retrieval."""
        if self._search is None and self.network.objective.retrieval:
            self._search = AskedChannel.find(validation, self.config, self.train.known)
            self.emit(events.Noted(f"validation: {self._search}"))
        return self._search

    def _measure_epoch(self, train: dict[str, float]) -> None:
        """Validate the weights that the epoch has led to, keep them if they are the best."""
        progress, started = self.progress, time.monotonic()
        watched, validation = self.metrics.watched, None
        if self.validation is not None:
            self._settle(is_over=False)
            validation = measured(
                self.network, self.validation, self.config, search=self._search_of(self.validation)
            )
            watched = validation[self.stopping.metric.name]
        validated = time.monotonic()
        if not math.isfinite(watched):
            self.emit(
                events.Warned(
                    f"The {self.stopping.metric.name} of epoch {progress.epoch} is not finite: "
                    f"the run has diverged. {_DIVERGED_CURE}"
                )
            )
        verdict = self.stopping.observe(progress.epoch, watched)
        if verdict.is_best:
            self._kept.keep_best()
        else:
            self.step.optimizer.plateau()
        self.emit(
            events.EpochDone(
                epoch=progress.epoch,
                epochs=self.config.epochs,
                batches=progress.batches,
                records=progress.epoch_records,
                train_s=progress.epoch_s,
                validation_s=validated - started,
                train=train,
                validation=validation,
                verdict=verdict,
                verdict_s=time.monotonic() - validated,
            )
        )

    def _restore_best(self) -> None:
        """Give the network the best epoch's weights."""
        best, value = self.stopping.best_epoch, self.stopping.best_value
        if best is None or value is None:
            return
        self._kept.restore_best()
        self._settle(is_over=True)
        self.emit(events.BestRestored(epoch=best, metric=self.stopping.metric.name, value=value))

    def _obey_stop(self) -> None:
        """End the run with a checkpoint if a signal asked for it."""
        if self.stop.signal_number is None:
            return
        self.emit(events.Interrupting(self.stop.signal_number))
        where = "No folder for checkpoints was given: what was learned since is lost."
        if self.checkpoints is not None:
            where = f"Go on from {self.save_checkpoint()} with resume."
        if self.stopping.best_epoch is None:
            self.step.optimizer.take_average()
            self._settle(is_over=True)
        self._restore_best()
        self.network.eval()
        raise Interrupted(f"Stopped by {self.stop.name}. {where}", self.stop.signal_number)

    def _is_checkpoint_due(self) -> bool:
        if self.checkpoints is None:
            return False
        steps = self.step.count - self._saved_step
        return self.interval.is_due(steps, time.monotonic() - self._saved_at)

    def save_checkpoint(self) -> Path:
        """Write a checkpoint of the current position and return its folder."""
        assert self.checkpoints is not None
        started = time.monotonic()
        write_best = self._kept.write_best if self.stopping.best_epoch is not None else None
        path = self.checkpoints.save(self.step.count, self._state(), self._kept.write, write_best)
        self._saved_step, self._saved_at = self.step.count, time.monotonic()
        epoch, batches = self.progress.epoch, self.progress.batches
        write_s = self._saved_at - started
        self.emit(
            events.CheckpointWritten(path=path, epoch=epoch, batches=batches, write_s=write_s)
        )
        return path

    def save_finished(self) -> Path | None:
        """Save the end of the run in a checkpoint, for what comes after it to be tried again."""
        self._is_finished = True
        return None if self.checkpoints is None else self.save_checkpoint()

    def save_state(self, folder: CheckpointFolder) -> None:
        """Save weights and optimizer state in a folder of their own, in place of what it holds."""
        with folder.locked():
            folder.discard()
            folder.save(self.step.count, self._state(), self._kept.write, None)

    def resume(self) -> None:
        """Go on from the newest checkpoint, if there is one.

        Raises
        ------
        ArtifactError
            If the checkpoint is damaged or belongs to other settings or data.
        """
        path = self.checkpoints.latest() if self.checkpoints is not None else None
        if path is None or self.checkpoints is None:
            return
        state = self.checkpoints.state(path)
        self._check_same_run(path, state)
        try:
            self.progress = msgspec.convert(state["progress"], Progress)
            self.step.optimizer.position = msgspec.convert(state["optimizer"], Position)
            self.step.optimizer.steps = self._saved_step = msgspec.convert(state["steps"], int)
            self.metrics.restore(state["metrics"])
            self.stopping.restore(state["early_stopping"])
            self.history[:] = msgspec.convert(state["history"], list[dict[str, Any]])
        except (KeyError, TypeError, ValueError, AttributeError, msgspec.MsgspecError) as err:
            must, cure = "must be a whole state", "Remove this checkpoint to start afresh."
            raise ArtifactError.at(f"{path}/state.json", must, str(err), cure) from err
        best = path / BEST if self.stopping.best_epoch is not None else None
        self._kept.read(path / TENSORS, best)
        progress = self.progress
        self.emit(events.Resumed(path=path, epoch=progress.epoch, batches=progress.batches))

    def _state(self) -> dict[str, Any]:
        return {
            "hyperparameters": self.config.to_dict(),
            "data": self._data_facts(),
            "initial": self._kept.fingerprint,
            "progress": asdict(self.progress),
            "steps": self.step.count,
            "threads": torch.get_num_threads(),
            "optimizer": asdict(self.step.optimizer.position),
            "is_finished": self._is_finished,
            "metrics": self.metrics.state(),
            "early_stopping": self.stopping.state(),
            "history": self.history,
        }

    def _data_facts(self) -> dict[str, Any]:
        """Return what tells one set of data from another."""
        channels = {"train": self.train.pairs, "validation": self.validation}
        facts = {
            channel: None if pairs is None else pairs.fingerprint
            for channel, pairs in channels.items()
        }
        return facts if self._identity is None else facts | {"schema": self._identity}

    def _check_same_run(self, path: Path, state: dict[str, Any]) -> None:
        """Reject a checkpoint of other data, or of other settings that must not change."""
        free = {name for name, row in HYPERPARAMETERS.items() if row.may_change}
        if state.get("is_finished"):
            free.discard("epochs")  # it holds the best weights, not those of the last epoch
        ours = self.config.to_dict()
        theirs = state.get("hyperparameters")
        theirs = theirs if isinstance(theirs, dict) else {}
        changed = [n for n, value in ours.items() if n not in free and theirs.get(n) != value]
        if state.get("data") != self._data_facts():
            changed.append("data")
        if state.get("initial") != self._kept.fingerprint:
            changed.append("initial vectors")
        if changed:
            must = "must belong to this run"
            cure = "Resume with the same settings and data, or choose another folder."
            raise ArtifactError.at(str(path), must, "other " + ", ".join(changed), cure)
