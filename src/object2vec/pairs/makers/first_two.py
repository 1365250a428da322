"""The first two of each list, as they are."""

from __future__ import annotations

from dataclasses import dataclass

from object2vec.pairs.makers.base import Asked, Made, TwoMembers
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws, Numbers


@dataclass(frozen=True)
class FirstTwo(TwoMembers):
    """in0 is the first member of a group or a list, in1 the second; the same every epoch."""

    name = "first_two"

    def counts(self, collections: Collections) -> Numbers:
        """Return one record of each that has two members."""
        found: Numbers = (collections.sizes > 1).astype("int64")
        return found

    def make(self, records: Asked, draws: Draws) -> Made:
        """Return first and second members."""
        first = records.first_members
        return records.paired(first, first + 1)
