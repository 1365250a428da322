"""Layouts by themselves: what a value of JSON, of memory or of a file becomes in a column."""

import numpy as np
import pytest

from object2vec.errors import DataError
from object2vec.objects.layouts import LAYOUTS

WHOLE, NUMBER, IDS = (LAYOUTS[name] for name in ("whole", "number", "ids"))
LOW, HIGH = -(2**63), 2**63 - 1


@pytest.mark.parametrize("value", [0, 1, -1, LOW, HIGH])
def test_whole_numbers_of_json_are_whole(value):
    assert WHOLE.mistake(value) is None
    assert WHOLE.from_json([value]).tolist() == [value]


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], LOW - 1, HIGH + 1])
def test_other_values_are_not(value):
    found = WHOLE.mistake(value)
    assert (found.must, found.got) == ("must be a whole number", value)


def test_whole_numbers_in_memory_are_a_flat_array():
    assert WHOLE.build(np.array([1, 2], np.int32), "group").dtype == np.int64
    assert WHOLE.build([3, -4], "group").tolist() == [3, -4]
    for wrong in ([1.5], [[1]], ["a"], np.array([2**63], np.uint64), [True]):
        with pytest.raises(DataError, match="group: must be a one-dimensional array of whole"):
            WHOLE.build(wrong, "group")
    assert WHOLE.build(np.array([2**63 - 1], np.uint64), "group").tolist() == [HIGH]
    assert WHOLE.from_scanned(np.array([1.0])) is None


@pytest.mark.parametrize(
    ("value", "is_right"),
    [
        (1, True),
        (True, True),
        (-2.5, True),
        (3.4e38, True),
        (3.5e38, False),
        (1e400, False),
        (float("nan"), False),
        ("1", False),
        (None, False),
        ([1], False),
        (10**400, False),
    ],
)
def test_numbers_of_json_are_finite(value, is_right):
    assert (NUMBER.mistake(value) is None) is is_right


def test_numbers_that_are_too_large_are_no_column():
    assert NUMBER.from_scanned(np.array([1.5, -2.0])).tolist() == [1.5, -2.0]
    assert NUMBER.from_scanned(np.array([1.5, 4e38])) is None
    assert NUMBER.from_scanned(np.array([-4e38])) is None


@pytest.mark.parametrize("layout", [WHOLE, NUMBER])
def test_a_column_comes_back_from_its_arrays_if_it_has_all_its_rows(layout):
    column = layout.build([1, 2, 3], "x")
    facts = layout.count(column)
    assert facts.rows == 3
    assert layout.from_arrays(layout.arrays(column), facts).tolist() == [1, 2, 3]
    assert layout.from_arrays(layout.arrays(column[:2]), facts) is None
    assert layout.take(column, np.array([2, 0])).tolist() == [3, 1]
