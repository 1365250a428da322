"""The figures beside scikit-learn's and scipy's, and their intervals beside plain resampling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from object2vec.errors import DataError
from object2vec.evaluation import (
    Measure,
    best_threshold,
    binary_measure,
    class_measure,
    correlation_measure,
    cosines,
    error_measure,
    label_measure,
    label_thresholds,
    rank_measure,
    ranks,
    ranks_by_score,
)

ROWS, CLASSES = 200, 4


@pytest.fixture
def generator():
    return np.random.default_rng(5)


def with_ties(generator, *shape):
    return np.round(generator.normal(size=shape), 1)


def test_correlations_are_those_of_scipy(generator):
    scores, label = with_ties(generator, ROWS), with_ties(generator, ROWS)
    found = correlation_measure(scores, scores + label).values()
    assert found["pearson"] == pytest.approx(stats.pearsonr(scores, scores + label).statistic)
    assert found["spearman"] == pytest.approx(stats.spearmanr(scores, scores + label).statistic)
    assert 0.5 < found["spearman"] < 0.9


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_correlations_and_cosines_do_not_see_the_scale(generator, scale):
    scores, label = with_ties(generator, ROWS), with_ties(generator, ROWS)
    found = correlation_measure(scores * scale, label * scale).values()
    assert found == pytest.approx(correlation_measure(scores, label).values())
    a, b = generator.normal(size=(2, 9, 5))
    assert cosines(a * scale, b * scale) == pytest.approx(cosines(a, b))


def test_equal_scores_have_no_correlation():
    assert all(np.isnan(each) for each in correlation_measure([1, 1], [1, 2]).values().values())


def test_cosines_are_those_of_scikit_learn(generator):
    a, b = generator.normal(size=(2, 9, 5))
    expected = metrics.pairwise.cosine_similarity(a, b).diagonal()
    assert cosines(a, b) == pytest.approx(expected)
    assert cosines([[0, 0], [3, 4], [1, 0]], [[1, 1], [0, 0], [5, 0]]).tolist() == [0, 0, 1]


def test_errors_are_those_of_scikit_learn(generator):
    predicted, label = generator.normal(size=(2, ROWS))
    assert error_measure(predicted, label).values() == pytest.approx(
        {
            "mean_squared_error": metrics.mean_squared_error(label, predicted),
            "root_mean_squared_error": metrics.root_mean_squared_error(label, predicted),
            "mean_absolute_error": metrics.mean_absolute_error(label, predicted),
        }
    )


@pytest.mark.parametrize("classes", [2, CLASSES])
def test_classes_are_measured_as_by_scikit_learn(generator, classes):
    label = generator.integers(0, classes, ROWS)
    scores = np.exp(with_ties(generator, ROWS, classes) + np.eye(classes)[label])
    scores /= scores.sum(axis=1, keepdims=True)
    said = scores.argmax(axis=1)
    macro = metrics.precision_recall_fscore_support(label, said, average="macro", zero_division=0)
    area = scores[:, 1] if classes == 2 else scores
    expected = {
        "accuracy": metrics.accuracy_score(label, said),
        "cross_entropy": metrics.log_loss(label, scores),
        "auc": metrics.roc_auc_score(label, area, multi_class="ovr"),
        **dict(zip(("macro_precision", "macro_recall", "macro_f1"), macro, strict=False)),
    }
    if classes == 2:
        binary = metrics.precision_recall_fscore_support(label, said, average="binary")
        expected |= dict(zip(("precision", "recall", "f1"), binary, strict=False))
    assert class_measure(scores, label).values() == pytest.approx(expected)
    assert 0.4 < expected["accuracy"] < 0.9


def test_what_a_model_rules_out_loses_as_much_as_a_chance_in_a_trillion():
    found = class_measure([[1.0, 0.0], [1.0, 0.0]], [1, 0]).values()["cross_entropy"]
    assert found == pytest.approx((12 * np.log(10) + 0) / 2)


def test_a_threshold_makes_classes_of_a_score(generator):
    truth = generator.random(ROWS) < 0.3
    scores = with_ties(generator, ROWS) + truth
    binary = metrics.precision_recall_fscore_support(truth, scores >= 0.6, average="binary")
    expected = {
        "accuracy": np.mean((scores >= 0.6) == truth),
        "auc": metrics.roc_auc_score(truth, scores),
        **dict(zip(("precision", "recall", "f1"), binary, strict=False)),
    }
    assert binary_measure(scores, truth, 0.6).values() == pytest.approx(expected)


@pytest.fixture
def labelled(generator):
    """Scores and truth of labels, of which the last one is never true."""
    truth = generator.random((ROWS, CLASSES)) < [0.5, 0.2, 0.05, 0.0]
    return with_ties(generator, ROWS, CLASSES).astype(np.float32) + truth, truth


@pytest.mark.parametrize("threshold", [0.6, [0.1, 0.6, 1.2, 9.0]])
def test_labels_are_measured_as_by_scikit_learn(labelled, threshold):
    scores, truth = labelled
    found = label_measure(scores, truth, threshold).values()
    for average in ("micro", "macro"):
        expected = metrics.precision_recall_fscore_support(
            truth, scores >= np.asarray(threshold), average=average, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            assert found[f"{average}_{name}"] == pytest.approx(value)


def test_no_other_threshold_has_a_better_f1(labelled):
    scores, truth = labelled
    best = best_threshold(scores, truth)
    found = metrics.f1_score(truth, scores >= best, average="micro")
    others = [metrics.f1_score(truth, scores >= t, average="micro") for t in np.unique(scores)]
    assert found == max(others)
    assert best not in scores, "it lies between two of them"


@pytest.mark.parametrize(
    ("scores", "truth", "threshold"),
    [
        ([0.9, 0.7], [True, True], 0.7),  # nothing lies below all of them
        ([0.9, 0.7, 0.5], [True, False, False], 0.8),
        ([0.5, 0.5, 0.1], [True, False, False], 0.3),  # equals are decided alike
        ([0.9, 0.7, 0.5, 0.3], [True, False, False, True], 0.8),
        ([0.5, 0.5], [False, False], float("inf")),
    ],
)
def test_a_threshold_lies_below_the_last_that_is_said(scores, truth, threshold):
    assert best_threshold(scores, truth) == pytest.approx(threshold)


def test_each_label_has_its_own_threshold(labelled):
    scores, truth = labelled
    found = label_thresholds(scores, truth)
    assert found[:3].tolist() == [best_threshold(scores[:, k], truth[:, k]) for k in range(3)]
    assert len(set(found.tolist())) == CLASSES
    assert found[3] == best_threshold(scores, truth), "no positive can choose one"


def test_a_threshold_between_neighbouring_floats_is_the_upper_one():
    low = np.float64(1.0)
    high = np.nextafter(low, 2)
    assert best_threshold([high, low], [True, False]) == high


@pytest.fixture
def asked(generator):
    """Five queries with 3, 0, 1, 4 and 2 right candidates of 30, and their similarities."""
    sizes = [3, 0, 1, 4, 2]
    query = np.repeat(np.arange(5), sizes)
    target = np.concatenate([generator.permutation(30)[:size] for size in sizes])
    return with_ties(generator, 5, 30), query, target


def best_possible(scores, query, target):
    """A full sort of each query in which equals of right candidates come before them."""
    found = np.empty(len(query), int)
    for row in np.unique(query):
        right = target[query == row]
        is_right = np.isin(np.arange(30), right)
        order = np.lexsort((is_right, -scores[row]))
        found[query == row] = [order.tolist().index(each) + 1 for each in right]
    return found


def test_right_candidates_of_one_query_have_ranks_of_their_own(asked):
    scores, query, target = asked
    found = ranks_by_score([scores[:2], scores[2:]], target, query=query, ties="pessimistic")
    expected = best_possible(scores, query, target)
    for row in np.unique(query):  # of two right ones that tie, either may come first
        assert sorted(found[query == row]) == sorted(expected[query == row])


def test_vectors_rank_as_their_scores_do(asked, generator):
    _, query, target = asked
    queries, candidates = generator.normal(size=(5, 4)), generator.normal(size=(30, 4))
    known = np.array([0, 0, 3]), np.array([1, 2, 5])
    for ties in ("mean", "pessimistic"):
        options = {"query": query, "known": known, "ties": ties}
        found = ranks(queries, candidates, target, similarity="dot", **options)
        expected = ranks_by_score([queries @ candidates.T], target, **options)
        assert found.tolist() == expected.tolist()


def test_known_pairs_do_not_count():
    scores = [[[0.9, 0.8, 0.7, 0.6]]]
    assert ranks_by_score(scores, [3]).tolist() == [4]
    assert ranks_by_score(scores, [3], known=([0, 0], [0, 2])).tolist() == [2]


def test_equals_count_half_or_all():
    scores = [[[0.5, 0.5, 0.5, 0.1]]]
    assert ranks_by_score(scores, [0]).tolist() == [2]
    assert ranks_by_score(scores, [0], ties="pessimistic").tolist() == [3]
    equal = np.ones((1, 2)), np.ones((3, 2))
    assert ranks(*equal, [0]).tolist() == [2]
    assert ranks(*equal, [0], ties="pessimistic").tolist() == [3]
    with pytest.raises(DataError, match=r"ties: must be one of .* got 'none'"):
        ranks(*equal, [0], ties="none")


def test_figures_of_several_right_candidates_are_those_of_scikit_learn(asked):
    scores, query, target = asked
    scores = scores + np.arange(30) * 1e-6  # scikit-learn treats ties otherwise
    found = ranks_by_score([scores], target, query=query)
    values = rank_measure(found, query, at=(1, 5, 10)).values()
    rows = np.unique(query)
    truth = np.stack([np.isin(np.arange(30), target[query == row]) for row in rows])
    expected = {f"ndcg@{k}": metrics.ndcg_score(truth, scores[rows], k=k) for k in (1, 5, 10)}
    expected["mean_average_precision"] = np.mean(
        [metrics.average_precision_score(*each) for each in zip(truth, scores[rows], strict=True)]
    )
    first = [found[query == row].min() for row in rows]
    expected["mean_reciprocal_rank"] = np.mean([1 / rank for rank in first])
    for k in (1, 5, 10):
        top = np.argsort(-scores[rows], axis=1)[:, :k]
        hits = np.take_along_axis(truth, top, axis=1)
        expected[f"recall@{k}"] = np.mean(hits.sum(axis=1) / truth.sum(axis=1))
        expected[f"hits@{k}"] = np.mean(hits.any(axis=1))
    expected |= {"mean_rank": np.mean(found), "median_rank": np.median(found)}
    assert values == pytest.approx(expected)
    assert values["recall@10"] < values["hits@10"] < 1.01


def test_figures_of_ranks_have_the_k_that_are_asked_for():
    def ks(**asked):
        return [name for name in rank_measure([1, 30], **asked).values() if "@" in name]

    figures = ("hits", "recall", "ndcg")
    assert ks() == [f"{figure}@{k}" for k in (1, 5, 10, 20, 50) for figure in figures]
    assert ks(at=(3,)) == [f"{figure}@3" for figure in figures]


def resampled(statistic, rows, resamples, seed):
    """The percentile bootstrap, one sample after another."""
    generator = np.random.default_rng(seed)
    return [statistic(row) for row in generator.integers(0, rows, (resamples, rows))]


def test_intervals_are_those_of_samples_drawn_one_by_one(generator):
    scores, label = with_ties(generator, ROWS), with_ties(generator, ROWS)
    label = label + scores
    found = correlation_measure(scores, label).figures(resamples=300, seed=7)
    drawn = resampled(lambda i: stats.spearmanr(scores[i], label[i]).statistic, ROWS, 300, 7)
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert (found["spearman"].low, found["spearman"].high) == pytest.approx((low, high))
    assert low < found["spearman"].value < high


def test_intervals_of_ranks_and_labels_are_too(generator, labelled):
    found = generator.integers(1, 60, ROWS)
    figure = rank_measure(found).figures(resamples=200, seed=3, level=0.9)["median_rank"]
    low, high = np.percentile(resampled(lambda i: np.median(found[i]), ROWS, 200, 3), [5, 95])
    assert (figure.low, figure.high) == (low, high)
    scores, truth = labelled
    figure = label_measure(scores, truth, 0.5).figures(resamples=200, seed=3)["micro_f1"]
    drawn = resampled(
        lambda i: metrics.f1_score(truth[i], scores[i] >= 0.5, average="micro"), ROWS, 200, 3
    )
    assert (figure.low, figure.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))


def test_the_same_seed_draws_the_same_samples(generator, monkeypatch):
    measure = error_measure(*generator.normal(size=(2, 50)))
    first = measure.figures(resamples=100, seed=1)
    assert measure.figures(resamples=100, seed=1) == first
    assert measure.figures(resamples=100, seed=2) != first
    monkeypatch.setattr("object2vec.evaluation.measure._BLOCK", 50 * 7)  # some samples at a time
    assert measure.figures(resamples=100, seed=1) == first


def test_fewer_samples_are_drawn_of_very_many_units(generator, monkeypatch):
    measure = error_measure(*generator.normal(size=(2, 50)))
    few, many = (measure.figures(resamples=count, seed=1) for count in (3, 100))
    assert few != many
    for limit, expected in (
        (150, few),
        (199, few),
        (5_000, many),
        (49, measure.figures(resamples=0)),
    ):
        monkeypatch.setattr("object2vec.evaluation.measure._DRAWS", limit)
        assert measure.figures(resamples=100, seed=1) == expected


@pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, float("nan")])
def test_a_level_is_a_share_between_nothing_and_all(level):
    with pytest.raises(DataError, match=r"level: must lie between 0 and 1"):
        rank_measure([1, 2]).figures(level=level)


def test_a_wider_interval_holds_a_narrower_one(generator):
    measure = error_measure(*generator.normal(size=(2, 50)))
    narrow, usual, wide = (
        measure.figures(resamples=500, level=level)["mean_squared_error"]
        for level in (0.5, 0.95, 0.999)
    )
    assert wide.low < usual.low < narrow.low < usual.value < narrow.high < usual.high < wide.high
    assert measure.figures(resamples=500)["mean_squared_error"] == usual


def test_a_figure_that_is_no_number_has_no_interval_whatever_the_samples_are():
    def of(counts):
        return {"odd": np.where((counts == 1).all(axis=1), np.nan, 1.0)}

    figure = Measure(9, of).figures(resamples=5)["odd"]
    assert np.isnan(figure.value)
    assert (figure.low, figure.high) == (None, None)


def test_without_samples_there_are_no_intervals(generator):
    figure = error_measure(*generator.normal(size=(2, 50))).figures(resamples=0)
    assert figure["mean_squared_error"].low is None


def test_a_figure_that_some_samples_lack_has_no_interval():
    figure = binary_measure([0.2, 0.8], [False, True], 0.5).figures(resamples=50)["auc"]
    assert (figure.value, figure.low) == (1.0, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: correlation_measure([1, 2], [1]), r"scores: must be one for each label"),
        (lambda: error_measure([1, 2], [1]), r"predictions: must be one for each label"),
        (lambda: class_measure([[1, 0]], [2]), r"label: must be classes from 0 to 1; got 2"),
        (
            lambda: class_measure([[1, 0]] * 2, [1, -1]),
            r"label: must be classes from 0 to 1; got -1",
        ),
        (lambda: class_measure([1, 0], [1, 0]), r"scores: must have a row for each of 2 labels"),
        (lambda: class_measure([[1, 0]], [1, 0]), r"scores: must have a row for each of 2 labels"),
        (lambda: label_measure([[1], [0]], [[1]], 0), r"scores: must have a row for each of 1 lab"),
        (lambda: label_measure([1], [1], 0), r"scores: must have a row for each of 1 labels"),
        (lambda: Measure(0, dict).values(), r"records: must hold at least one; got 'none'"),
        (lambda: rank_measure([1]).figures(level=1), r"level: must lie between 0 and 1; got 1"),
        (
            lambda: ranks(np.eye(2), np.eye(2), [0, 1], query=[1, 0]),
            r"query: must hold rows of queries below 2, ascending",
        ),
        (
            lambda: ranks(np.eye(2), np.eye(2), [0, 1], known=([0], [2])),
            r"known: must name candidates below 2; got .*2",
        ),
    ],
)
def test_what_cannot_be_measured_is_rejected(call, message):
    with pytest.raises(DataError, match=message):
        call()
