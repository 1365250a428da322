"""Early stopping against three complete logs of the AWS container (spec 9.6)."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from object2vec.objectives import Metric
from object2vec.training.early_stopping import EarlyStopping

LOSS = Metric("cross_entropy", "loss")

REGRESSION = [0.980, 0.986, 0.959, 0.952, 0.934, 0.932, 0.931, 0.928, 0.919]
CLASSIFICATION = [0.579, 0.571, 0.589, 0.727, 0.885, 1.022, 1.086]
WIKIPEDIA = [0.2271, 0.1995, 0.1787, 0.1879, 0.1925, 0.1823]


def _observe(losses, patience, tolerance=0.01):
    stopping = EarlyStopping(LOSS, patience, tolerance)
    return stopping, [stopping.observe(epoch, loss) for epoch, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("losses", "patience", "bad", "best"),
    [
        (REGRESSION, 3, [0, 0, 0, 1, 0, 1, 2, 3, 4], [0, 2, 3, 4, 5, 6, 7, 8]),
        (CLASSIFICATION, 3, [0, 0, 0, 1, 2, 3, 4], [0, 1]),
        (WIKIPEDIA, 2, [0, 0, 0, 1, 2, 3], [0, 1, 2]),
    ],
    ids=["regression", "classification", "wikipedia"],
)
def test_replay_of_the_aws_logs(losses, patience, bad, best):
    stopping, verdicts = _observe(losses, patience)
    assert [v.bad for v in verdicts] == bad
    assert [v.epoch for v in verdicts if v.is_best] == best
    assert [v.should_stop for v in verdicts] == [False] * (len(losses) - 1) + [True]
    assert (stopping.best_epoch, stopping.best_value) == (best[-1], losses[best[-1]])


def test_the_verdict_holds_the_numbers_of_the_log_lines():
    _, verdicts = _observe(REGRESSION, 3)
    assert [v.past_values for v in verdicts[:3]] == [None] * 3
    assert [v.best_past for v in verdicts[:3]] == [None] * 3
    assert verdicts[3].past_values == (0.980, 0.986, 0.959)
    assert (verdicts[3].best_past, verdicts[3].is_bad) == (0.959, True)
    assert not verdicts[4].is_bad
    assert verdicts[8].is_best
    assert verdicts[8].is_bad


def test_the_window_forgets_a_better_loss():
    """Wikipedia, epoch 5: compared with the best of the last two, though 0.1787 came before."""
    _, verdicts = _observe(WIKIPEDIA, 2)
    assert verdicts[5].past_values == (0.1879, 0.1925)
    assert verdicts[5].best_past == 0.1879


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_earliest_stop_is_epoch_two_times_patience(patience):
    _, verdicts = _observe([1.0] * (2 * patience + 1), patience)
    assert [v.should_stop for v in verdicts].index(True) == 2 * patience


def test_an_improvement_of_exactly_the_tolerance_counts():
    _, verdicts = _observe([1.0, 0.75, 0.51], 1, tolerance=0.25)
    assert [v.is_bad for v in verdicts] == [False, False, True]


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_bad_and_never_best(broken):
    stopping, verdicts = _observe([broken, 0.5, broken, 0.4], 2)
    assert [v.is_best for v in verdicts] == [False, True, False, True]
    assert [v.is_bad for v in verdicts] == [True, False, True, False]
    assert [v.bad for v in verdicts] == [1, 1, 2, 0]
    assert verdicts[2].past_values == (math.inf, 0.5)
    assert stopping.best_epoch == 3


def test_training_that_diverges_at_once_stops_and_has_no_best():
    stopping, verdicts = _observe([math.nan] * 4, 3)
    assert [v.should_stop for v in verdicts] == [False, False, False, True]
    assert (stopping.best_epoch, stopping.best_value) == (None, None)


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=12),
    st.integers(1, 5),
    st.data(),
)
def test_restored_at_any_epoch_gives_the_same_verdicts(losses, patience, data):
    cut = data.draw(st.integers(0, len(losses)))
    whole, verdicts = _observe(losses, patience)
    first, _ = _observe(losses[:cut], patience)
    resumed = EarlyStopping(LOSS, patience, 0.01)
    resumed.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    later = [resumed.observe(epoch, losses[epoch]) for epoch in range(cut, len(losses))]
    assert list(map(str, later)) == list(map(str, verdicts[cut:]))  # as text: NaN equals NaN
    assert (resumed.best_epoch, resumed.best_value) == (whole.best_epoch, whole.best_value)


def test_of_a_score_the_highest_value_is_the_best():
    """The very same run as that of a loss with the other sign."""
    stopping = EarlyStopping(Metric("accuracy", "score"), 2, 0.01)
    verdicts = [stopping.observe(epoch, 1 - loss) for epoch, loss in enumerate(WIKIPEDIA)]
    _, mirrored = _observe([loss - 1 for loss in WIKIPEDIA], 2)
    assert [(v.is_best, v.bad, v.should_stop) for v in verdicts] == [
        (v.is_best, v.bad, v.should_stop) for v in mirrored
    ]
    assert verdicts[5].best_past == 1 - 0.1879
    assert (stopping.best_epoch, stopping.best_value) == (2, 1 - 0.1787)
    assert (verdicts[5].metric, verdicts[5].value) == ("accuracy", 1 - 0.1823)
