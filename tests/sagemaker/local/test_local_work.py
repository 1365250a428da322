"""A job at work: its process, its time, how it is ended, and what is said of what goes wrong."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from object2vec.compiled import processes
from object2vec.compiled.cores import CORES_VARIABLE
from object2vec.errors import DataError
from object2vec.sagemaker.local import jobs
from object2vec.sagemaker.local.jobs import JobFailed, Queue, Work, end_noted, reason_of
from object2vec.sagemaker.local.storage import MissingData

PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")


@pytest.fixture
def shell(monkeypatch):
    """Processes are shell scripts; the variables of each that was started."""
    started = []

    def start(arguments, environment):
        started.append(environment)
        return subprocess.Popen(
            ["sh", "-c", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    monkeypatch.setattr(processes, "start", start)
    return started


def test_each_line_of_a_process_is_given_and_its_exit_code(shell, tmp_path):
    lines = []
    assert Work(tmp_path).run(["echo a b; echo; echo ' c' >&2; exit 4"], {}, lines.append) == 4
    assert lines == ["a b", "", " c"]


def test_a_process_has_our_variables_but_those_that_lead_to_us(shell, tmp_path, monkeypatch):
    for name in (*PROXIES, "KEPT", "OTHER"):
        monkeypatch.setenv(name, "ours")
    Work(tmp_path).run(["true"], {"OTHER": "its own"}, print)
    job = Work(tmp_path)
    job.cores = 3
    job.run(["true"], {CORES_VARIABLE: "9"}, print)
    first, second = shell
    assert not {*PROXIES} & {*first}
    assert (first["KEPT"], first["OTHER"], first["PYTHONUNBUFFERED"]) == ("ours", "its own", "1")
    assert CORES_VARIABLE not in first
    assert second[CORES_VARIABLE] == "3"


def test_a_process_is_noted_while_it_runs(shell, tmp_path):
    notes = []

    def note(line):
        notes.append((line, (tmp_path / "process.pid").read_text().split(" ")[0]))

    assert Work(tmp_path).run(["read x; echo $$"], {}, note) == 0
    ((line, noted),) = notes
    assert line == noted
    assert list(tmp_path.iterdir()) == []


def test_a_job_whose_folder_is_gone_ends_as_any_other(shell, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):  # by the last line; its process has ended
        Work(tmp_path / "file").run(["true"], {}, print)
    lines = []
    assert Work(tmp_path / "none").run(["echo x"], {}, lines.append) == 0
    assert lines == ["x"]


def test_who_is_stopped_before_starts_no_process(shell, tmp_path):
    job = Work(tmp_path)
    job.stop()
    assert job.run(["true"], {}, print) == -signal.SIGTERM
    assert shell == []


@pytest.mark.parametrize(("trap", "code"), [("", -15), ("trap 'exit 5' TERM; ", 5)])
def test_a_process_is_asked_to_end(shell, tmp_path, trap, code):
    job = Work(tmp_path)
    script = trap + "echo ready; while :; do sleep 0.01; done"
    assert job.run([script], {}, lambda line: job.stop()) == code
    assert job.stopping.is_set()
    assert not job.is_overdue


def test_a_process_has_the_two_minutes_of_aws_to_end(shell, tmp_path, monkeypatch):
    asked, end = [], processes.end
    monkeypatch.setattr(processes, "end", lambda *given: (asked.append(given[1]), end(*given)))
    job = Work(tmp_path)
    script = "echo ready; while :; do sleep 0.01; done"
    assert job.run([script], {}, lambda line: job.stop()) == -15
    assert asked == [120]


def test_a_process_that_does_not_end_is_killed(shell, tmp_path):
    job = Work(tmp_path)
    script = "trap '' TERM; echo ready; while :; do sleep 0.01; done"
    assert job.run([script], {}, lambda line: job.stop(grace_s=0.01)) == -9


def test_a_job_has_its_time_and_no_more(shell, tmp_path):
    job = Work(tmp_path)
    with job.limited(0.01):
        assert job.run(["echo x; while :; do sleep 0.01; done"], {}, print) == -15
    assert job.is_overdue
    in_time = Work(tmp_path)
    with in_time.limited(60):
        assert in_time.run(["true"], {}, print) == 0
    assert not in_time.is_overdue
    left = [each for each in threading.enumerate() if getattr(each, "interval", 0) == 60]
    assert all(timer.finished.is_set() for timer in left)


@pytest.mark.parametrize(
    ("error", "reason", "is_ours"),
    [
        (JobFailed("AlgorithmError: exit code 3"), "AlgorithmError: exit code 3", False),
        (MissingData("no such key"), "ClientError: no such key", False),
        (ValueError("no number"), "ClientError: no number", False),
        (DataError("x"), "ClientError: x", False),
        (OSError("disk full"), "InternalServerError: disk full", False),
        (KeyError("x"), "InternalServerError: 'x'", True),
    ],
)
def test_why_a_job_failed(error, reason, is_ours, capsys):
    with contextlib.suppress(type(error)):
        try:
            raise error
        finally:
            assert reason_of(error) == reason
    assert ("Traceback" in capsys.readouterr().err) == is_ours


def test_a_job_that_cannot_note_its_failure_leaves_its_cores_to_the_next(tmp_path, capsys):
    queue, ended = Queue(1), threading.Event()

    def broken(job):
        raise RuntimeError("the disk is full")

    queue.submit(tmp_path / "a", broken)
    queue.submit(tmp_path / "b", lambda job: ended.set())
    assert ended.wait(20)
    queue.close(grace_s=1)
    assert "RuntimeError: the disk is full" in capsys.readouterr().err


def test_a_queue_that_is_closed_ends_what_runs_and_starts_nothing_more(tmp_path):
    queue, seen = Queue(1), []
    begun = threading.Event()

    def work(job):
        seen.append(job.name)
        begun.set()
        seen.append(job.stopping.wait(20))

    for name in "ab":
        queue.submit(tmp_path / name, work)
    assert begun.wait(20)
    queue.close(grace_s=7)
    assert seen == ["a", True]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_process_of_an_earlier_service_is_ended_with_what_it_started(tmp_path):
    script = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        process.stdout.readline()
        jobs.note_process(tmp_path, process.pid)
        assert end_noted(tmp_path)
        assert process.wait(20) == -9
        assert process.stdout.read() == b""  # the other one had it, too
    assert not end_noted(tmp_path)
    jobs.note_process(tmp_path, process.pid)  # there is none of this number any more
    assert (tmp_path / "process.pid").read_text() == f"{process.pid} "
    assert not end_noted(tmp_path)


def test_a_process_that_is_not_ours_is_left_alone(tmp_path, monkeypatch):
    def killpg(number, signal_number):
        raise PermissionError

    monkeypatch.setattr(os, "killpg", killpg)
    jobs.note_process(tmp_path, 1)
    assert not end_noted(tmp_path)
    assert not (tmp_path / "process.pid").exists()
