"""What pairs are made of: members, and which of them belong together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.objects.ragged import Ragged, Rows, offsets_of
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.makers.draws import Numbers


@dataclass(frozen=True, eq=False)
class Collections:
    """Rows of a channel by the collection that they are of: sentences by document, say.

    Parameters
    ----------
    rows : Pairs
        What was read, a member in each row.
    bounds : int64 array (C + 1,)
        Members of collection c have the numbers from ``bounds[c]`` to before ``bounds[c + 1]``.
    order : int64 array (M,), optional
        The row of each member; by default member i is row i.
    """

    rows: Pairs
    bounds: Numbers
    order: Numbers | None = None

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @cached_property
    def sizes(self) -> Numbers:
        """Members of each collection, (C,)."""
        return np.diff(self.bounds)

    def members(self, name: str, numbers: Rows) -> Ragged:
        """Return the sequences that the members with these numbers have in a column."""
        found: Ragged = self.rows.gather(name, self.row_numbers(numbers))
        return found

    def row_numbers(self, numbers: Rows) -> Rows:
        """Return the rows of the members with these numbers."""
        return numbers if self.order is None else self.order[numbers]

    def spread(self, collections: Rows) -> tuple[Numbers, Numbers]:
        """Return the numbers of all members of some collections, and where those of each begin.

        Returns
        -------
        int64 arrays (t,) and (m + 1,)
        """
        offsets = offsets_of(self.sizes[collections])  # (m + 1,)
        shifts = np.repeat(self.bounds[collections] - offsets[:-1], self.sizes[collections])
        return np.arange(offsets[-1]) + shifts, offsets

    def lengths(self, name: str) -> tuple[Numbers, Numbers]:
        """Return the tokens of each member, (M,), and of all of each collection, (C,)."""
        column: Ragged = self.rows.columns[name]
        of_rows = column.lengths
        lengths = of_rows if self.order is None else of_rows[self.order]
        ends = offsets_of(lengths)[self.bounds]
        return lengths, np.diff(ends)

    @classmethod
    def by(cls, rows: Pairs, groups: NDArray[Any]) -> Collections:
        """Return rows as the members of their groups, (M,), in the order in which those appear."""
        starts = np.flatnonzero(np.diff(groups, prepend=groups[:1] ^ 1))  # of runs
        if len(np.unique(groups[starts])) == len(starts):
            return cls(rows, np.append(starts, len(groups)))
        _, first, number = np.unique(groups, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        order = np.argsort(rank[number], kind="stable")  # (M,)
        return cls(rows, offsets_of(np.bincount(rank[number])), order)


def joined(members: Ragged, bounds: Numbers) -> Ragged:
    """Return sequences of consecutive members: row i has those from ``bounds[i]`` on."""
    return Ragged(members.values, members.offsets[bounds])
