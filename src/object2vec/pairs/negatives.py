"""Negative sampling: new pairs made of the encodings that a batch has already.

AWS keeps in0 of each training record and gives it the in1 of `negative_sampling_rate` others.
Encoding those others again would make a batch 1 + r times as dear. A shuffled batch is itself a
uniform sample of the records, so partners are drawn inside the batch: each one is uniform over the
other records, and every sequence is encoded once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pairing:
    """Which encodings make the records of a batch.

    Parameters
    ----------
    rows0, rows1 : int64 arrays (B,)
        Record i is made of encoding ``rows0[i]`` of in0 and ``rows1[i]`` of in1. The positives come
        first.
    """

    rows0: NDArray[np.int64]
    rows1: NDArray[np.int64]


def draw_pairing(positives: int, pool: int, rate: int, generator: np.random.Generator) -> Pairing:
    """Return the pairing of `positives` records with `rate` negatives each.

    Parameters
    ----------
    positives : int
        P, the records of the batch.
    pool : int
        Sequences of in1 to draw from, at least 2; the first P belong to the records in order.
    rate : int
        Negatives for each record.
    generator : numpy.random.Generator

    Returns
    -------
    Pairing
        P positives, then P negatives `rate` times over; no negative has its own record's in1.
    """
    own = np.arange(positives)  # (P,)
    # A step of 1 to pool - 1 from one's own place reaches every other place with equal chance.
    steps = generator.integers(1, pool, size=(rate, positives))  # (r, P)
    others = (own + steps) % pool  # (r, P)
    return Pairing(np.tile(own, 1 + rate), np.concatenate([own, others.ravel()]))
