"""What every model promises: each encoder x comparators x output x storage, some of them tied."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import safetensors.torch

from object2vec import DataError, NotFittedError, Object2Vec

NETWORKS = ["pooled_embedding", "hcnn", "bilstm"]
COMPARATORS = ["hadamard", "concat", "abs_diff, hadamard", "concat, abs_diff, hadamard"]
OUTPUTS = ["softmax", "mean_squared_error"]
STORAGES = ["dense", "row_sparse"]

# Objects 1 to 3 are of one kind, 4 to 6 of another; the label counts those of the other kind. A
# sequence holds objects of one kind, with padding here and there.
OBJECTS = range(1, 7)
TRAIN = {
    "in0": [[a, a + 1] if a in (1, 4) and b % 2 else [a] for a in OBJECTS for b in OBJECTS],
    "in1": [[b, 0] if a == 2 else [b] * (1 + a % 2) for a in OBJECTS for b in OBJECTS],
    "label": [float((a > 3) + (b > 3)) for a in OBJECTS for b in OBJECTS],
}
KINDS = [label in (0, 2) for label in TRAIN["label"]]  # whether both objects are of one kind
RANKED = {
    side: [row for row, same in zip(TRAIN[side], KINDS, strict=True) if same]
    for side in ("in0", "in1")
}
IN0 = [[1], [], [4, 5], [0], [6, 0, 0], [0, 2], [3, 3, 3, 3], [1]]
IN1 = [[2], [5], [], [3, 1], [0, 0], [6], [4, 4], [2]]
# A number of an output is a sum of at most some hundred products of size 1, each rounded once, and
# a matrix product of another number of rows may sum in another order.
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


# What tokens count and who is with them is learned and folded into their vectors, of which averages
# are kept.
WEIGHED = {
    "enc0_idf_exponent": 1.0,
    "weight_averaging": 0.2,
    "gradient_clip_norm": 5.0,
    "topics": 2,
}


def settings(
    network, comparators, output, storage, tied=False, shared=False, weighed=False, **given
) -> dict:
    values = {
        "enc0_network": network,
        "comparator_list": comparators,
        "output_layer": output,
        "token_embedding_storage_type": storage,
        "tied_token_embedding_weight": tied,
        "shared_encoder": shared,
        "enc0_max_seq_len": 4,
        "enc0_vocab_size": 9,
        "enc0_token_embedding_dim": 6,
        "enc0_layers": 1,
        "enc_dim": 12,
        "mlp_layers": 1,
        "mlp_dim": 8,
        "mlp_activation": "tanh",
        "num_classes": 3,
        "learning_rate": 0.03,
        "mini_batch_size": 9,
        "epochs": 24,
        "early_stopping_patience": 5,
        "early_stopping_tolerance": 1e-6,
        "threads": 1,
        "seed": 3,
        "device": "cpu",
    }
    values |= {"learning_rate": 0.1} if output == "cosine" else {}
    alone = {"enc1_partners": True} if weighed and not tied else {}
    return values | (WEIGHED if weighed else {}) | alone | given


COMBINATIONS = [
    *itertools.product(NETWORKS, COMPARATORS, OUTPUTS, STORAGES),
    *itertools.product(NETWORKS, COMPARATORS[-1:], OUTPUTS, STORAGES, [True]),
    *itertools.product(NETWORKS, COMPARATORS[:1], ["ranking"], STORAGES, [False, True]),
    *itertools.product(NETWORKS, COMPARATORS[-1:], OUTPUTS[:1], STORAGES, [False], [True]),
    *itertools.product(NETWORKS, COMPARATORS[:1], ["cosine"], STORAGES),
    *itertools.product(
        NETWORKS, COMPARATORS[-1:], OUTPUTS[:1], STORAGES, [False, True], [False], [True]
    ),
]
# Of the module's scope: all tests of one combination come after one another, and one process that
# runs some of them need not train the models of the others.
each = pytest.mark.parametrize(
    "combination", COMBINATIONS, ids=lambda c: "-".join(map(str, c)), scope="module"
)


@functools.cache
def fitted(*combination) -> Object2Vec:
    model = Object2Vec(**settings(*combination))
    assert model.fit(data(*combination)) is model
    return model


def data(network, comparators, output, *rest):
    return RANKED if output == "ranking" else TRAIN


@each
def test_it_learns_what_is_right(combination):
    scores = fitted(*combination).predict(in0=TRAIN["in0"], in1=TRAIN["in1"])
    is_classifier = combination[2] == "softmax"
    if combination[2] == "ranking":
        assert scores.shape == (len(KINDS), 1)
        assert scores[KINDS].min() > scores[~np.array(KINDS)].max()
        return
    if combination[2] == "cosine":
        by_label = [scores[np.array(TRAIN["label"]) == label] for label in (0, 1, 2)]
        assert by_label[0].max() < by_label[1].min() <= by_label[1].max() < by_label[2].min()
        return
    answers = scores.argmax(1) if is_classifier else scores[:, 0].round()
    assert answers.tolist() == TRAIN["label"]
    assert scores.shape == (len(answers), 3 if is_classifier else 1)
    if is_classifier:
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-6)
        assert (scores >= 0).all()


@each
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(combination):
    weights = []
    for seed in (1, 1, 2):
        model = Object2Vec(**settings(*combination, seed=seed, epochs=2)).fit(data(*combination))
        weights.append(safetensors.torch.save(model.artifact.network.state_dict()))
    assert weights[0] == weights[1] != weights[2]


@each
def test_a_loaded_model_gives_equal_bytes(combination, tmp_path):
    model = fitted(*combination)
    model.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    for side, rows in (("in0", IN0), ("in1", IN1)):
        assert loaded.encode(**{side: rows}).tobytes() == model.encode(**{side: rows}).tobytes()
    assert loaded.predict(in0=IN0, in1=IN1).tobytes() == model.predict(in0=IN0, in1=IN1).tobytes()
    assert loaded.config == model.config
    assert loaded.evaluate(data(*combination)) == model.evaluate(data(*combination))


@each
def test_rows_keep_their_order_and_do_not_see_each_other(combination):
    model = fitted(*combination)
    for side, rows in (("in0", IN0), ("in1", IN1)):
        together = model.encode(**{side: rows})
        assert together.dtype == np.float32
        assert together.shape == (len(rows), 12)
        single = np.concatenate([model.encode(**{side: [row]}) for row in rows])
        order = np.random.default_rng(0).permutation(len(rows))
        shuffled = model.encode(**{side: [rows[i] for i in order]})
        if combination[0] == "pooled_embedding":
            assert np.array_equal(single, together)
            assert np.array_equal(shuffled, together[order])
        np.testing.assert_allclose(single, together, **CLOSE)
        np.testing.assert_allclose(shuffled, together[order], **CLOSE)
        no_token = [not any(row) for row in rows]
        assert (together[no_token] == 0).all()
        assert (together != 0).any(1).sum() >= 3
        assert len(np.unique(together.round(3), axis=0)) >= 4
    scores = model.predict(in0=IN0, in1=IN1)
    single = [model.predict(in0=[a], in1=[b]) for a, b in zip(IN0, IN1, strict=True)]
    np.testing.assert_allclose(np.concatenate(single), scores, **CLOSE)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert len(np.unique(scores.round(3), axis=0)) >= 3


@each
def test_padding_is_not_seen(combination):
    model = fitted(*combination)
    padded = [row + [0] * (4 - len(row)) for row in IN0]
    assert np.array_equal(model.encode(in0=padded), model.encode(in0=IN0))
    assert np.array_equal(model.encode(in0=np.array(padded)), model.encode(in0=IN0))


@each
def test_what_is_beyond_max_seq_len_is_not_read_unless_asked_for(combination):
    model = fitted(*combination)
    long = [[1, 5, 2, 6, 3, 4]]
    assert np.array_equal(model.encode(in0=long), model.encode(in0=[long[0][:4]]))
    assert np.array_equal(
        model.encode(in0=long, max_seq_lens=(2, 4)), model.encode(in0=[long[0][:2]])
    )
    wide = model.encode(in0=long, max_seq_lens=(6, 1))
    assert not np.array_equal(wide, model.encode(in0=long))
    both = {"in0": long, "in1": long}
    expected = model.predict(in0=[long[0][:2]], in1=[long[0][:3]])
    assert np.array_equal(model.predict(**both, max_seq_lens=(2, 3)), expected)


@each
def test_nothing_in_gives_nothing_out(combination):
    model = fitted(*combination)
    for side in ("in0", "in1"):
        empty = model.encode(**{side: []})
        assert empty.shape == (0, 12)
        assert empty.dtype == np.float32
    width = 3 if combination[2] == "softmax" else 1
    assert model.predict(in0=[], in1=[]).shape == (0, width)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("given", [{}, {"negative_sampling_rate": 2}, {"mini_batch_size": 1}])
def test_sequences_without_tokens_can_be_trained_on(network, storage, given):
    """Some, all of a side, or all of them: nothing breaks and the rest still learns."""
    rows = {"in0": [[], [1], [0, 0], [4]], "in1": [[2], [], [], [5]], "label": [0, 1, 0, 1]}
    nothing = {"in0": [[], [0]], "in1": [[], [0, 0]], "label": [1, 1]}
    one_side = {"in0": [[1], [2]], "in1": [[], []], "label": [0, 1]}
    for data in (rows, nothing, one_side):
        made = settings(network, "concat", "softmax", storage, epochs=2, **given)
        model = Object2Vec(**made).fit(data, validation=data)
        assert np.isfinite(model.predict(in0=data["in0"], in1=data["in1"])).all()
        assert all(np.isfinite(value) for value in model.evaluate(data).values())


@pytest.mark.parametrize("network", NETWORKS)
def test_one_record_is_enough(network):
    data = {"in0": [[1]], "in1": [[2, 3]], "label": [2]}
    model = Object2Vec(**settings(network, "concat", "softmax", "dense")).fit(data)
    assert model.predict(in0=[[1]], in1=[[2, 3]]).argmax() == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.encode(in0=[[1]]),
        lambda m: m.predict(in0=[[1]], in1=[[1]]),
        lambda m: m.evaluate(TRAIN),
        lambda m: m.save("model"),
        lambda m: m.facts,
        lambda m: m.vocabularies,
    ],
)
def test_what_needs_training_says_so(call):
    made = settings("hcnn", "concat", "softmax", "dense")
    unfitted = Object2Vec(**made)
    with pytest.raises(NotFittedError, match=r"must be trained or loaded; .*Call fit, or Object2V"):
        call(unfitted)
    changed = Object2Vec(**(made | {"epochs": 1})).fit(TRAIN).set_params(enc_dim=8)
    with pytest.raises(NotFittedError, match="must be trained or loaded"):
        call(changed)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"in0": [[1], [9]]}, r'in0 row 1: Inconsistent vocab for in0 found\. Vocab id "9" is not'),
        ({"in1": [[], [1, 2, 10]]}, r"in1 row 1: .* \"10\" is not less than vocab_size=9\. Use"),
        ({"in0": [[-1]]}, r"in0\[0\]: must be a list of integers in .*; got -1"),
        ({"in0": [[1.5]]}, r"in0\[0\]: must be a list of integers .*; got 1\.5"),
        ({"in1": [["a"]]}, r"in1\[0\]: must be a list of integers .*; got 'a'"),
        ({"in0": 3}, "in0: must be a column of id sequences; got 3"),
        ({}, "encode: must be given in0= or in1=; got 'neither'"),
        ({"in0": [[1]], "in1": [[1]]}, "encode: must be given in0= or in1=; got 'both'"),
        ({"in0": [[1]], "max_seq_lens": (0, 1)}, r"max_seq_lens: must be a pair, .* got \(0, 1\)"),
        ({"in0": [[1]], "max_seq_lens": (5,)}, r"max_seq_lens: must be a pair, .* got \(5,\)"),
        ({"in1": [[1]], "max_seq_lens": 5}, r"max_seq_lens: must be a pair, .* got 5\."),
        ({"in1": [[1]], "max_seq_lens": (1, None)}, r"max_seq_lens: must be a pair, .*None"),
    ],
)
def test_wrong_input_is_refused(network, given, message):
    model = fitted(network, "concat", "softmax", "dense")
    with pytest.raises(DataError, match=message):
        model.encode(**given)


def test_sides_cannot_be_swapped_by_accident():
    model = fitted("pooled_embedding", "concat", "softmax", "dense")
    with pytest.raises(TypeError, match="positional"):
        model.predict([[1]], [[2]])
    with pytest.raises(TypeError, match="positional"):
        model.encode([[1]])
    with pytest.raises(DataError, match="must have columns of one length"):
        model.predict(in0=[[1], [2]], in1=[[1]])


@pytest.mark.parametrize("network", NETWORKS)
def test_many_rows_of_any_length_come_back_in_order(network, monkeypatch):
    """More than one inner batch, cut by rows and by tokens."""
    monkeypatch.setattr("object2vec.inference.inputs._BATCH_ROWS", 7)
    monkeypatch.setattr("object2vec.inference.inputs._BATCH_TOKENS", 12)
    model = fitted(network, "concat", "softmax", "dense")
    generator = np.random.default_rng(1)
    rows = [generator.integers(0, 7, generator.integers(0, 5)).tolist() for _ in range(60)]
    single = np.concatenate([model.encode(in0=[row]) for row in rows])
    np.testing.assert_allclose(model.encode(in0=rows), single, **CLOSE)
    single = np.concatenate([model.predict(in0=[row], in1=[row[::-1]]) for row in rows])
    scores = model.predict(in0=rows, in1=[row[::-1] for row in rows])
    np.testing.assert_allclose(scores, single, **CLOSE)
    assert len(np.unique(scores.round(3), axis=0)) > 6
