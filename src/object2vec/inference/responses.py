"""Predictions to the bytes of a response, in SageMaker's two forms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from object2vec.inference.instances import Request
from object2vec.inference.payload import JSON_LINES

Floats = NDArray[np.float32]

_PART_NUMBERS = 1 << 16  # numbers that are rendered at once, a few milliseconds
_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_LINE = _NUMPY | orjson.OPT_APPEND_NEWLINE
_dumps = orjson.dumps


def render(request: Request, predictions: Sequence[Floats], writes: str) -> Iterator[bytes]:
    """Yield the response to a request as JSON or JSON Lines, a large one in parts.

    Parameters
    ----------
    request : Request
    predictions : sequence of float32 array (n, D) or (n, K)
        One array for each group of the request, a row for each instance; finite numbers.
    writes : {"application/json", "application/jsonlines"}

    Notes
    -----
    Every number is the shortest one that reads back as the same float32.
    """
    ordered = _in_order(request, predictions)
    width = max((rows.shape[1] for rows in predictions), default=1)
    size = max(1, _PART_NUMBERS // width)
    if writes == JSON_LINES:
        for start in range(0, len(ordered), size):
            yield b"".join(_dumps(p, option=_LINE) for p in ordered[start : start + size])
        return
    if len(ordered) <= size:
        yield _dumps({"predictions": ordered}, option=_NUMPY)
        return
    lead = b'{"predictions":['
    for start in range(0, len(ordered), size):
        yield lead + _dumps(ordered[start : start + size], option=_NUMPY)[1:-1]
        lead = b","
    yield b"]}"


def _in_order(request: Request, predictions: Sequence[Floats]) -> list[dict[str, Floats]]:
    """Return the prediction for each instance, in the order of the request."""
    if request.positions is None:
        return [
            {group.key: row}
            for group, rows in zip(request.groups, predictions, strict=True)
            for row in rows
        ]
    ordered: list[dict[str, Floats]] = [{}] * len(request)
    for group, positions, rows in zip(request.groups, request.positions, predictions, strict=True):
        for position, row in zip(positions, rows, strict=True):
            ordered[position] = {group.key: row}
    return ordered
