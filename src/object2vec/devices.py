"""The machine: its devices, its cores, the threads that compute, and its memory.

A step allocates and frees the same tensors of megabytes each time. By default glibc gives such
memory back to the system at once, and the next step pays for every page again: a fifth of a step's
time. And a batch reads rows all over a table: with pages of 4 KiB nearly each row is one that the
CPU has to look up first. benchmarks/LOG.md has the figures.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import math
import mmap
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeVar

from object2vec.compiled import use_threads
from object2vec.compiled.cores import available_cores
from object2vec.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

_T = TypeVar("_T")
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # names of mallopt(3)
_KEPT_BYTES = 1 << 30
# Larger blocks, such as token tables, still go back to the system when they are freed. The second
# one is the most that older versions of glibc take.
_SHARED_BYTES = (1 << 27, 1 << 25)
_LARGE_BYTES = 1 << 22  # two pages of 2 MiB
_ALIGNMENT = 64  # bytes, a cache line, as PyTorch's own tensors have it
_MEMORY_LIMITS = (  # of a container: control groups 2 and 1
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
_USERS_OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


def find_device(device: str) -> str:
    """Return the device that a name stands for: ``cpu`` or ``cuda:N``.

    Raises
    ------
    ConfigError
        If it is a GPU that is not there.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    if device == "auto":
        return "cuda:0" if has_gpu else "cpu"
    index = int(device.partition(":")[2] or 0)
    if device != "cpu" and not (has_gpu and index < torch.cuda.device_count()):
        count = torch.cuda.device_count() if has_gpu else 0
        raise ConfigError.at(
            "device", f"must be there; {count} CUDA devices are", device, "Choose cpu or auto."
        )
    return device if device == "cpu" else f"cuda:{index}"


def set_threads(count: int) -> int:
    """Let PyTorch and the kernels use `count` CPU threads, all cores if 0; return the number."""
    import torch

    count = use_threads(count or available_cores())
    if count > 1:
        _shorten_waiting()
    torch.set_num_threads(count)
    return count


@functools.cache
def _shorten_waiting() -> None:
    """Let PyTorch's threads sleep when there is nothing to do for them.

    After each parallel work GNU's OpenMP looks for more up to 300,000 times, 16 milliseconds in
    which a core is kept from whoever has work for it; but 100 times where it has more threads than
    there are cores (libgomp's manual, GOMP_SPINCOUNT). A process that has started cannot change
    that but by having more: here a team that sleeps as long as the process lives.
    """
    import torch

    if sys.platform != "linux":
        return
    is_there = threading.Event()

    def keep_a_team() -> None:
        torch.set_num_threads(os.cpu_count() or 1)
        torch.zeros(1 << 16).add_(1)  # large enough to be worked on by a team
        is_there.set()
        threading.Event().wait()

    threading.Thread(target=keep_a_team, name="object2vec-idle", daemon=True).start()
    is_there.wait()


def side_by_side(works: Sequence[Callable[[], _T]], *, small: bool = False) -> list[_T]:
    """Return what each work returns: each computes on one thread, as many at once as there are.

    What comes out does not depend on the number of threads. Whoever has time takes the next work,
    and the caller does what nobody else has taken.

    Parameters
    ----------
    works : sequence of callable
    small : bool, default False
        Whether all of it is less than what it takes to wake a thread.
    """
    import torch

    threads = torch.get_num_threads()
    if threads == 1:
        return [work() for work in works]
    numbers: Iterator[int] = itertools.count()
    done: dict[int, _T] = {}

    def take() -> None:
        if torch.get_num_threads() > 1:
            torch.set_num_threads(1)
        while (number := next(numbers)) < len(works):
            done[number] = works[number]()

    helpers = [] if small else [_helpers().submit(take) for _ in works[1:threads]]
    try:
        take()
    finally:
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)
        torch.set_num_threads(threads)
    for helper in begun:
        helper.result()
    return [done[number] for number in range(len(works))]


@functools.cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="object2vec")


@contextlib.contextmanager
def computing(threads: int) -> Iterator[int]:
    """Compute with `threads` CPU threads, and as PyTorch does by default, while the block runs.

    What the caller has set is set again afterwards: the number of threads, a default type or
    device, a gradient mode, autocast, products of lower precision.

    Yields
    ------
    int
        The number of threads; all cores for 0.
    """
    import torch

    with contextlib.ExitStack() as stack:
        stack.callback(set_threads, torch.get_num_threads())
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(full_precision())
        yield set_threads(threads)


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Take float32 products as what they are while the block runs.

    PyTorch lets a GPU's LSTM round the factors to 10 bits by default.
    """
    import torch

    mkldnn: Any = torch.backends.mkldnn
    cuda: Any = torch.backends.cuda.matmul, torch.backends.cudnn.rnn
    with contextlib.ExitStack() as stack:
        for product in (mkldnn.matmul, mkldnn.conv, mkldnn.rnn, *cuda):
            if (precision := product.fp32_precision) not in ("ieee", "none"):
                stack.callback(setattr, product, "fp32_precision", precision)
                product.fp32_precision = "ieee"
        yield


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array as a tensor on a device, without waiting for what that computes.

    The CPU's is a view. For a GPU CUDA copies ordinary memory aside before this returns, so that
    the array may change at once.
    """
    import torch

    return torch.from_numpy(array).to(device, non_blocking=True)


def retain_freed_memory() -> bool:
    """Let this process keep up to 1 GiB of freed memory instead of giving it back at once.

    What one thread has freed is there for the others, too, unless ``MALLOC_ARENA_MAX`` is set.

    Returns
    -------
    bool
        Whether it does now: only with glibc, and not where the environment has settings for the
        allocator, or another allocator, already.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _USERS_OWN):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    if "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_ARENA_MAX, 1)
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
    import numpy as np
    import torch

    size = 4 * math.prod(shape)
    raw = np.zeros(size + _ALIGNMENT, np.uint8)
    first = -raw.ctypes.data % _ALIGNMENT
    return torch.from_numpy(raw[first : first + size].view(np.float32).reshape(shape))


def sparse_zeros(shape: Sequence[int]) -> Tensor:
    """Return float32 zeros on the CPU of which few rows will be touched; only those cost memory.

    The system is asked for pages of 4 KiB: in those of 2 MiB a touched row would have thousands of
    its neighbours cleared and kept, too.
    """
    size = 4 * math.prod(shape)
    if size < _LARGE_BYTES or not hasattr(mmap, "MADV_NOHUGEPAGE"):
        return large_zeros(shape)
    import numpy as np
    import torch

    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a system that has no large pages
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.from_numpy(np.frombuffer(pages, np.float32).reshape(shape))


def peak_memory_bytes() -> int | None:
    """Return the most memory that this process has held; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_bytes(device: str) -> int | None:
    """Return the memory that a device has for this process; None where the system does not say."""
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[1])
    found = [_limit(path) for path in _MEMORY_LIMITS]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((each for each in found if each is not None), default=None)


def _limit(path: str) -> int | None:
    """Return the number of bytes in a file of a control group; None if it says none."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):  # no such file, or "max"
        return None
