"""Every kernel that can run here, as one that takes and gives tensors of the CPU.

Triton's kernel needs a CUDA device, or Triton's interpreter, which runs the same programs with
NumPy: `TRITON_INTERPRET=1 pytest tests/test_kernels.py tests/test_triton.py`.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from object2vec.kernels.base import Lookup, Tape
from object2vec.kernels.cpu.kernel import CompiledKernel
from object2vec.kernels.reference import ReferenceKernel
from object2vec.kernels.rules import Average, Parameter

EPS = float(np.finfo(np.float32).eps)
HAS_TRITON = importlib.util.find_spec("triton") is not None
IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

needs_triton = pytest.mark.skipif(
    not (HAS_TRITON and (IS_INTERPRETED or torch.cuda.is_available())),
    reason="needs triton, and a CUDA device or TRITON_INTERPRET=1",
)


if torch.cuda.is_available():
    # PyTorch warns where a product is the first thing that its thread of backward passes computes.
    torch.zeros(1, device="cuda", requires_grad=True).exp().sum().backward()


class OnGPU:
    """A kernel of the GPU for tensors of the CPU: they go there and come back."""

    def __init__(self, kernel) -> None:
        self.kernel = kernel
        self.name = kernel.name

    def pool(self, weight, lookup):
        return self.kernel.pool(weight.cuda(), on_gpu(lookup)).cpu()

    def segment_max(self, x, offsets):
        return self.kernel.segment_max(x.cuda(), offsets.cuda()).cpu()

    def linear(self, x, weight, bias, activation):
        there = None if bias is None else bias.cuda()
        return self.kernel.linear(x.cuda(), weight.cuda(), there, activation).cpu()

    def compare(self, a, b, rows0, rows1, comparator_list):
        there = [tensor.cuda() for tensor in (a, b, rows0, rows1)]
        return self.kernel.compare(*there, comparator_list).cpu()

    def sum_taps(self, products, bias, mask):
        return self.kernel.sum_taps(products.cuda(), bias.cuda(), mask.cuda()).cpu()

    def contrast(self, a, b, pairing, rate, offset):
        found = self.kernel.contrast(a.cuda(), b.cuda(), pairing, rate, offset)
        return found._replace(loss=found.loss.cpu())

    def squares(self, table, tape):
        return self.kernel.squares(moved(table, "cuda"), Tape(map(on_gpu, tape)))

    def scale(self, table, tape, factor):
        self.kernel.scale(table, tape, factor)

    def update_rows(self, update, table, tape):
        self._update(self.kernel.update_rows, update, table, Tape(map(on_gpu, tape)))

    def update_table(self, update, table, tape):
        self._update(self.kernel.update_table, update, table, Tape(map(on_gpu, tape)))

    def update_dense(self, update, parameter, gradient):
        self._update(self.kernel.update_dense, update, parameter, gradient.cuda())

    def _update(self, change, update, parameter, gradients):
        there = moved(parameter, "cuda")
        change(update, there, gradients)
        for here, changed in zip(everything(parameter), everything(there), strict=True):
            here.copy_(changed)


def moved(parameter: Parameter, device: str) -> Parameter:
    """A parameter with all that belongs to it on a device: copies of what is on another one."""
    average = parameter.average
    if average is not None:
        last = None if average.last is None else average.last.to(device)
        average = Average(average.mean.to(device), last)
    return replace(
        parameter,
        weight=parameter.weight.to(device),
        state=tuple(each.to(device) for each in parameter.state),
        weights=None if parameter.weights is None else moved(parameter.weights, device),
        average=average,
    )


def everything(parameter: Parameter) -> list[torch.Tensor]:
    """All tensors of a parameter, frozen columns too."""
    own = [parameter.weight, *parameter.state, *parameter.parts().values()]
    return own if parameter.weights is None else own + everything(parameter.weights)


def on_gpu(lookup: Lookup) -> Lookup:
    given = (lookup.ids, lookup.offsets, lookup.gradient, lookup.coefficients)
    return Lookup(*(tensor if tensor is None else tensor.cuda() for tensor in given))


def triton_kernel():
    """Triton's kernel, interpreted on the CPU if that was asked for."""
    from object2vec.kernels.cuda.kernel import TritonKernel

    return TritonKernel() if IS_INTERPRETED else OnGPU(TritonKernel())


FAST = {"compiled": CompiledKernel, "triton": triton_kernel}
KERNELS = FAST | {"reference": ReferenceKernel}


def _parameters(made: dict) -> list:
    marks = {"triton": needs_triton}
    return [pytest.param(make, id=name, marks=marks.get(name, ())) for name, make in made.items()]


each_kernel = pytest.mark.parametrize("kernel", _parameters(KERNELS))
each_fast_kernel = pytest.mark.parametrize("kernel", _parameters(FAST))


def agree(kernel, one, other) -> bool:
    """Whether two tensors are equal: to the bit, or up to rounding if a GPU computed one."""
    if isinstance(kernel, OnGPU):
        return torch.allclose(one, other, rtol=100 * EPS, atol=100 * EPS)
    return torch.equal(one, other)
