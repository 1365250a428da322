"""How many cores this process may use, and how threads that have nothing to do wait.

A container with a quota of two processors on a host of 64 sees all 64: its 64 threads are stopped
again and again until the next period, and wait for each other in between.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path, PurePosixPath

CORES_VARIABLE = "OBJECT2VEC_CORES"
"""Names the cores that whoever starts a process leaves to it, beside others that it starts."""

_NO_BOUND = 1 << 16
_MOUNTS, _GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# How an OpenMP thread waits for work, GNU's and LLVM's: about 50 microseconds instead of up to 16
# milliseconds, 200 with LLVM's, in which it keeps a core from whoever has work for it.
_WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
_OPENMP = (
    "torch",
    "sklearn",
    "numba",
)  # what brings an OpenMP along, which reads them as it starts


def available_cores() -> int:
    """Return how many cores this process may use: those of its affinity, quota and share.

    The quota is that of its control group (version 1 or 2) or of one around it, rounded up. The
    share is what ``OBJECT2VEC_CORES`` says.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(allowed or 1, *(max(1, math.ceil(quota)) for quota in _quotas()), share_of_cores())


def share_of_cores() -> int:
    """Return how many cores whoever started this process leaves to it; no bound if it is silent."""
    share = os.environ.get(CORES_VARIABLE, "")
    return max(1, int(share)) if share.isdecimal() else _NO_BOUND


def limit_waiting(environ: MutableMapping[str, str] = os.environ) -> bool:
    """Let threads of OpenMP, which PyTorch computes with, wait without a core of their own.

    It must be called before PyTorch is imported, by a program that the process belongs to.

    Returns
    -------
    bool
        Whether they do now: not if the user says how they wait, or if it is too late.
    """
    given = [name for name in environ if name.startswith(("OMP_WAIT", "GOMP_", "KMP_"))]
    if given or any(name in sys.modules for name in _OPENMP):
        return False
    environ.update(_WAITING)
    return True


def _quotas() -> Iterator[float]:
    """Yield the processors that each control group around this process may use."""
    try:
        lines = _GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        kinds, _, group = rest.partition(":")
        if kinds and "cpu" not in kinds.split(","):
            continue
        # Inside a container the group's own path may lead nowhere: its folder is then the mount.
        path = PurePosixPath(group.lstrip("/"))
        for inner in (path, *path.parents):
            folder = _MOUNTS / kinds / inner
            quota = _quota_v1(folder) if kinds else _quota_v2(folder)
            if quota is not None:
                yield quota


def _quota_v1(folder: Path) -> float | None:
    quota, period = (_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return quota / period if quota and period and quota > 0 else None


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
        return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
