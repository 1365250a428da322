"""The gradient of a dense layer's outputs, taken through its activation."""

import numpy as np

from object2vec.compiled.functions import parallel
from object2vec.kernels.cpu.loops.transpose import transpose_rows

STRIP = 64  # rows of a gradient that one thread takes at a time


@parallel
def take_back(first, last, activation, gradient, outputs, before, transposed, sums):
    """Write the gradient before the activation, that transposed, and its sums over strips of rows.

    Units are strips; see `object2vec.kernels.cpu.dense` for the arrays.
    """
    n_rows, width = gradient.shape
    for strip in range(first, last):
        start, stop = strip * STRIP, min((strip + 1) * STRIP, n_rows)
        for i in range(start, stop):
            for j in range(width):
                value = gradient[i, j]
                if activation == 1:
                    value *= np.float32(1.0) - outputs[i, j] * outputs[i, j]
                elif activation == 2 and outputs[i, j] <= 0.0:  # not where it is no number
                    value = np.float32(0.0)
                before[i, j] = value
                sums[strip, j] += value
        transpose_rows(before, start, stop, transposed)
