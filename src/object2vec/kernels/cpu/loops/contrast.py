"""Neighbours against noise: what pairs lose, and the gradients of it, block by block.

A block has some rows of both sides, pairs among them, and noise of its own. It fits into the CPU's
nearest caches, so that a row comes from farther away once, though it has ten partners and meets all
of the noise. With noise it is two matrix products there and back, in which each inner loop adds
four rows at once: that keeps the processor's multipliers busy.
"""

import numpy as np

from object2vec.compiled.functions import parallel, summing

_ZERO, _HALF, _ONE, _END = np.float32(0), np.float32(0.5), np.float32(1), np.float32(9)
_LEAST = np.float32(1e-7)  # of a probability whose logarithm is taken
_LOGGED = 32  # probabilities that are multiplied before that: of such few none becomes 0
_ROWS = 4  # of noise gradients that are added at once
# tanh(x) is x times a ratio of polynomials in x^2, to the last digits of a float32 up to 9.
_P0, _P1 = np.float32(4.89352455891786e-03), np.float32(6.37261928875436e-04)
_P2, _P3 = np.float32(1.48572235717979e-05), np.float32(5.12229709037114e-08)
_P4, _P5 = np.float32(-8.60467152213735e-11), np.float32(2.00018790482477e-13)
_P6 = np.float32(-2.76076847742355e-16)
_Q0, _Q1 = np.float32(4.89352518554385e-03), np.float32(2.26843463243900e-03)
_Q2, _Q3 = np.float32(1.18534705686654e-04), np.float32(1.19825839466702e-06)


@summing
def _sigmoid(x):
    """Return the logistic function without a branch, so that many are computed at once."""
    y = min(max(_HALF * x, -_END), _END)
    z = y * y
    p = (((((_P6 * z + _P5) * z + _P4) * z + _P3) * z + _P2) * z + _P1) * z + _P0
    q = ((_Q3 * z + _Q2) * z + _Q1) * z + _Q0
    return _HALF + _HALF * (y * p / q)


@summing
def _meet_partners(i, starts, partners, a, b, offset, scale, da, db):
    """Add what a row's pairs lose to the gradients; return that, and how many score above 0."""
    lost, hits, likelihood, width = 0.0, 0.0, 1.0, a.shape[1]
    for e in range(width):
        da[i, e] = _ZERO
    for k in range(starts[i], starts[i + 1]):
        j, score = partners[k], -offset
        for e in range(width):
            score += a[i, e] * b[j, e]
        chance = _sigmoid(score)
        likelihood *= max(chance, _LEAST)
        if (k - starts[i]) % _LOGGED == _LOGGED - 1:
            lost, likelihood = lost - np.log(likelihood), 1.0
        hits += score > _ZERO
        share = scale * (chance - _ONE)
        for e in range(width):
            da[i, e] += share * b[j, e]
            db[j, e] += share * a[i, e]
    return lost - np.log(likelihood), hits


@summing
def _score_noise(i, a, noise, offset, shares):
    """Write the scores of a row with the noise of its block (D, K), less the offset."""
    for k in range(len(shares)):
        shares[k] = -offset
    for e in range(0, a.shape[1] & ~3, 4):
        x0, x1, x2, x3 = a[i, e], a[i, e + 1], a[i, e + 2], a[i, e + 3]
        for k in range(len(shares)):
            both = x0 * noise[e, k] + x1 * noise[e + 1, k]
            shares[k] += both + x2 * noise[e + 2, k] + x3 * noise[e + 3, k]
    for e in range(a.shape[1] & ~3, a.shape[1]):
        for k in range(len(shares)):
            shares[k] += a[i, e] * noise[e, k]


@summing
def _measure_noise(shares):
    """Return what scores of noise lose, and how many are at most 0."""
    lost, right = 0.0, 0
    for first in range(0, len(shares), _LOGGED):
        likelihood = 1.0
        for k in range(first, min(first + _LOGGED, len(shares))):
            likelihood *= max(_ONE - _sigmoid(shares[k]), _LEAST)
            right += shares[k] <= _ZERO
        lost -= np.log(likelihood)
    return lost, right


@summing
def _share_noise(i, first, shares, b, da):
    """Add to a row's gradient what it gets of the noise, rows of `b` from `first` on."""
    width, whole = b.shape[1], len(shares) & ~3
    for k in range(0, whole, 4):
        j, y0, y1, y2, y3 = first + k, shares[k], shares[k + 1], shares[k + 2], shares[k + 3]
        for e in range(width):
            da[i, e] += y0 * b[j, e] + y1 * b[j + 1, e] + y2 * b[j + 2, e] + y3 * b[j + 3, e]
    for k in range(whole, len(shares)):
        for e in range(width):
            da[i, e] += shares[k] * b[first + k, e]


@summing
def _share_rows(i, rows, first, shares, a, db):
    """Add to the gradients of the noise what they get of some rows of `a`, four at once."""
    width = a.shape[1]
    for k in range(shares.shape[1]):
        j = first + k
        if rows == _ROWS:
            y0, y1, y2, y3 = shares[0, k], shares[1, k], shares[2, k], shares[3, k]
            for e in range(width):
                db[j, e] += y0 * a[i, e] + y1 * a[i + 1, e] + y2 * a[i + 2, e] + y3 * a[i + 3, e]
        else:
            for r in range(rows):
                for e in range(width):
                    db[j, e] += shares[r, k] * a[i + r, e]


@summing
def _meet_noise(first, last, at, starts, a, b, noise, shares, offset, scale, da, db):
    """Add what rows lose to noise to the gradients; return that, and how much scores below 0."""
    lost = hits = 0.0
    for i in range(first, last, _ROWS):
        rows = min(_ROWS, last - i)
        for r in range(rows):
            own = shares[r]
            pairs = np.float32(starts[i + r + 1] - starts[i + r])
            _score_noise(i + r, a, noise, offset, own)
            surprise, right = _measure_noise(own)
            lost += pairs * surprise
            hits += pairs * right
            for k in range(len(own)):
                own[k] = scale * pairs * _sigmoid(own[k])
            _share_noise(i + r, at, own, b, da)
        _share_rows(i, rows, at, shares, a, db)
    return lost, hits


def _contrast(first, last, bounds, starts, partners, a, b, constants, da, db, found):
    """Write the gradients of blocks, and what they lose; units are blocks.

    Parameters
    ----------
    bounds : int64 array (G + 1,)
        Block g has the rows from ``bounds[g]`` on of both sides.
    starts : int64 array (T + 1,)
    partners : int32 array (P,)
        Row i of `a` makes pairs with rows ``partners[starts[i]:starts[i + 1]]`` of `b`.
    a : float32 array (T, D)
    b : float32 array (T + G * K, D)
        Behind the rows of the blocks is the noise of each block.
    constants : float32 array (3,)
        What scores are compared with; what gradients of pairs and of noise count.
    da, db : float32 arrays of these shapes
    found : float64 array (G, 4)
        What pairs lose and how many of them score above 0; the same of noise, at most 0.
    """
    width, count = a.shape[1], (len(b) - len(a)) // max(1, len(bounds) - 1)
    noise, shares = np.empty((width, count), np.float32), np.empty((_ROWS, count), np.float32)
    offset, scale, noise_scale = constants[0], constants[1], constants[2]
    for g in range(first, last):
        start, stop, at = bounds[g], bounds[g + 1], len(a) + g * count
        for j in range(at, at + count):
            for e in range(width):
                noise[e, j - at] = b[j, e]
                db[j, e] = _ZERO
        for j in range(start, stop):
            for e in range(width):
                db[j, e] = _ZERO
        lost = hits = 0.0
        for i in range(start, stop):
            own, above = _meet_partners(i, starts, partners, a, b, offset, scale, da, db)
            lost += own
            hits += above
        found[g, 0], found[g, 1] = lost, hits
        found[g, 2], found[g, 3] = _meet_noise(
            start, stop, at, starts, a, b, noise, shares, offset, noise_scale, da, db
        )


contrast = parallel(_contrast)
"""`_contrast` on several threads."""
