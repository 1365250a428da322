"""Cosines in the order of the labels, whatever numbers those are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from object2vec import Object2Vec
from object2vec.config import Config
from object2vec.objectives import Encoded, objective_of

SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 3,
    "enc0_vocab_size": 9,
    "enc_dim": 8,
    "output_layer": "cosine",
    "mini_batch_size": 16,
    "learning_rate": 0.05,
    "epochs": 30,
    "threads": 1,
    "device": "cpu",
}
ROWS = np.arange(1, 9)
PAIRS = {
    "in0": [[a] for a in ROWS for b in ROWS],
    "in1": [[b] for a in ROWS for b in ROWS],
    "label": [10.0 - abs(a - b) for a in ROWS for b in ROWS],
}


def batch_of(cosines, label, weight=None) -> Encoded:
    logits = torch.tensor(cosines, dtype=torch.float32)[:, None].requires_grad_()
    made = Encoded(logits, logits, None, np.array(label, np.float32), lambda a, b, p: a, weight)
    return made


numbers = st.lists(
    st.tuples(st.floats(-1, 1, width=32), st.integers(-2, 3)), min_size=1, max_size=9
)


@given(numbers, st.sampled_from([1.0, 20.0]))
def test_a_record_is_set_against_all_with_a_lower_label(pairs, scale):
    objective = objective_of(Config.build(SETTINGS | {"ranking_scale": scale}))
    cosines, label = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    batch = batch_of(cosines, label)
    losses = objective.losses(batch)
    plain = batch_of(cosines, label)
    c = plain.logits[:, 0].double()
    expected = torch.stack(
        [
            torch.log1p(
                sum(
                    (
                        torch.exp(scale * (c[j] - c[i]))
                        for j in range(len(c))
                        if label[j] < label[i]
                    ),
                    0 * c.sum(),
                )
            )
            for i in range(len(c))
        ]
    )
    torch.testing.assert_close(losses.double(), expected, rtol=1e-4, atol=1e-5)
    losses.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(batch.a.grad, plain.a.grad, rtol=1e-3, atol=1e-3)
    assert objective.sums(batch) == (
        pytest.approx(float(expected.detach().sum()), rel=1e-4, abs=1e-4),
    )


def test_correlations_are_those_of_the_formulas():
    objective = objective_of(Config.build(SETTINGS))
    scores = np.array([[0.1], [0.4], [0.4], [0.9]], np.float32)
    pearson, spearman = objective.overall_values(scores, np.array([1, 2, 3, 3], np.float32))
    assert pearson == pytest.approx(np.corrcoef([0.1, 0.4, 0.4, 0.9], [1, 2, 3, 3])[0, 1], abs=1e-6)
    assert spearman == pytest.approx(np.corrcoef([1, 2.5, 2.5, 4], [1, 2, 3.5, 3.5])[0, 1])
    same = objective.overall_values(scores, np.ones(4, np.float32))
    assert all(map(math.isnan, same))


@pytest.mark.parametrize("network", ["pooled_embedding", "hcnn", "bilstm"])
def test_it_learns_the_order_and_a_saved_model_says_the_same(network, tmp_path):
    given = {"enc0_network": network, "enc0_layers": 1, "enc0_token_embedding_dim": 8}
    model = Object2Vec(**SETTINGS | given).fit(PAIRS, validation=PAIRS)
    found = model.evaluate(PAIRS)
    assert found.keys() == {"cosine_loss", "pearson", "spearman"}
    assert found["spearman"] > 0.9
    cosines = model.predict(in0=PAIRS["in0"], in1=PAIRS["in1"])
    assert np.abs(cosines).max() <= 1 + 1e-5
    a, b = (model.encode(**{side: PAIRS[side]}) for side in ("in0", "in1"))
    expected = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(cosines[:, 0], expected, rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    assert np.array_equal(loaded.predict(in0=PAIRS["in0"], in1=PAIRS["in1"]), cosines)
    best = [e for e in model.facts.history if e["event"] == "epoch" and e["verdict"]["is_best"]]
    assert best[-1]["verdict"]["metric"] == "spearman"


def test_without_validation_the_loss_is_watched():
    model = Object2Vec(**SETTINGS | {"epochs": 2}).fit(PAIRS)
    last = [event for event in model.facts.history if event["event"] == "epoch"][-1]
    assert last["verdict"]["metric"] == "cosine_loss"


def test_an_object_without_tokens_has_no_direction_and_harms_nobody():
    rows = {"in0": [[1], [], [2]], "in1": [[1], [2], []], "label": [3, 1, 2]}
    model = Object2Vec(**SETTINGS | {"epochs": 2}).fit(rows)
    scores = model.predict(in0=rows["in0"], in1=rows["in1"])
    assert scores[1:].tolist() == [[0], [0]]
    assert np.isfinite(scores).all()


TEXTS = {
    "a": ["one two", "two three", "three four", "four one"] * 6,
    "b": ["two one", "three one", "four two", "one one"] * 6,
}
FAST = {"threads": 1, "device": "cpu", "epochs": 1, "enc_dim": 8, "mini_batch_size": 8}


def test_graded_pairs_go_on_from_pairs_without_a_label():
    sides = {"in0": "a:text(min_count=1)", "in1": "b:text(min_count=1)", "share": ["a", "b"]}
    start = Object2Vec(**sides, **FAST, output_layer="ranking").fit(TEXTS)
    graded = TEXTS | {"score": [4, 2, 1, 0] * 6}
    still = {"optimizer": "sgd", "learning_rate": 1e-6}
    model = Object2Vec(**sides, label="score", output_layer="cosine", **still)
    model.fit(graded, start_from=start)
    assert model.config.output_layer == "cosine"
    assert model.config.enc_dim == 8
    texts = {"in0": TEXTS["a"][:4]}
    np.testing.assert_allclose(model.encode(**texts), start.encode(**texts), atol=1e-3)
    assert "spearman" in model.evaluate(graded)
    decided = Object2Vec(**sides, label="score", **still).fit(graded, start_from=start)
    assert decided.config.output_layer == "mean_squared_error"
