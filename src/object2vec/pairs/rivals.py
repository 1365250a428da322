"""What the records of a batch are set against: each other, and objects of in1 drawn for all.

A batch is a function of the seed, the epoch and its number, and so are the objects that are drawn.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.config import Config
from object2vec.objects.ragged import Ragged, Rows
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.positives import PairList, Positives, excluded, keys_of


class RivalFinder:
    """Finds what is no negative in a batch, and draws more negatives.

    Parameters
    ----------
    pairs : Pairs
        The channel. Where its records are made afresh each epoch, or read from a disk, since they
        are too many for memory, its positives are not listed: only what is equal in a batch, or of
        one group, is left out.
    config : Config
    """

    def __init__(self, pairs: Pairs, config: Config) -> None:
        self.pairs, self.config = pairs, config
        self.drawn = config.shared_negatives

    @cached_property
    def known(self) -> Positives | None:
        """The positives of the channel; None where they are not listed."""
        if self.pairs.are_on_disk or self.pairs.are_made:
            return None
        return Positives.find(self.pairs, self.config)

    @cached_property
    def _chances(self) -> NDArray[np.float64]:
        """How often each object of in1 is drawn, summed up to it, (U1,)."""
        assert self.known is not None
        weights = self.known.in1.counts.astype(np.float64) ** self.config.negative_exponent
        return np.cumsum(weights / weights.sum())

    def draw(self, generator: np.random.Generator) -> Rows:
        """Return records whose in1 are negatives of a whole batch, (K,)."""
        if self.known is None:
            return generator.integers(len(self.pairs), size=self.drawn)
        at = np.searchsorted(self._chances, generator.random(self.drawn), side="right")
        return self.known.in1.first[np.minimum(at, len(self._chances) - 1)]

    def excluded(self, columns: dict[str, Any], records: Rows) -> PairList | None:
        """Return which records of a batch and rows of in1 are no negatives of each other.

        Parameters
        ----------
        columns : dict of columns
            B records; in1 of what was drawn, too, (Q,).
        records : int array (Q,)
            The record of each row of in1.
        """
        size = len(columns["in0"])
        groups = self.pairs.groups(records)
        if self.known is not None:
            of0, of1 = self.known.in0.of[records[:size]], self.known.in1.of[records]
            return excluded(of0, of1, groups, self.known)
        sides: list[Ragged] = [columns["in0"], columns["in1"]]
        keys = [keys_of(each, side, self.config) for side, each in enumerate(sides)]
        return excluded(keys[0], keys[1], groups, None)

    def log_q(self, size: int, records: Rows) -> NDArray[np.float32] | None:
        """Return the logarithm of how often each row of in1 is expected in a batch, (Q,).

        Parameters
        ----------
        size : int
            Records of the batch, B.
        records : int array (Q,)
        """
        if not self.config.log_q_correction:
            return None
        total = len(self.pairs)
        if self.known is None:
            expected = np.full(len(records), (size + self.drawn) / total)
        else:
            objects, drawn = self.known.in1.of[records], np.zeros(len(records))
            if self.drawn:
                drawn = self.drawn * np.diff(self._chances, prepend=0.0)[objects]  # (Q,)
            expected = size * self.known.in1.counts[objects] / total + drawn
        log_q: NDArray[np.float32] = np.log(expected).astype(np.float32)
        return log_q
