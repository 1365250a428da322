"""The update of a parameter, one pass per distinct token.

An update first lists the occurrences of each distinct token (two passes over the ids, with a
scratch array that remembers each token's rank in the list). Then every token is one unit of work:
sum its share of the gradients in the order of the batch, apply the rule to its row and state, go
on. A unit belongs to one thread as a whole and its order of summation is fixed by the batch, so the
number of threads cannot change a bit of the result.

What else may happen to a row while it is at hand (averages, weights of rows, decoupled decay,
noise) are functions that a loop is compiled with. Those that are off do nothing and cost nothing.
"""

import functools

import numpy as np

from object2vec.compiled.functions import compiled, inner, parallel, summing
from object2vec.compiled.prefetch import prefetch_number, prefetch_row
from object2vec.kernels.noise import CENTRE, MULTIPLIERS, SCALE, STRIDE
from object2vec.kernels.rules import EXTRAS, TINY

_TINY = np.float32(TINY)
_FIRST, _SECOND = map(np.uint32, MULTIPLIERS)
_BYTES = np.uint32(0x00FF00FF)
_STRIDE, _SCALE = np.uint32(STRIDE), np.float32(SCALE)
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


# How far each rule moves the number `i` of a row for a unit of what it follows.


@inner
def _sgd_rate(c, s, u, i):
    return c[0]


@inner
def _adam_rate(c, s, u, i):
    return np.float32(0.0) if u[i] == 0.0 else c[0] / (np.sqrt(u[i]) + c[4])


@inner
def _root_rate(c, s, u, i):
    return np.float32(0.0) if s[i] == 0.0 else c[0] / np.sqrt(s[i] + c[4])


@inner
def _adadelta_rate(c, s, u, i):
    return np.float32(0.0) if s[i] == 0.0 else np.sqrt(u[i] + c[4]) / np.sqrt(s[i] + c[4])


_RATES = {
    "sgd": _sgd_rate,
    "adam": _adam_rate,
    "adagrad": _root_rate,
    "rmsprop": _root_rate,
    "adadelta": _adadelta_rate,
}


# What else is done to a row. Numbers `n` of a step are: the steps before it, the last step that is
# in no average, and both halves of the noise's key. Weights of rows get no noise (`Update.apply`).


@inner
def _no_share(n, last, row):
    return np.float32(0.0)


@inner
def _share(n, last, row):
    """Return what the weight of a row, as it stands, is of its average; count it."""
    new = n[0] - max(n[1], last[row])
    last[row] = n[0]
    return np.float32(new) / np.float32(n[0] - n[1])


@inner
def _no_average(share, w, mean):
    pass


@inner
def _average(share, w, mean):
    for i in range(len(mean)):
        mean[i] += share * (w[i] - mean[i])


@inner
def _no_shrinking(c, w):
    pass


@inner
def _shrink(c, w):
    for i in range(len(w)):
        w[i] *= c[7]


@inner
def _no_product(w, g, product):
    pass


@summing
def _product(w, g, product):
    """Write the product of a row and its gradient: the gradient of the row's weight."""
    total = np.float32(0.0)
    for i in range(len(w)):
        total += w[i] * g[i]
    product[0] = total


@inner
def _no_fetch(mean, row):
    pass


@inner
def _no_rule(c, w, g, s, u):
    pass


@inner
def _no_noise(c, n, row, first, w, s, u):
    pass


@inner
def _mixed(x):
    x = np.uint32((x ^ (x >> np.uint32(16))) * _FIRST)
    x = np.uint32((x ^ (x >> np.uint32(15))) * _SECOND)
    return np.uint32(x ^ (x >> np.uint32(16)))


def _noise(c, n, row, first, w, s, u):
    """Add to each number, of a row's column `first` on, the noise that is its own."""
    start = _mixed(np.uint32(_mixed(np.uint32(row + n[2])) + np.uint32(n[3])))
    for i in range(len(w)):
        x = _mixed(np.uint32(start + np.uint32(np.uint32(first + i) * _STRIDE)))
        pairs = np.uint32((x & _BYTES) + ((x >> np.uint32(8)) & _BYTES))
        total = np.int32((pairs & np.uint32(0xFFFF)) + (pairs >> np.uint32(16)))
        spread = np.sqrt(c[8] * _rate(c, s, u, i))
        w[i] += spread * (np.float32(np.int32(total - CENTRE)) * _SCALE)


def _update_rows(
    first,
    last,
    c,
    n,
    w,
    s,
    u,
    mean,
    counted,
    cw,
    ww,
    ws,
    wu,
    wmean,
    tokens,
    starts,
    owners,
    coefficients,
    gradient,
):
    """Update the rows that were read; units are entries of `tokens`."""
    total, product = np.empty(w.shape[1], np.float32), np.empty(1, np.float32)
    for k in range(first, last):
        if k + 1 < len(tokens):
            prefetch_row(w, tokens[k + 1])
            prefetch_row(s, tokens[k + 1])
            prefetch_row(u, tokens[k + 1])
            _fetch_mean(mean, tokens[k + 1])
        _sum_shares(owners, coefficients, gradient, starts[k], starts[k + 1], total)
        _update_row(
            tokens[k], True, total, product, c, n, w, s, u, mean, counted, cw, ww, ws, wu, wmean
        )


def _update_table(
    first,
    last,
    c,
    n,
    w,
    s,
    u,
    mean,
    counted,
    cw,
    ww,
    ws,
    wu,
    wmean,
    ranks,
    starts,
    owners,
    coefficients,
    gradient,
):
    """Update every row; units are rows."""
    total, product = np.empty(w.shape[1], np.float32), np.empty(1, np.float32)
    for row in range(first, last):
        rank = ranks[row]
        start, stop = (starts[rank - 1], starts[rank]) if rank else (0, 0)
        _sum_shares(owners, coefficients, gradient, start, stop, total)
        _update_row(
            row, rank > 0, total, product, c, n, w, s, u, mean, counted, cw, ww, ws, wu, wmean
        )


def _update_row(row, is_read, total, product, c, n, w, s, u, mean, counted, cw, ww, ws, wu, wmean):
    """Update one row of a table, and its weight, by its gradient `total`; noise if it was read."""
    share = _share(n, counted, row)
    _average(share, w[row], mean[row])
    _average_weight(share, ww[row], wmean[row])
    _multiply(w[row], total, product)
    _shrink(c, w[row])
    _apply(c, w[row], total, s[row], u[row])
    _apply_weight(cw, ww[row], product, ws[row], wu[row])
    if is_read:
        _disturb(c, n, row, 0, w[row], s[row], u[row])


def _update_flat(first, last, share, c, n, w, s, u, mean, gradient):
    """Update a parameter from its whole gradient; units are numbers."""
    _average(share, w[first:last], mean[first:last])
    _shrink(c, w[first:last])
    _apply(c, w[first:last], gradient[first:last], s[first:last], u[first:last])
    _disturb(c, n, 0, first, w[first:last], s[first:last], u[first:last])


@parallel
def square_rows(first, last, weighs, w, starts, tokens, owners, coefficients, gradient, squares):
    """Write the squared length of each token's gradient; units are entries of `tokens`.

    Where its rows have weights, which `weighs` says, that of its weight counts, too.
    """
    total, product = np.empty(w.shape[1], np.float32), np.empty(1, np.float32)
    for k in range(first, last):
        _sum_shares(owners, coefficients, gradient, starts[k], starts[k + 1], total)
        _product(total, total, product)
        squares[k] = product[0]
        if weighs:
            _product(w[tokens[k]], total, product)
            squares[k] += np.float64(product[0]) * product[0]


# In the stead of these, each version of a loop has the functions that it is compiled with.
_apply = _apply_weight = _average_weight = _multiply = _disturb = _no_rule
_fetch_mean, _rate = _no_fetch, _sgd_rate


@functools.cache
def updates(rule, extras):
    """Return the updates of rows, tables and whole parameters by one rule: a run uses but one.

    Parameters
    ----------
    rule : str
    extras : tuple of str
        What else an update does, of `EXTRAS`.
    """
    averages, weighs, shrinks, is_noisy = (extra in extras for extra in EXTRAS)
    change = {
        "_average": _average if averages else _no_average,
        "_shrink": _shrink if shrinks else _no_shrinking,
        "_apply": _RULES[rule],
        "_disturb": inner(_noise, _rate=_RATES[rule]) if is_noisy else _no_noise,
    }
    of_row = {
        "_share": _share if averages else _no_share,
        "_multiply": _product if weighs else _no_product,
        "_average_weight": _average if averages and weighs else _no_average,
        "_apply_weight": _RULES[rule] if weighs else _no_rule,
    }
    name = "_".join([rule, *extras])
    row = inner(_update_row, name, **change, **of_row)
    fetch = prefetch_row if averages else _no_fetch
    return (
        parallel(_update_rows, name, _update_row=row, _fetch_mean=fetch),
        parallel(_update_table, name, _update_row=row),
        parallel(_update_flat, name, **change),
    )
