"""Fields of which every row is known but that of missing values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from object2vec.fields.base import MISSING_ROW, Entry, Fitted


class CountedField(Fitted):
    """A field whose rows are that of missing values, and those of what is known.

    Attributes
    ----------
    counts : int64 array (size,)
        How often training saw what has each row.
    """

    counts: NDArray[np.int64]

    @property
    def first_known(self) -> int:
        """The row behind that of missing values."""
        return MISSING_ROW + 1

    @abstractmethod
    def tokens(self) -> Iterator[str]:
        """Yield what each known row stands for, in their order."""

    def entries(self) -> Iterator[Entry]:
        """Yield its rows."""
        counts = self.counts.tolist()
        yield Entry(None, MISSING_ROW, counts[MISSING_ROW], "missing")
        for row, token in enumerate(self.tokens(), self.first_known):
            yield Entry(token, row, counts[row])

    def untrained_rows(self) -> NDArray[np.int64]:
        """Return the rows that no record of training has read, (m,)."""
        return np.flatnonzero(self.counts == 0)
