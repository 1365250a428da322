"""Predictions begin at what the training data say on average."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from object2vec import Config, Object2Vec
from object2vec.network.network import new_network
from object2vec.objects.ragged import Ragged
from object2vec.pairs.dataset import Pairs
from object2vec.training.centering import center
from object2vec.training.weights import learn_weights
from support.kernels import KERNELS

V1 = 6  # ids of in1, of which 5 is in no record
DATA = {
    "in0": [[1, 2], [3], [2, 2], [4], [1], []],
    "in1": [[1, 2], [2, 2], [3, 0], [2], [], [4, 1, 2]],
    "label": [1.0] * 6,
}
ODDS = {  # of id: how many records of six have it
    token: math.log((count + 0.5) / (6 - count + 0.5))
    for token, count in {0: 1, 1: 2, 2: 4, 3: 1, 4: 1, 5: 0}.items()
}
LABELS = {
    "enc0_network": "pooled_embedding",
    "enc1_network": "pooled_embedding",
    "enc0_vocab_size": 5,
    "enc1_vocab_size": V1,
    "enc0_max_seq_len": 3,
    "enc1_max_seq_len": 3,
    "enc_dim": 5,
    "output_layer": "dot_product",
    "candidates": "all",
    "normalize": "none",
    "output_bias": "mean",
    "mini_batch_size": 2,
    "threads": 1,
    "device": "cpu",
    "seed": 2,
}
EVERY = [[token] for token in range(1, V1)]


def biases(made) -> list[float]:
    """The log odds of each token of in1 for an in0 that says nothing."""
    nothing = made.encode(0, Ragged.build([[]] * len(EVERY)))
    return made.score(nothing, made.encode(1, Ragged.build(EVERY)))[:, 0].tolist()


@pytest.mark.parametrize("kernel", ["compiled", "reference"])
@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
@pytest.mark.parametrize(
    "given", [{}, {"enc1_idf_exponent": 1.5}, {"enc1_pool_exponent": 0.3}, {"normalize": "in0"}]
)
def test_log_odds_begin_at_those_of_training(kernel, storage, given):
    config = Config.build(LABELS | {"token_embedding_storage_type": storage} | given)
    made = new_network(config, KERNELS[kernel]())
    pairs = Pairs.read(DATA, name="train")
    learn_weights(made, pairs, None)
    before = [table.read(slice(len(table.weight))).clone() for table in made.tables()]
    center(made, pairs)
    assert biases(made) == pytest.approx([ODDS[token] for (token,) in EVERY], rel=1e-5)
    first, second = [table.read(slice(len(table.weight))) for table in made.tables()]
    torch.testing.assert_close(first, before[0])
    torch.testing.assert_close(second[:, :-1], before[1][:, :-1])
    torch.testing.assert_close(second[0], before[1][0])  # padding


def test_without_padding_id_0_is_a_token_like_others():
    made = new_network(Config.build(LABELS | {"mask_padding": False}), KERNELS["compiled"]())
    center(made, Pairs.read(DATA, name="train"))
    assert made.table(1).weight[:, -1].tolist() == pytest.approx([*ODDS.values()], rel=1e-5)


def test_numbers_begin_at_the_mean_label():
    settings = LABELS | {"output_layer": "mean_squared_error", "candidates": "batch"}
    data = DATA | {"label": [1.0, 2.0, 3.0, 4.0, 5.0, 1.5]}
    for start, mean in (("mean", 2.75), ("zero", 0.0)):
        made = new_network(Config.build(settings | {"output_bias": start}), KERNELS["compiled"]())
        center(made, Pairs.read(data, name="train"))
        assert made.head.output.bias.tolist() == [mean]


def test_a_model_keeps_where_it_began_and_a_later_run_goes_on_from_where_it_is(tmp_path):
    still = LABELS | {
        "optimizer": "sgd",
        "learning_rate": 1e-6,
        "epochs": 1,
        "enc1_partners": True,
    }
    model = Object2Vec(**still).fit(DATA)
    model.save(tmp_path / "model")
    expected = [ODDS[token] for (token,) in EVERY]
    for each in (model, Object2Vec.load(tmp_path / "model")):
        found = each.predict(in0=[[]] * len(EVERY), in1=EVERY)[:, 0]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    other = {"in0": [[1]] * 3, "in1": [[3]] * 3}
    again = Object2Vec(**still).fit(other, start_from=tmp_path / "model")
    found = again.predict(in0=[[]] * len(EVERY), in1=EVERY)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_resumed_run_gives_the_bytes_of_one_that_was_not_interrupted(tmp_path):
    given = LABELS | {"epochs": 4, "learning_rate_schedule": "constant"}
    whole = Object2Vec(**given).fit(DATA)
    Object2Vec(**given | {"epochs": 2}).fit(DATA, checkpoints=tmp_path, checkpoint_every=1)
    resumed = Object2Vec(**given).fit(DATA, checkpoints=tmp_path, resume=True)
    pairs = {name: DATA[name] for name in ("in0", "in1")}
    assert resumed.predict(**pairs).tobytes() == whole.predict(**pairs).tobytes()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"output_layer": "softmax", "candidates": "batch"}, "output_layer is softmax"),
        ({"candidates": "batch"}, "output_layer is dot_product without candidates=all"),
        ({"output_layer": "ranking"}, "output_layer is ranking"),
        ({"enc1_network": "hcnn"}, "enc1_network is hcnn"),
        ({"enc0_vocab_size": V1, "tied_token_embedding_weight": True}, "both sides have one"),
        ({"normalize": "both"}, "normalize is both"),
        ({"normalize": "in1"}, "normalize is in1"),
        ({"enc1_pretrained_embedding_file": "v.txt", "enc1_vocab_file": "v.json"}, "the token"),
    ],
)
def test_where_there_is_no_such_bias_the_log_says_so(given, why):
    config = Config.build(LABELS | given)
    (note,) = [note.text for note in config.notes if "output_bias" in note.text]
    assert note.startswith(f"output_bias is ignored: {why}")
    assert config.output_bias == "zero"


@pytest.mark.parametrize("given", [{}, {"enc1_network": "enc0"}, {"normalize": "in0"}])
def test_where_there_is_one_nothing_is_said(given):
    config = Config.build(LABELS | given)
    assert config.output_bias == "mean"
    assert not [note for note in config.notes if "output_bias" in note.text]
