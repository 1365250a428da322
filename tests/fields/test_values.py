"""Values of a column as text."""

from __future__ import annotations

import datetime as dt
import decimal
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from object2vec.fields.base import ValueMistakes
from object2vec.fields.label import LabelField
from object2vec.fields.unicode import LIMIT, tables
from object2vec.fields.values import shown, texts

UTC = dt.timezone.utc


def written(values):
    """What `texts` gives for each row."""
    found = texts(values)
    each = [bytes(found.data[i:k]).decode() for i, k in zip(found.starts, found.ends, strict=True)]
    return found.spread(np.array(each, object), "").tolist()


unicode_text = st.text(st.characters(exclude_categories=["Cs"]))
awkward = st.text(
    st.sampled_from(" \t\u00a0\u3000aAé\u0301\u0323e\u1100\u1161\u11a8\uac00\u212b\u0958\U0002f800")
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.none() | unicode_text | awkward), encoded=st.booleans())
@example(values=["\u0344", "e\u0301 ", "\x1c a\x85"], encoded=False)
def test_text_is_normalised_and_without_blanks_around_it(each_way, values, encoded):
    array = pa.array(values, pa.string())
    expected = ["" if v is None else unicodedata.normalize("NFC", v.strip()) for v in values]
    assert written(array.dictionary_encode() if encoded else array) == expected
    longer = pa.concat_arrays([pa.array(["x", None, " yé"]), array, pa.array(["z"])])
    assert written(longer.slice(3, len(values))) == expected
    assert written(array.cast(pa.large_string())) == expected


def test_every_character_that_may_not_be_normal_is_known():
    unsure = tables().unsure
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) == "Cs":
            continue
        apart = unicodedata.normalize("NFD", character)
        for text in {character, apart}:
            if unicodedata.normalize("NFC", text) != text:
                assert any(ord(c) >= LIMIT or unsure[ord(c)] for c in text), hex(code)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([7, None, -7, 2**62]), ["7", "", "-7", str(2**62)]),
        (pa.array([7, 0], pa.uint8()), ["7", "0"]),
        (pa.array([7.0, None, float("nan"), 0.1, -0.5]), ["7", "", "", "0.1", "-0.5"]),
        (pa.array([7.0, 0.1], pa.float32()), ["7", "0.1"]),
        (pa.array([2.0**53, 1e300]), ["9007199254740992", "1e+300"]),
        (pa.array([True, False, None]), ["true", "false", ""]),
        (pa.array([decimal.Decimal("1.50"), decimal.Decimal("2.00")]), ["1.5", "2"]),
        (pa.array([dt.date(2024, 5, 31), None]), ["2024-05-31", ""]),
        (pa.array([dt.datetime(2024, 5, 31), None]), ["2024-05-31", ""]),
        (pa.array([dt.datetime(2024, 5, 31, 18)]), ["2024-05-31 18:00:00"]),
        (pa.array([dt.datetime(2024, 5, 31, 18, 0, 0, 500)]), ["2024-05-31 18:00:00.0005"]),
        (pa.array([dt.datetime(2024, 5, 31, 18, tzinfo=UTC)]), ["2024-05-31 18:00:00Z"]),
        (pa.array([dt.date(2024, 5, 31), None], pa.date64()), ["2024-05-31", ""]),
        (pa.array([dt.time(18, 30)]), ["18:30:00"]),
        (pa.array([dt.time(18, 30, 0, 250_000)]), ["18:30:00.25"]),
        (pa.array([decimal.Decimal("0.10"), decimal.Decimal("10.00")]), ["0.1", "10"]),
        (pa.array([2.0**62, 2.0**63]), [str(2**62), "9.223372036854776e+18"]),
        (pa.array([0.1, 1e10], pa.float32()), ["0.1", "10000000000"]),
        (pa.array([0.5, 3.0], pa.float16()), ["0.5", "3"]),
        (pa.array(["a", None, "b"], pa.string_view()), ["a", "", "b"]),
        (pa.array([b"a", None], pa.binary_view()), ["a", ""]),
        (pa.array([b"ab", None, b"ab"]).dictionary_encode(), ["ab", "", "ab"]),
        (pa.array([b"ab", None, "é".encode()]), ["ab", "", "é"]),
        (pa.array([None, None]), ["", ""]),
        (pa.array([], pa.string()), []),
        (pa.array([7, 8, 7, None]).dictionary_encode(), ["7", "8", "7", ""]),
        (pa.chunked_array([["a"], ["b"]]).combine_chunks(), ["a", "b"]),
    ],
)
def test_values_are_written_as_people_do(values, expected):
    assert written(values) == expected


def test_seven_is_one_token_wherever_it_comes_from():
    sources = [pa.array([7]), pa.array([7.0, None]), pa.array(["7"]), pa.array([" 7 "])]
    assert {written(each)[0] for each in sources} == {"7"}


@pytest.mark.parametrize(
    ("values", "row", "got"),
    [
        (pa.array([None, [1]]), 1, [1]),
        (pa.array([{"a": 1}]), 0, {"a": 1}),
        (pa.array([None, dt.timedelta(1)]), 1, dt.timedelta(1)),
        (pa.DictionaryArray.from_arrays(pa.array([None, 0]), pa.array([[1]])), 1, [1]),
        (pa.array([], pa.duration("s")), 0, "duration[s]"),
        (pa.array([b"ok", b"ok", b"\xff"]), 2, b"\xff"),
        (pa.array([b"ok", b"ok", b"\xff"]).dictionary_encode(), 2, b"\xff"),
    ],
)
def test_what_is_no_text_is_rejected_with_its_row(values, row, got):
    with pytest.raises(ValueMistakes) as caught:
        texts(values)
    assert [(each.row, each.got) for each in caught.value.mistakes] == [(row, got)]


def test_bytes_that_are_no_text_are_listed_up_to_twenty():
    values = pa.array([b"\xff", b"a", None, *[b"\xfe"] * 30], pa.binary())
    with pytest.raises(ValueMistakes) as caught:
        texts(values)
    rows = [mistake.row for mistake in caught.value.mistakes]
    assert rows == [0, *range(3, 22)]
    few = pa.array([b"a", b"\xff", b"b", b"\xfe"], pa.binary())
    with pytest.raises(ValueMistakes) as caught:
        texts(few)
    assert [mistake.row for mistake in caught.value.mistakes] == [1, 3]


def test_what_has_no_label_is_one_right_pair_after_another():
    assert LabelField() == LabelField(None, None, True, 1.0, 1.0, (1.0,))


def test_a_date_beyond_pythons_calendar_is_shown_as_text_also_in_a_list():
    far, near = 600_000_000_000, 0  # seconds after 1970
    seconds = pa.array([far, near], pa.timestamp("s"))
    assert shown(seconds[1]) == dt.datetime(1970, 1, 1)
    text = shown(seconds[0])
    assert isinstance(text, str)
    assert text == str(np.datetime64(far, "s")).replace("T", " ")
    lists = pa.array([[near, far]], pa.list_(pa.timestamp("s")))
    assert shown(lists[0]) == [dt.datetime(1970, 1, 1), text]
