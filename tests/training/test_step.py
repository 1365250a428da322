"""One update: its masks, its arithmetic where there is nothing to learn from, and its clock."""

from __future__ import annotations

import time

import numba
import numpy as np
import pytest
import torch
from numba.core import event

from object2vec import Config
from object2vec.kernels import kernel_for
from object2vec.kernels.compiling import CompileClock
from object2vec.kernels.rules import RULES
from object2vec.network.dropout import Dropout
from object2vec.network.network import new_network
from object2vec.objects.ragged import Ragged
from object2vec.pairs.batches import Batch
from object2vec.training.step import Step

EPS = float(np.finfo(np.float32).eps)


def make_step(**given) -> Step:
    settings = {
        "enc0_max_seq_len": 6,
        "enc0_vocab_size": 20,
        "enc0_token_embedding_dim": 5,
        "enc_dim": 6,
        "enc0_layers": 2,
        "mlp_dim": 8,
        "mlp_layers": 1,
        "mlp_activation": "tanh",
        "seed": 3,
    }
    config = Config.build(settings | given)
    return Step(new_network(config, kernel_for(config.kernel, "cpu")).train())


def batch_of(in0: list, in1: list) -> Batch:
    label = np.arange(len(in0), dtype=np.float32) % 2
    columns = {"in0": Ragged.build(in0), "in1": Ragged.build(in1, "in1"), "label": label}
    return Batch(columns, None)


FULL = batch_of([[1, 2, 3], [4], [5, 6], [7, 8]], [[1], [2, 3], [4], [5]])


@pytest.mark.parametrize("network", ["pooled_embedding", "hcnn", "bilstm"])
def test_two_steps_drop_other_numbers_and_the_same_step_drops_the_same(network):
    def masks(steps: int, **given) -> list:
        step = make_step(enc0_network=network, dropout=0.5, learning_rate=1e-6, **given)
        seen: list = []
        for module in step.network.modules():
            if isinstance(module, Dropout):
                module.register_forward_hook(lambda _, x, y: seen.append((y == 0) & (x[0] != 0)))
        found = []
        for _ in range(steps):
            seen.clear()
            step(FULL)
            found.append([mask.clone() for mask in seen])
        return found

    def same(one: list, other: list) -> bool:
        return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    first, second = masks(2)
    assert any(mask.any() for mask in first)
    assert not same(first, second)
    assert same(masks(1)[0], first)
    assert same(masks(2)[1], second)
    assert not same(masks(1, seed=4)[0], first)


@pytest.mark.parametrize("kernel", ["compiled", "reference"])
@pytest.mark.parametrize("optimizer", list(RULES))
def test_a_side_without_tokens_is_updated_with_a_gradient_of_zero(optimizer, kernel):
    """Moments and weight decay move its weights all the same, as the rule's formula says."""
    step = make_step(
        enc0_network="hcnn",
        optimizer=optimizer,
        learning_rate=0.05,
        weight_decay=0.1,
        kernel=kernel,
    )
    step(FULL)  # gives the rule some state
    parameters = {n: p for n, p in step.network.named_parameters() if n.startswith("encoders.0")}
    assert len(parameters) == 4
    rule, expected = step.optimizer.rule, {}
    for name, parameter in parameters.items():
        weight = parameter.detach().clone()
        state = [part.clone() for part in step.optimizer.parameters[name].state]
        decay = rule.weight_decay if parameter.dim() > 1 else 0.0
        rule.apply(weight, torch.zeros_like(weight), state, step.count + 1, decay)
        expected[name] = weight, state
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    step(batch_of([[], [], [0], []], [[1], [2, 3], [4], [5]]))
    for name, (weight, state) in expected.items():
        close = {"rtol": 100 * EPS, "atol": EPS}
        torch.testing.assert_close(parameters[name].detach(), weight, **close)
        for found, part in zip(step.optimizer.parameters[name].state, state, strict=True):
            torch.testing.assert_close(found, part, **close)
        if parameters[name].dim() > 1:
            assert not torch.equal(before[name], weight), "nothing was compared"


def test_the_clock_counts_what_a_kernel_compiles_for_itself_once(monkeypatch):
    now, starts = [0.0], []
    monkeypatch.setattr("object2vec.kernels.compiling.time.monotonic", lambda: now[0])
    clock, found = CompileClock(lambda: starts.append(now[0])), []

    def at(second):
        now[0] = second
        found.append(clock())

    with clock.running():
        at(1.0)
        with event.trigger_event("numba:compile"):
            at(2.0)
            with event.trigger_event("numba:compile"):
                at(4.0)
            at(8.0)
        at(16.0)
        with event.trigger_event("numba:compile"):
            at(32.0)
        at(64.0)
    assert found == [1.0, 1.0, 1.0, 1.0, 9.0, 9.0, 41.0]
    assert starts == [1.0]


def test_the_clock_stands_still_while_a_kernel_is_compiled():
    starts = []
    clock = CompileClock(lambda: starts.append(clock()))

    def work(x):
        return x + 1

    with clock.running():
        kernel = numba.njit(work)
        began, real = clock(), time.monotonic()
        kernel(1)  # compiled
        compile_s, counted_s = time.monotonic() - real, clock() - began
        kernel(2)
        kernel(1.5)  # and for another type
    assert len(starts) == 1
    assert starts[0] >= began
    assert 0 <= counted_s < compile_s / 2
    outer, now, inner = time.monotonic(), clock(), time.monotonic()
    time.sleep(0.01)
    least, passed, most = time.monotonic() - inner, clock() - now, time.monotonic() - outer
    assert least - 1e-6 <= passed <= most + 1e-6
