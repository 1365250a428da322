"""Fields whose tokens have a vocabulary: their kinds, and what makes rows of their values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from object2vec.config.kinds import Choice, Integer
from object2vec.errors import MAX_PROBLEMS
from object2vec.fields.base import (
    MISSING_ROW,
    Arrays,
    Coverage,
    Entry,
    Fitted,
    Kind,
    Learner,
    ValueMistakes,
    WrongValue,
    option,
)
from object2vec.fields.spans import Spans, TextSpans
from object2vec.fields.vocabulary import MOST_BUCKETS, NO_ROW, POLICIES, Rows, Vocabulary
from object2vec.objects.ragged import Ragged, offsets_of

if TYPE_CHECKING:
    import pyarrow as pa

    from object2vec.fields.learner import SeenTokens
    from object2vec.fields.values import Texts

MANY_TOKENS = 100_000  # from here on a column's unseen tokens are hashed by default
_FEWEST_CHOSEN, _MOST_CHOSEN = 1 << 10, 1 << 17  # buckets if their number is not given
_UNSEEN_RULE = "must be a token of the training data"
_UNSEEN_CURE = "Fix it, or train with unseen=unknown."


@dataclass(frozen=True)
class VocabularyKind(Kind):
    """A kind of field whose tokens have a vocabulary.

    Attributes
    ----------
    is_single : bool
        Whether each value is one token. One that is missing reads a row of its own then; where
        values are lists of tokens, it is an empty list.
    learns : callable
        Makes what learns the vocabulary, of a kind and of what is known already.
    """

    is_single: ClassVar[bool] = False
    learns: ClassVar[Callable[[VocabularyKind, Vocabulary | None], Learner]]

    min_count: int = option(
        1, Integer(1, None), "how often training must see a token that gets a row of its own"
    )
    max_size: int | None = option(
        None, Integer(0, None), "the most tokens with a row of their own: those seen most often"
    )

    @property
    def reads_words(self) -> bool:
        """Whether its values are made of words that other texts have, too."""
        return False

    @abstractmethod
    def policy(self, n_different: int, n_rare: int) -> tuple[str, int]:
        """Return what is done with tokens that are not known, and the number of buckets.

        Parameters
        ----------
        n_different : int
            Tokens that training saw.
        n_rare : int
            Those of them without a row of their own.
        """

    @abstractmethod
    def tokens(self, values: Any) -> Tokenised:
        """Return the tokens of values; raise `ValueMistakes` if some are not of this kind.

        Parameters
        ----------
        values : pyarrow array of length n, or TextSpans if the kind `takes_spans`
        """

    def shown(self, token: str) -> str:
        """Return a token as people write it."""
        return token

    def shares_with(self, other: Kind) -> bool:
        """Return whether the other kind has a vocabulary of such tokens, too."""
        return isinstance(other, OpenKind) and other.has_words

    def learner(self, start: Fitted | None = None) -> Learner:
        """Return what learns the vocabulary."""
        return type(self).learns(self, vocabulary_of(start))

    def restored(self, state: Mapping[str, Any]) -> VocabularyKind:
        """Return the kind with what a saved field says of it."""
        return self

    def field(self, vocabulary: Vocabulary) -> Fitted:
        """Return a field that is not just learned."""
        return VocabularyField(self, vocabulary)

    def own_state(self) -> dict[str, Any]:
        """Return what `restored` reads."""
        return {}


@dataclass(frozen=True)
class OpenKind(VocabularyKind):
    """A kind whose options say what is done with tokens that are not known."""

    unseen: str | None = option(
        None,
        Choice(POLICIES),
        "what other tokens do: share buckets or one unknown row, are skipped, or are an error",
    )
    buckets: int | None = option(
        None, Integer(1, MOST_BUCKETS), "rows that other tokens are hashed into"
    )

    def __post_init__(self) -> None:
        """Check the options, and that they do not contradict each other."""
        super().__post_init__()
        if self.buckets and self.unseen not in (None, "buckets"):
            cure = "Leave out one of them."
            raise self.mistake("unseen", "must be buckets if buckets are given", self.unseen, cure)
        if self.unseen == "error":
            is_given = {"min_count": self.min_count > 1, "max_size": self.max_size is not None}
            for name, given in is_given.items():
                if given:
                    must = "must not be given if other tokens are an error"
                    cure = "Leave it out, or choose unseen=unknown."
                    raise self.mistake(name, must, getattr(self, name), cure)

    @property
    def has_words(self) -> bool:
        """Whether the tokens are what stands in the values, and no pieces of it."""
        return True

    @property
    def hashes_many(self) -> bool:
        """Whether other tokens are hashed by default only where there are many different ones."""
        return True

    def policy(self, n_different: int, n_rare: int) -> tuple[str, int]:
        """Return the policy that the options name, or else buckets for many tokens."""
        policy = self.unseen
        if policy is None:
            is_hashed = self.buckets or not self.hashes_many or n_different > MANY_TOKENS
            policy = "buckets" if is_hashed else "unknown"
        return policy, (self.buckets or buckets_for(n_rare)) if policy == "buckets" else 0


def buckets_for(n_rare: int) -> int:
    """Return the buckets for so many different tokens: a power of two, 1,024 to 131,072."""
    return min(max(1 << max(0, n_rare - 1).bit_length(), _FEWEST_CHOSEN), _MOST_CHOSEN)


def vocabulary_of(start: Fitted | None) -> Vocabulary | None:
    """Return the vocabulary of a field that learning goes on from."""
    assert start is None or isinstance(start, VocabularyField)
    return None if start is None else start.vocabulary


class Tokenised(NamedTuple):
    """Tokens of the values of a block that differ, and which of those values each row has.

    Attributes
    ----------
    texts : Texts
        The values; its `indices` say which of them each row has.
    spans : Spans
        Their tokens, in the same order. A value that is missing has none.
    missing : bool array (m,)
        Which values are missing.
    """

    texts: Texts
    spans: Spans
    missing: NDArray[np.bool_]


def filled(is_there: NDArray[np.bool_], numbers: Rows) -> Rows:
    """Return a number for each value, `MISSING_ROW` where there is none, (m,)."""
    if len(numbers) == len(is_there):
        return numbers
    filled = np.full(len(is_there), MISSING_ROW, np.int32)
    filled[is_there] = numbers
    return filled


def of_rows(tokenised: Tokenised, of_tokens: Rows) -> Ragged:
    """Return a number for each token of each row."""
    column, indices = Ragged(of_tokens, tokenised.spans.offsets), tokenised.texts.indices
    return column if indices is None else with_empty(column).take(indices)


def with_empty(column: Ragged) -> Ragged:
    """Return a column with an empty row behind its last, which index -1 stands for."""
    return Ragged(column.values, np.append(column.offsets, column.offsets[-1]))


def flat(kept: pa.Array) -> pa.Array:
    """Return the ordinals of what was kept, one value after another."""
    import pyarrow as pa

    if not pa.types.is_integer(kept.type):
        return kept.flatten()
    return kept.drop_null() if kept.null_count else kept


@dataclass(frozen=True, eq=False)
class VocabularyField(Fitted):
    """A field with a vocabulary.

    Parameters
    ----------
    kind : VocabularyKind
    vocabulary : Vocabulary
    learned : SeenTokens, optional
        All tokens that its learner met; None for a field that is loaded.
    """

    kind: VocabularyKind
    vocabulary: Vocabulary
    learned: SeenTokens | None = None

    @property
    def size(self) -> int:
        """Rows of the token table that it needs."""
        return self.vocabulary.size

    @property
    def first_known(self) -> int:
        """The first row of a known token; where all are hashed, of the buckets that they have."""
        are_hashed = not len(self.vocabulary.strings)
        return self.vocabulary.first - (self.vocabulary.buckets if are_hashed else 0)

    def of(self, kind: Kind) -> VocabularyField:
        """Return the field of another kind with the same vocabulary."""
        assert isinstance(kind, VocabularyKind)
        return replace(self, kind=kind.restored(self.kind.own_state()))

    def rows(self, values: pa.Array | TextSpans) -> tuple[Ragged, Coverage]:
        """Return the rows that values stand for, and how they became it."""
        if isinstance(values, TextSpans):
            return self._single(self._rows_of_spans(values))
        tokenised = self.kind.tokens(values)
        spans, texts = tokenised.spans, tokenised.texts
        rows = self.vocabulary.rows(spans.text, spans.starts, spans.ends)  # (t,)
        if self.vocabulary.policy == "error" and (rows < 0).any():
            self._check_unseen(tokenised, rows)
        if self.kind.is_single:
            of_values = filled(~tokenised.missing, rows)  # (m,)
            return self._single(texts.spread(of_values, MISSING_ROW))
        missing = texts.spread(tokenised.missing, True)  # (n,)
        return self.finished(of_rows(tokenised, rows), int(np.count_nonzero(missing)))

    def _rows_of_spans(self, values: TextSpans) -> Rows:
        """Return the row of each value, of a kind whose values are single tokens, (n,)."""
        rows = self.vocabulary.known_rows(values.text, values.starts, values.ends)  # (n,)
        rest = np.flatnonzero(rows < 0)
        if len(rest):
            tokenised = self.kind.tokens(values.take(rest))
            spans = tokenised.spans
            found = self.vocabulary.rows(spans.text, spans.starts, spans.ends)  # (t,)
            if self.vocabulary.policy == "error" and (found < 0).any():
                try:
                    self._check_unseen(tokenised, found)
                except ValueMistakes as err:
                    wrong = [each._replace(row=int(rest[each.row])) for each in err.mistakes]
                    raise ValueMistakes(wrong) from err
            rows[rest] = tokenised.texts.spread(filled(~tokenised.missing, found), MISSING_ROW)
        return rows

    def known_rows(self, values: pa.Array) -> NDArray[np.int64]:
        """Return the row of each value that is one known token and nothing else, else -1, (n,)."""
        tokenised = self.kind.tokens(values)
        spans, texts = tokenised.spans, tokenised.texts
        rows = self.vocabulary.known_rows(spans.text, spans.starts, spans.ends)  # (t,)
        is_one = np.diff(spans.offsets) == 1  # (m,)
        of_values = np.full(len(spans), NO_ROW, np.int64)  # (m,)
        of_values[is_one] = rows[spans.offsets[:-1][is_one]]
        return texts.spread(of_values, NO_ROW)

    def with_words(self, values: pa.Array) -> VocabularyField:
        """Return the field with a row for each value that is one word, seen in training or not."""
        if not self.kind.reads_words:
            return self
        spans = self.kind.tokens(values).spans
        is_one = np.diff(spans.offsets) == 1  # (m,)
        at = spans.offsets[:-1][is_one]
        words = spans.text, spans.starts[at], spans.ends[at]
        return replace(self, vocabulary=self.vocabulary.with_more(*words, self.kind.max_size))

    def rows_of_kept(self, kept: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the same for a block that the learner has kept."""
        assert self.learned is not None, "nothing was kept for a field that is loaded"
        rows = self.learned.rows.take(flat(kept).to_numpy())  # (t,)
        if self.vocabulary.policy == "error" and (rows < 0).any():
            raise self._unseen_of_kept(kept, rows)
        if self.kind.is_single:
            if kept.null_count:
                rows = filled(kept.is_valid().to_numpy(zero_copy_only=False), rows)  # (n,)
            return self._single(rows)
        lengths = kept.value_lengths().fill_null(0).to_numpy()  # (n,)
        return self.finished(Ragged(rows, offsets_of(lengths)), kept.null_count)

    def _single(self, rows: Rows) -> tuple[Ragged, Coverage]:
        """Return a column of one row each, and its coverage."""
        n_missing = int(np.count_nonzero(rows == MISSING_ROW))
        return self.finished(Ragged(rows, np.arange(len(rows) + 1)), n_missing)

    def finished(self, column: Ragged, missing: int) -> tuple[Ragged, Coverage]:
        """Return a column with so many missing values without what is skipped, and its coverage."""
        vocabulary = self.vocabulary
        tokens = int(np.count_nonzero(column.values != MISSING_ROW))
        known = int(np.count_nonzero(column.values >= vocabulary.first))
        other = {"buckets": "hashed", "unknown": "unknown"}.get(vocabulary.policy, "skipped")
        coverage = Coverage(len(column), missing, tokens, known, **{other: tokens - known})
        return column.without(NO_ROW) if coverage.skipped else column, coverage

    def _check_unseen(self, tokenised: Tokenised, rows: Rows) -> None:
        """Raise an error if there are tokens that nobody has seen."""
        spans, texts = tokenised.spans, tokenised.texts
        (found,) = np.nonzero(rows < 0)
        values = np.searchsorted(spans.offsets, found, "right") - 1
        wrong = np.zeros(len(spans), np.bool_)  # (m,)
        wrong[values] = True

        def first(value: int) -> str:
            at = found[np.searchsorted(values, value)]
            return _string(spans.text, spans.starts[at], spans.ends[at])

        if mistakes := texts.mistakes(wrong, _UNSEEN_RULE, _UNSEEN_CURE, first):
            raise ValueMistakes(mistakes)

    def _unseen_of_kept(self, kept: pa.Array, rows: Rows) -> ValueMistakes:
        """Return the error of tokens that were kept, but not in what it learned from."""
        assert self.learned is not None
        found = np.flatnonzero(rows < 0)[:MAX_PROBLEMS]
        valid = kept.is_valid().to_numpy(zero_copy_only=False)
        lengths = valid if self.kind.is_single else kept.value_lengths().fill_null(0).to_numpy()
        at = np.searchsorted(np.cumsum(lengths), found, "right")
        ordinals = flat(kept).to_numpy()[found]
        offsets = self.learned.table.offsets
        content = self.learned.table.content
        tokens = [_string(content, offsets[i], offsets[i + 1]) for i in ordinals]
        pairs = zip(at.tolist(), tokens, strict=True)
        return ValueMistakes(
            [WrongValue(row, _UNSEEN_RULE, got, _UNSEEN_CURE) for row, got in pairs]
        )

    def entries(self) -> Iterator[Entry]:
        """Yield its rows."""
        for each in self.vocabulary.entries():
            yield each if each.token is None else replace(each, token=self.kind.shown(each.token))

    def untrained_rows(self) -> NDArray[np.int64]:
        """Return the rows that no record of training has read, (m,)."""
        shared = self.vocabulary.counts[: self.vocabulary.first]
        return np.flatnonzero(shared == 0)  # a token that none has seen came with a vector

    @property
    def buckets(self) -> range:
        """The rows that unknown tokens share by their hashes."""
        first = self.vocabulary.first
        return range(first - self.vocabulary.buckets, first)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return the state of the vocabulary, and of the kind."""
        state, arrays = self.vocabulary.state()
        return state | self.kind.own_state(), arrays

    @classmethod
    def from_state(cls, kind: Kind, state: Mapping[str, Any], arrays: Arrays) -> Fitted:
        """Return the field with this state."""
        assert isinstance(kind, VocabularyKind)
        return kind.restored(state).field(Vocabulary.from_state(state, arrays))


VocabularyKind.fitted = VocabularyField


def _string(data: NDArray[np.uint8], start: int, end: int) -> str:
    return bytes(data[start:end]).decode(errors="replace")
