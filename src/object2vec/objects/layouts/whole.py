"""One whole number in each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError
from object2vec.objects.layouts.base import Mistake
from object2vec.objects.layouts.number import OneInEachRow
from object2vec.objects.ragged import to_array
from object2vec.objects.statistics import WholeStatistics

Wholes = NDArray[np.int64]

_LOW, _HIGH = -(2**63), 2**63 - 1


class Whole(OneInEachRow[np.int64]):
    """A whole number in each row, as an int64: what records have in common."""

    name = "whole"
    dtypes = {"": np.dtype(np.int64)}  # noqa: RUF012
    json_type = Annotated[int, msgspec.Meta(ge=_LOW, le=_HIGH)]
    statistics = WholeStatistics

    def build(self, values: Any, where: str) -> Wholes:
        """Return values in memory as int64 (n,); raise `DataError` if they are something else."""
        array = to_array(values, where)
        if array.ndim != 1 or array.dtype.kind not in "iu" or (array > _HIGH).any():
            got = f"{array.dtype.name} of shape {array.shape}"
            must, cure = "must be a one-dimensional array of whole numbers", "Number the groups."
            raise DataError.at(where, must, got, cure)
        return array.astype(np.int64, copy=False)

    def mistake(self, value: Any) -> Mistake | None:
        """Return what is wrong with a value of a JSON record."""
        if type(value) is int and _LOW <= value <= _HIGH:
            return None
        return Mistake("must be a whole number", value, "Fix the number.")

    def from_json(self, values: Sequence[Any]) -> Wholes:
        """Return numbers as a column."""
        return np.array(values, np.int64)

    def arrow_type(self) -> Any:
        """Return int64."""
        import pyarrow as pa

        return pa.int64()

    def from_arrow(self, column: Any) -> Wholes | None:
        """Return an Arrow column as ours."""
        return np.asarray(column.to_numpy())

    def from_scanned(self, column: Any) -> Wholes | None:
        """Return None: the scanner reads numbers as float64, which may be others."""
        return None
