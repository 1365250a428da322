"""A document and one of its labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from object2vec.config.kinds import Integer
from object2vec.fields.base import option
from object2vec.fields.kinds.text import TextKind
from object2vec.fields.kinds.tokens import TokensKind
from object2vec.fields.specification import Field
from object2vec.fields.table_schema import Making, TableSchema
from object2vec.objects.ragged import Ragged
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.makers.base import Asked, Fields, Made, Maker, Roles, by_rows
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws, Numbers
from object2vec.reading.tables.members import ROW


@dataclass(frozen=True)
class Labels(Maker):
    """in0 is a document, in1 one of its labels, drawn anew each epoch.

    Notes
    -----
    Labels are tokens of a list (``labels:tokens("|")``), or texts of a list or between tabs
    (``labels:text``). A text that has several labels of the second sort counts for its vocabulary
    as often as it has labels.
    """

    name = "labels"
    labels: int = option(
        1, Integer(0, None), "records of each document in an epoch; 0 has one for each label"
    )

    def declared(self, sides: tuple[Fields, Fields], roles: Roles) -> TableSchema:
        """Return the fields of documents and of labels."""
        in0 = sides[0] or (Field("text", TextKind()),)
        in1 = sides[1] or (Field("labels", TokensKind()),)
        making = Making(self.specification())
        if len(in1) != 1:
            got = ", ".join(each.column for each in in1)
            raise self.reject("in1", "must be one column", got, "Name that of the labels.")
        if in1[0].kind is None:
            in1 = (replace(in1[0], kind=TokensKind()),)
        if not isinstance(in1[0].kind, TokensKind):
            making, roles = by_rows(making, in1[0]), {**roles, "group": ROW}
        return TableSchema((in0, in1), **roles, making=making)

    def collections(self, rows: Pairs) -> Collections:
        """Return labels by document: its tokens, or rows."""
        if "group" in rows.columns:
            return super().collections(rows)
        number = np.arange(len(rows))
        return Collections(rows, rows.columns["in1"].offsets, number, number)

    def counts(self, collections: Collections) -> Numbers:
        """Return as many records of each document as it has labels, or fewer."""
        sizes = collections.sizes
        return np.minimum(sizes, self.labels) if self.labels else sizes

    def make(self, records: Asked, draws: Draws) -> Made:
        """Return documents and labels."""
        of, sizes = records.of, records.sizes
        start = draws.below(sizes, 0, records.collections)
        step: Numbers = sizes // np.minimum(sizes, self.labels or sizes)
        at: Numbers = (start + records.indices * step) % sizes
        if "group" in of.rows.columns:
            members = records.first_members + at
            rows = of.row_numbers(members)
            return Made(of.rows.gather("in0", rows), of.rows.gather("in1", rows), rows)
        rows = records.collections
        every = of.rows.gather("in1", rows)  # labels of each document
        tokens = every.values[every.offsets[:-1] + at]
        label = Ragged(tokens, np.arange(len(tokens) + 1))
        return Made(of.rows.gather("in0", rows), label, rows)

    def longest(self, collections: Collections) -> tuple[Numbers, Numbers]:
        """Return the tokens of each document and of each label."""
        rows = collections.rows.columns
        if "group" in rows:
            return rows["in0"].lengths, rows["in1"].lengths
        return rows["in0"].lengths, np.ones(len(rows["in0"]), np.int64)
