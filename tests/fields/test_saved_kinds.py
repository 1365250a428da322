"""Fields as a model keeps them: what no training can have written is found out."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from object2vec.errors import ArtifactError
from object2vec.fields.specification import parse_field

VALUES = {
    "date": ["2024-05-31", None, "2023-01-01"],
    "date(month)": ["2024-05-31", None, "2023-01-01"],
    "number(3)": ["1.5", "2", "7"],
    "ids": ["1 2", "7", None],
}


def learned(specification):
    kind = parse_field(f"x:{specification}").kind
    learner = kind.learner()
    learner.observe(pa.array(VALUES[specification]))
    return kind, learner.finish()


@pytest.mark.parametrize("specification", VALUES)
def test_a_saved_field_is_the_same_field(specification):
    kind, field = learned(specification)
    state, arrays = field.state()
    saved = kind.fitted.from_state(kind, json.loads(json.dumps(state)), arrays)
    values = pa.array(VALUES[specification])
    found, coverage = saved.rows(values)
    assert found.values.tolist() == field.rows(values)[0].values.tolist()
    assert coverage == field.rows(values)[1]
    assert list(saved.entries()) == list(field.entries())
    assert saved.size == field.size
    assert saved.with_words(pa.array(["word"])) is saved  # it reads no words


@pytest.mark.parametrize(
    ("specification", "state", "arrays"),
    [
        ("date", {"parts": ["year", "month", "weekday", "week"]}, {}),
        ("date", {"parts": ["year", "month", "weekday", "month"]}, {}),
        ("date", {"parts": []}, {}),
        ("date", {"parts": "year"}, {}),
        ("date", {"parts": None}, {}),
        ("date", {"years": None}, {}),
        ("date", {"years": []}, {"counts": np.zeros(51, np.int64)}),
        ("date", {"years": [2023, 2023]}, {}),
        ("date", {"years": [2023, 0]}, {}),
        ("date", {"years": [2023, 10_000]}, {}),
        ("date", {"years": [2023, 2024.0]}, {}),
        ("date", {"years": [2023, True]}, {}),
        ("date", {"years": [2023]}, {}),
        ("date(month)", {"years": [2023]}, {"counts": np.zeros(14, np.int64)}),
        ("date", {}, {"counts": None}),
        ("date", {}, {"counts": np.zeros(53, np.int32)}),
        ("date", {}, {"counts": np.zeros(54, np.int64)}),
        ("number(3)", {}, {"edges": None}),
        ("number(3)", {}, {"counts": None}),
        ("number(3)", {}, {"edges": np.array([2, 7])}),
        ("number(3)", {}, {"edges": np.array([2.0, 7], np.float32)}),
        ("number(3)", {}, {"edges": np.array([2.0])}),
        ("number(3)", {}, {"edges": np.array([7.0, 2.0])}),
        ("number(3)", {}, {"edges": np.array([2.0, 2.0])}),
        ("number(3)", {}, {"edges": np.array([2.0, np.inf])}),
        ("number(3)", {}, {"edges": np.array([[2.0, 7.0]])}),
        ("number(3)", {}, {"counts": np.zeros(4, np.int32)}),
        ("number(3)", {}, {"counts": np.zeros((4, 1), np.int64)}),
        ("ids", {}, {"counts": None}),
        ("ids", {}, {"counts": np.zeros(0, np.int64)}),
        ("ids", {}, {"counts": np.zeros(8, np.int32)}),
        ("ids", {}, {"counts": np.zeros((8, 1), np.int64)}),
    ],
)
def test_a_damaged_field_is_found_out(specification, state, arrays):
    kind, field = learned(specification)
    saved_state, saved_arrays = field.state()
    arrays = {k: v for k, v in (saved_arrays | arrays).items() if v is not None}
    with pytest.raises(
        ArtifactError, match=r"vocabulary: must hold .* Copy or train the model aga"
    ):
        kind.fitted.from_state(kind, saved_state | state, arrays)


@pytest.mark.parametrize("years", [[1, 9999], [2024, 2023]])
def test_years_that_there_can_be_are_read(years):
    kind, field = learned("date")
    state, arrays = field.state()
    assert kind.fitted.from_state(kind, state | {"years": years}, arrays).years == tuple(years)


def test_a_tokenizer_that_is_no_text_is_found_out():
    pytest.importorskip("tokenizers")
    kind = parse_field("x:text(bpe=300)").kind
    with pytest.raises(ArtifactError, match=r"^tokenizer: must be text; got 7. Copy or train the"):
        kind.fitted.from_state(kind, {"tokenizer": 7}, {})
