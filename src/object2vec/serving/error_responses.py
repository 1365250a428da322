"""Error responses: the container's document, and that of SageMaker's runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from object2vec.inference.payload import JSON

# What AWS's clients call an error after which they send the request again; all others are a
# ModelError.
_SENT_AGAIN = {429: "ThrottlingException", 503: "ServiceUnavailable"}

ErrorParts = tuple[int, list[tuple[bytes, bytes]], bytes]  # status, headers, body


def of_container(status: int, message: str) -> ErrorParts:
    """Return status, headers and body of an error as a container sends it."""
    return status, [], _document(message)


def of_runtime(status: int, message: str) -> ErrorParts:
    """Return status, headers and body of an error as SageMaker's runtime sends it."""
    kind = _SENT_AGAIN.get(status, "ModelError")
    document: dict[str, Any] = {"Message": message}
    if kind == "ModelError":
        blamed = "client" if status < 500 else "server"
        document = {
            "Message": f'Received {blamed} error ({status}) from primary with message "{message}"',
            "OriginalStatusCode": status,
            "OriginalMessage": _document(message).decode(),
        }
        status = 424
    return status, [(b"x-amzn-errortype", kind.encode())], orjson.dumps(document)


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a container's error as a response of starlette."""
    return Response(_document(message), status, headers, media_type=JSON)


def _document(message: str) -> bytes:
    return orjson.dumps({"error": message})
