"""Processes that end with the one that starts them, even if that is killed."""

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
