from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from object2vec.evaluation.detection import false_alarms, roc_auc


@pytest.mark.parametrize("recall", [0.2, 0.5, 0.99, 1.0])
def test_false_alarms_are_read_from_the_roc_curve(recall):
    draw = np.random.default_rng(0)
    real = draw.integers(0, 50, size=400)  # with equals between and within both
    attack = draw.integers(-20, 30, size=150)
    label = np.repeat([0, 1], [400, 150])
    false, true, _ = roc_curve(label, -np.concatenate([real, attack]), drop_intermediate=False)
    expected = false[np.flatnonzero(true >= recall - 1e-12)[0]]
    assert false_alarms(real, attack, recall) == pytest.approx(expected)


def test_one_attack_among_the_real_ones_costs_all_below_it():
    assert false_alarms([1, 2, 3, 4], [0, 3]) == 0.75
    assert false_alarms([1, 2, 3, 4], [0]) == 0.0


def test_the_area_is_that_of_scikit_learn():
    draw = np.random.default_rng(0)
    truth = draw.random(300) < 0.3
    scores = np.round(draw.normal(size=300) + truth, 1).astype(np.float32)  # with equals
    assert roc_auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))
    assert np.isnan(roc_auc(scores[truth], truth[truth]))
    assert np.isnan(roc_auc(scores[~truth], truth[~truth]))
