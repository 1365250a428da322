"""Vocabularies: the tokens of one or more fields with their rows, learned in one pass.

A token that training sees often enough is known and has a row of its own. What else there is shares
rows as the policy says: rare tokens of training train the rows that unseen ones will read later.

A vocabulary's rows are: 0 for a missing value, 1 for all unknown tokens if that is the policy, the
buckets, then the known tokens by count (descending) and text. What `learner(start=...)` adds comes
behind them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from object2vec.config.kinds import Choice, Integer
from object2vec.errors import MAX_PROBLEMS, ArtifactError
from object2vec.fields.base import (
    Arrays,
    Coverage,
    Entry,
    Fitted,
    Kind,
    Learner,
    Mistake,
    ValueMistakes,
    option,
)
from object2vec.fields.spans import Spans
from object2vec.fields.strings import Strings, StringTable, hash_strings
from object2vec.objects.ragged import Ragged, offsets_of

if TYPE_CHECKING:
    import pyarrow as pa

    from object2vec.fields.values import Texts

Rows = NDArray[np.int32]
Counts = NDArray[np.int64]

POLICIES = ("buckets", "unknown", "skip", "error")
MANY_TOKENS = 100_000  # from here on a column's unseen tokens are hashed by default
MOST_BUCKETS = 1 << 22
_FEWEST_CHOSEN, _MOST_CHOSEN = 1 << 10, 1 << 17  # buckets if their number is not given
_MISSING_ROW, _UNKNOWN_ROW = 0, 1
_NO_ROW = -1


@dataclass(frozen=True)
class VocabularyKind(Kind):
    """A kind of field whose tokens have a vocabulary.

    Attributes
    ----------
    is_single : bool
        Whether each value is one token. One that is missing reads a row of its own then; where
        values are lists of tokens, it is an empty list.
    """

    is_single: ClassVar[bool] = False

    min_count: int = option(
        1, Integer(1, None), "how often training must see a token that gets a row of its own"
    )
    max_size: int | None = option(
        None, Integer(1, None), "the most tokens with a row of their own; those seen most often"
    )
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
            for name, given in (("min_count", self.min_count > 1), ("max_size", self.max_size)):
                if given:
                    must = "must not be given if other tokens are an error"
                    cure = "Leave it out, or choose unseen=unknown."
                    raise self.mistake(name, must, getattr(self, name), cure)

    @abstractmethod
    def tokens(self, values: pa.Array) -> Tokenised:
        """Return the tokens of values; raise `ValueMistakes` if some are none of this kind."""

    @property
    def hashes_many(self) -> bool:
        """Whether other tokens are hashed only where there are many different ones."""
        return True

    def shares_with(self, other: Kind) -> bool:
        """Return whether the other kind has a vocabulary, too."""
        return isinstance(other, VocabularyKind)

    def learner(self, start: Fitted | None = None) -> VocabularyLearner:
        """Return what learns the vocabulary."""
        if start is None:
            return VocabularyLearner(self, Learned(None))
        if not isinstance(start, VocabularyField):
            raise TypeError(f"{type(start).__name__} is no field with a vocabulary")
        return VocabularyLearner(self, Learned(start.vocabulary))


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


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Known tokens, and the rows that all others share.

    Parameters
    ----------
    strings : Strings
        The known tokens, in the order of their rows.
    counts : int64 array (size,)
        How often training saw what has each row.
    policy : str
        One of `POLICIES`.
    buckets : int
        Rows for hashed tokens; 0 unless that is the policy.
    """

    strings: Strings
    counts: Counts
    policy: str
    buckets: int

    @property
    def size(self) -> int:
        """Rows, shared ones included."""
        return self.first + len(self.strings)

    @property
    def first(self) -> int:
        """The row of the first known token."""
        return 1 + (self.policy == "unknown") + self.buckets

    def rows(self, data: NDArray[np.uint8], starts: Counts, ends: Counts) -> Rows:
        """Return the row of each part of `data`, -1 where it has none, (t,)."""
        rows = self.strings.find(data, starts, ends)  # (t,)
        other = rows < 0
        rows += self.first
        if other.any():
            rows[other] = self.shared_rows(data, starts[other], ends[other])
        return rows.astype(np.int32)

    def shared_rows(self, data: NDArray[np.uint8], starts: Counts, ends: Counts) -> Rows:
        """Return the row that each part of `data` has as a token that is not known, (t,)."""
        if self.policy != "buckets":
            row = _UNKNOWN_ROW if self.policy == "unknown" else _NO_ROW
            return np.full(len(starts), row, np.int32)
        hashes = hash_strings(data, starts, ends)
        return (self.first - self.buckets + hashes % np.uint64(self.buckets)).astype(np.int32)

    def entries(self) -> Iterator[Entry]:
        """Yield all rows in order."""
        counts = self.counts.tolist()
        yield Entry(None, _MISSING_ROW, counts[_MISSING_ROW], "missing")
        if self.policy == "unknown":
            yield Entry(None, _UNKNOWN_ROW, counts[_UNKNOWN_ROW], "unknown")
        for row in range(self.first - self.buckets, self.first):
            yield Entry(None, row, counts[row], "bucket")
        step = 1 << 16
        for start in range(0, len(self.strings), step):
            part = self.strings.values(start, min(start + step, len(self.strings)))
            for row, text in enumerate(part, self.first + start):
                yield Entry(text.decode(errors="replace"), row, counts[row])

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return JSON values and arrays."""
        arrays: Arrays = {
            "content": self.strings.content,
            "offsets": self.strings.offsets,
            "slots": self.strings.slots,
            "counts": self.counts,
        }
        return {"policy": self.policy, "buckets": self.buckets}, arrays

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays) -> Vocabulary:
        """Return the vocabulary with this state; raise `ArtifactError` if there can be none."""
        names = {"content", "offsets", "slots", "counts"}
        if names - arrays.keys():
            raise _damaged(f"no {min(names - arrays.keys())}")
        strings = Strings(arrays["content"], arrays["offsets"], arrays["slots"])
        if (fault := strings.fault()) is not None:
            raise _damaged(fault)
        policy, buckets = state.get("policy"), state.get("buckets")
        if policy not in POLICIES or type(buckets) is not int:
            raise _damaged(f"policy {policy!r} with {buckets!r} buckets")
        if not (0 < buckets <= MOST_BUCKETS if policy == "buckets" else buckets == 0):
            raise _damaged(f"policy {policy!r} with {buckets!r} buckets")
        vocabulary = cls(strings, arrays["counts"], str(policy), buckets)
        if vocabulary.counts.dtype != np.int64 or vocabulary.counts.shape != (vocabulary.size,):
            raise _damaged(f"counts of shape {vocabulary.counts.shape}")
        return vocabulary


def _damaged(what: str) -> ArtifactError:
    must, cure = "must be one that training has written", "Copy or train the model again."
    return ArtifactError.at("vocabulary", must, what, cure)


class Learned:
    """All tokens that the fields of one vocabulary have, while they are learned.

    Parameters
    ----------
    start : Vocabulary, optional
        What is known already.
    """

    def __init__(self, start: Vocabulary | None) -> None:
        self.start = start
        self.table = StringTable(None if start is None else start.strings)
        self.counts = _Counter()
        self.kinds: list[VocabularyKind] = []
        self.vocabulary: Vocabulary | None = None
        self.rows = np.zeros(0, np.int32)  # of each ordinal, once the vocabulary is there

    @property
    def n_before(self) -> int:
        """Tokens that were known before."""
        return 0 if self.start is None else len(self.start.strings)

    def finish(self, kind: VocabularyKind, counts: _Counter) -> Vocabulary:
        """Return the vocabulary of the tokens that were counted so often."""
        of_token = counts.of_ordinals(self.table.size)  # (n,)
        order = self._known(kind, of_token)  # ordinals of those that get a new row
        n_rare = int(np.count_nonzero(of_token[self.n_before :])) - len(order)
        policy, buckets = self._policy(kind, len(order) + n_rare, n_rare)
        strings = self._strings(order)
        vocabulary = Vocabulary(strings, np.zeros(0, np.int64), policy, buckets)
        rows = self._rows(vocabulary, order)
        of_row = np.bincount(rows[rows >= 0], of_token[rows >= 0], vocabulary.size)
        of_row[_MISSING_ROW] = counts.missing
        totals = of_row.astype(np.int64)  # (size,)
        if self.start is not None:
            totals[: self.start.size] += self.start.counts
        self.rows = rows
        self.vocabulary = Vocabulary(strings, totals, policy, buckets)
        return self.vocabulary

    def _known(self, kind: VocabularyKind, of_token: Counts) -> NDArray[np.int64]:
        """Return the ordinals of tokens that get a row, by count and text."""
        import pyarrow as pa
        import pyarrow.compute as pc

        often = np.flatnonzero(of_token[self.n_before :] >= kind.min_count) + self.n_before
        table = pa.table({"count": of_token[often], "text": self._texts(often)})
        keys = [("count", "descending"), ("text", "ascending")]
        order: Counts = often[pc.sort_indices(table, sort_keys=keys).to_numpy()]
        room = None if kind.max_size is None else max(0, kind.max_size - self.n_before)
        return order[:room]

    def _texts(self, ordinals: NDArray[np.int64]) -> pa.Array:
        """Return strings of the table as an Arrow array of bytes."""
        import pyarrow as pa

        offsets, content = self.table.offsets, self.table.content
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
        strings = pa.Array.from_buffers(pa.large_binary(), self.table.size, buffers)
        return strings.take(pa.array(ordinals))

    def _strings(self, order: NDArray[np.int64]) -> Strings:
        """Return the known tokens: those from before, then those with these ordinals."""
        kept = np.concatenate([np.arange(self.n_before), order])
        lengths = np.diff(self.table.offsets)[kept]
        offsets = offsets_of(lengths)  # (n + 1,)
        content = np.empty(offsets[-1], np.uint8)
        if len(kept):
            data = self._texts(kept).buffers()[2]
            content[:] = np.frombuffer(data, np.uint8)[: len(content)] if len(content) else 0
        return Strings.of(content, offsets)

    def _policy(self, kind: VocabularyKind, n_new: int, n_rare: int) -> tuple[str, int]:
        """Return the policy and the number of buckets."""
        if self.start is not None:
            return self.start.policy, self.start.buckets
        policy = kind.unseen
        if policy is None:
            is_hashed = kind.buckets or not kind.hashes_many or n_new > MANY_TOKENS
            policy = "buckets" if is_hashed else "unknown"
        if policy != "buckets":
            return policy, 0
        chosen = 1 << max(0, n_rare - 1).bit_length()
        return policy, kind.buckets or min(max(chosen, _FEWEST_CHOSEN), _MOST_CHOSEN)

    def _rows(self, vocabulary: Vocabulary, order: NDArray[np.int64]) -> Rows:
        """Return the row of each token that was seen, (n,)."""
        content, offsets = self.table.content, self.table.offsets
        rows = np.full(self.table.size, _NO_ROW, np.int32)
        known = np.concatenate([np.arange(self.n_before), order])
        rows[known] = vocabulary.first + np.arange(len(known))
        other = np.flatnonzero(rows < 0)
        rows[other] = vocabulary.shared_rows(content, offsets[other], offsets[other + 1])
        return rows


class _Counter:
    """How often each token was seen, and how many values are missing."""

    def __init__(self) -> None:
        self.missing = 0
        self._counts = np.zeros(0, np.int64)

    def add(self, ordinals: NDArray[Any], missing: int) -> None:
        """Count tokens by their ordinals, and values that are missing."""
        self.missing += missing
        if not len(ordinals):
            return
        new = np.bincount(ordinals)
        if len(new) > len(self._counts):
            grown = np.zeros(max(len(new), 2 * len(self._counts)), np.int64)
            grown[: len(self._counts)] = self._counts
            self._counts = grown
        self._counts[: len(new)] += new

    def of_ordinals(self, size: int) -> Counts:
        """Return the counts of tokens 0 to below `size`, (size,)."""
        counts = np.zeros(size, np.int64)
        counts[: len(self._counts)] = self._counts[:size]
        return counts


class VocabularyLearner(Learner):
    """Learns the vocabulary of one or more fields.

    Parameters
    ----------
    kind : VocabularyKind
    learned : Learned
        The tokens, which other learners may have, too.
    """

    def __init__(self, kind: VocabularyKind, learned: Learned) -> None:
        self.kind = kind
        self._learned = learned

    def beside(self, kind: Kind) -> VocabularyLearner:
        """Return the learner of a field of another kind that shares this vocabulary.

        `finish` of any of them, with what was kept of all, gives the field; `VocabularyField.of`
        gives those of the other kinds.
        """
        assert isinstance(kind, VocabularyKind)
        return VocabularyLearner(kind, self._learned)

    def observe(self, values: pa.Array) -> pa.Array:
        """Return the ordinals of the tokens of each value, null if it is missing."""
        tokenised = self.kind.tokens(values)
        spans = tokenised.spans
        ordinals = self._learned.table.add(spans.text, spans.starts, spans.ends)
        kept = _kept(self.kind, tokenised, ordinals.astype(np.int32))
        _count(self._learned.counts, kept)
        return kept

    def finish(self, kept: Iterable[pa.Array] | None = None) -> VocabularyField:
        """Return the field, by the counts of all values or of those that were kept."""
        counts = self._learned.counts
        if kept is not None:
            counts = _Counter()
            for each in kept:
                _count(counts, each)
        vocabulary = self._learned.finish(self.kind, counts)
        return VocabularyField(self.kind, vocabulary, self._learned)


def _kept(kind: VocabularyKind, tokenised: Tokenised, ordinals: Rows) -> pa.Array:
    """Return the ordinals of each row's tokens, null if its value is missing."""
    import pyarrow as pa

    texts, missing = tokenised.texts, tokenised.missing
    missing_rows = texts.spread(missing, True)  # (n,)
    mask = pa.array(missing_rows) if missing_rows.any() else None
    if kind.is_single:
        of_values = np.zeros(len(missing), np.int32)  # (m,)
        of_values[~missing] = ordinals
        return pa.array(texts.spread(of_values, 0), mask=None if mask is None else missing_rows)
    column = _of_rows(tokenised, ordinals)
    return pa.LargeListArray.from_arrays(column.offsets, column.values, mask=mask)


def _of_rows(tokenised: Tokenised, of_tokens: Rows) -> Ragged:
    """Return a number for each token of each row."""
    column, indices = Ragged(of_tokens, tokenised.spans.offsets), tokenised.texts.indices
    return column if indices is None else _with_empty(column).take(indices)


def _with_empty(column: Ragged) -> Ragged:
    """Return a column with an empty row behind its last, which index -1 stands for."""
    return Ragged(column.values, np.append(column.offsets, column.offsets[-1]))


def _count(counts: _Counter, kept: pa.Array) -> None:
    """Count what was kept of a block: tokens, and missing values that read the row for them."""
    import pyarrow as pa

    is_single = pa.types.is_integer(kept.type)
    counts.add(_flat(kept).to_numpy(), kept.null_count if is_single else 0)


def _flat(kept: pa.Array) -> pa.Array:
    """Return the ordinals of what was kept, one value after another."""
    import pyarrow as pa

    return kept.drop_null() if pa.types.is_integer(kept.type) else kept.flatten()


@dataclass(frozen=True, eq=False)
class VocabularyField(Fitted):
    """A field with a vocabulary.

    Parameters
    ----------
    kind : VocabularyKind
    vocabulary : Vocabulary
    learned : Learned, optional
        All tokens that its learner met; None for a field that is loaded.
    """

    kind: VocabularyKind
    vocabulary: Vocabulary
    learned: Learned | None = None

    @property
    def size(self) -> int:
        """Rows of the token table that it needs."""
        return self.vocabulary.size

    def of(self, kind: Kind) -> VocabularyField:
        """Return the field of another kind with the same vocabulary."""
        assert isinstance(kind, VocabularyKind)
        return VocabularyField(kind, self.vocabulary, self.learned)

    def rows(self, values: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the rows that values stand for, and how they became it."""
        tokenised = self.kind.tokens(values)
        spans, texts = tokenised.spans, tokenised.texts
        rows = self.vocabulary.rows(spans.text, spans.starts, spans.ends)  # (t,)
        if self.vocabulary.policy == "error" and (rows < 0).any():
            raise self._unseen(tokenised, rows)
        if self.kind.is_single:
            of_values = np.full(len(tokenised.missing), _MISSING_ROW, np.int32)  # (m,)
            of_values[~tokenised.missing] = rows
            return self._single(texts.spread(of_values, _MISSING_ROW))
        missing = texts.spread(tokenised.missing, True)  # (n,)
        return self._lists(_of_rows(tokenised, rows), int(np.count_nonzero(missing)))

    def rows_of_kept(self, kept: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the same for a block that the learner has kept."""
        assert self.learned is not None, "nothing was kept for a field that is loaded"
        rows = self.learned.rows[_flat(kept).to_numpy()]  # (t,)
        if self.vocabulary.policy == "error" and (rows < 0).any():
            raise self._unseen_of_kept(kept, rows)
        if self.kind.is_single:
            of_values = np.full(len(kept), _MISSING_ROW, np.int32)  # (n,)
            of_values[kept.is_valid().to_numpy(zero_copy_only=False)] = rows
            return self._single(of_values)
        lengths = kept.value_lengths().fill_null(0).to_numpy()  # (n,)
        return self._lists(Ragged(rows, offsets_of(lengths)), kept.null_count)

    def _single(self, rows: Rows) -> tuple[Ragged, Coverage]:
        """Return a column of one row each, and its coverage."""
        n_missing = int(np.count_nonzero(rows == _MISSING_ROW))
        return self._lists(Ragged(rows, np.arange(len(rows) + 1)), n_missing, n_missing)

    def _lists(self, column: Ragged, missing: int, special: int = 0) -> tuple[Ragged, Coverage]:
        """Return a column without what is skipped, and its coverage.

        So many values are missing; so many of the rows are those of missing values.
        """
        vocabulary, tokens = self.vocabulary, len(column.values) - special
        known = int(np.count_nonzero(column.values >= vocabulary.first))
        other = {"buckets": "hashed", "unknown": "unknown"}.get(vocabulary.policy, "skipped")
        coverage = Coverage(len(column), missing, tokens, known, **{other: tokens - known})
        return column.without(_NO_ROW) if coverage.skipped else column, coverage

    def _unseen(self, tokenised: Tokenised, rows: Rows) -> ValueMistakes:
        """Return the error of tokens that nobody has seen."""
        spans, texts = tokenised.spans, tokenised.texts
        found = np.flatnonzero(rows < 0)[:MAX_PROBLEMS]
        values = np.searchsorted(spans.offsets, found, "right") - 1
        tokens = _strings_at(spans.text, spans.starts[found], spans.ends[found])
        return _unseen_tokens([texts.first_row(i) for i in values.tolist()], tokens)

    def _unseen_of_kept(self, kept: pa.Array, rows: Rows) -> ValueMistakes:
        """Return the error of tokens that were kept, but not in what it learned from."""
        assert self.learned is not None
        found = np.flatnonzero(rows < 0)[:MAX_PROBLEMS]
        valid = kept.is_valid().to_numpy(zero_copy_only=False)
        lengths = valid if self.kind.is_single else kept.value_lengths().fill_null(0).to_numpy()
        at = np.searchsorted(np.cumsum(lengths), found, "right")
        ordinals = _flat(kept).to_numpy()[found]
        offsets = self.learned.table.offsets
        tokens = _strings_at(self.learned.table.content, offsets[ordinals], offsets[ordinals + 1])
        return _unseen_tokens(at.tolist(), tokens)

    def entries(self) -> Iterator[Entry]:
        """Yield its rows."""
        return self.vocabulary.entries()

    def untrained_rows(self) -> NDArray[np.int64]:
        """Return the rows that no record of training has read, (m,)."""
        return np.flatnonzero(self.vocabulary.counts == 0)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return the vocabulary's state."""
        return self.vocabulary.state()

    @classmethod
    def from_state(cls, kind: Kind, state: Mapping[str, Any], arrays: Arrays) -> VocabularyField:
        """Return the field with this state."""
        assert isinstance(kind, VocabularyKind)
        return cls(kind, Vocabulary.from_state(state, arrays))


VocabularyKind.fitted = VocabularyField


def _strings_at(data: NDArray[np.uint8], starts: Counts, ends: Counts) -> list[str]:
    return [
        bytes(data[i:k]).decode(errors="replace")
        for i, k in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def _unseen_tokens(rows: list[int], tokens: list[str]) -> ValueMistakes:
    must, cure = "must be a token of the training data", "Fix it, or train with unseen=unknown."
    pairs = zip(rows, tokens, strict=True)
    return ValueMistakes([Mistake(row, must, token, cure) for row, token in pairs])
