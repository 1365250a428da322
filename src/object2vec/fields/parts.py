"""Fields whose tokens are parts: prefixes of addresses, runs of characters, pieces of words.

A value consists of units (the whole value, or its words), of which far fewer are different than
there are; and a unit consists of parts, which are the tokens. Learning keeps the units. Their parts
are made once for each unit that is different, when all are known.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from object2vec.fields.base import MISSING_ROW, Coverage, Fitted, Kind, Learner
from object2vec.fields.learner import Counter, SeenTokens, VocabularyLearner
from object2vec.fields.spans import Spans
from object2vec.fields.strings import StringTable, hash_strings
from object2vec.fields.vocabulary import NO_ROW, Counts, Rows, Vocabulary
from object2vec.fields.vocabulary_field import (
    Tokenised,
    VocabularyField,
    VocabularyKind,
    flat,
    vocabulary_of,
    with_empty,
)
from object2vec.objects.ragged import Ragged, offsets_of

if TYPE_CHECKING:
    import pyarrow as pa

_UNITS = 1 << 14  # whose parts are made at once
_MANY = 1 << 17  # different hashed parts, behind which they are not counted


class Parts(NamedTuple):
    """The parts of units.

    Attributes
    ----------
    spans : Spans
        Unit by unit.
    hashed : bool array (t,), optional
        Which of them have no row of their own however often they are seen; None if none is such.
    """

    spans: Spans
    hashed: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class PartsKind(VocabularyKind):
    """A kind whose `tokens` are units that consist of parts.

    Attributes
    ----------
    hashes_parts : bool
        Whether a unit is a part of its own, and all its other parts are hashed.
    """

    hashes_parts: ClassVar[bool] = False

    @abstractmethod
    def parts(self, data: NDArray[np.uint8], starts: Counts, ends: Counts) -> Parts:
        """Return the parts of units, which are parts of `data`."""

    def trained(self, units: StringTable, counts: Counts) -> PartsKind:
        """Return the kind that has learned from its units how to part them."""
        return self

    def drawn(self, count: int, generator: np.random.Generator) -> Spans | None:
        """Return so many units that are drawn from all that there could be; None if unknown."""
        return None

    def shares_with(self, other: Kind) -> bool:
        """Return whether the other kind has the same parts."""
        return self == other

    def learner(self, start: Fitted | None = None) -> Learner:
        """Return what learns the vocabulary."""
        return PartsLearner(self, SeenTokens(vocabulary_of(start)))

    def field(self, vocabulary: Vocabulary) -> Fitted:
        """Return a field that is not just learned."""
        return PartsField(self, vocabulary)


class PartsLearner(Learner):
    """Learns the vocabulary of parts.

    Parameters
    ----------
    kind : PartsKind
    learned : SeenTokens
        The parts; empty, or those that are known already.
    """

    def __init__(self, kind: PartsKind, learned: SeenTokens) -> None:
        self._kind = kind
        self._learned = learned
        self._units = SeenTokens(None)
        self._learner = VocabularyLearner(kind, self._units)

    def ahead(self, values: Any) -> Any:
        """Return the units of values, and the ordinals of those that are known by now."""
        return self._learner.ahead(values)

    def observe(self, values: Any) -> pa.Array:
        """Return the ordinals of the units of each value, null if it is missing."""
        return self._learner.observe(values)

    def finish(self, kept: Iterable[pa.Array] | None = None) -> PartsField:
        """Return the field, by the counts of all values or of those that were kept."""
        units, learned, counts = self._units.table, self._learned, self._learner.counts(kept)
        of_unit = counts.of_ordinals(units.size)  # (u,)
        kind = self._kind if learned.start is not None else self._kind.trained(units, of_unit)
        n_hashed, of_part = self._counted(kind, of_unit)
        vocabulary, _ = learned.choose(kind, of_part.of_ordinals(learned.table.size), n_hashed)
        pieces = [_rows(vocabulary, parts) for _, parts in _pieces(kind, units)]
        rows = Ragged.concatenate(pieces)  # of each unit
        weights = np.repeat(of_unit, rows.lengths)
        read = rows.values >= 0
        of_row = np.bincount(rows.values[read], weights[read], vocabulary.size)
        of_row[MISSING_ROW] = counts.missing
        vocabulary = learned.counted(vocabulary, of_row)
        return PartsField(kind, vocabulary, self._units, rows)

    def _counted(self, kind: PartsKind, of_unit: Counts) -> tuple[int, Counter]:
        """Add all parts but hashed ones to the table; return how many those are, and the counts."""
        hashes = np.zeros(0, np.uint64)
        counts = Counter()
        for first, (spans, hashed) in _pieces(kind, self._units.table):
            lengths = np.diff(spans.offsets)
            weights = np.repeat(of_unit[first : first + len(lengths)], lengths)  # (t,)
            starts, ends = spans.starts, spans.ends
            if hashed is not None:
                if len(hashes) < _MANY:
                    found = hash_strings(spans.text, starts[hashed], ends[hashed])
                    hashes = np.union1d(hashes, found)
                starts, ends, weights = starts[~hashed], ends[~hashed], weights[~hashed]
            counts.add(self._learned.table.add(spans.text, starts, ends), weights=weights)
        return len(hashes), counts


def _pieces(kind: PartsKind, units: StringTable) -> Iterator[tuple[int, Parts]]:
    """Yield the number of a unit, and the parts of some units from there on."""
    for first in range(0, units.size, _UNITS):
        last = min(first + _UNITS, units.size)
        bounds = units.offsets[first : last + 1]
        yield first, kind.parts(units.content, bounds[:-1], bounds[1:])


def _rows(vocabulary: Vocabulary, parts: Parts) -> Ragged:
    """Return the rows of parts, -1 where they have none, unit by unit."""
    spans, hashed = parts
    if hashed is None:
        return Ragged(vocabulary.rows(spans.text, spans.starts, spans.ends), spans.offsets)
    rows = np.empty(len(hashed), np.int32)
    rows[hashed] = vocabulary.shared_rows(spans.text, spans.starts[hashed], spans.ends[hashed])
    rows[~hashed] = vocabulary.known_rows(spans.text, spans.starts[~hashed], spans.ends[~hashed])
    return Ragged(rows, spans.offsets).without(NO_ROW)  # its hashed parts stand for a rare unit


@dataclass(frozen=True, eq=False)
class PartsField(VocabularyField):
    """A field whose tokens are parts of units.

    Parameters
    ----------
    kind : PartsKind
    vocabulary : Vocabulary
        Of the parts.
    learned : SeenTokens, optional
        The units that its learner met; None for a field that is loaded.
    unit_rows : Ragged, optional
        The rows of each of those units.
    """

    unit_rows: Ragged | None = None

    @property
    def has_parts(self) -> bool:
        """Whether its kind hashes them."""
        assert isinstance(self.kind, PartsKind)
        return self.kind.hashes_parts

    def of(self, kind: Kind) -> PartsField:
        """Return this field: the kind of another one that shares its vocabulary is the same."""
        return self

    def rows(self, values: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the rows that values stand for, and how they became it."""
        assert isinstance(self.kind, PartsKind)
        tokenised = self.kind.tokens(values)
        spans, units = tokenised.spans, StringTable()
        ordinals = units.add(spans.text, spans.starts, spans.ends)  # (t,)
        pieces = [_rows(self.vocabulary, parts) for _, parts in _pieces(self.kind, units)]
        column = self._of_values(Ragged.concatenate(pieces), ordinals, tokenised)
        missing = tokenised.texts.spread(tokenised.missing, True)  # (n,)
        return self.finished(column, int(np.count_nonzero(missing)))

    def known_rows(self, values: pa.Array) -> NDArray[np.int64]:
        """Return the row of each value that has one part, and a row for it, else -1, (n,)."""
        column, _ = self.rows(values)
        found = np.full(len(column), NO_ROW, np.int64)  # (n,)
        is_one = column.lengths == 1  # (n,)
        found[is_one] = column.values[column.offsets[:-1][is_one]]
        return np.where(found >= self.vocabulary.first, found, NO_ROW)

    def draw(self, count: int, generator: np.random.Generator) -> Ragged | None:
        """Return the rows of so many values of one unit each, drawn from all that there could be.

        Notes
        -----
        A function of the state of `generator`.
        """
        assert isinstance(self.kind, PartsKind)
        units = self.kind.drawn(count, generator)
        if units is None:
            return None
        column, _ = self.finished(
            _rows(self.vocabulary, self.kind.parts(units.text, units.starts, units.ends)), 0
        )
        return column

    def finished(self, column: Ragged, missing: int) -> tuple[Ragged, Coverage]:
        """Return a column and its coverage, which counts no parts that are hashed by design."""
        column, coverage = super().finished(column, missing)
        if not self.has_parts:
            return column, coverage
        units = len(column) - missing
        return column, replace(coverage, tokens=units, hashed=0, by_parts=units - coverage.known)

    def _of_values(self, of_units: Ragged, ordinals: Rows, tokenised: Tokenised) -> Ragged:
        """Return the rows of each value, from those of its units."""
        indices = tokenised.texts.indices
        if self.kind.is_single:
            missing = tokenised.missing
            at = np.full(len(missing), len(of_units), np.int64)  # (m,)
            at[~missing] = ordinals
            at = tokenised.texts.spread(at, len(of_units))  # (n,)
            return _with_missing(of_units).take(at)
        of_tokens = of_units.take(ordinals)
        column = Ragged(of_tokens.values, of_tokens.offsets[tokenised.spans.offsets])
        return column if indices is None else with_empty(column).take(indices)

    def rows_of_kept(self, kept: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the same for a block that the learner has kept."""
        assert self.unit_rows is not None, "nothing was kept for a field that is loaded"
        if self.kind.is_single:
            of_units = _with_missing(self.unit_rows)
            column = of_units.take(kept.fill_null(len(self.unit_rows)).to_numpy())
        else:
            of_tokens = self.unit_rows.take(flat(kept).to_numpy())
            lengths = kept.value_lengths().fill_null(0).to_numpy()
            column = Ragged(of_tokens.values, of_tokens.offsets[offsets_of(lengths)])
        return self.finished(column, kept.null_count)


def _with_missing(column: Ragged) -> Ragged:
    """Return a column with the row of missing values behind its last."""
    return Ragged(np.append(column.values, np.int32(MISSING_ROW)), _one_more(column.offsets))


def _one_more(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.append(offsets, offsets[-1] + 1)
