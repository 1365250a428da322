"""Jobs as processes on this machine, each with a folder that tells everything about it.

===================  ===========================================================================
``job.json``         what the job was started with
``log.txt``          everything that it printed
``input/``, ...      the tree of `sagemaker.paths`, the same as in a container
===================  ===========================================================================

Folders are under ``$OBJECT2VEC_JOBS``, or ``~/.object2vec/jobs``. The state of a job is read from
its folder, so that any process can attach to it, also after the one that started it is gone.
"""

from __future__ import annotations

import contextlib
import datetime
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from object2vec.errors import ConfigError
from object2vec.files.remote import download, is_url, join, write_object
from object2vec.files.whole import TEMPORARY_PREFIX
from object2vec.sagemaker.exceptions import UnexpectedStatusException
from object2vec.sagemaker.inputs import TrainingInput
from object2vec.sagemaker.paths import BASE_DIR_VARIABLE, Layout

JOBS_VARIABLE = "OBJECT2VEC_JOBS"
FAILURE_CHARACTERS = 1024  # of the failure file that SageMaker shows

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # of the CreateTrainingJob API
_POLL_S = 0.1
_MARK = "config.json"  # the last file of a model
_processes: dict[Path, subprocess.Popen[bytes]] = {}  # those that this process started


def jobs_root() -> Path:
    """Return the folder of all jobs: ``$OBJECT2VEC_JOBS`` or ``~/.object2vec/jobs``."""
    return Path(os.environ.get(JOBS_VARIABLE) or Path.home() / ".object2vec" / "jobs").absolute()


def new_name(base: str) -> str:
    """Return a job name made of `base` and the time, as the SDK makes them."""
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp = f"{now:%Y-%m-%d-%H-%M-%S}-{now.microsecond // 1000:03}"
    return f"{base[: 62 - len(stamp)]}-{stamp}"


def new_folder(name: str) -> Path:
    """Make the folder of a new job.

    Raises
    ------
    ConfigError
        If the name is none that AWS would take, or is taken.
    """
    if not _NAME.fullmatch(name):
        must = "must be 1 to 63 letters, digits and hyphens"
        raise ConfigError.at("job name", must, name, "Choose another name.")
    folder = jobs_root() / name
    try:
        folder.mkdir(parents=True)
    except FileExistsError as err:
        must = "must be new"
        raise ConfigError.at("job name", must, name, "Choose another name.") from err
    return folder


def start_process(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str], facts: Mapping[str, Any]
) -> None:
    """Start ``python -m object2vec`` for a job and write down what it was started with.

    Parameters
    ----------
    folder : Path
        The job's folder.
    arguments : sequence of str
        Of the command line.
    environment : mapping
        Added to the variables of this process.
    facts : mapping
        JSON values to keep in ``job.json``.
    """
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "object2vec", *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _processes[folder] = process
    document = {**facts, "pid": process.pid, "started": time.time()}
    fresh = folder / f"{TEMPORARY_PREFIX}job.json"
    fresh.write_text(json.dumps(document, indent=2), encoding="utf-8")
    os.replace(fresh, folder / "job.json")


def read_job(folder: Path) -> dict[str, Any]:
    """Return what a job was started with.

    Raises
    ------
    ConfigError
        If there is no such job.
    """
    try:
        document: dict[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ConfigError.at(
            "job name",
            f"must be a job in {folder.parent}",
            folder.name,
            f"Check the name, and the folder ({JOBS_VARIABLE}).",
        ) from err
    return document


def is_alive(folder: Path) -> bool:
    """Return whether the job's process is still there."""
    if folder in _processes:
        return _processes[folder].poll() is None
    if os.name == "nt":  # os.kill would end it there
        return True
    try:
        os.kill(int(read_job(folder)["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's: the number was given out again
        return False
    return True


def exit_code(folder: Path) -> int | None:
    """Return the exit code of a job that this process started and that has ended, else None."""
    return _processes[folder].poll() if folder in _processes else None


def send_signal(folder: Path, number: int) -> None:
    """Send a signal to the job's process if it is still there."""
    if is_alive(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(read_job(folder)["pid"]), number)


def follow(folder: Path) -> Iterator[str]:
    """Yield the lines of a job's log until its process ends."""
    with (folder / "log.txt").open(encoding="utf-8", errors="replace") as log:
        line = ""
        while True:
            is_last = not is_alive(folder)  # what it wrote before it ended is read below
            while piece := log.readline():
                line += piece
                if line.endswith("\n"):
                    yield line
                    line = ""
            if is_last:
                break
            time.sleep(_POLL_S)
        if line:
            yield f"{line}\n"


def show_log(folder: Path) -> None:
    """Print a job's log until its process ends."""
    for line in follow(folder):
        sys.stdout.write(line)
        sys.stdout.flush()


def wait_until_end(folder: Path) -> None:
    """Return when the job's process has ended."""
    while is_alive(folder):
        time.sleep(_POLL_S)


class TrainingJob:
    """One training job.

    Parameters
    ----------
    name : str

    Raises
    ------
    ConfigError
        If there is no such job.
    """

    def __init__(self, name: str) -> None:
        self.name = self.job_name = name
        self.folder = jobs_root() / name
        self.facts = read_job(self.folder)
        self.layout = Layout(self.folder)

    @classmethod
    def start(
        cls,
        name: str,
        hyperparameters: Mapping[str, str],
        channels: Mapping[str, TrainingInput],
        hosts: int,
        environment: Mapping[str, str],
        facts: Mapping[str, Any],
        checkpoints: str | None = None,
    ) -> TrainingJob:
        """Start a job as SageMaker does: write its tree, fetch its channels, run the container.

        Parameters
        ----------
        name : str
        hyperparameters : mapping of str to str
        channels : mapping of str to TrainingInput
        hosts : int
            Number of machines that the job is told to have.
        environment : mapping
            Variables for the process.
        facts : mapping
            What else to keep in ``job.json``; ``note`` becomes the first lines of the log.
        checkpoints : path, optional
            A folder that jobs share: the next one goes on where this one is stopped.

        Raises
        ------
        ConfigError
            If the name or the folder for checkpoints cannot be used.
        DataError
            If a channel cannot be fetched.
        """
        folder = new_folder(name)
        try:
            layout = Layout(folder)
            for path in (layout.config, layout.model, layout.output_data):
                path.mkdir(parents=True)
            if checkpoints is not None:
                _link_checkpoints(checkpoints, layout.checkpoints)
            names = [f"algo-{number + 1}" for number in range(hosts)]
            _write_json(layout.hyperparameters, dict(hyperparameters))
            described = {channel: given.facts for channel, given in channels.items()}
            _write_json(layout.input_data_config, described)
            _write_json(layout.resource_config, {"current_host": names[0], "hosts": names})
            for channel, given in channels.items():
                _fetch(given.s3_data, layout.channel(channel))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        (folder / "log.txt").write_text(facts["note"], encoding="utf-8")
        own = {BASE_DIR_VARIABLE: str(folder), "TRAINING_JOB_NAME": name}
        sources = {channel: given.s3_data for channel, given in channels.items()}
        start_process(
            folder, ["sagemaker", "train"], {**environment, **own}, {**facts, "channels": sources}
        )
        return cls(name)

    @property
    def status(self) -> str:
        """``InProgress``, ``Stopping``, ``Completed``, ``Stopped`` or ``Failed``."""
        is_stopping = (self.folder / "stopping").exists()
        if is_alive(self.folder):
            return "Stopping" if is_stopping else "InProgress"
        if is_stopping:
            return "Stopped"
        is_good = self.has_model and not self.layout.failure.exists()
        return "Completed" if is_good else "Failed"

    @property
    def has_model(self) -> bool:
        """Whether the job has ended with a model."""
        return (self.layout.model / _MARK).is_file() and not is_alive(self.folder)

    @property
    def hyperparameters(self) -> dict[str, str]:
        """What the job was given."""
        text = self.layout.hyperparameters.read_text(encoding="utf-8")
        hyperparameters: dict[str, str] = json.loads(text)
        return hyperparameters

    @property
    def failure_reason(self) -> str | None:
        """What the job says of its failure; None if it did not fail."""
        if self.status != "Failed":
            return None
        if not self.layout.failure.exists():
            return "AlgorithmError: the process ended without a word."
        text = self.layout.failure.read_text(encoding="utf-8", errors="replace")
        return text[:FAILURE_CHARACTERS]

    def wait(self, logs: bool = True) -> None:
        """Wait for the end of the job, and print its log meanwhile.

        Ctrl-C stops the job, which then keeps the best model so far.

        Raises
        ------
        UnexpectedStatusException
            If it fails.
        """
        try:
            show_log(self.folder) if logs else wait_until_end(self.folder)
        except KeyboardInterrupt:
            self.stop()
            raise
        if self.status == "Failed":
            text = f"Error for Training job {self.name}: Failed. Reason: {self.failure_reason}"
            raise UnexpectedStatusException(text, ["Completed", "Stopped"], "Failed")

    def stop(self) -> None:
        """Ask the job to stop; it saves the best model so far."""
        if is_alive(self.folder):
            (self.folder / "stopping").touch()
            send_signal(self.folder, signal.SIGTERM)

    @property
    def model_data(self) -> str:
        """Path or URL of the model's archive, ``model.tar.gz``.

        Raises
        ------
        UnexpectedStatusException
            If the job has no model, or not yet.
        """
        place = self.facts.get("output_path")
        root = join(place, self.name) if place else str(self.folder)
        archive = join(join(root, "output"), "model.tar.gz")
        done = self.folder / "packed"
        if done.exists():
            return archive
        if not self.has_model:
            text = f"Training job {self.name} has no model: its status is {self.status}."
            raise UnexpectedStatusException(text, ["Completed", "Stopped"], self.status)
        _pack(self.layout.model, archive)
        done.touch()
        return archive

    @property
    def times(self) -> tuple[float, float | None]:
        """Start and end in seconds since 1970; None while the job runs."""
        end = None if is_alive(self.folder) else (self.folder / "log.txt").stat().st_mtime
        return float(self.facts["started"]), end


def _link_checkpoints(folder: str, target: Path) -> None:
    if is_url(folder):
        cure = "Copy checkpoints to and from the object store yourself."
        must = "must be a folder of this machine for a local job"
        raise ConfigError.at("checkpoint_s3_uri", must, folder, cure)
    path = Path(folder).absolute()
    path.mkdir(parents=True, exist_ok=True)
    target.symlink_to(path, target_is_directory=True)


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")


def _fetch(source: str, target: Path) -> None:
    """Put a channel's records into its folder: by a link if they are on this machine."""
    if is_url(source):
        target.mkdir(parents=True)
        download(source, target)
        return
    path = Path(source).absolute()
    if not path.exists():
        cure = "Check the name and the folder you are in."
        raise ConfigError.at(source, "must be a file or folder", "nothing there", cure)
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        _link(path, target)
    else:
        target.mkdir()
        _link(path, target / path.name)


def _link(path: Path, target: Path) -> None:
    try:
        target.symlink_to(path, target_is_directory=path.is_dir())
    except OSError:  # Windows lets only some users make links
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        copy(path, target)


def _pack(folder: Path, archive: str) -> None:
    """Write a folder's files into an archive, whole or not at all, the same bytes every time."""
    with contextlib.ExitStack() as stack:
        stream: Any
        fresh = Path(f"{archive}{TEMPORARY_PREFIX}")
        if is_url(archive):
            stream = stack.enter_context(write_object(archive))
        else:
            fresh.parent.mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context(fresh.open("wb"))
        with (
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=stream, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            for path in sorted(folder.iterdir()):
                member = tarfile.TarInfo(path.name)
                member.size = path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(member, file)
    if not is_url(archive):
        os.replace(fresh, archive)
