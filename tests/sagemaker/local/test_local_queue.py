"""The queue: first come first served, never more processes times threads than cores."""

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest

from object2vec.compiled.cores import CORES_VARIABLE, available_cores
from object2vec.sagemaker.local.jobs import Queue
from object2vec.sagemaker.local.service import Service


class Jobs:
    """Jobs that run until they are let go, and what of them ran together."""

    def __init__(self, queue, folder):
        self.queue, self.folder = queue, folder
        self.started, self.ended, self.used = [], [], []
        self.let_go = {}

    def submit(self, name):
        self.let_go[name] = threading.Event()
        self.queue.submit(self.folder / name, self.work)

    def work(self, job):
        name = job.folder.relative_to(self.folder).as_posix()
        self.started.append((name, job.cores))
        while not (job.stopping.is_set() or self.let_go[name].wait(0.005)):
            pass
        self.ended.append((name, job.stopping.is_set()))

    def wait(self, count):
        """Wait until so many have started, and that it is no more."""
        deadline = time.monotonic() + 10
        while len(self.started) < count:
            assert time.monotonic() < deadline, self.started
            time.sleep(0.005)
        time.sleep(0.02)
        assert len(self.started) == count


@pytest.fixture
def jobs(tmp_path, request):
    queue = Queue(*request.param)
    yield Jobs(queue, tmp_path)
    queue.close(grace_s=1)


@pytest.mark.parametrize("jobs", [(8,)], indirect=True)
def test_a_job_alone_has_all_cores_and_jobs_that_start_together_share_them(jobs):
    for name in "abcdefg":
        jobs.submit(name)
    jobs.wait(1)
    assert jobs.started == [("a", 8)]
    jobs.let_go["a"].set()
    jobs.wait(5)  # six wait for eight cores, two at least each
    assert jobs.started[1:] == [("b", 2), ("c", 2), ("d", 2), ("e", 2)]
    jobs.let_go["c"].set()
    jobs.wait(6)
    assert jobs.started[-1] == ("f", 2)
    jobs.let_go["b"].set()
    jobs.wait(7)
    jobs.let_go["d"].set()
    jobs.submit("h")
    jobs.wait(8)
    assert jobs.started[-2:] == [("g", 2), ("h", 2)]


@pytest.mark.parametrize("jobs", [(8, 3)], indirect=True)
def test_slots_that_are_asked_for_have_equal_shares(jobs):
    for name in "abcd":
        jobs.submit(name)
    jobs.wait(3)
    assert jobs.started == [("a", 2), ("b", 2), ("c", 2)]


@pytest.mark.parametrize("jobs", [(2, 9)], indirect=True)
def test_more_slots_than_cores_are_as_many_as_cores(jobs):
    for name in "abc":
        jobs.submit(name)
    jobs.wait(2)
    assert jobs.started == [("a", 1), ("b", 1)]


@pytest.mark.parametrize("jobs", [(1,)], indirect=True)
def test_a_job_that_waits_is_stopped_at_once(jobs):
    for name in "abc":
        jobs.submit(name)
    jobs.wait(1)
    assert jobs.queue.stop(jobs.folder / "b")
    jobs.wait(2)
    assert jobs.ended == [("b", True)]
    assert not jobs.queue.stop(jobs.folder / "nobody")
    jobs.let_go["a"].set()
    jobs.wait(3)
    assert jobs.started == [("a", 1), ("b", 0), ("c", 1)]


@pytest.mark.parametrize("jobs", [(8, 4)], indirect=True)
def test_a_job_of_the_same_name_and_another_kind_goes_on(jobs):
    """AWS gives training jobs and transform jobs names of their own."""
    for kind in ("training-jobs", "transform-jobs"):
        jobs.submit(f"{kind}/same")
    jobs.wait(2)
    assert jobs.queue.stop(jobs.folder / "transform-jobs" / "same")
    deadline = time.monotonic() + 10
    while not jobs.ended:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert jobs.ended == [("transform-jobs/same", True)]
    assert jobs.queue.stop(jobs.folder / "training-jobs" / "same")


def test_the_share_of_a_process_is_what_it_takes_for_its_cores(monkeypatch):
    everything = available_cores()
    monkeypatch.setenv(CORES_VARIABLE, "1")
    assert available_cores() == 1
    for other in ("", "0x3", "-1"):
        monkeypatch.setenv(CORES_VARIABLE, other)
        assert available_cores() == everything
    monkeypatch.setenv(CORES_VARIABLE, "0")
    assert available_cores() == 1


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One that shares the cores as it does by default."""
    with Service(tmp_path_factory.mktemp("default")).running(grace_s=5) as running:
        yield running


def test_threads_of_a_job_are_never_more_than_its_share(sagemaker, client, job, ended):
    sagemaker.create_training_job(TrainingJobName="greedy", **job(threads=1000))
    assert ended("greedy")["TrainingJobStatus"] == "Completed"
    logs = client("logs").filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")
    text = f"threads: {available_cores()} instead of 1000, this process's share of the cores."
    assert [each for each in logs["events"] if each["message"].endswith(text)]


def cores_in_use():
    """The cores of each process that this one has started for a job."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            with contextlib.suppress(OSError):
                parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
                said = (each / "environ").read_bytes().split(b"\0")
                mark = f"{CORES_VARIABLE}=".encode()
                shares = [int(v.removeprefix(mark)) for v in said if v.startswith(mark)]
                found += shares if parent == os.getpid() else []
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_twenty_jobs_at_once_wait_for_each_other(sagemaker, job, ended):
    names = [f"job-{number:02d}" for number in range(20)]
    most, over = 0, threading.Event()

    def watch():
        nonlocal most
        while not over.wait(0.02):
            most = max(most, sum(cores_in_use()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for name in names:
            sagemaker.create_training_job(TrainingJobName=name, **job())
        said = [ended(name) for name in names]
    finally:
        over.set()
        watcher.join()
    assert {each["TrainingJobStatus"] for each in said} == {"Completed"}
    started = [each["TrainingStartTime"] for each in said]
    assert started == sorted(started)
    assert 0 < most <= available_cores()
