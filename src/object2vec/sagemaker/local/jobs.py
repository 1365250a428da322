"""What runs: jobs that wait for their turn, and processes whose output is read line by line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from object2vec.errors import StorageError
from object2vec.files.whole import whole_file

_STOP_S = 120.0  # between SIGTERM and SIGKILL, as on AWS
_PID = "process.pid"
ENDED = ("Completed", "Failed", "Stopped")
"""States of a job of which nothing more becomes."""


class JobFailed(Exception):
    """Why a job failed, as its description says it."""


class Work:
    """One job at work.

    Parameters
    ----------
    name : str
    folder : Path
        Where its process is noted, so that the next service can end it if this one is killed.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder
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
        with self._lock:
            if self.stopping.is_set():
                return -signal.SIGTERM
            self._process = subprocess.Popen(
                [sys.executable, "-m", "object2vec", *arguments],
                env=clean_environment() | {"PYTHONUNBUFFERED": "1"} | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
            with contextlib.suppress(StorageError):  # its folder may be deleted meanwhile
                note_process(self._folder, self._process.pid)
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                on_line(line.rstrip("\n"))
        code = self._process.wait()
        (self._folder / _PID).unlink(missing_ok=True)
        return code

    def stop(self, grace_s: float = _STOP_S) -> None:
        """Ask the process to end, and end it if it does not."""
        with self._lock:
            self.stopping.set()
            process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        timer = threading.Timer(grace_s, _kill, [process])
        timer.daemon = True
        timer.start()


class Queue:
    """Runs jobs in the order in which they come, so many at once.

    Parameters
    ----------
    slots : int
        How many.
    """

    def __init__(self, slots: int) -> None:
        self._pool = ThreadPoolExecutor(slots, "object2vec-job")
        self._jobs: dict[str, Work] = {}
        self._lock = threading.Lock()

    def submit(self, name: str, folder: Path, work: Callable[[Work], object]) -> Work:
        """Let `work` run the job when its turn comes."""
        job = Work(name, folder)
        with self._lock:
            self._jobs[name] = job
        self._pool.submit(self._run, job, work)
        return job

    def _run(self, job: Work, work: Callable[[Work], object]) -> None:
        try:
            work(job)
        except Exception:  # `work` notes what fails; this is what fails in noting it
            traceback.print_exc()
        finally:
            with self._lock:
                self._jobs.pop(job.name, None)

    def stop(self, name: str) -> bool:
        """Ask a job to end; return whether it was there."""
        with self._lock:
            job = self._jobs.get(name)
        if job is not None:
            job.stop()
        return job is not None

    def close(self, grace_s: float) -> None:
        """End all jobs, and return when they have ended."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stop(grace_s)
        self._pool.shutdown(wait=True)


def clean_environment() -> dict[str, str]:
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
    (folder / _PID).unlink(missing_ok=True)
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


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
