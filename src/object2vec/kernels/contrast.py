"""Neighbours against noise in plain PyTorch: what a batch of blocks loses.

    loss = (sum over pairs of ln(1 + exp(o - s)) + r / K sum over pairs and their block's noise of
            ln(1 + exp(n - o))) / (pairs (1 + r))

where s and n are the dot products of a row of in0 with its partner and with each of the K rows of
noise, r how many negatives of a pair the noise stands for, and o what scores are compared with. It
is the loss of skip-gram with negative sampling (Mikolov et al. 2013,
https://arxiv.org/abs/1310.4546), in which all pairs of a block share their negatives (Ji et al.
2016, https://arxiv.org/abs/1604.04661).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from object2vec.devices import on_device
from object2vec.objectives import Contrast
from object2vec.pairs.block_pairing import BlockPairing


def contrast(a: Tensor, b: Tensor, pairing: BlockPairing, rate: float, offset: float) -> Contrast:
    """Return what pairs of neighbours lose; see `object2vec.kernels.base.Kernel.contrast`."""
    rows0, rows1, counts = (
        on_device(rows, a.device)
        for rows in (pairing.rows0, pairing.rows1, pairing.starts[1:] - pairing.starts[:-1])
    )
    scores = (a.index_select(0, rows0) * b.index_select(0, rows1)).sum(1) - offset  # (P,)
    loss, hits = functional.softplus(-scores).sum(), (scores > 0).sum()
    share = rate / max(1, pairing.noise)
    for g, (first, last) in enumerate(zip(pairing.bounds, pairing.bounds[1:], strict=False)):
        noise = b[pairing.noise_rows(g)]  # (K, D)
        met = a[first:last] @ noise.T - offset  # (n, K)
        weight = share * counts[first:last, None]  # (n, 1)
        loss = loss + (weight * functional.softplus(met)).sum()
        hits = hits + (weight * (met <= 0)).sum()
    records = 1 + rate
    loss = loss / (max(1, len(rows0)) * records)
    return Contrast(loss, loss.item() * len(rows0), float(hits) / records)
