"""Compiled: windows over blocks of text."""

import numpy as np

from object2vec.compiled.functions import compiled, inner

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHARE = np.float32(2.0**-24)


@inner
def _mixed(number):
    """Return what `object2vec.objects.ragged.mixed` makes of a number."""
    number = number + _STEP
    number = (number ^ (number >> np.uint64(30))) * _FIRST
    number = (number ^ (number >> np.uint64(27))) * _SECOND
    return number ^ (number >> np.uint64(31))


@compiled
def windows(
    blocks, cuts, offsets, values, keep, key, window, words, reach, starts, partners, bounds
):
    """Lay windows over blocks; see `object2vec.pairs.blocks.plain_windows`.

    Parameters
    ----------
    words, reach, starts, partners, bounds : array
        Filled, of which all but the last are as long as they could have to be.

    Returns
    -------
    int
        Words that are kept, T.
    """
    t = p = 0
    for g in range(len(blocks)):
        position, end = cuts[blocks[g]], cuts[blocks[g] + 1]
        document = np.searchsorted(offsets, position, side="right") - 1
        bounds[g] = t
        while position < end:
            first, stop = t, min(end, offsets[document + 1])
            document += 1
            for i in range(position, stop):
                drawn = _mixed(key ^ np.uint64(i))
                if np.float32(drawn >> np.uint64(40)) * _SHARE < keep[values[i]]:
                    words[t] = values[i]
                    reach[t] = 1 + np.int64(
                        (drawn & np.uint64(0xFFFFFFFF)) * np.uint64(window) >> np.uint64(32)
                    )
                    t += 1
            position = stop
            for i in range(first, t):
                starts[i] = p
                for j in range(max(first, i - reach[i]), min(t, i + reach[i] + 1)):
                    if j != i:
                        partners[p] = j
                        p += 1
    bounds[len(blocks)], starts[t] = t, p
    return t
