"""Tokens that begin with what they stand with: as a singular value decomposition has it."""

from __future__ import annotations

import numpy as np
import pytest

from object2vec import Config, ConfigError, Object2Vec
from object2vec.network.network import new_network
from object2vec.pairs.dataset import Pairs
from object2vec.reporting.events import Noted
from object2vec.training.topics import begin_with_topics
from support.kernels import KERNELS

V, E, KINDS = 31, 8, 4  # tokens 1 to 28, seven of each kind, one that all objects have, and one
BASE = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 9,
    "enc0_vocab_size": V,
    "enc0_token_embedding_dim": E,
    "enc_dim": E,
    "mlp_dim": 4,
    "mlp_layers": 1,
    "mini_batch_size": 16,
    "epochs": 2,
    "threads": 1,
    "device": "cpu",
    "seed": 3,
}


def data(n: int = 300) -> dict:
    """Objects of 29 and of tokens of one kind, more of the earlier kinds, none of 30."""
    generator = np.random.default_rng(5)

    def row() -> list:
        kind = min(generator.geometric(0.4) - 1, KINDS - 1)
        return [29, *(1 + kind * 7 + generator.integers(0, 7, 7)).tolist()]

    sides = {f"in{side}": [row() for _ in range(n)] for side in (0, 1)}
    return sides | {"label": generator.integers(0, 2, n)}


DATA = data()


def begun(kernel: str = "compiled", **given):
    config = Config.build(BASE | {"topics": 3} | given)
    network = new_network(config, KERNELS[kernel]())
    before = [table.weight.clone() for table in network.tables()]
    said = begin_with_topics(network, Pairs.read(DATA, name="train"))
    return network, before, said


def cosines(x: np.ndarray) -> np.ndarray:
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T


def expected(rows: list, topics: int) -> np.ndarray:
    """The cosines of tokens 1 to 29, from a decomposition of the whole matrix."""
    counts = np.array([np.bincount(row, minlength=V)[1:] for row in rows])  # (N, V - 1)
    idf = np.log((len(rows) + 1) / ((counts > 0).sum(0) + 1)) + 1
    matrix = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    _, sizes, directions = np.linalg.svd(matrix, full_matrices=False)
    chosen = slice(1, topics + 1)
    return cosines((directions[chosen] * sizes[chosen, None] ** 0.5).T[:-1])


@pytest.mark.parametrize("kernel", ["compiled", "reference"])
@pytest.mark.parametrize("tied", [False, True])
def test_the_last_numbers_of_tokens_are_those_of_a_decomposition(kernel, tied, monkeypatch):
    monkeypatch.setattr("object2vec.training.topics._ROUNDS", 8)  # to be exact
    network, before, said = begun(kernel, tied_token_embedding_weight=tied, token_init="unit")
    assert len(said) == 2 - tied
    assert "3 numbers of 29 tokens" in said[0]
    assert "in 300 records" in said[0]
    both = DATA["in0"], DATA["in1"]
    for side, (table, random) in enumerate(zip(network.tables(), before, strict=True)):
        found, random = table.weight.numpy(), random.numpy()
        rows = [a + b for a, b in zip(*both, strict=True)] if tied else both[side]
        np.testing.assert_allclose(cosines(found[1:30, -3:]), expected(rows, 3), atol=1e-3)
        np.testing.assert_array_equal(found[:, :-3], random[:, :-3])
        np.testing.assert_array_equal(found[[0, 30]], random[[0, 30]])
        lengths = np.linalg.norm(found[1:30, -3:], axis=1)
        assert lengths == pytest.approx(np.sqrt(3 * np.square(random[:, -3:]).mean()), rel=1e-4)


def test_of_many_records_some_evenly_spread_ones_stand_for_all(monkeypatch):
    """They are counted by pieces, which changes nothing."""
    network, _, said = begun()
    monkeypatch.setattr("object2vec.training.topics._PIECE", 7)
    again, _, _ = begun()
    for table, other in zip(network.tables(), again.tables(), strict=True):
        assert (table.weight == other.weight).all()
    monkeypatch.setattr("object2vec.training.topics._RECORDS", 50)
    some, _, said = begun()
    assert "in 50 records" in said[0]
    few = {name: [rows[n * 300 // 50] for n in range(50)] for name, rows in DATA.items()}
    monkeypatch.undo()
    expected = new_network(Config.build(BASE | {"topics": 3}), KERNELS["compiled"]())
    begin_with_topics(expected, Pairs.read(few, name="train"))
    for table, other in zip(some.tables(), expected.tables(), strict=True):
        assert (table.weight == other.weight).all()


def test_the_signs_of_components_are_not_left_to_what_computes_them(monkeypatch):
    """An eigenvector has either sign, and LAPACK returns one or the other."""
    first, _, _ = begun()
    eigh = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda x: (eigh(x)[0], -eigh(x)[1]))
    other, _, _ = begun()
    for side in (0, 1):
        rows = first.table(side).weight[:, -3:]  # (V, k)
        np.testing.assert_allclose(other.table(side).weight[:, -3:], rows, rtol=1e-4, atol=1e-6)


def test_there_are_no_more_numbers_than_the_objects_have():
    network, _before, said = begun(topics=E)
    found = network.table(0).weight.numpy()
    assert "8 numbers" in said[0]
    few = {"in0": [[1, 2], [3, 4], [1, 2]], "in1": [[5], [6], [7]], "label": [1, 0, 1]}
    made = new_network(Config.build(BASE | {"topics": E}), KERNELS["compiled"]())
    random = made.table(0).weight.clone().numpy()
    begin_with_topics(made, Pairs.read(few, name="train"))
    changed = (made.table(0).weight.numpy() != random).any(0)
    assert 0 < changed.sum() <= 2
    assert not np.isnan(found).any()
    alike = {"in0": [[1], [1]], "in1": [[5], [5]], "label": [1, 0]}  # all is in common
    made = new_network(Config.build(BASE | {"topics": E}), KERNELS["compiled"]())
    random = made.table(0).weight.clone().numpy()
    said = begin_with_topics(made, Pairs.read(alike, name="train"))
    assert said[0] == "in0: 0 numbers of 0 tokens begin with what these stand with in 2 records."
    assert (made.table(0).weight.numpy() == random).all()


def test_training_that_goes_on_keeps_the_vectors_of_the_model():
    settings = BASE | {"topics": 4}
    start = Object2Vec(**settings).fit(DATA)
    still = {"learning_rate": 1e-6, "optimizer": "sgd", "epochs": 1}
    later = Object2Vec(**settings | still).fit(DATA, start_from=start)
    np.testing.assert_allclose(
        later.encode(in0=DATA["in0"]), start.encode(in0=DATA["in0"]), rtol=1e-3, atol=1e-4
    )


TABLE = {"a": ["red green", "green blue", "up down"] * 8, "b": ["blue", "red red", "down"] * 8}


def test_vectors_from_a_file_stand_before_topics(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("".join(f"{word} {i} -1 2\n" for i, word in enumerate(("red", "up", "no"))))
    given = {
        "in0": "a:text",
        "in1": "b:text",
        "epochs": 1,
        "learning_rate": 1e-6,
        "enc_dim": 5,
        "optimizer": "sgd",
        "threads": 1,
        "preset": "retrieval",
        "token_init": "xavier",
        "enc0_idf_exponent": 0,
        "vectors": file,
    }
    heard: list = []

    def hear(event) -> None:
        heard.extend([event.text] if isinstance(event, Noted) else [])

    hear.close = lambda: None
    model = Object2Vec(**given, topics=2).fit(TABLE, reporters=[hear])
    table = model.artifact.network.table(0).weight.numpy()
    rows = {e.token: table[e.row] for _, e in model.schema.entries(0) if e.token}
    np.testing.assert_allclose(rows["up"][:3], [1, -1, 2], atol=1e-3)
    assert cosines(np.array([rows["up"][3:], rows["down"][3:]]))[0, 1] > 0.9
    assert any("2 numbers of" in text for text in heard), heard
    with pytest.raises(ConfigError, match=r"room for vectors of 3 numbers and 3 topics; got 5"):
        Object2Vec(**given, topics=3).fit(TABLE)


def test_topics_need_room():
    with pytest.raises(ConfigError, match="enc_dim: must leave room for 9 topics; got 8"):
        Object2Vec(**BASE | {"topics": 9}).fit(DATA)


def test_vectors_as_wide_as_the_table_leave_no_room(tmp_path):
    (tmp_path / "words.json").write_text('{"red": 1}')
    (tmp_path / "vectors.txt").write_text("red" + " 0.5" * E + "\n")
    named = {"enc0_vocab_file": "words.json", "enc0_pretrained_embedding_file": "vectors.txt"}
    with pytest.raises(ConfigError, match="room for vectors of 8 numbers and 1 topics; got 8"):
        Object2Vec(**BASE | named | {"topics": 1}).fit(DATA, auxiliary=tmp_path)
