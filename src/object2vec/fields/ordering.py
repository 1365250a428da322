"""Strings in the order of their bytes, by the eight that tell most of them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]
Words = NDArray[np.uint64]

_BYTES = 8  # of a word


def text_order(content: Bytes, offsets: Integers, chosen: Integers) -> Integers:
    """Return the numbers of some strings in the order of their bytes.

    Parameters
    ----------
    content : uint8 array (bytes,)
        All strings, one after another.
    offsets : int64 array (n + 1,)
        Where each begins and the last one ends.
    chosen : int64 array (m,)
        Numbers of strings that differ.

    Returns
    -------
    int64 array (m,)

    Notes
    -----
    Names in a column often begin alike, ``customer-``, so the first eight bytes behind that are
    compared as one number. The few that are equal in them are sorted again, as a whole.
    """
    if len(chosen) < 2:
        return chosen
    starts, ends = offsets[chosen], offsets[chosen + 1]
    data = np.append(content, np.zeros(_BYTES, np.uint8))
    every = np.ndarray(len(content) + 1, ">u8", data, strides=(1,))  # the eight from each byte on
    starts += _shared(every, starts, int((ends - starts).min(initial=len(content))))
    words = every[starts].astype(np.uint64)  # (m,)
    # What stands behind a string does not count; no number can be shifted by all its bits at once.
    unused = (8 * (_BYTES - np.minimum(ends - starts, _BYTES))).astype(np.uint64)  # (m,) bits
    half = unused >> np.uint64(1)
    for shift in (half, unused - half):
        words >>= shift
    for shift in (half, unused - half):
        words <<= shift
    order = np.argsort(words)
    words, chosen = words[order], chosen[order]
    tied = np.zeros(len(words), np.bool_)
    np.equal(words[1:], words[:-1], out=tied[1:])
    tied[:-1] |= tied[1:]
    if tied.any():
        chosen[tied] = _sorted(words[tied], byte_strings(content, offsets), chosen[tied])
    return chosen


def byte_strings(content: Bytes, offsets: Integers) -> pa.Array:
    """Return strings as Arrow has them, without a copy."""
    import pyarrow as pa

    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _shared(every: Words, starts: Integers, shortest: int) -> int:
    """Return how many bytes all strings begin with alike."""
    for done in range(0, shortest, _BYTES):
        words = every[starts + done]  # (m,)
        if differ := int(np.bitwise_or.reduce(words ^ words[0])):
            return min(shortest, done + (64 - differ.bit_length()) // 8)
    return shortest


def _sorted(words: Words, strings: pa.Array, chosen: Integers) -> Integers:
    """Return the numbers of strings in the order of their words and then of their bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.table({"word": words, "text": strings.take(pa.array(chosen))})
    keys = [("word", "ascending"), ("text", "ascending")]
    found: Integers = chosen[pc.sort_indices(table, sort_keys=keys).to_numpy()]
    return found
