"""What kernels compute beside token tables: the dense layer, and comparing pairs of embeddings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from object2vec.compiled.functions import compiled
from object2vec.devices import set_threads
from object2vec.kernels.cpu.kernel import CompiledKernel
from object2vec.kernels.cpu.loops.transpose import transpose_rows
from object2vec.kernels.reference import ReferenceKernel
from support.kernels import EPS, each_kernel

LISTS = [
    names
    for n in (1, 2, 3)
    for names in itertools.permutations(("hadamard", "concat", "abs_diff"), n)
]


@compiled
def transpose(source, start, stop, target):
    transpose_rows(source, start, stop, target)


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(a, np.float32)).requires_grad_() for a in arrays]


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"),
    [(1, 1, 1), (7, 5, 3), (64, 256, 1), (33, 300, 512), (130, 3, 40), (0, 4, 2)],
)
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("is_transposed", [True, False])
@pytest.mark.parametrize("activation", ["linear", "tanh", "relu"])
@each_kernel
def test_a_dense_layer_is_the_product_and_its_gradients(
    kernel, rows, inputs, outputs, has_bias, is_transposed, activation
):
    generator = np.random.default_rng(0)
    x, g = generator.normal(size=(rows, inputs)), generator.normal(size=(rows, outputs))
    w, b = generator.normal(size=(outputs, inputs)), generator.normal(size=outputs) * has_bias
    tx, tw, tb = tensors(x.T if is_transposed else x, w, b)
    y = kernel().linear(tx.T if is_transposed else tx, tw, tb if has_bias else None, activation)
    y.backward(torch.from_numpy(g).float())
    scale = EPS * 20 * (1 + max(rows, inputs, outputs))
    gx = tx.grad.T if is_transposed else tx.grad
    z = x @ w.T + b
    expected = {"linear": z, "tanh": np.tanh(z), "relu": np.maximum(z, 0)}[activation]
    g = g * {"linear": 1, "tanh": 1 - np.tanh(z) ** 2, "relu": z > 0}[activation]
    for ours, theirs in ((y, expected), (gx, g @ w), (tw.grad, g.T @ x)):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=0, atol=scale)
    if has_bias:
        np.testing.assert_allclose(tb.grad.numpy(), g.sum(0), rtol=0, atol=scale)


@each_kernel
def test_a_dense_layer_takes_a_gradient_of_any_strides_and_leaves_it_alone(kernel):
    x, w, b = tensors(np.ones((3, 2)), np.ones((4, 2)), np.zeros(4))
    gradient = torch.arange(12.0).reshape(4, 3).T  # (3, 4)
    before = gradient.clone()
    kernel().linear(x, w, b, "relu").backward(gradient)
    assert torch.equal(gradient, before)
    assert b.grad.tolist() == gradient.sum(0).tolist()
    assert w.grad.tolist() == [[total, total] for total in gradient.sum(0).tolist()]


@pytest.mark.parametrize("activation", ["linear", "tanh"])  # oneDNN's rectifier makes a 0 of it
@each_kernel
def test_a_dense_layer_that_diverged_stays_so(kernel, activation):
    x, w, b = tensors([[np.nan]], [[1.0]], [0.0])
    y = kernel().linear(x, w, b, activation)
    y.sum().backward()
    assert y.isnan().all()
    assert w.grad.isnan().all()


def test_a_dense_layer_without_onednn_is_that_of_pytorch(monkeypatch):
    x, w = torch.randn(5, 4), torch.randn(3, 4)
    monkeypatch.setattr("object2vec.kernels.cpu.dense._onednn", None)
    found = CompiledKernel().linear(x, w, None, "linear")
    assert torch.equal(found, torch.nn.functional.linear(x, w))


@given(
    rows=st.integers(1, 70),
    width=st.integers(1, 40),
    start=st.integers(0, 69),
    stop=st.integers(0, 70),
)
def test_transposing_rows_writes_these_columns_and_no_others(rows, width, start, stop):
    stop = min(stop, rows)
    source = np.arange(rows * width, dtype=np.float32).reshape(rows, width)
    target = np.full((width, rows), -1, np.float32)
    transpose(source, start, max(start, stop), target)
    assert np.array_equal(target[:, start:stop], source.T[:, start:stop])
    target[:, start:stop] = -1
    assert (target == -1).all()


def _compared(parts, a, b):
    made = {"hadamard": [a * b], "concat": [a, b], "abs_diff": [np.abs(a - b)]}
    return np.concatenate([part for name in parts for part in made[name]], axis=-1)


def _shares(parts, a, b, g):
    """Gradients of a record's two embeddings from that of its comparator vector."""
    to_a, to_b, first, width = np.zeros_like(a), np.zeros_like(b), 0, len(a)
    for name in parts:
        here = g[first : first + width]
        if name == "hadamard":
            to_a, to_b = to_a + here * b, to_b + here * a
        elif name == "abs_diff":
            to_a, to_b = to_a + here * np.sign(a - b), to_b - here * np.sign(a - b)
        else:
            first += width
            to_a, to_b = to_a + here, to_b + g[first : first + width]
        first += width
    return to_a, to_b


@pytest.mark.parametrize("parts", LISTS, ids=",".join)
@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    width=st.integers(1, 20),
    records=st.integers(0, 12),
    seed=st.integers(0, 2**32 - 1),
)
@each_kernel
def test_comparing_pairs_and_its_gradients_are_those_of_a_loop(
    kernel, parts, sizes, width, records, seed
):
    generator = np.random.default_rng(seed)
    a, b = (generator.integers(-2, 3, (n, width)).astype(np.float32) for n in sizes)
    rows0, rows1 = (generator.integers(0, n, records) for n in sizes)
    expected = _compared(parts, a[rows0], b[rows1])  # (B, C)
    g = generator.integers(-3, 4, expected.shape).astype(np.float32)
    to_a, to_b = np.zeros_like(a), np.zeros_like(b)
    for i, j, handed in zip(rows0, rows1, g, strict=True):
        one, two = _shares(parts, a[i], b[j], handed)
        to_a[i] += one
        to_b[j] += two
    ta, tb = tensors(a, b)
    found = kernel().compare(ta, tb, torch.from_numpy(rows0), torch.from_numpy(rows1), parts)
    assert np.array_equal(found.detach().numpy(), expected)
    found.backward(torch.from_numpy(g))
    assert np.array_equal(ta.grad.numpy(), to_a)
    assert np.array_equal(tb.grad.numpy(), to_b)


@pytest.mark.parametrize("side", [0, 1])
@each_kernel
def test_a_side_that_learns_nothing_gets_no_gradient(kernel, side):
    sides = tensors([[1.0, 2.0]], [[3.0, 5.0]])
    sides[side].requires_grad_(False)
    row = torch.tensor([0])
    kernel().compare(*sides, row, row, ["hadamard"]).sum().backward()
    assert sides[side].grad is None
    assert torch.equal(sides[1 - side].grad, sides[side])


@pytest.mark.parametrize("parts", LISTS, ids=",".join)
def test_what_is_no_number_stays_so_on_its_way_through_a_comparator(parts):
    """A run that diverged should look like it, whichever kernel it had."""
    found = []
    for kernel in (ReferenceKernel(), CompiledKernel()):
        a, b = tensors([[np.nan, 1.0]], [[1.0, np.nan], [2.0, 3.0]])
        rows = torch.tensor([0, 0]), torch.tensor([0, 1])
        out = kernel.compare(a, b, *rows, parts)
        out.sum().backward()
        found.append([tensor.isnan().tolist() for tensor in (out, a.grad, b.grad)])
    assert found[0] == found[1]


def test_threads_change_no_byte_of_a_layer_or_a_comparison():
    generator = torch.Generator().manual_seed(0)

    def results(threads):
        set_threads(threads)
        generator.manual_seed(0)
        x, w, b = (
            torch.randn(shape, generator=generator, requires_grad=True)
            for shape in ((300, 70), (50, 70), (50,))
        )
        rows = torch.randint(0, 300, (2, 900), generator=generator)
        y = CompiledKernel().linear(x, w, b, "tanh")
        z = CompiledKernel().compare(y, y * 2, rows[0], rows[1], ["hadamard", "abs_diff"])
        z.square().sum().backward()
        return y.detach(), z.detach(), x.grad, w.grad, b.grad

    try:
        one, two = results(1), results(2)
    finally:
        set_threads(1)
    assert all(torch.equal(first, second) for first, second in zip(one, two, strict=True))
