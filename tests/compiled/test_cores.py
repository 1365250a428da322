"""Cores: affinity and the quota of a control group, of either version, here or around it."""

import os
import subprocess
import sys

import pytest

from object2vec.compiled import cores
from object2vec.compiled.cores import available_cores, limit_waiting


@pytest.fixture
def system(tmp_path, monkeypatch):
    def lay(groups, files):
        (tmp_path / "groups").write_text(groups)
        for name, text in files.items():
            path = tmp_path / "mounts" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(cores, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(cores, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    return lay


V1 = "cpu,cpuacct/{}cpu.cfs_quota_us", "cpu,cpuacct/{}cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("groups", "files", "found"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "cpu.max": "900000 100000"}, 4),
        ("0::/docker/x\n", {"cpu.max": "200000 100000"}, 2),  # the container's own view
        ("3:cpu,cpuacct:/\n", {V1[0].format(""): "-1", V1[1].format(""): "100000"}, 64),
        ("3:cpu,cpuacct:/\n", {V1[0].format(""): "250000", V1[1].format(""): "100000"}, 3),
        ("3:cpu,cpuacct:/d/x\n", {V1[0].format("d/"): "200000", V1[1].format("d/"): "50000"}, 4),
        ("4:cpuset:/\n0::/\n", {"cpuset/cpu.cfs_quota_us": "1"}, 64),
        ("0::/\n", {"cpu.max": "nonsense"}, 64),
        ("0::/\n", {"cpu.max": "9900000 100000"}, 64),  # more than there are
        ("nonsense\n", {}, 64),
    ],
)
def test_cores_are_those_that_a_quota_leaves(system, groups, files, found):
    system(groups, files)
    assert available_cores() == found


def test_without_control_groups_the_affinity_counts(system, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert available_cores() == 2


def test_waiting_is_limited_unless_the_user_says_how_or_it_is_too_late(monkeypatch):
    for name in cores._OPENMP:
        monkeypatch.delitem(sys.modules, name, raising=False)
    environ = {"PATH": "/bin"}
    assert limit_waiting(environ)
    assert environ == {"PATH": "/bin", "GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
    for given in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        environ = {given: "5"}
        assert not limit_waiting(environ)
        assert environ == {given: "5"}
    monkeypatch.setitem(sys.modules, "torch", None)
    environ = {}
    assert not limit_waiting(environ)
    assert not environ


def test_the_command_line_limits_it_before_pytorch_begins():
    program = (
        "import os, sys; from object2vec.cli import main; sys.argv[1:] = ['hyperparameters'];"
        "given = [name for name in os.environ if name.startswith(('OMP_', 'GOMP_', 'KMP_'))];"
        "[os.environ.pop(name) for name in given];"
        "main(); print(os.environ['GOMP_SPINCOUNT'], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip().endswith("1000")
