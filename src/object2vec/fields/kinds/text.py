"""Text in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from object2vec.config.kinds import Boolean, Choice, Integer
from object2vec.fields.base import option
from object2vec.fields.values import texts
from object2vec.fields.vocabulary import OpenKind, Tokenised
from object2vec.fields.words import runs_of, words

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TextKind(OpenKind):
    """Text: its words in small letters."""

    name = "text"
    min_count: int = option(
        2, Integer(1, None), "how often training must see a word that gets a row of its own"
    )
    lower: bool = option(True, Boolean(), "whether capital letters become small ones")
    digits: str = option(
        "keep",
        Choice(("keep", "zero", "drop")),
        "digits are parts of words as they are, as zeros (1984 is 0000), or divide words",
    )
    punctuation: bool = option(False, Boolean(), "whether each sign of punctuation is a token")
    ngrams: int = option(
        1, Integer(1, 5), "runs of up to so many words are tokens, too; behind the words"
    )

    @property
    def hashes_many(self) -> bool:
        """Rare words are always hashed by default."""
        return False

    def tokens(self, values: pa.Array) -> Tokenised:
        """Return the words."""
        found = texts(values)
        spans = words(found, lower=self.lower, digits=self.digits, punctuation=self.punctuation)
        return Tokenised(found, runs_of(spans, 1, self.ngrams), found.starts == found.ends)
