"""``object2vec train``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from object2vec.artifact.location import MARK, check_target
from object2vec.cli.settings import read_hyperparameters
from object2vec.cli.tables import Reading, TableChoice, explaining_tables
from object2vec.config import Config
from object2vec.errors import ConfigError, Interrupted
from object2vec.files.remote import exists, is_url, join
from object2vec.files.sources import list_sources
from object2vec.reporting.events import Reporter
from object2vec.reporting.reporters import reporter
from object2vec.training.checkpoint import CheckpointFolder, Interval
from object2vec.training.options import local_folder

_log = logging.getLogger("object2vec.cli")
CHANNELS = ("train", "validation", "test")
_OF_FIT = (
    "split",
    "start_from",
    "start_state",
    "save_state",
    "auxiliary",
    "checkpoint_every",
    "resume",
    "overwrite",
)


@dataclass(frozen=True)
class Job:
    """What a run is asked to do.

    Parameters
    ----------
    options : mapping of str to object
        Those of the command ``train``, by parameter.
    hyperparameters : mapping of str to object
        Those among them.
    """

    options: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Job:
        """Return the job of some options, with the hyperparameters of a file and of --set."""
        return cls(options, read_hyperparameters(options["config"], options["settings"]))

    @property
    def model(self) -> str:
        """Where the model goes."""
        return str(self.options["out"])

    @property
    def checkpoints(self) -> CheckpointFolder:
        """Where checkpoints go: MODEL.checkpoint by default, of a URL in this folder."""
        model, given = self.model, self.options["checkpoints"]
        name = PurePosixPath(model).name if is_url(model) else model.rstrip("/\\")
        return local_folder("--checkpoints", given or f"{name}.checkpoint")

    @property
    def channels(self) -> dict[str, list[str] | None]:
        """The files of each channel; None for one that is not there."""
        return {name: list(self.options[name] or ()) or None for name in CHANNELS}

    @property
    def table(self) -> TableChoice:
        """What was said of a table's columns."""
        return TableChoice.of(self.options)

    @property
    def has_table(self) -> bool:
        """Whether records are rows of a table; else they are AWS's."""
        return self.table.is_made or self.options["start_from"] is not None

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
        if (split := self.options["split"]) is not None:
            self._check_split(split)
        Interval.parse(self.options["checkpoint_every"])

    def _check_split(self, split: float) -> None:
        if not 0 < split < 1:
            cure = "Write for example 0.1, a tenth of the rows."
            raise ConfigError.at("--split", "must be between 0 and 1", split, cure)
        if self.channels["validation"]:
            cure = "Leave one of them out."
            raise ConfigError.at("--split", "excludes --validation", split, cure)


def run(job: Job) -> None:
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
    files, log_format = list(job.options["train"]), job.options["log_format"]
    with nullcontext() if job.has_table else explaining_tables(files, job.model):
        job.check()
        if _is_finished(job):
            _log.info("%s is finished; there is nothing to do.", job.model)
            return
        if log_format == "json":
            for handler in logging.getLogger("object2vec").handlers:
                handler.setFormatter(_JsonFormatter())
        host, provided = job.options["host"], job.hyperparameters
        _fit(job, reporter(log_format, host=host, provided=provided))


def _fit(job: Job, show: Reporter) -> None:
    from object2vec.model import Object2Vec

    channels: Mapping[str, Any] = job.channels
    try:
        Object2Vec(**job.table.arguments(), **job.hyperparameters).fit(
            **channels,
            **Reading.of(job.options).arguments(),
            **{name: job.options[name] for name in _OF_FIT},
            checkpoints=job.checkpoints.path,
            save_to=job.model,
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


def _is_finished(job: Job) -> bool:
    """Say whether there is nothing to do; leave alone what an earlier run has left.

    Raises
    ------
    ConfigError
        If the model or checkpoints are there, and the options do not say what to do with them.
    StorageError
        If something else is there, which no option replaces.
    """
    resume, checkpoints = job.options["resume"], job.checkpoints
    has_model = exists(job.model)
    has_checkpoint = checkpoints.latest() is not None
    if resume and not has_checkpoint and not has_model:
        _log.info("There is no checkpoint in %s: starting afresh.", checkpoints.path)
    if job.options["overwrite"]:
        return False
    if has_model:
        if resume and not has_checkpoint and exists(join(job.model, MARK)):
            return True
        check_target(job.model, replace=True)  # or no option would help
        unfinished = f" beside unfinished work in {checkpoints.path}" if has_checkpoint else ""
        cure = "Name another folder, or replace what is there with --overwrite."
        if resume and has_checkpoint:
            cure = "Finish that work and replace the model with --resume --overwrite."
        raise ConfigError.at("--out", "must not exist yet", f"{job.model}{unfinished}", cure)
    if has_checkpoint and not resume:
        must = "must hold no checkpoint of an earlier run"
        cure = "Go on from it with --resume, or start afresh with --overwrite."
        raise ConfigError.at("--checkpoints", must, str(checkpoints.path), cure)
    return False
