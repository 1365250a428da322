"""What fields do in compiled code: hashing strings, and looking them up in tables.

Nothing here has types in Python: Numba compiles a function for the types that it is called with.
What each function does, and the same without Numba, is in `object2vec.fields.strings`.
"""

import numpy as np
from numba import int64, uint64

from object2vec.compiled.functions import compiled, inner
from object2vec.compiled.prefetch import prefetch_number
from object2vec.compiled.words import load, store
from object2vec.fields.hashing import FINAL, LENGTH, SEED, STEP

_SEED, _LENGTH, _STEP, _FINAL = map(np.uint64, (SEED, LENGTH, STEP, FINAL))
_HALF, _ONE, _EIGHT = np.uint64(32), np.uint64(1), np.uint64(8)
_LOW = np.uint64(0xFFFFFFFF)
_AHEAD = 6  # strings
_AT_ONCE = 64  # strings that are looked up together
_CACHED_SLOTS = 1 << 18  # a table of so many stays in a core's cache, but for what is rare


@inner
def _fetch(hashes, count, slots, content, offsets):
    """Ask the CPU for what looking up strings will read, in three steps.

    A table of many strings is larger than a core's cache, and each step depends on the one before.
    """
    mask = uint64(len(slots) - 1)
    for i in range(count):
        prefetch_number(slots, int64(hashes[i] & mask))
    for i in range(count):
        found = int64(slots[hashes[i] & mask] & _LOW)
        if found:
            prefetch_number(offsets, found - 1)
    for i in range(count):
        found = int64(slots[hashes[i] & mask] & _LOW)
        if found:
            prefetch_number(content, offsets[found - 1])


@inner
def _word(data, i, size):
    """Read one to eight bytes of at least eight as a number; those behind the last are zeros."""
    unused = _EIGHT * uint64(8 - size)
    if i + 8 <= len(data):
        return load(data, i) << unused >> unused
    return load(data, len(data) - 8) >> (_EIGHT * uint64(i + 8 - len(data))) << unused >> unused


@inner
def _mixed(state, word):
    state = (state ^ word) * _STEP
    return state ^ (state >> _HALF)


@inner
def _hash(data, start, end):
    state = _SEED ^ (uint64(end - start) * _LENGTH)
    while end - start > 8:
        state = _mixed(state, load(data, start))
        start += 8
    if start < end:
        state = _mixed(state, _word(data, start, end - start))
    state *= _FINAL
    return state ^ (state >> _HALF)


@inner
def _equal(data, i, others, k, size):
    """Return whether `size` bytes are the same."""
    if size < 8:
        return size == 0 or _word(data, i, size) == _word(others, k, size)
    while size > 8:
        if load(data, i) != load(others, k):
            return False
        i, k, size = i + 8, k + 8, size - 8
    back = size - 8  # the last eight, of which some are compared twice
    return load(data, i + back) == load(others, k + back)


@inner
def _find(data, start, end, hashed, slots, content, offsets):
    """Return the slot of a string, or the empty one that it would have, and its ordinal or -1.

    A slot is read once: another thread may fill it meanwhile.
    """
    mask = uint64(len(slots) - 1)
    slot = hashed & mask
    found = slots[slot]
    while found:
        if (found ^ hashed) >> _HALF == 0:
            k = int64(found & _LOW) - 1
            size = offsets[k + 1] - offsets[k]
            if size == end - start and _equal(data, start, content, offsets[k], size):
                return slot, k
        slot = (slot + _ONE) & mask
        found = slots[slot]
    return slot, int64(-1)


@compiled
def any_at_ends(data, starts, ends, marked):
    """Return whether some string begins or ends with a byte that is marked."""
    for i in range(len(starts)):
        if starts[i] < ends[i] and (marked[data[starts[i]]] or marked[data[ends[i] - 1]]):
            return True
    return False


@compiled
def any_from(data, starts, ends, least):
    """Return whether some string has a byte that is at least so much, or none at all."""
    for i in range(len(starts)):
        if starts[i] == ends[i]:
            return True
        for k in range(starts[i], ends[i]):
            if data[k] >= least:
                return True
    return False


@compiled
def count(ordinals, counts):
    """Raise the count of each ordinal by how often it is there."""
    for i in range(len(ordinals)):
        counts[ordinals[i]] += 1


@compiled
def hash_strings(data, starts, ends, hashes):
    """Fill `hashes` with the hash of each part of `data`."""
    for i in range(len(starts)):
        hashes[i] = _hash(data, starts[i], ends[i])


@compiled
def fill_slots(content, offsets, first, last, slots):
    """Write the ordinals `first` to `last` of strings that differ into the table."""
    mask = uint64(len(slots) - 1)
    hashes = np.empty(last - first, np.uint64)
    for i in range(len(hashes)):
        hashes[i] = _hash(content, offsets[first + i], offsets[first + i + 1])
    for i in range(len(hashes)):
        if i + _AHEAD < len(hashes):
            prefetch_number(slots, int64(hashes[i + _AHEAD] & mask))
        slot = hashes[i] & mask
        while slots[slot]:
            slot = (slot + _ONE) & mask
        slots[slot] = (hashes[i] & ~_LOW) | uint64(first + i + 1)


@compiled
def add_strings(data, starts, ends, first, slots, content, offsets, size, ordinals):
    """Look up strings from the `first` on, adding those that are new, until there is no room.

    Return how many are done, and the new number of strings.
    """
    hashes, n_hashed = np.empty(_AT_ONCE, np.uint64), first
    for i in range(first, len(starts)):
        if i == n_hashed:
            n_hashed = min(i + _AT_ONCE, len(starts))
            for later in range(i, n_hashed):
                hashes[later - i] = _hash(data, starts[later], ends[later])
            _fetch(hashes, n_hashed - i, slots, content, offsets)
        hashed = hashes[(i - first) % _AT_ONCE]
        slot, k = _find(data, starts[i], ends[i], hashed, slots, content, offsets)
        if k < 0:
            length, at = ends[i] - starts[i], offsets[size]
            has_room = size + 1 < len(offsets) and at + length <= len(content)
            if not has_room or 2 * size >= len(slots):
                return i, size
            for at_byte in range(length):
                content[at + at_byte] = data[starts[i] + at_byte]
            k = size
            size += 1
            offsets[size] = at + length
            slots[slot] = (hashed & ~_LOW) | uint64(size)
        ordinals[i] = k
    return len(starts), size


@compiled
def find_strings(data, starts, ends, slots, content, offsets, ordinals):
    """Fill `ordinals` with that of each string; -1 where the table has none."""
    if len(slots) <= _CACHED_SLOTS:
        for i in range(len(starts)):
            hashed = _hash(data, starts[i], ends[i])
            _, ordinals[i] = _find(data, starts[i], ends[i], hashed, slots, content, offsets)
        return
    hashes = np.empty(_AT_ONCE, np.uint64)
    for first in range(0, len(starts), _AT_ONCE):
        last = min(first + _AT_ONCE, len(starts))
        for i in range(first, last):
            hashes[i - first] = _hash(data, starts[i], ends[i])
        _fetch(hashes, last - first, slots, content, offsets)
        for i in range(first, last):
            hashed = hashes[i - first]
            _, ordinals[i] = _find(data, starts[i], ends[i], hashed, slots, content, offsets)


@compiled
def copy_parts(data, starts, ends, offsets, content):
    """Write parts of a text one after another to `content`, which has eight bytes to spare.

    Parameters
    ----------
    data : uint8 array
    starts, ends : int64 arrays (n,)
    offsets : int32 array (n + 1,)
        Filled with the offsets of the parts in `content`.
    content : uint8 array
    """
    n = 0
    for row in range(len(starts)):
        offsets[row] = n
        start, size = starts[row], ends[row] - starts[row]
        if start + size + 8 <= len(data):
            for k in range(0, size, 8):
                store(content, n + k, load(data, start + k))
        else:
            for k in range(size):
                content[n + k] = data[start + k]
        n += size
    offsets[len(starts)] = n


@inner
def _decode(data, i, end):
    """Return the code point at `i`, and the offset behind it; what is no UTF-8 is U+0000."""
    first = int64(data[i])
    if first < 0x80:
        return first, i + 1
    size = 2 + (first >= 0xE0) + (first >= 0xF0)
    if first < 0xC0 or i + size > end:
        return int64(0), i + 1
    code = first & (0x7F >> size)
    for k in range(1, size):
        code = (code << 6) | (int64(data[i + k]) & 0x3F)
    return code, i + size


@inner
def _encode(out, n, code):
    """Write a code point at `n`; return the offset behind it."""
    if code < 0x80:
        out[n] = code
        return n + 1
    size = 2 + (code >= 0x800) + (code >= 0x10000)
    for k in range(size - 1, 0, -1):
        out[n + k] = 0x80 | (code & 0x3F)
        code >>= 6
    out[n] = (0xF00 >> size) & 0xFF | code
    return n + size


@compiled
def split_words(data, starts, ends, classes, small, out, firsts, lasts, offsets):
    """Write the words of texts, divided by blanks, to `out`; return their number.

    Parameters
    ----------
    data : uint8 array
        UTF-8.
    starts, ends : int64 arrays (n,)
        Where each text is in it.
    classes : uint8 array (c,)
        What is done with each code point: see `object2vec.fields.words`.
    small : int32 array (c,)
        The code point that is written.
    out : uint8 array, twice as long as all texts
    firsts, lasts : int64 arrays, as long as all texts
        Filled with the bounds of words in `out`.
    offsets : int64 array (n + 1,)
        Filled with the first word of each text.
    """
    n, n_words = 0, 0
    for row in range(len(starts)):
        i, end, is_open = starts[row], ends[row], False
        while i < end:
            code, i = _decode(data, i, end)
            action = classes[code] if code < len(classes) else 0
            if action == 3:  # nothing
                continue
            if is_open and action != 1:
                lasts[n_words] = n
                n_words += 1
                is_open = False
            if action == 0:  # a separator
                continue
            if not is_open:
                out[n] = 32
                n += 1
                firsts[n_words] = n
                is_open = True
            n = _encode(out, n, int64(small[code]))
            if action == 2:  # a word by itself
                lasts[n_words] = n
                n_words += 1
                is_open = False
        if is_open:
            lasts[n_words] = n
            n_words += 1
        offsets[row + 1] = n_words
    return n, n_words


@compiled
def find_unsure(data, starts, ends, unsure, found):
    """Mark in `found` the texts with a character that may not be in the form NFC."""
    for row in range(len(starts)):
        i, end = starts[row], ends[row]
        while i < end:
            if data[i] < 0xCC:  # none below U+0300 is
                i += 1
                continue
            code, i = _decode(data, i, end)
            if code >= len(unsure) or unsure[code]:
                found[row] = True
                break


@compiled
def read_ipv4(data, starts, ends, bits, wrong):
    """Write addresses as 32 characters "0" and "1" each, and mark what is no address.

    Parameters
    ----------
    data : uint8 array
    starts, ends : int64 arrays (n,)
        Where each text is in it.
    bits : uint8 array (n, 32)
        Filled with the characters.
    wrong : bool array (n,)
        Made true where a text is no address.
    """
    for row in range(len(starts)):
        i, end = starts[row], ends[row]
        for part in range(4):
            number, first = 0, i
            while i < end and i - first < 4 and 48 <= data[i] <= 57:
                number = 10 * number + data[i] - 48
                i += 1
            has_zero = i - first > 1 and data[first] == 48
            has_end = i == end if part == 3 else i < end and data[i] == 46  # .
            if i == first or number > 255 or has_zero or not has_end:
                wrong[row] = True
                break
            i += 1
            for k in range(8):
                bits[row, 8 * part + k] = 48 + (number >> (7 - k) & 1)


@compiled
def frame(data, starts, ends, small, out, offsets):
    """Write texts in small letters, each between "<" and ">"; return the number of bytes."""
    n = 0
    for row in range(len(starts)):
        out[n] = 60
        n += 1
        i, end = starts[row], ends[row]
        while i < end:
            code, i = _decode(data, i, end)
            n = _encode(out, n, int64(small[code]) if code < len(small) else code)
        out[n] = 62
        n += 1
        offsets[row + 1] = n
    return n
