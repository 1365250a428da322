"""What was tried, as files: a study can be killed and goes on from them.

===========================  ===================================================================
``study.json``               what is tuned, by what, how
``trials/0001/trial.json``   values, state and objective of one trial; always whole
``trials/0001/...``          what else its training keeps: a checkpoint while it runs, its model
``best``                     the model of the best trial
===========================  ===================================================================
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from object2vec.errors import ArtifactError, ConfigError
from object2vec.files.json import strict_json
from object2vec.files.whole import make_folder, storing, whole_file
from object2vec.tuning.objective import Goal

SCHEMA_VERSION = 1
State = Literal["waiting", "running", "completed", "stopped", "failed"]
_STUDY, _TRIALS, _TRIAL = "study.json", "trials", "trial.json"


@dataclass(frozen=True)
class Trial:
    """One training with hyperparameters of its own.

    Parameters
    ----------
    number : int
        From 1.
    values : dict
        Its hyperparameters.
    state : {"waiting", "running", "completed", "stopped", "failed"}
        Stopped: it had no prospects.
    course : tuple of float
        The objective after each epoch.
    value : float or None
        The objective of its model: that of the best epoch, or of the test.
    seconds : float
        That its training took.
    error : str
        Why it failed.
    """

    number: int
    values: dict[str, Any]
    state: State = "waiting"
    course: tuple[float, ...] = ()
    value: float | None = None
    seconds: float = 0.0
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state in ("completed", "stopped", "failed")

    @property
    def known_value(self) -> float:
        """Its value, if it has one."""
        assert self.value is not None, "our bug: a trial without a value"
        return self.value

    def texts(self) -> dict[str, str]:
        """Return its hyperparameters as a command or a request writes them."""
        values = self.values.items()
        return {n: repr(v) if isinstance(v, float) else str(v) for n, v in values}


class Study:
    """The folder of a study.

    Parameters
    ----------
    path : Path
    settings : mapping
        JSON values: what is tuned, by what, how.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, dict(settings)

    @classmethod
    def create(cls, path: Path, settings: Mapping[str, Any]) -> Study:
        """Make the folder of a new study.

        Raises
        ------
        ConfigError
            If there is something already.
        StorageError
            If it cannot be made.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            cure = "Go on with the study there by --resume, or choose another folder."
            raise ConfigError.at(str(path), "must not exist yet", "something", cure)
        study = cls(path, {"schema_version": SCHEMA_VERSION, **settings})
        with storing(path):
            make_folder(path / _TRIALS)
        _write(path / _STUDY, study.settings)
        return study

    @classmethod
    def open(cls, path: Path) -> Study:
        """Return the study in a folder.

        Raises
        ------
        ArtifactError
            If there is none, or it is of another version.
        """
        cure = "Name the folder that `object2vec tune --out` has made."
        try:
            settings = strict_json((path / _STUDY).read_text("utf-8"))
            version = settings["schema_version"]
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise ArtifactError.at(str(path), "must hold a study", str(err), cure) from err
        if version != SCHEMA_VERSION:
            must = f"must have schema version {SCHEMA_VERSION}"
            cure = "Use the version of object2vec that made it."
            raise ArtifactError.at(str(path / _STUDY), must, version, cure)
        return cls(path, settings)

    @property
    def objective(self) -> Goal:
        """What its trials are judged by."""
        return Goal.parse(self.settings["objective"])

    def folder(self, number: int) -> Path:
        """Return the folder of a trial."""
        return self.path / _TRIALS / f"{number:04d}"

    def save(self, trial: Trial) -> None:
        """Write a trial as it stands."""
        with storing(self.path):
            make_folder(self.folder(trial.number))
        _write(self.folder(trial.number) / _TRIAL, asdict(trial))

    def trials(self) -> list[Trial]:
        """Return all trials, in the order of their numbers."""
        return sorted(self._read(), key=lambda trial: trial.number)

    def _read(self) -> Iterator[Trial]:
        for file in (self.path / _TRIALS).glob(f"*/{_TRIAL}"):
            try:
                yield msgspec.json.decode(file.read_bytes(), type=Trial)
            except (OSError, msgspec.MsgspecError) as err:
                cure = "Remove the folder of this trial; it is tried again."
                raise ArtifactError.at(str(file), "must be a trial", str(err), cure) from err

    def best(self) -> Trial | None:
        """Return the best trial that has a model; None before there is one."""
        objective = self.objective
        found = [t for t in self.trials() if t.state == "completed" and t.value is not None]
        return min(found, key=lambda t: (objective.sign * t.known_value, t.number), default=None)

    def keep_best(self) -> None:
        """Make `best` the model of the best trial, and let go of the models of the others."""
        best = self.best()
        if best is None:
            return
        model, target = self.folder(best.number) / "model", self.path / "best"
        if model.is_dir():
            old = self.path / ".best-before"
            shutil.rmtree(old, ignore_errors=True)
            if target.exists():
                target.rename(old)
            model.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        if target.is_dir():  # whoever wrote it may have been killed before it said so
            _write(self.path / "best.json", {"trial": best.number})
        for trial in self.trials():
            if trial.is_over and trial.number != best.number:
                with contextlib.suppress(OSError):
                    shutil.rmtree(self.folder(trial.number) / "model")

    def reset(self, trial: Trial) -> Trial:
        """Let a trial that was interrupted wait again; what it has learned stays in its folder."""
        again = replace(trial, state="waiting", course=())
        self.save(again)
        return again


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with whole_file(path) as stream:
        stream.write(json.dumps(content, indent=1).encode() + b"\n")
