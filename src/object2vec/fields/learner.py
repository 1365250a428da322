"""What learns a vocabulary: all tokens that are seen, in one pass, and how often each was.

Rows are given when all are counted: then what is kept of each block, the ordinals of its tokens,
becomes ids without another look at the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from object2vec.fields.base import MISSING_ROW, Kind, Learner
from object2vec.fields.ordering import byte_strings, text_order
from object2vec.fields.spans import TextSpans
from object2vec.fields.strings import Strings, StringTable, compiled_programs, read_only
from object2vec.fields.vocabulary import NO_ROW, Counts, Rows, Vocabulary
from object2vec.fields.vocabulary_field import (
    Tokenised,
    VocabularyField,
    VocabularyKind,
    filled,
    flat,
    of_rows,
)
from object2vec.objects.ragged import offsets_of

if TYPE_CHECKING:
    import pyarrow as pa


class SeenTokens:
    """All tokens that the fields of one vocabulary have, while they are learned.

    Parameters
    ----------
    start : Vocabulary, optional
        What is known already.
    """

    def __init__(self, start: Vocabulary | None) -> None:
        self.start = start
        self.table = StringTable(None if start is None else start.strings)
        self.counts = Counter()
        self.rows = np.zeros(0, np.int32)  # of each ordinal, once the vocabulary is there

    @property
    def n_before(self) -> int:
        """Tokens that were known before."""
        return 0 if self.start is None else len(self.start.strings)

    def finish(self, kind: VocabularyKind, counts: Counter) -> Vocabulary:
        """Return the vocabulary of the tokens that were counted so often."""
        of_token = counts.of_ordinals(self.table.size)  # (n,)
        vocabulary, order = self.choose(kind, of_token)
        self.rows = rows = self._rows(vocabulary, order)
        of_row = np.bincount(rows[rows >= 0], of_token[rows >= 0], vocabulary.size)  # (size,)
        of_row[MISSING_ROW] = counts.missing
        return self.counted(vocabulary, of_row)

    def choose(
        self, kind: VocabularyKind, of_token: Counts, n_hashed: int = 0
    ) -> tuple[Vocabulary, NDArray[np.int64]]:
        """Return the vocabulary without its counts, and the ordinals that got new rows.

        So many different tokens are hashed besides those that were counted.
        """
        order = self._known(kind, of_token)
        n_rare = int(np.count_nonzero(of_token[self.n_before :])) - len(order)
        if self.start is not None:
            policy, buckets = self.start.policy, self.start.buckets
        else:
            policy, buckets = kind.policy(len(order) + n_rare, n_rare + n_hashed)
        return Vocabulary(self._strings(order), np.zeros(0, np.int64), policy, buckets), order

    def counted(self, vocabulary: Vocabulary, of_row: NDArray[Any]) -> Vocabulary:
        """Return the vocabulary whose rows were read so often, and before that in other data."""
        totals = of_row.astype(np.int64)  # (size,)
        if self.start is not None:
            totals[: self.start.size] += self.start.counts
        return replace(vocabulary, counts=totals)

    def _known(self, kind: VocabularyKind, of_token: Counts) -> NDArray[np.int64]:
        """Return the ordinals of tokens that get a row, by count and text."""
        often = np.flatnonzero(of_token[self.n_before :] >= kind.min_count) + self.n_before
        by_text = text_order(self.table.content, self.table.offsets, often)
        order: Counts = by_text[np.argsort(-of_token[by_text], kind="stable")]
        room = None if kind.max_size is None else max(0, kind.max_size - self.n_before)
        return order[:room]

    def _strings(self, order: NDArray[np.int64]) -> Strings:
        """Return the known tokens: those from before, then those with these ordinals."""
        import pyarrow as pa

        kept = np.concatenate([np.arange(self.n_before), order])
        lengths = np.diff(self.table.offsets)[kept]
        offsets = offsets_of(lengths)  # (n + 1,)
        content = np.empty(offsets[-1], np.uint8)
        if len(kept):
            table = byte_strings(self.table.content, self.table.offsets)
            data = table.take(pa.array(kept)).buffers()[2]
            content[:] = np.frombuffer(data, np.uint8)[: len(content)] if len(content) else 0
        return Strings.of(content, offsets)

    def _rows(self, vocabulary: Vocabulary, order: NDArray[np.int64]) -> Rows:
        """Return the row of each token that was seen, (n,)."""
        content, offsets = self.table.content, self.table.offsets
        rows = np.full(self.table.size, NO_ROW, np.int32)
        known = np.concatenate([np.arange(self.n_before), order])
        rows[known] = vocabulary.first + np.arange(len(known))
        other = np.flatnonzero(rows < 0)
        rows[other] = vocabulary.shared_rows(content, offsets[other], offsets[other + 1])
        return rows


class Counter:
    """How often each token was seen, and how many values are missing."""

    def __init__(self) -> None:
        self.missing = 0
        self._counts = np.zeros(0, np.int64)

    def add(
        self, ordinals: NDArray[Any], missing: int = 0, weights: NDArray[Any] | None = None
    ) -> None:
        """Count tokens by their ordinals, each as often as its weight, and missing values."""
        self.missing += missing
        if not len(ordinals):
            return
        size = int(ordinals.max()) + 1
        if size > len(self._counts):
            grown = np.zeros(max(size, 2 * len(self._counts)), np.int64)
            grown[: len(self._counts)] = self._counts
            self._counts = grown
        programs = None if weights is not None else compiled_programs()
        if programs is None:
            np.add.at(self._counts, ordinals, 1 if weights is None else weights)
        else:
            programs.count(*read_only(ordinals), self._counts)

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
    learned : SeenTokens
        The tokens, which other learners may have, too.
    """

    def __init__(self, kind: VocabularyKind, learned: SeenTokens) -> None:
        self.kind = kind
        self._learned = learned

    @classmethod
    def of(cls, kind: VocabularyKind, start: Vocabulary | None) -> VocabularyLearner:
        """Return what learns a vocabulary, or goes on from one."""
        return cls(kind, SeenTokens(start))

    def beside(self, kind: Kind) -> VocabularyLearner:
        """Return the learner of a field of another kind that shares this vocabulary.

        `finish` of any of them, with what was kept of all, gives the field; `VocabularyField.of`
        gives those of the other kinds.
        """
        assert isinstance(kind, VocabularyKind)
        return VocabularyLearner(kind.restored(self.kind.own_state()), self._learned)

    def ahead(self, values: pa.Array | TextSpans) -> _Found:
        """Return the tokens of values, and the ordinals of those that are known by now."""
        table = self._learned.table
        if not isinstance(values, TextSpans):
            tokenised = self.kind.tokens(values)
            spans = tokenised.spans
            return _Found(tokenised, table.find(spans.text, spans.starts, spans.ends))
        ordinals = table.find(values.text, values.starts, values.ends)  # (n,)
        # What is known is a token as it stands: normalising a token changes nothing.
        rest = np.flatnonzero(ordinals < 0)
        tokenised = self.kind.tokens(values.take(rest))
        return _Found(tokenised, ordinals, rest)

    def observe(self, values: pa.Array | TextSpans | _Found) -> pa.Array:
        """Return the ordinals of the tokens of each value, null if it is missing."""
        found = values if isinstance(values, _Found) else self.ahead(values)
        tokenised, ordinals, rest = found
        spans = tokenised.spans
        if rest is None:
            new = np.flatnonzero(ordinals < 0)
            starts, ends = spans.starts[new], spans.ends[new]
            ordinals[new] = self._learned.table.add(spans.text, starts, ends)
            kept = _kept(self.kind, tokenised, ordinals)
        else:
            added = self._learned.table.add(spans.text, spans.starts, spans.ends)
            kept = _kept_of_spans(ordinals, rest, _kept(self.kind, tokenised, added))
        _count(self._learned.counts, kept)
        return kept

    def counts(self, kept: Iterable[pa.Array] | None) -> Counter:
        """Return the counts of all values, or of those that were kept."""
        if kept is None:
            return self._learned.counts
        counts = Counter()
        for each in kept:
            _count(counts, each)
        return counts

    def finish(self, kept: Iterable[pa.Array] | None = None) -> VocabularyField:
        """Return the field, by the counts of all values or of those that were kept."""
        vocabulary = self._learned.finish(self.kind, self.counts(kept))
        return VocabularyField(self.kind, vocabulary, self._learned)


class _Found(NamedTuple):
    """What is known of the tokens of a block before its turn.

    Attributes
    ----------
    tokenised : Tokenised
        All values; or, if there is a `rest`, those of its rows.
    ordinals : int32 array (t,) or (n,)
        Of each token, or of each row; -1 where it is not known yet.
    rest : int64 array (r,) or None
        The rows that are not known tokens as they stand.
    """

    tokenised: Tokenised
    ordinals: Rows
    rest: NDArray[np.int64] | None = None


def _kept_of_spans(ordinals: Rows, rest: NDArray[np.int64], kept: pa.Array) -> pa.Array:
    """Return the ordinals of all rows of a block, with what is kept of its rest."""
    import pyarrow as pa

    if not len(rest):
        return pa.array(ordinals)
    ordinals[rest] = (kept.fill_null(0) if kept.null_count else kept).to_numpy()
    if not kept.null_count:
        return pa.array(ordinals)
    mask = np.zeros(len(ordinals), np.bool_)
    mask[rest] = kept.is_null().to_numpy(zero_copy_only=False)
    return pa.array(ordinals, mask=mask)


def _kept(kind: VocabularyKind, tokenised: Tokenised, ordinals: Rows) -> pa.Array:
    """Return the ordinals of each row's tokens, null if its value is missing."""
    import pyarrow as pa

    texts, missing = tokenised.texts, tokenised.missing
    missing_rows = texts.spread(missing, True)  # (n,)
    mask = pa.array(missing_rows) if missing_rows.any() else None
    if kind.is_single:
        of_values = filled(~missing, ordinals)  # (m,)
        return pa.array(texts.spread(of_values, 0), mask=None if mask is None else missing_rows)
    column = of_rows(tokenised, ordinals)
    return pa.LargeListArray.from_arrays(column.offsets, column.values, mask=mask)


def _count(counts: Counter, kept: pa.Array) -> None:
    """Count what was kept of a block: tokens, and missing values that read the row for them."""
    import pyarrow as pa

    is_single = pa.types.is_integer(kept.type)
    counts.add(flat(kept).to_numpy(), kept.null_count if is_single else 0)


VocabularyKind.learns = VocabularyLearner.of
