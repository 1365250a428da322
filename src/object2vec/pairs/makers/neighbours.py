"""Sentences that stand beside one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from object2vec.config.kinds import Integer
from object2vec.fields.base import option
from object2vec.fields.kinds.text import TextKind
from object2vec.fields.specification import Field
from object2vec.pairs.makers.base import Asked, Made, TwoMembers
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws, Numbers


@dataclass(frozen=True)
class Neighbours(TwoMembers):
    """in0 is a sentence of a document, in1 one that stands beside it, before or behind.

    Notes
    -----
    Each sentence is in0 once an epoch.
    """

    name = "neighbours"
    usual = (Field("sentence", TextKind()), Field("other_sentence", TextKind()))
    reach: int = option(1, Integer(1, None), "how many sentences away in1 may be")

    def counts(self, collections: Collections) -> Numbers:
        """Return a record for each sentence that is not alone."""
        return np.where(collections.sizes > 1, collections.sizes, 0)

    def make(self, records: Asked, draws: Draws) -> Made:
        """Return sentences and their neighbours."""
        at = records.indices
        first = np.maximum(at - self.reach, 0)  # (m,)
        last = np.minimum(at + self.reach, records.sizes - 1)
        near = first + draws.below(last - first, 0, records.numbers)
        near += near >= at
        return records.paired(records.first_members + at, records.first_members + near)
