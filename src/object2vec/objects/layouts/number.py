"""One number in each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.objects.layouts.base import Arrays, Layout, Mistake, Runs
from object2vec.objects.ragged import Rows, to_array
from object2vec.objects.statistics import NumberStatistics

Numbers = NDArray[np.float32]
D = TypeVar("D", bound=np.generic)

_REAL = (Real, Decimal, np.bool_)

INFINITE = (2 - 2**-24) * 2.0**127  # from here on a number rounds to an infinite float32


class OneInEachRow(Layout[NDArray[D]]):
    """A number in each row, in one array."""

    def take(self, column: NDArray[D], rows: Rows) -> NDArray[D]:
        """Return these rows."""
        return column[rows]

    def read(self, files: Mapping[str, Runs], rows: Rows) -> NDArray[D]:
        """Return these rows of a column in a file."""
        return files[""].read(rows, np.ones(len(rows), np.int64))

    def arrays(self, column: NDArray[D]) -> Arrays:
        """Return the numbers."""
        return {"": column}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]], facts: Any) -> NDArray[D] | None:
        """Return the numbers if they are as many as their statistics say."""
        return arrays[""] if len(arrays[""]) == facts.rows else None


class Number(OneInEachRow[np.float32]):
    """A finite number in each row, as a float32; true and false are 1 and 0."""

    name = "number"
    dtypes = {"": np.dtype(np.float32)}  # noqa: RUF012
    json_type = Annotated[float, msgspec.Meta(gt=-INFINITE, lt=INFINITE)] | bool
    statistics = NumberStatistics

    def build(self, values: Any, where: str) -> Numbers:
        """Return values in memory as float32 (n,).

        Raises
        ------
        DataError
            If one is no finite number. Up to 20 are listed.
        """
        if isinstance(values, Iterator):
            values = list(values)
        array = to_array(values, where)
        if array.dtype == object and all(isinstance(each, _REAL) for each in array.flat):
            array = array.astype(np.float64)
        if array.dtype.kind not in "biuf" or array.ndim != 1:
            got = f"{array.dtype.name} of shape {array.shape}"
            must, cure = "must be a one-dimensional array of numbers", "Pass one number per record."
            raise DataError.at(where, must, got, cure)
        with np.errstate(over="ignore"):
            numbers = array.astype(np.float32, copy=False)  # (n,)
        bad = np.flatnonzero(~np.isfinite(numbers))[:MAX_PROBLEMS].tolist()
        if bad:
            must, cure = "must be a finite number", f"Fix the {where}."
            problems = [problem(f"{where}[{i}]", must, array[i].item(), cure) for i in bad]
            raise DataError(join_problems(problems))
        return numbers

    def mistake(self, value: Any) -> Mistake | None:
        """Return what is wrong with a value of a JSON record."""
        if isinstance(value, (int, float)) and abs(value) < INFINITE:
            return None
        return Mistake("must be a finite number", value, "Fix the number.")

    def from_json(self, values: Sequence[Any]) -> Numbers:
        """Return numbers as a column."""
        return np.array(values, np.float32)

    def arrow_type(self) -> Any:
        """Return float64."""
        import pyarrow as pa

        return pa.float64()

    def from_arrow(self, column: Any) -> Numbers | None:
        """Return an Arrow column as ours; None if a number is too large."""
        return self.from_scanned(column.to_numpy())

    def from_scanned(self, column: NDArray[np.float64]) -> Numbers | None:
        """Return numbers (n,) as a column; None if one is too large."""
        return column.astype(np.float32) if (np.abs(column) < INFINITE).all() else None
