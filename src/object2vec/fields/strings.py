"""Tables of strings: one that grows while it learns, one that only looks up and is saved.

Both number their strings from 0. A table is three arrays: the UTF-8 of all strings one after
another (`content`), where each begins (`offsets`), and a hash table with linear probing (`slots`),
at most half full. A slot is 0, or the upper 32 bits of a string's hash and its ordinal + 1 in the
lower ones; the lower bits of the hash say where to look first. A table that is saved can therefore
be used as it lies in the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.compiled import Programs
from object2vec.fields.hashing import plain_hashes
from object2vec.objects.ragged import run_indices

Bytes = NDArray[np.uint8]
Ordinals = NDArray[np.int32]
Integers = NDArray[np.int64]
Arrays = tuple[NDArray[np.uint64], Bytes, Integers]
"""The slots, content and offsets of a table."""

_WORD_BYTES = 8
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)

compiled_programs = Programs(
    "object2vec.fields.programs", "object2vec.fields", "Tokens are looked up"
)


def hash_strings(data: Bytes, starts: Integers, ends: Integers) -> NDArray[np.uint64]:
    """Return the hash of each part of `data`; `object2vec.fields.hashing` says which hash.

    Parameters
    ----------
    data : uint8 array (bytes,)
    starts, ends : int64 arrays (t,)

    Returns
    -------
    uint64 array (t,)
    """
    programs = compiled_programs()
    if programs is None:
        return plain_hashes(data, starts, ends)
    hashes = np.empty(len(starts), np.uint64)
    programs.hash_strings(*read_only(_wide(data), starts, ends), hashes)
    return hashes


@dataclass(frozen=True, eq=False)
class Strings:
    """Different strings with their ordinals, to look up.

    Parameters
    ----------
    content : uint8 array (bytes,)
    offsets : int64 array (n + 1,)
    slots : uint64 array (a power of two above n,)
    """

    content: Bytes
    offsets: Integers
    slots: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of(cls, content: Bytes, offsets: Integers) -> Strings:
        """Return the table of strings that are known to differ."""
        size = len(offsets) - 1
        slots = np.zeros(slots_for(size), np.uint64)
        _fill(content, offsets, 0, size, slots)
        return cls(content, offsets, slots)

    def find(self, data: Bytes, starts: Integers, ends: Integers) -> Ordinals:
        """Return the ordinal of each part of `data`, -1 where it is not here, (t,)."""
        find = _probed if compiled_programs() is None else _found
        return find(data, starts, ends, (self.slots, self.content, self.offsets))

    def values(self, first: int, last: int) -> list[bytes]:
        """Return the UTF-8 of the strings `first` to before `last`."""
        return _parts(self.content, self.offsets[first:last], self.offsets[first + 1 : last + 1])

    def fault(self) -> str | None:
        """Return why these arrays are no table that can be read without harm; None if they are."""
        offsets, slots, size = self.offsets, self.slots, len(self.offsets) - 1
        arrays = self.content, offsets, slots
        types = ",".join(f"{each.dtype.name}[{each.ndim}]" for each in arrays)
        if types != "uint8[1],int64[1],uint64[1]" or size < 0 or not len(slots):
            return f"arrays of types {types} and sizes {size}, {len(slots)}"
        if offsets[0] != 0 or offsets[-1] != len(self.content) or (np.diff(offsets) < 0).any():
            return "offsets that do not fit the strings"
        taken, ordinals = np.count_nonzero(slots), slots.astype(np.uint32)
        if len(slots) & (len(slots) - 1) or 2 * size > len(slots) or taken != size:
            return f"{taken} of {len(slots)} slots taken for {size} strings"
        if np.count_nonzero(ordinals) != size or ordinals.max() > size:
            return "slots of strings that are not there"
        return None


class StringTable:
    """Different strings with their ordinals, as they are met.

    Parameters
    ----------
    start : Strings, optional
        Strings that have the first ordinals.

    Notes
    -----
    One thread adds, while others look up. Where the arrays must grow all of them are replaced, so
    that those which another thread still reads are never too short for what stands in them.
    """

    def __init__(self, start: Strings | None = None) -> None:
        content, offsets = (np.zeros(0, np.uint8), np.zeros(1, np.int64))
        if start is not None:
            content, offsets = start.content, start.offsets
        self.size = len(offsets) - 1
        slots = np.zeros(slots_for(self.size), np.uint64)
        self._arrays: Arrays = (slots, _longer(content, 1 << 12), _longer(offsets, 1 << 9))
        self._plain: dict[bytes, int] | None = None
        if compiled_programs() is None:
            parts = _parts(content, offsets[:-1], offsets[1:])
            self._plain = {text: i for i, text in enumerate(parts)}
        else:
            _fill(content, offsets, 0, self.size, slots)

    @property
    def content(self) -> Bytes:
        """UTF-8 of all strings, (bytes,)."""
        return self._arrays[1][: self.offsets[-1]]

    @property
    def offsets(self) -> Integers:
        """Where each string begins and the last one ends, (n + 1,)."""
        return self._arrays[2][: self.size + 1]

    def find(self, data: Bytes, starts: Integers, ends: Integers) -> Ordinals:
        """Return the ordinal of each part of `data`, -1 where it is not here (yet), (t,)."""
        if (known := self._plain) is not None:
            parts = _parts(data, starts, ends)
            return np.array([known.get(text, -1) for text in parts], np.int32)
        return _found(data, starts, ends, self._arrays)

    def add(self, data: Bytes, starts: Integers, ends: Integers) -> Ordinals:
        """Return the ordinal of each part of `data`, new ones in the order they are met, (t,)."""
        ordinals = np.empty(len(starts), np.int32)
        if self._plain is not None:
            self._add_plain(data, starts, ends, ordinals)
            return ordinals
        done, programs = 0, compiled_programs()
        parts = read_only(_wide(data), starts, ends)
        while True:
            table = *self._arrays, self.size
            done, self.size = programs.add_strings(*parts, done, *table, ordinals)
            if done == len(starts):
                return ordinals
            self._grow(int(ends[done] - starts[done]))

    def _add_plain(self, data: Bytes, starts: Integers, ends: Integers, found: Ordinals) -> None:
        assert self._plain is not None
        known, before = self._plain, self.size
        for i, text in enumerate(_parts(data, starts, ends)):
            found[i] = known.setdefault(text, len(known))
        new = list(known)[before:]
        slots, content, offsets = self._arrays
        self.size, used = len(known), int(offsets[before])
        offsets = _longer(offsets, self.size + 1)
        np.cumsum(list(map(len, new)), out=offsets[before + 1 : self.size + 1])
        offsets[before + 1 : self.size + 1] += used
        content = _longer(content, int(offsets[self.size]))
        content[used : offsets[self.size]] = np.frombuffer(b"".join(new), np.uint8)
        self._arrays = slots, content, offsets

    def _grow(self, length: int) -> None:
        """Make room for a string of `length` bytes, and as many again as there are."""
        slots, content, offsets = self._arrays
        content = _copy(content, int(offsets[self.size]) + length)
        offsets = _copy(offsets, self.size + 2)
        if slots_for(self.size + 1) > len(slots):
            slots = np.zeros(slots_for(self.size + 1), np.uint64)
            _fill(content, offsets, 0, self.size, slots)
        else:
            slots = slots.copy()
        self._arrays = slots, content, offsets


def _found(data: Bytes, starts: Integers, ends: Integers, table: Arrays) -> Ordinals:
    """Return what compiled code finds of each part of `data` in a table, (t,)."""
    slots, content, offsets = table
    ordinals = np.empty(len(starts), np.int32)
    arrays = read_only(_wide(data), starts, ends, slots, _wide(content), offsets)
    compiled_programs().find_strings(*arrays, ordinals)
    return ordinals


def _wide(data: Bytes) -> Bytes:
    """Return bytes of which compiled code can read eight at once."""
    return data if len(data) >= _WORD_BYTES else np.append(data, np.zeros(_WORD_BYTES, np.uint8))


def _probed(data: Bytes, starts: Integers, ends: Integers, table: Arrays) -> Ordinals:
    """Return the same without compiled code: all parts look at their next slot together."""
    slots, content, offsets = table
    hashes, ordinals = plain_hashes(data, starts, ends), np.full(len(starts), -1, np.int32)
    mask = np.uint64(len(slots) - 1)
    parts, slot = np.arange(len(starts)), hashes & mask  # (m,): those that still look
    while len(parts):
        found = slots[slot]
        is_taken = found != 0
        parts, slot, found = parts[is_taken], slot[is_taken], found[is_taken]
        k = (found & _LOW).astype(np.int64) - 1
        lengths = ends[parts] - starts[parts]
        same = ((found ^ hashes[parts]) >> _HALF == 0) & (offsets[k + 1] - offsets[k] == lengths)
        alike = np.flatnonzero(same)
        firsts = starts[parts[alike]], offsets[k[alike]]
        same[alike] = _equal_runs(data, content, *firsts, lengths[alike])
        ordinals[parts[same]] = k[same]
        parts, slot = parts[~same], (slot[~same] + np.uint64(1)) & mask
    return ordinals


def _equal_runs(
    data: Bytes, others: Bytes, firsts: Integers, other_firsts: Integers, lengths: Integers
) -> NDArray[np.bool_]:
    """Return whether runs of bytes of these lengths are the same, (m,)."""
    at, bounds = run_indices(firsts, lengths)  # (t,), (m + 1,)
    differs = np.append(0, np.cumsum(data[at] != others[run_indices(other_firsts, lengths)[0]]))
    same: NDArray[np.bool_] = differs[bounds[1:]] == differs[bounds[:-1]]
    return same


def slots_for(size: int) -> int:
    """Return the slots of a table of `size` strings: a power of two, twice as many or more."""
    return max(1 << 10, 1 << (2 * size).bit_length())


def _fill(content: Bytes, offsets: Integers, first: int, last: int, slots: Any) -> None:
    """Write the strings with ordinals `first` to before `last` into `slots`."""
    if (programs := compiled_programs()) is not None:
        programs.fill_slots(*read_only(_wide(content), offsets), first, last, slots)
        return
    hashes = plain_hashes(content, offsets[first:last], offsets[first + 1 : last + 1])
    mask = len(slots) - 1
    for k, hashed in enumerate(hashes.tolist(), first):
        slot = hashed & mask
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = (hashed & ~0xFFFFFFFF) | (k + 1)


def read_only(*arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """Return arrays as compiled code is given them: it is compiled but once, then.

    Some are views of files or of Arrow's memory, which cannot be written, and others are not.
    """
    views = [array.view(np.ndarray) for array in arrays]
    for view in views:
        view.flags.writeable = False
    return views


def _longer(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Return an array of at least `size` that may be written; one that must grow doubles."""
    return array if len(array) >= size and array.flags.writeable else _copy(array, size)


def _copy(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Return a copy of an array that is as long or, if that is below `size`, at least twice so."""
    longer = np.zeros(len(array) if len(array) >= size else max(size, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


def _parts(data: Bytes, starts: Integers, ends: Integers) -> list[bytes]:
    """Return parts of `data` as bytes."""
    text = data.tobytes()
    return [text[i:k] for i, k in zip(starts.tolist(), ends.tolist(), strict=True)]
