"""The C library's allocator: keep memory that a step frees for the next step.

A step allocates and frees the same tensors of megabytes each time. By default glibc gives such
memory back to the system at once, and the next step pays for every page again: a fifth of a step's
time (benchmarks/LOG.md).
"""

from __future__ import annotations

import ctypes
import os
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt(3)
_KEPT_BYTES = 1 << 30
_SHARED_BYTES = 1 << 26  # larger blocks, token tables, still go back to the system when freed
_USERS_OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


def retain_freed_memory() -> bool:
    """Let this process keep up to 1 GiB of freed memory instead of giving it back at once.

    Returns
    -------
    bool
        Whether it does now: only with glibc, and not where the environment has settings for the
        allocator, or another allocator, already.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _USERS_OWN):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, _SHARED_BYTES) and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))


def release_freed_memory() -> None:
    """Give the memory that is free now back to the system."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
