"""The update of a parameter, one pass per distinct token.

An update first lists the occurrences of each distinct token (two passes over the ids, with a
scratch array that remembers each token's rank in the list). Then every token is one unit of work:
sum its share of the gradients in the order of the batch, apply the rule to its row and state, go
on. A unit belongs to one thread as a whole and its order of summation is fixed by the batch, so the
number of threads cannot change a bit of the result.
"""

import functools

import numpy as np

from object2vec.compiled.functions import compiled, inner, parallel
from object2vec.kernels.cpu.loops.prefetch import prefetch_number, prefetch_row
from object2vec.kernels.rules import TINY

_TINY = np.float32(TINY)
_GRADIENTS_AHEAD = 4  # gradients that a sum fetches before their turn
_RANKS_AHEAD = 32  # tokens whose ranks are fetched before their turn


@compiled
def list_tokens(
    ids,
    owners,
    coefficients,
    ranks,
    tokens,
    counts,
    numbers,
    starts,
    sorted_owners,
    sorted_coefficients,
):
    """List each distinct token, in order of appearance, with where it occurs.

    Parameters
    ----------
    ids : int32 array (n,)
    owners : int32 array (n,)
        The row of the gradient that each occurrence gets a share of.
    coefficients : float32 array (n,)
        The share.
    ranks : int32 array (V,)
        Zeros; it comes back holding each listed token's number in the list, from 1.

    tokens, counts, numbers : int32 array (n,)
        Filled with the distinct tokens; the other two are scratch.
    starts : int64 array (n + 1,)
        Filled so that occurrences ``starts[i]:starts[i + 1]`` of the next two are token i's.
    sorted_owners : int32 array (n,)
    sorted_coefficients : float32 array (n,)

    Returns
    -------
    int
        The number of distinct tokens.
    """
    n, u = len(ids), 0
    for j in range(n):
        if j + _RANKS_AHEAD < n:
            prefetch_number(ranks, ids[j + _RANKS_AHEAD])
        rank = ranks[ids[j]]
        if rank == 0:
            tokens[u] = ids[j]
            counts[u] = 0
            u += 1
            rank = u
            ranks[ids[j]] = rank
        numbers[j] = rank - 1
        counts[rank - 1] += 1
    starts[0] = 0
    for k in range(u):
        starts[k + 1] = starts[k] + counts[k]
        counts[k] = starts[k]  # from here on: where the next of its occurrences stands
    for j in range(n):
        k = counts[numbers[j]]
        sorted_owners[k] = owners[j]
        sorted_coefficients[k] = coefficients[j]
        counts[numbers[j]] = k + 1
    return u


@inner
def _sum_shares(owners, coefficients, gradient, start, stop, total):
    """Sum a token's shares of the gradient, in the order of the batch."""
    for e in range(len(total)):
        total[e] = 0.0
    for k in range(start, stop):
        if k + _GRADIENTS_AHEAD < len(owners):
            prefetch_row(gradient, owners[k + _GRADIENTS_AHEAD])
        row, coefficient = owners[k], coefficients[k]
        for e in range(len(total)):
            total[e] += gradient[row, e] * coefficient


@inner
def _decayed(moment, keep, rest, addend):
    """Return the moment after one update, without numbers so small that they would be subnormal."""
    value = keep * moment + rest * addend
    return np.float32(0.0) if abs(value) < _TINY else value


# The rules: each changes a row `w` and its states `s` and `u` by its gradient `g`, with constants
# `c`; see `object2vec.kernels.rules` for the formulas.


@inner
def _sgd(c, w, g, s, u):
    rate, wd = c[0], c[1]
    for i in range(len(w)):
        w[i] -= rate * (g[i] + wd * w[i])


@inner
def _adam(c, w, g, s, u):
    rate, wd, k1, k2, epsilon, r1, r2 = c[0], c[1], c[2], c[3], c[4], c[5], c[6]
    for i in range(len(w)):
        x = g[i] + wd * w[i]
        s[i] = _decayed(s[i], k1, r1, x)
        u[i] = _decayed(u[i], k2, r2, x * x)
        w[i] -= rate * s[i] / (np.sqrt(u[i]) + epsilon)


@inner
def _adagrad(c, w, g, s, u):
    rate, wd, epsilon = c[0], c[1], c[4]
    for i in range(len(w)):
        s[i] += g[i] * g[i]
        w[i] -= rate * (g[i] / np.sqrt(s[i] + epsilon) + wd * w[i])


@inner
def _rmsprop(c, w, g, s, u):
    rate, wd, k1, epsilon, r1 = c[0], c[1], c[2], c[4], c[5]
    for i in range(len(w)):
        x = g[i] + wd * w[i]
        s[i] = _decayed(s[i], k1, r1, x * x)
        w[i] -= rate * x / np.sqrt(s[i] + epsilon)


@inner
def _adadelta(c, w, g, s, u):
    wd, k1, epsilon, r1 = c[1], c[2], c[4], c[5]
    for i in range(len(w)):
        s[i] = _decayed(s[i], k1, r1, g[i] * g[i])
        d = np.sqrt(u[i] + epsilon) / np.sqrt(s[i] + epsilon) * g[i]
        u[i] = _decayed(u[i], k1, r1, d * d)
        w[i] -= d + wd * w[i]


_RULES = {
    "sgd": _sgd,
    "adam": _adam,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "adadelta": _adadelta,
}


def _update_rows(first, last, c, w, s, u, tokens, starts, owners, coefficients, gradient):
    """Update the rows that were read; units are entries of `tokens`."""
    total = np.empty(w.shape[1], np.float32)
    for k in range(first, last):
        if k + 1 < len(tokens):
            prefetch_row(w, tokens[k + 1])
            prefetch_row(s, tokens[k + 1])
            prefetch_row(u, tokens[k + 1])
        _sum_shares(owners, coefficients, gradient, starts[k], starts[k + 1], total)
        row = tokens[k]
        _apply(c, w[row], total, s[row], u[row])


def _update_table(first, last, c, w, s, u, ranks, starts, owners, coefficients, gradient):
    """Update every row; units are rows."""
    total = np.empty(w.shape[1], np.float32)
    for row in range(first, last):
        rank = ranks[row]
        start, stop = (starts[rank - 1], starts[rank]) if rank else (0, 0)
        _sum_shares(owners, coefficients, gradient, start, stop, total)
        _apply(c, w[row], total, s[row], u[row])


def _update_flat(first, last, c, w, s, u, gradient):
    """Update a parameter from its whole gradient; units are numbers."""
    _apply(c, w[first:last], gradient[first:last], s[first:last], u[first:last])


_apply = _sgd  # in its stead each of the three above has the rule that it is compiled for


@functools.cache
def updates(rule):
    """Return the updates of rows, tables and whole parameters by one rule: a run uses but one."""
    loops = (_update_rows, _update_table, _update_flat)
    return tuple(parallel(loop, _apply=_RULES[rule]) for loop in loops)
