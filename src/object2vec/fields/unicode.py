"""What Unicode says of characters, as tables: which are parts of words, and their small letters.

Each table has an element for each code point below `LIMIT`; behind it no character is assigned but
tags and private ones. They are made when the first text is met that is not ASCII alone.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LIMIT = 0x33480

SEPARATOR, WORD, DIGIT, ALONE, SIGN, IGNORED = range(6)
"""Between words, part of a word, digit in one, word by itself, punctuation or symbol, nothing.

A word by itself is an ideograph or a picture, such as an emoji. Nothing are soft hyphens, joiners
and the like.
"""

_PICTURES = 0x2600  # from here on symbols are pictures, before it marks and signs
_IDEOGRAPHS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x323B0))
_SYLLABLES = (0xAC00, 0xD7A4)  # of Hangul
_ZERO_WIDTH_SPACES = (0x200B, 0xFEFF)
_VARIATION_SELECTORS = (0xFE00, 0xFE10)
_JOINING = {(0x1161, 0x1176), (0x11A8, 0x11C3)}  # vowels and ends of Hangul's syllables


class Tables(NamedTuple):
    """Facts about characters.

    Attributes
    ----------
    classes : uint8 array (LIMIT,)
        One of the six classes.
    small : int32 array (LIMIT,)
        The code point of the small letter; its own where there is none.
    unsure : bool array (LIMIT,)
        Whether a text with this character may not be in Unicode's form NFC.
    """

    classes: NDArray[np.uint8]
    small: NDArray[np.int32]
    unsure: NDArray[np.bool_]


@functools.cache
def ascii_tables() -> Tables:
    """Return the tables of the first 128 characters."""
    return _tables(128)


@functools.cache
def tables() -> Tables:
    """Return the tables of all characters."""
    return _tables(LIMIT)


def _tables(size: int) -> Tables:
    classes = np.zeros(size, np.uint8)
    small = np.arange(size, dtype=np.int32)
    unsure = np.zeros(size, np.bool_)
    skipped = np.zeros(size, np.bool_)
    for first, last in _IDEOGRAPHS:
        classes[first:last], skipped[first:last] = ALONE, True
    classes[slice(*_SYLLABLES)], skipped[slice(*_SYLLABLES)] = WORD, True
    unsure[0xF900:0xFB00] = unsure[0x2F800:0x2FA20] = True  # ideographs for compatibility
    for code in np.flatnonzero(~skipped).tolist():
        character = chr(code)
        category = unicodedata.category(character)
        classes[code] = _class(code, category)
        if category in ("Lu", "Lt"):
            small[code] = ord(character.lower()[0])
        if code >= 0x300:
            is_normal = unicodedata.is_normalized("NFC", character)
            unsure[code] = not is_normal or category[0] == "M"
    for first, last in _JOINING:
        unsure[first:last] = True
    return Tables(classes, small, unsure)


def _class(code: int, category: str) -> int:
    """Return the class of a character of this general category."""
    if code in _ZERO_WIDTH_SPACES:
        return SEPARATOR
    if category == "Cf" or _VARIATION_SELECTORS[0] <= code < _VARIATION_SELECTORS[1]:
        return IGNORED
    if category == "Nd":
        return DIGIT
    if category[0] in "LNM":
        return WORD
    if category == "So" and code >= _PICTURES:
        return ALONE
    return SIGN if category[0] in "PS" else SEPARATOR
