"""The kernel for CPUs: oneDNN, and loops that Numba compiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from object2vec.kernels.base import Lookup, Tape
from object2vec.kernels.cpu.contrast import contrast
from object2vec.kernels.cpu.dense import onednn_linear
from object2vec.kernels.cpu.loops import convolution
from object2vec.kernels.cpu.loops.lookup import mean_rows, weighted_rows
from object2vec.kernels.cpu.loops.update import list_tokens, square_rows, updates
from object2vec.kernels.cpu.pairing import compare_pairs
from object2vec.kernels.rules import Parameter, Update
from object2vec.kernels.segments import segment_max

Ranks = NDArray[np.int32]

_PARTS = 64  # ranges that the tokens of an update are divided into, whatever the threads
_ROW_COST = 16  # gradients that can be summed in the time of updating a row, about
_NONE = np.empty(0, np.int32)
_SMALL = 1 << 14  # numbers below which waking threads costs more than it saves


class CompiledKernel:
    """Pool, reduce and update with compiled loops over the CPU's memory."""

    name = "compiled"
    linear = staticmethod(onednn_linear)
    compare = staticmethod(compare_pairs)
    contrast = staticmethod(contrast)

    def __init__(self) -> None:
        self._ranks: dict[int, Ranks] = {}

    def pool(self, weight: Tensor, lookup: Lookup) -> Tensor:
        """Return the mean, or the weighted sum, of each sequence's rows, (B, E)."""
        pooled = weight.new_empty(len(lookup.offsets) - 1, weight.shape[1])  # (B, E)
        table, ids, offsets, out = (t.numpy() for t in (weight, lookup.ids, lookup.offsets, pooled))
        if lookup.coefficients is None:
            mean_rows(len(out), table, ids, offsets, out)
        else:
            weighted_rows(len(out), table, ids, lookup.coefficients.numpy(), offsets, out)
        return pooled

    def segment_max(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the maximum over the rows of each segment, (B, F)."""
        return segment_max(_find_maxima, x, offsets)

    def sum_taps(self, products: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
        """Return what a convolution over time makes of its products, (N, F)."""
        outputs: Tensor = _TapSum.apply(products, bias, mask)  # type: ignore[no-untyped-call]
        return outputs

    def update_rows(self, update: Update, table: Parameter, tape: Tape) -> None:
        """Update the rows that were read."""
        tokens, starts, *shares = self._listed(table, tape)
        update_rows, _, _ = updates(update.rule.name, update.extras(table))
        update_rows(_bounds(starts), *_of_table(update, table), tokens, starts, *shares)

    def update_table(self, update: Update, table: Parameter, tape: Tape) -> None:
        """Update every row, in one pass over the table and without its dense gradient."""
        tokens, starts, *shares = self._listed(table, tape)
        ranks = self._ranks_of(len(table.weight))
        ranks[tokens] = np.arange(1, len(starts))
        _, update_table, _ = updates(update.rule.name, update.extras(table))
        update_table(len(ranks), *_of_table(update, table), ranks, starts, *shares)
        ranks[tokens] = 0

    def squares(self, table: Parameter, tape: Tape) -> float:
        """Return the squared length of a table's gradient, with that of the weights of its rows."""
        tokens, starts, *shares = self._listed(table, tape)
        squares = np.empty(len(tokens))  # (u,)
        arrays = table.weight.numpy(), starts, tokens
        square_rows(_bounds(starts), table.weights is not None, *arrays, *shares, squares)
        return float(squares.sum())

    def scale(self, table: Parameter, tape: Tape, factor: float) -> None:
        """Multiply the gradient of a table."""
        tokens, starts, owners, shares, gradient = self._listed(table, tape)
        tape.listed = tokens, starts, owners, shares * np.float32(factor), gradient

    def update_dense(self, update: Update, parameter: Parameter, gradient: Tensor) -> None:
        """Update a parameter in one pass."""
        size = parameter.weight.numel()
        constants, *arrays = _arrays(update, parameter)
        flat = [array.reshape(-1) for array in arrays]  # every axis: a rule works by the number
        flat.insert(3, _mean(update, parameter).reshape(-1))
        share = np.float32(update.share if update.is_averaging else 0.0)
        numbers = _numbers(update, parameter)
        _, _, update_flat = updates(update.rule.name, update.extras(parameter))
        gradients = gradient.reshape(-1).numpy()
        update_flat(size, share, constants, numbers, *flat, gradients, small=size <= _SMALL)

    def _listed(self, table: Parameter, tape: Tape) -> tuple[NDArray[Any], ...]:
        """Return the occurrences of each token; those of a tape are listed but once."""
        if tape.listed is None:
            ranks = self._ranks_of(len(table.weight))
            tape.listed = _occurrences(tape, ranks)
            ranks[tape.listed[0]] = 0
        listed: tuple[NDArray[Any], ...] = tape.listed
        return listed

    def _ranks_of(self, vocab_size: int) -> Ranks:
        """Return the scratch array of a vocabulary, all zeros, (V,)."""
        if vocab_size not in self._ranks:
            self._ranks[vocab_size] = np.zeros(vocab_size, np.int32)
        return self._ranks[vocab_size]


def probe() -> None:
    """Look up one row; raise whatever Numba raises if it cannot compile and run that."""
    arrays = np.zeros(1, np.int32), np.arange(2), np.ones((1, 1), np.float32)
    ids, offsets, weight = map(torch.from_numpy, arrays)
    CompiledKernel().pool(weight, Lookup(ids, offsets))


class _TapSum(torch.autograd.Function):
    """Shifted sums, bias, rectifier and mask in one pass; and back in one, without zero fills."""

    @staticmethod
    def forward(ctx: Any, products: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
        outputs = products.new_empty(len(products), products.shape[2])  # (N, F)
        summands = products.detach().contiguous()  # (N, w, F)
        arrays = (t.numpy() for t in (summands, bias.detach(), mask, outputs))
        convolution.sum_taps(len(outputs), *arrays)
        ctx.save_for_backward(outputs)
        ctx.shape = products.shape
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (outputs,) = ctx.saved_tensors
        before = torch.ops.aten.threshold_backward(gradient, outputs, 0)  # (N, F)
        shares = gradient.new_empty(ctx.shape)  # (N, w, F)
        convolution.share_taps(len(shares), before.numpy(), shares.numpy())
        return shares, before.sum(0), None


def _find_maxima(x: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum of each segment and the first row that has it, (B, F) both."""
    maxima = x.new_empty(len(offsets) - 1, x.shape[1])  # (B, F)
    rows = torch.empty_like(maxima, dtype=torch.int32)  # (B, F)
    convolution.segment_max(len(maxima), *(t.numpy() for t in (x, offsets, maxima, rows)))
    return maxima, rows


def _occurrences(tape: Tape, ranks: Ranks) -> tuple[NDArray[Any], ...]:
    """Return where each distinct token of the tape occurs, and what it gets from there.

    Returns
    -------
    tokens, starts, owners, coefficients : array
        As `object2vec.kernels.cpu.loops.update.list_tokens` fills them.
    gradient : float32 array (R, E)
        That of each sequence of the tape.
    """
    gradients = [lookup.gradient for lookup in tape if lookup.gradient is not None]
    gradient = torch.cat(gradients) if len(tape) > 1 else gradients[0].contiguous()  # (R, E)
    ids = _joined([lookup.ids.numpy() for lookup in tape])  # (n,)
    lengths = [np.diff(lookup.offsets.numpy()) for lookup in tape]  # (B,) each
    all_lengths = _joined(lengths)  # (R,)
    owners = np.repeat(np.arange(len(all_lengths), dtype=np.int32), all_lengths)  # (n,)
    shares = _joined([_shares(*each) for each in zip(tape, lengths, strict=True)])  # (n,)
    n = len(ids)
    tokens, counts, numbers, sorted_owners = (np.empty(n, np.int32) for _ in range(4))
    starts, sorted_shares = np.empty(n + 1, np.int64), np.empty(n, np.float32)
    listed = (starts, sorted_owners, sorted_shares)
    u = list_tokens(ids, owners, shares, ranks, tokens, counts, numbers, *listed)
    return tokens[:u], starts[: u + 1], sorted_owners, sorted_shares, gradient.numpy()


def _shares(lookup: Lookup, lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return what `Lookup.shares` does, (n,), in a fifth of the time for a small batch."""
    if lookup.coefficients is not None:
        return lookup.coefficients.numpy()
    scales = np.float32(1.0) / np.maximum(lengths, 1).astype(np.float32)  # (B,)
    return np.repeat(scales, lengths)


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays one after another, without a copy if there is but one."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _arrays(update: Update, parameter: Parameter) -> tuple[NDArray[Any], ...]:
    """Return the rule's constants, the weight and two states.

    A state that the rule does not have is the weight, never touched.
    """
    constants = np.array([*update.constants(parameter), update.noise], np.float32)
    weight = parameter.weight
    first, second = (*parameter.state, weight, weight)[:2]
    return constants, weight.numpy(), first.numpy(), second.numpy()


def _of_table(update: Update, table: Parameter) -> tuple[NDArray[Any], ...]:
    """Return what the loops take of a table: all of `_arrays`, averages, the weights of its rows.

    What a table does not have is the table itself, never touched.
    """
    constants, *arrays = _arrays(update, table)
    average = table.average if update.is_averaging else None
    counted = _NONE if average is None or average.last is None else average.last.numpy()
    means = _mean(update, table), counted
    numbers = _numbers(update, table)
    if table.weights is None:
        return constants, numbers, *arrays, *means, constants, *4 * (arrays[0],)
    weights = *_arrays(update, table.weights), _mean(update, table.weights)
    return constants, numbers, *arrays, *means, *weights


def _mean(update: Update, parameter: Parameter) -> NDArray[np.float32]:
    """Return the average that an update adds to; the weight, never touched, if to none."""
    average = parameter.average if update.is_averaging else None
    mean: NDArray[np.float32] = (parameter.weight if average is None else average.mean).numpy()
    return mean


def _numbers(update: Update, parameter: Parameter) -> NDArray[np.int64]:
    """Return what loops need of a step: see `object2vec.kernels.cpu.loops.update`."""
    first, second = update.key
    since = update.average_from or 0
    return np.array([update.step - 1, since, first, second + parameter.number], np.int64)


def _bounds(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return bounds that divide the tokens into ranges of about equal work.

    A token's row and its state come from memory and go back there, its gradients mostly lie in the
    cache: a row counts as much as `_ROW_COST` gradients.
    """
    work = starts + _ROW_COST * np.arange(len(starts))  # (u + 1,)
    bounds = np.searchsorted(work, np.linspace(0, work[-1], _PARTS + 1))
    bounds[0], bounds[-1] = 0, len(starts) - 1
    return bounds
