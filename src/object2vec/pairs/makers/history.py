"""What a user had besides, and one thing that the user had."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from object2vec.config.kinds import Choice, Float, Integer
from object2vec.fields.base import option
from object2vec.fields.kinds.token import TokenKind
from object2vec.fields.schema import side_by_side
from object2vec.fields.specification import Field
from object2vec.fields.table_schema import Making, TableSchema
from object2vec.objects.ragged import Ragged
from object2vec.pairs.makers.base import (
    Asked,
    Fields,
    Made,
    Maker,
    Roles,
    Substitutes,
    by_rows,
    named,
    rest_of,
)
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws, Numbers
from object2vec.reading.tables.members import ROW

_KEPT = 0  # what is drawn


@dataclass(frozen=True)
class History(Maker):
    """in0 is a user with the user's other items, in1 one of the items.

    Notes
    -----
    The rows of a user are those with the same first column of in0, or those of one list where in0
    has no column. Each row is a record; what is the same as its in1 is not in its history. The
    histories of validation and test are of the rows of training.

    With ``user=history`` training reads histories alone, and the vector of a user's name becomes
    that of the whole history: a user can be encoded by name, by a history, which may be new, or by
    both.
    """

    name = "history"
    is_fixed = True
    user: str = option(
        "history",
        Choice(("history", "own", "none")),
        "what the user's columns say: the whole history, something of their own that is learned "
        "beside it, or nothing",
    )
    items: int = option(
        0, Integer(0, None), "about so many of the others are drawn; 0 takes all of them"
    )
    dropout: float = option(
        0.0, Float(0.0, 1.0), "with what chance each of the others is left out of an epoch"
    )

    def declared(self, sides: tuple[Fields, Fields], roles: Roles) -> TableSchema:
        """Return the fields of users, with their histories, and of items."""
        in0, in1 = sides[0], sides[1] or (Field("item"),)
        if len(in1) != 1:
            raise self.reject("in1", "must be one column", named(in1), "Name that of the items.")
        (item,) = in1
        history = Field(f"{item.column}_history")
        if in0 and in0[-1].column == history.column:  # as a saved model names them
            in0, history = in0[:-1], in0[-1]
        if self.user == "history" and len(in0) > 1:
            cure = "Write history(user=own)."
            raise self.reject("in0", "must be one column", named(in0), cure)
        making = Making(self.specification(), (history.column,), lists=True, divides=bool(in0))
        if in0:
            roles = {**roles, "group": roles.get("group") or in0[0].column}
        elif not roles.get("group"):
            making, roles = by_rows(making, item), {**roles, "group": ROW}
        share = (*roles.get("share", ()), (history.column, item.column))
        sides = ((history,) if self.user == "none" else (*in0, history), (item,))
        return TableSchema(sides, **{**roles, "share": share}, making=making)

    def suits(self, sides: tuple[Fields, Fields], roles: Roles) -> bool:
        """Return whether users and items are tokens, of which no more is known."""
        are_alone = all(len(fields) == 1 for fields in sides)
        kinds = [each.kind for fields in sides for each in fields]
        are_tokens = all(kind is None or isinstance(kind, TokenKind) for kind in kinds)
        is_free = not any(roles.get(role) for role in ("label", "group", "share"))
        return are_alone and are_tokens and is_free

    def counts(self, collections: Collections) -> Numbers:
        """Return a record for each row."""
        return collections.sizes

    def make(self, records: Asked, draws: Draws) -> Made:
        """Return users with histories, and items."""
        of, bags = records.of, records.context or records.of
        target = records.first_members + records.indices  # (m,)
        bag = bags.find(of.groups[records.collections])  # (m,)
        members, offsets = bags.spread(np.where(bag < 0, 0, bag))  # (t,), (m + 1,)
        counts = np.diff(offsets)
        kept = bags.keys[members] != np.repeat(of.keys[target], counts)  # (t,)
        kept &= np.repeat(bag >= 0, counts)
        chance = np.full(len(counts), 1 - self.dropout)
        if self.items:
            chance = np.minimum(chance, self.items / np.maximum(counts - 1, 1))
        if (chance < 1).any():
            drawn = draws.uniform(_KEPT, np.repeat(records.numbers, counts), members)
            kept &= drawn < np.repeat(chance, counts)
        rows = of.row_numbers(target)
        history = rest_of(bags.members("in1", members[kept]), kept, offsets)
        parts = [of.rows.gather("in0", rows), history] if self.user == "own" else [history]
        return Made(side_by_side(parts), of.rows.gather("in1", rows), rows)

    def substitutes(self, collections: Collections) -> Substitutes | None:
        """Return the name of each user that is one token, and the user's items."""
        first = collections.members("in0", collections.bounds[:-1])  # (C,) sequences
        named = np.flatnonzero(first.lengths == 1)
        if self.user != "history" or not len(named):
            return None
        names, first_row = np.unique(first.take(named).values, return_index=True)
        members, offsets = collections.spread(named[first_row])
        items = collections.members("in1", members)
        return Substitutes(names, Ragged(items.values, items.offsets[offsets]))

    def longest(self, collections: Collections) -> tuple[Numbers, Numbers]:
        """Return the tokens of each user with all items, and of each item."""
        of_items, of_users = collections.lengths("in1")
        own, _ = collections.lengths("in0")
        return of_users + int(own.max(initial=0)), of_items
