"""What an update does beside its rule: every kernel against float64 loops and the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from object2vec.compiled.threads import use_threads
from object2vec.kernels import noise
from object2vec.kernels.base import Lookup, Tape
from object2vec.kernels.cpu.kernel import CompiledKernel
from object2vec.kernels.reference import ReferenceKernel
from object2vec.kernels.rules import RULES, Parameter, Update
from object2vec.objects.ragged import Ragged
from support import oracles
from support.kernels import EPS, OnGPU, each_fast_kernel, each_kernel

VOCAB, WIDTH = 9, 21
KEY = (0xDEADBEEF, 0xFFFFFFFE)
FROM = 2  # the steps after this one are averaged
# Steps of a table: each a tape of lookups; row 0 is never read, row 8 but once, at the start.
STEPS = [
    [[[1, 2, 2], [], [3, 8]]],
    [[[3, 3, 3, 3]], [[3], [1, 4]]],
    [[[5]]],
    [[[7, 7, 1], [6]]],
    [[[1, 2, 3, 4, 5, 6, 7], [2, 2]]],
    [[[2, 5]]],
]
EXTRAS = ("weights", "average", "noise", "decoupled")
each_update = pytest.mark.parametrize("update", ["update_rows", "update_table"])
# Compiling takes a second for each: all extras with every rule, one by one with Adam.
each_set = pytest.mark.parametrize(
    ("optimizer", "extras"),
    [
        *((optimizer, EXTRAS) for optimizer in RULES),
        *(("adam", (extra,)) for extra in EXTRAS),
        ("adam", ("weights", "average")),
    ],
    ids=lambda each: each if isinstance(each, str) else "+".join(each),
)


@pytest.fixture(autouse=True)
def one_thread():
    use_threads(1)
    yield
    use_threads(1)


def random(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def rule_of(optimizer: str, extras: tuple):
    return RULES[optimizer](0.1, 0.03, "decoupled" in extras)


def made_table(rule, extras: tuple, vocab: int = VOCAB, width: int = WIDTH) -> Parameter:
    weights, is_averaged = None, "average" in extras
    if "weights" in extras:
        start = torch.from_numpy(random(vocab, 1, seed=1))
        weights = Parameter.new(rule, start, False, is_averaged=is_averaged)
    return Parameter.new(
        rule,
        torch.from_numpy(random(vocab, width, seed=0)),
        weights=weights,
        is_averaged=is_averaged,
        is_table=True,
        number=3,
    )


def made_update(rule, step: int, extras: tuple) -> Update:
    return Update(
        rule,
        step,
        0.01 if "noise" in extras else 0.0,
        (KEY[0] ^ step, KEY[1]),
        FROM if "average" in extras else None,
    )


def tape_of(lookups: list, step: int, table: Parameter) -> Tape:
    """Lookups with random gradients; with weights of rows, coefficients that have them in."""
    tape = Tape()
    for number, sequences in enumerate(lookups):
        column = Ragged.build([np.array(s, np.int32) for s in sequences])
        gradient = random(len(column), table.weight.shape[1], seed=10 * step + number)
        lookup = Lookup(*map(torch.from_numpy, (column.values, column.offsets, gradient)))
        if table.weights is not None:
            lookup.coefficients = lookup.shares() * table.weights.weight[lookup.ids.long(), 0].exp()
        tape.append(lookup)
    return tape


def run(kernel, update: str, optimizer: str, extras: tuple, steps=STEPS, **sizes) -> list:
    """Everything that changes, after every step."""
    rule, seen = rule_of(optimizer, extras), []
    table = made_table(rule, extras, **sizes)
    for step, lookups in enumerate(steps, 1):
        tape = tape_of(lookups, step, table)
        getattr(kernel, update)(made_update(rule, step, extras), table, tape)
        seen.append([tensor.clone() for tensor in table.changing()])
    return seen


@pytest.mark.parametrize("extras", [(), ("weights",)])
@each_kernel
def test_the_length_of_a_gradient_is_that_of_its_sums_and_of_their_weights(kernel, extras):
    table = made_table(rule_of("sgd", extras), extras)
    made, weight = kernel(), table.weight.double()
    for step, lookups in enumerate(STEPS, 1):
        tape, gradient = tape_of(lookups, step, table), torch.zeros_like(weight)
        for lookup in tape:
            shares = lookup.gradient.repeat_interleave(lookup.offsets.diff(), 0).double()
            gradient.index_add_(0, lookup.ids.long(), shares * lookup.shares()[:, None])
        expected = gradient.square().sum()
        if extras:
            expected += (weight * gradient).sum(1).square().sum()
        assert made.squares(table, tape) == pytest.approx(float(expected), rel=100 * EPS)


def hashed_noise(step: int, number: int, row: int, column: int) -> float:
    """The noise of one number, with Python's own integers."""

    def mixed(x: int) -> int:
        x = ((x ^ x >> 16) * noise.MULTIPLIERS[0]) % 2**32
        x = ((x ^ x >> 15) * noise.MULTIPLIERS[1]) % 2**32
        return x ^ x >> 16

    start = mixed((mixed((row + (KEY[0] ^ step)) % 2**32) + KEY[1] + number) % 2**32)
    hashed = mixed((start + column * noise.STRIDE) % 2**32)
    return (sum(hashed.to_bytes(4, "big")) - 510) / np.sqrt(4 * (256**2 - 1) / 12)


class Oracle:
    """One parameter in float64, all of whose past is kept to take means of."""

    def __init__(self, optimizer, extras, weight, number, decays):
        self.optimizer, self.extras, self.number = optimizer, extras, number
        self.weight = weight.astype(np.float64)
        self.state = [np.zeros(weight.shape) for _ in range(oracles.STATES[optimizer])]
        self.wd = 0.03 if decays else 0.0
        self.past = []

    def change(self, step, rows, gradient, read):
        wd, part = self.wd, [state[rows] for state in self.state]
        if "decoupled" in self.extras and self.optimizer in ("adam", "rmsprop"):
            self.weight[rows] *= 1 - 0.1 * wd
            wd = 0.0
        new = oracles.update(self.optimizer, 0.1, wd, step, self.weight[rows], gradient, part)
        if "noise" in self.extras:
            new = new + np.sqrt(0.01 * self.rates(step, part)) * [
                [
                    hashed_noise(step, self.number, row, column) * (row in read)
                    for column in range(new.shape[1])
                ]
                for row in rows
            ]
        self.weight[rows] = new
        for whole, state in zip(self.state, part, strict=True):
            whole[rows] = state
        self.past.append(self.weight.copy())

    def rates(self, step, state):
        if self.optimizer == "sgd":
            return np.full(1, 0.1)
        if self.optimizer == "adam":
            correction = np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            return (state[1] > 0) * 0.1 * correction / (np.sqrt(state[1]) + 1e-8)
        if self.optimizer == "adadelta":
            return (state[0] > 0) * np.sqrt(state[1] + 1e-5) / np.sqrt(state[0] + 1e-5)
        return (
            (state[0] > 0)
            * 0.1
            / np.sqrt(state[0] + {"adagrad": 1e-7, "rmsprop": 1e-8}[self.optimizer])
        )


@each_update
@each_set
@each_kernel
def test_extras_of_a_table_are_their_formulas(kernel, optimizer, extras, update):
    found = run(kernel(), update, optimizer, extras)
    rule = rule_of(optimizer, extras)
    table = made_table(rule, extras)
    own = Oracle(optimizer, extras, table.weight.numpy(), 3, True)
    logs = None
    if table.weights is not None:
        quiet = tuple(each for each in extras if each != "noise")
        logs = Oracle(optimizer, quiet, table.weights.weight.numpy(), 0, False)
    read = np.zeros(VOCAB, bool)
    for step, lookups in enumerate(STEPS, 1):
        gradient, tokens = np.zeros((VOCAB, WIDTH)), set()
        for number, sequences in enumerate(lookups):
            shares = random(len(sequences), WIDTH, seed=10 * step + number)
            for sequence, share in zip(sequences, shares, strict=True):
                for token in sequence:
                    count = 1 if logs is None else np.exp(logs.weight[token, 0])
                    gradient[token] += share * count / len(sequence)
                    tokens.add(token)
        rows = sorted(tokens) if update == "update_rows" else list(range(VOCAB))
        read[rows] = True
        by_weight = (own.weight * gradient).sum(1, keepdims=True)
        own.change(step, rows, gradient[rows], tokens)
        if logs is not None:
            logs.change(step, rows, by_weight[rows], tokens)
        expected = [own.weight, *own.state]
        if "average" in extras:
            counted = found[step - 1][len(expected) + 1]
            expected += averages(own, counted)
        if logs is not None:
            expected += [logs.weight, *logs.state]
            if "average" in extras:
                expected += averages(logs, counted)[:1]
        for one, other in zip(found[step - 1], expected, strict=True):
            np.testing.assert_allclose(one.numpy(), other, rtol=2e-4, atol=2e-4)
    assert not read[0] or update == "update_table"
    assert (found[-1][0][1:] != torch.from_numpy(random(VOCAB, WIDTH, seed=0))[1:]).any(1).all()


def averages(oracle: Oracle, last: torch.Tensor) -> list:
    """The mean of each row up to the step that it is counted to, and that step."""
    mean, last = np.zeros_like(oracle.weight), last.numpy()
    for row, until in enumerate(last.tolist()):
        if until > FROM:
            mean[row] = np.mean([weight[row] for weight in oracle.past[FROM:until]], axis=0)
    return [mean, last]


@each_update
@each_set
@each_fast_kernel
def test_extras_are_those_of_the_reference(kernel, optimizer, extras, update, monkeypatch):
    """To the bit, but for the order of one sum over a row: the gradient of its weight."""
    made = kernel()
    if not isinstance(made, OnGPU):
        monkeypatch.setattr(torch.Tensor, "sqrt", lambda x: torch.from_numpy(np.sqrt(x.numpy())))
    is_exact = "weights" not in extras and not isinstance(made, OnGPU)
    tolerance = 0 if is_exact else 100 * EPS
    reference = run(ReferenceKernel(), update, optimizer, extras)
    for ours, theirs in zip(run(made, update, optimizer, extras), reference, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@each_update
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_threads_change_no_byte_of_the_extras(optimizer, update):
    generator = np.random.default_rng(2)
    steps = [[[generator.integers(300, size=n) for n in generator.integers(1, 9, 300)]]] * 4
    found = []
    for count in (1, 2):
        assert use_threads(count) == count
        kernel = CompiledKernel()
        found.append(run(kernel, update, optimizer, EXTRAS, steps, vocab=300, width=33))
    for one, two in zip(*found, strict=True):
        assert all(torch.isfinite(each).all() for each in one)
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("optimizer", list(RULES))
@each_kernel
def test_extras_of_a_whole_parameter_are_those_of_a_table_of_one_row(kernel, optimizer):
    """As every step touches it: the formulas are those of the test above."""
    extras, made = ("average", "noise", "decoupled"), kernel()
    rule, shape = rule_of(optimizer, extras), (130, 131)
    start, found = random(*shape, seed=1), []
    for is_table in (False, True):
        weight = torch.from_numpy(start.copy())
        weight = weight.view(1, -1) if is_table else weight
        parameter = Parameter.new(rule, weight, is_averaged=True, is_table=is_table, number=3)
        for step in range(1, 6):
            gradient = torch.from_numpy(random(*shape, seed=step))
            update = made_update(rule, step, extras)
            if is_table:
                ReferenceKernel().update_table(update, parameter, Tape([one_lookup(gradient)]))
            else:
                made.update_dense(update, parameter, gradient)
        found.append([tensor.reshape(-1) for tensor in parameter.tensors()])
        found[-1].append(parameter.average.mean.reshape(-1))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
        assert (one != 0).any()


def one_lookup(gradient: torch.Tensor) -> Lookup:
    ids, offsets = torch.zeros(1, dtype=torch.int32), torch.tensor([0, 1])
    return Lookup(ids, offsets, gradient.view(1, -1))


@pytest.mark.parametrize("size", [10_000])
def test_noise_has_mean_0_and_variance_1_and_repeats_nowhere(size):
    rows = torch.arange(size)
    drawn = noise.noise(KEY, 1, torch.empty(size, 50), rows).double()
    deviation = 1 / np.sqrt(drawn.numel())
    assert abs(float(drawn.mean())) < 4 * deviation
    assert abs(float(drawn.var()) - 1) < 6 * deviation
    for other in (
        noise.noise((KEY[0] + 1, KEY[1]), 1, drawn, rows),
        noise.noise(KEY, 2, drawn, rows),
        drawn.roll(1, 0),
        drawn.roll(1, 1),
    ):
        assert abs(float((drawn * other).mean())) < 4 * deviation


@given(st.lists(st.integers(0, 8), unique=True, min_size=1))
def test_noise_of_a_row_depends_on_no_other_row(rows):
    whole = noise.noise(KEY, 0, torch.empty(9, 7), torch.arange(9))
    index = torch.tensor(rows)
    assert torch.equal(noise.noise(KEY, 0, torch.empty(len(rows), 7), index), whole[index])
