"""Maxima over segments, and the sums of a convolution over time."""

import numpy as np

from object2vec.compiled.functions import parallel


@parallel
def segment_max(first, last, x, offsets, maxima, rows):
    """Write the maximum of each segment and the first row that has it; units are segments."""
    for i in range(first, last):
        start = offsets[i]
        for e in range(maxima.shape[1]):
            maxima[i, e] = x[start, e]
            rows[i, e] = start
        for j in range(start + 1, offsets[i + 1]):
            for e in range(maxima.shape[1]):
                value, best = x[j, e], maxima[i, e]
                is_nan = value != value and best == best  # wins, as in PyTorch
                is_larger = value > best or is_nan
                maxima[i, e] = value if is_larger else best
                rows[i, e] = j if is_larger else rows[i, e]


@parallel
def sum_taps(first, last, products, bias, mask, outputs):
    """Sum what the taps of the filters say of each row; units are rows."""
    width, filters = products.shape[1], products.shape[2]
    left = (width - 1) // 2
    for i in range(first, last):
        for f in range(filters):
            outputs[i, f] = 0.0
        if mask[i, 0] == 0.0:
            continue
        for tap in range(width):  # rows inside: the mask is 0 at both ends
            for f in range(filters):
                outputs[i, f] += products[i + tap - left, tap, f]
        for f in range(filters):
            value = outputs[i, f] + bias[f]
            outputs[i, f] = np.float32(0.0) if value < 0.0 else value  # NaN stays NaN


@parallel
def share_taps(first, last, gradient, shares):
    """Hand the gradient (N, F) of each row on to the products (N, w, F) that it was the sum of."""
    n_rows, width, filters = shares.shape
    left = (width - 1) // 2
    for i in range(first, last):
        for tap in range(width):
            source = i - tap + left
            if 0 <= source < n_rows:
                for f in range(filters):
                    shares[i, tap, f] = gradient[source, f]
            else:
                for f in range(filters):
                    shares[i, tap, f] = 0.0
