"""The ASGI application behind ``/invocations``: one request, its time limit and its response."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from object2vec.errors import RequestError
from object2vec.inference.payload import JSON
from object2vec.serving.endpoint import CHUNK_BYTES, Endpoint
from object2vec.serving.error_responses import ErrorParts, of_container
from object2vec.serving.limits import Overloaded

FAILED = "the server: failed at this request. Report it to whoever runs the server."
_TEXT_HEADERS = {b"content-type", b"accept", b"content-length", b"content-encoding", b"expect"}
_CLOSE = (b"connection", b"close")
_Headers = list[tuple[bytes, bytes]]
_logger = logging.getLogger(__name__)


class Invocations:
    """Responds to requests for inference.

    Parameters
    ----------
    endpoint : Endpoint
    error_parts : callable, optional
        Makes status, headers and body of an error response out of its status and message; those of
        a container by default.
    """

    def __init__(
        self, endpoint: Endpoint, error_parts: Callable[[int, str], ErrorParts] = of_container
    ) -> None:
        self._endpoint = endpoint
        self._error_parts = error_parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request; every outcome is an HTTP response."""
        start = time.perf_counter()
        endpoint, media, message = self._endpoint, JSON, ""
        headers: _Headers = []
        parts: list[bytes] = []
        try:
            parts, media = await self._respond_in_time(scope, receive)
            status = 200
        except RequestError as err:
            status, headers, message = err.status, _retry_after(err), str(err)
        except Exception:
            _logger.exception("A request failed.")
            status, message = 500, FAILED
        if endpoint.is_draining or status in (413, 504):  # what is left of the body is not read
            headers.append(_CLOSE)
        sent_status = status
        if status >= 400:
            sent_status, named, body = self._error_parts(status, message)
            headers, parts = headers + named, [body]
        if status != 204:
            headers.append((b"content-type", media.encode()))
        try:
            await self._send(send, sent_status, headers, parts)
        finally:
            endpoint.metrics.seconds.observe(time.perf_counter() - start)
            endpoint.metrics.requests(status).inc()

    async def _respond_in_time(self, scope: Scope, receive: Receive) -> tuple[list[bytes], str]:
        """Return the endpoint's response, or raise the 504 that the time is up."""
        headers = {
            name: value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _TEXT_HEADERS
        }
        task, timeout_s = asyncio.current_task(), self._endpoint.settings.timeout_s
        is_late = False
        assert task is not None

        def cancel() -> None:
            nonlocal is_late
            is_late = True
            task.cancel()

        # anyio.fail_after does the same in 10 us instead of 1, a tenth of a small request's time.
        timer = asyncio.get_running_loop().call_later(timeout_s, cancel)
        try:
            return await self._endpoint.respond(headers, receive)
        except asyncio.CancelledError:
            if not is_late:
                raise
            if sys.version_info >= (3, 11):
                task.uncancel()  # it goes on, whatever task group it runs in
            must = "must be completed in time"
            got = f"{timeout_s:g} s"
            cure = "Send fewer instances, or again later."
            raise RequestError.at("the request", must, got, cure, status=504) from None
        finally:
            timer.cancel()

    async def _send(self, send: Send, status: int, headers: _Headers, parts: list[bytes]) -> None:
        """Send a response, a large one at the speed of its reader."""
        size = sum(map(len, parts))
        headers.append((b"content-length", b"%d" % size))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if size <= CHUNK_BYTES:
            await send({"type": "http.response.body", "body": b"".join(parts)})
            return
        with self._endpoint.held.add(size):
            for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _retry_after(err: RequestError) -> _Headers:
    if isinstance(err, Overloaded):
        return [(b"retry-after", b"%d" % err.retry_after_s)]
    return [(b"retry-after", b"1")] if err.status == 503 else []
