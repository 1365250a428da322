"""A random order of many records that is computed where it is asked for, not stored.

A shuffled list of a billion record numbers takes four gigabytes. A permutation that is computed
takes a few keys: a Feistel network (Luby & Rackoff 1988) permutes the numbers of an even number of
bits, and what falls beyond the last record is permuted again until it does not (cycle walking,
Black & Rogaway 2002, "Ciphers with arbitrary finite domains").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 8


class RandomOrder:
    """The numbers from 0 to before `length` in an order that `generator` chooses.

    Parameters
    ----------
    length : int
        At least 1.
    generator : numpy.random.Generator

    Examples
    --------
    >>> order = RandomOrder(5, np.random.default_rng(0))
    >>> sorted(order[0:5].tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, length: int, generator: np.random.Generator) -> None:
        self._length = length
        self._half = np.uint64(max(1, -(-(length - 1).bit_length() // 2)))  # bits
        keys = generator.integers(2**64, size=(2, _ROUNDS), dtype=np.uint64)
        self._rounds = list(zip(keys[0], keys[1] | np.uint64(1), strict=True))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, ranks: slice) -> NDArray[np.int64]:
        """Return the numbers at these ranks of the order."""
        numbers = np.arange(*ranks.indices(self._length), dtype=np.uint64)  # (m,)
        numbers = self._permuted(numbers)
        while len(beyond := np.flatnonzero(numbers >= self._length)):
            numbers[beyond] = self._permuted(numbers[beyond])
        return numbers.astype(np.int64)

    def _permuted(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return what each number below ``4**half`` becomes, another one for each."""
        mask = (np.uint64(1) << self._half) - np.uint64(1)
        left, right = numbers >> self._half, numbers & mask  # (m,), (m,)
        for addend, factor in self._rounds:  # modulo 2**64; the upper bits of a product are mixed
            mixed = (right + addend) * factor >> (np.uint64(64) - self._half)
            left, right = right, left ^ mixed
        return (left << self._half) | right
