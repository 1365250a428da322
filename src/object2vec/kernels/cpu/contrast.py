"""Neighbours against noise on a CPU: losses and gradients in one pass over the blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from object2vec.kernels.cpu.loops import contrast as loops
from object2vec.objectives import Contrast
from object2vec.pairs.block_pairing import BlockPairing


def contrast(a: Tensor, b: Tensor, pairing: BlockPairing, rate: float, offset: float) -> Contrast:
    """Return what pairs of neighbours lose; see `object2vec.kernels.base.Kernel.contrast`."""
    blocks, pairs = len(pairing.bounds) - 1, max(1, len(pairing.partners))
    found = np.empty((blocks, 4))  # (G, 4)
    share = rate / max(1, pairing.noise)
    scale = 1 / (pairs * (1 + rate))  # of the mean over pairs and negatives
    constants = np.array([offset, scale, scale * share], np.float32)
    loss: Tensor = _Contrast.apply(a, b, pairing, constants, found)  # type: ignore[no-untyped-call]
    lost, hits, noise_lost, noise_hits = found.sum(0).tolist()
    lost, hits = (lost + share * noise_lost) / (1 + rate), (hits + share * noise_hits) / (1 + rate)
    with torch.no_grad():
        loss += lost / pairs
    return Contrast(loss, lost, hits)


class _Contrast(torch.autograd.Function):
    """Zero, whose gradient is that of the loss; what was lost is written to `found`."""

    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        b: Tensor,
        pairing: BlockPairing,
        constants: NDArray[np.float32],
        found: NDArray[np.float64],
    ) -> Tensor:
        a, b = a.contiguous(), b.contiguous()  # (T, D), (T + G K, D)
        ctx.gradients = torch.empty_like(a), torch.empty_like(b)
        arrays = a.detach().numpy(), b.detach().numpy(), constants
        rows = pairing.bounds, pairing.starts, pairing.partners
        loops.contrast(len(found), *rows, *arrays, *(g.numpy() for g in ctx.gradients), found)
        return a.new_zeros(())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scale = gradient.item()
        da, db = ctx.gradients if scale == 1 else (each * scale for each in ctx.gradients)
        return da, db, None, None, None
