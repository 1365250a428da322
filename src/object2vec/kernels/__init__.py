"""Row-sparse kernels: how token tables are looked up and how every parameter is updated."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from object2vec.errors import ConfigError, problem

if TYPE_CHECKING:
    from object2vec.kernels.base import Kernel

_logger = logging.getLogger(__name__)


def kernel_for(name: str, device: str) -> Kernel:
    """Return the kernel to use on a device.

    Parameters
    ----------
    name : {"auto", "compiled", "reference"}
        The hyperparameter `kernel`. ``compiled`` is Numba on a CPU and Triton on a GPU. ``auto`` is
        the same: where what it needs is missing, both fall back to the reference and say so once.
    device : str
        ``cpu`` or ``cuda:N``.
    """
    from object2vec.kernels.reference import ReferenceKernel

    if name == "reference":
        return ReferenceKernel()
    return (_cpu_kernel() if device == "cpu" else _gpu_kernel(device)) or ReferenceKernel()


def _cpu_kernel() -> Kernel | None:
    """Return Numba's kernel, or None if it is not installed."""
    try:
        from object2vec.kernels.compiled import CompiledKernel
    except ImportError as err:
        _logger.warning("The compiled kernels need numba (%s); using plain PyTorch, slower.", err)
        return None
    return CompiledKernel()


def _gpu_kernel(device: str) -> Kernel | None:
    """Return Triton's kernel, or None if it is not installed or does not run on a device."""
    try:
        from object2vec.kernels.cuda import TritonKernel, probe

        probe(device)
    # Triton compiles when it first runs. Then it may miss a C compiler, as small images do, find
    # the GPU too old or its cache read-only: each raises another type, and none must end a run.
    except Exception as err:
        why = f"{type(err).__name__}: {err}".splitlines()[0]
        _logger.warning("The GPU's kernels need triton (%s); using plain PyTorch, slower.", why)
        return None
    return TritonKernel()


def place(device: str) -> str:
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
        raise ConfigError(
            problem("device", f"must be there; {count} CUDA devices are", device,
                    "Choose cpu or auto.")
        )  # fmt: skip
    return device if device == "cpu" else f"cuda:{index}"


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(count: int) -> int:
    """Let PyTorch and the kernels use `count` CPU threads, all cores if 0; return the number."""
    import torch

    count = count or available_cores()
    torch.set_num_threads(count)
    try:
        from object2vec.kernels.compiled import set_threads as set_compiled_threads
    except ImportError:
        return count
    set_compiled_threads(count)
    return count
