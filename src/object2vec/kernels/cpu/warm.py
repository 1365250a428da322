"""Compile kernels and what reads fields, for an image that should not at its first command.

``python -m object2vec.kernels.cpu.warm`` calls each of them once, on next to nothing.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from object2vec.compiled.pool import share_work
from object2vec.config.kinds import COMPARATORS
from object2vec.fields.kinds import KINDS
from object2vec.fields.spans import TextSpans
from object2vec.kernels.base import Lookup, Tape
from object2vec.kernels.cpu.kernel import CompiledKernel
from object2vec.kernels.rules import RULES, Parameter, Update
from object2vec.pairs.block_pairing import BlockPairing


def warm() -> None:
    """Call every kernel, and its backward pass."""
    kernel, row = CompiledKernel(), torch.tensor([0])
    x = torch.ones(3, 2, requires_grad=True)
    y = kernel.linear(x, x, None, "tanh")  # (3, 3)
    z = kernel.compare(y, y, row, row, list(COMPARATORS))  # (1, C)
    products, bias = torch.ones(3, 1, 2, requires_grad=True), torch.zeros(2, requires_grad=True)
    sums = kernel.sum_taps(products, bias, torch.ones(3, 1))  # (3, 2)
    maxima = kernel.segment_max(sums, torch.tensor([0, 3]))  # (1, 2)
    (z.sum() + maxima.sum()).backward()  # type: ignore[no-untyped-call]
    one = np.array([0, 1])
    pairing = BlockPairing(one, one, np.zeros(1, np.int32), noise=1)
    kernel.contrast(torch.ones(1, 2), torch.ones(2, 2), pairing, 1.0, 0.0)
    ids, offsets = torch.zeros(1, dtype=torch.int32), torch.tensor([0, 1])
    for coefficients in (None, torch.ones(1)):
        kernel.pool(torch.ones(1, 2), Lookup(ids, offsets, coefficients=coefficients))
    for rule in RULES.values():
        update, table = Update(rule(0.1), 1), torch.ones(1, 2)
        tape = Tape([Lookup(ids, offsets, torch.ones(1, 2))])
        kernel.update_rows(update, Parameter.new(update.rule, table), tape)
        kernel.update_table(update, Parameter.new(update.rule, table), tape)
        kernel.squares(Parameter.new(update.rule, table), tape)
        kernel.update_dense(update, Parameter.new(update.rule, table), torch.ones(1, 2))
    share_work(0)
    _warm_fields()


def _warm_fields() -> None:
    """Learn and apply the kinds of field that have compiled code."""
    for kind, value in (("text", "\u0300"), ("characters", "a"), ("ipv4", "10.0.0.1")):
        values, learner = pa.array([value]), KINDS[kind]().learner()
        learner.observe(values)
        learner.finish().rows(values)
    one = TextSpans(np.full(8, ord("a"), np.uint8), np.array([0]), np.array([1]))
    KINDS["token"]().learner().observe(one)
    one.array()


if __name__ == "__main__":
    warm()
