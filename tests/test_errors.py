from __future__ import annotations

import doctest

import pytest

from object2vec import errors
from object2vec.errors import MAX_PROBLEMS, Object2VecError, join_problems, problem, shown


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("ConfigError", (ValueError,)),
        ("DataError", (ValueError,)),
        ("NotFittedError", (ValueError, AttributeError)),
        ("ArtifactError", ()),
        ("StorageError", (OSError,)),
        ("MissingExtraError", (ImportError,)),
        ("RequestError", (ValueError,)),
        ("Interrupted", ()),
    ],
)
def test_the_tree(name, bases):
    error = getattr(errors, name)
    assert error.__bases__ == (Object2VecError, *bases)
    assert Object2VecError.__bases__ == (Exception,)


def test_a_request_error_carries_its_http_status():
    assert errors.RequestError("no body").status == 400
    error = errors.RequestError("no such type", status=415)
    assert (str(error), error.status) == ("no such type", 415)


def test_an_interruption_carries_its_signal():
    error = errors.Interrupted("saved", 15)
    assert (str(error), error.signal_number) == ("saved", 15)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2, "2"),
        ("adam", "'adam'"),
        ("two\nlines", r"'two\nlines'"),
        (None, "None"),
        ("x" * 78, "'" + "x" * 78 + "'"),
        ("x" * 79, "'" + "x" * 76 + "..."),
        (list(range(1000)), str(list(range(1000)))[:77] + "..."),
    ],
)
def test_a_value_is_shown_on_one_line_of_at_most_80_characters(value, text):
    assert shown(value) == text
    assert len(text) <= 80


def test_the_form_of_a_problem():
    text = problem("enc_dim", "must be an integer in [4, 10000]", 2, "Choose another size.")
    assert text == "enc_dim: must be an integer in [4, 10000]; got 2. Choose another size."


def test_one_problem_stands_alone():
    assert join_problems(["a: wrong"]) == "a: wrong"


def test_several_problems_are_counted_and_listed():
    assert join_problems(["a: wrong", "b: bad"]) == "2 problems:\n  a: wrong\n  b: bad"
    assert join_problems(["a", "b"]) == "2 problems:\n  a\n  b"


@pytest.mark.parametrize("count", [MAX_PROBLEMS, MAX_PROBLEMS + 1, 1000])
def test_no_more_than_twenty_problems_are_listed(count):
    lines = join_problems([f"p{i}" for i in range(count)]).split("\n")
    assert lines == ["the first 20 problems:", *(f"  p{i}" for i in range(20))]


def test_nineteen_problems_are_all_of_them():
    assert join_problems(["p"] * 19).startswith("19 problems:\n")


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(errors)
    assert (result.failed, result.attempted) == (0, 6)
