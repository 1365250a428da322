"""Each record against all candidates: losses and metrics are those of the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from object2vec import Config, Object2Vec
from object2vec.errors import ConfigError
from object2vec.kernels.reference import ReferenceKernel
from object2vec.network.network import new_network
from object2vec.objects.ragged import Ragged
from object2vec.pairs.batches import Batch
from object2vec.pairs.candidates import against_all

IN0, IN1 = [[1, 2], [3], [1, 3, 3], [2]], [[1, 4], [2, 2], [], [4, 0]]
VOCAB = 6  # of in1: candidates 1 to 5
RIGHT = np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0] * 5, [0, 0, 0, 1, 0]], bool)


def config(output_layer: str = "dot_product", **given) -> Config:
    values = {"enc0_network": "pooled_embedding", "enc1_network": "pooled_embedding"}
    values |= {"enc0_vocab_size": 4, "enc1_vocab_size": VOCAB, "enc_dim": 5, "candidates": "all"}
    values |= {"enc0_max_seq_len": 4, "enc1_max_seq_len": 4, "output_layer": output_layer}
    return Config.build(values | given)


def batch(settings: Config) -> Batch:
    columns = {"in0": Ragged.build(IN0), "in1": Ragged.build(IN1), "label": np.ones(4, np.float32)}
    return Batch(*against_all(columns, settings))


def logits(network, settings: Config) -> np.ndarray:
    """s a b (and the last number of b), by its words."""
    a = network.encode(0, Ragged.build(IN0)).detach().double().numpy()
    b = network.encode(1, Ragged.build([[i] for i in range(1, VOCAB)])).detach().double().numpy()
    if settings.normalize in ("both", "in0"):
        a = a / np.linalg.norm(a, axis=1, keepdims=True)
    if settings.normalize in ("both", "in1"):
        b = b / np.linalg.norm(b, axis=1, keepdims=True)
    bias = b[:, -1] if settings.output_layer == "dot_product" else 0
    return settings.ranking_scale * a @ b.T + bias


def test_candidates_are_all_tokens_but_padding():
    made = batch(config())
    assert made.in1.padded()[:, 0].tolist() == [1, 2, 3, 4, 5]
    found = np.zeros_like(RIGHT)
    found[made.pairing.rows0, made.pairing.rows1] = True
    assert (found == RIGHT).all()
    assert len(made.pairing.rows0) == RIGHT.sum(), "twice is once"
    with_zero = batch(config(mask_padding=False))
    assert with_zero.in1.padded()[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert with_zero.pairing.rows1[-2:].tolist() == [0, 4]


@pytest.mark.parametrize("normalize", ["both", "in0", "in1", "none"])
def test_odds_lose_the_cross_entropy_of_every_candidate(normalize):
    settings = config(normalize=normalize, ranking_scale=3)
    network = new_network(settings, ReferenceKernel())
    encoded, odds = network.encoded(batch(settings)), logits(network, settings)
    lost = np.logaddexp(0, np.where(RIGHT, -odds, odds)).mean(1)
    objective = network.objective
    assert objective.losses(encoded).tolist() == pytest.approx(lost.tolist(), rel=1e-5)
    above = odds > 0
    sums = (above & RIGHT).sum(), above.sum(), RIGHT.sum(), lost.sum()
    assert objective.sums(encoded) == pytest.approx(sums, rel=1e-5)
    scores = network.score(
        *(network.encode(side, Ragged.build(rows)) for side, rows in ((0, IN0), (1, [[4]] * 4)))
    )
    assert scores[:, 0].tolist() == pytest.approx(odds[:, 3].tolist(), rel=1e-4)


def test_f1_is_that_of_all_pairs():
    objective = new_network(config(), ReferenceKernel()).objective
    f1, precision, recall, _ = objective.values([0.6, 0.9, 1.2, 0.3])
    assert (precision, recall) == pytest.approx((2 / 3, 0.5))
    assert f1 == pytest.approx(2 / (3 / 2 + 2))
    assert objective.values([0, 0, 0, 0.3]) == (0, 0, 0, 0.3)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_classes_lose_the_cross_entropy_of_a_softmax(smoothing):
    settings = config("ranking", label_smoothing=smoothing, ranking_scale=4)
    network = new_network(settings, ReferenceKernel())
    encoded = network.encoded(batch(settings))
    chances = log_softmax(logits(network, settings), axis=1)
    has_any = RIGHT.any(1)
    right = np.where(has_any, (chances * RIGHT).sum(1) / np.maximum(1, RIGHT.sum(1)), 0)
    lost = -(1 - smoothing) * right - smoothing * chances.mean(1) * has_any
    losses, hits = network.objective.sums(encoded)
    assert network.objective.losses(encoded).tolist() == pytest.approx(lost.tolist(), rel=1e-5)
    assert losses == pytest.approx(lost.sum(), rel=1e-5)
    assert hits == RIGHT[np.arange(4), chances.argmax(1)].sum()


def test_only_objectives_of_pairs_know_all_candidates():
    with pytest.raises(ConfigError, match="must be dot_product or ranking with candidates=all"):
        config("softmax")
    notes = [note.text for note in config(negative_sampling_rate=3).notes]
    assert any("negative_sampling_rate is ignored: candidates=all" in text for text in notes)


@pytest.mark.parametrize("network", ["pooled_embedding", "hcnn", "bilstm"])
@pytest.mark.parametrize("output_layer", ["dot_product", "ranking"])
@pytest.mark.parametrize("kernel", ["compiled", "reference"])
def test_a_model_learns_labels_and_is_the_same_when_loaded(network, output_layer, kernel, tmp_path):
    draw = np.random.default_rng(1)
    in0 = [draw.integers(1, 7, 3).tolist() for _ in range(80)]
    in1 = [sorted({token % 3 + 1 for token in row}) for row in in0]
    model = Object2Vec(
        enc0_network=network,
        enc1_network="pooled_embedding",
        enc0_vocab_size=7,
        enc_dim=8,
        enc1_vocab_size=4,
        enc0_max_seq_len=3,
        enc1_max_seq_len=3,
        enc0_layers=1,
        epochs=25,
        enc0_token_embedding_dim=8,
        output_layer=output_layer,
        candidates="all",
        kernel=kernel,
        ranking_scale=5,
        learning_rate=0.03,
        mini_batch_size=16,
        token_dropout=0.01,
        threads=1,
    )
    model.fit({"in0": in0, "in1": in1})
    every = [[i] for i in (1, 2, 3)]
    scores = np.stack([model.predict(in0=[row] * 3, in1=every)[:, 0] for row in in0])
    right = np.array([[i in row for i in (1, 2, 3)] for row in in1])
    worst, best = (
        np.where(right, scores, math.inf).min(1),
        np.where(right, -math.inf, scores).max(1),
    )
    assert (worst > best).mean() > 0.9
    found = model.evaluate({"in0": in0, "in1": in1})
    assert found.get("micro_f1", found.get("candidate_accuracy")) > 0.9
    model.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    assert np.array_equal(
        loaded.predict(in0=in0[:3], in1=every), model.predict(in0=in0[:3], in1=every)
    )
    assert all(torch.isfinite(each).all() for each in loaded.artifact.network.state_dict().values())
