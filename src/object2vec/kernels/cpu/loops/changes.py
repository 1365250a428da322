"""Which rows of a table change for the first time."""

from object2vec.compiled.functions import compiled


@compiled
def first_of(marks, rows, bits, fresh):
    """Give rows (n,) these marks, and list those that lacked one of them.

    Parameters
    ----------
    marks : uint8 array (V,)
    rows : int32 array (n,)
    bits : uint8
    fresh : int32 array (n,)
        Filled with each such row once.

    Returns
    -------
    int
        How many they are.
    """
    count = 0
    for row in rows:
        if marks[row] & bits != bits:
            marks[row] |= bits
            fresh[count] = row
            count += 1
    return count
