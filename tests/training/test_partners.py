"""Tokens that learn from what they are paired with, and are plain vectors when saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from object2vec import Config, ConfigError, Object2Vec
from object2vec.network.network import folded, new_network
from object2vec.network.tokens import TokenTable
from object2vec.objects.ragged import Ragged
from object2vec.pairs.batches import Batch
from object2vec.pairs.dataset import Pairs
from object2vec.training import partners
from object2vec.training.carried import carry_state
from object2vec.training.optimizer import Optimizer
from object2vec.training.partners import find_partners, partners_of
from object2vec.training.step import Step
from support.kernels import KERNELS

E = 6
BASE = {
    "enc0_network": "pooled_embedding",
    "enc1_network": "pooled_embedding",
    "enc0_max_seq_len": 3,
    "enc0_vocab_size": 7,
    "enc1_max_seq_len": 3,
    "enc1_vocab_size": 9,
    "enc_dim": E,
    "enc0_partners": True,
    "enc1_partners": True,
    "mlp_layers": 0,
    "output_layer": "mean_squared_error",
    "mini_batch_size": 4,
    "epochs": 3,
    "learning_rate": 0.05,
    "threads": 1,
    "device": "cpu",
    "seed": 3,
}
each_kernel = pytest.mark.parametrize("kernel", ["compiled", "reference"])
each_storage = pytest.mark.parametrize("storage", ["dense", "row_sparse"])
rows = st.lists(
    st.tuples(st.lists(st.integers(0, 3), max_size=3), st.lists(st.integers(0, 4), max_size=3)),
    min_size=1,
    max_size=6,
)


def data(n: int = 17) -> dict:
    generator = np.random.default_rng(4)
    return {
        "in0": [generator.integers(1, 6, 1 + (i % 5 == 0)).tolist() for i in range(n)],
        "in1": [generator.integers(1, 9, 1 + (i % 4 == 0)).tolist() for i in range(n)],
        "label": generator.normal(size=n).astype(np.float32),
    }


DATA = data()


def network(kernel: str, storage: str, **settings):
    config = Config.build(BASE | {"token_embedding_storage_type": storage} | settings)
    made = new_network(config, KERNELS[kernel]())
    find_partners(made, Pairs.read(DATA, default_label=None, name="train"))
    return made


def batch() -> Batch:
    columns = {name: Ragged.build(DATA[name]) for name in ("in0", "in1")}
    return Batch(columns | {"label": DATA["label"]}, None)


@given(rows, st.booleans())
def test_partners_are_all_that_stand_beside_a_token(records, has_padding):
    own, other = (Ragged.build([record[side] for record in records]) for side in (0, 1))
    found = partners_of(own, other, 4, 5, has_padding=has_padding)
    first = int(has_padding)
    for token in range(4):
        beside = {j for a, b in records if token in a for j in b if j >= first}
        expected = sorted(beside if token >= first else [])
        assert found.take([token]).values.tolist() == expected
        few = partners_of(own, other, 4, 5, has_padding=has_padding, most=2)
        assert set(few.take([token]).values) <= set(expected)
        assert few.lengths[token] == min(2, len(expected))


@each_kernel
@each_storage
def test_a_vector_has_a_part_of_each_partner_and_so_has_its_gradient(kernel, storage):
    made = network(kernel, storage, optimizer="sgd")
    for table in made.tables():
        table.weight.copy_(torch.randn(table.weight.shape, generator=torch.Generator()))
    before = [table.weight.clone().requires_grad_() for table in made.tables()]
    embeddings = []
    for side, (own, other) in enumerate((("in0", "in1"), ("in1", "in0"))):
        size = BASE[f"enc{side}_vocab_size"]
        vectors = []
        for sequence in DATA[own]:
            parts = []
            for token in sequence:
                pairs = zip(DATA[own], DATA[other], strict=True)
                beside = sorted({j for a, b in pairs if token in a for j in b})
                partners = before[side][[size + j for j in beside]].sum(0) / len(beside) ** 0.5
                parts.append(before[side][token] + partners)
            vectors.append(torch.stack(parts).mean(0))
        embeddings.append(torch.stack(vectors))
        torch.testing.assert_close(
            made.encode(side, Ragged.build(DATA[own])).detach(), embeddings[-1].detach()
        )
    loss = (made.score(*embeddings)[:, 0] - torch.from_numpy(DATA["label"])).square().mean() / 2
    loss.backward()
    made.zero_grad()
    Step(made)(batch())
    for table, leaf in zip(made.tables(), before, strict=True):
        assert (leaf.grad != 0).any()
        expected = (leaf - 0.05 * leaf.grad).detach()
        torch.testing.assert_close(table.weight, expected, rtol=1e-4, atol=1e-6)


@each_storage
def test_a_folded_network_reads_the_same_from_a_row_for_each_token(storage):
    made = network("compiled", storage).train()
    step = Step(made)
    for _ in range(3):
        step(batch())
    made.eval()
    before = [made.encode(side, Ragged.build(DATA[f"in{side}"])).detach() for side in (0, 1)]
    used = folded(made)
    for side in (0, 1):
        assert len(used.table(side).weight) == BASE[f"enc{side}_vocab_size"]
        for each in (used, made):
            after = each.encode(side, Ragged.build(DATA[f"in{side}"])).detach()
            torch.testing.assert_close(after, before[side], rtol=1e-5, atol=1e-6)
    assert folded(used) is used


@each_kernel
def test_tokens_that_count_unlike_have_parts_of_partners_that_count_alike(kernel):
    """What a token counts is its own row's; rows of partners begin with 1."""
    draw = np.random.default_rng(0)
    table = TokenTable(3, E, KERNELS[kernel](), "dense", is_frozen=False)
    table.weight.copy_(torch.from_numpy(draw.random((3, E), np.float32)))
    table.weigh(torch.tensor([0.0, 0.5, -1.0]))
    table.accompany(Ragged.build([[], [0, 3], [1]]), 4)
    assert table.log_weights[:, 0].tolist() == [0.0, 0.5, -1.0, 0.0, 0.0, 0.0, 0.0]
    before = table.weight[3:].clone()
    assert not before.any()
    table.weight[3:] = torch.from_numpy(draw.random((4, E), np.float32))
    own, partners = table.weight[:3] * torch.tensor([[0.0], [0.5], [-1.0]]).exp(), table.weight[3:]
    shares = torch.stack([0 * own[0], (partners[0] + partners[3]) / 2**0.5, partners[1]])
    expected = own + shares
    torch.testing.assert_close(table.read(slice(3)), expected)
    torch.testing.assert_close(table.read(torch.tensor([2, 1])), expected[[2, 1]])
    ids, offsets = torch.tensor([1, 1, 2, 0], dtype=torch.int32), torch.tensor([0, 3, 3, 4])
    with torch.no_grad():
        pooled = table.pool(ids, offsets)
    means = torch.stack([(2 * expected[1] + expected[2]) / 3, 0 * own[0], expected[0]])
    torch.testing.assert_close(pooled, means)
    table.fold()
    assert not table.weight[3:].any()
    assert not table.log_weights.any()
    torch.testing.assert_close(table.weight[:3], expected)
    torch.testing.assert_close(table.read(slice(3)), expected)


@each_storage
def test_a_saved_model_predicts_the_same_and_goes_on(storage, tmp_path):
    settings = {"token_embedding_storage_type": storage, "weight_averaging": 0.5}
    settings |= {"noise_temperature": 0.1}
    model = Object2Vec(**BASE | settings)
    model.fit(DATA, validation=DATA, checkpoints=tmp_path / "checkpoints", checkpoint_every=1)
    model.save(tmp_path / "m")
    pairs = {name: DATA[name] for name in ("in0", "in1")}
    loaded = Object2Vec.load(tmp_path / "m")
    assert loaded.predict(**pairs).tobytes() == model.predict(**pairs).tobytes()
    again = Object2Vec(**BASE | settings)
    again.fit(DATA, start_from=tmp_path / "m", start_state=tmp_path / "checkpoints")
    assert again.predict(**pairs).tobytes() != model.predict(**pairs).tobytes()
    plain = Object2Vec(**BASE | settings | {"enc0_partners": False, "enc1_partners": False})
    assert plain.fit(DATA).predict(**pairs).tobytes() != model.predict(**pairs).tobytes()


@each_storage
def test_tokens_go_on_with_their_optimizer_state_and_partners_begin_anew(storage, tmp_path):
    settings = BASE | {"token_embedding_storage_type": storage, "optimizer": "adam"}
    first = Object2Vec(**settings).fit(DATA, checkpoints=tmp_path, checkpoint_every=1)
    (file,) = tmp_path.glob("step-*/tensors.safetensors")
    kept, made = load_file(file), network("compiled", storage, optimizer="adam")
    optimizer = Optimizer(made, made.config, made.table(0).kernel)
    note = carry_state(optimizer, tmp_path, first.artifact)
    known = 0
    for side, size in enumerate((7, 9)):
        parameter = optimizer.parameters[f"tokens.{side}.weight"]
        assert len(parameter.weight) == 7 + 9
        rows = kept.get(f"tokens.{side}.rows", torch.arange(len(parameter.weight))).long()
        assert (rows >= size).any(), "partners had a state, too"
        known += int((rows < size).sum()) if storage == "row_sparse" else 0
        for name, tensor in zip(("mean", "variance"), parameter.state, strict=True):
            expected = torch.zeros_like(tensor)
            expected[rows] = kept[f"optimizer.tokens.{side}.weight.{name}"]
            expected[size:] = 0
            assert torch.equal(tensor, expected)
            assert tensor.any()
    what = f"{known} rows and the layers" if known else "Known rows and the layers"
    assert note.text == f"{what} have their optimizer state from {file.parent.name}."


def test_both_sides_need_tables_of_their_own():
    settings = BASE | {"tied_token_embedding_weight": True, "enc1_vocab_size": 7}
    with pytest.raises(ConfigError, match="enc0_partners: must be false with tied tables"):
        Config.build(settings)


def test_pairs_that_are_made_have_no_partners():
    table = {"user": ["a", "a", "b", "b"], "item": ["x", "y", "x", "z"]}
    model = Object2Vec(
        in0="user",
        in1="item",
        pairs="history(user=own)",
        enc1_partners=True,
        preset="topn",
        epochs=1,
    )
    with pytest.raises(
        ConfigError, match=r"enc1_partners: must be false where pairs are made|tied"
    ):
        model.fit(table)


def test_a_log_says_of_how_many_tokens_some_partners_are_not_read(monkeypatch):
    pairs = Pairs.read(DATA, default_label=None, name="train")
    config = Config.build(BASE)
    plain, held = (new_network(config, KERNELS["compiled"]()) for _ in range(2))
    assert all(text.endswith(" on average.") for text in find_partners(plain, pairs))
    lengths = partners_of(pairs.in0, pairs.in1, 7, 9, has_padding=True).lengths
    monkeypatch.setattr(partners, "_MOST", 2)
    first, _ = find_partners(held, pairs)
    full = int((lengths >= 2).sum())
    assert first.endswith(f"; {full} from 2 of them, the most that are read.")
    assert full > 1
