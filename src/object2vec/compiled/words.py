"""Eight bytes at a time: what compiled functions read and write texts with."""

import sys

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

if sys.byteorder != "little":
    raise ImportError("words of eight bytes are read as little-endian numbers")


def _address(context, builder, array, value, i):
    """Return the address of the byte `i` of an array as that of a number of eight bytes."""
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [i]), ir.IntType(64).as_pointer())


@intrinsic
def load(typing, data, i):
    """Read the eight bytes from `i` on as one number, wherever they begin."""

    def generate(context, builder, signature, args):
        return builder.load(_address(context, builder, signature.args[0], *args), align=1)

    return types.uint64(data, types.intp), generate


@intrinsic
def store(typing, data, i, word):
    """Write a number to the eight bytes from `i` on, wherever they begin."""

    def generate(context, builder, signature, args):
        address = _address(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], address, align=1)
        return context.get_dummy_value()

    return types.void(data, types.intp, types.uint64), generate


@intrinsic
def lowest_bit(typing, word):
    """Return which bit is the lowest one that is set, of a number that is not 0."""

    def generate(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.uint64), generate
