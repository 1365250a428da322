"""``object2vec train``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict

from object2vec.artifact.location import MARK, check_target
from object2vec.config import Config
from object2vec.errors import ConfigError, Interrupted
from object2vec.files.remote import exists, is_url, join
from object2vec.files.sources import list_sources
from object2vec.reporting import LogFormat
from object2vec.reporting.reporters import reporter
from object2vec.training.checkpoint import CheckpointFolder, Interval

_log = logging.getLogger("object2vec.cli")


@dataclass(frozen=True)
class Locations:
    """The folders of a run, or their URLs: its model, its checkpoints, the auxiliary files."""

    model: str
    checkpoints: Path
    auxiliary: str | None


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


class ChannelFiles(TypedDict):
    """The files of each channel."""

    train: list[str]
    validation: list[str] | None
    test: list[str] | None


def run(
    hyperparameters: Mapping[str, Any],
    channels: ChannelFiles,
    locations: Locations,
    *,
    resume: bool,
    overwrite: bool,
    checkpoint_every: str,
    log_format: LogFormat | None,
    host: str,
) -> None:
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
    Config.build(hyperparameters)  # what is wrong is reported before torch is imported
    Interval.parse(checkpoint_every)
    list_sources([*channels["train"], *(channels["validation"] or ()), *(channels["test"] or ())])
    if _is_finished(locations, resume=resume, overwrite=overwrite):
        _log.info("%s is finished; there is nothing to do.", locations.model)
        return
    from object2vec.model import Object2Vec

    if log_format == "json":
        for handler in logging.getLogger("object2vec").handlers:
            handler.setFormatter(_JsonFormatter())
    show = reporter(log_format, host=host, provided=hyperparameters)
    try:
        Object2Vec(**hyperparameters).fit(
            **channels,
            auxiliary=locations.auxiliary,
            checkpoints=locations.checkpoints,
            checkpoint_every=checkpoint_every,
            resume=resume,
            save_to=locations.model,
            overwrite=overwrite,
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


def _is_finished(locations: Locations, *, resume: bool, overwrite: bool) -> bool:
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
    if resume and not has_checkpoint and not has_model:
        _log.info("There is no checkpoint in %s: starting afresh.", locations.checkpoints)
    if overwrite:
        return False
    if has_model:
        if resume and not has_checkpoint and exists(join(locations.model, MARK)):
            return True
        check_target(locations.model, replace=True)  # or no option would help
        unfinished = f" beside unfinished work in {locations.checkpoints}" if has_checkpoint else ""
        cure = "Name another folder, or replace what is there with --overwrite."
        if resume and has_checkpoint:
            cure = "Finish that work and replace the model with --resume --overwrite."
        raise ConfigError.at("--out", "must not exist yet", f"{locations.model}{unfinished}", cure)
    if has_checkpoint and not resume:
        must = "must hold no checkpoint of an earlier run"
        cure = "Go on from it with --resume, or start afresh with --overwrite."
        raise ConfigError.at("--checkpoints", must, str(locations.checkpoints), cure)
    return False
