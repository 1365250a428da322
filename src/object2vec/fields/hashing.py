"""The hash of strings that decides which bucket a token has: the same on every machine, for ever.

It takes the UTF-8 of a string eight bytes at a time, as little-endian numbers of 64 bits, the last
one filled up with zeros; all arithmetic is modulo 2**64::

    state = SEED ^ (number of bytes * LENGTH)
    for each word:
        state = (state ^ word) * STEP
        state = state ^ (state >> 32)
    state = state * FINAL
    hash = state ^ (state >> 32)

It is made for tables of strings, not against somebody who looks for strings of equal hash.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Odd numbers without a pattern: digits of pi, e, the golden ratio and the square root of 2.
SEED = 0x243F6A8885A308D3
LENGTH = 0xB7E151628AED2A6B
STEP = 0x9E3779B97F4A7C15
FINAL = 0x6A09E667F3BCC909

_HALF = np.uint64(32)


def plain_hashes(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Return the hash of each part of `data`, without compiled code.

    Parameters
    ----------
    data : uint8 array (bytes,)
    starts, ends : int64 arrays (t,)

    Returns
    -------
    uint64 array (t,)
    """
    padded = np.concatenate([data, np.zeros(8, np.uint8)])
    lengths = ends - starts  # (t,)
    states = np.uint64(SEED) ^ (lengths.astype(np.uint64) * np.uint64(LENGTH))  # (t,)
    for done in range(0, int(lengths.max(initial=0)), 8):
        (longer,) = np.nonzero(lengths > done)  # (m,)
        at = np.minimum((starts[longer] + done)[:, None] + np.arange(8), len(data))  # (m, 8)
        word = padded[at]
        word[np.arange(8) >= (lengths[longer] - done)[:, None]] = 0
        state = (states[longer] ^ word.view("<u8")[:, 0]) * np.uint64(STEP)
        states[longer] = state ^ (state >> _HALF)
    states *= np.uint64(FINAL)
    return states ^ (states >> _HALF)
