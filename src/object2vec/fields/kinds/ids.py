"""Ids of tokens as they are: what Amazon's Object2Vec takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS
from object2vec.fields.base import (
    Arrays,
    Coverage,
    Entry,
    Fitted,
    Kind,
    Learner,
    ValueMistakes,
    WrongValue,
    damaged,
)
from object2vec.fields.values import alone, encoding, is_list, is_text, shown, trimmed
from object2vec.fields.vocabulary_field import with_empty
from object2vec.objects.ragged import MAX_ID, PADDING, Ragged, offsets_of

if TYPE_CHECKING:
    import pyarrow as pa

_RULE = f"must be an integer from 0 to {MAX_ID}, or a list of them"


@dataclass(frozen=True)
class IdsKind(Kind):
    """Integers that are ids already: each is its own row; 0 is padding and is left out."""

    name = "ids"

    def learner(self, start: Fitted | None = None) -> Learner:
        """Return what learns the largest id."""
        counts = start.counts if isinstance(start, IdsField) else np.zeros(0, np.int64)
        return _IdsLearner(counts)


class _IdsLearner(Learner):
    def __init__(self, counts: NDArray[np.int64]) -> None:
        self._start = counts
        self._counts = np.zeros(0, np.int64)

    def observe(self, values: pa.Array) -> pa.Array:
        """Return lists of ids, null where a value is."""
        import pyarrow as pa

        column, missing = _ids(values)
        self._counts = _sum(self._counts, np.bincount(column.values))
        mask = pa.array(missing) if missing.any() else None
        return pa.LargeListArray.from_arrays(column.offsets, column.values, mask=mask)

    def finish(self, kept: Iterable[pa.Array] | None = None) -> IdsField:
        """Return the field."""
        largest = max(len(self._start), len(self._counts))
        counts = self._counts
        if kept is not None:
            counts = np.zeros(0, np.int64)
            for each in kept:
                counts = _sum(counts, np.bincount(each.flatten().to_numpy()))
        return IdsField(_sum(_sum(counts, self._start), np.zeros(max(largest, 1), np.int64)))


@dataclass(frozen=True, eq=False)
class IdsField(Fitted):
    """A field of ids. Its own rows begin with id 1, because a table's row 0 is padding anyway.

    Parameters
    ----------
    counts : int64 array (largest id + 1,)
        How often training saw each id.
    """

    counts: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Rows of the token table that it needs."""
        return len(self.counts) - 1

    def rows(self, values: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the ids that values hold, but padding."""
        column, missing = _ids(values)
        (unseen,) = np.nonzero(column.values > self.size)
        if len(unseen):
            must = f"must be an id from 0 to {self.size}, the largest one of training"
            cure = "Fix it, or train with it."
            found = unseen[:MAX_PROBLEMS]
            rows = np.searchsorted(column.offsets, found, "right") - 1
            pairs = zip(rows.tolist(), column.values[found].tolist(), strict=True)
            raise ValueMistakes([WrongValue(row, must, got, cure) for row, got in pairs])
        return _without_padding(column, int(np.count_nonzero(missing)))

    def rows_of_kept(self, kept: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the same for a block that the learner has kept."""
        return _without_padding(_column(kept), kept.null_count)

    def entries(self) -> Iterator[Entry]:
        """Yield all ids but padding."""
        for row, count in enumerate(self.counts[1:].tolist()):
            yield Entry(str(row + 1), row, count)

    def untrained_rows(self) -> NDArray[np.int64]:
        """Return the rows that no record of training has read, (m,)."""
        return np.flatnonzero(self.counts[1:] == 0)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return the counts."""
        return {}, {"counts": self.counts}

    @classmethod
    def from_state(cls, kind: Kind, state: Mapping[str, Any], arrays: Arrays) -> IdsField:
        """Return the field with these counts."""
        counts = arrays.get("counts", np.zeros(0, np.int64))
        if counts.dtype != np.int64 or counts.ndim != 1 or not len(counts):
            raise damaged("must hold the counts of ids", f"{counts.dtype} {counts.shape}")
        return cls(counts)


def _without_padding(column: Ragged, missing: int) -> tuple[Ragged, Coverage]:
    column = column.without(PADDING)
    tokens = len(column.values)
    own = Ragged(column.values - np.int32(1), column.offsets)
    return own, Coverage(len(column), missing, tokens, tokens)


def _ids(values: pa.Array) -> tuple[Ragged, NDArray[np.bool_]]:
    """Return the ids of each value, and which values are missing, (n,)."""
    import pyarrow as pa

    values, indices = encoding(values)
    lists = _lists(values)
    offsets = offsets_of(lists.value_lengths().fill_null(0).to_numpy())
    elements = lists.flatten()
    try:
        ids = elements.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        ids = None
    is_wrong = ids is None or ids.null_count > 0 or pa.types.is_boolean(elements.type)
    numbers = np.zeros(0, np.int64) if is_wrong else ids.to_numpy()
    if is_wrong or numbers.min(initial=0) < 0 or numbers.max(initial=0) > MAX_ID:
        raise _wrong(elements, offsets, indices)
    column = Ragged(numbers.astype(np.int32), offsets)
    missing = lists.is_null().to_numpy(zero_copy_only=False)
    if indices is None:
        return column, missing
    return with_empty(column).take(indices), np.append(missing, True)[indices]


def _lists(values: pa.Array) -> pa.Array:
    """Return integers, lists of them, or text with integers that blanks divide, as lists."""
    import pyarrow.compute as pc

    if is_list(values.type):
        return values
    return (
        pc.split_pattern_regex(trimmed(values), r"\s+") if is_text(values.type) else alone(values)
    )


def _wrong(
    elements: pa.Array, offsets: NDArray[np.int64], indices: NDArray[np.int64] | None
) -> ValueMistakes:
    """Return the error of elements that are no ids, each with its row."""
    mistakes = []
    for i, each in enumerate(map(shown, elements)):
        try:
            is_id = (
                not isinstance(each, bool) and 0 <= int(each) <= MAX_ID and int(each) == float(each)
            )
        except (TypeError, ValueError):
            is_id = False
        if not is_id:
            value = int(np.searchsorted(offsets, i, "right")) - 1
            row = value if indices is None else int((indices == value).argmax())
            mistakes.append(WrongValue(row, _RULE, each, "Fix it, or read the column as tokens."))
            if len(mistakes) == MAX_PROBLEMS:
                break
    return ValueMistakes(mistakes)


def _column(kept: pa.Array) -> Ragged:
    """Return lists of ids as a column."""
    lengths = kept.value_lengths().fill_null(0).to_numpy()
    return Ragged(kept.flatten().to_numpy(), offsets_of(lengths))


def _sum(counts: NDArray[np.int64], more: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sum of two counts of ids, as long as the longer one."""
    total = np.zeros(max(len(counts), len(more)), np.int64)
    total[: len(counts)] += counts
    total[: len(more)] += more
    return total


IdsKind.fitted = IdsField
