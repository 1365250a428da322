"""The first two of each list, as they are."""

from __future__ import annotations

from dataclasses import dataclass

from object2vec.fields.specification import Field
from object2vec.fields.table_schema import TableSchema
from object2vec.pairs.makers.base import Asked, Fields, Made, Maker, Roles
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws, Numbers


@dataclass(frozen=True)
class FirstTwo(Maker):
    """in0 is the first member of a group or a list, in1 the second; the same every epoch."""

    name = "first_two"

    def declared(self, sides: tuple[Fields, Fields], roles: Roles) -> TableSchema:
        """Return the fields of a member and of another one."""
        return self.of_members(sides, roles, (Field("member"), Field("other_member")))

    def counts(self, collections: Collections) -> Numbers:
        """Return one record of each that has two members."""
        found: Numbers = (collections.sizes > 1).astype("int64")
        return found

    def make(self, records: Asked, draws: Draws) -> Made:
        """Return first and second members."""
        of, first = records.of, records.first_members
        rows = of.row_numbers(first)
        return Made(of.members("in0", first), of.members("in0", first + 1), rows)

    def longest(self, collections: Collections) -> tuple[Numbers, Numbers]:
        """Return the tokens of each member, on both sides."""
        lengths, _ = collections.lengths("in0")
        return lengths, lengths
