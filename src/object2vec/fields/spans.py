"""Tokens as parts of one text: what tokenisers give and vocabularies take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Spans:
    """The tokens of n values, each a part of one buffer of bytes; parts may overlap.

    Parameters
    ----------
    text : uint8 array (bytes,)
        UTF-8, normalised (NFC).
    starts, ends : int64 arrays (t,)
        Offsets of the tokens, value by value.
    offsets : int64 array (n + 1,)
        Row i has the tokens from ``offsets[i]`` to before ``offsets[i + 1]``.

    Notes
    -----
    Overlapping parts make n-grams, prefixes of addresses and subwords without a copy: a bigram of
    words that single blanks divide is the part from the first to the second, and a /8 network is
    the first eight characters of an address that is written in bits.
    """

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1
