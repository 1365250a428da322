"""A sentence and the rest of its document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from object2vec.config.kinds import Float, Integer
from object2vec.fields.base import option
from object2vec.fields.kinds.text import TextKind
from object2vec.fields.schema import Making, TableSchema
from object2vec.fields.specification import Field
from object2vec.objects.ragged import Ragged, offsets_of
from object2vec.pairs.makers.base import Fields, Maker, Records, paired_columns
from object2vec.pairs.makers.collections import Collections, joined
from object2vec.pairs.makers.draws import Draws, Numbers
from object2vec.reading.tables.members import ROW

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
        1, Integer(0, None), "records of each document in an epoch; 0 takes all its sentences"
    )
    least: float = option(
        0.3, Float(0.0, 1.0), "the smallest share of the other sentences that is kept"
    )

    def declared(self, sides: tuple[Fields, Fields], roles: Mapping[str, Any]) -> TableSchema:
        """Return the fields of sentences and of documents, which share their words."""
        in0 = sides[0] or (Field("sentence", TextKind()),)
        in1 = sides[1] or (Field("text", in0[0].kind),)
        if len(in0) != 1 or len(in1) != 1:
            got = ", ".join(each.column for side in (in0, in1) for each in side)
            raise self.reject("in0 and in1", "must be one column each", got, "Name one.")
        has_rows = not roles.get("group")
        making = Making(self.specification(), (in1[0].column,), members=has_rows)
        roles = {**roles, "share": paired_columns(in0, in1)}
        if has_rows:
            roles["group"] = ROW
        return TableSchema((in0, in1), **roles, making=making)

    def first_records(self, collections: Collections) -> Numbers:
        """Return the number of the first record of each document, (C + 1,)."""
        sizes = collections.sizes
        counts = np.minimum(sizes, self.sentences) if self.sentences else sizes
        return offsets_of(np.where(sizes > 1, counts, 0))

    def make(self, records: Records, draws: Draws) -> tuple[Ragged, Ragged]:
        """Return sentences and parts of the rest."""
        of, sizes = records.of, records.sizes
        start = draws.below(sizes, _START, records.collections)  # (m,)
        step: Numbers = sizes // np.minimum(sizes, self.sentences or sizes)
        at: Numbers = (start + records.indices * step) % sizes  # (m,) in its document
        chosen = records.first_members + at
        members, offsets = of.spread(records.collections)  # (t,), (m + 1,)
        number = np.repeat(records.numbers, sizes)  # (t,)
        share = 1 - draws.uniform(_SHARE, records.numbers) * (1 - self.least)  # (m,)
        kept = draws.uniform(_KEPT, number, members) < np.repeat(share, sizes)  # (t,)
        one = draws.below(sizes - 1, _ONE, records.numbers)  # (m,) the one that is kept anyway
        kept[offsets[:-1] + (at + 1 + one) % sizes] = True
        kept[offsets[:-1] + at] = False
        before = offsets_of(kept.astype(np.int64))  # (t + 1,)
        rest = of.members("in0", members[kept])
        return of.members("in0", chosen), joined(rest, before[offsets])

    def longest(self, collections: Collections) -> tuple[Numbers, Numbers]:
        """Return the tokens of each sentence and of each document."""
        return collections.lengths("in0")
