"""The kernel for CPUs, compiled by Numba: one pass per distinct token, with fixed sums.

An update first lists the occurrences of each distinct token (two passes over the ids, with a
scratch array that remembers each token's place in the list). Then every token is one unit of work:
sum its share of the gradients in the order of the batch, apply the rule to its row and state, go
on. A unit belongs to one thread as a whole and its order of summation is fixed by the batch, so the
number of threads cannot change a bit of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import njit, prange
from numpy.typing import NDArray
from torch import Tensor

from object2vec.kernels.base import Lookup
from object2vec.kernels.cpu import lock
from object2vec.kernels.cpu.dense import onednn_linear
from object2vec.kernels.cpu.lookup import mean_rows
from object2vec.kernels.cpu.pairing import compare_pairs
from object2vec.kernels.cpu.prefetch import prefetch_row
from object2vec.kernels.rules import RULES, TINY, Rule, settings

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Places = NDArray[np.int32]

_SGD, _ADAM, _ADAGRAD, _RMSPROP, _ADADELTA = range(5)
_CODES = dict(zip(("sgd", "adam", "adagrad", "rmsprop", "adadelta"), range(5), strict=True))
_CHUNKS = 64  # units of work are cut into this many parts of equal size, whatever the threads
_TINY = np.float32(TINY)
_GRADIENTS_AHEAD = 4  # gradients that a sum fetches before their turn
_ROW_COST = 16  # gradients that can be summed in the time of updating a row, about
_PLACES_AHEAD = 32  # tokens whose places are fetched before their turn
_SERIAL = 1 << 14  # numbers below which starting threads costs more than it saves


class CompiledKernel:
    """Pool, reduce and update with compiled loops over the CPU's memory."""

    name = "compiled"

    def __init__(self) -> None:
        self._places: dict[int, Places] = {}

    def pool(self, weight: Tensor, ids: Tensor, offsets: Tensor) -> Tensor:
        """Return the mean row of each sequence, (B, E); zeros for an empty one."""
        pooled = weight.new_empty(len(offsets) - 1, weight.shape[1])  # (B, E)
        mean_rows(weight.numpy(), ids.numpy(), offsets.numpy(), pooled.numpy())
        return pooled

    def segment_max(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the maximum over the rows of each segment, (B, F)."""
        maxima: Tensor = _SegmentMax.apply(x, offsets)  # type: ignore[no-untyped-call]
        return maxima

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
        """Return ``activation(x @ weight.T + bias)``, (N, O)."""
        return onednn_linear(x, weight, bias, activation)

    def compare(
        self, a: Tensor, b: Tensor, rows0: Tensor, rows1: Tensor, comparator_list: Sequence[str]
    ) -> Tensor:
        """Return what the comparator makes of pairs of encodings, (B, C)."""
        return compare_pairs(a, b, rows0, rows1, comparator_list)

    def sum_taps(self, products: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
        """Return what a convolution over time makes of its products, (N, F)."""
        outputs: Tensor = _TapSum.apply(products, bias, mask)  # type: ignore[no-untyped-call]
        return outputs

    def update_rows(
        self, rule: Rule, step: int, weight: Tensor, state: Sequence[Tensor], tape: Sequence[Lookup]
    ) -> None:
        """Update the rows that were read."""
        with lock.compiled:
            places = self._places_of(len(weight))
            tokens, starts, owners, gradient, scales = _occurrences(tape, places)
            _update_rows(
                *_settings(rule, step),
                *_arrays(weight, state),
                tokens,
                starts,
                owners,
                gradient,
                scales,
                _bounds(starts),
            )
            _clear(places, tokens)

    def update_table(
        self, rule: Rule, step: int, weight: Tensor, state: Sequence[Tensor], tape: Sequence[Lookup]
    ) -> None:
        """Update every row, in one pass over the table and without its dense gradient."""
        with lock.compiled:
            places = self._places_of(len(weight))
            tokens, starts, owners, gradient, scales = _occurrences(tape, places)
            _update_table(
                *_settings(rule, step),
                *_arrays(weight, state),
                places,
                starts,
                owners,
                gradient,
                scales,
            )
            _clear(places, tokens)

    def update_dense(
        self,
        rule: Rule,
        step: int,
        weight: Tensor,
        state: Sequence[Tensor],
        gradient: Tensor,
        decay: bool,
    ) -> None:
        """Update a parameter in one pass."""
        flat = [tensor.view(-1) for tensor in state]  # every axis, the rule works number by number
        weight, gradient = weight.view(-1), gradient.reshape(-1)  # every axis, likewise
        update = _update_flat if len(weight) > _SERIAL else _update_flat_serial
        with lock.compiled:
            update(*_settings(rule, step, decay), *_arrays(weight, flat), gradient.numpy())

    def _places_of(self, vocab_size: int) -> Places:
        """Return the scratch array of a vocabulary, all zeros, (V,)."""
        if vocab_size not in self._places:
            self._places[vocab_size] = np.zeros(vocab_size, np.int32)
        return self._places[vocab_size]


class _SegmentMax(torch.autograd.Function):
    """The maximum of each segment; the gradient goes to the first row that has it."""

    @staticmethod
    def forward(ctx, x: Tensor, offsets: Tensor) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        maxima = x.new_empty(len(offsets) - 1, x.shape[1])  # (B, F)
        places = x.new_empty(maxima.shape, dtype=torch.int32)  # (B, F)
        rows = x.detach().contiguous().numpy()  # (n, F)
        with lock.compiled:
            _segment_max(rows, offsets.numpy(), maxima.numpy(), places.numpy())
        ctx.places, ctx.n_rows = places, len(x)
        return maxima

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        shares = gradient.new_zeros(ctx.n_rows, gradient.shape[1])  # (n, F)
        # Segments do not overlap, so no two maxima of a column share a row.
        return shares.scatter_(0, ctx.places.long(), gradient), None


class _TapSum(torch.autograd.Function):
    """Shifted sums, bias, rectifier and mask in one pass; and back in one, without zero fills."""

    @staticmethod
    def forward(ctx, products: Tensor, bias: Tensor, mask: Tensor) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        outputs = products.new_empty(len(products), products.shape[2])  # (N, F)
        summands = products.detach().contiguous().numpy()  # (N, w, F)
        with lock.compiled:
            _sum_taps(summands, bias.detach().numpy(), mask.numpy(), outputs.numpy())
        ctx.save_for_backward(outputs)
        ctx.shape = products.shape
        return outputs

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        (outputs,) = ctx.saved_tensors
        passed = torch.ops.aten.threshold_backward(gradient, outputs, 0)  # (N, F)
        shares = gradient.new_empty(ctx.shape)  # (N, w, F)
        with lock.compiled:
            _share_taps(passed.numpy(), shares.numpy())
        return shares, passed.sum(0), None


def _occurrences(
    tape: Sequence[Lookup], places: Places
) -> tuple[NDArray[np.int32], Integers, NDArray[np.int32], Floats, Floats]:
    """Return where each distinct token of the tape occurs, and what it gets from there.

    Returns
    -------
    tokens : int32 array (u,)
    starts : int64 array (u + 1,)
        Token i occurs in the sequences ``owners[starts[i]:starts[i + 1]]``, in their order.
    owners : int32 array (n,)
    gradient : float32 array (R, E)
        That of each sequence of the tape.
    scales : float32 array (R,)
        The share of it that each of the sequence's tokens gets.
    """
    gradients = [lookup.gradient for lookup in tape if lookup.gradient is not None]
    gradient = torch.cat(gradients) if len(tape) > 1 else gradients[0].contiguous()  # (R, E)
    ids = np.concatenate([lookup.ids.numpy() for lookup in tape])  # (n,)
    lengths = np.concatenate([np.diff(lookup.offsets.numpy()) for lookup in tape])  # (R,)
    owners = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)  # (n,)
    scales = np.float32(1.0) / np.maximum(lengths, 1).astype(np.float32)  # (R,)
    return *_group(ids, owners, places), gradient.numpy(), scales


def _settings(rule: Rule, step: int, decay: bool = True) -> tuple[int, Floats]:
    """Return the rule's code and its constants."""
    return _CODES[rule.name], np.array(settings(rule, step, decay), np.float32)


def _arrays(weight: Tensor, state: Sequence[Tensor]) -> tuple[Any, Any, Any]:
    """Return weight and two states as arrays; an unused state is the weight, never touched."""
    arrays = [weight.numpy(), *(tensor.numpy() for tensor in state)]
    arrays += arrays[:1] * (3 - len(arrays))
    return arrays[0], arrays[1], arrays[2]


def _bounds(starts: Integers) -> Integers:
    """Return bounds that cut the tokens into parts of about equal work.

    A token's row and its state come from memory and go back there, its gradients mostly lie in the
    cache: a row counts as much as `_ROW_COST` gradients.
    """
    work = starts + _ROW_COST * np.arange(len(starts))  # (n + 1,)
    bounds = np.searchsorted(work, np.linspace(0, work[-1], _CHUNKS + 1))
    bounds[0], bounds[-1] = 0, len(starts) - 1
    return bounds


@njit(nogil=True, cache=True, error_model="numpy")
def _decayed(moment, keep, rest, addend):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    value = keep * moment + rest * addend
    return np.float32(0.0) if abs(value) < _TINY else value  # NaN stays NaN


@njit(nogil=True, cache=True, error_model="numpy")
def _apply(code, c, w, g, s, u):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Apply one rule to a row; see `object2vec.kernels.rules` for the formulas."""
    rate, wd, k1, k2, epsilon, r1, r2 = c[0], c[1], c[2], c[3], c[4], c[5], c[6]
    if code == _SGD:
        for i in range(len(w)):
            w[i] -= rate * (g[i] + wd * w[i])
    elif code == _ADAM:
        for i in range(len(w)):
            x = g[i] + wd * w[i]
            s[i] = _decayed(s[i], k1, r1, x)
            u[i] = _decayed(u[i], k2, r2, x * x)
            w[i] -= rate * s[i] / (np.sqrt(u[i]) + epsilon)
    elif code == _ADAGRAD:
        for i in range(len(w)):
            s[i] += g[i] * g[i]
            w[i] -= rate * (g[i] / np.sqrt(s[i] + epsilon) + wd * w[i])
    elif code == _RMSPROP:
        for i in range(len(w)):
            x = g[i] + wd * w[i]
            s[i] = _decayed(s[i], k1, r1, x * x)
            w[i] -= rate * x / np.sqrt(s[i] + epsilon)
    else:
        for i in range(len(w)):
            s[i] = _decayed(s[i], k1, r1, g[i] * g[i])
            d = np.sqrt(u[i] + epsilon) / np.sqrt(s[i] + epsilon) * g[i]
            u[i] = _decayed(u[i], k1, r1, d * d)
            w[i] -= d + wd * w[i]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _segment_max(x, offsets, maxima, places):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in prange(len(maxima)):
        best, place = maxima[i], places[i]
        best[:] = x[offsets[i]]
        place[:] = offsets[i]
        for j in range(offsets[i] + 1, offsets[i + 1]):
            row = x[j]
            for e in range(len(best)):
                is_nan = row[e] != row[e] and best[e] == best[e]  # wins, as in PyTorch
                is_larger = row[e] > best[e] or is_nan
                best[e] = row[e] if is_larger else best[e]
                place[e] = j if is_larger else place[e]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _sum_taps(products, bias, mask, outputs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    width = products.shape[1]
    left = (width - 1) // 2
    for i in prange(len(outputs)):
        row = outputs[i]
        row[:] = 0.0
        if mask[i, 0] == 0.0:
            continue
        for tap in range(width):
            part = products[i + tap - left, tap]  # inside: the mask is 0 at both ends
            for f in range(len(row)):
                row[f] += part[f]
        for f in range(len(row)):
            value = row[f] + bias[f]
            row[f] = np.float32(0.0) if value < 0.0 else value  # NaN stays NaN


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _share_taps(gradient, shares):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Hand the gradient (N, F) of each row on to the products (N, w, F) that it was the sum of."""
    n_rows, width, _ = shares.shape
    left = (width - 1) // 2
    for i in prange(n_rows):
        for tap in range(width):
            source = i - tap + left
            if 0 <= source < n_rows:
                shares[i, tap] = gradient[source]
            else:
                shares[i, tap] = 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _group(ids, owners, places):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """List each distinct token, in order of appearance, with its owners in the order of the batch.

    `places` must be zeros; it comes back holding each listed token's number in the list, from 1.
    """
    tokens, counts = np.empty(len(ids), np.int32), np.empty(len(ids), np.int32)
    number, scratch = np.empty(len(ids), np.int32), places.reshape((len(places), 1))
    n = 0
    for j in range(len(ids)):
        if j + _PLACES_AHEAD < len(ids):
            prefetch_row(scratch, ids[j + _PLACES_AHEAD])
        if places[ids[j]] == 0:
            tokens[n] = ids[j]
            counts[n] = 0
            n += 1
            places[ids[j]] = n
        number[j] = places[ids[j]] - 1
        counts[number[j]] += 1
    starts = np.zeros(n + 1, np.int64)
    for k in range(n):
        starts[k + 1] = starts[k] + counts[k]
        counts[k] = starts[k]  # from here on: where the next of its owners stands
    grouped = np.empty(len(ids), np.int32)
    for j in range(len(ids)):
        grouped[counts[number[j]]] = owners[j]
        counts[number[j]] += 1
    return tokens[:n], starts, grouped


@njit(nogil=True, cache=True, error_model="numpy")
def _clear(places, tokens):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for token in tokens:
        places[token] = 0


@njit(nogil=True, cache=True, error_model="numpy")
def _reduce(owners, gradient, scales, start, stop, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    out[:] = 0.0
    for k in range(start, stop):
        if k + _GRADIENTS_AHEAD < len(owners):
            prefetch_row(gradient, owners[k + _GRADIENTS_AHEAD])
        row, scale = gradient[owners[k]], scales[owners[k]]
        for e in range(len(out)):
            out[e] += row[e] * scale


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _update_rows(code, c, w, s, u, tokens, starts, owners, gradient, scales, bounds):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for part in prange(len(bounds) - 1):
        total = np.empty(w.shape[1], np.float32)
        for place in range(bounds[part], bounds[part + 1]):
            if place + 1 < len(tokens):
                prefetch_row(w, tokens[place + 1])
                prefetch_row(s, tokens[place + 1])
                prefetch_row(u, tokens[place + 1])
            _reduce(owners, gradient, scales, starts[place], starts[place + 1], total)
            row = tokens[place]
            _apply(code, c, w[row], total, s[row], u[row])


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _update_table(code, c, w, s, u, places, starts, owners, gradient, scales):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    size = (len(w) + _CHUNKS - 1) // _CHUNKS
    for part in prange(_CHUNKS):
        total = np.zeros(w.shape[1], np.float32)
        for row in range(part * size, min((part + 1) * size, len(w))):
            place = places[row]
            if place:
                _reduce(owners, gradient, scales, starts[place - 1], starts[place], total)
            _apply(code, c, w[row], total, s[row], u[row])
            if place:
                total[:] = 0.0


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _update_flat(code, c, w, s, u, gradient):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    size = (len(w) + _CHUNKS - 1) // _CHUNKS
    for part in prange(_CHUNKS):
        here = slice(part * size, (part + 1) * size)
        _apply(code, c, w[here], gradient[here], s[here], u[here])


@njit(nogil=True, cache=True, error_model="numpy")
def _update_flat_serial(code, c, w, s, u, gradient):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    _apply(code, c, w, gradient, s, u)


assert _CODES.keys() == RULES.keys()
