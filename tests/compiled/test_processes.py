"""Processes that end with the one that starts them, even if that is killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from object2vec.compiled import processes

# Starts a server that would go on for ever, says its number and waits.
STARTER = """
import sys, time
from object2vec.compiled import processes
process = processes.start(["serve", sys.argv[1], "--port", "0"])
print(process.pid, flush=True)
for line in process.stdout:
    if "Serving" in line:
        print("ready", flush=True)
"""


def test_output_is_read_and_the_exit_code_is_that_of_the_command():
    with processes.start(["version-of-nothing"]) as process:
        said = process.stdout.read()
    assert process.returncode == 2
    assert "version-of-nothing" in said


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no sessions")
def test_what_was_started_ends_with_a_killed_starter(tmp_path):
    from support.servers import fitted

    fitted("pooled").save(tmp_path / "model")
    command = [sys.executable, "-c", STARTER, str(tmp_path / "model")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        pid = int(starter.stdout.readline())
        assert starter.stdout.readline() == "ready\n"
        os.kill(pid, 0)  # it is there
        starter.send_signal(signal.SIGKILL)
    wait_for_end(pid)


def wait_for_end(pid):
    deadline = time.monotonic() + 10
    while is_there(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_there(pid):
    """Whether a process runs: one that has ended may wait for somebody to ask how."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Says that it is ready and what it has started; with an argument it takes no SIGTERM.
GOING_ON = """
import signal, subprocess, sys, time
if sys.argv[1:]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def going_on():
    """Starts a process in a session of its own that goes on; gives it and the one it started."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", GOING_ON, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no sessions")
def test_what_is_killed_ends_with_all_that_it_has_started(going_on):
    process, child = going_on()
    processes.kill(process)
    assert process.wait(60) == -signal.SIGKILL
    wait_for_end(child)
    processes.kill(process)  # it is over: nothing is killed that may have its number now


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no sessions")
def test_who_is_asked_to_end_is_killed_only_after_its_grace(going_on):
    process, _ = going_on()
    assert processes.end(process, 600)
    assert process.wait(60) == -signal.SIGTERM
    assert not processes.end(process, 600)
    stubborn, child = going_on("takes no SIGTERM")
    assert processes.end(stubborn, 0.05)
    assert stubborn.wait(60) == -signal.SIGKILL
    wait_for_end(child)
