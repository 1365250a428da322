"""The ranking objective beside its formula in float64, whatever the blocks and the threads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from object2vec import Config, ConfigError, DataError, Object2Vec
from object2vec.objectives import Encoded, RankedChannel, Rivals, in_batch, objective_of
from object2vec.objectives.in_batch import in_batch_losses
from object2vec.objectives.ranks import ranking_metrics, ranks_of_right
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.positives import Positives
from object2vec.reporting import events
from object2vec.training.measuring import AskedChannel

B, Q, D = 13, 17, 5


def drawn(rows, seed):
    return torch.randn(rows, D, generator=torch.Generator().manual_seed(seed))


def oracle(a, b, scale, excluded, log_q, directions, smoothing):
    """The loss of each record from whole matrices of similarities."""
    n, width = len(a), len(b)
    similar = scale * a @ b.T
    allowed = torch.ones(n, width, dtype=torch.bool)
    for i, j in zip(*excluded, strict=True):
        allowed[i, j] = False
    losses = []
    for i in range(n):
        parts = []
        if directions[0]:
            own = torch.arange(width) == i
            row = torch.where(own, similar[i], similar[i] - log_q)[allowed[i]]
            logs = row.log_softmax(0)
            target = similar[i, i] - row.logsumexp(0)
            parts.append(-(1 - smoothing) * target - smoothing * logs.mean())
        if directions[1]:
            column = similar[:, i][allowed[:, i]]
            target = similar[i, i] - column.logsumexp(0)
            parts.append(-(1 - smoothing) * target - smoothing * column.log_softmax(0).mean())
        losses.append(sum(parts) / len(parts))
    return torch.stack(losses)


@pytest.mark.parametrize("directions", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("corrects", [False, True])
@pytest.mark.parametrize("size", [1 << 20, 3 * Q, 1])
def test_losses_and_gradients_are_those_of_the_formula(
    directions, smoothing, corrects, size, monkeypatch
):
    monkeypatch.setattr(in_batch, "_BLOCK", size)
    excluded = (np.array([0, 0, 4, 12]), np.array([3, 16, 1, 0]))
    log_q = np.linspace(-3, 0, Q).astype(np.float32) if corrects else None
    weights = torch.linspace(0.5, 2, B)
    leaves = [drawn(B, 1), drawn(Q, 2), torch.full((1,), 1.5)]
    ours = [leaf.clone().requires_grad_() for leaf in leaves]
    rivals = Rivals(excluded, log_q, ours[2], functional.linear)
    losses, hits = in_batch_losses(*ours[:2], rivals, directions=directions, smoothing=smoothing)
    (losses * weights).sum().backward()
    theirs = [leaf.double().requires_grad_() for leaf in leaves]
    right = oracle(
        *theirs,
        excluded,
        torch.from_numpy(log_q) if corrects else torch.zeros(Q),
        directions,
        smoothing,
    )
    (right * weights).sum().backward()
    np.testing.assert_allclose(losses.detach(), right.detach(), rtol=1e-5, atol=1e-5)
    for mine, its in zip(ours, theirs, strict=True):
        assert mine.grad.abs().max() > 0.1
        np.testing.assert_allclose(mine.grad, its.grad, rtol=1e-4, atol=1e-5)
    similar = leaves[0] @ leaves[1].T
    similar[excluded] = -torch.inf
    assert hits.tolist() == (similar.argmax(1) == torch.arange(B)).tolist()


@pytest.mark.parametrize(
    ("direction", "directions"),
    [("both", (True, True)), ("in0", (True, False)), ("in1", (False, True))],
)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_who_looks_for_whom_is_what_the_configuration_says(direction, directions, smoothing):
    given = {"ranking_direction": direction, "label_smoothing": smoothing}
    objective = objective_of(Config.build(settings(**given)))
    rivals = Rivals(None, None, torch.full((1,), 1.5), functional.linear)
    a, b = drawn(B, 1), drawn(Q, 2)
    batch = Encoded(a, b, None, np.ones(B, np.float32), None, rivals=rivals)
    losses, hits = in_batch_losses(a, b, rivals, directions=directions, smoothing=smoothing)
    assert objective.sums(batch) == (pytest.approx(float(losses.sum())), float(hits.sum()))
    assert torch.equal(objective.losses(batch), losses)
    assert objective.sums(batch) == (pytest.approx(float(losses.sum())), float(hits.sum()))


def test_memory_does_not_grow_with_the_square_of_the_batch(monkeypatch):
    """No product is larger than a block, forward or back."""
    monkeypatch.setattr(in_batch, "_BLOCK", 4 * B)
    sizes = []

    def product(x, weight):
        sizes.append((len(x), len(weight)))
        return functional.linear(x, weight)

    a, b = (drawn(B, seed).requires_grad_() for seed in (1, 2))
    rivals = Rivals(None, None, torch.ones(1), product)
    losses, _ = in_batch_losses(a, b, rivals, directions=(True, True), smoothing=0.0)
    losses.sum().backward()
    similarities = [x * y for x, y in sizes if (x, y) != (D, B)]
    assert len(sizes) == 4 * -(-B // 4)
    assert max(similarities) == 4 * B


@pytest.mark.parametrize("kernel", ["compiled", "reference"])
def test_a_step_is_the_same_to_the_bit_for_any_number_of_threads(kernel):
    generator = np.random.default_rng(0)
    rows = [generator.integers(1, 2000, 30).tolist() for _ in range(600)]
    pairs = {"in0": [row[:9] for row in rows], "in1": [row[9:] for row in rows]}
    encoded = [
        Object2Vec(
            **settings(
                threads=threads,
                kernel=kernel,
                enc0_vocab_size=2000,
                enc_dim=64,
                enc0_max_seq_len=30,
                mini_batch_size=600,
                epochs=2,
            )
        )
        .fit(pairs)
        .encode(in1=pairs["in1"])
        for threads in (1, 2, 3)
    ]
    assert encoded[0].tobytes() == encoded[1].tobytes() == encoded[2].tobytes()


def settings(**given):
    return {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 4,
        "enc0_vocab_size": 40,
        "enc_dim": 8,
        "output_layer": "ranking",
        "learning_rate": 0.05,
        "mini_batch_size": 10,
        "epochs": 3,
        "early_stopping_tolerance": 1e-6,
        "device": "cpu",
        "threads": 1,
    } | given


@pytest.mark.parametrize("normalize", ["both", "in0", "in1", "none"])
def test_predict_gives_the_similarity_of_what_encode_gives(normalize):
    """And it is said which one that is."""
    pairs = {"in0": [[i] for i in range(1, 20)], "in1": [[i + 20] for i in range(1, 20)]}
    model = Object2Vec(**settings(normalize=normalize)).fit(pairs)
    sides = [model.encode(**{side: pairs[side]}) for side in ("in0", "in1")]
    for side, name in enumerate(("in0", "in1")):
        if normalize in ("both", name):
            sides[side] /= np.linalg.norm(sides[side], axis=1, keepdims=True)
    scores = model.predict(in0=pairs["in0"], in1=pairs["in1"])
    np.testing.assert_allclose(scores[:, 0], (sides[0] * sides[1]).sum(1), rtol=1e-5)
    product = "one number, the dot product of its embeddings"
    said = {"both": "one number, the cosine of its embeddings", "none": product}
    lengthened = f"{product}, that of {normalize} at length 1"
    assert model.artifact.network.objective.output == said.get(normalize, lengthened)


def test_the_scale_is_learned_and_saved(tmp_path):
    pairs = {"in0": [[i] for i in range(1, 20)], "in1": [[i + 20] for i in range(1, 20)]}
    model = Object2Vec(**settings(ranking_scale=5, epochs=60)).fit(pairs)
    scale = model.artifact.network.head.scale()
    assert scale > 5.1
    model.save(tmp_path / "model")
    assert Object2Vec.load(tmp_path / "model").artifact.network.head.scale() == scale


def test_a_scale_that_is_not_learned_stays_what_it_is():
    pairs = {"in0": [[i] for i in range(1, 20)], "in1": [[i + 20] for i in range(1, 20)]}
    given = settings(ranking_scale=5, epochs=9, learn_ranking_scale=False, weight_decay=0.1)
    model = Object2Vec(**given).fit(pairs)
    assert model.artifact.network.head.scale() == 5


def test_the_best_epoch_is_the_one_that_retrieves_best():
    pairs = {"in0": [[i] for i in range(1, 20)], "in1": [[i + 20] for i in range(1, 20)]}
    model = Object2Vec(**settings(epochs=8)).fit(pairs, validation=pairs)
    epochs = [event for event in model.facts.history if event["event"] == "epoch"]
    watched = [epoch["validation"]["ndcg@10"] for epoch in epochs]
    best = max(watched)
    assert [e["verdict"]["is_best"] for e in epochs].count(True) >= 1
    assert model.evaluate(pairs)["hits@1"] <= 1
    assert model.facts.metrics["validation"]["ndcg@10"] == best


def test_a_negative_is_rejected():
    pairs = {"in0": [[1], [2]], "in1": [[3], [4]], "label": [1, 0]}
    with pytest.raises(DataError, match="label must be 1 for output_layer=ranking; got 0"):
        Object2Vec(**settings()).fit(pairs)


def test_a_scale_is_at_most_100():
    with pytest.raises(ConfigError, match="ranking_scale"):
        Object2Vec(**settings(ranking_scale=101)).fit({"in0": [[1]], "in1": [[1]]})


def test_ranks_are_pessimistic_and_do_not_see_what_is_known():
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    candidates = torch.tensor([[1.0, 0.0], [1.0, 0.5], [0.5, 1.0], [1.0, 2.0]])
    right = np.array([0, 1, 3]), np.array([1, 2, 0])
    channel = RankedChannel(queries, candidates, right, None, functional.linear)
    assert ranks_of_right(channel).tolist() == [3, 2, 4]
    known = np.array([0, 2, 3]), np.array([0, 3, 3])
    channel = RankedChannel(queries, candidates, right, known, functional.linear)
    assert ranks_of_right(channel).tolist() == [1, 1, 3]


def test_ranks_of_many_in_blocks_are_those_of_all_at_once(monkeypatch):
    offsets = np.concatenate([[0], np.cumsum(np.arange(B) % 3 + 1)])
    entries = np.concatenate([np.arange(n) * 5 % Q for n in np.diff(offsets)])
    channel = RankedChannel(drawn(B, 1), drawn(Q, 2), (offsets, entries), None, functional.linear)
    whole = ranks_of_right(channel)
    scores = (channel.queries @ channel.candidates.T).numpy()
    owners = np.repeat(np.arange(B), np.diff(offsets))
    assert whole.tolist() == (scores[owners] >= scores[owners, entries][:, None]).sum(1).tolist()
    monkeypatch.setattr("object2vec.objectives.ranks._BLOCK", 2 * Q)
    assert ranks_of_right(channel).tolist() == whole.tolist()


def test_metrics_of_lists():
    offsets, ranks = np.array([0, 2, 3]), np.array([1, 30, 2])
    values = ranking_metrics(offsets, ranks)
    assert values["hits@1"] == 0.5
    assert values["recall@20"] == 0.75
    assert values["mean_reciprocal_rank"] == 0.75
    ideal = 1 + 1 / np.log2(3)
    assert values["ndcg@10"] == pytest.approx((1 / ideal + 1 / np.log2(3)) / 2)


@pytest.mark.parametrize(
    ("ranks", "recall", "gain"),
    [
        ([20], 1, 0),
        ([21], 0, 0),
        ([10], 1, 1 / np.log2(11)),
        ([11], 1, 0),
        ([1, 2, 20, 21], 0.75, 0),
    ],
)
def test_metrics_look_down_to_a_rank_and_no_further(ranks, recall, gain):
    values = ranking_metrics(np.array([0, len(ranks)]), np.array(ranks))
    assert values["recall@20"] == recall
    if len(ranks) == 1:
        assert values["ndcg@10"] == pytest.approx(gain)
        assert values["mean_reciprocal_rank"] == pytest.approx(1 / ranks[0])


def test_more_right_ones_than_are_looked_at_can_be_found_perfectly():
    for count in (9, 10, 11, 30):
        values = ranking_metrics(np.array([0, count]), np.arange(1, count + 1))
        assert values["ndcg@10"] == pytest.approx(1.0)
        assert values["recall@20"] == min(1, 20 / count)
    assert ranking_metrics(np.array([0, 11]), np.arange(2, 13))["ndcg@10"] < 1


class Notes:
    """Keeps what a run notes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, event):
        if isinstance(event, events.Noted):
            self.texts.append(event.text)

    def close(self):
        pass


def test_the_log_says_what_validation_looks_for(monkeypatch):
    """More than a limit are sampled; what is right and what training knows is not lost."""
    monkeypatch.setattr("object2vec.training.measuring.MAX_QUERIES", 12)
    monkeypatch.setattr("object2vec.training.measuring.MAX_CANDIDATES", 15)
    train = {"in0": [[i] for i in range(1, 20)], "in1": [[i + 19] for i in range(1, 20)]}
    validation = {"in0": train["in0"][:14], "in1": [[i + 20] for i in range(1, 15)]}
    notes = Notes()
    Object2Vec(**settings()).fit(train, validation=validation, reporters=[notes])
    (note,) = [text for text in notes.texts if "look for" in text]
    assert note == (
        "validation: 12 of 14 objects of in0 look for their partners among 15 of 19 of in1."
    )


@pytest.mark.parametrize("most", [50_000, 6])
def test_validation_ranks_among_all_objects_without_those_that_training_knows(most, monkeypatch):
    monkeypatch.setattr("object2vec.training.measuring.MAX_CANDIDATES", most)
    config = Config.build(settings())
    train = Pairs.build(in0=[[1], [1], [2], [3]], in1=[[11], [12], [13], [14]], label=np.ones(4))
    asked = Pairs.build(in0=[[1], [1], [9]], in1=[[13], [15], [11]], label=np.ones(3))
    search = AskedChannel.find(asked, config, Positives.find(train, config))
    candidates = [row[0] for row in search.candidates.padded().tolist()]
    assert sorted(candidates) == [11, 12, 13, 14, 15]
    for i, (user,) in enumerate(search.queries.padded().tolist()):
        right, known = (
            {candidates[j] for j in entries[offsets[i] : offsets[i + 1]]}
            for offsets, entries in (search.right, search.known)
        )
        assert right == ({13, 15} if user == 1 else {11})
        assert known == ({11, 12} if user == 1 else set())
