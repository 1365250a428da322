"""The HTTP surface: SageMaker's routes, health, metrics and a page for people."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from object2vec.errors import ArtifactError, Object2VecError, RequestError, problem
from object2vec.inference.instances import JSON, Reader, Request, negotiate, render
from object2vec.serving.batcher import Batcher, Overloaded
from object2vec.serving.guard import Guard
from object2vec.serving.metrics import Metrics
from object2vec.serving.page import page
from object2vec.serving.refusals import Refusal, refuse, refuse_as_runtime
from object2vec.serving.settings import MIB, Settings

if TYPE_CHECKING:
    from object2vec.artifact import Artifact
    from object2vec.inference.engine import Engine
    from object2vec.model import Object2Vec

_MAX_DRAINED_BYTES = 64 * MIB  # of a body that is too large, so that its client reads our answer
_CHUNK_BYTES = 1 << 18
_MAX_TRANSFORM_MIB = 100  # SageMaker: MaxConcurrentTransforms x MaxPayloadInMB
_TEXT_HEADERS = {b"content-type", b"accept", b"content-length", b"content-encoding", b"expect"}
_FAILED = "the server: failed at this request. Tell who runs it."
_logger = logging.getLogger(__name__)


class Server:
    """The state of a serving process: a model once it is loaded, and what is in flight.

    Parameters
    ----------
    settings : Settings

    Attributes
    ----------
    is_draining : bool
        Whether new requests are refused because the process is about to end.
    failure : Object2VecError or None
        Why the model could not be loaded.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.is_draining = False
        self.failure: Object2VecError | None = None
        self.engine: Engine | None = None
        self._reader: Reader | None = None
        self._batcher: Batcher | None = None
        self._held_bytes = 0

    @property
    def is_ready(self) -> bool:
        """Whether requests are answered."""
        return self._batcher is not None and not self.is_draining

    def put(self, engine: Engine) -> None:
        """Serve a model from now on."""
        self.engine = engine
        self._reader = Reader(engine.config)
        self._batcher = Batcher(engine.answer, engine.is_quick, self.settings, self._observe)
        self.metrics.ready.set(1)

    def _observe(self, instances: int) -> None:
        """Note a batch and what it left behind."""
        assert self._batcher is not None
        self.metrics.batch_instances.observe(instances)
        self.metrics.waiting.set(self._batcher.waiting_units)

    def close(self) -> None:
        """Let the model's thread end."""
        if self._batcher:
            self._batcher.close()

    def _hold(self, size: int) -> None:
        """Count bytes that will stay in memory; refuse what would be too many."""
        if self._held_bytes and self._held_bytes + size > self.settings.max_held_bytes:
            raise Overloaded.at(
                "the server",
                "must have memory for the request",
                f"{self._held_bytes} bytes in flight",
                "Send it again after 1 s.",
            )
        self._held_bytes += size

    def keep(self, size: int) -> None:
        """Count bytes of an answer that its client has yet to read."""
        self._held_bytes += size

    def release(self, size: int) -> None:
        """Count bytes that are gone."""
        self._held_bytes -= size

    async def answer(self, headers: dict[bytes, str], receive: Receive) -> tuple[list[bytes], str]:
        """Return the body of the answer to a request, in parts, and its media type.

        Raises
        ------
        RequestError
            With the status that belongs to the problem; 204 for an empty body.
        """
        if self._reader is None or self._batcher is None or self.is_draining:
            state = "shutting down" if self.is_draining else "loading its model"
            raise RequestError(f"the server: is {state}. Send the request again soon.", status=503)
        form = negotiate(
            headers.get(b"content-type", ""),
            headers.get(b"accept", ""),
            self.settings.default_accept,
        )
        if headers.get(b"content-encoding", "identity").lower() != "identity":
            raise RequestError.at(
                "Content-Encoding",
                "must be identity",
                headers[b"content-encoding"],
                "Send the body uncompressed.",
                status=415,
            )
        length = _content_length(headers)
        held = min(length or self.settings.max_payload_bytes, self.settings.max_payload_bytes)
        self._hold(held)
        try:
            body = await self._body(headers, length, receive)
            request = self._reader.read(body, form)
            del body
            if request is None:
                raise RequestError("body: is empty.", status=204)
            self._check_size(request)
            answers = await self._batcher.submit(request.groups)
        finally:
            self.release(held)
        for group in request.groups:
            self.metrics.instances(group.key).inc(len(group))
        parts = []
        for part in render(request, answers, form.writes):
            parts.append(part)
            if len(part) > _CHUNK_BYTES:
                await asyncio.sleep(0)  # others have their turn between two large parts
        return parts, form.writes

    async def _body(self, headers: dict[bytes, str], length: int, receive: Receive) -> bytes:
        """Return the whole body of a request; one that is too large is read on for a while."""
        limit = self.settings.max_payload_bytes
        if length > limit and b"expect" in headers:
            raise self._too_large(length)  # before the client sends it
        chunks, size = [], 0
        while size <= limit + _MAX_DRAINED_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestError("the request: was not completed by its client.")
            chunk = message.get("body", b"")
            size += len(chunk)
            chunks.append(chunk)
            if size > limit:
                chunks.clear()
            if not message.get("more_body"):
                break
        if size > limit:
            raise self._too_large(size)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self, size: int) -> RequestError:
        limit = self.settings.max_payload_bytes
        return RequestError.at(
            "body", f"must have at most {limit} bytes", size, "Split the request.", status=413
        )

    def _check_size(self, request: Request) -> None:
        """Refuse a request whose answer would not fit into memory."""
        assert self.engine is not None
        limit = self.settings.max_answer_numbers // self.engine.width
        if len(request) > max(limit, 1):
            raise RequestError.at(
                "instances",
                f"must be at most {limit} for this model",
                len(request),
                "Split the request.",
                status=413,
            )


class Invocations:
    """The ASGI application behind ``/invocations``.

    Parameters
    ----------
    server : Server
    refusal : callable, optional
        Makes status, headers and body of a refusal out of its status and message; those of a
        container by default.
    """

    def __init__(self, server: Server, refusal: Callable[[int, str], Refusal] = refuse) -> None:
        self._server = server
        self._refuse = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every outcome is an HTTP response."""
        start = time.perf_counter()
        server = self._server
        extra: list[tuple[bytes, bytes]] = []
        parts: list[bytes] = []
        media, message = JSON, ""
        try:
            parts, media = await self._in_time(scope, receive)
            status = 200
        except RequestError as err:
            status, extra, message = err.status, _retry_after(err), str(err)
        except Exception:
            _logger.exception("A request failed.")
            status, message = 500, _FAILED
        if server.is_draining or status in (413, 504):  # what is left of the body is not read
            extra.append((b"connection", b"close"))
        shown = status
        if status >= 400:
            shown, named, body = self._refuse(status, message)
            extra, parts = extra + named, [body]
        await self._respond(send, shown, parts, media, extra)
        server.metrics.seconds.observe(time.perf_counter() - start)
        server.metrics.requests(status).inc()

    async def _in_time(self, scope: Scope, receive: Receive) -> tuple[list[bytes], str]:
        """Return the server's answer, or raise the 504 that the time is up."""
        headers = {
            name: value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _TEXT_HEADERS
        }
        task, timeout_s, is_late = asyncio.current_task(), self._server.settings.timeout_s, False

        def cancel() -> None:
            nonlocal is_late
            is_late = True
            assert task is not None
            task.cancel()

        # anyio.fail_after does the same in 10 us instead of 1, a tenth of a small request's time.
        timer = asyncio.get_running_loop().call_later(timeout_s, cancel)
        try:
            return await self._server.answer(headers, receive)
        except asyncio.CancelledError:
            if not is_late:
                raise
            cure = "Send fewer instances, or again later."
            message = problem("the request", "must be answered in time", f"{timeout_s:g} s", cure)
            raise RequestError(message, status=504) from None
        finally:
            timer.cancel()

    async def _respond(
        self,
        send: Send,
        status: int,
        parts: list[bytes],
        media: str,
        extra: list[tuple[bytes, bytes]],
    ) -> None:
        """Send a response, a large one at the speed of its reader."""
        size = sum(map(len, parts))
        head = [(b"content-length", b"%d" % size), *extra]
        if status != 204:
            head.append((b"content-type", media.encode()))
        await send({"type": "http.response.start", "status": status, "headers": head})
        if size <= _CHUNK_BYTES:
            await send({"type": "http.response.body", "body": b"".join(parts)})
            return
        self._server.keep(size)
        try:
            for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._server.release(size)


def _content_length(headers: dict[bytes, str]) -> int:
    """Return the announced length of the body; 0 if it is not announced."""
    text = headers.get(b"content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _retry_after(err: RequestError) -> list[tuple[bytes, bytes]]:
    if isinstance(err, Overloaded):
        return [(b"retry-after", b"%d" % err.retry_after_s)]
    return [(b"retry-after", b"1")] if err.status == 503 else []


def create_app(
    model: str | os.PathLike[str] | Object2Vec,
    settings: Settings | None = None,
    on_loaded: Callable[[Object2VecError | None], object] = lambda failure: None,
) -> Starlette:
    """Return the application that serves a model.

    Parameters
    ----------
    model : path, URL or Object2Vec
        A model, or where one is saved, which is loaded in the background when the application
        starts; until then requests and ``/ping`` are answered with 503.
    settings : Settings, optional
    on_loaded : callable, optional
        Told when a folder is loaded: None, or the error why it could not be.

    Returns
    -------
    Starlette
        Its ``state.server`` is the `Server`.

    Examples
    --------
    Inside another ASGI application: ``Mount("/movies", create_app("model/"))``.
    """
    server = Server(settings or Settings())

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if isinstance(model, (str, os.PathLike)):
            _load(server, model, on_loaded)
        yield
        server.close()

    invocations = Invocations(server)
    app = _App(
        invocations,
        routes=_routes(server, invocations),
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_error, Exception: _unexpected},
    )
    app.state.server = server
    if server.settings.token is not None:
        app.add_middleware(Guard, token=server.settings.token)
    if not isinstance(model, (str, os.PathLike)):
        server.put(_engine(model.artifact, server.settings))
    return app


def _load(
    server: Server,
    path: str | os.PathLike[str],
    on_loaded: Callable[[Object2VecError | None], object],
) -> None:
    """Load a model folder in a thread that cannot keep the process alive."""
    loop = asyncio.get_running_loop()

    def done(outcome: Engine | Object2VecError) -> None:
        if isinstance(outcome, Object2VecError):
            server.failure = outcome
        else:
            server.put(outcome)
        on_loaded(server.failure)

    def load() -> None:
        outcome: Engine | Object2VecError
        start = time.perf_counter()
        try:
            from object2vec.artifact import load as load_artifact

            outcome = _engine(load_artifact(path), server.settings)
            _logger.info("Model loaded in %.1f s.", time.perf_counter() - start)
        except Object2VecError as err:
            outcome = err
        except Exception as err:
            _logger.exception("The model could not be loaded.")
            outcome = ArtifactError.at(
                str(path), "must be loaded", type(err).__name__, "The log tells more."
            )
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(done, outcome)

    threading.Thread(target=load, name="load", daemon=True).start()


def _engine(artifact: Artifact, settings: Settings) -> Engine:
    """Return a warm engine that uses the cores that are there for one worker."""
    from object2vec.inference.engine import Engine

    engine = Engine(artifact)
    cores = os.cpu_count() or 1
    threads = engine.config.threads or max(1, cores // settings.workers)
    engine.warm_up(settings.preferred_mode, threads)
    return engine


class _App(Starlette):
    """Starlette with a short cut to what is asked for all the time."""

    def __init__(self, invocations: Invocations, **options: Any) -> None:
        super().__init__(**options)
        self._invocations = invocations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, without middleware and routing if it needs none."""
        is_usual = scope["type"] == "http" and scope["path"] == "/invocations"
        if is_usual and scope["method"] == "POST" and not self.user_middleware:
            await self._invocations(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _routes(server: Server, invocations: Invocations) -> list[Route]:
    """Return all routes."""

    async def ping(request: HttpRequest) -> Response:
        return Response(status_code=200 if server.is_ready else 503)

    async def execution_parameters(request: HttpRequest) -> Response:
        payload = min(max(server.settings.max_payload_bytes // MIB, 1), _MAX_TRANSFORM_MIB)
        concurrent = min(os.cpu_count() or 1, _MAX_TRANSFORM_MIB // payload)
        limits = {"MaxConcurrentTransforms": concurrent, "MaxPayloadInMB": payload}
        return JSONResponse({"BatchStrategy": "MULTI_RECORD"} | limits)

    async def metrics(request: HttpRequest) -> Response:
        return Response(server.metrics.render(), media_type=server.metrics.media_type)

    async def people(request: HttpRequest) -> Response:
        is_open = request.scope.get("object2vec.authorized", True)
        html, policy = page(server.engine, is_open)
        return HTMLResponse(
            html,
            headers={
                "Content-Security-Policy": policy,
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            },
        )

    runtime = Invocations(server, refuse_as_runtime)
    return [
        Route("/invocations", invocations, methods=["POST"]),
        Route("/endpoints/{name}/invocations", runtime, methods=["POST"]),
        Route("/ping", ping),
        Route("/execution-parameters", execution_parameters),
        Route("/metrics", metrics),
        Route("/", people),
    ]


async def _http_error(request: HttpRequest, err: Exception) -> Response:
    """Answer what no route takes."""
    assert isinstance(err, HTTPException)
    return JSONResponse({"error": err.detail}, err.status_code, err.headers)


async def _unexpected(request: HttpRequest, err: Exception) -> Response:
    """Answer our bugs without telling their insides; starlette logs them."""
    return JSONResponse({"error": _FAILED}, 500)
