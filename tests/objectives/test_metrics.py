"""Metrics against their formulas, AWS's published figures and their own saved state."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from object2vec import Config
from object2vec.evaluation import roc_auc
from object2vec.objectives import Objective, objective_of
from object2vec.objectives.mean_squared_error import error_sums
from object2vec.objectives.metrics import Metrics
from object2vec.objectives.softmax import class_sums


def _objective(classes, compat=False) -> Objective:
    """Softmax of so many classes; regression for 1."""
    settings = {"enc0_max_seq_len": 1, "enc0_vocab_size": 9, "compat_metrics": compat}
    settings |= {"num_classes": classes} if classes > 1 else {"output_layer": "mean_squared_error"}
    return objective_of(Config.build(settings))


def _add(metrics, outputs, label):
    sums = class_sums if outputs.shape[1] > 1 else error_sums
    metrics.add(sums(outputs, label), len(label))


def _batches(rng, classes, sizes):
    """Random outputs and labels: probabilities for classes > 1, else predictions."""
    for size in sizes:
        outputs = rng.random((size, classes), np.float32)
        if classes > 1:
            label = rng.integers(0, classes, size).astype("f4")
            yield outputs / outputs.sum(1, keepdims=True), label
        else:
            yield outputs * 5, rng.random(size, np.float32) * 5


def _run(batches, classes, **options):
    metrics = Metrics(_objective(classes, **options))
    for outputs, label in batches:
        _add(metrics, outputs, label)
    return metrics


@pytest.mark.parametrize("classes", [2, 5])
def test_classification_equals_its_formula_row_by_row(classes):
    batches = list(_batches(np.random.default_rng(classes), classes, [32, 32, 7]))
    rows = [(row, int(y)) for batch in batches for row, y in zip(*batch, strict=True)]
    right = [float(row[y]) for row, y in rows]
    values = _run(batches, classes).values()
    assert list(values) == ["perplexity", "cross_entropy", "accuracy"]
    assert values == pytest.approx(
        {
            "perplexity": math.exp(math.fsum(-math.log(max(p, 1e-10)) for p in right) / 71),
            "cross_entropy": math.fsum(-math.log(p + 1e-12) for p in right) / 71,
            "accuracy": sum(max(row) == row[y] for row, y in rows) / 71,
        },
        rel=1e-13,
    )
    assert 0 < values["accuracy"] < 1


@pytest.mark.parametrize("compat", [False, True])
def test_regression_weighs_records_or_batches(compat):
    batches = list(_batches(np.random.default_rng(3), 1, [32, 32, 1]))
    errors = [(outputs[:, 0].astype("f8") - label) for outputs, label in batches]
    values = _run(batches, 1, compat=compat).values()
    records = np.concatenate(errors)
    by_record = [np.mean(records**2), np.mean(abs(records))]
    by_batch = [
        np.mean([np.mean(e**2) for e in errors]),
        np.mean([np.mean(abs(e)) for e in errors]),
    ]
    assert list(values) == ["mean_squared_error", "mean_absolute_error"]
    assert list(values.values()) == pytest.approx(by_batch if compat else by_record, rel=1e-13)
    assert by_batch != pytest.approx(by_record, rel=1e-3)


def test_compat_leaves_classification_alone():
    batches = list(_batches(np.random.default_rng(4), 3, [32, 5]))
    assert _run(batches, 3, compat=True).values() == _run(batches, 3).values()


def test_clips_are_those_of_the_published_figures():
    """A model that always answers 1 on a 1:5 test set: AWS's blog post prints 23 and 0.167."""
    always_one = np.tile(np.array([0, 1], np.float32), (600, 1))
    label = np.repeat(np.array([1, 0], np.float32), [100, 500])
    values = _run([(always_one, label)], 2).values()
    assert values["cross_entropy"] == pytest.approx(5 / 6 * -math.log(1e-12), rel=1e-12)
    assert f"{values['cross_entropy']:.2f}" == "23.03"
    assert values["perplexity"] == pytest.approx(math.exp(5 / 6 * -math.log(1e-10)), rel=1e-12)
    assert f"{values['accuracy']:.3f}" == "0.167"


def test_one_row_accounts_for_the_gap_in_the_published_test_score():
    """0.190644062 against ln(perplexity) 0.190568784, times 60,416: one row with p near 6e-14."""
    values = _run([(np.array([[6e-14, 1]], np.float32), np.zeros(1, np.float32))], 2).values()
    gap = values["cross_entropy"] - math.log(values["perplexity"])
    assert gap == pytest.approx((0.19064406154 - 0.190568784) * 60_416, abs=0.01)


def test_accuracy_is_a_count_of_rows():
    outputs = np.eye(2, dtype=np.float32)[np.zeros(10_240, int)]
    label = (np.arange(10_240) >= 7_155).astype(np.float32)
    assert _run([(outputs, label)], 2).values()["accuracy"] == 0.69873046875  # the ML-100k log


@pytest.mark.parametrize(("classes", "name"), [(2, "cross_entropy"), (1, "mean_squared_error")])
def test_loss_is_the_watched_metric(classes, name):
    metrics = _run(_batches(np.random.default_rng(5), classes, [9]), classes)
    assert metrics.watched == metrics.values()[name] > 0


@pytest.mark.parametrize("classes", [2, 1])
def test_no_batch_no_value(classes):
    assert all(math.isnan(value) for value in Metrics(_objective(classes)).values().values())


def test_float64_accumulation_keeps_small_errors_beside_large_sums():
    metrics = Metrics(_objective(1))
    _add(metrics, np.array([[2.0**14]], np.float32), np.zeros(1, np.float32))
    for _ in range(8):
        _add(metrics, np.array([[0.5]], np.float32), np.zeros(1, np.float32))
    assert metrics.values()["mean_squared_error"] == (2.0**28 + 8 * 0.25) / 9


def test_predictions_that_are_not_finite_show():
    metrics = Metrics(_objective(1))
    _add(metrics, np.array([[np.inf]], np.float32), np.zeros(1, np.float32))
    assert metrics.watched == math.inf
    _add(metrics, np.array([[np.nan]], np.float32), np.zeros(1, np.float32))
    assert math.isnan(metrics.watched)
    restored = Metrics(_objective(1))
    restored.restore(json.loads(json.dumps(metrics.state())))
    assert math.isnan(restored.watched)


@given(
    st.integers(1, 4), st.lists(st.integers(1, 9), min_size=2, max_size=6), st.booleans(), st.data()
)
def test_restored_at_any_batch_gives_the_same_bytes(classes, sizes, compat, data):
    batches = list(_batches(np.random.default_rng(sum(sizes)), classes, sizes))
    cut = data.draw(st.integers(0, len(batches)))
    first = _run(batches[:cut], classes, compat=compat)
    resumed = Metrics(_objective(classes, compat=compat))
    resumed.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    for outputs, label in batches[cut:]:
        _add(resumed, outputs, label)
    assert resumed.values() == _run(batches, classes, compat=compat).values()


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="not a state of these metrics: 3 totals"):
        Metrics(_objective(1)).restore(Metrics(_objective(2)).state())


def test_the_area_under_the_roc_curve_is_that_of_scikit_learn():
    draw = np.random.default_rng(0)
    scores = draw.integers(0, 30, size=500).astype(np.float32)  # with many equals
    is_positive = draw.random(500) < 0.3
    expected = roc_auc_score(is_positive, scores)
    assert roc_auc(scores, is_positive) == pytest.approx(expected, abs=1e-12)
    assert math.isnan(roc_auc(scores, np.ones(500, bool)))


def test_log_odds_have_the_metrics_of_scikit_learn_and_all_of_them_together_an_auc():
    draw = np.random.default_rng(1)
    scores = (5 * draw.standard_normal((200, 1))).astype(np.float32)
    label = (draw.random(200) < 0.4).astype(np.float32)
    objective = objective_of(
        Config.build({"enc0_max_seq_len": 1, "enc0_vocab_size": 9, "output_layer": "dot_product"})
    )
    metrics = Metrics(objective, has_all=True)
    for part in (slice(0, 70), slice(70, None)):
        metrics.update(
            SimpleNamespace(
                logits=torch.from_numpy(scores[part]),
                label=label[part],
                is_training=False,
                contrasted=None,
            )
        )
    odds = scores[:, 0].astype(np.float64)
    chance = 1 / (1 + np.exp(-odds))
    assert metrics.values() == {
        "binary_classification_accuracy": np.mean((odds > 0) == label),
        "binary_classification_cross_entropy": pytest.approx(log_loss(label, chance)),
        "discriminator_auc": pytest.approx(roc_auc_score(label, odds)),
    }
    assert "discriminator_auc" not in Metrics(objective).values()
