"""What an endpoint answers, as Python values."""

from __future__ import annotations

import json
from typing import Any


class JSONDeserializer:
    """JSON: ``{"predictions": [...]}`` as a dict."""

    ACCEPT = ("application/json",)

    def deserialize(self, body: bytes, content_type: str) -> Any:
        """Return the document in `body`."""
        return json.loads(body)


class JSONLinesDeserializer:
    """JSON Lines: a list with one dict for each instance."""

    ACCEPT = ("application/jsonlines",)

    def deserialize(self, body: bytes, content_type: str) -> list[Any]:
        """Return the documents in `body`."""
        return [json.loads(line) for line in body.splitlines() if line.strip()]


json_deserializer = JSONDeserializer()  # as in the SDK's first version
