"""Random choices that are functions of a seed, an epoch and where they are used.

Nothing is remembered between two draws, so any record of any epoch can be made at any time and by
any thread, to the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.objects.ragged import mixed

Numbers = NDArray[np.int64]

KEPT, REACH, NOISE, CONTEXT, OTHER = range(5)  # what is drawn of texts, in windows and in blocks

_DOUBLE = 2.0**-53  # of the upper 53 bits of a number a double in [0, 1) is made


@dataclass(frozen=True)
class Draws:
    """What is drawn in an epoch.

    Parameters
    ----------
    seed : int
    epoch : int
        -1 for what is the same in every epoch, such as the pairs of validation.
    """

    seed: int
    epoch: int = -1

    @cached_property
    def _key(self) -> NDArray[np.uint64]:
        seed = mixed(np.array([self.seed % 2**64], np.uint64))
        return mixed(seed + np.uint64(self.epoch % 2**64))

    def bits(self, stream: int, *positions: NDArray[Any]) -> NDArray[np.uint64]:
        """Return a number of 64 random bits for each position, (m,).

        Parameters
        ----------
        stream : int
            Tells one choice from another at the same position.
        *positions : int arrays (m,)
            Where it is used: the number of a record, say, and that of a member.
        """
        found = mixed(self._key + np.uint64(stream))
        for each in positions:
            found = mixed(found ^ each.astype(np.uint64))
        return found

    def uniform(self, stream: int, *positions: NDArray[Any]) -> NDArray[np.float64]:
        """Return a number in [0, 1) for each position, (m,)."""
        upper = self.bits(stream, *positions) >> np.uint64(11)
        return upper.astype(np.float64) * _DOUBLE

    def below(self, limits: NDArray[Any], stream: int, *positions: NDArray[Any]) -> Numbers:
        """Return a whole number from 0 to below each of these limits, (m,)."""
        drawn: Numbers = (self.uniform(stream, *positions) * limits).astype(np.int64)
        return drawn
