"""What changes over a run: learning rate, averages of weights; and what a step adds to its loss."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from object2vec import Config, Object2Vec
from object2vec.kernels.rules import Update
from object2vec.network.network import new_network
from object2vec.objects.ragged import Ragged
from object2vec.pairs.batches import Batch, TrainingBatches
from object2vec.pairs.candidates import against_all
from object2vec.pairs.dataset import Pairs
from object2vec.training import early_stopping, schedule
from object2vec.training.early_stopping import EarlyStopping
from object2vec.training.optimizer import Optimizer
from object2vec.training.schedule import Horizon, rate_share
from object2vec.training.step import Step
from support.kernels import EPS, KERNELS
from support.stopping import EVERYTHING as OF_RANKING

SIZES = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 4,
    "enc0_vocab_size": 12,
    "enc0_token_embedding_dim": 4,
    "enc_dim": 4,
    "mlp_dim": 4,
    "mlp_layers": 1,
    "mlp_activation": "tanh",
    "mini_batch_size": 4,
    "epochs": 3,
    "learning_rate": 0.05,
    "early_stopping_patience": 5,
    "threads": 1,
    "device": "cpu",
}
each_kernel = pytest.mark.parametrize("kernel", ["compiled", "reference"])
each_storage = pytest.mark.parametrize("storage", ["dense", "row_sparse"])


def config(**given) -> Config:
    return Config.build(SIZES | given)


def data(n: int = 10, seed: int = 0) -> dict:
    generator = np.random.default_rng(seed)
    return {
        "in0": [generator.integers(1, 12, 1 + i % 4).tolist() for i in range(n)],
        "in1": [generator.integers(0, 12, 1 + i % 3).tolist() for i in range(n)],
        "label": generator.integers(0, 2, n),
    }


def steps_of(made: Config, kernel: str) -> tuple[Step, list[Batch]]:
    batches = TrainingBatches(Pairs.build(**data()), made)
    horizon = Horizon(len(batches) * made.epochs, batches.records)
    step = Step(new_network(made, KERNELS[kernel]()).train(), horizon)
    return step, [batch for epoch in range(made.epochs) for batch in batches.epoch(epoch)]


@pytest.mark.parametrize("warmup", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "plateau"])
def test_a_rate_rises_evenly_and_then_follows_its_schedule(name, warmup):
    made, steps = config(learning_rate_schedule=name, warmup=warmup), 40
    rates = [rate_share(made, step, steps, 0) for step in range(1, steps + 1)]
    rising = round(40 * warmup)
    assert rates[:rising] == [(i + 1) / rising for i in range(rising)]
    rest = rates[rising:]
    done = [i / len(rest) for i in range(len(rest))]
    expected = {
        "linear": [1 - x for x in done],
        "cosine": [(1 + math.cos(math.pi * x)) / 2 for x in done],
    }.get(name, [1.0] * len(rest))
    assert rest == pytest.approx(expected)
    assert all(rate > 0 for rate in rates)


def test_a_plateau_divides_the_rate_by_5_after_each_epoch_that_is_not_the_best(monkeypatch):
    rates, apply = [], Update.constants

    def spy(update, parameter):
        rates.append(update.rule.learning_rate)
        return apply(update, parameter)

    values = iter([0.9, 0.8, 0.85, 0.79, 0.79, 0.7])
    observe = early_stopping.EarlyStopping.observe
    monkeypatch.setattr(
        early_stopping.EarlyStopping, "observe", lambda s, e, v: observe(s, e, next(values))
    )
    monkeypatch.setattr(Update, "constants", spy)
    Object2Vec(**SIZES | {"learning_rate_schedule": "plateau", "epochs": 6}).fit(data())
    found = [rate for rate, _ in itertools.groupby(rates)]
    assert found == pytest.approx([0.05, 0.01, 0.002])


@each_storage
@each_kernel
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_averages_are_the_mean_of_what_the_weights_were_after_each_step(share, kernel, storage):
    made = config(
        weight_averaging=share, token_embedding_storage_type=storage, epochs=4, optimizer="adagrad"
    )
    step, batches = steps_of(made, kernel)
    first, past = round(len(batches) * (1 - share)), []
    for number, batch in enumerate(batches, 1):
        step(batch)
        state = step.network.state_dict()
        raw = {name: tensor.clone() for name, tensor in state.items()}
        past.append({name: tensor.double().clone() for name, tensor in state.items()})
        with step.optimizer.evaluated():
            for name, tensor in state.items():
                if number <= first:
                    assert torch.equal(tensor, raw[name])
                    continue
                mean = torch.stack([each[name] for each in past[first:]]).mean(0)
                torch.testing.assert_close(tensor.double(), mean, rtol=50 * EPS, atol=50 * EPS)
        assert all(torch.equal(tensor, raw[name]) for name, tensor in state.items())
    assert (past[-1]["tokens.0.weight"] != mean_of(past, "tokens.0.weight")).any()


def mean_of(past: list, name: str) -> torch.Tensor:
    return torch.stack([each[name] for each in past]).mean(0)


def test_the_average_is_what_is_validated_kept_and_saved():
    values = SIZES | {"weight_averaging": 0.5, "seed": 3, "learning_rate": 0.3}
    model = Object2Vec(**values).fit(data(), validation=data(5, 1))
    plain = Object2Vec(**values | {"weight_averaging": 0.0}).fit(data(), validation=data(5, 1))
    verdicts = [e["verdict"] for e in model.facts.history if e["event"] == "epoch"]
    best = [each for each in verdicts if each["is_best"]][-1]
    measured = model.evaluate(data(5, 1))["cross_entropy"]
    assert measured == pytest.approx(best["value"], rel=1e-5)
    others = [e["verdict"] for e in plain.facts.history if e["event"] == "epoch"]
    assert verdicts[0]["value"] == others[0]["value"]  # nothing is averaged yet
    assert verdicts[-1]["value"] != others[-1]["value"]


@pytest.mark.parametrize(
    "given",
    [{"weight_averaging": 0.3}, {"learning_rate_schedule": "linear"}],
    ids=str,
)
def test_without_validation_a_planned_run_goes_to_its_end(given, monkeypatch):
    observe = EarlyStopping.observe
    monkeypatch.setattr(EarlyStopping, "observe", lambda s, e, v: observe(s, e, 1.0 + e))
    values = SIZES | {"epochs": 9, "early_stopping_patience": 1}
    for more, epochs, best in (({}, 3, 0), (given, 9, 8)):
        model = Object2Vec(**values | more).fit(data())
        verdicts = [e["verdict"] for e in model.facts.history if e["event"] == "epoch"]
        assert len(verdicts) == epochs
        assert [each["epoch"] for each in verdicts if each["is_best"]][-1] == best
    with_validation = Object2Vec(**values | given).fit(data(), validation=data(5, 1))
    assert sum(e["event"] == "epoch" for e in with_validation.facts.history) == 3


@pytest.mark.parametrize("negatives", [0, 2])
def test_decay_of_embeddings_counts_each_record(negatives):
    made = config(negative_sampling_rate=negatives, mini_batch_size=12, embedding_decay=0.7)
    step, (batch, *_) = steps_of(made, "reference")
    encoded = step.network.encoded(batch)
    a, b = (each.detach().requires_grad_() for each in (encoded.a, encoded.b))
    n = len(batch)
    rows = range(n), range(n)
    if batch.pairing is not None:
        rows = batch.pairing.rows0, batch.pairing.rows1
    halves = sum((a[i] ** 2).sum() + (b[j] ** 2).sum() for i, j in zip(*rows, strict=True)) / 2
    expected = torch.autograd.grad(0.7 * halves / n, (a, b))
    plain = step.network.objective.loss(encoded).item()
    seen = []
    backward = torch.autograd.backward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.autograd, "backward", lambda *of: seen.extend(of) or backward(*of))
        step(batch)
    (loss, *embeddings), (nothing, *added) = seen
    assert nothing is None
    assert loss.item() == plain
    for side, given, found, right in zip((a, b), embeddings, added, expected, strict=True):
        assert torch.equal(given, side)
        torch.testing.assert_close(found, right)


def test_decay_of_candidates_counts_each_that_is_right():
    """Each is a record of its own with what it is right for."""
    settings = Config.build(
        {
            "enc0_network": "pooled_embedding",
            "enc1_network": "pooled_embedding",
            "enc_dim": 4,
            "enc0_vocab_size": 4,
            "enc1_vocab_size": 5,
            "enc0_max_seq_len": 2,
            "enc1_max_seq_len": 2,
            "output_layer": "dot_product",
            "candidates": "all",
            "embedding_decay": 0.3,
        }
    )
    step = Step(new_network(settings, KERNELS["reference"]()).train())
    ragged = {"in0": Ragged.build([[1], [2]]), "in1": Ragged.build([[1, 4], [4]])}
    batch = Batch(*against_all({**ragged, "label": np.ones(2, np.float32)}, settings))
    seen: list = []
    backward = torch.autograd.backward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.autograd, "backward", lambda *of: seen.extend(of) or backward(*of))
        step(batch)
    (_, a, b), (_, of_a, of_b) = seen
    counts0, counts1 = torch.tensor([[2.0], [1]]), torch.tensor([[1.0], [0], [0], [2]])
    torch.testing.assert_close(of_a, 0.3 / 2 * counts0 * a)
    torch.testing.assert_close(of_b, 0.3 / 2 * counts1 * b)


def test_a_side_that_does_not_learn_does_not_decay():
    step, (batch, *_) = steps_of(
        config(embedding_decay=0.7, enc0_freeze_pretrained_embedding=True), "reference"
    )
    step.network.table(0).is_frozen = True
    seen: list = []
    backward = torch.autograd.backward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.autograd, "backward", lambda *of: seen.extend(of) or backward(*of))
        encoded = step(batch)
    (_, only), (_, added) = seen
    assert only is encoded.b
    torch.testing.assert_close(added, 0.7 / len(batch) * encoded.b.detach())


@each_storage
@each_kernel
@pytest.mark.parametrize("tied", [False, True])
def test_clipping_takes_the_norm_over_everything(kernel, storage, tied):
    """An update of size 1 is the gradient; scaled down it has the length that is allowed."""
    changes = []
    for most in (0.0, 0.05, 1e6):
        made = config(
            optimizer="sgd",
            learning_rate=1.0,
            gradient_clip_norm=most,
            token_embedding_storage_type=storage,
            tied_token_embedding_weight=tied,
        )
        step, (batch, *_) = steps_of(made, kernel)
        before = {name: tensor.clone() for name, tensor in step.network.state_dict().items()}
        step(batch)
        after = step.network.state_dict()
        changes.append(torch.cat([(before[n] - after[n]).reshape(-1) for n in before]).double())
    whole, clipped, unclipped = changes
    assert torch.equal(whole, unclipped)
    assert float(whole.norm()) > 0.1
    assert float(clipped.norm()) == pytest.approx(0.05, rel=1e-4)
    torch.testing.assert_close(clipped, whole * 0.05 / whole.norm(), rtol=1e-3, atol=1e-6)


def test_noise_has_the_variance_of_langevin_dynamics():
    """With a gradient of 0 sgd is left with its noise: sqrt(2 lr T / N)."""
    made = config(
        optimizer="sgd",
        learning_rate=0.5,
        noise_temperature=3.0,
        enc_dim=1000,
        mlp_dim=1000,
        enc0_token_embedding_dim=1000,
    )
    network = new_network(made, KERNELS["compiled"]())
    optimizer = Optimizer(network, made, KERNELS["compiled"](), Horizon(10, 20))
    before = network.head.hidden[0].weight.detach().clone()
    optimizer.step()
    change = network.head.hidden[0].weight.detach() - before
    assert float(change.var()) == pytest.approx(2 * 0.5 * 3 / 20, rel=0.01)
    again = new_network(made, KERNELS["compiled"]())
    for steps, is_same in ((1, True), (2, False)):
        other = Optimizer(again, made, KERNELS["compiled"](), Horizon(10, 20))
        other.steps = steps - 1
        start = again.head.hidden[0].weight.detach().clone()
        other.step()
        moved = again.head.hidden[0].weight.detach() - start
        assert torch.allclose(moved, change, atol=1e-6) == is_same


@each_storage
@each_kernel
def test_noise_of_one_weight_says_nothing_of_another(kernel, storage):
    """Weights of one shape, rows of both tables, and steps: each has draws of its own."""
    made = config(
        optimizer="sgd",
        noise_temperature=1.0,
        mlp_layers=2,
        enc_dim=4,
        mlp_dim=4,
        token_embedding_storage_type=storage,
    )
    step, (batch, *_) = steps_of(made, kernel)
    every = Ragged.build([list(range(12))])
    batch = Batch({"in0": every, "in1": every, "label": batch.label[:1]}, None)
    drawn = {}
    for number in range(2):
        before = {n: tensor.clone() for n, tensor in step.network.state_dict().items()}
        step.optimizer.rule = replace(step.optimizer.rule, learning_rate=1e-6)
        step(batch)
        for name, tensor in step.network.state_dict().items():
            drawn[number, name] = (tensor - before[name]).flatten()
    for (one, a), (other, b) in itertools.combinations(drawn.items(), 2):
        length = min(len(a), len(b))
        moved = a[:length] != 0
        if length >= 4 and moved.sum() >= 4:
            assert not torch.allclose(a[:length], b[:length], rtol=1e-2, atol=2e-6), (one, other)
    assert sum(bool((each != 0).any()) for each in drawn.values()) >= 8


def test_a_schedule_without_a_horizon_is_our_bug():
    made = config(learning_rate_schedule="linear")
    assert schedule.needs_horizon(made)
    with pytest.raises(AssertionError, match="our bug"):
        Step(new_network(made, KERNELS["compiled"]()))


@pytest.mark.parametrize("name", ["learning_rate_schedule", "warmup", "decoupled_weight_decay"])
def test_what_a_rule_has_no_use_for_is_said(name):
    value = {"learning_rate_schedule": "linear", "warmup": 0.1, "decoupled_weight_decay": True}
    made = config(optimizer="adadelta", **{name: value[name]})
    said = f"optimizer is set to adadelta. Ignoring the hyperparameter '{name}'."
    assert said in [note.text for note in made.notes]


@each_kernel
def test_noise_throws_no_token_out_of_what_it_counts(kernel):
    """Where a gradient is next to nothing Adam's noise is large, and what tokens count is e^x."""
    given = (
        SIZES
        | OF_RANKING
        | {
            "output_layer": "ranking",
            "ranking_scale": 5,
            "enc0_idf_exponent": 1.0,
            "kernel": kernel,
            "token_init": "unit",
            "learning_rate": 0.01,
            "optimizer": "adam",
        }
    )
    model = Object2Vec(**given).fit(data() | {"label": np.ones(10)})
    for side in (0, 1):
        lengths = model.artifact.network.table(side).weight.norm(dim=1)
        assert 0 < lengths.max() < 1000


def test_a_column_without_tokens_and_noise_is_trained_on(tmp_path):
    made = config(noise_temperature=1.0, gradient_clip_norm=0.1, weight_averaging=1.0)
    step, (batch, *_) = steps_of(made, "compiled")
    empty = Ragged.build([[]] * len(batch))
    step(Batch({"in0": empty, "in1": empty, "label": batch.label}, None))
    assert all(torch.isfinite(tensor).all() for tensor in step.network.state_dict().values())
