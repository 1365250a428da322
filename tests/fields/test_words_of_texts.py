"""Words of texts."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from object2vec.fields import unicode
from object2vec.fields.spans import Spans
from object2vec.fields.values import texts
from object2vec.fields.words import runs_of, words

OPTIONS = st.fixed_dictionaries(
    {
        "lower": st.booleans(),
        "digits": st.sampled_from(["keep", "zero", "drop"]),
        "punctuation": st.booleans(),
    }
)
PLAIN = {"lower": True, "digits": "keep", "punctuation": False}


def read(spans):
    """The tokens of each row as text."""
    rows = zip(spans.offsets[:-1], spans.offsets[1:], strict=True)
    return [
        [bytes(spans.text[spans.starts[t] : spans.ends[t]]).decode() for t in range(*row)]
        for row in rows
    ]


def words_of(values, **options):
    return read(words(texts(pa.array(values, pa.string())), **PLAIN | options))


def expected_words(text, lower, digits, punctuation):
    """The words of a text, character by character, as the documentation says it."""
    found, word = [], ""
    for character in unicodedata.normalize("NFC", text.strip()):
        kind, code = unicodedata.category(character), ord(character)
        is_sign = kind[0] in "PS" and not (kind == "So" and code >= 0x2600)
        is_picture = kind == "So" and code >= 0x2600
        name = unicodedata.name(character, "")
        is_ideograph = name.startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH"))
        is_hidden = kind == "Cf" and code not in (0x200B, 0xFEFF)
        if is_hidden or 0xFE00 <= code <= 0xFE0F:
            continue
        if kind == "Nd" and digits != "drop":
            word += "0" if digits == "zero" else character
        elif kind[0] in "LNM" and kind != "Nd" and not is_ideograph:
            word += character.lower()[0] if lower and kind in ("Lu", "Lt") else character
        else:
            found += [word] if word else []
            word = ""
            if is_ideograph or is_picture or (is_sign and punctuation):
                found.append(character)
    return found + ([word] if word else [])


letters = st.text(
    st.sampled_from("aBÉé ßİǅ,.'-_9٣½²\u00ad\u200b\u200d\ufe0f\u0301न\u094d东ｶ한❤👍\n\t\u3000|$")
)
anything = st.text(st.characters(exclude_categories=["Cs", "Cn"], max_codepoint=0x2FFFF))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(values=st.lists(st.none() | letters | anything, max_size=4), options=OPTIONS)
def test_words_are_what_unicode_says(each_way, values, options):
    expected = [[] if text is None else expected_words(text, **options) for text in values]
    assert words_of(values, **options) == expected


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("Don't panic, 42!", {}, ["don", "t", "panic", "42"]),
        ("Don't", {"lower": False, "punctuation": True}, ["Don", "'", "t"]),
        ("in 1984", {"digits": "zero"}, ["in", "0000"]),
        ("in 1984 b2b", {"digits": "drop"}, ["in", "b", "b"]),
        ("STRASSE Straße", {}, ["strasse", "straße"]),
        ("東京タワー", {}, ["東", "京", "タワー"]),
        ("हिन्दी भाषा", {}, ["हिन्दी", "भाषा"]),
        ("co\u00adoperate", {}, ["cooperate"]),
        ("I ❤️ it👍🏽", {}, ["i", "❤", "it", "👍"]),
        ("e\u0301te\u0301", {}, ["été"]),
        ("", {}, []),
        ("...", {}, []),
    ],
)
def test_some_texts_have_these_words(each_way, text, options, expected):
    assert words_of([text, None], **options) == [expected, []]


def test_long_columns_are_split_in_blocks(monkeypatch):
    values = [None, "a b", "", "Ä c", "dd", "e f g"] * 20
    expected = words_of(values)
    monkeypatch.setattr("object2vec.fields.words._BLOCK_BYTES", 5)
    assert words_of(values) == expected
    assert words_of([]) == []
    assert words_of(["long text"]) == [["long", "text"]]


def test_words_are_divided_by_single_blanks(each_way):
    spans = words(texts(pa.array(["a  b", "", "c"])), **PLAIN)
    assert spans.text.tobytes() == b" a b c"
    assert read(runs_of(spans, 1, 3)) == [["a", "b", "a b"], [], ["c"]]


@given(
    lengths=st.lists(st.integers(0, 6), max_size=6), least=st.integers(1, 3), more=st.integers(0, 3)
)
def test_runs_are_all_neighbours(lengths, least, more):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    starts = 2 * np.arange(offsets[-1])
    spans = Spans(np.zeros(0, np.uint8), starts, starts + 1, offsets)
    runs = runs_of(spans, least, least + more)
    found = [
        [(int(runs.starts[t]), int(runs.ends[t])) for t in range(*row)]
        for row in pairwise(runs.offsets)
    ]
    expected = [
        [
            (2 * i, 2 * (i + size - 1) + 1)
            for size in range(least, least + more + 1)
            for i in range(first, last - size + 1)
        ]
        for first, last in pairwise(offsets.tolist())
    ]
    assert found == expected


def class_of(character: str, category: str) -> int:
    """The class of an assigned character, as its name and its category say."""
    name = unicodedata.name(character, "")
    if "CJK UNIFIED IDEOGRAPH" in name or "CJK COMPATIBILITY IDEOGRAPH" in name:
        return unicode.ALONE
    if name in ("ZERO WIDTH SPACE", "ZERO WIDTH NO-BREAK SPACE"):
        return unicode.SEPARATOR
    if category == "Cf" or re.fullmatch(r"VARIATION SELECTOR-([1-9]|1[0-6])", name):
        return unicode.IGNORED
    if category == "Nd":
        return unicode.DIGIT
    if category == "So" and character >= "\N{BLACK SUN WITH RAYS}":
        return unicode.ALONE
    kinds = {"L": unicode.WORD, "N": unicode.WORD, "M": unicode.WORD}
    return (kinds | {"P": unicode.SIGN, "S": unicode.SIGN}).get(category[0], unicode.SEPARATOR)


def test_every_character_is_what_its_name_and_category_say():
    found = unicode.tables()
    joins = {
        *(chr(v) for v in range(0x1100, 0x1200) if len(normal("\u1100" + chr(v))) == 1),
        *(chr(t) for t in range(0x1100, 0x1200) if len(normal("\uac00" + chr(t))) == 1),
    }
    assert len(joins) == 21 + 27
    wrong = []
    for code in range(unicode.LIMIT):
        character = chr(code)
        category = unicodedata.category(character)
        if category in ("Cn", "Cs", "Co"):
            continue
        unsure = normal(character) != character or category[0] == "M" or character in joins
        unsure |= "\uf900" <= character <= "\ufaff"  # a dozen of these stay as they are
        small = ord(character.lower()[0]) if category in ("Lu", "Lt") else code
        expected = class_of(character, category), small, unsure
        if expected != (found.classes[code], found.small[code], found.unsure[code]):
            wrong.append((hex(code), expected))
    assert wrong == []
    assert not found.classes[[0xD7A4, 0xD7AF]].any()  # behind the last of a block


def normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
