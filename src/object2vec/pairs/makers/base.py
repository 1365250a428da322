"""What every maker of pairs can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import ConfigError
from object2vec.fields.base import Optioned
from object2vec.fields.kinds.tokens import TokensKind, listed
from object2vec.fields.specification import Field, kind_text
from object2vec.fields.table_schema import Making, TableSchema
from object2vec.objects.ragged import Ragged, Rows, offsets_of
from object2vec.pairs.dataset import PairBlocks, Pairs
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws, Numbers
from object2vec.reading.tables.members import ROW

if TYPE_CHECKING:
    from object2vec.config import Config
    from object2vec.pairs.made import MadePairs

Fields = tuple[Field, ...]
Roles = Mapping[str, Any]  # of columns, as arguments of `TableSchema`


@dataclass(frozen=True)
class Maker(Optioned, ABC):
    """Makes pairs of collections. A subclass is a frozen dataclass whose fields are its options.

    The first sentence of its docstring says what it makes. That is a function of the seed, the
    epoch and the number of the record; it remembers nothing.

    Attributes
    ----------
    is_fixed : bool
        Whether there is a record for each member, which is its in1 in every epoch, while its in0
        stands for the whole collection.
    """

    is_fixed: ClassVar[bool] = False

    def specification(self) -> str:
        """Return the text that names it with its options."""
        return kind_text(self)

    @abstractmethod
    def declared(self, sides: tuple[Fields, Fields], roles: Roles) -> TableSchema:
        """Return what the columns mean, with those that are made.

        Parameters
        ----------
        sides : pair of tuples of Field
            As the user names them, perhaps not at all.
        roles : mapping
            Other arguments of `TableSchema`.

        Raises
        ------
        ConfigError
            If nothing can be made of them.
        """

    def suits(self, sides: tuple[Fields, Fields], roles: Roles) -> bool:
        """Return whether it can be meant where only a preset names it."""
        return True

    def collections(self, rows: Pairs) -> Collections:
        """Return what pairs are made of."""
        return Collections.by(rows, rows.columns["group"])

    @abstractmethod
    def counts(self, collections: Collections) -> Numbers:
        """Return how many records an epoch has of each collection, (C,)."""

    @abstractmethod
    def make(self, records: Asked, draws: Draws) -> Made:
        """Return some records."""

    def longest(self, collections: Collections) -> tuple[Numbers, Numbers]:
        """Return lengths that objects of in0 and of in1 may have; by default those of members."""
        lengths, _ = collections.lengths("in0")
        return lengths, lengths

    def substitutes(self, collections: Collections) -> Substitutes | None:
        """Return tokens of in0 that training does not read, and what they stand for."""
        return None

    def makes_blocks(self, config: Config) -> bool:
        """Return whether batches are made of blocks, and not of single records."""
        return False

    def blocks(self, pairs: MadePairs, config: Config) -> PairBlocks | None:
        """Return the blocks that batches are made of; None where they hold single records."""
        return None

    def reject(self, name: str, must: str, got: Any, cure: str) -> ConfigError:
        """Return the error for a column or an option that does not go with it."""
        return ConfigError.at(name, f"{must} with pairs={self.name}", got, cure)

    def of_members(
        self, sides: tuple[Fields, Fields], roles: Roles, usual: Fields, *, lists: bool = False
    ) -> TableSchema:
        """Return what columns mean where in0 is a member, and in1 is made of others of its kind.

        Parameters
        ----------
        sides, roles
            As of `declared`.
        usual : pair of Field
            Of in0 and in1 where none is named.
        lists : bool
            Whether an in1 is made of several members.
        """
        in0 = sides[0] or usual[:1]
        in1 = sides[1] or self._others(in0, usual, lists=lists)
        columns = {each.column for each in in0}
        if len(in1) != len(in0) or (lists and len(columns) > 1):
            must = "must be one column each" if lists else "must be as many columns each"
            got = f"{named(in0)} and {named(in1)}"
            raise self.reject("in0 and in1", must, got, "Name the columns of in0 alone.")
        shared = dict.fromkeys((a.column, b.column) for a, b in zip(in0, in1, strict=True))
        making = Making(self.specification(), tuple(b for _, b in shared), lists=lists)
        roles = {**roles, "share": (*roles.get("share", ()), *shared)}
        if roles.get("group") is None:
            if len(columns) > 1:
                must, cure = "must be given where in0 has several columns", "Name it with --group."
                raise self.reject("group", must, None, cure)
            making, roles = by_rows(making, in0[0]), {**roles, "group": ROW}
        return TableSchema((in0, in1), **roles, making=making)

    @staticmethod
    def _others(in0: Fields, usual: Fields, *, lists: bool) -> Fields:
        """Return the fields of in1 where the user names none; their kinds are those of in0."""
        is_usual = in0 == usual[:1] or (lists and in0[0].column != usual[1].column)
        return tuple(
            Field(
                usual[1].column if is_usual else f"other_{each.column}",
                listed(each.kind) if lists and each.kind else each.kind,
            )
            for each in in0
        )


class TwoMembers(Maker):
    """Makes pairs of two members of what belongs together.

    Attributes
    ----------
    usual : pair of Field
        Of in0 and in1 where none is named.
    """

    usual: ClassVar[tuple[Field, Field]] = (Field("member"), Field("other_member"))

    def declared(self, sides: tuple[Fields, Fields], roles: Roles) -> TableSchema:
        """Return the fields of a member and of another one."""
        return self.of_members(sides, roles, self.usual)


def by_rows(making: Making, members: Field) -> Making:
    """Return how pairs are made where each value of a column holds several members."""
    kind = members.kind
    separator = kind.separator if isinstance(kind, TokensKind) else making.separator
    return replace(making, members=members.column, separator=separator)


@dataclass(frozen=True, eq=False)
class Substitutes:
    """Tokens that stand for sequences: each gets the embedding of its one.

    Parameters
    ----------
    tokens : int32 array (m,)
        Different ones.
    sequences : Ragged of length m
    """

    tokens: NDArray[np.int32]
    sequences: Ragged


@dataclass(frozen=True, eq=False)
class Made:
    """Records that were made.

    Parameters
    ----------
    in0, in1 : Ragged of length m
    rows : int64 array (m,)
        The row that says what each is worth and how much it counts.
    """

    in0: Ragged
    in1: Ragged
    rows: Rows


@dataclass(frozen=True, eq=False)
class Asked:
    """Records that are to be made.

    Parameters
    ----------
    of : Collections
    numbers : int64 array (m,)
        Among all of an epoch.
    collections : int64 array (m,)
        The collection of each.
    indices : int64 array (m,)
        Which record of its collection each is.
    context : Collections, optional
        Those of training, where records are of another channel.
    """

    of: Collections
    numbers: Numbers
    collections: Numbers
    indices: Numbers
    context: Collections | None = None

    @property
    def sizes(self) -> Numbers:
        """Members of the collection of each record, (m,)."""
        return self.of.sizes[self.collections]

    @property
    def first_members(self) -> Numbers:
        """The number of the first member of the collection of each record, (m,)."""
        return self.of.bounds[self.collections]

    def paired(self, in0: Numbers, in1: Numbers) -> Made:
        """Return records of one member each on both sides, (m,) and (m,)."""
        of = self.of
        return Made(of.members("in0", in0), of.members("in0", in1), of.row_numbers(in0))


def others(at: Numbers, steps: Numbers, sizes: Numbers) -> Numbers:
    """Return members other than `at` in collections of these sizes, by ``0 <= step < size - 1``."""
    found: Numbers = (at + 1 + steps) % sizes
    return found


def named(fields: Sequence[Field]) -> str:
    """Return the names of columns, for messages."""
    return ", ".join(each.column for each in fields) or "none"


def rest_of(members: Ragged, kept: np.ndarray[Any, np.dtype[np.bool_]], offsets: Numbers) -> Ragged:
    """Return sequences of the members that were kept of each row; `offsets` are of all of them."""
    before = offsets_of(kept.astype(np.int64))  # (t + 1,)
    return Ragged(members.values, members.offsets[before[offsets]])
