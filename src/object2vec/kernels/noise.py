"""Noise that is a function of where it is added, not of when: the same for any number of threads.

Every number of a parameter gets one of its own in each step: a hash of the step's key, the
parameter, the row and the column. It is the sum of the four bytes of the hash, centred and scaled
to variance 1. For noise that is added over and over to converge to a distribution its mean and
variance have to be right, and not its shape (Kloeden & Platen 1992, section 14.1): no logarithms
and no cosines are needed, and a vector unit computes eight or sixteen at a time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Key = tuple[int, int]

MASK = 0xFFFFFFFF
# A mixing function of 32 bits with little bias (Chris Wellons, "Prospecting for Hash Functions").
MULTIPLIERS = 0x7FEB352D, 0x846CA68B
STRIDE = 0x9E3779B9  # of the columns
CENTRE = 4 * 255 // 2
SCALE = 1.0 / math.sqrt(4 * (256**2 - 1) / 12)  # one over the standard deviation of four bytes


def noise(key: Key, number: int, weight: Tensor, rows: Tensor | None) -> Tensor:
    """Return noise of mean 0 and variance 1 for a parameter.

    Parameters
    ----------
    key : pair of int
        Of the step, below 2^32.
    number : int
        Of the parameter.
    weight : Tensor
        Of the shape that is wanted.
    rows : Tensor of shape (rows,), int64, or None
        Which rows of a table `weight` consists of; None if it is no table, but one row.
    """
    device = weight.device
    if rows is None:
        rows = torch.zeros(1, dtype=torch.int64, device=device)
    columns = torch.arange(weight.numel() // max(1, len(rows)), device=device)  # (E,)
    starts = _mixed(_mixed(rows + key[0] & MASK) + key[1] + number & MASK)  # (rows,)
    x = _mixed(starts[:, None] + columns * STRIDE & MASK)  # (rows, E)
    total = (x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24)  # (rows, E)
    return ((total - CENTRE).to(torch.float32) * SCALE).view(weight.shape)  # rows, columns


def _mixed(x: Tensor) -> Tensor:
    """Return a hash of numbers of 32 bits; products may wrap at 64, whose lower half is right."""
    first, second = MULTIPLIERS
    x = (x ^ x >> 16) * first & MASK
    x = (x ^ x >> 15) * second & MASK
    return x ^ x >> 16
