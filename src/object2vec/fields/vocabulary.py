"""Vocabularies: the tokens of one or more fields with their rows, learned in one pass.

A token that training sees often enough is known and has a row of its own. What else there is shares
rows as the policy says: rare tokens of training train the rows that unseen ones will read later.

A vocabulary's rows are: 0 for a missing value, 1 for all unknown tokens if that is the policy, the
buckets, then the known tokens by count (descending) and text. What `learner(start=...)` adds comes
behind them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import ArtifactError
from object2vec.fields.base import MISSING_ROW, Arrays, Entry, damaged
from object2vec.fields.strings import Strings, StringTable, hash_strings

Rows = NDArray[np.int32]
Counts = NDArray[np.int64]

POLICIES = ("buckets", "unknown", "skip", "error")
MOST_BUCKETS = 250_000_000  # as many as IP Insights has entities
_UNKNOWN_ROW = MISSING_ROW + 1
NO_ROW = -1


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
        rows = self.known_rows(data, starts, ends)  # (t,)
        other = rows < 0
        if other.any():
            rows[other] = self.shared_rows(data, starts[other], ends[other])
        return rows

    def known_rows(self, data: NDArray[np.uint8], starts: Counts, ends: Counts) -> Rows:
        """Return the row of each part of `data` that is known, -1 for others, (t,)."""
        ordinals = self.strings.find(data, starts, ends)  # (t,)
        return np.where(ordinals < 0, NO_ROW, ordinals + self.first).astype(np.int32)

    def shared_rows(self, data: NDArray[np.uint8], starts: Counts, ends: Counts) -> Rows:
        """Return the row that each part of `data` has as a token that is not known, (t,)."""
        if self.policy != "buckets":
            row = _UNKNOWN_ROW if self.policy == "unknown" else NO_ROW
            return np.full(len(starts), row, np.int32)
        hashes = hash_strings(data, starts, ends)
        return (self.first - self.buckets + hashes % np.uint64(self.buckets)).astype(np.int32)

    def with_more(
        self, data: NDArray[np.uint8], starts: Counts, ends: Counts, most: int | None
    ) -> Vocabulary:
        """Return it with tokens that training has not seen, in rows behind the others.

        Parameters
        ----------
        data : uint8 array (bytes,)
        starts, ends : int64 arrays (t,)
            Where the tokens are in it; those that are known already change nothing.
        most : int, optional
            Known tokens that there may be, those from before included.
        """
        table = StringTable(self.strings)
        table.add(data, starts, ends)
        size = table.size if most is None else max(len(self.strings), min(most, table.size))
        offsets = table.offsets[: size + 1].copy()
        strings = Strings.of(table.content[: offsets[-1]].copy(), offsets)
        counts = np.append(self.counts, np.zeros(size - len(self.strings), np.int64))
        return replace(self, strings=strings, counts=counts)

    def entries(self) -> Iterator[Entry]:
        """Yield all rows in order."""
        counts = self.counts.tolist()
        yield Entry(None, MISSING_ROW, counts[MISSING_ROW], "missing")
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
    return damaged("must be one that training has written", what)
