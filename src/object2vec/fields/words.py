"""Words of texts: runs of letters, marks and digits, in small letters, divided by single blanks.

An ideograph or a picture is a word by itself; what joins letters without being seen is left out.
"""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.fields.spans import Spans
from object2vec.fields.strings import compiled_programs, read_only
from object2vec.fields.unicode import ALONE, DIGIT, IGNORED, SIGN, WORD, ascii_tables, tables
from object2vec.fields.values import Texts
from object2vec.objects.ragged import offsets_of, run_indices

_BLOCK_BYTES = 4 << 20  # of texts that are split at once; scratch has a multiple of it
_DIVIDES, _JOINS, _STANDS_ALONE, _VANISHES = range(4)  # what a character does


@functools.lru_cache(maxsize=8)
def _rules(
    for_ascii: bool, lower: bool, digits: str, punctuation: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return what each character does, and the one that is written for it."""
    classes, small, _ = ascii_tables() if for_ascii else tables()
    does = np.full(len(classes), _DIVIDES, np.uint8)
    does[classes == WORD] = _JOINS
    does[classes == ALONE] = _STANDS_ALONE
    does[classes == IGNORED] = _VANISHES
    does[classes == DIGIT] = _DIVIDES if digits == "drop" else _JOINS
    does[classes == SIGN] = _STANDS_ALONE if punctuation else _DIVIDES
    written = small.copy() if lower else np.arange(len(small), dtype=np.int32)
    if digits == "zero":
        written[classes == DIGIT] = ord("0")
    return does, written


def words(texts: Texts, *, lower: bool, digits: str, punctuation: bool) -> Spans:
    """Return the words of texts.

    Parameters
    ----------
    texts : Texts
    lower : bool
        Whether they are written in small letters.
    digits : {"keep", "zero", "drop"}
        Whether digits are parts of words as they are, as zeros, or divide words.
    punctuation : bool
        Whether each sign of punctuation is a word, or none.
    """
    rules = is_ascii(texts.data), lower, digits, punctuation
    if compiled_programs() is None:
        return _plain_words(texts, rules)
    before = np.cumsum(texts.ends - texts.starts)  # bytes up to each text, (m,)
    size = int(before[-1]) if len(before) else 0
    cuts = np.searchsorted(before, np.arange(_BLOCK_BYTES, size, _BLOCK_BYTES))
    bounds = np.unique(np.concatenate([[0], cuts, [len(before)]])).tolist()
    parts = [
        _split(texts.data, texts.starts[i:k], texts.ends[i:k], _rules(*rules))
        for i, k in pairwise(bounds)
    ]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _split(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    rules: tuple[NDArray[np.uint8], NDArray[np.int32]],
) -> Spans:
    """Return the words of some texts."""
    size = int((ends - starts).sum())
    out = np.empty(2 * size, np.uint8)
    firsts, lasts = np.empty(size, np.int64), np.empty(size, np.int64)
    offsets = np.zeros(len(starts) + 1, np.int64)
    given = read_only(data, starts, ends, *rules)
    used, n = compiled_programs().split_words(*given, out, firsts, lasts, offsets)
    return Spans(out[:used], firsts[:n], lasts[:n], offsets)


def _joined(parts: list[Spans]) -> Spans:
    """Return the tokens of all parts, one part after another."""
    bytes_before = offsets_of(np.array([len(part.text) for part in parts], np.int64))
    tokens_before = offsets_of(np.array([len(part.starts) for part in parts], np.int64))
    none = np.zeros(1, np.int64)
    with_bytes = [*zip(parts, bytes_before.tolist(), strict=False)]
    offsets = [part.offsets[1:] + k for part, k in zip(parts, tokens_before.tolist(), strict=False)]
    return Spans(
        np.concatenate([part.text for part in parts] or [none.astype(np.uint8)[:0]]),
        np.concatenate([none[:0], *(part.starts + k for part, k in with_bytes)]),
        np.concatenate([none[:0], *(part.ends + k for part, k in with_bytes)]),
        np.concatenate([none, *offsets]),
    )


def _plain_table(characters: str, *rules: Any) -> dict[int, str]:
    """Return what is written for each of some characters, as `str.translate` takes it."""
    forms = (" ", "{}", " {} ", "")
    does, written = _rules(*rules)
    codes = [code for code in map(ord, characters) if code < len(does)]
    return {code: forms[does[code]].format(chr(written[code])) for code in codes}


def _plain_words(texts: Texts, rules: Any) -> Spans:
    """Return the same without compiled code."""
    data = texts.data.tobytes()
    table = _plain_table("".join(set(data.decode(errors="replace"))), *rules)
    bounds = zip(texts.starts.tolist(), texts.ends.tolist(), strict=True)
    found = [data[i:k].decode(errors="replace").translate(table).split(" ") for i, k in bounds]
    parts = [[word.encode() for word in row if word] for row in found]
    lengths = np.array([len(word) for row in parts for word in row], np.int64)
    lasts = np.cumsum(lengths + 1)  # a blank before each
    content = b"".join(b" " + word for row in parts for word in row)
    offsets = offsets_of(np.array([len(row) for row in parts], np.int64))
    return Spans(np.frombuffer(content, np.uint8), lasts - lengths, lasts, offsets)


def framed(spans: Spans, *, lower: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return tokens between "<" and ">", one after another, and where each begins, (t + 1,).

    With `lower` they are in small letters.
    """
    _, written = _rules(is_ascii(spans.text), lower, "keep", False)
    offsets = np.zeros(len(spans.starts) + 1, np.int64)
    if (programs := compiled_programs()) is not None:
        size = 2 * (int((spans.ends - spans.starts).sum()) + len(spans.starts))
        out = np.empty(size, np.uint8)
        given = read_only(spans.text, spans.starts, spans.ends, written)
        used = programs.frame(*given, out, offsets)
        return out[:used], offsets
    text = spans.text.tobytes()
    bounds = zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)
    table = {k: code for k, code in enumerate(written.tolist()) if k != code}
    names = [f"<{text[i:k].decode(errors='replace').translate(table)}>".encode() for i, k in bounds]
    offsets[1:] = np.cumsum([len(name) for name in names])
    return np.frombuffer(b"".join(names), np.uint8), offsets


def is_ascii(data: NDArray[np.uint8]) -> bool:
    """Return whether bytes are ASCII alone."""
    return not len(data) or bool(data.max() < 128)


def runs_of(spans: Spans, least: int, most: int) -> Spans:
    """Return runs of `least` to `most` neighbours of the same text, short ones first.

    Parameters
    ----------
    spans : Spans
        Words that are divided by single blanks, say.
    least, most : int
    """
    if least == most == 1:
        return spans
    lengths = np.diff(spans.offsets)  # (n,)
    sizes = np.arange(least, most + 1)  # (s,)
    counts = np.maximum(lengths[:, None] - sizes + 1, 0)  # (n, s)
    offsets = offsets_of(counts.sum(1))  # (n + 1,)
    runs = counts.ravel()  # (n * s,): text by text
    starts = np.repeat(spans.offsets[:-1], len(sizes))  # (n * s,)
    first, _ = run_indices(starts, runs)  # (t,): the first of each run
    last = first + np.repeat(np.tile(sizes - 1, len(lengths)), runs)  # (t,)
    return Spans(spans.text, spans.starts[first], spans.ends[last], offsets)
