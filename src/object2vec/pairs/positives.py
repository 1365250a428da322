"""Which objects go together: the pairs of a channel by its distinct objects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from object2vec.config import Config
from object2vec.objects.ragged import PADDING, Ragged, Rows, offsets_of, run_indices
from object2vec.pairs.dataset import Pairs

Keys = NDArray[np.uint64]
PairList = tuple[Rows, Rows]


def keys_of(sequences: Ragged, side: int, config: Config) -> Keys:
    """Return a number for each sequence, the same for those that an encoder reads alike, (n,)."""
    seen = sequences.truncated(config.encoders[side].max_seq_len)
    return (seen.trimmed(PADDING) if config.mask_padding else seen).hashes()


@dataclass(frozen=True, eq=False)
class DistinctObjects:
    """The distinct objects of one side of a channel.

    Parameters
    ----------
    keys : uint64 array (U,)
        In order.
    first : int64 array (U,)
        The first record of each one.
    of : int32 array (n,)
        The object of each record.
    counts : int64 array (U,)
        Records of each one.
    """

    keys: Keys
    first: NDArray[np.int64]
    of: NDArray[np.int32]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def find(cls, identity: Ragged | Keys, side: int, config: Config) -> DistinctObjects:
        """Return the objects of a column, by their sequences or by a number for each, (n,)."""
        hashed = identity if isinstance(identity, np.ndarray) else keys_of(identity, side, config)
        keys, first, of, counts = np.unique(
            hashed, return_index=True, return_inverse=True, return_counts=True
        )
        return cls(keys, first, of.astype(np.int32), counts)

    def numbers(self, keys: Keys) -> NDArray[np.int64]:
        """Return the object with each of these keys, (m,); -1 where there is none."""
        at = np.minimum(np.searchsorted(self.keys, keys), len(self) - 1)
        return np.where(self.keys[at] == keys, at, -1)


@dataclass(frozen=True, eq=False)
class Positives:
    """The pairs of a channel, all of which are positives.

    Parameters
    ----------
    pairs : Pairs
    in0, in1 : DistinctObjects
    """

    pairs: Pairs
    in0: DistinctObjects
    in1: DistinctObjects

    @classmethod
    def find(cls, pairs: Pairs, config: Config) -> Positives:
        """Return those of a channel."""
        sides = (DistinctObjects.find(pairs.identity(side), side, config) for side in (0, 1))
        return cls(pairs, *sides)

    @cached_property
    def lists(self) -> PairList:
        """The distinct objects of in1 of each object of in0, in order: offsets (U0 + 1,), (m,)."""
        codes = np.unique(self.in0.of.astype(np.int64) * len(self.in1) + self.in1.of)
        owners, partners = np.divmod(codes, len(self.in1))
        return offsets_of(np.bincount(owners, minlength=len(self.in0))), partners

    def of(self, objects: Rows) -> PairList:
        """Return (i, partner) for all partners of each of these objects of in0; -1 has none."""
        offsets, partners = self.lists
        known = np.flatnonzero(objects >= 0)
        starts = offsets[objects[known]]
        lengths = offsets[objects[known] + 1] - starts
        return np.repeat(known, lengths), partners[run_indices(starts, lengths)[0]]


def equal_pairs(left: Rows, right: Rows) -> PairList:
    """Return all (i, j) with ``left[i] == right[j]``, i in order."""
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    first = np.searchsorted(ordered, left)  # (B,)
    counts = np.searchsorted(ordered, left, side="right") - first  # (B,)
    return np.repeat(np.arange(len(left)), counts), order[run_indices(first, counts)[0]]


def excluded(
    keys0: Rows, keys1: Rows, groups: Rows | None, known: Positives | None
) -> PairList | None:
    """Return the records i and rows j of in1 of a batch that are no negatives of each other.

    Those of equal in0 or in1, of the same group, and whose pair is a known positive.

    Parameters
    ----------
    keys0 : array (B,)
        What tells the objects of in0 apart: with `known` their numbers there, else their keys.
    keys1 : array (Q,)
        Of in1; the first B are those of the records.
    groups : array (Q,) or (B,), optional
    known : Positives, optional

    Returns
    -------
    pair of int64 arrays (m,), or None
        i in order, without the records themselves; None if there are none.
    """
    size, width = len(keys0), len(keys1)
    found = [equal_pairs(keys1[:size], keys1), equal_pairs(keys0, keys0)]
    if groups is not None:
        found.append(equal_pairs(groups[:size], groups))
    if known is not None:
        owners, partners = known.of(keys0)
        at, rows = equal_pairs(partners, keys1)
        found.append((owners[at], rows))
    codes = np.unique(np.concatenate([i * width + j for i, j in found]))
    rows, columns = np.divmod(codes, width)
    is_other = rows != columns
    return (rows[is_other], columns[is_other]) if is_other.any() else None
