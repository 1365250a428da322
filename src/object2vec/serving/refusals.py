"""What a refused request gets: the container's document, or that of SageMaker's runtime."""

from __future__ import annotations

from typing import Any

import orjson

# What AWS's clients call a refusal after which they ask again; all others are a ModelError.
_SENT_AGAIN = {429: "ThrottlingException", 503: "ServiceUnavailable"}

Refusal = tuple[int, list[tuple[bytes, bytes]], bytes]  # status, headers, body


def refuse(status: int, message: str) -> Refusal:
    """Refuse a request as a container does."""
    return status, [], _error(message)


def refuse_as_runtime(status: int, message: str) -> Refusal:
    """Refuse a request as SageMaker's runtime does, which AWS's clients take us for."""
    kind = _SENT_AGAIN.get(status, "ModelError")
    document: dict[str, Any] = {"Message": message}
    if kind == "ModelError":
        blamed = "client" if status < 500 else "server"
        document = {
            "Message": f'Received {blamed} error ({status}) from primary with message "{message}"',
            "OriginalStatusCode": status,
            "OriginalMessage": _error(message).decode(),
        }
        status = 424
    return status, [(b"x-amzn-errortype", kind.encode())], orjson.dumps(document)


def _error(message: str) -> bytes:
    return orjson.dumps({"error": message})
