"""How a function becomes compiled code, on one thread or on several.

Numba's own way to several threads, ``parallel=True``, takes three times as long to compile and runs
no faster. Here a function that works on a range of units is compiled as it stands, and `parallel`
hands the ranges out to the threads of Numba's pool.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from object2vec import compiled as state
from object2vec.compiled.cache import FunctionCache

numba.get_num_threads()  # loads the threading layer that compiled functions are linked to

_PARTS = 64  # ranges that units of equal cost are divided into, whatever the threads
# No C wrapper, which nobody calls; divisions as NumPy has them, without a check.
_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, or take it from the cache."""
    return _cached(numba.njit(**_OPTIONS)(function))


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function into the compiled ones that call it; Python cannot."""
    return _cached(numba.njit(no_cpython_wrapper=True, forceinline=True, **_OPTIONS)(function))


def parallel(function: Callable[..., Any]) -> Parallel:
    """Compile a function that works on units ``first`` to ``last``, for several threads.

    Parameters
    ----------
    function : callable
        Takes the first unit of a range, the unit behind its last one, and what else it likes.
        Ranges run in any order and side by side; it returns nothing.
    """
    name = f"{function.__name__}_on_threads"
    code, own = _entry.__code__, function.__code__
    entry = FunctionType(
        code.replace(co_filename=own.co_filename, co_firstlineno=own.co_firstlineno),
        {"_part": inner(function), "_on_threads": _on_threads},
        name,
    )
    # Compiled code is linked by these names, which therefore must be its own.
    entry.__module__, entry.__qualname__ = function.__module__, name
    return Parallel(compiled(entry))


class Parallel:
    """A compiled function that several threads share the work of."""

    def __init__(self, entry: Any) -> None:
        self._entry = entry

    def __call__(
        self, units: int | NDArray[np.int64], *arguments: Any, small: bool = False
    ) -> None:
        """Run the function over all units.

        Parameters
        ----------
        units : int, or int64 array of shape (p + 1,)
            Their number; or, if they cost unequal work, the bounds of `p` ranges of equal work.
        *arguments
            What the function takes behind its range.
        small : bool, default False
            Whether the work is less than what it takes to wake a thread.
        """
        bounds = units if isinstance(units, np.ndarray) else _bounds(units)
        if small or (threads := state.threads()) == 1:
            self._entry(1, bounds, *arguments)
            return
        with state.lock:
            self._entry(threads, bounds, *arguments)


def _cached(dispatcher: Any) -> Any:
    dispatcher._cache = FunctionCache(dispatcher.py_func)
    return dispatcher


def _bounds(n_units: int) -> NDArray[np.int64]:
    """Return the bounds of ranges of about equal size, (p + 1,)."""
    parts = max(1, min(n_units, _PARTS))
    return np.arange(parts + 1) * n_units // parts


_part: Any = None  # in its stead each copy of `_entry` has a function of its own


def _entry(threads, bounds, *arguments):
    """Run a part over all ranges; `parallel` compiles it once for each part."""
    if threads > 1:
        _on_threads(threads, bounds, _part, arguments)
    else:
        _part(bounds[0], bounds[-1], *arguments)


@intrinsic
def _on_threads(typing, threads, bounds, part, arguments):
    """Let the threads of Numba's pool call ``part(bounds[i], bounds[i + 1], *arguments)``."""
    inputs = (types.intp, types.intp, *arguments.types)
    call = typing.resolve_function_type(part, inputs, {})

    def generate(context, builder, signature, args):
        result = part.dispatcher.get_compile_result(call)
        context.active_code_library.add_linking_library(result.library)
        body = _body(context, builder.module, result.fndesc, arguments, inputs)
        ranges = context.make_array(signature.args[1])(context, builder, args[1])
        n_ranges = builder.sub(builder.extract_value(ranges.shape, 0), _WORD(1))
        first = builder.bitcast(ranges.data, _BYTES)
        data = builder.bitcast(cgutils.alloca_once_value(builder, args[3]), _BYTES)
        pool = cgutils.get_or_insert_function(builder.module, _POOL, "numba_parallel_for")
        # One loop of Numba's pool, over an array whose item i is the bound that range i begins at.
        array, size, stride = (
            cgutils.alloca_once_value(builder, value)
            for value in (first, n_ranges, _WORD(_WORD.width // 8))
        )
        count = builder.trunc(args[0], _COUNT)
        body = builder.bitcast(body, _BYTES)
        builder.call(pool, [body, array, size, stride, data, _WORD(0), _WORD(1), count])
        return context.get_dummy_value()

    return types.void(threads, bounds, part, arguments), generate


_WORD, _COUNT, _BYTES = (
    ir.IntType(8 * np.intp(0).itemsize),
    ir.IntType(32),
    ir.IntType(8).as_pointer(),
)
# What Numba's pool calls: void body(char **arrays, size_t *sizes, size_t *strides, void *data)
_BODY = ir.FunctionType(
    ir.VoidType(), [_BYTES.as_pointer(), _WORD.as_pointer(), _WORD.as_pointer(), _BYTES]
)
# And what it is called with: the body, its four arguments, inner dimensions, arrays, threads.
_POOL = ir.FunctionType(ir.VoidType(), [_BYTES, *_BODY.args, _WORD, _WORD, _COUNT])


def _body(context, module, part, arguments, inputs):
    """Write the function that unpacks its data and calls `part` for each range it is given."""
    body = ir.Function(module, _BODY, module.get_unique_name("ranges"))
    body.linkage = "internal"
    builder = ir.IRBuilder(body.append_basic_block())
    arrays, sizes, _, data = body.args
    packed = builder.bitcast(data, context.get_value_type(arguments).as_pointer())
    values = cgutils.unpack_tuple(builder, builder.load(packed))
    bounds = builder.bitcast(builder.load(arrays), _WORD.as_pointer())
    with cgutils.for_range(builder, builder.load(sizes)) as loop:
        ends = (loop.index, builder.add(loop.index, _WORD(1)))
        first_last = [builder.load(builder.gep(bounds, [end])) for end in ends]
        function = context.declare_function(builder.module, part)
        context.call_conv.call_function(
            builder, function, types.none, inputs, [*first_last, *values]
        )
    builder.ret_void()
    return body
