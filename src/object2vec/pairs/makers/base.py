"""What every maker of pairs can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from object2vec.errors import ConfigError
from object2vec.fields.base import Optioned
from object2vec.fields.schema import TableSchema
from object2vec.fields.specification import Field, kind_text
from object2vec.objects.ragged import Ragged, Rows
from object2vec.pairs.dataset import PairBlocks, Pairs
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import Draws, Numbers

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
    """

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

    def collections(self, rows: Pairs) -> Collections:
        """Return what pairs are made of."""
        return Collections.by(rows, rows.columns["group"])

    @abstractmethod
    def first_records(self, collections: Collections) -> Numbers:
        """Return the number of the first record of each collection, and of all, (C + 1,)."""

    @abstractmethod
    def make(self, records: Records, draws: Draws) -> tuple[Ragged, Ragged]:
        """Return in0 and in1 of some records, m rows each."""

    @abstractmethod
    def longest(self, collections: Collections) -> tuple[Numbers, Numbers]:
        """Return lengths that objects of in0 and of in1 may have, to see how long they get."""

    def blocks(self, pairs: MadePairs, config: Config) -> PairBlocks | None:
        """Return the blocks that batches are made of; None where they hold single records."""
        return None

    def reject(self, name: str, must: str, got: Any, cure: str) -> ConfigError:
        """Return the error for a column or an option that does not go with it."""
        return ConfigError.at(name, f"{must} with pairs={self.name}", got, cure)


@dataclass(frozen=True, eq=False)
class Records:
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
    """

    of: Collections
    numbers: Numbers
    collections: Numbers
    indices: Numbers

    @property
    def sizes(self) -> Numbers:
        """Members of the collection of each record, (m,)."""
        return self.of.sizes[self.collections]

    @property
    def first_members(self) -> Numbers:
        """The number of the first member of the collection of each record, (m,)."""
        return self.of.bounds[self.collections]

    @classmethod
    def at(cls, of: Collections, first: Numbers, rows: Rows) -> Records:
        """Return records by number; `first` has that of the first one of each collection."""
        collections = np.searchsorted(first, rows, side="right") - 1  # (m,)
        numbers = np.asarray(rows, np.int64)
        return cls(of, numbers, collections, numbers - first[collections])


def paired_columns(first: Sequence[Field], second: Sequence[Field]) -> tuple[tuple[str, str], ...]:
    """Return which columns of both sides have one vocabulary, field by field."""
    return tuple((a.column, b.column) for a, b in zip(first, second, strict=True))
