"""Fetching rows of a table, and entries of an array, before their turn.

The rows that a batch reads follow no pattern, so the CPU cannot foresee them, and a loop that sums
them waits for memory most of the time. Asking for a row a few steps ahead hides that wait.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from object2vec.compiled.functions import inner

_LINE = 16  # float32 numbers in a cache line


@intrinsic
def _prefetch(typing, array, index):
    """Ask the CPU to fetch the cache line of one number."""

    def generate(context, builder, signature, args):
        kind = signature.args[0]
        table = context.make_array(kind)(context, builder, args[0])
        indices = cgutils.unpack_tuple(builder, args[1])
        pointer = cgutils.get_item_pointer(context, builder, kind, table, indices)
        address, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        fetch = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [address, flag, flag, flag]),
            "llvm.prefetch.p0",
        )
        read, keep, data = flag(0), flag(3), flag(1)
        builder.call(fetch, [builder.bitcast(pointer, address), read, keep, data])
        return context.get_dummy_value()

    return types.void(array, index), generate


@inner
def prefetch_row(table, row):
    """Ask the CPU to fetch a row of a table (V, E) of float32 numbers."""
    for column in range(0, table.shape[1], _LINE):
        _prefetch(table, (np.int64(row), column))


@inner
def prefetch_number(numbers, index):
    """Ask the CPU to fetch a number of an array (V,)."""
    _prefetch(numbers, (np.int64(index),))
