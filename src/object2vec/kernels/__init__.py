"""Row-sparse kernels: how token tables are looked up and how every parameter is updated."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from object2vec.compiled import first_line, missing

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
    """Return Numba's kernel, or None if it is not installed or does not run."""
    why = missing()
    if why is None:
        try:
            from object2vec.kernels.cpu.kernel import CompiledKernel, probe

            probe()
        except Exception as err:  # a compiler may fail in many ways, and none must end a run
            why = first_line(err)
        else:
            return CompiledKernel()
    _logger.warning("The compiled kernels need numba (%s); using plain PyTorch, slower.", why)
    return None


def _gpu_kernel(device: str) -> Kernel | None:
    """Return Triton's kernel, or None if it is not installed or does not run on a device."""
    try:
        from object2vec.kernels.cuda.kernel import TritonKernel, probe

        probe(device)
    # Triton compiles when it first runs. Then it may miss a C compiler, as small images do, find
    # the GPU too old or its cache read-only: each raises another type, and none must end a run.
    except Exception as err:
        message = "The GPU's kernels need triton (%s); using plain PyTorch, slower."
        _logger.warning(message, first_line(err))
        return None
    return TritonKernel()
