"""What reading does in compiled code: scanning lines and fields, reading runs of bytes of a file.

Nothing here has types in Python: Numba compiles a function for the types that it is called with.
"""

from typing import Any

import numpy as np
from numba import int64, types, uint64

from object2vec.compiled.functions import compiled, inner
from object2vec.compiled.words import load, lowest_bit
from object2vec.objects.ragged import MAX_ID

_DIGITS = 15  # a double holds every integer of so many digits, and their quotient by 10**15

_ONE, _EACH = np.uint64(1), np.uint64(0x0101010101010101)
_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)  # all bits of each byte but the highest

# ssize_t pread(int fd, void *buffer, size_t count, off_t offset); the buffer is given as a number.
_pread: Any = types.ExternalFunction(
    "pread", types.intp(types.intc, types.uintp, types.uintp, types.int64)
)


@compiled
def read_runs(descriptor, starts, sizes, content):
    """Fill `content` with runs of bytes, one after another; return whether all could be read.

    Parameters
    ----------
    descriptor : int
        Of an open file.
    starts, sizes : int64 array (m,)
        Offset in the file and number of bytes of each run.
    content : array
        As large as all runs together.
    """
    address = content.ctypes.data
    for start, size in zip(starts, sizes):
        done = 0
        while done < size:
            got = _pread(descriptor, address + done, size - done, start + done)
            if got <= 0:
                return False
            done += got
        address += size
    return True


@inner
def _zeros(word):
    """Return a number with the highest bit of each byte set that is 0 in another one."""
    low = _LOW_BITS
    return ~(((word & low) + low) | word | low)


@compiled
def find_fields(data, separator, width, wanted, starts, ends):
    """Find fields of a text without quotes; return its rows, -1 if some have not `width` fields.

    Parameters
    ----------
    data : uint8 array
        Whole lines. Blank ones are no rows.
    separator, width : int
    wanted : int64 array (w + 1,)
        Numbers of the fields in rising order, and -1.
    starts, ends : int64 arrays (w, at least as many as the lines)
        Filled with the offsets of these fields, row by row.
    """
    separators, line_ends = uint64(separator) * _EACH, uint64(10) * _EACH
    size, row, number, k, first = len(data), 0, 0, 0, 0
    for i in range(0, size + 1, 8):
        if i + 8 <= size:
            word = load(data, i)
        else:  # a line end behind the last byte ends the last line; else it is a blank one
            word = uint64(10) << uint64(8 * (size - i))
            for at in range(i, size):
                word |= uint64(data[at]) << uint64(8 * (at - i))
        found = _zeros(word ^ separators) | _zeros(word ^ line_ends)
        while found:
            end = i + (lowest_bit(found) >> 3)
            found &= found - _ONE
            behind = end + 1
            is_last = end == size or data[end] == 10
            if is_last and end > first and data[end - 1] == 13:
                end -= 1
            if number == wanted[k]:
                starts[k, row], ends[k, row] = first, end
                k += 1
            number += 1
            if is_last:
                is_blank = number == 1 and end == first
                if not is_blank and number != width:
                    return -1
                row += not is_blank
                number = k = 0
            first = behind
    return row


# The scanner. Every function takes the offset of the next byte and returns the one behind what it
# has read, or -1. The data end with a newline, which nothing inside a record accepts: none runs on.


@inner
def _blanks(data, i):
    while data[i] == 32 or data[i] == 9 or data[i] == 13:  # space, tab, carriage return
        i += 1
    return i


@inner
def _key(data, i, names, bounds, key):
    """Read a quoted key and the colon; return its number, too. Mostly it follows the last one."""
    for _ in range(len(bounds) - 1):
        key = key + 1 if key + 2 < len(bounds) else 0
        k, end, behind = bounds[key], bounds[key + 1], i
        while k < end and data[behind] == names[k]:
            k += 1
            behind += 1
        if k == end:
            behind = _blanks(data, behind)
            return (_blanks(data, behind + 1), key) if data[behind] == 58 else (-1, key)  # :
    return -1, -1


@inner
def _ids(data, i, values, n):
    """Read a list of ids into `values` from index `n` on; return the new `n`, too."""
    if data[i] != 91:  # [
        return -1, n
    i = _blanks(data, i + 1)
    if data[i] == 93:  # ]
        return i + 1, n
    while True:
        number, first, digit = int64(0), i, int64(data[i]) - 48
        while 0 <= digit <= 9 and i - first < 10:
            number = number * 10 + digit
            i += 1
            digit = int64(data[i]) - 48
        if i == first or number > MAX_ID or (data[first] == 48 and i - first > 1):
            return -1, n
        values[n] = number
        n += 1
        i = _blanks(data, i)
        if data[i] == 93:  # ]
            return i + 1, n
        if data[i] != 44:  # ,
            return -1, n
        i = _blanks(data, i + 1)


@inner
def _number(data, i):
    """Read a number without exponent."""
    is_negative = data[i] == 45  # -
    i += is_negative
    digits, first, point, scale = int64(0), i, -1, 1.0
    while 48 <= data[i] <= 57 or (data[i] == 46 and point < 0 and i > first):
        if data[i] == 46:  # .
            point = i
        else:
            digits = digits * 10 + (data[i] - 48)
            scale = scale * 10.0 if point >= 0 else scale
        i += 1
        if i - first > _DIGITS:
            return -1, 0.0
    whole = (point if point >= 0 else i) - first
    if whole == 0 or i - 1 == point or (data[first] == 48 and whole > 1):
        return -1, 0.0
    return i, -(digits / scale) if is_negative else digits / scale


@inner
def _value(data, i):
    """Read a number, true or false."""
    if data[i] == 116:  # t
        is_word = data[i + 1] == 114 and data[i + 2] == 117 and data[i + 3] == 101
        return (i + 4, 1.0) if is_word else (-1, 0.0)
    if data[i] == 102:  # f
        is_word = data[i + 1] == 97 and data[i + 2] == 108 and data[i + 3] == 115
        return (i + 5, 0.0) if is_word and data[i + 4] == 101 else (-1, 0.0)
    return _number(data, i)


@inner
def _record(data, i, names, bounds, slots, values, offsets, numbers, row):
    """Read an object into row `row` of its columns; return the set of its keys, too."""
    found, key = 0, -1
    while data[i] != 125:  # }
        if found and data[i] != 44:  # ,
            return -1, found
        i, key = _key(data, _blanks(data, i + 1), names, bounds, key)
        if i < 0 or (found >> key) & 1:
            return -1, found
        found |= 1 << key
        slot = slots[key]
        if slot >= 0:
            i, offsets[slot, row + 1] = _ids(data, i, values[slot], offsets[slot, row])
        else:
            i, numbers[-1 - slot, row] = _value(data, i)
        if i < 0:
            return -1, found
        i = _blanks(data, i)
    return _blanks(data, i + 1), found


@compiled
def scan_lines(data, names, bounds, slots, values, offsets, numbers, blank, missing):
    """Read all lines; return the numbers of records, -1 to give up, and of blank lines.

    Parameters
    ----------
    data : uint8 array
        Whole lines, of which there are L.
    names : uint8 array
        The quoted keys, one after another.
    bounds : int64 array (k + 1,)
        Where each begins.
    slots : int64 array (k,)
        What its values are: the column of ids of this number, or that of numbers -1, -2, ...
    values : int32 array (ids columns, most ids that L lines may hold)
        Filled with the ids of each column.
    offsets : int64 array (ids columns, L + 1)
        Filled with where each row of `values` begins in its column.
    numbers : float64 array (number columns, L)
        Filled where a record has one.
    blank : int64 array (L,)
        Filled with the indices of blank lines.
    missing : int64 array (k,)
        Raised by the number of records without each key.
    """
    i, line, row, n_blank = 0, 0, 0, 0
    every = (1 << len(slots)) - 1
    while i < len(data):
        i = _blanks(data, i)
        if data[i] == 10:
            blank[n_blank] = line
            n_blank += 1
        elif data[i] != 123:  # {
            return -1, 0
        else:
            i, found = _record(data, i, names, bounds, slots, values, offsets, numbers, row)
            if i < 0 or data[i] != 10:
                return -1, 0
            row += 1
            for k in range(len(slots) if found != every else 0):
                if not (found >> k) & 1:
                    missing[k] += 1
                    if slots[k] >= 0:
                        offsets[slots[k], row] = offsets[slots[k], row - 1]
        i, line = i + 1, line + 1
    return row, n_blank
