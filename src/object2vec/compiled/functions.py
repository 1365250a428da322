"""How a function becomes compiled code, on one thread or on several.

Numba's own way to several threads, ``parallel=True``, takes three times as long to compile and runs
no faster. Here a function that works on a range of units is compiled as it stands, and `parallel`
lays the ranges open to the threads of `object2vec.compiled.pool`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from object2vec.compiled.cache import FunctionCache
from object2vec.compiled.pool import RUN, share_work
from object2vec.compiled.threads import lock, threads

_PARTS = 64  # ranges that units of equal cost are divided into, whatever the threads
# No C wrapper, which nobody calls; divisions as NumPy has them, without a check.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_INNER = {"no_cpython_wrapper": True, "forceinline": True, "_nrt": False, **_OPTIONS}


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, or take it from the cache."""
    return _cached(numba.njit(**_OPTIONS)(function))


def inner(function: Callable[..., Any], name: str = "", **own: Any) -> Any:
    """Compile a function into the compiled ones that call it; Python cannot.

    It counts no references, so it makes no arrays but views: two atomic instructions for each array
    that it is given took 70 % of the time of reading short records. `name` and `own` are those of
    `parallel`.
    """
    return _cached(numba.njit(**_INNER)(_copy(function, name, own) if own else function))


def summing(function: Callable[..., Any]) -> Any:
    """Compile like `inner` a function whose sums may be taken as vector units take them.

    That is in another order, and a product and a sum may be rounded but once: the same for any
    number of threads, but not on every machine.
    """
    return _cached(numba.njit(**_INNER, fastmath={"contract", "reassoc", "nsz"})(function))


def parallel(function: Callable[..., Any], name: str = "", **own: Any) -> Parallel:
    """Compile a function that works on units ``first`` to ``last``, for several threads.

    Parameters
    ----------
    function : callable
        Takes the first unit of a range, the unit behind its last one, and what else it likes.
        Ranges run in any order and side by side; it returns nothing.
    name : str, optional
        What tells this version of the function from others; by default the names in `own`.
    **own
        What it finds by these names instead of what its module has there, such as another function.
    """
    part = _copy(function, name, own)
    code, of_part = _entry.__code__, function.__code__
    code = code.replace(co_filename=of_part.co_filename, co_firstlineno=of_part.co_firstlineno)
    named = {"_part": numba.njit(part), "_on_threads": _on_threads}
    entry = FunctionType(code, named, part.__name__)
    entry.__module__, entry.__qualname__ = part.__module__, part.__qualname__
    part.__qualname__ += "_part"
    return Parallel(compiled(entry))


def _copy(function: Callable[..., Any], name: str, own: dict[str, Any]) -> FunctionType:
    """Return a function that finds `own` among its globals, under a name of its own."""
    assert isinstance(function, FunctionType)
    names = [name] if name else [value.__name__ for value in own.values()]
    full = "_".join([function.__qualname__, *names])
    copy = FunctionType(function.__code__, function.__globals__ | own, full)
    # Compiled code is linked by these names, which therefore must be its own.
    copy.__module__, copy.__qualname__ = function.__module__, full
    return copy


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
        if small or (count := threads()) == 1:
            self._entry(0, bounds, *arguments)
            return
        with lock:
            self._entry(share_work(count - 1), bounds, *arguments)


def _cached(dispatcher: Any) -> Any:
    dispatcher._cache = FunctionCache(dispatcher.py_func)
    return dispatcher


@functools.lru_cache(maxsize=1 << 10)  # the steps of a run ask for the same few again and again
def _bounds(n_units: int) -> NDArray[np.int64]:
    """Return the bounds of ranges of about equal size, (p + 1,)."""
    parts = max(1, min(n_units, _PARTS))
    return np.arange(parts + 1) * n_units // parts


_part: Any = None  # in its stead each copy of `_entry` has a function of its own


def _entry(pool, bounds, *arguments):
    """Run a part over all ranges; `parallel` compiles it once for each part."""
    _on_threads(pool, bounds, _part, arguments)


@intrinsic
def _on_threads(typing, pool, bounds, part, arguments):
    """Call ``part(bounds[i], bounds[i + 1], *arguments)`` for all i, with a pool if there is one.

    The body that does so for some of them is what the pool asks for; on one thread it is called as
    it stands, so that the part is compiled but once.
    """

    def generate(context, builder, signature, args):
        body = _body(context, builder, part.dispatcher.py_func, arguments)
        ranges = context.make_array(signature.args[1])(context, builder, args[1])
        data = cgutils.alloca_once_value(builder, args[3])
        first = builder.ptrtoint(ranges.data, _WORD)
        count = builder.sub(builder.extract_value(ranges.shape, 0), _WORD(1))
        inputs = (first, count, builder.ptrtoint(data, _WORD))
        is_serial = builder.icmp_signed("==", args[0], _WORD(0))
        with builder.if_else(is_serial) as (serial, threaded):
            with serial:
                builder.call(body, inputs)
            with threaded:
                where = builder.inttoptr(builder.add(args[0], _WORD(RUN)), _WORD.as_pointer())
                run = builder.inttoptr(builder.load(where), _RUN.as_pointer())
                builder.call(run, (args[0], builder.ptrtoint(body, _WORD), *inputs))
        return context.get_dummy_value()

    return types.void(types.intp, bounds, part, arguments), generate


_WORD = ir.IntType(8 * np.intp(0).itemsize)
_BODY = ir.FunctionType(ir.VoidType(), [_WORD] * 3)  # of bounds, number of ranges, data
_RUN = ir.FunctionType(ir.VoidType(), [_WORD] * 5)  # of the pool, a body and its arguments


def _body(context, caller, part, arguments):
    """Write the function that unpacks its data and calls `part` for each range it is given."""
    inputs = (types.intp, types.intp, *arguments.types)
    # Numba would cache it by the code alone, which parts with other functions inside share.
    compiled_part = context.compile_subroutine(caller, part, types.void(*inputs), caching=False)
    body = ir.Function(caller.module, _BODY, caller.module.get_unique_name("ranges"))
    body.linkage = "internal"
    body.attributes.add("noinline")
    builder = ir.IRBuilder(body.append_basic_block())
    first, count, data = body.args
    packed = builder.inttoptr(data, context.get_value_type(arguments).as_pointer())
    values = cgutils.unpack_tuple(builder, builder.load(packed))
    bounds = builder.inttoptr(first, _WORD.as_pointer())
    function = context.declare_function(builder.module, compiled_part.fndesc)
    with cgutils.for_range(builder, count) as loop:
        ends = (loop.index, builder.add(loop.index, _WORD(1)))
        first_last = [builder.load(builder.gep(bounds, [end])) for end in ends]
        numbers = [*first_last, *values]
        context.call_conv.call_function(builder, function, types.none, inputs, numbers)
    builder.ret_void()
    return body
