"""Pairs that are made afresh each epoch of what was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError
from object2vec.objects.ragged import Ragged, Rows, offsets_of
from object2vec.objects.schema import records
from object2vec.objects.statistics import WholeStatistics
from object2vec.pairs.dataset import PairBlocks, Pairs
from object2vec.pairs.makers.base import Asked
from object2vec.pairs.makers.draws import Draws

if TYPE_CHECKING:
    from object2vec.config import Config
    from object2vec.pairs.makers import Maker
    from object2vec.pairs.makers.base import Substitutes
    from object2vec.pairs.makers.collections import Collections
    from object2vec.pairs.makers.draws import Numbers

_SAMPLE = 1 << 14  # records that stand for all


@dataclass(frozen=True, eq=False)
class MadePairs(Pairs):
    """Pairs that a maker makes of collections.

    They are those of one epoch: `of_epoch` returns others, as many. Each has the number of its
    collection as its group. `columns` makes those of all records when asked for one;
    `take` makes what it returns.

    Parameters
    ----------
    maker : Maker
    collections : Collections
    first : int64 array (C + 1,)
        The number of the first record of each collection, and of all.
    draws : Draws
    context : Collections, optional
        Those of training, where these pairs are of another channel.
    """

    maker: Maker = field(kw_only=True)
    collections: Collections = field(kw_only=True)
    first: Numbers = field(kw_only=True)
    draws: Draws = field(kw_only=True)
    context: Collections | None = field(default=None, kw_only=True)

    @classmethod
    def of(
        cls, rows: Pairs, maker: Maker, seed: int, context: Collections | None = None
    ) -> MadePairs:
        """Return the pairs that a maker makes of what was read, always the same.

        Parameters
        ----------
        rows : Pairs
        maker : Maker
        seed : int
        context : Collections, optional
            Those of training, where the rows are of another channel.

        Raises
        ------
        DataError
            If it can make none.
        """
        collections = maker.collections(rows)
        first = offsets_of(maker.counts(collections))
        if not first[-1]:
            must = f"must hold what pairs={maker.name} can make pairs of"
            got = f"{len(rows)} rows, each by itself"
            cure = "Check that members of one collection are on one line or have one group."
            raise DataError.at(rows.source, must, got, cure)
        made = cls(
            {},
            rows.source,
            records(has_weight="weight" in rows.columns, has_group=True),
            are_positives=rows.are_positives,
            draw=rows.draw,
            maker=maker,
            collections=collections,
            context=context,
            first=first,
            draws=Draws(seed),
        )
        return replace(made, columns=_Columns(made))

    def __len__(self) -> int:
        return int(self.first[-1])

    def of_epoch(self, epoch: int) -> Pairs:
        """Return the pairs of an epoch."""
        made = replace(self, draws=replace(self.draws, epoch=epoch))
        return replace(made, columns=_Columns(made))

    def take(self, rows: Rows) -> Pairs:
        """Return these records, in this order, which are made for it."""
        asked = self._asked(rows)
        made = self.maker.make(asked, self.draws)
        columns = {"in0": made.in0, "in1": made.in1, "group": asked.collections}
        for name in ("label", "weight"):
            if name in self.schema.names:
                columns[name] = self.collections.rows.gather(name, made.rows)
        return Pairs(columns, self.source, self.schema)

    def _asked(self, rows: Rows) -> Asked:
        collections = np.searchsorted(self.first, rows, side="right") - 1  # (m,)
        numbers = np.asarray(rows, np.int64)
        indices = numbers - self.first[collections]
        return Asked(self.collections, numbers, collections, indices, self.context)

    def makes_blocks(self, config: Config) -> bool:
        """Return whether the maker makes blocks for what is to be learned."""
        return self.maker.makes_blocks(config)

    def blocks(self, config: Config) -> PairBlocks | None:
        """Return the blocks that the maker makes for what is to be learned, if it does."""
        return self.maker.blocks(self, config)

    def groups(self, rows: Rows) -> NDArray[np.int64] | None:
        """Return the collection of each of these records."""
        return self._asked(rows).collections

    def identity(self, side: int) -> Ragged | NDArray[np.uint64]:
        """Return what tells the objects of a side apart; an in0 may be what its collection is."""
        if not self.maker.is_fixed:
            return super().identity(side)
        if side == 0:
            sizes = np.diff(self.first)
            return np.repeat(self.collections.groups, sizes).view(np.uint64)
        return self.collections.members("in1", np.arange(len(self)))

    @property
    def are_made(self) -> bool:
        """Whether what an object goes with changes from epoch to epoch."""
        return not self.maker.is_fixed

    @property
    def longest(self) -> tuple[Numbers, Numbers]:
        """Lengths that objects of in0 and of in1 may have."""
        return self.maker.longest(self.collections)

    @cached_property
    def substitutes(self) -> Substitutes | None:
        """Tokens of in0 that no record has, and what each stands for; None if there are none."""
        return self.maker.substitutes(self.collections)

    @cached_property
    def sample(self) -> Pairs:
        """Records that stand for all, evenly spread."""
        count = min(len(self), _SAMPLE)
        return self.take(np.arange(count) * len(self) // count)

    @property
    def are_on_disk(self) -> bool:
        """Whether what they are made of is read from files."""
        return self.collections.rows.are_on_disk

    @property
    def blank_lines(self) -> int:
        """Number of lines that were skipped as blank when the rows were read."""
        return self.collections.rows.blank_lines

    def where(self, row: int, name: str | None = None) -> str:
        """Return where the first row of a record's collection stands."""
        asked = self._asked(np.array([row]))
        member = self.collections.row_numbers(asked.first_members)
        return self.collections.rows.where(int(member[0]), name)

    @cached_property
    def statistics(self) -> Mapping[str, Any]:
        """Facts about each column; those of objects are of a sample."""
        rows = self.collections.rows.statistics
        used = np.flatnonzero(np.diff(self.first))
        group = WholeStatistics(len(self), int(used[0]), int(used[-1]))
        numbers: dict[str, Any] = {n: rows[n] for n in ("label", "weight") if n in rows}
        return {**self.sample.statistics, **numbers, "group": group}

    @cached_property
    def fingerprint(self) -> str:
        """A hash that tells what they are made of, and how, from anything else."""
        return f"{self.maker.specification()} {self.collections.rows.fingerprint}"


class _Columns(Mapping[str, Any]):
    """The columns of all records, made when they are asked for."""

    def __init__(self, pairs: MadePairs) -> None:
        self._pairs = pairs

    @cached_property
    def _made(self) -> Mapping[str, Any]:
        return self._pairs.take(np.arange(len(self._pairs))).columns

    def __getitem__(self, name: str) -> Any:
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._pairs.schema.names  # without making them

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs.schema.names)

    def __len__(self) -> int:
        return len(self._pairs.schema.names)
