"""The Triton programs of the CUDA kernel; `object2vec.kernels.cuda.kernel` says what they are for.

Arrays come as pointers and have the shapes and types that are named there. A program's first number
is its row, its second one its block of columns. Rows are numbered in 64 bits, for a table may hold
more than 2**31 numbers.
"""

import triton
import triton.language as tl

from object2vec.kernels.rules import TINY

_AHEAD = tl.constexpr(4)  # rows that a loop may fetch before their turn
_TINY = tl.constexpr(TINY)


@triton.jit
def pool(
    weight,
    ids,
    coefficients,
    offsets,
    pooled,
    width,
    IS_WEIGHTED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the mean row of one sequence, or the sum of its rows times their coefficients."""
    i = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    mask = columns < width
    start, stop = tl.load(offsets + i), tl.load(offsets + i + 1)
    total = tl.zeros((BLOCK,), tl.float32)
    for k in tl.range(start, stop, loop_unroll_factor=_AHEAD):
        row = tl.load(ids + k).to(tl.int64)
        values = tl.load(weight + row * width + columns, mask=mask, other=0.0)  # (BLOCK,)
        if IS_WEIGHTED:
            values *= tl.load(coefficients + k)
        total += values
    if not IS_WEIGHTED:
        total *= tl.div_rn(1.0, tl.maximum(stop - start, 1).to(tl.float32))
    tl.store(pooled + i * width + columns, total, mask=mask)


@triton.jit
def segment_max(x, offsets, maxima, rows, width, BLOCK: tl.constexpr):
    """Write the maximum of one segment and the first row that has it."""
    i = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    mask = columns < width
    start, stop = tl.load(offsets + i), tl.load(offsets + i + 1)
    best = tl.load(x + start * width + columns, mask=mask, other=0.0)
    first = tl.zeros((BLOCK,), tl.int64) + start
    for k in tl.range(start + 1, stop, loop_unroll_factor=_AHEAD):
        row = tl.load(x + k * width + columns, mask=mask, other=0.0)
        # What is no number is the maximum, as in PyTorch: a run that diverged should look like it.
        is_larger = (row > best) | ((row != row) & (best == best))
        best = tl.where(is_larger, row, best)
        first = tl.where(is_larger, k, first)
    tl.store(maxima + i * width + columns, best, mask=mask)
    tl.store(rows + i * width + columns, first, mask=mask)


@triton.jit
def spread(
    owners,
    shares,
    coefficients,
    offsets,
    first,
    row,
    IS_WEIGHTED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write, for each token of one sequence from `first` on, its gradient's row and its share."""
    i = tl.program_id(0).to(tl.int64)
    start, stop = tl.load(offsets + i), tl.load(offsets + i + 1)
    share = tl.div_rn(1.0, tl.maximum(stop - start, 1).to(tl.float32))
    for k in tl.range(start, stop, BLOCK):
        at = k + tl.arange(0, BLOCK)  # (BLOCK,)
        mask = at < stop
        each = tl.zeros((BLOCK,), tl.float32) + share
        if IS_WEIGHTED:
            each = tl.load(coefficients + at, mask=mask, other=0.0)
        tl.store(owners + first + at, (row + i).to(tl.int32), mask=mask)
        tl.store(shares + first + at, each, mask=mask)


@triton.jit
def arrange(
    ids,
    order,
    owners,
    shares,
    sorted_owners,
    sorted_shares,
    is_first,
    count,
    BLOCK: tl.constexpr,
):
    """Put owners and shares into the order of the ids, and mark where a token begins, and the end.

    `is_first` has one number more than the others.
    """
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    mask = at < count
    source = tl.load(order + at, mask=mask, other=0)
    tl.store(sorted_owners + at, tl.load(owners + source, mask=mask), mask=mask)
    tl.store(sorted_shares + at, tl.load(shares + source, mask=mask), mask=mask)
    here = tl.load(ids + at, mask=mask, other=-1)
    before = tl.load(ids + at - 1, mask=mask & (at > 0), other=-1)
    tl.store(is_first + at, (here != before) | (at == count), mask=at <= count)


@triton.jit
def _add_shares(total, owners, coefficients, gradient, start, stop, columns, mask, width):
    """Add to `total` the shares of the occurrences from `start` to `stop`, one after another."""
    for k in tl.range(start, stop, loop_unroll_factor=_AHEAD):
        row = tl.load(owners + k).to(tl.int64)
        values = tl.load(gradient + row * width + columns, mask=mask, other=0.0)  # (BLOCK,)
        total += values * tl.load(coefficients + k)
    return total


@triton.jit
def sum_chunks(
    partials, ids, owners, coefficients, gradient, width, CHUNK: tl.constexpr, BLOCK: tl.constexpr
):
    """Sum one chunk, if all its occurrences are of one token."""
    chunk = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    mask = columns < width
    start, stop = chunk * CHUNK, (chunk + 1) * CHUNK
    if tl.load(ids + start) == tl.load(ids + stop - 1):
        total = tl.zeros((BLOCK,), tl.float32)
        total = _add_shares(
            total, owners, coefficients, gradient, start, stop, columns, mask, width
        )
        tl.store(partials + chunk * width + columns, total, mask=mask)


@triton.jit
def update_rows(
    weights,
    firsts,
    seconds,
    ids,
    starts,
    owners,
    coefficients,
    gradient,
    partials,
    c,
    width,
    RULE: tl.constexpr,
    STATES: tl.constexpr,
    CHUNK: tl.constexpr,
    IS_TABLE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Reduce the gradient of one token and apply the rule to its row."""
    i = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    mask = columns < width
    start, stop = tl.load(starts + i), tl.load(starts + i + 1)
    # Occurrences before the first chunk that is this token's alone, such chunks, the rest.
    first, last = (start + CHUNK - 1) // CHUNK, stop // CHUNK
    head = tl.where(first < last, first * CHUNK, stop)
    tail = tl.where(first < last, last * CHUNK, stop)
    total = tl.zeros((BLOCK,), tl.float32)
    total = _add_shares(total, owners, coefficients, gradient, start, head, columns, mask, width)
    for k in tl.range(first, last, loop_unroll_factor=_AHEAD):
        total += tl.load(partials + k * width + columns, mask=mask, other=0.0)
    total = _add_shares(total, owners, coefficients, gradient, tail, stop, columns, mask, width)
    row = i if IS_TABLE else tl.load(ids + start).to(tl.int64)
    _step(weights, firsts, seconds, row * width + columns, mask, total, c, RULE, STATES)


@triton.jit
def update_flat(
    weights,
    firsts,
    seconds,
    gradient,
    size,
    c,
    RULE: tl.constexpr,
    STATES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Apply the rule to a part of a parameter, as one run of numbers."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    g = tl.load(gradient + at, mask=at < size, other=0.0)
    _step(weights, firsts, seconds, at, at < size, g, c, RULE, STATES)


@triton.jit
def _step(weights, firsts, seconds, at, mask, g, c, RULE: tl.constexpr, STATES: tl.constexpr):
    """Apply one rule to the numbers at `at`, their gradient being `g`."""
    w = tl.load(weights + at, mask=mask, other=0.0)
    s, u = w, w
    if STATES > 0:
        s = tl.load(firsts + at, mask=mask, other=0.0)
    if STATES > 1:
        u = tl.load(seconds + at, mask=mask, other=0.0)
    w, s, u = _applied(w, g, s, u, c, RULE)
    tl.store(weights + at, w, mask=mask)
    if STATES > 0:
        tl.store(firsts + at, s, mask=mask)
    if STATES > 1:
        tl.store(seconds + at, u, mask=mask)


@triton.jit
def _applied(w, g, s, u, c, RULE: tl.constexpr):
    """Return weight and state after one update; see `object2vec.kernels.rules` for the formulas."""
    rate, wd, k1, k2, epsilon, r1, r2 = c
    if RULE == "sgd":
        w -= rate * (g + wd * w)
    elif RULE == "adam":
        x = g + wd * w
        s = _decayed(s, k1, r1, x)
        u = _decayed(u, k2, r2, x * x)
        w -= tl.div_rn(rate * s, tl.sqrt_rn(u) + epsilon)
    elif RULE == "adagrad":
        s += g * g
        w -= rate * (tl.div_rn(g, tl.sqrt_rn(s + epsilon)) + wd * w)
    elif RULE == "rmsprop":
        x = g + wd * w
        s = _decayed(s, k1, r1, x * x)
        w -= tl.div_rn(rate * x, tl.sqrt_rn(s + epsilon))
    else:
        tl.static_assert(RULE == "adadelta")
        s = _decayed(s, k1, r1, g * g)
        d = tl.div_rn(tl.sqrt_rn(u + epsilon), tl.sqrt_rn(s + epsilon)) * g
        u = _decayed(u, k1, r1, d * d)
        w -= d + wd * w
    return w, s, u


@triton.jit
def _decayed(moment, keep, rest, addend):
    """Return the moment after one update, without numbers so small that they would be subnormal."""
    value = keep * moment + rest * addend
    return tl.where(tl.abs(value) < _TINY, 0.0, value)
