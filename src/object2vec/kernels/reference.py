"""The kernel in plain PyTorch: the oracle of the compiled ones, and the fallback on any device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from object2vec.kernels.base import Lookup, Tape
from object2vec.kernels.comparator import compare
from object2vec.kernels.contrast import contrast
from object2vec.kernels.rules import Parameter, Update
from object2vec.objectives import Contrast
from object2vec.pairs.block_pairing import BlockPairing

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "tanh": torch.tanh,
    "relu": torch.relu,
}


class Plain:
    """What PyTorch's own operations do on any device: what stands between the tables, scales."""

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
        """Return ``activation(x @ weight.T + bias)``, (N, O)."""
        return linear(x, weight, bias, activation)

    def compare(
        self, a: Tensor, b: Tensor, rows0: Tensor, rows1: Tensor, comparator_list: Sequence[str]
    ) -> Tensor:
        """Return what the comparator makes of pairs of embeddings, (B, C)."""
        return compare(a.index_select(0, rows0), b.index_select(0, rows1), comparator_list)

    def contrast(
        self, a: Tensor, b: Tensor, pairing: BlockPairing, rate: float, offset: float
    ) -> Contrast:
        """Return what pairs of neighbours lose against noise."""
        return contrast(a, b, pairing, rate, offset)

    def sum_taps(self, products: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
        """Return what a convolution over time makes of its products, (N, F)."""
        return sum_taps(products, bias, mask)

    def scale(self, table: Parameter, tape: Tape, factor: float) -> None:
        """Multiply the gradient of a table: of its lookups what each token counts."""
        for lookup in tape:
            lookup.coefficients = lookup.shares() * factor  # (n,): fewer than the gradient (B, E)


class ReferenceKernel(Plain):
    """Pool, reduce and update with PyTorch's own operations."""

    name = "reference"

    def pool(self, weight: Tensor, lookup: Lookup) -> Tensor:
        """Return the mean, or the weighted sum, of each sequence's rows, (B, E)."""
        rows, offsets = weight[lookup.ids.long()], lookup.offsets  # (n, E)
        pooled = weight.new_zeros(len(offsets) - 1, weight.shape[1])  # (B, E)
        if lookup.coefficients is not None:
            return pooled.index_add_(0, _owners(offsets), rows * lookup.coefficients[:, None])
        scales = 1.0 / offsets.diff().clamp(min=1).to(torch.float32)[:, None]  # (B, 1)
        return pooled.index_add_(0, _owners(offsets), rows) * scales

    def segment_max(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the maximum over the rows of each segment, (B, F).

        The gradient goes to the first row that has it. PyTorch's own backward pass, which this does
        without, shares a gradient among equal rows if it is positive and multiplies it if not.
        """
        with torch.no_grad():
            owners = _owners(offsets)  # (n,)
            maxima = torch.segment_reduce(x, "max", offsets=offsets, axis=0)  # (B, F)
            used = x[: len(owners)]  # (n, F), without rows after the last segment
            rows = torch.arange(len(used), device=x.device)[:, None]  # (n, 1)
            rows = torch.where((used == maxima[owners]) | used.isnan(), rows, len(x))  # (n, F)
            first = rows.new_full(maxima.shape, len(x))  # (B, F)
            first.scatter_reduce_(0, owners[:, None].expand_as(rows), rows, "amin")
        return x.gather(0, first)

    def update_rows(self, update: Update, table: Parameter, tape: Sequence[Lookup]) -> None:
        """Update the rows that were read: gather them, apply the rule, put them back."""
        tokens, gradient = _reduced(tape)  # (U,), (U, E)
        rows = table.rows(tokens)
        update.apply(rows, gradient, tokens)
        for whole, part in zip(table.changing(), rows.changing(), strict=True):
            whole[tokens] = part

    def update_table(self, update: Update, table: Parameter, tape: Sequence[Lookup]) -> None:
        """Update the whole table from its dense gradient."""
        ids, gradients = _occurrences(tape)  # (n,), (n, E)
        gradient = torch.zeros_like(table.weight).index_add_(0, ids, gradients)  # (V, E)
        rows = torch.arange(len(gradient), device=ids.device)  # (V,)
        update.apply(table, gradient, rows, torch.isin(rows, ids))

    def squares(self, table: Parameter, tape: Sequence[Lookup]) -> float:
        """Return the squared length of a table's gradient, with that of the weights of its rows."""
        return squares(table, *_reduced(tape))

    def update_dense(self, update: Update, parameter: Parameter, gradient: Tensor) -> None:
        """Apply the rule to the whole parameter."""
        update.apply(parameter, gradient)


def squares(table: Parameter, tokens: Tensor, gradient: Tensor) -> float:
    """Return the squared length of the gradients (U, E) of rows, with that of their weights."""
    total = float(gradient.double().square().sum())
    if table.weights is None:
        return total
    return total + float((table.weight[tokens] * gradient).sum(1).double().square().sum())


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    """Return ``activation(x @ weight.T + bias)``, (N, O)."""
    return ACTIVATIONS[activation](torch.nn.functional.linear(x, weight, bias))


def sum_taps(products: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
    """Return what a convolution over time makes of its products, (N, F)."""
    n_rows, width, _ = products.shape
    left, inner = (width - 1) // 2, n_rows - width + 1
    summed = products[:inner, 0]  # (N - w + 1, F)
    for tap in range(1, width):
        summed = summed + products[tap : tap + inner, tap]
    padded = torch.nn.functional.pad(summed, (0, 0, left, width - 1 - left))  # (N, F)
    return torch.relu(padded + bias) * mask


def _owners(offsets: Tensor) -> Tensor:
    """Return the sequence that each token belongs to, (n,)."""
    return torch.repeat_interleave(
        torch.arange(len(offsets) - 1, device=offsets.device), offsets.diff()
    )


def _reduced(tape: Sequence[Lookup]) -> tuple[Tensor, Tensor]:
    """Return the distinct tokens of a tape, (U,), and the gradient of each, (U, E)."""
    ids, gradients = _occurrences(tape)  # (n,), (n, E)
    tokens, ranks = torch.unique(ids, return_inverse=True)  # (U,), (n,)
    sums = gradients.new_zeros(len(tokens), gradients.shape[1])  # (U, E)
    return tokens, sums.index_add_(0, ranks, gradients)


def _occurrences(tape: Sequence[Lookup]) -> tuple[Tensor, Tensor]:
    """Return each occurrence of a token, (n,), and its share of the gradient, (n, E)."""
    ids = torch.cat([lookup.ids for lookup in tape]).long()
    shares = []
    for lookup in tape:
        assert lookup.gradient is not None, "our bug: a lookup without gradient is on the tape"
        shares.append(lookup.gradient[_owners(lookup.offsets)] * lookup.shares()[:, None])
    return ids, torch.cat(shares)
