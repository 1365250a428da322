"""Text in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from object2vec.config.kinds import Boolean, Choice, Integer
from object2vec.errors import ArtifactError
from object2vec.fields.base import Fitted, Kind, Learner, option
from object2vec.fields.options import AnyText
from object2vec.fields.values import texts
from object2vec.fields.vocabulary_field import OpenKind, Tokenised, VocabularyField, VocabularyKind
from object2vec.fields.words import runs_of, words

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 5  # words of a run


@dataclass(frozen=True)
class TextKind(OpenKind):
    """Text: its words are tokens, or pieces of its words.

    A word is a run of letters, marks and digits; an ideograph or an emoji is a word by itself.
    """

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
        1, Integer(1, _LONGEST), "runs of up to so many words are tokens, too; behind the words"
    )
    shortest: int = option(
        1, Integer(1, _LONGEST), "words of the shortest runs: 2 leaves out the words themselves"
    )
    bpe: int | None = option(
        None,
        Integer(300, 1_000_000),
        "so many pieces of words, learned by byte-pair encoding; needs object2vec[text]",
    )
    tokenizer: str | None = option(
        None,
        AnyText(),
        "the tokenizer.json whose pieces are tokens; needs object2vec[text]",
    )

    def __post_init__(self) -> None:
        """Check the options, and that they do not contradict each other."""
        super().__post_init__()
        runs = ("ngrams", "shortest")
        words = ("lower", "digits", "punctuation", *runs)
        without = ("bpe", *words) if self.tokenizer else runs if self.bpe else ()
        by = "tokenizer" if self.tokenizer else "bpe"
        for name in without:
            given = getattr(self, name)
            if given != type(self).__dataclass_fields__[name].default:
                raise self.mistake(name, f"must not be given with {by}", given, "Leave it out.")
        if self.ngrams < self.shortest:
            must, cure = f"must be at least shortest, {self.shortest}", "Raise it."
            raise self.mistake("ngrams", must, self.ngrams, cure)

    @property
    def has_words(self) -> bool:
        """Whether words are the tokens."""
        return not (self.bpe or self.tokenizer)

    @property
    def reads_words(self) -> bool:
        """Whether words are the tokens."""
        return self.has_words

    @property
    def hashes_many(self) -> bool:
        """Rare words are always hashed by default."""
        return False

    def tokens(self, values: pa.Array) -> Tokenised:
        """Return the words."""
        found = texts(values)
        spans = words(found, lower=self.lower, digits=self.digits, punctuation=self.punctuation)
        return Tokenised(
            found, runs_of(spans, self.shortest, self.ngrams), found.starts == found.ends
        )

    def learner(self, start: Fitted | None = None) -> Learner:
        """Return what learns the vocabulary, and with `bpe` the pieces."""
        if self.has_words:
            return super().learner(start)
        state = start.kind.own_state() if isinstance(start, VocabularyField) else {}
        return self.restored(state).learner(start)

    def restored(self, state: Mapping[str, Any]) -> VocabularyKind:
        """Return the kind with its tokenizer, that of a saved field if there is one."""
        from object2vec.fields.kinds.pieces import (
            GivenPieces,
            LearnedPieces,
            package,
            read_tokenizer,
        )

        if self.has_words:
            return self
        package()  # not to find out when a long table has been read
        said = state.get("tokenizer", "")
        if not isinstance(said, str):
            must, cure = "must be text", "Copy or train the model again."
            raise ArtifactError.at("tokenizer", must, said, cure)
        if self.tokenizer:
            return GivenPieces.of(self, said or read_tokenizer(self.tokenizer))
        return LearnedPieces.of(self, said)

    def shares_with(self, other: Kind) -> bool:
        """Return whether the other kind has a vocabulary of words, or of the same pieces."""
        return super().shares_with(other) if self.has_words else self == other
