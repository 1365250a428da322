"""Negative sampling: new pairs made of the embeddings that a batch has already, or of new objects.

AWS keeps in0 of each training record and gives it the in1 of `negative_sampling_rate` others.
Encoding those others again would make a batch 1 + r times as expensive. A shuffled batch is itself
a uniform sample of the records, so partners are drawn inside the batch: each one is uniform over
the other records, and every sequence is encoded once.

Random negatives have an in1 that is drawn for them and encoded: of a kind that can be drawn, such
as an address, or of another record of the whole channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from object2vec.objects.ragged import Rows


@dataclass(frozen=True)
class Negatives:
    """How many negatives each record gets, and where they are from.

    Parameters
    ----------
    shuffled : int
        With the in1 of another record of the batch.
    random : int
        With an in1 that is drawn as `Pairs.draw` says, by default that of any other record.
    """

    shuffled: int = 0
    random: int = 0

    @property
    def rate(self) -> int:
        """Negatives of each record."""
        return self.shuffled + self.random


NO_NEGATIVES = Negatives()


@dataclass(frozen=True, eq=False)
class Pairing:
    """Which embeddings make the records of a batch.

    Parameters
    ----------
    rows0, rows1 : int64 arrays (B,)
        Record i is made of embedding ``rows0[i]`` of in0 and ``rows1[i]`` of in1. The positives
        come first.
    """

    rows0: NDArray[np.int64]
    rows1: NDArray[np.int64]

    def with_new(self, positives: int, rate: int, first: int) -> Pairing:
        """Return this pairing with `rate` more negatives of each positive, of new embeddings.

        Parameters
        ----------
        positives, rate : int
        first : int
            Row of the first new embedding of in1; ``positives * rate`` of them follow.
        """
        own = np.tile(np.arange(positives), rate)  # (P * r,)
        new = first + np.arange(len(own))  # (P * r,)
        return Pairing(np.concatenate([self.rows0, own]), np.concatenate([self.rows1, new]))


def draw_pairing(
    positives: int,
    records: Rows,
    rate: int,
    generator: np.random.Generator,
    groups: NDArray[np.int64] | None = None,
) -> Pairing:
    """Return the pairing of `positives` records with `rate` negatives each.

    Parameters
    ----------
    positives : int
        P, the records of the batch.
    records : int64 array (Q,)
        The record of each in1 to draw from; the first P are those of the batch, in order. A batch
        that was filled up holds some more than once; at least two must differ.
    rate : int
        Negatives for each record.
    generator : numpy.random.Generator
    groups : int64 array (Q,), optional
        The group of each of these records, of which at least two must differ. By default each
        record is a group of its own.

    Returns
    -------
    Pairing
        P positives, then P negatives `rate` times over; no negative has its own group's in1.
    """
    own = np.arange(positives)  # (P,)
    if not rate:
        return Pairing(own, own)
    pool, number = _different(records)  # (U,), (Q,)
    first = number[:positives]  # (P,) where each record's group begins in the pool
    size: int | NDArray[np.int64] = 1  # of that group
    if groups is not None:
        order = np.argsort(groups[pool], kind="stable")
        pool, of_pool = pool[order], groups[pool][order]  # (U,), (U,)
        first = np.searchsorted(of_pool, groups[:positives])  # (P,)
        size = np.searchsorted(of_pool, groups[:positives], side="right") - first  # (P,)
    # From the first of one's own group such a step reaches every other record with equal chance.
    steps = generator.integers(size, len(pool), size=(rate, positives))  # (r, P)
    others = pool[(first + steps) % len(pool)]  # (r, P)
    return Pairing(np.tile(own, 1 + rate), np.concatenate([own, others.ravel()]))


def _different(records: Rows) -> tuple[Rows, Rows]:
    """Return the row of each different record, (U,), and which of them is in each row, (Q,)."""
    if (np.diff(np.sort(records)) > 0).all():  # nearly always, and found ten times as fast
        rows = np.arange(len(records))
        return rows, rows
    _, first, inverse = np.unique(records, return_index=True, return_inverse=True)
    first_row = first[inverse]  # (Q,) the first row of each record
    pool = np.unique(first_row)
    return pool, np.searchsorted(pool, first_row)
