"""Processes of ``object2vec`` that end with the process that starts them, however that one ends.

The standard input of each is a pipe that nobody writes to and whose other end only the starting
process has. When that is killed the system closes it, and what was started kills itself with all
that it has started: nothing goes on training that nobody waits for.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.STDOUT,
) -> subprocess.Popen[str]:
    """Start ``python -m object2vec`` in a session of its own.

    Parameters
    ----------
    arguments : sequence of str
    environment : mapping of str to str, optional
        All its variables; those of this process by default.
    stdout, stderr : int
        As `subprocess` has them; by default one pipe of lines.

    Returns
    -------
    subprocess.Popen
        To be used as a context manager, which closes the pipes.
    """
    return subprocess.Popen(
        [sys.executable, "-m", __name__, *arguments],
        env=None if environment is None else dict(environment),
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], grace_s: float) -> bool:
    """Ask a process to end, and kill it if it does not in time; return whether it still ran."""
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGTERM)
    timer = threading.Timer(grace_s, kill, [process])
    timer.daemon = True
    timer.start()
    return True


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def _main() -> None:
    threading.Thread(target=_end_with_starter, daemon=True).start()
    runpy.run_module("object2vec", run_name="__main__")


if __name__ == "__main__":
    _main()
