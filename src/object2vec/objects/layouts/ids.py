"""Sequences of ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from object2vec.files.json import JsonObject
from object2vec.objects.layouts.base import Arrays, Layout, Mistake, Runs
from object2vec.objects.ragged import ID_LIST_RULE, MAX_ID, Ragged, Rows, offsets_of
from object2vec.objects.statistics import IdStatistics


class Ids(Layout[Ragged]):
    """A list of integers in each row, or an integer as a list of one.

    JSON may write an integer like 1.0, as Pandas does in a column with a gap.
    """

    name = "ids"
    dtypes = {"values": np.dtype(np.int32), "offsets": np.dtype(np.int64)}  # noqa: RUF012
    json_type = list[Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]]
    statistics = IdStatistics

    def build(self, values: Any, where: str) -> Ragged:
        """Return the column that values in memory describe; see `Ragged.build`."""
        return Ragged.build(values, where)

    def mistake(self, value: Any) -> Mistake | None:
        """Return what is wrong with a value of a JSON record."""
        if isinstance(value, JsonObject) or not isinstance(value, list):
            is_token = isinstance(value, int) and not isinstance(value, bool)
            return Mistake(
                ID_LIST_RULE, value, f"Write [{value}]." if is_token else "Write a list."
            )
        for position, token in enumerate(value):
            is_integer = type(token) is int or (type(token) is float and token.is_integer())
            if not is_integer or not 0 <= token <= MAX_ID:
                return Mistake(ID_LIST_RULE, token, f"Fix the id at position {position}.")
        return None

    def from_json(self, values: Sequence[Any]) -> Ragged:
        """Return lists of ids as a column."""
        return Ragged.of_lists(values)

    def arrow_type(self) -> Any:
        """Return a list of int32."""
        import pyarrow as pa

        return pa.list_(pa.int32())

    def from_arrow(self, column: Any) -> Ragged | None:
        """Return an Arrow column as ours; None if it holds what is no id."""
        tokens = column.flatten()
        if tokens.null_count or (values := tokens.to_numpy()).min(initial=0) < 0:
            return None
        return Ragged(values, offsets_of(column.value_lengths().to_numpy()))

    def from_scanned(self, column: Ragged) -> Ragged:
        """Return what the scanner has read, which takes ids alone."""
        return column

    def take(self, column: Ragged, rows: Rows) -> Ragged:
        """Return these rows."""
        return column.take(rows)

    def read(self, files: Mapping[str, Runs], rows: Rows) -> Ragged:
        """Return these rows of a column in files."""
        twos = np.full(len(rows), 2)  # (m,)
        bounds = files["offsets"].read(rows, twos).reshape(-1, 2)  # (m, 2)
        lengths = bounds[:, 1] - bounds[:, 0]  # (m,)
        return Ragged(files["values"].read(bounds[:, 0], lengths), offsets_of(lengths))

    def arrays(self, column: Ragged) -> Arrays:
        """Return values and offsets."""
        return {"values": column.values, "offsets": column.offsets}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]], facts: Any) -> Ragged | None:
        """Return the column of these arrays, as far as its ends show that it is whole."""
        column = Ragged(arrays["values"], arrays["offsets"])
        if len(column) != facts.rows or not facts.rows:
            return None
        is_whole = column.offsets[0] == 0 and column.offsets[-1] == len(column.values)
        return column if is_whole and facts.tokens == len(column.values) else None

    def continued(self, column: Ragged, before: IdStatistics) -> Arrays:
        """Return values, and offsets that go on where `before` ends."""
        offsets = column.offsets + before.tokens  # (n + 1,)
        return {"values": column.values, "offsets": offsets[1:] if before.rows else offsets}

    def count(self, column: Ragged) -> IdStatistics:
        """Return the statistics of a column, looking at it piece by piece."""
        return sum((IdStatistics.of(piece) for _, piece in column.pieces()), IdStatistics())
