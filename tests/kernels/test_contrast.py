"""Neighbours against noise: compiled equals plain PyTorch, which equals the formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from object2vec.compiled import use_threads
from object2vec.kernels.cpu.kernel import CompiledKernel
from object2vec.kernels.reference import ReferenceKernel
from object2vec.pairs.block_pairing import BlockPairing

# Two blocks of five and three rows; row 4 has no pair, and one has 40 partners, as none would.
STARTS = np.array([0, 2, 3, 43, 44, 44, 45, 46, 46])
PARTNERS = np.array([1, 2, 0, *[0, 1] * 20, 4, 6, 5], np.int32)
RATE, OFFSET = 5.0, math.log(5)


def pairing_with(noise: int) -> BlockPairing:
    return BlockPairing(np.array([0, 5, 8]), STARTS, PARTNERS, noise)


def embeddings(noise: int, width: int, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(width)
    a, b = torch.randn(8, width, generator=draw), torch.randn(8 + 2 * noise, width, generator=draw)
    return (scale * a).requires_grad_(), (scale * b).requires_grad_()


def expected(a: np.ndarray, b: np.ndarray, noise: int) -> tuple[float, float]:
    """Loss and hits by the formula, pair by pair."""
    pairs, loss, hits = pairing_with(noise), 0.0, 0.0
    for i, j in zip(pairs.rows0.tolist(), pairs.rows1.tolist(), strict=True):
        first = 8 + (i >= 5) * noise
        against = b[first : first + noise] @ a[i] - OFFSET
        score = a[i] @ b[j] - OFFSET
        loss += np.logaddexp(0, -score) + RATE / noise * np.logaddexp(0, against).sum()
        hits += (score > 0) + RATE / noise * np.count_nonzero(against <= 0)
    return loss / (1 + RATE), hits / (1 + RATE)


@pytest.mark.parametrize("kernel", [ReferenceKernel(), CompiledKernel()], ids=lambda k: k.name)
@pytest.mark.parametrize(("noise", "width"), [(1, 1), (3, 5), (8, 8), (70, 33)])
def test_the_loss_is_that_of_the_formula(kernel, noise, width):
    a, b = embeddings(noise, width)
    loss, lost, hits = kernel.contrast(a, b, pairing_with(noise), RATE, OFFSET)
    right, right_hits = expected(a.detach().double().numpy(), b.detach().double().numpy(), noise)
    assert lost == pytest.approx(right, rel=1e-5)
    assert loss.item() == pytest.approx(right / len(PARTNERS), rel=1e-5)
    assert hits == pytest.approx(right_hits, rel=1e-6)
    assert right_hits > 1


@pytest.mark.parametrize(("noise", "width"), [(1, 1), (3, 5), (8, 8), (70, 33)])
def test_compiled_gradients_are_those_of_pytorch(noise, width):
    gradients = []
    for kernel in (ReferenceKernel(), CompiledKernel()):
        a, b = embeddings(noise, width)
        (3 * kernel.contrast(a, b, pairing_with(noise), RATE, OFFSET).loss).backward()
        gradients.append((a.grad, b.grad))
    for ours, theirs in zip(*gradients, strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)
    assert not gradients[1][0][4].any(), "a row without pairs learns nothing"


@pytest.mark.parametrize("kernel", [ReferenceKernel(), CompiledKernel()], ids=lambda k: k.name)
def test_what_scores_as_much_as_it_is_compared_with_is_no_pair(kernel):
    """Of pairs those above are right, of their negatives all others."""
    a, b = torch.zeros(8, 5), torch.zeros(8 + 2 * 3, 5)
    _, lost, hits = kernel.contrast(a, b, pairing_with(3), RATE, 0.0)
    assert hits == pytest.approx(len(PARTNERS) * RATE / (1 + RATE))
    assert lost == pytest.approx(len(PARTNERS) * math.log(2))


@pytest.mark.parametrize("kernel", [ReferenceKernel(), CompiledKernel()], ids=lambda k: k.name)
def test_blocks_without_noise_or_without_pairs_lose_what_there_is(kernel):
    a, b = embeddings(0, 5)
    alone = kernel.contrast(a, b, pairing_with(0), 0.0, OFFSET)
    pairs = pairing_with(0)
    scores = (a[pairs.rows0] * b[pairs.rows1]).sum(1).detach().double() - OFFSET
    assert alone.lost == pytest.approx(float(torch.nn.functional.softplus(-scores).sum()))
    assert alone.loss.item() == pytest.approx(alone.lost / len(PARTNERS))
    none = BlockPairing(np.array([0, 5, 8]), np.zeros(9, np.int64), np.empty(0, np.int32), 3)
    a, b = embeddings(3, 5)
    loss, lost, hits = kernel.contrast(a, b, none, RATE, OFFSET)
    loss.backward()
    assert (loss.item(), lost, hits) == (0, 0, 0)
    assert not a.grad.any()


def test_scores_of_any_size_have_finite_losses():
    a, b = embeddings(3, 5, scale=1e4)
    loss, lost, _ = CompiledKernel().contrast(a, b, pairing_with(3), RATE, OFFSET)
    loss.backward()
    assert math.isfinite(lost)
    assert bool(a.grad.isfinite().all() and b.grad.isfinite().all())


def test_threads_change_nothing():
    found = []
    for threads in (1, 2):
        use_threads(threads)
        a, b = embeddings(8, 33)
        loss, lost, hits = CompiledKernel().contrast(a, b, pairing_with(8), RATE, OFFSET)
        loss.backward()
        found.append((a.grad.numpy().tobytes(), b.grad.numpy().tobytes(), lost, hits))
    assert found[0] == found[1]
