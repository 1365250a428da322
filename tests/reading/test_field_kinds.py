"""Kinds of the fields of a table: said, shared, or guessed."""

from __future__ import annotations

import pytest

from object2vec.fields.specification import parse_field
from object2vec.fields.table_schema import Making, TableSchema
from object2vec.reading.field_kinds import resolved
from object2vec.reading.tables import open_table

TABLE = {"user": ["ann", "bob"], "about": ["x y", "y z"], "film": ["Up", "Big"]}


def declared(in0, in1, **roles):
    first, second = (tuple(map(parse_field, side.split())) for side in (in0, in1))
    return TableSchema((first, second), **roles)


def kinds(schema):
    found, guesses = resolved(open_table(TABLE), schema, None)
    return found.state()["in0"] + found.state()["in1"], guesses


def test_what_is_said_is_kept_and_all_else_is_guessed():
    found, guesses = kinds(declared("user about:text", "film"))
    assert found == ["user:token", "about:text", "film:token"]
    assert guesses == {
        "in0 user:token": "values are short",
        "in1 film:token": "values are short",
    }


@pytest.mark.parametrize(
    ("lists", "film", "next_"),
    [
        (False, "film", "next:token"),
        (True, "film", "next:tokens"),
        (True, "film:token(min_count=2)", "next:tokens(min_count=2)"),
        (True, "film:text", "next:text"),
    ],
)
def test_a_made_column_is_of_the_kind_that_it_shares_or_a_list_of_that(lists, film, next_):
    making = Making("walks", ("next",), lists=lists)
    found, guesses = kinds(declared("next", film, share=[("film", "next")], making=making))
    assert found == [next_, film if ":" in film else "film:token"]
    reason = (
        "values are short"
        if film == "film"
        else ("a column that shares its vocabulary is of this kind")
    )
    assert guesses[f"in0 {next_}"] == reason


def test_a_column_that_is_read_is_never_made_a_list():
    making = Making("walks", ("next",), lists=True)
    schema = declared("user", "film next", share=[("user", "film", "next")], making=making)
    found, _ = kinds(schema)
    assert found == ["user:token", "film:token", "next:tokens"]
