"""Two of what belongs together: captions of a picture, products of a basket, clicks of a visit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from object2vec.config.kinds import Integer
from object2vec.fields.base import option
from object2vec.pairs.makers.base import Asked, Made, TwoMembers, others
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws, Numbers

_START, _STEP = range(2)  # what is drawn


@dataclass(frozen=True)
class SameGroup(TwoMembers):
    """in0 and in1 are two members of a group: of the rows with one --group, or of a list.

    Notes
    -----
    Where a group has more members than records they are drawn, spread over it.
    """

    name = "group"
    pairs: int = option(
        0, Integer(0, None), "records of each group in an epoch; 0 has each member as in0 once"
    )

    def counts(self, collections: Collections) -> Numbers:
        """Return as many records of each group as it has members, or so many."""
        sizes = collections.sizes
        return np.where(sizes > 1, self.pairs or sizes, 0)

    def make(self, records: Asked, draws: Draws) -> Made:
        """Return members and other members."""
        sizes = records.sizes
        start = draws.below(sizes, _START, records.collections)  # (m,)
        step = np.maximum(sizes // (self.pairs or sizes), 1)
        at: Numbers = (start + records.indices * step) % sizes
        other = others(at, draws.below(sizes - 1, _STEP, records.numbers), sizes)
        return records.paired(records.first_members + at, records.first_members + other)
