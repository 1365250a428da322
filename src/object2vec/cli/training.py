"""``object2vec train``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from object2vec.artifact.location import MARK, check_target
from object2vec.cli.settings import read_hyperparameters
from object2vec.cli.tables import Reading, TableChoice, explaining_tables
from object2vec.config import Config
from object2vec.errors import ConfigError, Interrupted
from object2vec.files.remote import exists, is_url, join
from object2vec.files.sources import list_sources
from object2vec.reporting import LogFormat
from object2vec.reporting.events import Reporter
from object2vec.reporting.reporters import reporter
from object2vec.training.checkpoint import CheckpointFolder, Interval

__all__ = ["Job", "Locations", "Reading", "Start", "TableChoice", "checkpoint_folder", "run_job"]

_log = logging.getLogger("object2vec.cli")


@dataclass(frozen=True)
class Locations:
    """The folders of a run, or their URLs: its model, its checkpoints, the auxiliary files."""

    model: str
    checkpoints: Path
    auxiliary: str | None

    @classmethod
    def of(cls, model: str, checkpoints: str | None, auxiliary: str | None) -> Locations:
        """Return the locations that options name."""
        return cls(model, checkpoint_folder(checkpoints, model), auxiliary)


def checkpoint_folder(given: str | None, model: str) -> Path:
    """Return the folder for checkpoints: MODEL.checkpoint by default, of a URL in this folder.

    Raises
    ------
    ConfigError
        If a URL is given.
    """
    if given is None:
        name = PurePosixPath(model).name if is_url(model) else model.rstrip("/\\")
        return Path(f"{name}.checkpoint")
    if is_url(given):
        cure = "Copy it to and from the object store yourself."
        raise ConfigError.at("--checkpoints", "must be a folder of this machine", given, cure)
    return Path(given)


@dataclass(frozen=True)
class Start:
    """What a run begins with.

    Parameters
    ----------
    model : str, optional
        Where the model is that it goes on from, with new records.
    state : str, optional
        Where the optimizer state is that it goes on with.
    kept_state : str, optional
        Where its own is kept at the end.
    split : float, optional
        Share of the training records that is kept for validation.
    resume : bool, default False
        Go on from the newest checkpoint, if there is one.
    overwrite : bool, default False
        Replace a model and checkpoints that are there.
    checkpoint_every : str, default "10m"
        Batches or time between checkpoints.
    """

    model: str | None = None
    state: str | None = None
    kept_state: str | None = None
    split: float | None = None
    resume: bool = False
    overwrite: bool = False
    checkpoint_every: str = "10m"


@dataclass(frozen=True)
class Job:
    """All that a run is asked to do; `channels` are the files of train, validation and test."""

    hyperparameters: Mapping[str, Any]
    channels: Mapping[str, list[str] | None]
    table: TableChoice
    reading: Reading
    locations: Locations
    start: Start

    @property
    def has_table(self) -> bool:
        """Whether records are rows of a table; else they are AWS's."""
        return self.table.is_made or self.start.model is not None

    def check(self) -> None:
        """Report what is wrong before torch is imported and anything is read.

        Raises
        ------
        ConfigError, DataError
            If hyperparameters, options or names of files are.
        """
        self.check_options()
        if not self.has_table:
            Config.build(self.hyperparameters)

    def check_options(self) -> None:
        """Report what is wrong but for the hyperparameters, which a study may not have yet."""
        self.table.schema()
        list_sources([name for files in self.channels.values() for name in files or ()])
        if (split := self.start.split) is not None:
            self._check_split(split)
        Interval.parse(self.start.checkpoint_every)

    def _check_split(self, split: float) -> None:
        if not 0 < split < 1:
            cure = "Write for example 0.1, a tenth of the rows."
            raise ConfigError.at("--split", "must be between 0 and 1", split, cure)
        if self.channels["validation"]:
            cure = "Leave one of them out."
            raise ConfigError.at("--split", "excludes --validation", split, cure)


def run_job(config: str | None, settings: Sequence[str] | None, *said: Any) -> None:
    """Run a job with the hyperparameters of a file and of the command line.

    Parameters
    ----------
    config, settings
        Where those are.
    *said
        The files of train, validation and test, the table, reading and start of a `Job`, then the
        format of the log, the name of the host, and what the job's `Locations` are of.

    Raises
    ------
    ConfigError, DataError, Interrupted, StorageError
        As `run` does.
    """
    files, table, reading, start, log_format, host, *folders = said
    names = "train", "validation", "test"
    channels = {name: given or None for name, given in zip(names, files, strict=True)}
    read = read_hyperparameters(config, settings), channels, table, reading
    run(Job(*read, Locations.of(*folders), start), log_format=log_format, host=host)


def run(job: Job, *, log_format: LogFormat | None, host: str) -> None:
    """Train a model and save it, or go on where an earlier run was stopped.

    Raises
    ------
    ConfigError, DataError
        If hyperparameters, options or records are wrong.
    Interrupted
        If a signal stopped the run.
    StorageError
        If something cannot be written or another process trains here.
    """
    files = job.channels["train"] or []
    with nullcontext() if job.has_table else explaining_tables(files, job.locations.model):
        job.check()
        if _is_finished(job.locations, job.start):
            _log.info("%s is finished; there is nothing to do.", job.locations.model)
            return
        if log_format == "json":
            for handler in logging.getLogger("object2vec").handlers:
                handler.setFormatter(_JsonFormatter())
        _fit(job, reporter(log_format, host=host, provided=job.hyperparameters))


def _fit(job: Job, show: Reporter) -> None:
    from object2vec.model import Object2Vec

    start, locations = job.start, job.locations
    channels: Mapping[str, Any] = job.channels
    try:
        Object2Vec(**job.table.arguments(), **job.hyperparameters).fit(
            **channels,
            **job.reading.arguments(),
            split=start.split,
            start_from=start.model,
            start_state=start.state,
            save_state=start.kept_state,
            auxiliary=locations.auxiliary,
            checkpoints=locations.checkpoints,
            checkpoint_every=start.checkpoint_every,
            resume=start.resume,
            save_to=locations.model,
            overwrite=start.overwrite,
            reporters=[show],
        )
    except Interrupted as err:
        text = f"{err}\nThe same command with --resume goes on from there."
        raise Interrupted(text, err.signal_number) from err


class _JsonFormatter(logging.Formatter):
    """A log line as one more event, so that every line of the log is JSON."""

    def format(self, record: logging.LogRecord) -> str:
        level, text = record.levelname.lower(), record.getMessage()
        return json.dumps({"event": "log", "level": level, "text": text})


def _is_finished(locations: Locations, start: Start) -> bool:
    """Say whether there is nothing to do; leave alone what an earlier run has left.

    Raises
    ------
    ConfigError
        If the model or checkpoints are there, and the options do not say what to do with them.
    StorageError
        If something else is there, which no option replaces.
    """
    has_model = exists(locations.model)
    has_checkpoint = CheckpointFolder(locations.checkpoints).latest() is not None
    if start.resume and not has_checkpoint and not has_model:
        _log.info("There is no checkpoint in %s: starting afresh.", locations.checkpoints)
    if start.overwrite:
        return False
    if has_model:
        if start.resume and not has_checkpoint and exists(join(locations.model, MARK)):
            return True
        check_target(locations.model, replace=True)  # or no option would help
        unfinished = f" beside unfinished work in {locations.checkpoints}" if has_checkpoint else ""
        cure = "Name another folder, or replace what is there with --overwrite."
        if start.resume and has_checkpoint:
            cure = "Finish that work and replace the model with --resume --overwrite."
        raise ConfigError.at("--out", "must not exist yet", f"{locations.model}{unfinished}", cure)
    if has_checkpoint and not start.resume:
        must = "must hold no checkpoint of an earlier run"
        cure = "Go on from it with --resume, or start afresh with --overwrite."
        raise ConfigError.at("--checkpoints", must, str(locations.checkpoints), cure)
    return False
