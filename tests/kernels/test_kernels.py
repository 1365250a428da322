"""The kernels: compiled equals plain PyTorch, all follow MXNet's formulas, threads change nothing.

Numba's and Triton's are compared with the reference bit for bit. All sum a token's shares in the
order of the batch and round after every operation in float32: Numba contracts nothing to fused
multiply-adds without `fastmath`, Triton's programs are told not to, and PyTorch computes each
elementwise operation by itself. The one exception is the square root: PyTorch takes Intel's vector
library for it, whose last bit may be wrong, so the fixture `exact_root` gives the reference the
correctly rounded root for these comparisons. Against the float64 oracles all stand as they are.
"""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from object2vec import Config
from object2vec.compiled.functions import Parallel
from object2vec.devices import set_threads
from object2vec.kernels import kernel_for
from object2vec.kernels.base import Lookup, Tape
from object2vec.kernels.cpu.kernel import CompiledKernel
from object2vec.kernels.cpu.loops.update import updates
from object2vec.kernels.cpu.warm import warm
from object2vec.kernels.reference import ReferenceKernel
from object2vec.kernels.rules import RULES, Parameter, Rule, Update
from object2vec.network.network import Network
from object2vec.network.tokens import TokenTable
from object2vec.objects.ragged import Ragged
from object2vec.pairs.batches import Batch
from object2vec.training.optimizer import Optimizer
from support import oracles
from support.kernels import EPS, KERNELS, OnGPU, agree, each_fast_kernel, each_kernel, needs_triton

OPTIMIZERS = list(RULES)
VOCAB, WIDTH = 9, 5

each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)
each_decay = pytest.mark.parametrize("weight_decay", [0.0, 0.03])
each_update = pytest.mark.parametrize("update", ["update_rows", "update_table"])
each_storage = pytest.mark.parametrize("storage", ["dense", "row_sparse"])


@pytest.fixture(scope="module")
def exact_root():
    """Round the reference's square roots correctly, as IEEE 754 asks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "sqrt", lambda x: torch.from_numpy(np.sqrt(x.numpy())))
        yield


# Steps of a table: each a tape of lookups; sequences repeat tokens, share them, or are empty.
STEPS = [
    [[[1, 2, 2], [], [3]]],
    [[[3, 3, 3, 3]], [[3], [1, 4]]],  # two lookups: tied encoders
    [[[5]]],
    [[[], [1]], [[], []], [[7, 7, 1]]],
    [[[8, 1, 2, 3, 4, 5, 6, 7], [8, 8]]],
]


@pytest.fixture
def threads():
    """Let a test choose the number of threads, and put it back to one."""
    yield set_threads
    set_threads(1)


@pytest.fixture(autouse=True)
def one_thread():
    set_threads(1)


def tape_of(sequences_of_lookups: list, generator: np.random.Generator, width: int = WIDTH) -> Tape:
    """Lookups with random gradients."""
    tape = Tape()
    for sequences in sequences_of_lookups:
        column = Ragged.build([np.array(s, np.int32) for s in sequences])
        gradient = generator.normal(size=(len(column), width)).astype(np.float32)
        tape.append(Lookup(*map(torch.from_numpy, (column.values, column.offsets, gradient))))
    return tape


def run(kernel, update: str, rule: Rule, steps=STEPS, vocab=VOCAB, width=WIDTH) -> list:
    """Weight and state after every step."""
    generator = np.random.default_rng(4)
    weight = torch.from_numpy(generator.normal(size=(vocab, width)).astype(np.float32))
    parameter, seen = Parameter.new(rule, weight), []
    for step, lookups in enumerate(steps, 1):
        tape = tape_of(lookups, generator, width)
        getattr(kernel, update)(Update(rule, step), parameter, tape)
        seen.append([tensor.clone() for tensor in parameter.tensors()])
    return seen


@each_update
@each_decay
@each_optimizer
@each_fast_kernel
@pytest.mark.usefixtures("exact_root")
def test_compiled_updates_are_the_reference_bit_for_bit(kernel, optimizer, weight_decay, update):
    rule, made = RULES[optimizer](0.1, weight_decay), kernel()
    compiled = run(made, update, rule)
    reference = run(ReferenceKernel(), update, rule)
    for ours, theirs in zip(compiled, reference, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert agree(made, one, other)
    before = compiled[0][0]
    assert not torch.equal(before, compiled[-1][0])
    assert all((state != 0).any() for state in compiled[-1][1:])


@each_update
@each_decay
@each_optimizer
@each_kernel
def test_updates_are_the_formulas_of_mxnet(kernel, optimizer, weight_decay, update):
    found = run(kernel(), update, RULES[optimizer](0.1, weight_decay))
    generator = np.random.default_rng(4)
    weight = generator.normal(size=(VOCAB, WIDTH)).astype(np.float32).astype(np.float64)
    state = [np.zeros((VOCAB, WIDTH)) for _ in range(oracles.STATES[optimizer])]
    for step, lookups in enumerate(STEPS, 1):
        gradients = [
            generator.normal(size=(len(sequences), WIDTH)).astype(np.float32)
            for sequences in lookups
        ]
        gradient, tokens = oracles.table_gradient(
            VOCAB, WIDTH, list(zip(lookups, gradients, strict=True))
        )
        rows = sorted(tokens) if update == "update_rows" else list(range(VOCAB))
        untouched = sorted(set(range(VOCAB)) - set(rows))
        part = [s[rows] for s in state]
        weight[rows] = oracles.update(
            optimizer, 0.1, weight_decay, step, weight[rows], gradient[rows], part
        )
        for whole, new in zip(state, part, strict=True):
            whole[rows] = new
        assert (gradient[sorted(tokens)] != 0).all()
        # Some ten roundings per step, of numbers of size 1.
        for one, other in zip(found[step - 1], [weight, *state], strict=True):
            np.testing.assert_allclose(one.numpy(), other, rtol=100 * EPS, atol=100 * EPS)
        if step > 1:  # lazy: what a step does not name stays bit for bit, moments too
            for now, before in zip(found[step - 1], found[step - 2], strict=True):
                assert torch.equal(now[untouched], before[untouched])


@each_decay
@each_optimizer
@pytest.mark.parametrize("shape", [(3,), (4, 5), (2, 3, 4), (130, 131)])
@pytest.mark.parametrize("decay", [True, False])
@each_fast_kernel
@pytest.mark.usefixtures("exact_root")
def test_dense_updates_are_the_formulas_and_the_reference(
    kernel, optimizer, weight_decay, shape, decay
):
    rule = RULES[optimizer](0.05, weight_decay)
    generator = np.random.default_rng(1)
    start = generator.normal(size=shape).astype(np.float32)
    gradients = generator.normal(size=(3, *shape)).astype(np.float32)
    results, fast = [], kernel()
    for made in (fast, ReferenceKernel()):
        weight = torch.from_numpy(start.copy())
        parameter = Parameter.new(rule, weight, decay)
        for step, gradient in enumerate(gradients, 1):
            made.update_dense(Update(rule, step), parameter, torch.from_numpy(gradient))
        results.append(parameter.tensors())
    for ours, theirs in zip(*results, strict=True):
        assert agree(fast, ours, theirs)
    expected = start.astype(np.float64)
    state = [np.zeros(shape) for _ in range(oracles.STATES[optimizer])]
    for step, gradient in enumerate(gradients.astype(np.float64), 1):
        wd = weight_decay if decay else 0.0
        expected = oracles.update(optimizer, 0.05, wd, step, expected, gradient, state)
    for one, other in zip(results[0], [expected, *state], strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=100 * EPS, atol=100 * EPS)


@each_update
@each_optimizer
@each_kernel
def test_a_first_gradient_of_a_token_in_two_lookups_is_summed_before_the_rule(
    kernel, optimizer, update
):
    """A rule is not linear: applying it twice with half the gradient would be something else."""
    rule = RULES[optimizer](0.1)
    ids, offsets = torch.tensor([2], dtype=torch.int32), torch.tensor([0, 1])
    gradient = torch.full((1, WIDTH), 0.5)
    weights = []
    for tape in (
        Tape([Lookup(ids, offsets, gradient), Lookup(ids, offsets, gradient)]),
        Tape([Lookup(ids, offsets, 2 * gradient)]),
    ):
        weight = torch.ones(VOCAB, WIDTH)
        getattr(kernel(), update)(Update(rule, 1), Parameter.new(rule, weight), tape)
        weights.append(weight)
    assert torch.equal(*weights)
    assert (weights[0][2] != 1).all()
    assert (weights[0][[0, 1, *range(3, VOCAB)]] == 1).all()


@each_optimizer
@each_storage
@pytest.mark.parametrize(("factor", "is_measured"), [(None, True), (0.3, True), (0.3, False)])
@each_kernel
def test_a_tape_that_is_measured_or_scaled_gives_the_bytes_of_scaled_coefficients(
    kernel, factor, is_measured, storage, optimizer
):
    """As clipping has it: what a kernel lists for the length serves the update, too."""
    rule, found = RULES[optimizer](0.1, 0.03), []
    for is_by_table in (False, True):
        made = table(storage, kernel=kernel())
        parameter, generator = Parameter.new(rule, made.weight), np.random.default_rng(3)
        for step, lookups in enumerate(STEPS, 1):
            for lookup in tape_of(lookups, generator):
                if factor and not is_by_table:
                    lookup.coefficients = lookup.shares() * factor
                made._tape.append(lookup)
            if is_by_table and is_measured:
                assert made.squares(parameter) > 0
            if is_by_table and factor:
                made.scale(parameter, factor)
            made.update(Update(rule, step), parameter)
            assert made._tape == []
            found.append([tensor.clone() for tensor in parameter.tensors()])
    for ours, theirs in zip(found[: len(STEPS)], found[len(STEPS) :], strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_occurrences_are_listed_once_for_a_length_and_an_update(monkeypatch):
    from object2vec.kernels.cpu import kernel as module

    lists, listing = [], module.list_tokens
    monkeypatch.setattr(module, "list_tokens", lambda *of: lists.append(1) or listing(*of))
    for storage in ("dense", "row_sparse"):
        made = table(storage)
        made._tape.extend(tape_of(STEPS[1], np.random.default_rng(3)))
        update, parameter = plain(made)
        made.squares(parameter)
        made.scale(parameter, 0.5)
        made.update(update, parameter)
    assert len(lists) == 2


columns = st.lists(st.lists(st.integers(0, VOCAB - 1), max_size=7), min_size=1, max_size=7)


@each_fast_kernel
@given(rows=columns)
def test_pooling_is_the_mean(kernel, rows):
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(VOCAB, WIDTH))).float()
    column = Ragged.build(rows)
    ids, offsets = torch.from_numpy(column.values), torch.from_numpy(column.offsets)
    made = kernel()
    compiled = made.pool(weight, Lookup(ids, offsets))
    assert agree(made, compiled, ReferenceKernel().pool(weight, Lookup(ids, offsets)))
    for found, row in zip(compiled.double(), rows, strict=True):
        mean = weight[row].double().mean(0) if row else torch.zeros(WIDTH).double()
        torch.testing.assert_close(found, mean, rtol=20 * EPS, atol=20 * EPS)


@each_update
@each_kernel
@given(rows=columns, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_coefficients_weigh_a_lookup_and_its_gradient(kernel, rows, seed, update):
    generator, column = np.random.default_rng(seed), Ragged.build(rows)
    weight = generator.normal(size=(VOCAB, WIDTH)).astype(np.float32)
    coefficients = generator.normal(size=len(column.values)).astype(np.float32)
    gradient = generator.normal(size=(len(rows), WIDTH)).astype(np.float32)
    pooled, expected = np.zeros((len(rows), WIDTH)), weight.astype(np.float64)
    for owner, token, c in zip(
        np.repeat(np.arange(len(rows)), column.lengths), column.values, coefficients, strict=True
    ):
        pooled[owner] += weight[token].astype(np.float64) * c
        expected[token] -= gradient[owner].astype(np.float64) * c
    arrays = (column.values, column.offsets, gradient, coefficients)
    lookup, made = Lookup(*map(torch.from_numpy, arrays)), kernel()
    table = Parameter(torch.from_numpy(weight), ())
    found = made.pool(table.weight, lookup)
    assert agree(made, found, ReferenceKernel().pool(table.weight, lookup))
    np.testing.assert_allclose(found.numpy(), pooled, rtol=0, atol=500 * EPS)
    getattr(made, update)(Update(RULES["sgd"](1.0), 1), table, Tape([lookup]))
    np.testing.assert_allclose(table.weight.numpy(), expected, rtol=0, atol=500 * EPS)


def test_the_reference_makes_its_own_tensors_where_those_lie_that_it_is_given():
    """On a GPU, that is; another default device shows it on any machine."""
    generator, column = np.random.default_rng(0), Ragged.build([[1, 2, 2], [4], [3, 1]])
    x = torch.from_numpy(generator.normal(size=(6, 3)).astype(np.float32))
    ids, offsets = torch.from_numpy(column.values), torch.from_numpy(column.offsets)

    kernel = ReferenceKernel()
    made = table(kernel=kernel, is_frozen=True)

    def results() -> list:
        found = [kernel.segment_max(x, offsets), made.pool(ids, offsets), made.rows(ids)]
        for update in ("update_rows", "update_table"):
            found += itertools.chain(*run(kernel, update, RULES["adam"](0.1, 0.03)))
        return found

    expected = results()
    with torch.device("meta"):
        for found, wanted in zip(results(), expected, strict=True):
            assert torch.equal(found, wanted)


@each_kernel
def test_the_first_of_equal_maxima_gets_the_whole_gradient(kernel):
    """PyTorch's segment_reduce halves a positive gradient of two equals and doubles a negative."""
    x = torch.tensor([[1.0, 2.0], [1.0, 3.0], [0.0, 3.0], [5.0, -5.0]], requires_grad=True)
    maxima = kernel().segment_max(x, torch.tensor([0, 3, 4]))
    assert maxima.tolist() == [[1.0, 3.0], [5.0, -5.0]]
    (maxima * torch.tensor([[-7.0, 8.0], [9.0, -10.0]])).sum().backward()
    assert x.grad.tolist() == [[-7.0, 0.0], [0.0, 8.0], [0.0, 0.0], [9.0, -10.0]]


segments = st.lists(st.integers(1, 5), min_size=1, max_size=6)


@each_kernel
@given(lengths=segments, extra=st.integers(0, 2), seed=st.integers(0, 2**32 - 1))
def test_segment_maxima_and_their_gradients_are_those_of_a_loop(kernel, lengths, extra, seed):
    generator = np.random.default_rng(seed)
    values = generator.integers(-2, 3, (sum(lengths), 3)).astype(np.float32)  # with many equals
    weights = generator.normal(size=(len(lengths), 3)).astype(np.float32)
    maxima, gradient = np.zeros_like(weights), np.zeros_like(values)
    starts = np.cumsum([0, *lengths])
    for i, (start, stop) in enumerate(itertools.pairwise(starts)):
        for column in range(3):
            place = max(range(start, stop), key=lambda row: values[row, column])
            maxima[i, column] = values[place, column]
            gradient[place, column] = weights[i, column]
    x = torch.from_numpy(np.append(values, np.full((extra, 3), np.float32(9)), 0)).requires_grad_()
    found = kernel().segment_max(x, torch.from_numpy(starts))
    assert np.array_equal(found.detach().numpy(), maxima)
    (found * torch.from_numpy(weights)).sum().backward()
    assert np.array_equal(x.grad.numpy()[: len(values)], gradient)
    assert (x.grad.numpy()[len(values) :] == 0).all()


@each_kernel
@given(
    lengths=segments,
    width=st.integers(1, 9),
    filters=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_of_taps_and_their_gradients_are_those_of_a_loop(
    kernel, lengths, width, filters, seed
):
    generator = np.random.default_rng(seed)
    gap = max(1, width // 2)
    mask = np.concatenate([*([0] * gap + [1] * length for length in lengths), [0] * gap])
    n, left = len(mask), (width - 1) // 2
    products = generator.integers(-3, 4, (n, width, filters)).astype(np.float32)
    bias = generator.integers(-3, 4, filters).astype(np.float32)
    weights = generator.integers(-3, 4, (n, filters)).astype(np.float32)
    sums, to_products, to_bias = np.zeros_like(weights), np.zeros_like(products), np.zeros(filters)
    for i in np.flatnonzero(mask):
        taps = [(i + tap - left, tap) for tap in range(width)]
        total = sum(products[place] for place in taps) + bias
        sums[i] = np.maximum(total, 0)
        passed = weights[i] * (total > 0)
        to_bias += passed
        for place in taps:
            to_products[place] += passed
    tensors = [torch.from_numpy(array).requires_grad_() for array in (products, bias)]
    found = kernel().sum_taps(*tensors, torch.from_numpy(mask.astype(np.float32)[:, None]))
    assert np.array_equal(found.detach().numpy(), sums)
    (found * torch.from_numpy(weights)).sum().backward()
    assert np.array_equal(tensors[0].grad.numpy(), to_products)
    assert np.array_equal(tensors[1].grad.numpy(), to_bias)


@each_kernel
def test_a_sum_of_taps_that_is_no_number_stays_one(kernel):
    products = torch.tensor([0.0, float("nan"), 0.0]).reshape(3, 1, 1)
    found = kernel().sum_taps(products, torch.zeros(1), torch.tensor([[0.0], [1.0], [0.0]]))
    assert found.isnan().ravel().tolist() == [False, True, False]


@each_kernel
def test_a_maximum_that_is_no_number_does_not_end_the_run(kernel):
    nan = float("nan")
    x = torch.tensor([[1.0], [nan], [2.0], [nan]], requires_grad=True)
    found = kernel().segment_max(x, torch.tensor([0, 4]))
    assert found.isnan().all()
    found.sum().backward()
    assert x.grad.ravel().tolist() == [0.0, 1.0, 0.0, 0.0]


@each_optimizer
@each_kernel
def test_a_step_without_any_token_moves_a_dense_table_and_no_row_of_a_sparse_one(kernel, optimizer):
    rule = RULES[optimizer](0.1, 0.01)
    for storage in ("dense", "row_sparse"):
        table = TokenTable(VOCAB, WIDTH, kernel(), storage, False)
        table.weight.copy_(torch.randn(VOCAB, WIDTH, generator=torch.Generator().manual_seed(1)))
        parameter = Parameter.new(rule, table.weight)
        table.pool(torch.tensor([1, 2], dtype=torch.int32), torch.tensor([0, 2])).sum().backward()
        table.update(Update(rule, 1), parameter)
        expected = parameter.rows(torch.arange(VOCAB))  # a copy
        if storage == "dense":
            Update(rule, 2).apply(expected, torch.zeros_like(expected.weight))
        table.update(Update(rule, 2), parameter)
        for ours, theirs in zip(parameter.tensors(), expected.tensors(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=20 * EPS, atol=20 * EPS)


@each_fast_kernel
@given(
    steps=st.lists(st.lists(columns, min_size=1, max_size=3), min_size=1, max_size=4),
    optimizer=st.sampled_from(OPTIMIZERS),
    update=st.sampled_from(["update_rows", "update_table"]),
)
@settings(max_examples=40)
@pytest.mark.usefixtures("exact_root")
def test_any_tapes_give_the_bytes_of_the_reference(kernel, steps, optimizer, update):
    rule, made = RULES[optimizer](0.1, 0.01), kernel()
    compiled = run(made, update, rule, steps)
    for ours, theirs in zip(compiled, run(ReferenceKernel(), update, rule, steps), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert agree(made, one, other)


def test_one_kernel_serves_tables_of_one_and_of_other_sizes():
    """The scratch array of a vocabulary size are shared: every update must leave them clean."""
    kernel, rule = CompiledKernel(), RULES["adam"](0.1)
    for vocab in (VOCAB, 2 * VOCAB, VOCAB):
        ours = run(kernel, "update_rows", rule, vocab=vocab)
        theirs = run(CompiledKernel(), "update_rows", rule, vocab=vocab)
        assert torch.equal(ours[-1][0], theirs[-1][0])


@each_update
@each_optimizer
def test_threads_change_no_byte_of_an_update(optimizer, update, threads):
    generator = np.random.default_rng(2)
    lengths = generator.integers(0, 9, 400)
    steps = [[[generator.zipf(1.3, n) % 300 for n in lengths]] for _ in range(3)]
    rule, found = RULES[optimizer](0.1, 0.01), []
    for count in (1, 2):
        assert threads(count) == count
        found.append(run(CompiledKernel(), update, rule, steps, vocab=300, width=33))
    for one, two in zip(*found, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@each_optimizer
def test_threads_change_no_byte_of_a_dense_update_or_a_lookup(optimizer, threads):
    generator = np.random.default_rng(2)
    start = generator.normal(size=(200, 150)).astype(np.float32)
    gradient = torch.from_numpy(generator.normal(size=start.shape).astype(np.float32))
    column = Ragged.build([generator.integers(0, 200, n) for n in generator.integers(0, 40, 300)])
    rule, found = RULES[optimizer](0.1, 0.01), []
    for count in (1, 2):
        threads(count)
        weight = torch.from_numpy(start.copy())
        parameter = Parameter.new(rule, weight)
        CompiledKernel().update_dense(Update(rule, 1), parameter, gradient)
        lookup = Lookup(torch.from_numpy(column.values), torch.from_numpy(column.offsets))
        pooled = CompiledKernel().pool(weight, lookup)
        found.append([pooled, *parameter.tensors()])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@each_kernel
def test_moments_end_as_zero_and_not_as_subnormal_numbers(kernel, optimizer):
    rule, made = RULES[optimizer](0.1), kernel()
    weight = torch.ones(4)
    parameter = Parameter.new(rule, weight)
    made.update_dense(Update(rule, 1), parameter, torch.full((4,), 1e-14))
    moment = parameter.state[-1].clone()
    assert ((moment == 0) | (moment >= 1e-30)).all()
    for step in range(2, 900):
        made.update_dense(Update(rule, step), parameter, torch.zeros(4))
    assert (parameter.state[0] == 0).all()
    assert torch.isfinite(weight).all()


def table(storage="row_sparse", is_frozen=False, kernel=None) -> TokenTable:
    made = TokenTable(VOCAB, WIDTH, kernel or CompiledKernel(), storage, is_frozen)
    made.weight.copy_(torch.arange(VOCAB * WIDTH).reshape(VOCAB, WIDTH) / 10)
    return made


def plain(made: TokenTable) -> tuple[Update, Parameter]:
    """A step of size one."""
    return Update(RULES["sgd"](1.0), 1), Parameter(made.weight, ())


IDS = torch.tensor([1, 2, 2, 5], dtype=torch.int32)
OFFSETS = torch.tensor([0, 3, 3, 4])


def test_a_frozen_table_records_nothing_and_never_changes():
    frozen = table(is_frozen=True)
    before = frozen.weight.clone()
    pooled = frozen.pool(IDS, OFFSETS)
    assert not pooled.requires_grad
    assert frozen._tape == []
    frozen.update(*plain(frozen))
    assert torch.equal(frozen.weight, before)
    assert torch.equal(pooled, table().pool(IDS, OFFSETS))


def test_a_lookup_without_gradient_is_not_recorded_or_not_applied():
    made = table()
    before = made.weight.clone()
    with torch.no_grad():
        made.pool(IDS, OFFSETS)
    assert made._tape == []
    made.pool(IDS, OFFSETS)  # recorded, but its output is not used by any loss
    made.update(*plain(made))
    assert made._tape == []
    assert torch.equal(made.weight, before)


@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
@each_kernel
def test_the_gradient_of_a_pooled_row_goes_to_its_tokens_in_equal_shares(kernel, storage):
    made = table(storage, kernel=kernel())
    before = made.weight.clone()
    (made.pool(IDS, OFFSETS) * torch.tensor([[3.0], [100.0], [5.0]])).sum().backward()
    made.update(*plain(made))
    change = (before - made.weight)[:, 0]
    torch.testing.assert_close(change, torch.tensor([0, 1.0, 2.0, 0, 0, 5.0, 0, 0, 0]))
    made.update(*plain(made))  # the tape was cleared
    torch.testing.assert_close((before - made.weight)[:, 0], change)


def make_network(
    optimizer: str, storage: str, kernel: str, **settings
) -> tuple[Network, Optimizer]:
    values = {
        "enc0_max_seq_len": 6,
        "enc0_vocab_size": 20,
        "enc0_token_embedding_dim": 5,
        "enc_dim": 6,
        "mlp_dim": 4,
        "mlp_activation": "tanh",
        "optimizer": optimizer,
        "learning_rate": 0.05,
        "token_embedding_storage_type": storage,
    }
    config = Config.build(values | settings)
    made = Network(config, KERNELS[kernel]())
    made.initialize(torch.Generator().manual_seed(2))
    return made.train(), Optimizer(made, config, made.table(0).kernel)


def learn(optimizer: str, storage: str, kernel: str, steps: int = 6, **settings) -> dict:
    """Weights after some steps of the whole model on random batches."""
    made, optimizer = make_network(optimizer, storage, kernel, **settings)
    generator = np.random.default_rng(7)
    for _ in range(steps):
        sides = [Ragged.build([generator.integers(0, 12, n) for n in (1, 3, 0, 6)])] * 2
        label = generator.integers(0, 2, 4).astype(np.float32)
        batch = Batch({"in0": sides[0], "in1": sides[1], "label": label}, None)
        made.objective.loss(made.encoded(batch)).backward()
        optimizer.step()
    return {name: tensor.clone() for name, tensor in made.state_dict().items()}


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


each_kernel_name = pytest.mark.parametrize(
    "kernel", ["compiled", "reference", pytest.param("triton", marks=needs_triton)]
)


NETWORKS = ["pooled_embedding", "hcnn", "bilstm"]


@each_kernel_name
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_row_sparse_sgd_is_dense_sgd_to_the_byte(name, tied, kernel):
    settings = {"enc0_network": name, "tied_token_embedding_weight": tied}
    dense = learn("sgd", "dense", kernel, **settings)
    assert same(dense, learn("sgd", "row_sparse", kernel, **settings))
    start = learn("sgd", "dense", kernel, steps=0, **settings)
    assert not same(dense, start)
    weight = "tokens.0.weight"
    changed = (dense[weight] != start[weight]).any(1)
    assert changed[1:12].sum() > 5  # tokens that occur, and no other one, nor padding
    assert not changed[12:].any()
    assert not changed[0]


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "adagrad", "adadelta"])
@pytest.mark.parametrize("name", NETWORKS)
def test_lazy_rules_differ_from_dense_ones_only_where_state_moves_untouched_rows(name, optimizer):
    """Without momentum an untouched row stands still anyway; with it, row_sparse freezes it."""
    dense = learn(optimizer, "dense", "compiled", enc0_network=name)
    lazy = learn(optimizer, "row_sparse", "compiled", enc0_network=name)
    assert same(dense, lazy) == (optimizer == "adagrad")


@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
@each_optimizer
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kernel", ["compiled", pytest.param("triton", marks=needs_triton)])
@pytest.mark.usefixtures("exact_root")
def test_a_whole_network_learns_the_same_bytes_by_either_kernel(
    kernel, name, optimizer, storage, monkeypatch
):
    settings = {"enc0_network": name, "weight_decay": 0.01, "tied_token_embedding_weight": True}
    compiled = learn(optimizer, storage, kernel, **settings)
    if kernel == "compiled":  # products have one library in both: the tables are what is compared
        monkeypatch.setattr(ReferenceKernel, "linear", staticmethod(CompiledKernel.linear))
    reference = learn(optimizer, storage, "reference", **settings)
    if isinstance(KERNELS[kernel](), OnGPU):  # roundings of six steps, through the whole network
        assert all(torch.allclose(compiled[n], reference[n], 1e-3, 1e-4) for n in reference)
    else:
        assert same(compiled, reference)


def test_biases_do_not_decay_and_weights_do():
    settings = {"enc0_network": "bilstm", "weight_decay": 0.5}
    made, optimizer = make_network("sgd", "dense", "compiled", **settings)
    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    for parameter in made.parameters():
        parameter.data.fill_(1.0)
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    kinds = set()
    for name, parameter in made.named_parameters():
        decayed = (parameter == 1 - 0.05 * 0.5).all()
        assert decayed if "weight" in name else (parameter == 1).all(), name
        kinds.add("weight" in name)
    assert kinds == {True, False}
    assert optimizer.parameters.keys() - before.keys() == {"tokens.0.weight", "tokens.1.weight"}


def test_the_reference_stands_in_where_what_a_kernel_needs_is_missing(monkeypatch, caplog):
    assert kernel_for("auto", "cpu").name == kernel_for("compiled", "cpu").name == "compiled"
    assert kernel_for("reference", "cpu").name == "reference"
    assert kernel_for("reference", "cuda:0").name == "reference"
    assert caplog.text == ""
    monkeypatch.setitem(sys.modules, "object2vec.kernels.cpu.kernel", None)
    monkeypatch.setitem(sys.modules, "object2vec.kernels.cuda.kernel", None)
    for device, needed in {
        "cpu": "The compiled kernels need numba (",
        "cuda:0": "The GPU's kernels need triton (ModuleNotFoundError: ",
    }.items():
        for name in ("auto", "compiled"):
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                assert kernel_for(name, device).name == "reference"
            assert needed in caplog.text
            assert len(caplog.records) == 1
    assert set_threads(1) == 1


def test_a_gpu_has_a_kernel_of_its_own_that_was_tried_there(monkeypatch, caplog):
    class OfGPU:
        name = "triton"

    tried: list = []
    module = types.SimpleNamespace(TritonKernel=OfGPU, probe=tried.append)
    monkeypatch.setitem(sys.modules, "object2vec.kernels.cuda.kernel", module)
    assert kernel_for("auto", "cuda:0").name == kernel_for("compiled", "cuda:1").name == "triton"
    assert kernel_for("reference", "cuda:0").name == "reference"
    assert tried == ["cuda:0", "cuda:1"]
    assert caplog.text == ""


PROGRAM = """
import threading
import torch
from object2vec.kernels.base import Lookup, Tape
from object2vec.kernels.cpu.kernel import CompiledKernel

weight, offsets = torch.ones(50, 8), torch.arange(1001)
lookup = Lookup(torch.arange(1000, dtype=torch.int32) % 50, offsets)
products, mask = torch.ones(1000, 3, 8), torch.ones(1000, 1)
mask[[0, -1]] = 0


def work():
    kernel = CompiledKernel()  # each model has its own
    for _ in range(300):
        assert (kernel.pool(weight, lookup) == 1).all()
        assert (kernel.segment_max(products[:, 0], offsets) == 1).all()
        assert kernel.sum_taps(products, torch.zeros(8), mask).sum() == 998 * 3 * 8


threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done")
"""


def test_warming_calls_every_kernel(monkeypatch):
    called, call = set(), Parallel.__call__

    def spy(kernel, *arguments, **options):
        called.add(kernel)
        return call(kernel, *arguments, **options)

    monkeypatch.setattr(Parallel, "__call__", spy)
    warm()
    of_rules = {kernel for rule in RULES for kernel in updates(rule, ())}
    assert len(of_rules) == 3 * len(RULES)
    others = {
        value
        for name, module in sys.modules.items()
        if name.startswith("object2vec.kernels.cpu.loops.")
        for value in vars(module).values()
        if isinstance(value, Parallel)
    }
    assert len(others) >= 8
    assert called >= of_rules | others


def test_threads_may_compute_at_once_whatever_numba_runs_on():
    """Numba's own threads, which all systems have, end the process if two callers meet there."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=os.environ | {"NUMBA_THREADING_LAYER": "workqueue"},
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
