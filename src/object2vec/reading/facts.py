"""What is in a channel of a table, in numbers: counted as it is written, and kept beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from object2vec.fields.base import Coverage
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import Schema
from object2vec.objects.statistics import IdStatistics
from object2vec.reading.cached_set import Writer
from object2vec.reading.jsonl import Chunk

TRAIN, VALIDATION = "train", "validation"  # channels that one table may hold
_MOST_LENGTHS = 1 << 20  # that are counted in an array
_FACTS = "facts.json"


@dataclass(frozen=True)
class Facts:
    """What is in a channel, in numbers.

    Parameters
    ----------
    records : int
    coverage : dict of str to Coverage
        How the values of each field became rows, by side and specification: ``in0 user:token``.
    lengths : pair of dicts of int to int
        Objects of each length, by side; those of length 0 have no token at all.
    """

    records: int
    coverage: dict[str, Coverage]
    lengths: tuple[dict[int, int], dict[int, int]]


class CountedRecords(NamedTuple):
    """Records of a channel with what is counted of them: a thread's work before they are written.

    Attributes
    ----------
    columns : mapping of str to column
    coverage : mapping of str to Coverage
        How the values of each field became rows.
    statistics : dict of str to statistics
        Of each column.
    lengths : pair of dicts of int to int
        Objects of each length, by side.
    """

    columns: Mapping[str, Any]
    coverage: Mapping[str, Coverage]
    statistics: dict[str, Any]
    lengths: tuple[dict[int, int], dict[int, int]]

    @classmethod
    def counted(
        cls, columns: Mapping[str, Any], coverage: Mapping[str, Coverage], schema: Schema
    ) -> CountedRecords:
        """Return records with what is counted of them."""
        statistics = {each.name: each.layout.statistics.of(columns[each.name]) for each in schema}
        first, second = (_lengths_of(columns[name], statistics[name]) for name in ("in0", "in1"))
        return cls(columns, coverage, statistics, (first, second))

    def __len__(self) -> int:
        return len(self.columns["label"])


class Channel:
    """Writes the records of a channel and adds up what is counted of them.

    Parameters
    ----------
    writer : Writer
    name : str
        What messages call the source of the records.
    """

    def __init__(self, writer: Writer, name: str) -> None:
        self._writer, self._name = writer, name
        self._coverage: dict[str, Coverage] = {}
        self._lengths: tuple[Counter[int], Counter[int]] = (Counter(), Counter())

    def append(self, found: CountedRecords) -> None:
        """Write records."""
        first_line = 0 if self._coverage else 1
        chunk = Chunk(found.columns, len(found), self._name, first_line, np.zeros(0, np.int64))
        self._writer.append(chunk, found.statistics)
        for name, of_field in found.coverage.items():
            self._coverage[name] = self._coverage.get(name, Coverage()) + of_field
        for counter, lengths in zip(self._lengths, found.lengths, strict=True):
            counter.update(lengths)

    def facts(self) -> Facts:
        """Return what is in the channel."""
        first, second = (dict(sorted(counter.items())) for counter in self._lengths)
        return Facts(self._writer.rows, self._coverage, (first, second))


def write_facts(folder: Path, facts: Mapping[str, Facts]) -> None:
    """Write what is in each channel to a folder."""
    (folder / _FACTS).write_bytes(msgspec.json.encode(facts))


def read_facts(folder: Path) -> dict[str, Facts] | None:
    """Return what was written to a folder; None if it is not there or not whole."""
    try:
        return msgspec.json.decode((folder / _FACTS).read_bytes(), type=dict[str, Facts])
    except (OSError, msgspec.MsgspecError):
        return None


def _lengths_of(column: Ragged, known: IdStatistics) -> dict[int, int]:
    """Return how many rows of each length a column has, about which so much is known."""
    is_even = known.rows and known.shortest == known.longest
    return {known.longest: known.rows} if is_even else counted_lengths(column.lengths)


def counted_lengths(lengths: NDArray[np.int64]) -> dict[int, int]:
    """Return how many there are of each length."""
    longest = int(lengths.max(initial=0))
    if longest < _MOST_LENGTHS:
        counts = np.bincount(lengths)
        values = np.flatnonzero(counts)
        counts = counts[values]
    else:
        values, counts = np.unique(lengths, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
