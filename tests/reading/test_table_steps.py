"""Steps over the columns of a block, and the first mistakes that they find."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from object2vec.errors import DataError
from object2vec.fields.base import ValueMistakes, WrongValue
from object2vec.reading.steps import ColumnStep, Problems, do_steps, weights_of


def wrong(*rows):
    return [WrongValue(row, "must be right", "x", "Fix it.") for row in rows]


def reject(values):
    raise ValueMistakes(wrong(1, 0))


def test_each_step_reads_its_column():
    steps = [
        ColumnStep("a", "first", sum),
        ColumnStep("b", "second", max),
        ColumnStep("user.a", "third", min, "first"),
        ColumnStep("c", "nothing", sum),
        ColumnStep("b", "zero", lambda values: 0),
    ]
    found, mistakes = do_steps({"a": [1, 2], "b": [3, 4], "first": [5, 6]}, steps)
    assert (found, mistakes) == ({"first": 3, "second": 4, "third": 5, "zero": 0}, [])


def test_mistakes_name_what_the_user_calls_the_column():
    steps = [ColumnStep("user.a", "x", reject, "a"), ColumnStep("b", "y", sum)]
    found, mistakes = do_steps({"a": [1], "b": [1, 2]}, steps)
    assert found == {"y": 3}
    assert [(each.row, each.must) for each in mistakes] == [
        (1, '"user.a" must be right'),
        (0, '"user.a" must be right'),
    ]


def sifted(problems, *done):
    return problems.sift("t.csv:{}".format, done)


def test_results_of_a_block_are_there_as_long_as_nothing_is_wrong():
    problems = Problems()
    assert sifted(problems, ({"a": 1}, []), ({"b": 2}, [])) == {"a": 1, "b": 2}
    problems.raise_any()
    assert sifted(problems, ({"a": 1}, wrong(7)), ({"b": 2}, wrong(3))) is None
    assert sifted(problems, ({"a": 1}, [])) is None
    with pytest.raises(DataError) as caught:
        problems.raise_any()
    assert str(caught.value).splitlines() == [
        "2 problems:",
        "  t.csv:3: must be right; got 'x'. Fix it.",
        "  t.csv:7: must be right; got 'x'. Fix it.",
    ]


def test_mistakes_of_one_row_stand_as_they_were_found():
    problems = Problems()
    found = [WrongValue(3, "must be right", got, "Fix it.") for got in ("b", 5, "a")]
    sifted(problems, ({}, found[:1]), ({}, found[1:]))
    with pytest.raises(DataError) as caught:
        problems.raise_any()
    assert re.findall("got '?(\\w)", str(caught.value)) == ["b", "5", "a"]


@pytest.mark.parametrize("blocks", [[30], [19, 1], [5, 5, 9, 9], [0, 20]])
def test_twenty_mistakes_end_the_reading(blocks):
    problems, (*first, last) = Problems(), blocks
    for size in first:
        assert sifted(problems, ({}, wrong(*range(size)))) == (None if size else {})
    with pytest.raises(DataError) as caught:
        sifted(problems, ({}, wrong(*range(last))))
    assert str(caught.value).startswith("the first 20 problems:")
    assert str(caught.value).count("\n") == 20


def test_nineteen_mistakes_do_not():
    problems = Problems()
    assert sifted(problems, ({}, wrong(*range(19)))) is None
    with pytest.raises(DataError, match=r"^19 problems:\n"):
        problems.raise_any()


def test_weights_are_above_0():
    found = weights_of(pa.array([0.5, 1e-30, 3]))
    assert found.dtype == np.float32
    assert found.tolist() == [0.5, np.float32(1e-30), 3]
    with pytest.raises(ValueMistakes):
        weights_of(pa.array([0.0]))
