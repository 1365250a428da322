"""Which records are for validation: by a hash, by time, by group."""

from __future__ import annotations

import datetime as dt
import unicodedata

import numpy as np
import pyarrow as pa
import pytest

from object2vec.fields.base import ValueMistakes
from object2vec.reading.splits import Clock, chosen, group_numbers, latest

UTC = dt.timezone.utc


def test_a_key_is_chosen_by_itself():
    keys = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 4000)
    mask = chosen(keys, 0.25, 7)
    assert abs(mask.mean() - 0.25) < 0.03
    assert (chosen(keys[::-1], 0.25, 7) == mask[::-1]).all()
    assert (chosen(np.repeat(keys, 2), 0.25, 7) == np.repeat(mask, 2)).all()
    more = chosen(keys, 0.5, 7)
    assert (more | ~mask).all()
    assert more.sum() > mask.sum()
    for seed in (8, 7 + 2**63, -7):
        both = (chosen(keys, 0.25, seed) & mask).mean()
        assert abs(both - 0.25 * 0.25) < 0.02
    assert (chosen(keys, 0.25, 7 + 2**64) == mask).all()


@pytest.mark.parametrize(
    ("times", "share", "held"),
    [
        ([3, 1, 2, 4], 0.5, [0, 3]),
        ([3, 1, 2, 4], 0.25, [3]),
        ([1, 1, 1, 1], 0.5, [2, 3]),
        ([2, 1, 2, 2], 0.5, [2, 3]),
        ([1, 2, 3], 0.5, [1, 2]),
        ([1, 2, 3], 0.1, []),
        ([1, 2, 3], 0.0, []),
        ([3, 1, 2], 1.0, [0, 1, 2]),
    ],
)
def test_the_latest_are_held_out(times, share, held):
    assert np.flatnonzero(latest(np.array(times), share)).tolist() == held


@pytest.mark.parametrize(
    "values",
    [
        pa.array([dt.datetime(1970, 1, 1, 0, 0, 1), dt.datetime(1970, 1, 2)]),
        pa.array([dt.datetime(1970, 1, 1, 0, 0, 1), dt.datetime(1970, 1, 2)], pa.timestamp("ns")),
        pa.array([dt.datetime(1970, 1, 1, 0, 0, 1, 0, UTC), dt.datetime(1970, 1, 2, tzinfo=UTC)]),
        pa.array(["1970-01-01 00:00:01", "1970-01-02"]),
        pa.array(["1970-01-01T00:00:01", "1970-01-02"]).dictionary_encode(),
    ],
)
def test_dates_are_microseconds(values):
    assert Clock().read(values).tolist() == [10**6, 86_400 * 10**6]


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (pa.array([3, 1]), [3, 1]),
        (pa.array([0.5, -1.5]), [0.5, -1.5]),
        (pa.array(["7", "1e3"]), [7, 1000]),
        (pa.array(["7", "1e3"]).dictionary_encode(), [7, 1000]),
        (pa.array([dt.date(1970, 1, 3)]), [2 * 86_400 * 10**6]),
        (pa.array([1999, 2000], pa.timestamp("ns")), [1, 2]),
        (pa.array([dt.date(1970, 1, 3)], pa.date64()), [2 * 86_400 * 10**6]),
    ],
)
def test_times_are_numbers_that_grow(values, numbers):
    assert Clock().read(values).tolist() == numbers


def mistakes(read, values):
    with pytest.raises(ValueMistakes) as caught:
        read(values)
    return [(each.row, each.must, each.got) for each in caught.value.mistakes]


def test_all_times_of_a_column_are_of_one_form():
    clock = Clock()
    clock.read(pa.array(["7", "8"]))
    assert mistakes(clock.read, pa.array(["9", "2024-05-31"])) == [
        (1, "must have a finite number as time", "2024-05-31")
    ]
    clock = Clock()
    clock.read(pa.array(["2024-05-31"]))
    assert mistakes(clock.read, pa.array(["9", "2024-05-31", "May", None])) == [
        (0, "must have a time", "9"),
        (2, "must have a time", "May"),
        (3, "must have a time", None),
    ]
    assert mistakes(Clock().read, pa.array(["", "7"])) == [(0, "must have a time", None)]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (
            pa.array([dt.time(18), None]),
            [(0, "must have a finite number as time", dt.time(18)), (1, "must have a time", None)],
        ),
        (pa.array([dt.timedelta(1)]), [(0, "must have a finite number as time", dt.timedelta(1))]),
        (pa.array([dt.datetime(2024, 5, 31), None]), [(1, "must have a time", None)]),
        (
            pa.array([None, ""], pa.string()),
            [(0, "must have a time", None), (1, "must have a time", "")],
        ),
        (pa.array([1.0, None]), [(1, "must have a time", None)]),
    ],
)
def test_what_is_no_time_is_a_mistake(values, found):
    assert mistakes(Clock().read, values) == found


def test_a_group_has_one_number_however_it_is_written():
    values = ["a", "b", "a", "é", "", "7"]
    numbers = group_numbers(pa.array(values))
    assert numbers.dtype == np.int64
    assert len({*numbers.tolist()}) == 5
    assert numbers[0] == numbers[2]
    apart = [unicodedata.normalize("NFD", value) for value in values]
    for same in (
        pa.array(values).dictionary_encode(),
        pa.array(values, pa.large_string()),
        pa.array(apart),
        pa.array(["x", *values, "y"]).slice(1, 6),
    ):
        assert group_numbers(same).tolist() == numbers.tolist()
    assert group_numbers(pa.array([7])).tolist() == numbers[5:].tolist()
    assert mistakes(group_numbers, pa.array(["a", None])) == [(1, "must have a group", None)]
    assert mistakes(group_numbers, pa.array(["a", None]).dictionary_encode()) == [
        (1, "must have a group", None)
    ]
