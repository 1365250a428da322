"""The states of an LSTM over a flat run of rows, as each kind of device computes them best.

A recurrence is a long row of small products. Threads that share each of them meet several times a
time step, and wait for one that does not run just as often. On a CPU every direction of a group of
rows is therefore the work of one thread, and threads meet once there and once back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from object2vec.devices import full_precision, on_device, side_by_side

_SMALL = 1 << 22  # multiplications below which waking threads costs more than it saves


def packed_states(lstm: nn.LSTM, x: Tensor, lengths: np.ndarray) -> Tensor:
    """Return the states (n, D) of a bidirectional LSTM over packed time steps.

    A packed sequence holds the first token of every row, then the second ones, and so on, rows from
    the longest to the shortest: what a GPU's library takes.
    """
    by_length = np.argsort(-lengths, kind="stable")  # (P,)
    rank = np.empty_like(by_length)
    rank[by_length] = np.arange(len(lengths))
    owner = np.repeat(np.arange(len(lengths)), lengths)  # (n,)
    step = np.arange(len(owner)) - (np.cumsum(lengths) - lengths)[owner]  # (n,)
    order = on_device(np.lexsort((rank[owner], step)), x.device)  # (n,)
    batch_sizes = torch.from_numpy(np.bincount(step))  # (T,)
    packed = nn.utils.rnn.PackedSequence(x.index_select(0, order), batch_sizes)
    with full_precision():
        states: Tensor = lstm(packed)[0].data  # (n, D) by time step
    return states.index_select(0, order.argsort())  # (n, D) by sequence


def grouped_states(lstm: nn.LSTM, x: Tensor, lengths: np.ndarray) -> Tensor:
    """Return the same over groups of rows of about equal length, padded to the longest of a group.

    A CPU's library has a fast LSTM that takes no packed steps. Each direction runs on its own, the
    second one over reversed rows, so that padding stands at the end and no state of a token sees
    it.
    """
    weights = [weight for weight in lstm._flat_weights if weight is not None]  # 4 a direction
    starts = np.cumsum(lengths) - lengths  # (P,)
    groups = [(starts[rows], lengths[rows]) for rows in _groups(lengths)]
    laid = [_group_index(*group, is_reversed) for is_reversed in (False, True) for group in groups]
    parts = zip(*laid, strict=True)
    index, is_token = (np.concatenate([a.ravel() for a in part]) for part in parts)  # (m,)
    # Gathered once: the backward pass of each gather makes a gradient as large as x.
    padded = x.index_select(0, torch.from_numpy(index))  # (m, E)
    given = torch.is_grad_enabled(), [rows.shape for rows, _ in laid]
    states = _Recurrence.apply(*given, padded, *weights)  # type: ignore[no-untyped-call]
    of_tokens = np.flatnonzero(is_token)  # (2 n,)
    rows_of = np.empty(2 * len(x), np.int64)  # the rows of each token's states
    rows_of[2 * index[of_tokens] + (of_tokens >= len(index) // 2)] = of_tokens
    found: Tensor = states.index_select(0, torch.from_numpy(rows_of))  # (2 n, D / 2)
    return found.view(len(x), -1)  # (n, D): those of a token stand side by side


class _Recurrence(torch.autograd.Function):
    """The states of padded groups, forward ones before backward ones, each group on one thread."""

    @staticmethod
    def forward(
        ctx: Any,
        is_learning: bool,
        shapes: Sequence[tuple[int, int]],
        x: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        ctx.sizes, ctx.width = [steps * rows for steps, rows in shapes], x.shape[1]
        ctx.is_small = len(x) * (weights[0].numel() + weights[1].numel()) < _SMALL
        ctx.runs = []
        for part, shape in zip(torch.split(x, ctx.sizes), shapes, strict=True):
            own = weights[:4] if 2 * len(ctx.runs) < len(shapes) else weights[4:]
            ctx.runs.append(_Run(is_learning, part.view(*shape, -1), *own))  # (T, G, E)
        return torch.cat(side_by_side([run.forward for run in ctx.runs], small=ctx.is_small))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        to_x = gradient.new_empty(len(gradient), ctx.width)  # (m, E)
        parts = (torch.split(whole, ctx.sizes) for whole in (gradient, to_x))
        works = [partial(run.backward, *of) for run, *of in zip(ctx.runs, *parts, strict=True)]
        found = side_by_side(works, small=ctx.is_small)
        ways = found[: len(found) // 2], found[len(found) // 2 :]
        shares = [share for way in ways for share in zip(*way, strict=True)]
        return None, None, to_x, *(reduce(torch.add, share) for share in shares)


class _Run:
    """One direction of a group of rows, there and back."""

    def __init__(self, is_learning: bool, *inputs: Tensor) -> None:
        self._is_learning = is_learning
        self._inputs = [each.detach().requires_grad_(is_learning) for each in inputs]

    def forward(self) -> Tensor:
        """Return the states, (T G, D / 2)."""
        steps, *weights = self._inputs
        start = steps.new_zeros(1, steps.shape[1], weights[1].shape[1])  # (1, G, D / 2)
        with torch.set_grad_enabled(self._is_learning):
            out, _, _ = torch.lstm(
                steps, (start, start), weights, True, 1, 0.0, False, False, False
            )
            self._states = out.flatten(0, 1)  # (T G, D / 2)
        return self._states.detach()

    def backward(self, gradient: Tensor, to_x: Tensor) -> list[Tensor]:
        """Return the gradients of the four weights; write that of the rows, (T G, E)."""
        of_steps, *of_weights = torch.autograd.grad(self._states, self._inputs, gradient)
        to_x.copy_(of_steps.flatten(0, 1))
        return of_weights


def _groups(lengths: np.ndarray) -> list[np.ndarray]:
    """Return groups of rows of similar length, the longest rows first.

    Larger groups make larger matrix products, smaller ones less padding; twice the root of the
    number of rows is the best of both from 64 to 8,192 rows (benchmarks/LOG.md).
    """
    by_length = np.argsort(-lengths, kind="stable")  # (P,)
    size = max(1, round(2 * math.sqrt(len(lengths))))
    return np.split(by_length, np.arange(size, len(by_length), size))


def _group_index(
    starts: np.ndarray, lengths: np.ndarray, is_reversed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the flat index of each token of a group by time step, and where there is one."""
    step = np.arange(lengths[0])[:, None]  # (T, 1)
    is_token = step < lengths  # (T, G)
    index = starts + (lengths - 1 - step if is_reversed else step)  # (T, G)
    return np.where(is_token, index, 0), is_token
