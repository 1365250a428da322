"""A word and a word near it: skip-gram pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.config.kinds import Float, Integer
from object2vec.fields.base import option
from object2vec.fields.kinds.text import TextKind
from object2vec.fields.specification import Field
from object2vec.fields.table_schema import Making, TableSchema
from object2vec.objectives import objective_of
from object2vec.objects.ragged import Ragged
from object2vec.pairs.dataset import PairBlocks, Pairs
from object2vec.pairs.makers.base import Asked, Fields, Made, Maker
from object2vec.pairs.makers.collections import Collections
from object2vec.pairs.makers.draws import CONTEXT, KEPT, OTHER, REACH, Draws, Numbers

if TYPE_CHECKING:
    from object2vec.config import Config
    from object2vec.pairs.made import MadePairs

_TRIES = 8  # to find a word of a document that is kept


@dataclass(frozen=True)
class Windows(Maker):
    """in0 is a word of a document, in1 a word up to `window` words before or behind it.

    How far is drawn for each word, so that near words are its context more often. Words that are
    more frequent than `sample` of all are left out at random before windows are laid: a word with
    the share f is kept with the chance sqrt(sample / f) + sample / f.

    Notes
    -----
    With shared negatives a batch has all pairs of some stretches of text
    (`object2vec.pairs.blocks`); else an epoch has one pair for each word.
    """

    name = "windows"
    window: int = option(
        5, Integer(1, 1000), "words before and behind a word that may be its context, at the most"
    )
    sample: float = option(
        0.001, Float(0.0, 1.0), "share of all words from which on a word is thinned out; 0: none is"
    )

    def declared(self, sides: tuple[Fields, Fields], roles: Mapping[str, Any]) -> TableSchema:
        """Return the fields of words and of their contexts, which share their vocabulary."""
        in0 = sides[0] or (Field("text", TextKind(min_count=5, unseen="skip")),)
        in1 = sides[1] or (Field("context", in0[0].kind),)
        if len(in0) != 1 or len(in1) != 1:
            got = ", ".join(each.column for side in (in0, in1) for each in side)
            raise self.reject("in0 and in1", "must be one column each", got, "Name one.")
        making = Making(self.specification(), (in1[0].column,))
        roles = {**roles, "share": ((in0[0].column, in1[0].column),)}
        return TableSchema((in0, in1), **roles, making=making)

    def collections(self, rows: Pairs) -> Collections:
        """Return documents: each row is one."""
        return Collections(rows, np.arange(len(rows) + 1), np.arange(len(rows)))

    def counts(self, collections: Collections) -> Numbers:
        """Return a record for each word of each document of two or more, (C,)."""
        lengths, _ = collections.lengths("in0")
        return np.where(lengths > 1, lengths, 0)

    def make(self, records: Asked, draws: Draws) -> Made:
        """Return a word for each word of a document, and one of its contexts."""
        column: Ragged = records.of.rows.columns["in0"]
        first = column.offsets[:-1][records.collections]  # (m,)
        sizes = column.offsets[1:][records.collections] - first  # (m,)
        keep, words = self.kept(column), first + records.indices  # (V,), (m,)
        for attempt in range(_TRIES):
            tries = np.full(len(words), attempt)
            gone = draws.uniform(KEPT, words, tries) >= keep[column.values[words]]  # (m,)
            other = first + draws.below(sizes, OTHER, records.numbers, tries)
            words = np.where(gone, other, words)
        index, reach = words - first, 1 + draws.below(np.array(self.window), REACH, words)
        before, behind = np.minimum(index, reach), np.minimum(sizes - 1 - index, reach)
        at = draws.below(before + behind, CONTEXT, records.numbers)  # (m,)
        contexts = words - before + at + (at >= before)
        in0, in1 = Ragged.singles(column.values[words]), Ragged.singles(column.values[contexts])
        return Made(in0, in1, records.collections)

    def makes_blocks(self, config: Config) -> bool:
        """Return whether what is learned has shared negatives."""
        return bool(config.shared_negatives) and objective_of(config).has_noise

    def blocks(self, pairs: MadePairs, config: Config) -> PairBlocks | None:
        """Return blocks of text where what is learned has shared negatives."""
        if not self.makes_blocks(config):
            return None
        from object2vec.pairs.blocks import TextBlocks

        keep = self.kept(pairs.collections.rows.columns["in0"])  # (V,)
        drawn = config.shared_negatives, config.negative_exponent
        return TextBlocks(pairs, keep, self.window, *drawn)

    def kept(self, column: Ragged) -> NDArray[np.float32]:
        """Return the chance of each id to be kept, (V,)."""
        counts = np.bincount(column.values)
        if not self.sample:
            return np.ones(len(counts), np.float32)
        share = counts / max(1, len(column.values))
        ratio = np.divide(self.sample, share, out=np.ones(len(counts)), where=counts > 0)
        chances: NDArray[np.float32] = np.minimum(1, np.sqrt(ratio) + ratio).astype(np.float32)
        return chances
