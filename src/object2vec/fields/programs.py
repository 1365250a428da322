"""What fields do in compiled code: hashing strings, and looking them up in tables.

Nothing here has types in Python: Numba compiles a function for the types that it is called with.
What each function does, and the same without Numba, is in `object2vec.fields.strings`.
"""

import sys

import numpy as np
from llvmlite import ir
from numba import int64, types, uint64
from numba.extending import intrinsic

from object2vec.compiled.functions import compiled, inner
from object2vec.fields.hashing import FINAL, LENGTH, SEED, STEP

if sys.byteorder != "little":
    raise ImportError("words of eight bytes are read as little-endian numbers")

_SEED, _LENGTH, _STEP, _FINAL = map(np.uint64, (SEED, LENGTH, STEP, FINAL))
_HALF, _ONE, _EIGHT = np.uint64(32), np.uint64(1), np.uint64(8)
_LOW = np.uint64(0xFFFFFFFF)


@intrinsic
def _load(typing, data, i):
    """Read the eight bytes from `i` on as one number, wherever they begin."""

    def generate(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        address = builder.gep(array.data, [args[1]])
        word = builder.bitcast(address, ir.IntType(64).as_pointer())
        return builder.load(word, align=1)

    return types.uint64(data, types.intp), generate


@inner
def _word(data, i, size):
    """Read up to eight bytes as a number; those behind the last are zeros."""
    if i + 8 <= len(data):
        word = _load(data, i)
        return word if size >= 8 else word & ((_ONE << uint64(8 * size)) - _ONE)
    word = uint64(0)
    for k in range(size):
        word |= uint64(data[i + k]) << uint64(8 * k)
    return word


@inner
def _hash(data, start, end):
    state = _SEED ^ (uint64(end - start) * _LENGTH)
    while start < end:
        state = (state ^ _word(data, start, min(end - start, 8))) * _STEP
        state ^= state >> _HALF
        start += 8
    state *= _FINAL
    return state ^ (state >> _HALF)


@inner
def _equal(data, i, others, k, size):
    """Return whether `size` bytes are the same."""
    while size > 0:
        if _word(data, i, min(size, 8)) != _word(others, k, min(size, 8)):
            return False
        i, k, size = i + 8, k + 8, size - 8
    return True


@inner
def _find(data, start, end, hashed, slots, content, offsets):
    """Return the slot of a string, or the empty one that it would have."""
    mask = uint64(len(slots) - 1)
    slot = hashed & mask
    while slots[slot]:
        found = slots[slot]
        if (found ^ hashed) >> _HALF == 0:
            k = int64(found & _LOW) - 1
            size = offsets[k + 1] - offsets[k]
            if size == end - start and _equal(data, start, content, offsets[k], size):
                break
        slot = (slot + _ONE) & mask
    return slot


@compiled
def hash_strings(data, starts, ends, hashes):
    """Fill `hashes` with the hash of each part of `data`."""
    for i in range(len(starts)):
        hashes[i] = _hash(data, starts[i], ends[i])


@compiled
def fill_slots(content, offsets, first, last, slots):
    """Write the ordinals `first` to `last` of strings that differ into the table."""
    mask = uint64(len(slots) - 1)
    for k in range(first, last):
        hashed = _hash(content, offsets[k], offsets[k + 1])
        slot = hashed & mask
        while slots[slot]:
            slot = (slot + _ONE) & mask
        slots[slot] = (hashed & ~_LOW) | uint64(k + 1)


@compiled
def add_strings(data, starts, ends, first, slots, content, offsets, size, ordinals):
    """Look up strings from the `first` on, adding those that are new, until there is no room.

    Return how many are done, and the new number of strings.
    """
    for i in range(first, len(starts)):
        hashed = _hash(data, starts[i], ends[i])
        slot = _find(data, starts[i], ends[i], hashed, slots, content, offsets)
        if not slots[slot]:
            length, at = ends[i] - starts[i], offsets[size]
            has_room = size + 1 < len(offsets) and at + length <= len(content)
            if not has_room or 2 * size >= len(slots):
                return i, size
            for k in range(length):
                content[at + k] = data[starts[i] + k]
            size += 1
            offsets[size] = at + length
            slots[slot] = (hashed & ~_LOW) | uint64(size)
        ordinals[i] = int64(slots[slot] & _LOW) - 1
    return len(starts), size


@compiled
def find_strings(data, starts, ends, slots, content, offsets, ordinals):
    """Fill `ordinals` with that of each string; -1 where the table has none."""
    for i in range(len(starts)):
        hashed = _hash(data, starts[i], ends[i])
        slot = _find(data, starts[i], ends[i], hashed, slots, content, offsets)
        ordinals[i] = int64(slots[slot] & _LOW) - 1
