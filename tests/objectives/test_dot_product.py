"""Log odds without a head: the score of a pair is the dot product of what encode gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from object2vec import Object2Vec
from object2vec.config import Config
from object2vec.objectives import Encoded, objective_of

SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc0_vocab_size": 41,
    "enc_dim": 8,
    "output_layer": "dot_product",
    "negative_sampling_rate": 1,
    "random_negative_sampling_rate": 1,
    "mini_batch_size": 24,
    "learning_rate": 0.05,
    "epochs": 40,
    "threads": 1,
    "device": "cpu",
}
ROWS = np.arange(1, 41)[:, None]
PAIRS = {"in0": ROWS, "in1": (ROWS + 1) // 2, "label": np.ones(40)}  # two accounts share an address


@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
def test_true_pairs_score_above_others_and_a_saved_model_says_the_same(storage, tmp_path):
    model = Object2Vec(**SETTINGS, token_embedding_storage_type=storage).fit(PAIRS)
    scores = model.predict(in0=PAIRS["in0"], in1=PAIRS["in1"])
    wrong = model.predict(in0=PAIRS["in0"], in1=np.roll(PAIRS["in1"], 7, axis=0))
    assert scores.shape == (40, 1)
    assert np.median(scores) > 1
    assert np.median(wrong) < -1
    a, b = (model.encode(**{side: PAIRS[side]}) for side in ("in0", "in1"))
    np.testing.assert_allclose(scores[:, 0], (a * b).sum(axis=1), rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    assert (
        loaded.predict(in0=ROWS, in1=ROWS).tobytes() == model.predict(in0=ROWS, in1=ROWS).tobytes()
    )
    labelled = PAIRS | {"label": np.arange(40) % 2}
    assert loaded.evaluate(labelled).keys() == {
        "binary_classification_accuracy",
        "binary_classification_cross_entropy",
        "discriminator_auc",
    }


def test_layers_that_it_has_not_are_said_to_be_ignored():
    config = Config.build(SETTINGS | {"mlp_layers": 3, "comparator_list": "concat"})
    assert (config.mlp_layers, config.comparator_list) == (0, ("hadamard",))
    ignored = [note.text for note in config.notes if "is ignored" in note.text]
    assert [text.split()[0] for text in ignored] == ["comparator_list", "mlp_layers"]
    assert not any("ignored" in note.text for note in Config.build(SETTINGS).notes)
    assert Config.build(config.to_dict()) == config


def test_negatives_of_training_stand_for_one_each_so_that_scores_do_not_depend_on_the_rate():
    logits, label = torch.tensor([[np.log(9.0)], [0.0]]), np.array([1, 0], np.float32)

    def seen(rate, is_training):
        objective = objective_of(Config.build(SETTINGS | {"negative_sampling_rate": rate}))
        batch = Encoded(logits, logits, None, label, lambda a, b, pairing: a, None, is_training)
        return objective.losses(batch).tolist(), objective.sums(batch)

    plain, learned = ([-np.log(0.9), -np.log(0.5)], [-np.log(0.5), -np.log(0.9)])
    for rate, is_training, wanted in ((9, True, learned), (9, False, plain), (1, True, plain)):
        losses, (_, total) = seen(rate, is_training)
        assert losses == pytest.approx(wanted, abs=1e-6)
        assert total == pytest.approx(sum(wanted), abs=1e-6)


def test_a_trained_batch_is_known_as_one():
    from object2vec.pairs.batches import evaluation_batches
    from object2vec.pairs.dataset import Pairs

    model = Object2Vec(**SETTINGS | {"epochs": 1}).fit(PAIRS)
    network = model.artifact.network
    batch = next(iter(evaluation_batches(Pairs.read(PAIRS, name="x"), model.config)))
    assert not network.eval().encoded(batch).is_training
    assert network.train().encoded(batch).is_training
