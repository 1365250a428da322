"""What tokens count: learned beside the vectors, in them when saved."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from object2vec import Config, ConfigError, Interrupted, Object2Vec
from object2vec.inference.pooled import open_pooled
from object2vec.network.network import folded, new_network
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import records
from object2vec.pairs.batches import Batch
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.made import MadePairs
from object2vec.pairs.makers import maker_of
from object2vec.reporting.events import BatchesDone
from object2vec.training.step import Step
from object2vec.training.stop import StopRequest
from object2vec.training.weights import document_counts, learn_weights, training_objects
from support.kernels import KERNELS

V, E = 12, 6
BASE = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 5,
    "enc0_vocab_size": V,
    "enc0_token_embedding_dim": E,
    "enc_dim": E,
    "enc0_layers": 1,
    "mlp_dim": 4,
    "mlp_layers": 1,
    "mlp_activation": "tanh",
    "mini_batch_size": 4,
    "epochs": 2,
    "learning_rate": 0.05,
    "early_stopping_patience": 5,
    "threads": 1,
    "device": "cpu",
    "seed": 3,
}
WEIGHED = {"enc0_idf_exponent": 1.5}
each_network = pytest.mark.parametrize("network", ["pooled_embedding", "hcnn", "bilstm"])
each_kernel = pytest.mark.parametrize("kernel", ["compiled", "reference"])
each_storage = pytest.mark.parametrize("storage", ["dense", "row_sparse"])


def data(n: int = 14) -> dict:
    generator = np.random.default_rng(5)
    return {
        "in0": [(generator.zipf(1.5, 1 + i % 4) % (V - 1) + 1).tolist() for i in range(n)],
        "in1": [(generator.zipf(1.5, 1 + i % 3) % (V - 1) + 1).tolist() for i in range(n)],
        "label": generator.integers(0, 2, n),
    }


DATA = data()
columns = st.lists(st.lists(st.integers(0, 6), max_size=5), max_size=9)


@given(columns)
def test_documents_of_each_token_are_counted_once(rows):
    counted = document_counts(Ragged.build(rows), 7)
    assert counted.tolist() == [sum(token in row for row in rows) for token in range(7)]


def test_of_pairs_that_are_made_some_evenly_spread_ones_are_counted(monkeypatch):
    monkeypatch.setattr("object2vec.training.weights._MADE", 5)
    monkeypatch.setattr("object2vec.training.weights._PIECE", 2)
    rows = Pairs.build(
        in0=[[n + 1] for n in range(12)],
        in1=[[] for _ in range(12)],
        label=np.ones(12),
        group=[n // 3 for n in range(12)],
        schema=records(has_group=True),
    )
    made = MadePairs.of(rows, maker_of("neighbours"), 1)
    pieces = [*training_objects(made)]
    assert [len(in0) for in0, _ in pieces] == [2, 2, 1]
    assert all(len(in0) == len(in1) for in0, in1 in pieces)
    found = [token for in0, _ in pieces for token in in0.values.tolist()]
    assert found == [made.columns["in0"].row(n * 12 // 5)[0] for n in range(5)]
    (whole,) = training_objects(rows)
    assert whole[0] is rows.in0


def idf(column: list, exponent: float) -> np.ndarray:
    counts = np.array([sum(token in row for row in column) for token in range(V)])
    found = np.log((len(column) + 1) / (np.maximum(counts, 1) + 1)) + 1
    return (found / (found * counts).sum() * counts.sum()) ** exponent


def weighed(network: str, storage: str, kernel: str, tied: bool = False, **given):
    settings = (
        BASE
        | WEIGHED
        | {
            "enc0_network": network,
            "token_embedding_storage_type": storage,
            "optimizer": "sgd",
            "tied_token_embedding_weight": tied,
            "enc0_pool_exponent": 0.5,
            "token_init": "unit",
        }
    )
    config = Config.build(settings | given)
    made = new_network(config, KERNELS[kernel]())
    learn_weights(made, Pairs.read(DATA, name="train"), None)
    return made


@pytest.mark.parametrize("tied", [False, True])
def test_a_token_begins_with_its_inverse_document_frequency(tied):
    made = weighed("pooled_embedding", "dense", "compiled", tied)
    for side, table in enumerate(made.tables()):
        sides = ("in0", "in1") if tied else (f"in{side}",)
        expected = idf([row for name in sides for row in DATA[name]], 1.5)
        np.testing.assert_allclose(table.log_weights[:, 0].exp(), expected, rtol=1e-5)
        assert expected.max() > 1.5 * expected.min()


def embedding(network: str, made, side: int, leaves: dict, column: Ragged) -> torch.Tensor:
    """The embeddings by PyTorch's own operations, of a pooled encoder."""
    table = leaves["E"] * leaves["w"].exp()
    rows = [table[torch.from_numpy(column.row(i)).long()] for i in range(len(column))]
    return torch.stack([row.sum(0) / len(row) ** 0.5 for row in rows])


@each_kernel
@each_storage
def test_a_step_is_that_of_the_formulas(kernel, storage):
    made = weighed("pooled_embedding", storage, kernel).train()
    batch = Batch(
        {
            "in0": Ragged.build(DATA["in0"]),
            "in1": Ragged.build(DATA["in1"], "in1"),
            "label": np.array(DATA["label"], np.float32),
        },
        None,
    )
    leaves = [
        {"E": t.weight.clone().requires_grad_(), "w": t.log_weights.clone().requires_grad_()}
        for t in made.tables()
    ]
    a, b = (
        embedding("", made, side, leaves[side], column)
        for side, column in enumerate((batch.in0, batch.in1))
    )
    torch.testing.assert_close(made.encode(0, batch.in0), a, rtol=1e-5, atol=1e-6)
    loss = torch.nn.functional.cross_entropy(made.score(a, b), torch.from_numpy(batch.label).long())
    loss.backward()
    for parameter in made.head.parameters():
        parameter.grad = None
    Step(made)(batch)
    for table, leaf in zip(made.tables(), leaves, strict=True):
        for found, start in ((table.weight, leaf["E"]), (table.log_weights, leaf["w"])):
            assert (start.grad[1:] != 0).any()
            expected = (start - 0.05 * start.grad).detach()
            torch.testing.assert_close(found.detach(), expected, rtol=1e-4, atol=1e-6)


@each_network
@each_storage
def test_a_folded_network_reads_the_same_and_learns_nothing_new_of_its_tokens(network, storage):
    made = weighed(network, storage, "compiled").train()
    step = Step(made)
    names = {"in0": Ragged.build(DATA["in0"]), "in1": Ragged.build(DATA["in1"], "in1")}
    batch = Batch(names | {"label": np.array(DATA["label"], np.float32)}, None)
    for _ in range(3):
        step(batch)
    made.eval()
    before = [made.encode(side, names[f"in{side}"]).detach() for side in (0, 1)]
    used = folded(made)
    for side in (0, 1):
        for network in (used, made):
            after = network.encode(side, names[f"in{side}"]).detach()
            torch.testing.assert_close(after, before[side], rtol=1e-5, atol=1e-6)
    plain = new_network(made.config, KERNELS["compiled"]())
    assert used.state_dict().keys() == plain.state_dict().keys() < made.state_dict().keys()
    assert folded(used) is used
    assert used.table(0).weight.data_ptr() == made.table(0).weight.data_ptr()


@each_network
@each_storage
@pytest.mark.parametrize("tied", [False, True])
def test_a_saved_model_has_all_in_its_vectors(network, storage, tied, tmp_path):
    settings = {"enc0_network": network, "token_embedding_storage_type": storage}
    settings |= {"tied_token_embedding_weight": tied, "token_dropout": 0.2, "epochs": 3}
    model = Object2Vec(**BASE | WEIGHED | settings).fit(DATA, validation=DATA)
    model.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    for name in ("in0", "in1"):
        expected = model.encode(**{name: DATA[name]})
        assert loaded.encode(**{name: DATA[name]}).tobytes() == expected.tobytes()
        reader = open_pooled(tmp_path / "model", int(name[2:]))
        if network == "pooled_embedding" and reader is not None:
            found = reader.encode(int(name[2:]), Ragged.build(DATA[name]))
            assert found.tobytes() == expected.tobytes()
    pairs = {"in0": DATA["in0"], "in1": DATA["in1"]}
    assert loaded.predict(**pairs).tobytes() == model.predict(**pairs).tobytes()
    plain = Object2Vec(**BASE | settings).fit(DATA, validation=DATA)
    assert not np.array_equal(plain.encode(in0=DATA["in0"]), model.encode(in0=DATA["in0"]))


class StopAfter:
    """Asks a run to stop after some batches."""

    def __init__(self, batches: int) -> None:
        self.left, self.stop = batches, StopRequest()

    def __call__(self, event) -> None:
        if isinstance(event, BatchesDone):
            self.left -= 1
            if not self.left:
                self.stop.signal_number = 15

    def close(self) -> None:
        """Nothing to close."""


@each_kernel
@each_storage
def test_a_resumed_run_is_the_uninterrupted_run(kernel, storage, tmp_path, monkeypatch):
    monkeypatch.setattr("object2vec.training.loop._REPORT_BATCHES", 1)
    settings = BASE | WEIGHED | {"token_dropout": 0.3, "kernel": kernel}
    settings |= {"token_embedding_storage_type": storage, "weight_averaging": 0.6}
    settings |= {"noise_temperature": 0.1, "gradient_clip_norm": 0.5, "warmup": 0.2}
    settings |= {"enc1_partners": True, "topics": 2}
    whole = Object2Vec(**settings).fit(DATA, validation=DATA)
    for batches in (2, 5):
        stopper = StopAfter(batches)
        with pytest.raises(Interrupted):
            Object2Vec(**settings).fit(
                DATA,
                validation=DATA,
                checkpoints=tmp_path / "run",
                reporters=[stopper],
                stop=stopper.stop,
                overwrite=True,
            )
        resumed = Object2Vec(**settings).fit(
            DATA, validation=DATA, checkpoints=tmp_path / "run", resume=True
        )
        for name, tensor in whole.artifact.network.state_dict().items():
            assert torch.equal(resumed.artifact.network.state_dict()[name], tensor)


def test_a_model_that_cannot_be_saved_is_saved_on_resume(tmp_path, monkeypatch):
    settings = BASE | WEIGHED
    whole = Object2Vec(**settings).fit(DATA)

    def full_disk(*_, **__):
        raise OSError(28, "No space left")

    target = {"checkpoints": tmp_path / "run", "save_to": tmp_path / "model", "resume": True}
    with monkeypatch.context() as patch:
        patch.setattr("object2vec.training.run.artifact.save", full_disk)
        with pytest.raises(OSError, match="No space"):
            Object2Vec(**settings).fit(DATA, **target)
    Object2Vec(**settings).fit(DATA, **target)
    loaded = Object2Vec.load(tmp_path / "model")
    assert loaded.encode(in0=DATA["in0"]).tobytes() == whole.encode(in0=DATA["in0"]).tobytes()


@each_network
def test_training_goes_on_from_vectors_with_weights(network, tmp_path):
    settings = BASE | WEIGHED | {"enc0_network": network}
    start = Object2Vec(**settings).fit(DATA)
    still = {"learning_rate": 1e-6, "optimizer": "sgd", "epochs": 1}
    later = Object2Vec(**settings | still).fit(DATA, start_from=start)
    found, before = later.encode(in0=DATA["in0"]), start.encode(in0=DATA["in0"])
    np.testing.assert_allclose(found, before, rtol=1e-3, atol=1e-4)
    moved = Object2Vec(**settings).fit(DATA, start_from=start)
    assert np.abs(moved.encode(in0=DATA["in0"]) - before).max() > 0.01


TABLE = {
    "text": ["a b c", "a b", "a d", "a e a", "c b f"] * 6,
    "other": ["x", "y", "x", "y", "x"] * 6,
}
OF_TABLE = {
    "in0": "text:text(min_count=7, buckets=16)",
    "in1": "other",
    "epochs": 1,
    "enc_dim": E,
    "threads": 1,
    "device": "cpu",
    "enc0_idf_exponent": 1.0,
    "optimizer": "sgd",
    "learning_rate": 1e-6,
    "token_init": "unit",
}


def test_rows_of_rare_and_unseen_tokens_count_like_the_rarest():
    model, plain = (
        Object2Vec(**OF_TABLE | {"enc0_idf_exponent": exponent}).fit(TABLE)
        for exponent in (1.0, 0.0)
    )
    tables = [each.artifact.network.table(0).weight.numpy() for each in (model, plain)]
    size = np.divide(*(np.linalg.norm(each, axis=1) for each in tables))  # what a token counts
    table, schema = tables[0], model.schema
    by_token = {e.token: size[e.row] for _, e in schema.entries(0) if e.token}
    assert by_token["a"] < by_token["b"] < by_token["c"]
    hashed, untrained = schema.hashed_rows(0), schema.untrained_rows(0)
    assert len(hashed) == 16
    hashed, unseen = np.setdiff1d(hashed, untrained), np.intersect1d(hashed, untrained)
    assert len(hashed) > 1
    assert len(unseen) > 8
    np.testing.assert_allclose(size[hashed], size[hashed][0], rtol=1e-5)
    rarest = (math.log(31 / 2) + 1) / (math.log(31 / 25) + 1)
    assert size[hashed][0] / by_token["a"] == pytest.approx(rarest, rel=1e-4)
    assert np.ptp(table[unseen], axis=0).max() < 1e-5
    others = np.setdiff1d(np.arange(1, len(table)), untrained)
    np.testing.assert_allclose(table[unseen[0]], table[others].mean(0), rtol=1e-3, atol=1e-4)


def test_the_log_says_what_tokens_count():
    texts: list = []

    class Listener:
        def __call__(self, event) -> None:
            texts.append(getattr(event, "text", ""))

        def close(self) -> None:
            """Nothing to close."""

    Object2Vec(**BASE | WEIGHED | {"epochs": 1}).fit(DATA, reporters=[Listener()])
    assert any(text.startswith("Tokens of in0 begin with weights from 0.") for text in texts)


def test_tables_that_are_tied_count_tokens_alike():
    tied = {"tied_token_embedding_weight": True, "enc1_network": "pooled_embedding"}
    sizes = {"enc1_max_seq_len": 5, "enc1_vocab_size": V}
    with pytest.raises(ConfigError, match="enc1_idf_exponent: must equal enc0_idf_exponent"):
        Config.build(BASE | tied | sizes | {"enc1_idf_exponent": 1.0})


OF_FIELDS = OF_TABLE | {
    "in0": [
        "text:text(min_count=1)",
        "text:text(min_count=1, ngrams=2, weight=0.5)",
        "text:characters(2, 3, weight=0.2)",
    ],
    "enc0_idf_exponent": 0.0,
    "enc0_pool_exponent": 0.5,
}
LEARNING = {"epochs": 3, "learning_rate": 0.1, "optimizer": "adam"}


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_tokens_begin_with_the_weight_of_their_field(exponent):
    model = Object2Vec(**OF_FIELDS | {"enc0_idf_exponent": exponent}).fit(TABLE)
    same = [
        each.replace("weight=0.5", "weight=1").replace(", weight=0.2", "")
        for each in OF_FIELDS["in0"]
    ]
    plain = Object2Vec(**OF_FIELDS | {"in0": same, "enc0_idf_exponent": exponent}).fit(TABLE)
    table = plain.artifact.network.table(0).weight.numpy()
    sides, parts = model.schema.sides, model.schema.parts
    texts = ["a b c", "c b f", "a e a"]
    expected = np.zeros((3, E))
    for number, (part, fitted) in enumerate(zip(parts, sides[0], strict=False)):
        rows, _ = fitted.rows(pa.array(texts))
        for i in range(3):
            found = table[part.in_table(rows.row(i))].sum(0)  # (E,)
            expected[i] += (1.0, 0.5, 0.2)[number] * found
    counts = model.schema.encode(0, {"text": pa.array(texts)})[0].lengths
    expected /= counts[:, None] ** 0.5
    np.testing.assert_allclose(model.encode(in0={"text": texts}), expected, rtol=1e-3, atol=1e-5)


def test_a_saved_model_has_the_weights_of_fields_in_its_vectors(tmp_path):
    model = Object2Vec(**OF_FIELDS | LEARNING).fit(TABLE)
    model.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    assert loaded.schema.declared.names == model.schema.declared.names
    assert "weight=0.5" in loaded.schema.declared.names[1]
    asked = {"text": ["a b c", "a x", ""]}
    assert loaded.encode(in0=asked).tobytes() == model.encode(in0=asked).tobytes()
    ids, _ = loaded.schema.encode(0, {"text": pa.array(asked["text"])})
    reader = open_pooled(tmp_path / "model", 0)
    assert reader.encode(0, ids).tobytes() == model.encode(in0=asked).tobytes()


def test_training_goes_on_from_a_model_whose_fields_have_weights():
    start = Object2Vec(**OF_FIELDS | LEARNING).fit(TABLE)
    later = Object2Vec(**OF_FIELDS).fit(TABLE, start_from=start)
    asked = {"text": ["a b c", "a x"]}
    found, before = later.encode(in0=asked), start.encode(in0=asked)
    np.testing.assert_allclose(found, before, rtol=1e-3, atol=1e-4)


def test_a_resumed_run_with_weights_of_fields_is_the_uninterrupted_run(tmp_path, monkeypatch):
    monkeypatch.setattr("object2vec.training.loop._REPORT_BATCHES", 1)
    settings = OF_FIELDS | LEARNING | {"mini_batch_size": 8, "token_dropout": 0.3}
    whole = Object2Vec(**settings).fit(TABLE)
    stopper = StopAfter(6)
    with pytest.raises(Interrupted):
        Object2Vec(**settings).fit(
            TABLE, checkpoints=tmp_path / "run", reporters=[stopper], stop=stopper.stop
        )
    resumed = Object2Vec(**settings).fit(TABLE, checkpoints=tmp_path / "run", resume=True)
    for name, tensor in whole.artifact.network.state_dict().items():
        assert torch.equal(resumed.artifact.network.state_dict()[name], tensor)
