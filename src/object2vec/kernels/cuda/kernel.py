"""The kernel for CUDA devices, written in Triton: one pass per distinct token, with fixed sums.

An update sorts the ids of the tape once, stably: a token's occurrences then stand side by side, in
the order of the batch. One program per distinct token and block of columns sums its share of the
gradients in that order, applies the rule to its row and state, and is done. Nothing is added
atomically, so a batch fixes every bit of the result.

A frequent token would keep its one program busy long after all others. So the sorted occurrences
are cut at every multiple of `_CHUNK`. A chunk that holds one token only is summed first, by a
program of its own; the token's program then adds such sums instead of their occurrences.

Divisions and roots are the correctly rounded ones, and products and sums are not fused: tokens that
fill no chunk come out as in plain PyTorch on a CPU. The kernels wait for memory more than for
arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from object2vec.kernels.base import Lookup
from object2vec.kernels.cuda import programs
from object2vec.kernels.reference import Plain, squares
from object2vec.kernels.rules import RULES, Parameter, Update
from object2vec.kernels.segments import segment_max

_CHUNK = 128  # occurrences that one program sums, if a token has more: two short rounds, not a long
_COLUMNS = 128  # columns of one program: four numbers for each of a warp's 32 threads
_RULE_CONSTANTS = 7  # of `Update.constants`, those of a rule alone
_FLAT = 1024  # numbers of one program where there are no rows
_TOKENS = 64  # of a sequence that one program writes at once


class TritonKernel(Plain):
    """Pool, reduce and update with Triton, on the device of the tensors."""

    name = "triton"

    def pool(self, weight: Tensor, lookup: Lookup) -> Tensor:
        """Return the mean, or the weighted sum, of each sequence's rows, (B, E)."""
        pooled = weight.new_empty(len(lookup.offsets) - 1, weight.shape[1])  # (B, E)
        is_weighted = lookup.coefficients is not None
        coefficients = lookup.coefficients if is_weighted else weight  # the latter is never read
        arrays = (weight, lookup.ids, coefficients, lookup.offsets, pooled)
        _launch_rows(programs.pool, pooled.shape, *arrays, IS_WEIGHTED=is_weighted)
        return pooled

    def segment_max(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the maximum over the rows of each segment, (B, F)."""
        return segment_max(_find_maxima, x, offsets)

    def update_rows(self, update: Update, table: Parameter, tape: Sequence[Lookup]) -> None:
        """Update the rows that were read."""
        sums = _Sums(tape)
        starts = sums.starts()  # (U + 1,)
        if _is_plain(update, table):
            sums.update(update, table, starts, is_table=False)
            return
        index = sums.ids[starts[:-1]].long()  # (U,)
        rows = table.rows(index)
        update.apply(rows, sums.gradient(rows.weight, starts), index)
        for whole, part in zip(table.changing(), rows.changing(), strict=True):
            whole[index] = part

    def update_table(self, update: Update, table: Parameter, tape: Sequence[Lookup]) -> None:
        """Update every row, in one pass over the table and without its dense gradient."""
        sums = _Sums(tape)
        bounds = torch.arange(len(table.weight) + 1, device=sums.ids.device, dtype=torch.int32)
        starts = torch.searchsorted(sums.ids, bounds)  # (V + 1,)
        if _is_plain(update, table):
            sums.update(update, table, starts, is_table=True)
        else:
            gradient = sums.gradient(table.weight, starts)  # (V, E)
            update.apply(table, gradient, bounds[:-1].long(), starts.diff() > 0)

    def squares(self, table: Parameter, tape: Sequence[Lookup]) -> float:
        """Return the squared length of a table's gradient, with that of the weights of its rows."""
        sums = _Sums(tape)
        starts = sums.starts()  # (U + 1,)
        index = sums.ids[starts[:-1]].long()  # (U,)
        empty = table.weight.new_empty(len(index), table.weight.shape[1])  # (U, E)
        return squares(table, index, sums.gradient(empty, starts))

    def update_dense(self, update: Update, parameter: Parameter, gradient: Tensor) -> None:
        """Update a parameter in one pass."""
        if not _is_plain(update, parameter):
            update.apply(parameter, gradient)
            return
        size = parameter.weight.numel()
        _launch(
            programs.update_flat,
            (triton.cdiv(size, _FLAT),),
            *(tensor.view(-1) for tensor in _arrays(parameter)),  # every axis: by the number
            gradient.contiguous().view(-1),  # every axis, likewise
            size,
            update.constants(parameter)[:_RULE_CONSTANTS],
            **_constants(update),
            BLOCK=_FLAT,
        )


def probe(device: str) -> None:
    """Run one small kernel on a device; raise whatever Triton raises if it cannot."""
    ids = torch.zeros(1, dtype=torch.int32, device=device)
    lookup = Lookup(ids, torch.arange(2, device=device))
    TritonKernel().pool(torch.ones(1, 1, device=device), lookup)
    torch.cuda.synchronize(device)


def _find_maxima(x: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum of each segment and the first row that has it, (B, F) both."""
    maxima = x.new_empty(len(offsets) - 1, x.shape[1])  # (B, F)
    rows = torch.empty_like(maxima, dtype=torch.int64)  # (B, F)
    _launch_rows(programs.segment_max, maxima.shape, x, offsets, maxima, rows)
    return maxima, rows


def _launch_rows(program: Any, shape: Sequence[int], *arguments: Any, **constants: Any) -> None:
    """Run a program for every row and block of columns of `shape`; it takes the width last."""
    n_rows, width = shape
    block = min(triton.next_power_of_2(width), _COLUMNS)
    grid = (n_rows, triton.cdiv(width, block))
    _launch(program, grid, *arguments, width, BLOCK=block, num_warps=1, **constants)


def _launch(program: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Run a program for every point of `grid`, with products and sums rounded one by one."""
    if 0 in grid:  # CUDA takes no empty one
        return
    # Triton launches on the current device, which need not be the one of the tensors.
    with torch.cuda.device_of(arguments[0]):  # type: ignore[no-untyped-call]
        program[grid](*arguments, **constants, enable_fp_fusion=False)


def _is_plain(update: Update, parameter: Parameter) -> bool:
    """Return whether the rule is all there is; PyTorch's own operations do what else there is."""
    return not update.extras(parameter)


def _arrays(parameter: Parameter) -> tuple[Tensor, Tensor, Tensor]:
    """Return weight and two states; an unused state is the weight, never touched."""
    weight, first, second = (*parameter.tensors(), *2 * (parameter.weight,))[:3]
    return weight, first, second


def _constants(update: Update) -> dict[str, Any]:
    """Return what a program is compiled for."""
    return {"RULE": update.rule.name, "STATES": len(update.rule.state_names)}


class _Sums:
    """Each occurrence of a token in the order of the ids, to be summed for each token.

    Parameters
    ----------
    tape : sequence of Lookup
        With gradients.

    Attributes
    ----------
    ids : Tensor of shape (n,), int32, ascending
    """

    def __init__(self, tape: Sequence[Lookup]) -> None:
        ids = _joined([lookup.ids for lookup in tape])  # (n,)
        owners = torch.empty_like(ids)  # (n,) the row of the gradient that each gets its share of
        shares = torch.empty_like(ids, dtype=torch.float32)  # (n,)
        gradients, first, row = [], 0, 0
        for lookup in tape:
            assert lookup.gradient is not None, "our bug: a lookup without gradient is on the tape"
            is_weighted = lookup.coefficients is not None
            coefficients = lookup.coefficients if is_weighted else shares  # the latter: never read
            rows = len(lookup.gradient)
            given = (owners, shares, coefficients, lookup.offsets, first, row)
            constants = {"IS_WEIGHTED": is_weighted, "BLOCK": _TOKENS, "num_warps": 1}
            _launch(programs.spread, (rows,), *given, **constants)
            gradients.append(lookup.gradient)
            first, row = first + len(lookup.ids), row + rows
        self.ids, order = torch.sort(ids, stable=True)  # (n,), (n,)
        n = len(ids)
        self._is_first = torch.empty(n + 1, dtype=torch.bool, device=ids.device)
        self._parts = torch.empty_like(owners), torch.empty_like(shares), _joined(gradients)
        arrays = (self.ids, order, owners, shares, *self._parts[:2], self._is_first)
        _launch(programs.arrange, (triton.cdiv(n + 1, _FLAT),), *arrays, n, BLOCK=_FLAT)
        # The sum of each chunk that holds one token only; the other rows are undefined.
        gradient = self._parts[2]
        self._partials = gradient.new_empty(n // _CHUNK, gradient.shape[1])  # (C, E)
        chunks = (self._partials, self.ids, *self._parts)
        _launch_rows(programs.sum_chunks, self._partials.shape, *chunks, CHUNK=_CHUNK)

    def starts(self) -> Tensor:
        """Return where each distinct token begins, and the end, (U + 1,)."""
        return self._is_first.nonzero()[:, 0]

    def update(self, update: Update, table: Parameter, starts: Tensor, is_table: bool) -> None:
        """Reduce the gradients of the tokens that begin at `starts`; apply the rule to their rows.

        Without `is_table` the rows are those of the ids, else one after another.
        """
        _launch_rows(
            programs.update_rows,
            (len(starts) - 1, table.weight.shape[1]),
            *_arrays(table),
            self.ids,
            starts,
            *self._parts,
            self._partials,
            update.constants(table)[:_RULE_CONSTANTS],
            **_constants(update),
            CHUNK=_CHUNK,
            IS_TABLE=is_table,
        )

    def gradient(self, like: Tensor, starts: Tensor) -> Tensor:
        """Return the gradient of each token, (U, E): what a step of size -1 makes of zeros."""
        sums, rule = torch.zeros_like(like), RULES["sgd"](-1.0)
        self.update(Update(rule, 1), Parameter(sums, ()), starts, is_table=True)
        return sums


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors one after another, without a copy if there is but one."""
    return torch.cat(list(tensors)) if len(tensors) > 1 else tensors[0].contiguous()
