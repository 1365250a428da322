"""Checkpoints: everything a run needs to go on to the very same bytes.

A run owns one folder, or some names in a folder where other things may lie: nothing is removed that
another program has written. A lock file keeps a second process out. Each checkpoint is a folder of
its own, ``step-000000123``, that appears by one rename; the newest whole one counts, and the one
before it stays until the newer is there. Random choices are functions of the seed and of the
position (see `pairs.batches`), so the position is all of the random state that there is to save.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from object2vec.artifact.location import METRICS
from object2vec.errors import ArtifactError, ConfigError, StorageError
from object2vec.files.remote import PathLike, is_url
from object2vec.files.whole import TEMPORARY_PREFIX, make_folder, storing, whole_folder

SCHEMA_VERSION = 3
_NAME = re.compile(r"step-(\d{9,})")
TENSORS, BEST = "tensors.safetensors", "best.safetensors"

_LOCK = "object2vec.lock"
_STATE = "state.json"
_LEFTOVER = re.compile(re.escape(TEMPORARY_PREFIX) + r"step-\d{9,}-\w+")


@dataclass(frozen=True)
class Interval:
    """How often to write a checkpoint: after so many steps, or so many seconds.

    Without either one is written only when the run is asked to stop.

    Parameters
    ----------
    steps : int or None
    seconds : float or None
    """

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str | int) -> Interval:
        """Return the interval that a number of steps, or a time like ``"30s"`` or ``"10m"``, names.

        Raises
        ------
        ConfigError
            If `text` is neither.
        """
        match = re.fullmatch(r"(\d+)([smh]?)", str(text).strip())
        if match is None or int(match[1]) == 0:
            must = "must be a number of steps or a time"
            cure = "Write for example 500, 30s, 10m or 1h."
            raise ConfigError.at("checkpoint interval", must, text, cure)
        number = int(match[1])
        if not match[2]:
            return cls(steps=number)
        return cls(seconds=number * {"s": 1.0, "m": 60.0, "h": 3600.0}[match[2]])

    def is_due(self, steps: int, seconds: float) -> bool:
        """Return whether a checkpoint is due so many steps and seconds after the last one."""
        return bool(
            (self.steps is not None and steps >= self.steps)
            or (self.seconds is not None and seconds >= self.seconds)
        )


class CheckpointFolder:
    """The checkpoints of one run.

    Parameters
    ----------
    path : Path
        It is created if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process while the block runs; remove it if it stays without use.

        Raises
        ------
        StorageError
            If another process holds it, it cannot be created, or what another program has written
            has a name that the run needs.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / _LOCK, timeout=0)
        with storing(self.path):
            make_folder(self.path)
            self._check_names()
            try:
                lock.acquire()
            except Timeout as err:
                must = "must belong to one process"
                got = "another one that trains here"
                cure = "Wait until it ends or choose another folder."
                raise StorageError.at(str(self.path), must, got, cure) from err
        try:
            for path in self.path.iterdir():
                if _LEFTOVER.fullmatch(path.name):
                    shutil.rmtree(path, ignore_errors=True)
            yield
        finally:
            if self.latest() is None:
                self.clear()
            lock.release()

    def _check_names(self) -> None:
        """Raise `StorageError` if names that the run needs are those of another program's files."""
        wanted = [path.name for path in self.path.iterdir() if _NAME.fullmatch(path.name)]
        foreign = sorted(set(wanted) - {path.name for path in self._all()})
        is_ours = (self.path / _LOCK).exists() or any(
            (path / _STATE).is_file() for path in self._all()
        )
        if not is_ours:
            foreign += [name for name in (METRICS,) if os.path.lexists(self.path / name)]
        if foreign:
            must = "must hold nothing of another program under the names of checkpoints"
            cure = "Choose another folder for checkpoints, or move these away."
            raise StorageError.at(str(self.path), must, foreign, cure)

    def check_apart(self, model: PathLike) -> None:
        """Make sure that a model is not to be saved where the checkpoints are, or around them.

        Raises
        ------
        ConfigError
            If so.
        """
        folder = Path(os.path.realpath(self.path))
        if not is_url(model) and Path(os.path.realpath(model)) in (folder, *folder.parents):
            must = "must not lie in the folder of the model"
            cure = "Choose another folder for one of them."
            raise ConfigError.at("checkpoints", must, str(self.path), cure)

    def check_free(self) -> None:
        """Make sure that there is no checkpoint of an earlier run.

        Raises
        ------
        StorageError
            If there is one.
        """
        if (latest := self.latest()) is not None:
            must = "must hold no checkpoint of an earlier run"
            cure = "Resume, choose another folder or allow overwriting."
            raise StorageError.at(str(self.path), must, latest.name, cure)

    def latest(self) -> Path | None:
        """Return the newest checkpoint; None without any."""
        return max(self._all(), default=None, key=lambda path: int(path.name[5:]))

    def _all(self) -> list[Path]:
        """Return the checkpoints: folders of such a name without a file of another program."""
        if not self.path.is_dir():
            return []
        named = [path for path in self.path.iterdir() if _NAME.fullmatch(path.name)]
        return [
            path
            for path in named
            if path.is_dir() and {each.name for each in path.iterdir()} <= {TENSORS, _STATE, BEST}
        ]

    def save(
        self,
        step: int,
        state: Mapping[str, Any],
        write: Callable[[Path], object],
        write_best: Callable[[Path], object] | None,
    ) -> Path:
        """Write a checkpoint and remove the older ones.

        Parameters
        ----------
        step : int
            Updates made so far.
        state : mapping
            JSON values.
        write : callable
            Writes weights and optimizer state to a file.
        write_best : callable or None
            Writes what leads to the best weights so far, if there are any.

        Raises
        ------
        StorageError
            If it cannot be written; the previous checkpoint stays.
        """
        target = self.path / f"step-{step:09d}"
        if target.exists():
            return target
        with whole_folder(target) as folder:
            write(folder / TENSORS)
            if write_best is not None:
                write_best(folder / BEST)
            text = json.dumps({"schema_version": SCHEMA_VERSION, **state}, indent=1)
            (folder / _STATE).write_text(text, encoding="utf-8")
        for path in self._all():
            if path != target:
                shutil.rmtree(path, ignore_errors=True)
        return target

    def state(self, path: Path) -> dict[str, Any]:
        """Return a checkpoint's state without its tensors.

        Raises
        ------
        ArtifactError
            If it is damaged or of another version.
        """
        file = path / _STATE
        try:
            state = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as err:
            raise ArtifactError.at(
                str(file), "must be readable JSON", str(err), "Remove this checkpoint."
            ) from err
        version = state.get("schema_version") if isinstance(state, dict) else None
        if version != SCHEMA_VERSION:
            must = f"must have schema version {SCHEMA_VERSION}"
            cure = "Resume with the version of object2vec that wrote it, or start afresh."
            raise ArtifactError.at(str(file), must, version, cure)
        checked: dict[str, Any] = state
        return checked

    def clear(self) -> None:
        """Remove every checkpoint and working file; the folder too if nothing else is in it."""
        self.discard()
        with contextlib.suppress(OSError):
            (self.path / _LOCK).unlink(missing_ok=True)
            self.path.rmdir()

    def discard(self) -> None:
        """Remove every checkpoint and working file."""
        for path in self._all():
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            (self.path / METRICS).unlink(missing_ok=True)
