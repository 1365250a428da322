from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from object2vec.errors import DataError
from object2vec.evaluation import (
    nearest,
    ranks,
    ranks_by_score,
    retrieval,
    retrieval_metrics,
)

SIMILARITIES = ("cosine", "dot", "euclidean")


def similarities(queries, candidates, similarity):
    """Every similarity as scipy computes it, (n, N)."""
    queries, candidates = (np.asarray(x, np.float64) for x in (queries, candidates))
    if similarity == "dot":
        return queries @ candidates.T
    return {"cosine": 1.0, "euclidean": 0.0}[similarity] - cdist(queries, candidates, similarity)


def oracle(scores, target):
    """Mean rank among equals, rounded up, by scipy's rankdata."""
    mean_ranks = np.stack([rankdata(-row, method="average") for row in np.round(scores, 9)])
    return np.ceil(mean_ranks[np.arange(len(target)), target]).astype(int)


@pytest.fixture(params=[(3, 4), (64, 128)], ids=["small blocks", "one block"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(retrieval, "_QUERY_BLOCK", request.param[0])
    monkeypatch.setattr(retrieval, "_CANDIDATE_BLOCK", request.param[1])


@pytest.fixture
def vectors():
    """Queries (20, 6), candidates (30, 6) of which the last ten repeat the first, targets (20,)."""
    generator = np.random.default_rng(3)
    queries, candidates = (generator.normal(size=(n, 6)).astype(np.float32) for n in (20, 20))
    candidates = np.concatenate([candidates, candidates[:10]])
    return queries, candidates, generator.integers(0, 30, 20)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_ranks_are_those_of_a_full_sort(vectors, similarity):
    queries, candidates, target = vectors
    found = ranks(queries, candidates, target, similarity=similarity)
    assert found.dtype == np.int64
    expected = oracle(similarities(queries, candidates, similarity), target)
    assert found.tolist() == expected.tolist()
    assert len(set(expected)) > 5


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_query_with_its_own_candidate_ranks_it_among_all(vectors, similarity):
    queries, candidates, target = vectors
    own = candidates[target] + np.float32(0.1)
    own[0] = candidates[3]  # one that stands there already, twice
    expected = [
        oracle(similarities(query[None], np.vstack([mine, candidates]), similarity), [0])[0]
        for query, mine in zip(queries, own, strict=True)
    ]
    assert ranks(queries, candidates, own=own, similarity=similarity).tolist() == expected


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("parts", [[20], [7, 13], [1] * 20])
@pytest.mark.parametrize("several", [False, True])
def test_scores_rank_however_many_queries_they_are_of_at_once(parts, several):
    generator = np.random.default_rng(3)
    scores = generator.integers(0, 9, (20, 12)).astype(float)
    blocks = np.split(scores, np.cumsum(parts)[:-1])
    target = generator.integers(0, 12, 20)
    if not several:
        assert ranks_by_score(blocks, target).tolist() == oracle(scores, target).tolist()
        return
    query = np.sort(generator.integers(0, 20, 20))  # some have none, some have several
    found = ranks_by_score(blocks, target, query=query, ties="pessimistic")
    whole = ranks_by_score(iter([scores]), target, query=query, ties="pessimistic")
    assert found.tolist() == whole.tolist()
    for row in np.unique(query):
        right = np.unique(target[query == row])
        if len(right) == np.count_nonzero(query == row):
            wrong = np.delete(scores[row], right)
            ahead = [np.count_nonzero(wrong >= scores[row, each]) for each in target[query == row]]
            order = np.argsort(np.argsort(ahead, kind="stable"))
            assert found[query == row].tolist() == (1 + np.array(ahead) + order).tolist()


@pytest.mark.parametrize(
    ("candidates", "rank"),
    [
        ([[1, 0], [0, 1]], 1),
        ([[1, 0], [1, 0]], 2),
        ([[1, 0], [1, 0], [1, 0]], 2),
        ([[1, 0], [2, 0], [3, 0], [0, 1]], 2),
        ([[1, 1], [1, 0], [1, 1]], 3),
        ([[0, 1], [1, 0], [0, 0]], 3),
        ([[0, 0], [0, 0], [0, 0], [0, 0]], 3),
    ],
)
def test_equals_share_their_mean_rank_rounded_up(candidates, rank):
    assert ranks([[1.0, 0.0]], candidates, [0]).tolist() == [rank]


def test_a_constant_model_ranks_in_the_middle_not_first():
    constant = np.ones((101, 4), np.float32)
    assert set(ranks(constant[:5], constant, np.arange(5)).tolist()) == {51}


@given(
    st.integers(1, 300), st.integers(2, 40), st.integers(0, 2**32), st.sampled_from(SIMILARITIES)
)
def test_copies_of_the_target_are_equals_whatever_the_rounding(width, copies, seed, similarity):
    generator = np.random.default_rng(seed)
    scale = np.float32(10.0 ** generator.integers(-3, 4))
    target = scale * generator.normal(size=(1, width)).astype(np.float32)
    query = target + scale * generator.normal(size=(1, width)).astype(np.float32)
    found = ranks(query, np.repeat(target, copies, axis=0), [copies // 2], similarity=similarity)
    assert found.tolist() == [1 + copies // 2]


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_candidates_that_float32_tells_apart_are_no_equals(similarity):
    near = np.array([[1.0, 1.0], [1.0, 1.0 + 2**-20], [1.0, 1.0 + 2**-19]], np.float32)
    query = np.array([[1.0, 2.0]])
    assert [ranks(query, near, [i], similarity=similarity)[0] for i in range(3)] == [3, 2, 1]


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("k", [1, 4, 20])
def test_nearest_are_those_of_a_full_sort(vectors, similarity, k):
    queries, candidates = vectors[0], vectors[1][:20]
    indices, scores = nearest(queries, candidates, k, similarity=similarity)
    expected = similarities(queries, candidates, similarity)
    assert indices.tolist() == np.argsort(-expected, axis=1)[:, :k].tolist()
    np.testing.assert_allclose(scores, np.take_along_axis(expected, indices, axis=1), atol=1e-7)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("k", [1, 3, 17, 40])
def test_equally_near_candidates_come_by_their_index(k, similarity):
    candidates = np.full((40, 2), 2.0)
    candidates[[4, 22]], candidates[[7, 31]] = [3.0, 3.0], [0.0, 1.0]
    indices, scores = nearest([[3.0, 3.0]] * 5, candidates, k, similarity=similarity)
    expected = np.round(similarities([[3.0, 3.0]], candidates, similarity)[0], 9)
    order = np.lexsort((np.arange(40), -expected))[:k]
    if similarity != "cosine":  # which may see two lengths of one direction as different
        assert indices.tolist() == [order.tolist()] * 5
    np.testing.assert_allclose(scores, [expected[order]] * 5, atol=1e-9)


@pytest.mark.parametrize("k", range(1, 8))
def test_the_top_of_few_different_scores_is_that_of_a_stable_sort(k):
    scores = np.random.default_rng(k).integers(0, 4, (300, 7)).astype(float)
    indices = np.broadcast_to(np.arange(7), scores.shape)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best, found = retrieval._top(scores, indices, k)
    assert found.tolist() == expected.tolist()
    assert best.tolist() == np.take_along_axis(scores, expected, axis=1).tolist()


@pytest.mark.usefixtures("blocks")
def test_a_vector_is_at_no_distance_from_itself():
    vectors = np.random.default_rng(5).normal(size=(60, 99)).astype(np.float32)
    indices, scores = nearest(vectors, vectors, 1, similarity="euclidean")
    assert indices[:, 0].tolist() == list(range(60))
    np.testing.assert_allclose(scores, 0, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_cosine_does_not_see_lengths(vectors, scale):
    queries, candidates, target = vectors
    _, scores = nearest(queries * scale, candidates * scale, 4)
    np.testing.assert_allclose(scores, nearest(queries, candidates, 4)[1], atol=1e-6)
    assert (ranks(queries * scale, candidates, target) == ranks(queries, candidates, target)).all()


def test_nearest_gives_all_if_there_are_fewer():
    indices, scores = nearest(np.eye(2), np.eye(2), 5)
    assert indices.tolist() == [[0, 1], [1, 0]]
    assert scores.tolist() == [[1, 0], [1, 0]]


def test_integers_and_empty_queries_are_welcome():
    assert ranks(np.eye(2, dtype=int), np.eye(2, dtype=np.int8), [0, 1]).tolist() == [1, 1]
    assert ranks(np.zeros((0, 2)), np.eye(2), np.zeros(0, int)).shape == (0,)
    assert nearest(np.zeros((0, 2)), np.eye(2), 1)[0].shape == (0, 1)


def test_metrics_are_what_their_names_say():
    metrics = retrieval_metrics(np.arange(1, 101), at=(1, 10, 1000))
    assert metrics == {
        "hits@1": 0.01,
        "hits@10": 0.1,
        "hits@1000": 1.0,
        "mean_reciprocal_rank": pytest.approx(sum(1 / r for r in range(1, 101)) / 100),
        "mean_rank": 50.5,
        "median_rank": 50.5,
        "rank_percentile_50": 50.5,
        "rank_percentile_80": pytest.approx(80.2),
        "rank_percentile_90": pytest.approx(90.1),
        "rank_percentile_99": pytest.approx(99.01),
    }
    assert [key for key in retrieval_metrics([3]) if "@" in key] == [
        f"hits@{k}" for k in (1, 5, 10, 20, 50)
    ]


NAN = np.array([[1.0, 2.0], [3.0, np.nan]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ranks(np.eye(2), np.eye(2)), r"ranks: must be given target or own; got 'neither'"),
        (
            lambda: ranks(np.eye(2), np.eye(2), [0, 1], own=np.eye(2)),
            r"ranks: must be given target or own; got 'both'\. Give one of them\.",
        ),
        (
            lambda: ranks(np.eye(2), np.eye(2), [0, 2]),
            r"target: must hold rows of candidates, integers in \[0, 2\); got array\(\[0, 2\]\)",
        ),
        (lambda: ranks(np.eye(2), np.eye(2), [-1, 0]), r"target: .* in \[0, 2\)"),
        (lambda: ranks(np.eye(2), np.eye(2), [0.0, 1.0]), r"target: .* in \[0, 2\)"),
        (
            lambda: ranks(np.eye(2), np.eye(2), [0]),
            r"target: must hold one row for each of 2 queries; got 1\. Match them row by row\.",
        ),
        (lambda: ranks(np.eye(2), np.eye(2), own=np.eye(2)[:1]), r"own: must hold one row"),
        (lambda: ranks(np.eye(2), np.eye(2), own=np.eye(3)[:2]), r"own: must have the width"),
        (
            lambda: ranks(np.eye(2), np.eye(3), [0, 1]),
            r"candidates: must have the width of queries, 2; got 3\. Encode both",
        ),
        (
            lambda: ranks([1.0, 2.0], np.eye(2), [0, 1]),
            r"queries: must be a number array \(rows, D\); got 'float64 of shape \(2,\)'",
        ),
        (lambda: nearest(np.eye(2), [["a", "b"]], 1), r"candidates: must be a number array"),
        (lambda: nearest(np.eye(2), np.eye(3), 1), r"candidates: must have the width of queries"),
        (lambda: nearest(["a"], np.eye(2), 1), r"queries: must be a number array"),
        (
            lambda: nearest(np.eye(2), np.zeros((0, 2)), 1),
            r"candidates: must hold a row; got \(0, 2\)\. Add candidates\.",
        ),
        (lambda: nearest(np.eye(2), np.eye(2), 0), r"k: must be at least 1; got 0\. Ask for one"),
        (
            lambda: nearest(np.eye(2), np.eye(2), 1, similarity="manhattan"),
            r"similarity: must be one of \('cosine', 'dot', 'euclidean'\); got 'manhattan'",
        ),
        (
            lambda: ranks(NAN, np.eye(2), [0, 1]),
            r"queries: must be finite; got 'inf or nan'\. Leave",
        ),
        (lambda: ranks(np.eye(2)[:1], NAN, [0]), r"candidates: must be finite"),
        (lambda: ranks(np.eye(2), np.eye(2), own=NAN), r"candidates: must be finite"),
        (lambda: retrieval_metrics([]), r"ranks: must hold at least one rank; got 'none'\. Add"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_known_candidate_counts_as_if_it_were_not_there(blocks, vectors, similarity):
    queries, candidates, target = vectors
    generator, n = np.random.default_rng(4), len(candidates)
    is_known = generator.random((len(queries), n)) < 0.3
    is_known[:, [0, n - 1]] = True  # the first and the last one, too
    is_known[np.arange(len(target)), target] = False
    scores = similarities(queries, candidates, similarity)
    scores[is_known] = -np.inf
    found = ranks(queries, candidates, target, known=np.nonzero(is_known), similarity=similarity)
    assert found.tolist() == oracle(scores, target).tolist()
    assert (found < ranks(queries, candidates, target, similarity=similarity)).any()
    for column in (-1, n):
        with pytest.raises(DataError, match=f"known: must name candidates below {n}"):
            ranks(queries, candidates, target, known=([0, 1], [3, column]))
