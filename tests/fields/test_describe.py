"""Kinds of field in words."""

from __future__ import annotations

import pytest

from object2vec.errors import ConfigError
from object2vec.fields.describe import describe, described_table
from object2vec.fields.kinds import KINDS


def test_a_kind_is_described_by_its_options_first_those_by_position():
    (tokens,) = describe(KINDS, "a kind", ["tokens"])
    assert tokens["name"] == "tokens"
    assert tokens["meaning"] == "A list of tokens: a list column, or text that a separator divides."
    first, *others = tokens["options"]
    assert first == {
        "name": "separator",
        "valid": "text of one character or more",
        "default": '" "',
        "by_name": False,
        "meaning": "what divides the tokens of a text",
    }
    assert all(option["by_name"] for option in others)
    by_name = {option["name"]: option for option in others}
    assert by_name["min_count"]["default"] == "1"
    assert by_name["max_size"]["default"] == ""
    assert by_name["max_size"]["valid"] == "an integer >= 0"


def test_all_are_described_by_default_and_some_in_the_order_of_their_names():
    assert [each["name"] for each in describe(KINDS, "a kind")] == list(KINDS)
    some = describe(KINDS, "a kind", ["text", "date"])
    assert [each["name"] for each in some] == ["text", "date"]


@pytest.mark.parametrize(
    ("name", "cure"), [("txt", "Did you mean text?"), ("zzzz", f"Names are {', '.join(KINDS)}.")]
)
def test_a_name_that_nobody_knows(name, cure):
    with pytest.raises(ConfigError) as caught:
        describe(KINDS, "a kind", ["text", name])
    assert str(caught.value) == f"NAME: must be a kind; got {name!r}. {cure}"


def test_a_table_of_kinds_has_a_row_for_each():
    head, rule, *rows = described_table(KINDS, "kind", "a field holds").splitlines()
    assert head == "| kind | a field holds | options, with their defaults |"
    assert rule == "|---|---|---|"
    assert [row.split("`")[1] for row in rows] == list(KINDS)
    number = next(row for row in rows if row.startswith("| `number` |"))
    assert number.endswith("| `bins=16`, `weight=1.0` |")
