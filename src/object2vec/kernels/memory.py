"""What training asks of the system's memory: to keep what a step frees, and large pages for tables.

A step allocates and frees the same tensors of megabytes each time. By default glibc gives such
memory back to the system at once, and the next step pays for every page again: a fifth of a step's
time. And a batch reads rows all over a table: with pages of 4 KiB nearly each row is one that the
CPU has to look up first. benchmarks/LOG.md has the figures.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt(3)
_KEPT_BYTES = 1 << 30
# Larger blocks, such as token tables, still go back to the system when they are freed. The second
# one is the most that older versions of glibc take.
_SHARED_BYTES = (1 << 27, 1 << 25)
_ALIGNMENT = 64  # bytes, a cache line, as PyTorch's own tensors have it
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
    is_shared = any(mallopt(_MMAP_THRESHOLD, size) for size in _SHARED_BYTES)
    return bool(is_shared and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))


def release_freed_memory() -> None:
    """Give the memory that is free now back to the system."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def large_zeros(shape: Sequence[int]) -> Tensor:
    """Return float32 zeros on the CPU that cost no memory until they are touched.

    NumPy asks Linux for pages of 2 MiB for its large arrays (unless NUMPY_MADVISE_HUGEPAGE=0) and
    leaves it to the system to clear them; PyTorch does neither.
    """
    size = 4 * math.prod(shape)
    raw = np.zeros(size + _ALIGNMENT, np.uint8)
    first = -raw.ctypes.data % _ALIGNMENT
    return torch.from_numpy(raw[first : first + size].view(np.float32).reshape(shape))
