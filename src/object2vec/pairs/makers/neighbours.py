"""Sentences that stand beside one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from object2vec.config.kinds import Integer
from object2vec.fields.base import option
from object2vec.fields.kinds.text import TextKind
from object2vec.fields.specification import Field
from object2vec.fields.table_schema import TableSchema
from object2vec.pairs.makers.base import Asked, Fields, Made, Maker, Roles
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws, Numbers


@dataclass(frozen=True)
class Neighbours(Maker):
    """in0 is a sentence of a document, in1 one that stands beside it, before or behind.

    Notes
    -----
    Each sentence is in0 once an epoch.
    """

    name = "neighbours"
    reach: int = option(1, Integer(1, None), "how many sentences away in1 may be")

    def declared(self, sides: tuple[Fields, Fields], roles: Roles) -> TableSchema:
        """Return the fields of a sentence and of another one."""
        usual = (Field("sentence", TextKind()), Field("other_sentence", TextKind()))
        return self.of_members(sides, roles, usual)

    def counts(self, collections: Collections) -> Numbers:
        """Return a record for each sentence that is not alone."""
        return np.where(collections.sizes > 1, collections.sizes, 0)

    def make(self, records: Asked, draws: Draws) -> Made:
        """Return sentences and their neighbours."""
        of, at = records.of, records.indices
        first = np.maximum(at - self.reach, 0)  # (m,)
        last = np.minimum(at + self.reach, records.sizes - 1)
        near = first + draws.below(last - first, 0, records.numbers)
        near += near >= at
        in0, in1 = records.first_members + at, records.first_members + near
        return Made(of.members("in0", in0), of.members("in0", in1), of.row_numbers(in0))

    def longest(self, collections: Collections) -> tuple[Numbers, Numbers]:
        """Return the tokens of each sentence, on both sides."""
        lengths, _ = collections.lengths("in0")
        return lengths, lengths
