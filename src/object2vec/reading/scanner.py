"""A compiled scanner for the plain form of JSON Lines: one record per line, nothing unusual.

It knows the keys of a schema, in any order and with any blanks, lists of plain integers and numbers
of at most 15 digits, and it gives up at everything else: other keys, escapes, exponents, doubled
keys, mistakes. It never judges; what it does not know is left to the other readers.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import Schema
from object2vec.reading.compiled import compiled_programs

_MOST_KEYS = 62  # bits of the set of a record's keys


@dataclass(frozen=True, eq=False)
class Scanned:
    """What a block of lines holds.

    Parameters
    ----------
    rows : int
        Records, n.
    columns : dict of str to Ragged or float64 array, n rows each
        Lists of ids, empty where a record has no such key; numbers, NaN where it has none.
    counts : dict of str to int
        Records that have each key.
    blank : int64 array
        Indices of the lines without a record.
    """

    rows: int
    columns: Mapping[str, Any]
    counts: Mapping[str, int]
    blank: NDArray[np.int64]


class _Keys(NamedTuple):
    """The keys of a schema as `scan_lines` takes them; k is their number."""

    names: NDArray[np.uint8]  # one quoted key after another
    bounds: NDArray[np.int64]  # (k + 1,)
    slots: NDArray[np.int64]  # (k,)


def scan(data: bytes, schema: Schema) -> Scanned | None:
    """Return the records of a block of whole lines, or None where something is unusual."""
    programs, keys = compiled_programs(), _keys(schema)
    if programs is None or keys is None:
        return None
    data = data if data.endswith(b"\n") else data + b"\n"
    raw = np.frombuffer(data, np.uint8)
    n_lines = int(np.count_nonzero(raw == ord("\n")))
    n_ids = int(np.count_nonzero(keys.slots >= 0))
    most = len(raw) // 2 + 1  # an id and what divides it from the next take two bytes
    values = np.empty((n_ids, most), np.int32)
    offsets = np.zeros((n_ids, n_lines + 1), np.int64)
    numbers = np.full((len(keys.slots) - n_ids, n_lines), np.nan)
    blank = np.empty(n_lines, np.int64)
    missing = np.zeros(len(keys.slots), np.int64)
    rows, n_blank = programs.scan_lines(raw, *keys, values, offsets, numbers, blank, missing)
    if rows < 0:
        return None
    columns: dict[str, Any] = {}
    for column, slot in zip(schema, keys.slots.tolist(), strict=True):
        if slot < 0:
            columns[column.name] = numbers[-1 - slot, :rows]
        else:
            ends = offsets[slot, : rows + 1]
            columns[column.name] = Ragged(values[slot, : ends[-1]].copy(), ends)
    counts = dict(zip(columns, (rows - missing).tolist(), strict=True))
    return Scanned(rows, columns, counts, blank[:n_blank])


@functools.cache
def _keys(schema: Schema) -> _Keys | None:
    """Return the keys of a schema; None if the scanner does not know such keys or columns."""
    quoted = [f'"{name}"' for name in schema.names]
    if len(quoted) > _MOST_KEYS or [json.dumps(name) for name in schema.names] != quoted:
        return None  # too many, or an escape might be needed to write them
    slots, numbers, ids = [], itertools.count(1), itertools.count()
    for column in schema:
        if column.layout.name not in ("ids", "number"):
            return None
        slots.append(next(ids) if column.layout.name == "ids" else -next(numbers))
    bounds = np.cumsum([0, *map(len, quoted)])
    names = np.frombuffer("".join(quoted).encode("ascii"), np.uint8)
    return _Keys(names, bounds, np.array(slots, np.int64))
