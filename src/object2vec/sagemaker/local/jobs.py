"""What runs: jobs that wait for their turn, and processes whose output is read line by line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from object2vec.compiled import processes
from object2vec.compiled.cores import CORES_VARIABLE
from object2vec.errors import Object2VecError, StorageError
from object2vec.files.whole import whole_file
from object2vec.sagemaker.local.storage import MissingData

_STOP_S = 120.0  # between SIGTERM and SIGKILL, as on AWS
_PID = "process.pid"
_CLIENT_ERRORS = (MissingData, ValueError)  # wrong data, wrong records and filters


class JobFailed(Exception):
    """Why a job failed, as its description says it."""


def reason_of(err: Exception) -> str:
    """Return why a job failed, as its description says it."""
    if isinstance(err, JobFailed):
        return str(err)
    if isinstance(err, _CLIENT_ERRORS):
        return f"ClientError: {err}"
    if not isinstance(err, OSError | Object2VecError):
        traceback.print_exc()
    return f"InternalServerError: {err}"


class Work:
    """One job at work.

    Parameters
    ----------
    folder : Path
        Of the job, by whose name it is called. Its process is noted there, so that the next service
        can end it if this one is killed.

    Attributes
    ----------
    name : str
    cores : int
        That its process may use, whatever `threads` its hyperparameters ask for; 0 for all of them.
    is_overdue : bool
        Whether it was stopped because its time was over.
    """

    def __init__(self, folder: Path) -> None:
        self.name, self.folder = folder.name, folder
        self.cores, self.is_overdue = 0, False
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        on_line: Callable[[str], object],
    ) -> int:
        """Run ``python -m object2vec`` to its end and return the exit code.

        Parameters
        ----------
        arguments : sequence of str
        environment : mapping of str to str
            Added to that of this process.
        on_line : callable
            Takes every line that it prints, on standard output or error.
        """
        variables = _clean_environment() | {"PYTHONUNBUFFERED": "1"} | dict(environment)
        if self.cores:
            variables[CORES_VARIABLE] = str(self.cores)
        with self._lock:
            if self.stopping.is_set():
                return -signal.SIGTERM
            self._process = process = processes.start(arguments, variables)
        with process:
            with contextlib.suppress(StorageError):  # its folder may be deleted meanwhile
                note_process(self.folder, process.pid)
            assert process.stdout is not None
            for line in process.stdout:
                on_line(line.rstrip("\n"))
        (self.folder / _PID).unlink(missing_ok=True)
        return process.returncode

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Stop the job if the block runs for longer."""

        def end() -> None:
            self.is_overdue = True
            self.stop()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def stop(self, grace_s: float = _STOP_S) -> None:
        """Ask the process to end, and end it if it does not."""
        with self._lock:
            self.stopping.set()
            process = self._process
        if process is not None:
            processes.end(process, grace_s)


class Queue:
    """Runs jobs in the order in which they come, and divides the cores among them.

    Parameters
    ----------
    cores : int
        All jobs together use so many, one at least each.
    slots : int, default 0
        How many jobs run at once, each with an equal share of the cores. 0: a job that is alone
        uses all cores, and jobs that start together share them, two at least each.
    """

    def __init__(self, cores: int, slots: int = 0) -> None:
        self._free, self._slots = cores, min(slots or max(1, cores // 2), cores)
        self._least = cores // self._slots
        self._most = self._least if slots else cores
        self._waiting: deque[tuple[Work, Callable[[Work], object]]] = deque()
        self._running: dict[Work, threading.Thread] = {}
        self._lock = threading.RLock()

    def submit(self, folder: Path, work: Callable[[Work], object]) -> Work:
        """Let `work` run the job of a folder when its turn comes."""
        job = Work(folder)
        with self._lock:
            self._waiting.append((job, work))
            self._start_next()
        return job

    def _start_next(self) -> None:
        """Start the jobs for which there are cores."""
        while self._waiting and self._free >= self._least:
            left = self._slots - sum(1 for job in self._running if job.cores)
            if left <= 0:
                return
            share = self._free // min(left, len(self._waiting))
            job, work = self._waiting.popleft()
            job.cores = min(self._most, max(self._least, share))
            self._free -= job.cores
            self._start(job, work)

    def _start(self, job: Work, work: Callable[[Work], object]) -> None:
        thread = threading.Thread(target=self._run, args=(job, work))
        self._running[job] = thread
        thread.start()

    def _run(self, job: Work, work: Callable[[Work], object]) -> None:
        try:
            work(job)
        except Exception:  # `work` notes what fails; this is what fails in noting it
            traceback.print_exc()
        finally:
            with self._lock:
                self._free += job.cores
                del self._running[job]
                self._start_next()

    def stop(self, folder: Path) -> bool:
        """Ask the job of a folder to end; return whether it was there.

        One that waits has its turn at once.
        """
        with self._lock:
            for each in self._waiting:
                if each[0].folder == folder:
                    self._waiting.remove(each)
                    each[0].stop()
                    self._start(*each)
                    return True
            job = next((job for job in self._running if job.folder == folder), None)
        if job is not None:
            job.stop()
        return job is not None

    def close(self, grace_s: float) -> None:
        """End the jobs that run, and return when they have ended; those that wait never start."""
        with self._lock:
            self._waiting.clear()
            running = dict(self._running)
        for job in running:
            job.stop(grace_s)
        for thread in running.values():
            thread.join()


def _clean_environment() -> dict[str, str]:
    """Return this process's variables without those that would send a job's requests to us."""
    unwanted = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def note_process(folder: Path, pid: int) -> None:
    """Note a process in a folder, and when it began: numbers of processes are given out again."""
    with whole_file(folder / _PID) as stream:
        stream.write(f"{pid} {_started(pid)}".encode())


def end_noted(folder: Path) -> bool:
    """End the process that an earlier service noted in a folder; return whether it was there."""
    try:
        pid, _, started = (folder / _PID).read_text("ascii").partition(" ")
    except OSError:
        return False
    (folder / _PID).unlink()
    if not started or _started(int(pid)) != started:
        return False
    with contextlib.suppress(OSError):
        os.killpg(int(pid), signal.SIGKILL)
        return True
    return False


def _started(pid: int) -> str:
    """Return when a process began, in the system's own unit; "" where it does not say."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[19]
        )
    except (OSError, IndexError):
        return ""
