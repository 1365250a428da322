"""Fields whose values consist of parts: they are made piece by piece, and so many are hashed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from object2vec.fields.base import Coverage
from object2vec.fields.specification import parse_field

NAMES = [f"name {n * 7919 % 1000}" for n in range(300)] + [None, "", "name 1"] * 3


def learned(specification, values, start=None):
    kind = parse_field(f"x:{specification}").kind
    learner = kind.learner(start)
    kept = learner.observe(pa.array(values, pa.string()))
    return learner.finish(), kept


def runs(names, shortest=3, longest=6):
    framed = {f"<{name}>" for name in names if name}
    return {
        name[at : at + size]
        for name in framed
        for size in range(shortest, longest + 1)
        for at in range(len(name) - size + 1)
    }


@pytest.mark.parametrize("units", [1, 7, 1 << 14])
def test_units_are_parted_some_at_a_time(units, monkeypatch):
    whole, _ = learned("characters(min_count=2)", NAMES)
    monkeypatch.setattr("object2vec.fields.parts._UNITS", units)
    field, kept = learned("characters(min_count=2)", NAMES)
    assert list(field.entries()) == list(whole.entries())
    for found in (field.rows(pa.array(NAMES))[0], field.rows_of_kept(kept)[0]):
        assert found.values.tolist() == whole.rows(pa.array(NAMES))[0].values.tolist()
        assert found.offsets.tolist() == whole.rows(pa.array(NAMES))[0].offsets.tolist()


@pytest.mark.parametrize("units", [1, 1 << 14])
def test_there_are_buckets_for_all_runs_that_differ(units, monkeypatch):
    monkeypatch.setattr("object2vec.fields.parts._UNITS", units)
    field, _ = learned("characters", NAMES)
    count = len(runs(NAMES))
    assert 1024 < count <= 4096
    assert field.vocabulary.buckets == 1 << (count - 1).bit_length()


def test_very_many_runs_are_not_all_counted(monkeypatch):
    monkeypatch.setattr("object2vec.fields.parts._MANY", 500)
    monkeypatch.setattr("object2vec.fields.parts._UNITS", 10)
    field, _ = learned("characters", NAMES)
    assert field.vocabulary.buckets == 1024
    assert field.rows(pa.array(["name 1"]))[1] == Coverage(1, 0, 1, 1)


def test_a_rare_name_is_its_runs_alone():
    field, _ = learned("characters(3, 3, min_count=2, buckets=50)", ["anna", "anna", "bo", None])
    column, coverage = field.rows(pa.array(["anna", "bo", "anna", None, ""]))
    assert coverage == Coverage(5, 2, 3, 2, by_parts=1)
    assert column.lengths.tolist() == [1 + 4, 2, 1 + 4, 1, 1]
    first = field.vocabulary.first
    assert column.row(0)[0] == first
    assert (column.row(0)[1:] < first).all()
    assert (column.row(1) < first).all()
    assert column.row(3).tolist() == column.row(4).tolist() == [0]
    assert [e.count for e in field.entries() if e.token] == [2]
    counts = np.array([e.count for e in field.entries()])
    assert counts[0] == 1
    assert counts[1:first].sum() == 2 * 4 + 2


def test_only_a_name_without_runs_is_one_part():
    field, _ = learned("characters(6, 6, min_count=1)", ["anna", "bo", "barbara"])
    row = {entry.token: entry.row for entry in field.entries()}
    known = field.known_rows(pa.array(["bo", "anna", "barbara", "xy", None]))
    assert known.tolist() == [row["bo"], -1, -1, -1, -1]


def test_counts_go_on_from_what_is_known():
    field, _ = learned("ipv4(min_count=1)", ["10.0.0.1", "10.0.0.1", None])
    grown, _ = learned("ipv4(min_count=1)", ["10.0.0.2", None], start=field)
    before = {entry.token: (entry.row, entry.count) for entry in field.entries()}
    after = {entry.token: (entry.row, entry.count) for entry in grown.entries()}
    assert before[None] == (0, 1)
    assert after[None] == (0, 2)
    assert before["10.0.0.0/8"][1] == 2
    assert after["10.0.0.0/8"] == (before["10.0.0.0/8"][0], 3)
    assert after["10.0.0.1/32"] == before["10.0.0.1/32"]
    assert after["10.0.0.2/32"][0] >= field.size
