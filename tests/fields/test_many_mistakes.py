"""However many values are wrong, twenty are named: the first ones, with their rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from object2vec.errors import DataError
from object2vec.fields.label import LabelLearner
from object2vec.fields.specification import parse_field
from object2vec.fields.values import ValueMistakes, texts
from object2vec.objects.layouts.number import Number
from object2vec.objects.ragged import Ragged
from object2vec.reading.splits import group_numbers

WRONG = pa.array(["x"] * 25)
BYTES = pa.array([b"\xff"] * 25)


def observed(kind):
    return lambda values: parse_field(f"c:{kind}").kind.learner().observe(values)


def looked_up(values):
    learner = parse_field("c:token(unseen=error)").kind.learner()
    known = learner.finish([learner.observe(pa.array(["a", "b"]))])
    known.rows(values)


def labelled(values):
    learner = LabelLearner("label")
    learner.observe(pa.array([str(n) for n in range(1000)]))
    learner.observe(values)


@pytest.mark.parametrize(
    ("read", "values"),
    [
        *((observed(kind), WRONG) for kind in ("ipv4", "ipv6", "number", "date")),
        *(
            (observed(kind), WRONG.dictionary_encode())
            for kind in ("ipv4", "ipv6", "number", "date")
        ),
        (observed("ids"), pa.array([[f"x{i}"] for i in range(25)])),
        (observed("token"), BYTES),
        (observed("text"), BYTES),
        (texts, BYTES),
        (looked_up, WRONG),
        (labelled, WRONG),
        (group_numbers, pa.nulls(25, pa.string())),
    ],
)
def test_twenty_values_are_named(read, values):
    with pytest.raises(ValueMistakes) as caught:
        read(values)
    assert [each.row for each in caught.value.mistakes] == list(range(20))


@pytest.mark.parametrize(
    ("build", "values"),
    [
        (Ragged.build, [[-1]] * 25),
        (Ragged.build, [["x"]] * 25),
        (Number().build, np.full(25, np.nan)),
    ],
)
def test_twenty_values_in_memory_are_named(build, values):
    with pytest.raises(DataError) as caught:
        build(values, "in0")
    first, *rest = str(caught.value).splitlines()
    assert first == "the first 20 problems:"
    assert [line.strip().partition(":")[0] for line in rest] == [f"in0[{i}]" for i in range(20)]


@pytest.mark.parametrize("kind", ["number", "ids", "date"])
def test_a_time_beyond_all_calendars_is_named(kind):
    with pytest.raises(ValueMistakes) as caught:
        observed(kind)(pa.array([None, 253402300800], pa.timestamp("s")))
    assert caught.value.mistakes[0][::2] == (1, "10000-01-01 00:00:00")
    with pytest.raises(ValueMistakes) as caught:
        labelled(pa.array([253402300800], pa.timestamp("s")))
    assert caught.value.mistakes[0][::2] == (0, "10000-01-01 00:00:00")
