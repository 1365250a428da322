"""What pairs are made of: members, and which of them belong together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.objects.ragged import Ragged, Rows, offsets_of, run_indices
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
    groups : int64 array (C,)
        What tells the collections apart, in this and in other channels.
    order : int64 array (M,), optional
        The row of each member; by default member i is row i.
    """

    rows: Pairs
    bounds: Numbers
    groups: Numbers
    order: Numbers | None = None

    def __len__(self) -> int:
        return len(self.groups)

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
        return run_indices(self.bounds[:-1][collections], self.sizes[collections])

    def lengths(self, name: str) -> tuple[Numbers, Numbers]:
        """Return the tokens of each member, (M,), and of all of each collection, (C,)."""
        column: Ragged = self.rows.columns[name]
        of_rows = column.lengths
        lengths = of_rows if self.order is None else of_rows[self.order]
        return lengths, np.diff(offsets_of(lengths)[self.bounds])

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """A number for each member's in1 that is the same for the same sequence, (M,)."""
        column: Ragged = self.rows.columns["in1"]
        found = column.hashes()
        return found if self.order is None else found[self.order]

    def find(self, groups: Numbers) -> Numbers:
        """Return the collections of these groups, (m,); -1 for one that is not here."""
        order = np.argsort(self.groups)
        rank = np.minimum(np.searchsorted(self.groups[order], groups), len(self) - 1)
        found = order[rank]
        return np.where(self.groups[found] == groups, found, -1)

    @classmethod
    def by(cls, rows: Pairs, groups: NDArray[Any]) -> Collections:
        """Return rows as the members of their groups, (M,), in the order in which those appear."""
        starts = np.flatnonzero(np.diff(groups, prepend=groups[:1] ^ 1))  # of runs
        if len(np.unique(groups[starts])) == len(starts):
            return cls(rows, np.append(starts, len(groups)), groups[starts])
        kept, first, number = np.unique(groups, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        order = np.argsort(rank[number], kind="stable")  # (M,)
        sizes = np.bincount(rank[number])
        return cls(rows, offsets_of(sizes), kept[np.argsort(first)], order)
