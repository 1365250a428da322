"""Triton's kernel where it differs from the others: chunks of long runs, blocks of columns, GPUs.

What it shares with them is in test_kernels.py. Both files run in Triton's interpreter too.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from object2vec.kernels import kernel_for
from object2vec.kernels.base import Lookup, Tape
from object2vec.kernels.cpu.kernel import CompiledKernel
from object2vec.kernels.rules import RULES, Parameter, Update
from object2vec.objects.ragged import Ragged
from support.kernels import (
    EPS,
    HAS_TRITON,
    IS_INTERPRETED,
    agree,
    needs_triton,
    triton_kernel,
)

needs_module = pytest.mark.skipif(not HAS_TRITON, reason="needs triton")
each_optimizer = pytest.mark.parametrize("optimizer", list(RULES))
each_update = pytest.mark.parametrize("update", ["update_rows", "update_table"])


def tape_of(lookups: list, width: int, seed: int = 0) -> Tape:
    """Lookups of sequences, with random gradients."""
    generator, tape = np.random.default_rng(seed), Tape()
    for sequences in lookups:
        column = Ragged.build([np.array(s, np.int32) for s in sequences])
        gradient = generator.normal(size=(len(column), width)).astype(np.float32)
        tape.append(Lookup(*map(torch.from_numpy, (column.values, column.offsets, gradient))))
    return tape


def changed(kernel, update, rule, tape, vocab, width, steps=1) -> list:
    """Weight and state after some steps with one tape."""
    generator = np.random.default_rng(1)
    weight = torch.from_numpy(generator.normal(size=(vocab, width)).astype(np.float32))
    parameter = Parameter.new(rule, weight)
    for step in range(1, steps + 1):
        getattr(kernel, update)(Update(rule, step), parameter, tape)
    return list(parameter.tensors())


def summed(tape: list, vocab: int, width: int, chunk: int) -> np.ndarray:
    """The gradient of each row, its shares added in the order that cuda.py says."""
    ids = np.concatenate([lookup.ids.numpy() for lookup in tape])
    shares = []
    for lookup in tape:
        lengths = lookup.offsets.diff().numpy()
        scales = np.float32(1) / np.maximum(lengths, 1).astype(np.float32)
        shares.append(np.repeat(lookup.gradient.numpy() * scales[:, None], lengths, axis=0))
    order = np.argsort(ids, kind="stable")
    ids, shares = ids[order], np.concatenate(shares)[order]
    gradient = np.zeros((vocab, width), np.float32)
    at = 0
    while at < len(ids):
        whole = at % chunk == 0 and at + chunk <= len(ids) and ids[at] == ids[at + chunk - 1]
        part = np.zeros(width, np.float32)
        for share in shares[at : at + (chunk if whole else 1)]:
            part += share
        gradient[ids[at]] += part
        at += chunk if whole else 1
    return gradient


def same(kernel, one: list, other: list) -> bool:
    return all(agree(kernel, a, b) for a, b in zip(one, other, strict=True))


sequences = st.lists(st.lists(st.sampled_from([1, 1, 1, 1, 2, 3, 8]), max_size=9), max_size=9)


@needs_triton
@given(
    lookups=st.lists(sequences, min_size=1, max_size=3),
    width=st.sampled_from([1, 3, 130]),
    chunk=st.sampled_from([1, 2, 4]),
    update=st.sampled_from(["update_rows", "update_table"]),
    optimizer=st.sampled_from(list(RULES)),
)
@settings(max_examples=150)
def test_any_run_is_summed_by_chunks_in_the_order_of_the_batch(
    lookups, width, chunk, update, optimizer
):
    """The same as one lookup of every touched row, whose gradient is the sum."""
    rule, kernel = RULES[optimizer](0.1, 0.01), triton_kernel()
    tape = tape_of(lookups, width)
    touched = np.unique(np.concatenate([lookup.ids.numpy() for lookup in tape]))
    gradient = torch.from_numpy(summed(tape, 9, width, chunk)[touched])
    sums = Tape([Lookup(torch.from_numpy(touched), torch.arange(len(touched) + 1), gradient)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("object2vec.kernels.cuda.kernel._CHUNK", chunk)
        found = changed(kernel, update, rule, tape, 9, width, steps=2)
    assert same(kernel, found, changed(CompiledKernel(), update, rule, sums, 9, width, steps=2))


@needs_triton
@each_update
@pytest.mark.parametrize("before", [0, 1, 127])
@pytest.mark.parametrize("count", [127, 128, 129, 255, 256, 257, 700])
def test_a_frequent_token_gets_its_whole_gradient(count, before, update):
    tape = tape_of([[[0] * before, [2, 3]], [[2] * count, [], [5, 2]]], 3)
    kernel, rule = triton_kernel(), RULES["sgd"](1.0)
    (weight,) = changed(kernel, update, rule, tape, 9, 3)
    (start,) = changed(kernel, update, RULES["sgd"](0.0), tape, 9, 3)
    gradient = np.zeros((9, 3))
    for lookup in tape:
        lengths = lookup.offsets.diff().numpy()
        shares = lookup.gradient.numpy().astype(np.float64) / np.maximum(lengths, 1)[:, None]
        np.add.at(gradient, lookup.ids.numpy(), np.repeat(shares, lengths, axis=0))
    # As many roundings as there are terms, at most, of sums of size 1.
    np.testing.assert_allclose((start - weight).numpy(), gradient, atol=count * EPS)
    expected = start - torch.from_numpy(summed(tape, 9, 3, 128))
    assert agree(kernel, weight, expected)


@needs_triton
@each_update
@each_optimizer
@pytest.mark.parametrize("width", [1, 2, 3, 127, 128, 129, 300])
def test_any_width_is_covered_and_nothing_beside_it(width, optimizer, update):
    tape = tape_of([[[1, 2, 2], [], [3]], [[2, 7], [7]]], width)
    rule, kernel = RULES[optimizer](0.1, 0.02), triton_kernel()
    ours = changed(kernel, update, rule, tape, 9, width, steps=2)
    assert same(kernel, ours, changed(CompiledKernel(), update, rule, tape, 9, width, steps=2))
    x = tape[1].gradient  # (2, E)
    weight, ids, offsets = ours[0], tape[0].ids, tape[0].offsets
    for coefficients in (None, torch.linspace(-1, 2, len(ids))):
        lookup = Lookup(ids, offsets, coefficients=coefficients)
        assert agree(kernel, kernel.pool(weight, lookup), CompiledKernel().pool(weight, lookup))
    assert torch.equal(kernel.segment_max(x, torch.tensor([0, 2])), x.amax(0, keepdim=True))


@needs_triton
@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 3000])
@each_optimizer
def test_any_size_of_a_parameter_is_covered(size, optimizer):
    rule, found, kernel = RULES[optimizer](0.1, 0.02), [], triton_kernel()
    gradient = torch.from_numpy(np.random.default_rng(0).normal(size=size).astype(np.float32))
    for made in (kernel, CompiledKernel()):
        weight = torch.ones(size + 1)[:size]  # in a larger memory, whose end must not change
        parameter = Parameter.new(rule, weight)
        made.update_dense(Update(rule, 1), parameter, gradient)
        found.append(parameter.tensors())
        assert weight.untyped_storage().nbytes() == 4 * (size + 1)
        assert weight.as_strided((1,), (1,), size).item() == 1
    assert same(kernel, *found)


@needs_triton
@each_optimizer
def test_lookups_of_nothing_change_what_the_rule_changes(optimizer):
    """All sequences are empty: no row is touched, but momentum moves a dense table."""
    rule, kernel = RULES[optimizer](0.1, 0.02), triton_kernel()
    empty, some = tape_of([[[], []], [[]]], 3), tape_of([[[1, 1]]], 3)
    weight = torch.ones(9, 3)
    parameter = Parameter.new(rule, weight)
    kernel.update_table(Update(rule, 1), parameter, some)
    before = parameter.rows(torch.arange(9))  # a copy
    kernel.update_rows(Update(rule, 2), parameter, empty)
    tensors = zip(before.tensors(), parameter.tensors(), strict=True)
    assert all(torch.equal(a, b) for a, b in tensors)
    kernel.update_table(Update(rule, 2), parameter, empty)
    CompiledKernel().update_table(Update(rule, 2), before, empty)
    assert same(kernel, parameter.tensors(), before.tensors())
    assert (weight[2:] < 1).all()  # the decay alone
    assert kernel.pool(weight, Lookup(empty[1].ids, torch.tensor([0]))).shape == (0, 3)


@needs_triton
def test_a_gradient_may_lie_in_memory_as_autograd_left_it():
    """`sum` hands over one number, seen as a matrix; a transposed one comes from a product."""
    kernel, rule = triton_kernel(), RULES["sgd"](1.0)
    one, many = torch.ones(()).expand(2, 3), torch.arange(6.0).reshape(3, 2).T
    ids, offsets = torch.tensor([1, 2], dtype=torch.int32), torch.arange(3)
    for gradient in (one, many):
        weight = torch.zeros(4, 3)
        lookup = Lookup(ids, offsets, gradient)
        kernel.update_rows(Update(rule, 1), Parameter(weight, ()), Tape([lookup]))
        assert torch.equal(weight[1:3], -gradient)
        flat = torch.zeros(2, 3)
        kernel.update_dense(Update(rule, 1), Parameter(flat, ()), gradient)
        assert torch.equal(flat, -gradient)


@needs_triton
@pytest.mark.skipif(not IS_INTERPRETED, reason="test_gpu.py has it for a GPU")
def test_rows_beyond_two_to_the_31_numbers_are_found():
    kernel, vocab, width = triton_kernel(), 2**21 + 3, 1024
    try:
        weight = torch.empty(vocab, width)  # costs no memory but for the pages that are touched
    except RuntimeError:
        pytest.skip("not enough address space")
    assert weight.numel() > 2**31
    weight[0], weight[-1], weight[-2] = 1.0, 2.0, 3.0
    ids, offsets = torch.tensor([vocab - 1, 0], dtype=torch.int32), torch.tensor([0, 2])
    assert (kernel.pool(weight, Lookup(ids, offsets)) == 1.5).all()
    tape = Tape([Lookup(ids, offsets, torch.ones(1, width))])
    kernel.update_rows(Update(RULES["sgd"](1.0), 1), Parameter(weight, ()), tape)
    assert (weight[-1] == 1.5).all()
    assert (weight[-2] == 3.0).all()
    assert (weight[0] == 0.5).all()


@needs_triton
@each_optimizer
def test_a_gradient_that_is_no_number_is_not_hidden(optimizer):
    tape = tape_of([[[1, 2]]], 3)
    tape[0].gradient[0, 1] = float("nan")
    found = changed(triton_kernel(), "update_rows", RULES[optimizer](0.1), tape, 4, 3)
    for tensor in found:
        assert tensor.isnan().nonzero().tolist() == [[1, 1], [2, 1]]


@needs_module
def test_a_gpu_gets_tritons_kernel_if_it_runs_there(monkeypatch, caplog):
    monkeypatch.setattr("object2vec.kernels.cuda.kernel.probe", lambda device: None)
    assert kernel_for("auto", "cuda:0").name == kernel_for("compiled", "cuda:1").name == "triton"
    assert kernel_for("reference", "cuda:0").name == "reference"
    assert caplog.text == ""

    def fail(device):
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC.")

    monkeypatch.setattr("object2vec.kernels.cuda.kernel.probe", fail)
    with caplog.at_level(logging.WARNING):
        assert kernel_for("auto", "cuda:0").name == "reference"
    assert [record.getMessage() for record in caplog.records] == [
        "The GPU's kernels need triton (RuntimeError: Failed to find C compiler.); "
        "using plain PyTorch, slower."
    ]


FLOATS, INTS, LONGS = "*fp32", "*i32", "*i64"
ARRAYS = {"weights": FLOATS, "firsts": FLOATS, "seconds": FLOATS}
SHARES = {"owners": INTS, "coefficients": FLOATS, "gradient": FLOATS}
CONSTANTS = ("fp32",) * 7
ROW = {"width": "i32", "BLOCK": 128}
PROGRAMS = {
    "pool": {
        "weight": FLOATS,
        "ids": INTS,
        "coefficients": FLOATS,
        "offsets": LONGS,
        "pooled": FLOATS,
        "IS_WEIGHTED": False,
        **ROW,
    },
    "segment_max": {"x": FLOATS, "offsets": LONGS, "maxima": FLOATS, "rows": LONGS, **ROW},
    "spread": {
        "owners": INTS,
        "shares": FLOATS,
        "coefficients": FLOATS,
        "offsets": LONGS,
        "first": "i64",
        "row": "i32",
        "IS_WEIGHTED": True,
        "BLOCK": 64,
    },
    "arrange": {
        "ids": INTS,
        "order": LONGS,
        "owners": INTS,
        "shares": FLOATS,
        "sorted_owners": INTS,
        "sorted_shares": FLOATS,
        "is_first": "*i1",
        "count": "i32",
        "BLOCK": 1024,
    },
    "sum_chunks": {"partials": FLOATS, "ids": INTS, **SHARES, "CHUNK": 128, **ROW},
    "update_rows": {
        **ARRAYS,
        "ids": INTS,
        "starts": LONGS,
        **SHARES,
        "partials": FLOATS,
        "c": CONSTANTS,
        "CHUNK": 128,
        "IS_TABLE": False,
        **ROW,
    },
    "update_flat": {**ARRAYS, "gradient": FLOATS, "size": "i32", "c": CONSTANTS, "BLOCK": 1024},
}
RULED = [(name, rule) for name in PROGRAMS for rule in (RULES if "update" in name else [None])]


@needs_module
@pytest.mark.skipif(IS_INTERPRETED, reason="interpreted programs are not compiled")
@pytest.mark.parametrize("capability", [75, 90])
@pytest.mark.parametrize(("name", "rule"), RULED)
def test_every_program_compiles_for_gpus_and_rounds_as_it_should(name, rule, capability):
    """No GPU is needed for it: Triton brings the assembler."""
    import triton
    from triton.backends.compiler import GPUTarget

    from object2vec.kernels.cuda import programs

    program = getattr(programs, name)
    states = len(RULES[rule].state_names) if rule else 0
    given = {"RULE": rule, "STATES": states, **PROGRAMS[name]}
    signature = {
        n: given[n] if n != "RULE" and not isinstance(given[n], int) else "constexpr"
        for n in program.arg_names
    }
    fixed = {n: given[n] for n, kind in signature.items() if kind == "constexpr"}
    source = triton.compiler.ASTSource(program, signature, fixed)
    target = GPUTarget("cuda", capability, 32)
    compiled = triton.compile(source, target, {"num_warps": 1, "enable_fp_fusion": False})
    assert len(compiled.asm["cubin"]) > 0
    code = compiled.asm["ptx"]
    for rounded_otherwise in ("fma.", "div.full", "div.approx", "sqrt.approx", "rsqrt", ".ftz"):
        assert rounded_otherwise not in code
    assert ("sqrt.rn" in code) == (rule not in (None, "sgd"))
    assert "atom." not in code
    assert "red." not in code
