"""Transposing a matrix in the CPU's registers.

Written number by number, a column becomes a row at a number per store, each into another page. A
block of 16 x 16 numbers fits into 16 vector registers: it is read and written in whole cache lines.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from object2vec.compiled.functions import inner

SIZE = 16  # float32 numbers in a cache line
_VECTOR = ir.VectorType(ir.FloatType(), SIZE)
_INDICES = ir.VectorType(ir.IntType(32), SIZE)


@intrinsic
def _transpose_block(typing, source, row, column, target):
    """Write ``source[row:row + 16, column:column + 16]``, transposed, to `target`."""

    def generate(context, builder, signature, args):
        def line(which, first, second, number):
            kind = signature.args[which]
            matrix = context.make_array(kind)(context, builder, args[which])
            position = (builder.add(first, ir.Constant(first.type, number)), second)
            pointer = cgutils.get_item_pointer(context, builder, kind, matrix, position)
            return builder.bitcast(pointer, _VECTOR.as_pointer())

        rows = [builder.load(line(0, args[1], args[2], k), align=4) for k in range(SIZE)]
        for size in (1, 2, 4, 8):  # swap the blocks of this size beside the diagonal
            rows = _swapped(builder, rows, size)
        for k, numbers in enumerate(rows):
            builder.store(numbers, line(3, args[2], args[1], k), align=4)
        return context.get_dummy_value()

    return types.void(source, row, column, target), generate


def _swapped(builder, rows, size):
    """Return rows in which the upper right and lower left blocks of each 2 x 2 have changed."""
    upper = [k if k // size % 2 == 0 else SIZE + k - size for k in range(SIZE)]
    lower = [k + size if k // size % 2 == 0 else SIZE + k for k in range(SIZE)]
    swapped = list(rows)
    for k in range(SIZE):
        if k // size % 2 == 0:
            pair = rows[k], rows[k + size]
            swapped[k] = builder.shuffle_vector(*pair, ir.Constant(_INDICES, upper))
            swapped[k + size] = builder.shuffle_vector(*pair, ir.Constant(_INDICES, lower))
    return swapped


@inner
def transpose_rows(source, start, stop, target):
    """Write rows `start` to `stop` of `source` (N, F) into these columns of `target` (F, N)."""
    width = source.shape[1]
    whole_rows = start + (stop - start) // SIZE * SIZE
    whole_columns = width // SIZE * SIZE
    for column in range(0, whole_columns, SIZE):
        for row in range(start, whole_rows, SIZE):
            _transpose_block(source, row, column, target)
    for column in range(width):
        for row in range(whole_rows if column < whole_columns else start, stop):
            target[column, row] = source[row, column]
