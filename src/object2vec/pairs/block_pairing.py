"""Pairs of neighbours in blocks, each block with noise of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class BlockPairing:
    """Which embeddings make the pairs of a batch, in order of those of in0, and block by block.

    It is a pairing, and says besides what can be computed at once: both sides have the rows of the
    blocks, and behind them in1 has the noise of each block, which no pair is made of.

    Parameters
    ----------
    bounds : int64 array (G + 1,)
        Block g has rows ``bounds[g]`` to before ``bounds[g + 1]`` of both sides, and all partners
        of those.
    starts : int64 array (T + 1,)
        Row i of in0 is in the pairs ``starts[i]`` to before ``starts[i + 1]``.
    partners : int32 array (P,)
        The row of in1 of each pair.
    noise : int
        Rows of in1 that were drawn for each block, K: ``T + g * K`` and the following ones.
    """

    bounds: NDArray[np.int64]
    starts: NDArray[np.int64]
    partners: NDArray[np.int32]
    noise: int

    @cached_property
    def rows0(self) -> NDArray[np.int64]:
        """Rows of in0's embeddings, (P,)."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @cached_property
    def rows1(self) -> NDArray[np.int64]:
        """Rows of in1's embeddings, (P,)."""
        return self.partners.astype(np.int64)

    def noise_rows(self, block: int) -> slice:
        """Return the rows of in1 that are a block's noise."""
        first = len(self.starts) - 1 + block * self.noise
        return slice(first, first + self.noise)
