"""Runs of characters, for names and for texts with misspellings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from object2vec.config.kinds import Boolean, Integer
from object2vec.fields.base import option
from object2vec.fields.parts import Parts, PartsKind
from object2vec.fields.spans import Spans
from object2vec.fields.values import whole_values
from object2vec.fields.vocabulary import MOST_BUCKETS, Counts
from object2vec.fields.vocabulary_field import Tokenised, buckets_for
from object2vec.fields.words import framed, runs_of

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 20


@dataclass(frozen=True)
class CharactersKind(PartsKind):
    """A name: it and runs of its characters are tokens. For rare names and misspellings.

    Notes
    -----
    As fastText does with words (Bojanowski et al., https://arxiv.org/abs/1607.04606): the name is
    put between "<" and ">", its runs of `shortest` to `longest` characters are hashed, and the name
    as a whole has a row of its own if it is seen often enough.
    """

    name = "characters"
    is_single: ClassVar[bool] = True
    hashes_parts: ClassVar[bool] = True

    shortest: int = option(
        3, Integer(1, _LONGEST), "characters of the shortest runs", by_name=False
    )
    longest: int = option(6, Integer(1, _LONGEST), "characters of the longest runs", by_name=False)
    lower: bool = option(True, Boolean(), "whether capital letters become small ones")
    buckets: int | None = option(
        None, Integer(1, MOST_BUCKETS), "rows that the runs are hashed into"
    )

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        if self.longest < self.shortest:
            must, cure = f"must be at least shortest, {self.shortest}", "Raise it."
            raise self.mistake("longest", must, self.longest, cure)

    def policy(self, n_different: int, n_rare: int) -> tuple[str, int]:
        """Hash the runs of characters."""
        return "buckets", self.buckets or buckets_for(n_rare)

    def tokens(self, values: pa.Array) -> Tokenised:
        """Return the framed names that are not missing."""
        found, spans, missing = whole_values(values)
        content, offsets = framed(spans, lower=self.lower)
        return Tokenised(found, Spans(content, offsets[:-1], offsets[1:], spans.offsets), missing)

    def parts(self, data: NDArray[np.uint8], starts: Counts, ends: Counts) -> Parts:
        """Return each name as a whole, and the runs of its characters."""
        (letters,) = np.nonzero((data & 0xC0) != 0x80)  # where a character begins
        bounds = np.append(letters, len(data))
        firsts = np.searchsorted(letters, starts)  # (n,): the first character of each name
        offsets = np.append(firsts, np.searchsorted(letters, ends[-1:]))
        characters = Spans(data, bounds[:-1], bounds[1:], offsets)
        runs = runs_of(characters, self.shortest, self.longest)
        return _with_whole(runs, starts, ends)

    def shown(self, token: str) -> str:
        """Return a name without its frame."""
        return token[1:-1]


def _with_whole(runs: Spans, starts: Counts, ends: Counts) -> Parts:
    """Return names as wholes, each followed by its runs."""
    first = runs.offsets[:-1]  # (n,)
    hashed = np.insert(np.ones(len(runs.starts), np.bool_), first, False)
    offsets = runs.offsets + np.arange(len(runs.offsets))
    firsts, lasts = np.insert(runs.starts, first, starts), np.insert(runs.ends, first, ends)
    return Parts(Spans(runs.text, firsts, lasts, offsets), hashed)
