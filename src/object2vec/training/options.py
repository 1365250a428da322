"""What a run reads, and how it goes about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from object2vec.errors import ConfigError
from object2vec.files.remote import PathLike, is_url
from object2vec.reporting.events import Reporter
from object2vec.training.checkpoint import CheckpointFolder, Interval
from object2vec.training.stop import StopRequest


@dataclass(frozen=True)
class Channels:
    """What a run reads.

    Parameters
    ----------
    train, validation, test : anything that `Pairs.read` reads
        None for a channel that is not there; train must be.
    auxiliary : path or URL, optional
        Folder of the vocabulary and vector files that the configuration names.
    """

    train: Any
    validation: Any = None
    test: Any = None
    auxiliary: PathLike | None = None

    def sources(self) -> Iterator[tuple[str, Any]]:
        """Yield the name and the source of each channel that is there, train first."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        yield from ((name, source) for name, source in named.items() if source is not None)


@dataclass(frozen=True)
class Habits:
    """How a run goes about it: what it keeps and where, and who hears of it.

    Parameters
    ----------
    checkpoints : CheckpointFolder, optional
        Where to save the run while it goes on; nowhere by default.
    interval : Interval, optional
        How often; by default only a signal does.
    resume : bool, default False
        Go on from the newest checkpoint if there is one.
    save_to : path or URL, optional
        Where to save the model at the end.
    overwrite : bool, default False
        Replace a model at `save_to`, a state at `save_state`, and the checkpoints of another run.
    reporters : tuple of Reporter
        Take every event, and are closed at the end.
    stop : StopRequest, optional
        Asked after every batch; by default one that listens to signals.
    save_state : CheckpointFolder, optional
        Where the optimizer state at the end is kept, for a run that starts from the model.
    """

    checkpoints: CheckpointFolder | None = None
    interval: Interval = field(default_factory=Interval)
    resume: bool = False
    save_to: PathLike | None = None
    overwrite: bool = False
    reporters: tuple[Reporter, ...] = ()
    stop: StopRequest | None = None
    save_state: CheckpointFolder | None = None


def checkpoint_habits(
    path: PathLike | None, every: str | int | None, *, resume: bool
) -> tuple[CheckpointFolder | None, Interval]:
    """Return the folder and the interval that a user names.

    Raises
    ------
    ConfigError
        If there is no folder but a need of one, it is no folder of this machine, or the interval
        is wrong.
    """
    interval = Interval() if every is None else Interval.parse(every)
    if path is None:
        if resume or every is not None:
            must, cure = "must be given with resume or checkpoint_every", "Name a folder for them."
            raise ConfigError.at("checkpoints", must, None, cure)
        return None, interval
    return local_folder("checkpoints", path), interval


def local_folder(name: str, path: PathLike) -> CheckpointFolder:
    """Return the folder that an option names; raise `ConfigError` if it is a URL."""
    if is_url(path):
        got, cure = os.fspath(path), "Copy it to and from the object store yourself."
        raise ConfigError.at(name, "must be a folder of this machine", got, cure)
    return CheckpointFolder(Path(path))
