"""Compiled: rows of a column put one after another."""

from object2vec.compiled.functions import compiled


@compiled
def copy_rows(values, starts, offsets, copied):
    """Copy the rows that begin at `starts` to where `offsets` says, (m,), (m + 1,)."""
    for i in range(len(starts)):
        shift = starts[i] - offsets[i]
        for k in range(offsets[i], offsets[i + 1]):
            copied[k] = values[k + shift]
