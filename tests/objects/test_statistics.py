"""Facts about columns: those of the parts add up to those of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from object2vec.objects.layouts import LAYOUTS
from object2vec.objects.ragged import Ragged
from object2vec.objects.statistics import IdStatistics, NumberStatistics, WholeStatistics

ids = st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6)


@given(ids)
def test_facts_about_sequences_are_what_counting_gives(rows):
    lengths = [len(row) for row in rows]
    tokens = [token for row in rows for token in row]
    assert IdStatistics.of(Ragged.of_lists(rows)) == IdStatistics(
        rows=len(rows),
        tokens=len(tokens),
        max_id=max(tokens, default=-1),
        padding_tokens=tokens.count(0),
        longest=max(lengths, default=0),
        shortest=min(lengths, default=0),
        empty_rows=lengths.count(0),
    )


@given(st.lists(st.floats(-9, 9, width=32) | st.integers(-9, 9), max_size=6))
def test_facts_about_numbers_are_what_counting_gives(numbers):
    found = NumberStatistics.of(np.array(numbers, np.float32))
    assert (found.rows, found.low, found.high) == (
        len(numbers),
        min(numbers, default=0),
        max(numbers, default=0),
    )
    assert found.total == pytest.approx(sum(numbers))
    assert found.is_integral == all(float(number).is_integer() for number in numbers)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4))
def test_facts_about_whole_numbers_are_what_counting_gives(numbers):
    found = WholeStatistics.of(np.array(numbers, np.int64))
    low, high = min(numbers, default=0), max(numbers, default=0)
    assert found == WholeStatistics(len(numbers), low, high)


@pytest.mark.parametrize(
    ("statistics", "column"),
    [
        (IdStatistics, Ragged.of_lists([[3, 0], [], [7], [0, 0, 1], [2], []])),
        (NumberStatistics, np.array([0.5, -2, 3, 4, -0.25, 1], np.float32)),
        (NumberStatistics, np.array([1, -2, 3, 4, 0, 1.5], np.float32)),
        (WholeStatistics, np.array([5, -2, 3, 4, 0, 9])),
    ],
)
def test_facts_of_parts_add_up(statistics, column):
    def part(start, stop):
        rows = column.slice(start, stop) if isinstance(column, Ragged) else column[start:stop]
        return statistics.of(rows)

    for cut in range(7):
        assert part(0, cut) + part(cut, 6) == part(0, 6)
        assert part(cut, 6) + part(0, cut) == part(0, 6)
    assert statistics() + statistics() == statistics()


def test_sequences_are_counted_piece_by_piece(monkeypatch):
    column = Ragged.of_lists([[1, 2], [3], [], [4, 5, 6], [0]])
    pieces = list(column.pieces(2))
    assert len(pieces) > 2
    monkeypatch.setattr(Ragged, "pieces", lambda self: iter(pieces))
    assert LAYOUTS["ids"].count(column) == IdStatistics.of(column)
