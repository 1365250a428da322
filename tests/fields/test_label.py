"""Labels of a table: numbers, or names of classes, and which of both they are."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from object2vec.errors import DataError
from object2vec.fields.base import ValueMistakes
from object2vec.fields.label import LabelField, LabelLearner, numbers_of


def learned_label(*blocks):
    learner = LabelLearner("y")
    kept = [learner.observe(pa.array(block)) for block in blocks]
    return learner.finish(iter(kept)), kept


@pytest.mark.parametrize(
    ("blocks", "numbers", "is_integral", "distinct"),
    [
        ([["1", "0"], ["1", " 2 "]], [[1, 0], [1, 2]], True, (0, 1, 2)),
        ([["1.5", "-2"]], [[1.5, -2]], False, (-2, 1.5)),
        ([[True, False]], [[1, 0]], True, (0, 1)),
        ([[3, 1, 3]], [[3, 1, 3]], True, (1, 3)),
    ],
)
def test_labels_that_are_numbers(blocks, numbers, is_integral, distinct):
    label, _ = learned_label(*blocks)
    assert label.classes is None
    assert (label.is_integral, label.distinct) == (is_integral, distinct)
    assert (label.low, label.high) == (min(distinct), max(distinct))
    assert [label.numbers(pa.array(block)).tolist() for block in blocks] == numbers
    assert LabelField.from_state(json.loads(json.dumps(label.state()))) == label


def test_at_most_31_numbers_are_remembered():
    label, _ = learned_label([str(i) for i in range(100)], list(map(str, range(200, 300))))
    assert len(label.distinct) == 31
    assert (label.low, label.high) == (0, 299)


def test_labels_that_are_texts_are_classes_in_sorted_order():
    label, _ = learned_label(["1", "2"], ["yes", " no", "e\u0301"], ["\u00e9"])
    assert label.classes == ("1", "2", "no", "yes", "\u00e9")
    assert label.numbers(pa.array(["yes", "\u00e9", "1"]).dictionary_encode()).tolist() == [3, 4, 0]
    assert LabelField.from_state(json.loads(json.dumps(label.state()))) == label


@pytest.mark.parametrize(
    ("values", "mistakes"),
    [
        (["yes", None, "maybe", ""], [(1, None), (2, "maybe"), (3, "")]),
        ([None, None], [(0, None), (1, None)]),
    ],
)
def test_texts_that_are_no_class(values, mistakes):
    label, _ = learned_label(["yes", "no"])
    with pytest.raises(ValueMistakes) as raised:
        label.numbers(pa.array(values, pa.string()))
    assert [(m.row, m.got) for m in raised.value.mistakes] == mistakes


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (["1", "x", "nan", "inf", "1e39", None, "", "1_0"], [1, 2, 3, 4, 5, 6, 7]),
        ([1.0, float("nan"), float("inf"), None], [1, 2, 3]),
        ([[1], [2]], [0, 1]),
    ],
)
def test_values_that_are_no_number(values, rows):
    with pytest.raises(ValueMistakes) as raised:
        LabelField("y").numbers(pa.array(values))
    assert [mistake.row for mistake in raised.value.mistakes] == rows


def test_a_text_label_with_one_class():
    with pytest.raises(DataError, match="column y: must have at least two classes"):
        learned_label(["yes", "yes"])


def test_one_text_among_many_numbers_is_a_mistake():
    with pytest.raises(DataError, match=r"column y: must hold numbers only, .* got 'N/A'"):
        learned_label([*map(str, range(50)), *["N/A"] * 20])
    with pytest.raises(ValueMistakes) as raised:
        learned_label([*map(str, range(50)), "N/A"])
    assert [(mistake.row, mistake.got) for mistake in raised.value.mistakes] == [(50, "N/A")]


@pytest.mark.parametrize(
    ("blocks", "facts"),
    [
        ([["1.5"], ["2"]], (False, 1.5, 2, (1.5, 2))),
        ([["2"], ["1.5"]], (False, 1.5, 2, (1.5, 2))),
        ([[3], [], [-1, 7]], (True, -1, 7, (-1, 3, 7))),
        ([["3"], [None][:0], ["4"]], (True, 3, 4, (3, 4))),
        ([[Decimal("1.50"), Decimal("2.00")]], (False, 1.5, 2, (1.5, 2))),
        ([list(range(20)), list(range(5, 25))], (True, 0, 24, tuple(range(25)))),
        ([list(range(31)), [40, -1]], (True, -1, 40, tuple(range(31)))),
    ],
)
def test_numbers_of_all_blocks_are_known(blocks, facts):
    label, _ = learned_label(*blocks)
    assert label == LabelField("y", None, *facts)


@pytest.mark.parametrize(
    ("blocks", "classes"),
    [
        ([["1", "x"]], ("1", "x")),  # as many names as numbers
        ([["1"], ["2"], ["no", "yes"]], ("1", "2", "no", "yes")),
        ([["no"], [], ["yes", "1"]], ("1", "no", "yes")),
        ([["no"], ["yes", "no"], ["no"]], ("no", "yes")),
        ([["1,5", "2", "x"]], ("1,5", "2", "x")),
        ([["1_0", "no"]], ("1_0", "no")),
    ],
)
def test_texts_are_classes_if_no_more_of_them_are_numbers_than_names(blocks, classes):
    label, _ = learned_label(*(pa.array(block, pa.string()) for block in blocks))
    assert label == LabelField("y", classes)


NUMBERS, OTHERS = [str(n % 5) for n in range(91)], ["other"] * 10


@pytest.mark.parametrize(
    "blocks", [[NUMBERS[:90] + OTHERS], [NUMBERS[:30], OTHERS + NUMBERS[:30], NUMBERS[:30]]]
)
def test_a_tenth_of_texts_may_be_classes_until_there_are_more_numbers_than_names(blocks):
    with pytest.raises(DataError, match="must hold numbers only, or names of classes only; got 'o"):
        learned_label(*blocks)


@pytest.mark.parametrize("first", [0, 50])
def test_fewer_texts_among_numbers_are_mistakes(first):
    blocks = [NUMBERS[:first], [*NUMBERS[first:], *OTHERS]]
    with pytest.raises(ValueMistakes) as raised:
        learned_label(*(pa.array(block, pa.string()) for block in blocks))
    must = "must have a number as label, like nearly all rows"
    assert [mistake[:3] for mistake in raised.value.mistakes] == [
        (row, must, "other") for row in range(91 - first, 101 - first)
    ]


@pytest.mark.parametrize(
    ("texts", "got"), [(["1,5", "2"], "1,5"), (["-1,5", "+2,25", "3"], "+2,25"), (["3,5"] * 2, "")]
)
def test_decimal_commas_are_no_classes(texts, got):
    must = "must have numbers with a decimal point" if got else "must have at least two classes"
    with pytest.raises(DataError, match=f"^column y: {must}; got .*{got.replace('+', '.')}"):
        learned_label(texts)


def test_a_block_of_classes_names_what_has_none():
    learner = LabelLearner("y")
    learner.observe(pa.array(["no", "yes"]))
    for block in ([None, " "], ["no", None, ""]):
        with pytest.raises(ValueMistakes) as raised:
            learner.observe(pa.array(block, pa.string()))
        assert [(m.row, m.must) for m in raised.value.mistakes] == [
            (row, "must have a label") for row, text in enumerate(block) if text != "no"
        ]


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ([1, 0, 2], [(1, "must have a weight above 0", 0)]),
        ([-1.0, None], [(0, "must have a weight above 0", -1), (1, "must have a weight", None)]),
        ([1e-50, 1e-45], [(0, "must have a weight above 0", 1e-50)]),  # 0 as a float32
        (
            ["x", "0", None],
            [
                (0, "must have a finite number as weight", "x"),
                (1, "must have a weight above 0", "0"),
                (2, "must have a weight", None),
            ],
        ),
        ([3.5e38, 3.4e38], [(0, "must have a finite number as weight", 3.5e38)]),
        ([False, True], [(0, "must have a weight above 0", False)]),
        ([Decimal("0.0"), Decimal("0.1")], [(0, "must have a weight above 0", Decimal("0.0"))]),
    ],
)
def test_numbers_that_are_missing_wrong_or_too_small(values, wrong):
    array = pa.array(values)
    for each in (array, array.dictionary_encode()):
        with pytest.raises(ValueMistakes) as raised:
            numbers_of(each, "weight", above=0)
        assert [tuple(mistake[:3]) for mistake in raised.value.mistakes] == wrong


def test_numbers_are_read_from_all_that_spell_them():
    for values in ([1, 2], [1.0, 2.0], ["1", " 2e0 "], [Decimal("1.0"), Decimal("2.0")]):
        array = pa.array(values)
        for each in (array, array.dictionary_encode()):
            assert numbers_of(each, "label").tolist() == [1, 2]
    assert numbers_of(pa.array([True, False]), "label").tolist() == [1, 0]
    assert numbers_of(pa.array([2**53 + 1, 2**60]), "label").tolist() == [2.0**53, 2.0**60]
    assert numbers_of(pa.array([], pa.string()), "label").dtype == np.float64


def test_a_number_that_names_a_class_is_that_class():
    label, _ = learned_label(["1", "2", "no", "yes"])
    assert label.numbers(pa.array([2, 1])).tolist() == [1, 0]
    with pytest.raises(ValueMistakes) as raised:
        label.numbers(pa.array([3, 1]))
    assert raised.value.mistakes[0][:3] == (0, "must be one of the classes 1, 2, no, yes", 3)
