"""What a column holds, guessed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from object2vec.fields.base import ValueMistakes
from object2vec.fields.guess import guess_kind
from object2vec.fields.specification import kind_text

TITLES = ["The Great Film About a Ship", "A New Hope", "Alien"] * 4
QUESTIONS = [f"what is the answer to question {i}" for i in range(20)]


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        (["ann", "bob", None], "token", "values are short"),
        ([3, 1, None], "token", "integers"),
        ([True, False], "token", "values are true or false"),
        (["007", "12"], "token", "all numbers are whole"),
        (["3", "4.0"], "token", "all numbers are whole"),
        ([3.0, None], "token", "all numbers are whole"),
        ([3.5, None], "number", "numbers have fractions"),
        (["3", "4.5", ""], "number", "numbers have fractions"),
        (["3", "4.5", "x"], "token", "values are short"),
        ([dt.date(2024, 5, 31)], "token", "values are dates"),
        ([dt.datetime(2024, 5, 31)], "token", "values are dates"),
        ([dt.datetime(2024, 5, 31, 18)], "date", "values are times"),
        ([["a"], ["b", "c"]], "tokens", "values are lists"),
        ([[1], [2]], "tokens", "values are lists"),
        (["Drama|War", "Comedy", "War"], 'tokens("|")', 'many values are divided by "|"'),
        (["10.0.0.1", "192.0.2.7"], "ipv4", "values are IPv4 addresses"),
        (QUESTIONS, "text", "values have 7.0 words on average"),
        (TITLES, "token", "values are short"),
        (QUESTIONS[:2] * 9, "token", "values are short"),
        (["a long text " * 5] * 9, "text", "values have 15.0 words on average"),
        (["a long text " * 4] * 9, "text", "values have 12.0 words on average"),
        (["a long text " * 4 + "x", "a long " * 5] * 5, "token", "values are short"),
        ([f"{n} b c d e" for n in range(5)], "text", "values have 5.0 words on average"),
        ([f"{n} b c d" for n in range(5)] + ["a b c d e"], "token", "values are short"),
        ([f"{n} b  c d e" for n in (0, 1, 2, 3, 3)], "text", "values have 5.0 words on average"),
        ([f"{n} b c d e" for n in (0, 1, 2, 2)], "token", "values are short"),
        (["a|b", "b", "c", "d"], 'tokens("|")', 'many values are divided by "|"'),
        (["a|b", "b", "c", "d", "e"], "token", "values are short"),
        (["1.0", "2.", "-3"], "token", "all numbers are whole"),
        (["1", "2.05"], "number", "numbers have fractions"),
        (["10.0.0.1", "192.0.2.7", "x"], "token", "values are short"),
        ([Decimal("1.5")], "number", "numbers have fractions"),
        ([Decimal("1.0")], "token", "all numbers are whole"),
        ([float("inf"), 1.0], "token", "all numbers are whole"),
        ([float("nan"), 1.5], "number", "numbers have fractions"),
        ([None, None], "token", "there are no values to see"),
        ([" ", ""], "token", "there are no values to see"),
        ([], "token", "there are no values to see"),
        ([b"ab"], "token", "values are short"),
        ([dt.time(18)], "token", "values are of type time64[us]"),
    ],
)
def test_a_column_is_guessed_by_its_values(values, kind, reason):
    found, why = guess_kind("column", pa.array(values))
    assert (kind_text(found), why) == (kind, reason)
    if values and isinstance(values[0], str):
        encoded = pa.array(values).dictionary_encode()
        assert kind_text(guess_kind("column", encoded)[0]) == kind or len(set(values)) < len(values)


def test_integer_lists_under_the_names_of_amazon_are_ids():
    assert guess_kind("in0", pa.array([[1], [2]]))[0].name == "ids"
    assert guess_kind("in1", pa.array([[1], [2]]))[0].name == "ids"
    assert guess_kind("in1", pa.array([["1"]]))[0].name == "tokens"


def test_nested_records_are_rejected():
    with pytest.raises(ValueMistakes) as caught:
        guess_kind("x", pa.array([None, {"a": 1}]))
    assert caught.value.mistakes[0][:3] == (
        1,
        "must be text, a number, true or false, a date, or a list of them",
        {"a": 1},
    )
