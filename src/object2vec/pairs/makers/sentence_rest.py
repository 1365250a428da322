"""A sentence and the rest of its document."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from object2vec.config.kinds import Float, Integer
from object2vec.fields.base import option
from object2vec.fields.kinds.text import TextKind
from object2vec.fields.specification import Field
from object2vec.fields.table_schema import TableSchema
from object2vec.pairs.makers.base import Asked, Fields, Made, Maker, Roles, others, rest_of
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws, Numbers

_START, _SHARE, _KEPT, _ONE = range(4)  # what is drawn


@dataclass(frozen=True)
class SentenceRest(Maker):
    """in0 is a sentence of a document, in1 a random part of its other sentences.

    Notes
    -----
    Of how many of the others are kept a share is drawn, and each is kept with that chance; one at
    least is. They stay in their order. Where a document gives several sentences in an epoch they
    are different ones, spread over it.
    """

    name = "sentence_rest"
    sentences: int = option(
        0, Integer(0, None), "records of each document in an epoch; 0 takes all its sentences"
    )
    least: float = option(
        0.3, Float(0.0, 1.0), "the smallest share of the other sentences that is kept"
    )

    def declared(self, sides: tuple[Fields, Fields], roles: Roles) -> TableSchema:
        """Return the fields of sentences and of documents, which share their words."""
        usual = (Field("sentence", TextKind()), Field("text", TextKind()))
        return self.of_members(sides, roles, usual, lists=True)

    def counts(self, collections: Collections) -> Numbers:
        """Return as many records of each document as it has sentences, or fewer."""
        sizes = collections.sizes
        counts = np.minimum(sizes, self.sentences) if self.sentences else sizes
        return np.where(sizes > 1, counts, 0)

    def make(self, records: Asked, draws: Draws) -> Made:
        """Return sentences and parts of the rest."""
        of, sizes = records.of, records.sizes
        start = draws.below(sizes, _START, records.collections)  # (m,)
        step: Numbers = sizes // np.minimum(sizes, self.sentences or sizes)
        at: Numbers = (start + records.indices * step) % sizes  # (m,) in its document
        members, offsets = of.spread(records.collections)  # (t,), (m + 1,)
        number = np.repeat(records.numbers, sizes)  # (t,)
        share = 1 - draws.uniform(_SHARE, records.numbers) * (1 - self.least)  # (m,)
        kept = draws.uniform(_KEPT, number, members) < np.repeat(share, sizes)  # (t,)
        one = draws.below(sizes - 1, _ONE, records.numbers)  # (m,) is kept anyway
        kept[offsets[:-1] + others(at, one, sizes)] = True
        kept[offsets[:-1] + at] = False
        chosen = records.first_members + at
        rest = rest_of(of.members("in0", members[kept]), kept, offsets)
        return Made(of.members("in0", chosen), rest, of.row_numbers(chosen))

    def longest(self, collections: Collections) -> tuple[Numbers, Numbers]:
        """Return the tokens of each sentence and of each document."""
        return collections.lengths("in0")
