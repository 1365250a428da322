"""Predictions to the bytes of a response, in SageMaker's two forms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from object2vec.inference.instances import Group, Request
from object2vec.inference.payload import JSON_LINES

Floats = NDArray[np.float32]

_PART_NUMBERS = 1 << 16  # numbers that are rendered at once, a few milliseconds
_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_LINE = _NUMPY | orjson.OPT_APPEND_NEWLINE
_dumps = orjson.dumps


def render(
    request: Request,
    predictions: Sequence[Floats],
    writes: str,
    classes: Sequence[str] | None = None,
) -> Iterator[bytes]:
    """Yield the response to a request as JSON or JSON Lines, a large one in parts.

    Parameters
    ----------
    request : Request
    predictions : sequence of float32 array (n, D) or (n, K)
        One array for each group of the request, a row for each instance; finite numbers.
    writes : {"application/json", "application/jsonlines"}
    classes : sequence of str, length K, optional
        Their names: the likeliest one stands beside the scores, as ``label``.

    Notes
    -----
    Every number is the shortest one that reads back as the same float32.
    """
    ordered = _in_order(request, predictions, classes)
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


def _in_order(
    request: Request, predictions: Sequence[Floats], classes: Sequence[str] | None
) -> list[dict[str, Any]]:
    """Return the prediction for each instance, in the order of the request."""
    if request.positions is None:
        return _described(request.groups[0], predictions[0], classes) if predictions else []
    parts = [_described(*each, classes) for each in zip(request.groups, predictions, strict=True)]
    ordered: list[dict[str, Any]] = [{}] * len(request)
    for part, positions in zip(parts, request.positions, strict=True):
        for position, prediction in zip(positions, part, strict=True):
            ordered[position] = ordered[position] | prediction
    return ordered


def _described(group: Group, rows: Floats, classes: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return the predictions for a group, with all that is said of each."""
    key, name = group.key, group.name
    values = rows[:, 0] if name and key == "scores" else rows
    name = name or key
    predictions: list[dict[str, Any]] = [{name: value} for value in values]
    if classes is not None and key == "scores":
        for prediction, best in zip(predictions, rows.argmax(axis=1).tolist(), strict=True):
            prediction["label"] = classes[best]
    if group.remarks is not None:
        for prediction, remark in zip(predictions, group.remarks, strict=True):
            prediction |= remark
    return predictions
