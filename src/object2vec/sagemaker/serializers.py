"""What is sent to an endpoint, as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np


class JSONSerializer:
    """JSON: ``{"instances": [...]}``.

    Examples
    --------
    >>> JSONSerializer().serialize({"instances": [{"in0": [1]}]})
    '{"instances": [{"in0": [1]}]}'
    """

    CONTENT_TYPE = "application/json"

    def __init__(self, content_type: str = CONTENT_TYPE) -> None:
        self.content_type = content_type

    def serialize(self, data: Any) -> str:
        """Return `data` as JSON; arrays are lists."""
        return data if isinstance(data, str) else json.dumps(data, default=_plain)


class JSONLinesSerializer:
    r"""JSON Lines: one instance on each line.

    Examples
    --------
    >>> JSONLinesSerializer().serialize([{"in0": [1]}, {"in0": [2]}])
    '{"in0": [1]}\n{"in0": [2]}'
    """

    CONTENT_TYPE = "application/jsonlines"

    def __init__(self, content_type: str = CONTENT_TYPE) -> None:
        self.content_type = content_type

    def serialize(self, data: Any) -> str:
        """Return instances, or ``{"instances": [...]}``, as JSON Lines; text is taken as it is."""
        if isinstance(data, str):
            return data
        instances: Iterable[Any] = data["instances"] if isinstance(data, dict) else data
        return "\n".join(json.dumps(instance, default=_plain) for instance in instances)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON value")


json_serializer = JSONSerializer()  # as in the SDK's first version
